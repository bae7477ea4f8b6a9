"""Limits of the machine: a full disk, a folder that cannot be written, memory that ends."""

from __future__ import annotations

import ctypes
import os
import resource
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

import omicstl as otl
from tests.contract import cases

from . import scenes
from .states import differences, of_adata, state
from .subjects import FEW, reference

_NOBODY = 65534
_MODES = {"read-only": 0o555, "closed": 0o000}
_OLD = "what stood here before"


def _plier(path: Path) -> AnnData:
    adata = cases.cohort()
    with otl.settings.override(model_in_adata=0):  # or the model stays in the object, and no file is written
        cases.plier(adata, model_path=path)
    return adata


def _vae(path: Path) -> AnnData:
    adata = cases.cohort()
    with otl.settings.override(model_in_adata=0):
        otl.tl.vae(adata, n_factors=3, decoder="linear", hidden=(8,), training=FEW, model_path=path)
    return adata


def _checkpoint(path: Path) -> AnnData:
    adata = cases.cohort()
    cases.deepprofile(adata, checkpoint=path)
    return adata


def _write_model(path: Path) -> None:
    otl.io.write_model(path, otl.get.model(reference()))


def _write_gmt(path: Path) -> None:
    otl.io.write_gmt(path, {f"set {i}": [f"GENE{k}" for k in range(200)] for i in range(20)})


WRITERS: dict[str, Callable[[Path], AnnData | None]] = {
    "tl.plier model_path": _plier,
    "tl.vae model_path": _vae,
    "tl.deepprofile checkpoint": _checkpoint,
    "io.write_model": _write_model,
    "io.write_gmt": _write_gmt,
}


def _small_disk(place: Path, n_bytes: int) -> bool:
    """A disk of a few pages at `place`, seen by this process alone and gone with it; whether that is allowed."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(0x00020000) or libc.mount(b"none", b"/", None, 0x44000, None):
        return False
    options = f"size={max(n_bytes, 4096)}".encode()
    return libc.mount(b"tmpfs", str(place.resolve()).encode(), b"tmpfs", 0, options) == 0


def _written(name: str, n_bytes: int, how: str, old: bool) -> dict[str, Any]:
    """Write where there is no room, and say what is there then."""
    WRITERS[name](Path("warm"))  # compiled, imported, and known to work where there is room
    place = Path("full")
    place.mkdir()
    target = place / "target"
    if how == "tmpfs" and not _small_disk(place, n_bytes):
        how = "limit"
    if old and "checkpoint" not in name:
        target.write_text(_OLD)
    if how == "limit":
        resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, n_bytes))
    if how in _MODES:
        place.chmod(_MODES[how])
        for folder in (Path.cwd(), Path.cwd().parent):
            folder.chmod(0o755)
        if os.geteuid() == 0:
            os.seteuid(_NOBODY)
    try:
        adata, error = WRITERS[name](target), None
    except Exception as one:  # noqa: BLE001 - to be judged
        adata, error = None, scenes.told(one)
        if isinstance(one, otl.ModelFileError):
            error["model"] = getattr(one, "model", None) is not None
    if os.geteuid() == _NOBODY:
        os.seteuid(0)
    place.chmod(0o755)
    kept = target.read_text(errors="replace")[:40] if target.is_file() else "folder" if target.is_dir() else "nothing"
    found = None if adata is None else of_adata(adata, ("plier", "vae", "deepprofile"))
    return {"told": error, "kept": kept, "left": scenes.leftovers(place), "found": found, "how": how}


def _no_room(name: str, n_bytes: int, how: str, old: bool) -> dict[str, Any]:
    about = {"function": name.split()[0], "changes": [[name, how, n_bytes, "old file" if old else "new file"]]}
    ended = scenes.forked(_written, name, n_bytes, how, old)
    if bad := scenes.bad_end(ended) or (scenes.refused(ended.value) if "told" not in (ended.value or {}) else None):
        return {**about, **bad}
    value = ended.value
    about["changes"][0].append(value["how"])
    error = value["told"]
    if error is None:
        return {**about, "verdict": "returned"}
    if not error["own"]:
        return {**about, **(scenes.refused(error) or {})}
    stood = _OLD if old and "checkpoint" not in name else "nothing"
    kept = value["kept"] == stood or "checkpoint" in name
    if value["left"] or not kept:
        return {
            **about,
            "verdict": "changed",
            "paths": [*value["left"], f"the file is {value['kept']!r}"],
            "text": error["text"],
        }
    return {**about, **(scenes.refused(error) or {})}


def disk(number: int, seed: int) -> dict[str, Any]:
    """A disk that is full before, or while, something is written."""
    random = np.random.default_rng([seed, number])
    name = list(WRITERS)[number % len(WRITERS)]
    n_bytes = int(10 ** random.uniform(0, 4.7))
    return _no_room(name, n_bytes, ("tmpfs", "limit")[number // len(WRITERS) % 2], bool(random.integers(2)))


def read_only(number: int, seed: int) -> dict[str, Any]:
    """A folder that this user may not write."""
    name, turn = list(WRITERS)[number % len(WRITERS)], number // len(WRITERS)
    return _no_room(name, 0, list(_MODES)[turn % 2], bool(turn // 2 % 2))


_N, _P = 1500, 1200


@cache
def _large() -> AnnData:
    random = np.random.default_rng(0)
    x = random.normal(8, 1, size=(_N, 3)) @ random.normal(size=(3, _P)) + random.normal(size=(_N, _P))
    obs = pd.DataFrame({"platform": ["old", "new"] * (_N // 2)}, index=[f"o{i}" for i in range(_N)])
    obs["score"] = np.where(obs["platform"] == "old", x[:, 0], np.nan)
    return AnnData(x - x.min(), obs=obs, var=pd.DataFrame(index=[f"GENE{i:03d}" for i in range(_P)]))


def _sets() -> dict[str, list[str]]:
    return {f"s{i}": [f"GENE{k:03d}" for k in range(20 * i, 20 * i + 30)] for i in range(10)}


_TABLE = pd.DataFrame({"LV1": np.ones(400), "LV2": np.arange(400.0)}, index=[f"GENE{i:03d}" for i in range(400)])
MEMORY: dict[str, Callable[[AnnData], Any]] = {
    "tl.plier": lambda a: otl.tl.plier(a, _sets(), n_factors=5, max_iter=20, tol=1e-1),
    "tl.project": lambda a: otl.tl.project(a, otl.io.factor_table(_TABLE, penalty=1.0)),
    "tl.vae": lambda a: otl.tl.vae(a, n_factors=3, training=otl.tl.Training(epochs=1)),
    "tl.adapt": lambda a: otl.tl.adapt(a, domain_key="platform", label_key="score", method="coral"),
    "pp.gene_modules": lambda a: otl.pp.gene_modules(a, n_modules=8, n_top_genes=800),
    "pp.align_features": lambda a: otl.pp.align_features(a, otl.io.factor_table(_TABLE, penalty=1.0)),
}


def _pages() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def _with_little_memory(name: str, more: int) -> dict[str, Any]:
    """A call that has run once, again with a limit a little above what the process has; the answer, and that without a limit."""
    first, second = _large().copy(), _large().copy()
    MEMORY[name](first)
    before = state(second)
    resource.setrlimit(resource.RLIMIT_AS, (_pages() + more, resource.getrlimit(resource.RLIMIT_AS)[1]))
    try:
        MEMORY[name](second)
        error = None
    except Exception as one:  # noqa: BLE001 - to be judged
        error = one
    resource.setrlimit(resource.RLIMIT_AS, (resource.getrlimit(resource.RLIMIT_AS)[1],) * 2)
    if error is not None:
        return {"told": scenes.told(error), "same": state(second) == before}
    keys = ("plier", "factor_table", "vae", "adapt", "gene_modules")
    return {"told": None, "differ": differences(of_adata(second, keys), of_adata(first, keys))}


def memory(number: int, seed: int) -> dict[str, Any]:
    """Little memory: an error of our own or the right answer, never an abort."""
    random = np.random.default_rng([seed, number])
    name, more = list(MEMORY)[number % len(MEMORY)], int(2 ** random.uniform(18, 27))
    about = {"function": name, "changes": [["bytes more", more]]}
    ended = scenes.forked(_with_little_memory, name, more)
    if bad := scenes.bad_end(ended):
        return {**about, **bad}
    value = ended.value
    if "told" not in value:
        return {**about, **(scenes.refused(value) or {})}
    if value["told"] is None:
        return {**about, "verdict": "different" if value["differ"] else "returned", "paths": value["differ"][:5]}
    verdict = scenes.refused(value["told"]) or {}
    return {**about, **verdict} if value["same"] else {**about, **verdict, "verdict": "changed"}
