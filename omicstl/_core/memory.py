"""A reached limit of memory as an error that says what was being made, what the function needs, and what to change."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

_NO_ROOM = re.compile(
    r"RESOURCE_EXHAUSTED|out of memory|cannot allocate memory|failed to map segment|start new thread", re.I
)
_BYTES = re.compile(r"allocat\w* (\d+) bytes")

#: What an error is, before it is known whether memory is the reason: numpy, XLA, the system, a library that could not be loaded.
SIGNS = (MemoryError, RuntimeError, OSError, ImportError)

_GENES = "fewer variables, e.g. adata[:, adata.var['highly_variable']]"
_BLOCKS = "a smaller otl.settings.block_bytes"
_BACKED = "leaving X in its file, anndata.read_h5ad(path, backed='r')"

#: What a function holds beside its input and blocks of rows, and what makes it less. `pl` and `get` hold copies of results.
NEEDS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "tl.plier": (
        "n_vars² numbers of 8 bytes three times over (n_obs × n_vars of 4 where n_vars > 2 n_obs), and n_vars × sets",
        (_GENES, "fewer gene sets", _BACKED),
    ),
    "tl.stability": ("what tl.plier needs, and a fit for each core", ("a fit of fewer variables or factors", _BACKED)),
    "tl.project": ("n_obs × factors", (_BLOCKS, _BACKED, "parts of the observations, one after another")),
    "tl.rank_factors_groups": (
        "n_obs × factors of 8 bytes, and observations × groups",
        ("fewer factors: factors=[...]",),
    ),
    "tl.enrich": ("n_vars × sets, and n_vars × factors", ("fewer gene sets", "fewer factors: factors=[...]")),
    "tl.attributions": (
        "n_vars × factors of 8 bytes, and gradients of a block for each core",
        (_BLOCKS, _BACKED, "fewer observations: n_obs=..."),
    ),
    "tl.deepprofile": (
        "min(n_obs, n_vars)² numbers of 8 bytes three times over, n_obs × n_vars of 4 (up to 16 × settings.block_bytes), n_obs × units",
        (_GENES, "means of gene modules (otl.pp.gene_modules, then obsm='gene_modules')", "fewer `n_members`", _BLOCKS),
    ),
    "tl.vae": (
        "n_obs × n_vars of 4 bytes (up to 16 × settings.block_bytes), and n_vars × hidden units",
        (_BLOCKS, _GENES, "smaller layers: hidden=(...)", _BACKED),
    ),
    "tl.assess": (
        "n_obs × columns of the shared space, of 8 bytes",
        ("fewer observations", "a reference of fewer factors"),
    ),
    "tl.adapt": (
        "n_obs × n_vars of 4 to 8 bytes, several times over",
        (_GENES, "an embedding instead of genes: obsm='X_pca'"),
    ),
    "tl.scdeal": (
        "lines × genes, 2,000 cells × genes, and cells × components, of 4 to 8 bytes",
        (_GENES, "fewer drugs", _BLOCKS, _BACKED),
    ),
    "tl.predict": (
        "n_obs × components, and a block",
        (_BLOCKS, _BACKED, "parts of the observations, one after another"),
    ),
    "pp.gene_modules": (
        "genes × genes of 8 bytes for as many as `n_top_genes`, and n_obs × modules",
        ("a smaller `n_top_genes`", _BLOCKS, _BACKED),
    ),
    "pp.match_distribution": (
        "n_obs × n_vars of 4 bytes, the layer that it writes",
        (_GENES, "parts of the observations"),
    ),
    "pp.map_features": (
        "a second X and a second of each layer",
        ("deleting layers that are not needed", "fewer observations"),
    ),
    "pp.align_features": (
        "a second X and a second of each layer",
        ("deleting layers that are not needed", "fewer observations"),
    ),
    "io.read_archs4": ("the chosen samples × genes, and chunks of the file", ("fewer samples", _BLOCKS)),
    "io.read_refinebio": ("all samples × genes of 4 to 8 bytes", ("fewer experiments, in several calls",)),
    "io.read_depmap": ("lines × genes of 4 to 8 bytes, twice", ("fewer tables in a call",)),
}

#: What can be made less by an argument, where a function has it.
_ARGUMENTS: Mapping[str, str] = {
    "max_obs": "a smaller `max_obs`",
    "n_permutations": "a smaller `n_permutations`",
    "n_resamples": "a smaller `n_resamples`",
    "n_comps": "a smaller `n_comps`",
    "obsm": "an embedding instead of genes: obsm='X_pca'",
    "layer": _BACKED,
}
LIBRARIES = 64 * 2**20
COMPILER = 192 * 2**20
_THREAD = 16 * 2**20  # of address space, for each core
_ELSE = ("fewer observations or variables",)


class MemoryLimitError(MemoryError):
    """Memory did not suffice; says what was being made and what to change."""


def out_of_memory(error: BaseException, name: str, parameters: Iterable[str] = ()) -> MemoryLimitError | None:
    """
    What to raise instead of `error`, of the kinds `SIGNS`, if a limit of memory is its reason; else `None`.

    Parameters
    ----------
    error
        What was caught.
    name
        The function: ``"tl.plier"``.
    parameters
        Names of its arguments.

    Returns
    -------
    The error of the package, to be raised from `error`; `None` also if it has been made already.
    """
    if isinstance(error, MemoryLimitError) or not _is_memory(error):
        return None
    given = set(parameters)
    needs, ways = NEEDS.get(
        name, ("", tuple(way for argument, way in _ARGUMENTS.items() if argument in given) or _ELSE)
    )
    called = f"otl.{name}"
    parts = [
        f"{called} ran out of memory{_made(error)}.",
        f"Beside its input and a block of rows it holds {needs}." if needs else "",
        f"Needed is more memory, or {'; or '.join(ways)}.",
        "`adata` is unchanged." if "adata" in given and not name.startswith(("get.", "pl.", "metrics.")) else "",
    ]
    return MemoryLimitError(" ".join(filter(None, parts)))


def check_room(n_bytes: int = LIBRARIES, work: str = "loading libraries") -> None:
    """
    Refuse work for which the limit of the process (``ulimit -v``) leaves no room, before it starts.

    Raises
    ------
    MemoryError
        If fewer than `n_bytes` are left.
    """
    left = _left()
    if left is not None and left < n_bytes:
        msg = f"{work} needs {_size(n_bytes)}, and the limit of the process (ulimit -v) leaves {_size(max(left, 0))}"
        raise MemoryError(msg)


def check_compiler(n_bytes: int = 0, at_once: int = 1) -> None:
    """`check_room` for XLA in `at_once` threads, and for `n_bytes`: without it XLA ends the process, which nobody can catch."""
    needed = COMPILER * min(at_once, 4) + _THREAD * (os.cpu_count() or 1) + n_bytes
    check_room(needed, "compiling")


def _left() -> int | None:
    """Bytes of address space that the process may still take; `None` without a limit, or where it cannot be known."""
    try:
        import resource

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        if limit == resource.RLIM_INFINITY:
            return None
        return limit - int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except (ImportError, OSError):  # not Linux
        return None


def _is_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
        return True
    return isinstance(error, SIGNS) and _NO_ROOM.search(str(error)) is not None


def _made(error: BaseException) -> str:
    """What was being made, as far as the error knows."""
    shape, dtype = getattr(error, "shape", None), getattr(error, "dtype", None)
    if shape is not None and dtype is not None:  # numpy
        total = dtype.itemsize
        for length in shape:
            total *= int(length)
        return f": an array of {' × '.join(f'{length:,}' for length in shape)} {dtype} ({_size(total)}) found no room"
    found = _BYTES.search(str(error))
    if found is not None:
        return f": an array of {_size(int(found[1]))} found no room"
    said = str(error).strip().splitlines()
    return f": {said[0].rstrip('.')}" if said else ""


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 2**30:,.1f} GiB" if n_bytes >= 2**30 else f"{n_bytes / 2**20:,.1f} MiB"
