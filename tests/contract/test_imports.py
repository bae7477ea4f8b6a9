"""The import table of the house: who may import whom, at the top of a file and inside functions alike."""

from __future__ import annotations

import sys
from typing import NamedTuple

import pytest

from tests.contract._house import DOORS, files, imports, module_name


class Row(NamedTuple):
    ours: frozenset[str]
    never: frozenset[str]


def row(ours: str, never: str) -> Row:
    return Row(frozenset(ours.split()), frozenset(never.split()))


#: room -> rooms of ours that it may import (its own is always allowed), libraries that it never imports.
_BEHIND_DOORS = "models kernels _data _core get io"
TABLE = {
    "kernels": row("", "anndata pandas scanpy matplotlib flax sklearn"),
    "nn": row("kernels _core", "anndata pandas scanpy matplotlib"),
    "models": row("kernels nn _core", "anndata scanpy matplotlib dask"),
    "_data": row("_core kernels.stats", "scanpy matplotlib flax"),
    "get": row("models _data _core", "scanpy matplotlib"),
    "io": row("models _data _core", "scanpy matplotlib"),
    "pp": row(_BEHIND_DOORS, "matplotlib"),
    "tl": row(_BEHIND_DOORS, "matplotlib"),
    "metrics": row(_BEHIND_DOORS, "matplotlib"),
    "datasets": row(_BEHIND_DOORS, "matplotlib"),
    "pl": row("get _data _core", ""),
    "_core": row("", "anndata jax scanpy matplotlib flax sklearn dask mudata"),
}
#: In `models` only functions may import these, so that importing a model is cheap.
INSIDE_FUNCTIONS = {"models": {"sklearn", "scipy"}}
#: The thin shell over the doors.
SHELL = {"omicstl", "omicstl.__main__", "omicstl.cli", "omicstl.demo"}
#: Heavy libraries that no file of ours may import at its top unless its room is named here.
HEAVY = {"scanpy": set(), "matplotlib": {"pl"}, "sklearn": set(), "dask": set(), "distributed": set(), "mudata": set()}


def room_of(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def allowed(target: str, rooms: frozenset[str]) -> bool:
    inner = target.removeprefix("omicstl.")
    return any(inner == room or inner.startswith(f"{room}.") for room in rooms)


def problems(source: str, module: str, *, is_package: bool = False) -> list[str]:
    """What a file imports against the table, in words."""
    if module in SHELL:
        return []
    room = room_of(module)
    if room not in TABLE:
        return [f"{module}: the room {room!r} is not in the table"]
    found = []
    for target, line, inside, _ in imports(source, module, is_package=is_package):
        top = target.split(".")[0]
        where = f"{module}:{line}: imports {target}"
        if top == "omicstl":
            theirs = room_of(target)
            private = any(part.startswith("_") for part in target.split(".")[2:])
            if target == f"omicstl.{room}" or theirs == room or theirs == "__version__":
                continue
            if theirs in DOORS and private:
                found.append(f"{where}, another door's private file")
            elif room == "datasets" and target.startswith("omicstl.tl") and not private:
                continue  # a reference is a data set that a public verb has made
            elif not allowed(target, TABLE[room].ours):
                found.append(f"{where}, {room} may import {sorted(TABLE[room].ours) or 'nothing'} of ours")
        elif top in TABLE[room].never:
            found.append(f"{where}, never in {room}")
        elif not inside and top in INSIDE_FUNCTIONS.get(room, ()):
            found.append(f"{where} at its top; inside functions only")
        elif not inside and top in HEAVY and room not in HEAVY[top]:
            found.append(f"{where} at its top; inside functions only, it is slow to load")
    return found


def test_files_import_what_their_room_may() -> None:
    found = [
        problem
        for path in files()
        for problem in problems(path.read_text(), module_name(path), is_package=path.name == "__init__.py")
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("module", "source", "ok"),
    [
        ("omicstl.kernels.rank", "import jax\nimport scipy", True),
        ("omicstl.kernels.rank", "import pandas", False),
        ("omicstl.kernels.rank", "def f():\n    from sklearn.svm import SVC", False),
        ("omicstl.kernels.rank", "from omicstl._core.checks import near_miss", False),
        ("omicstl.kernels.rank", "from omicstl.kernels import stats", True),
        ("omicstl.kernels.rank", "from .stats import init", True),
        ("omicstl.kernels.rank", "from ..models import base", False),
        ("omicstl._data.adata", "from omicstl.kernels import stats", True),
        ("omicstl._data.adata", "from omicstl.kernels import rank", False),
        ("omicstl._data.adata", "from omicstl import models", False),
        ("omicstl._core.log", "def f():\n    import anndata", False),
        ("omicstl._core.log", "if TYPE_CHECKING:\n    import anndata", False),
        ("omicstl.tl._plier.verb", "if TYPE_CHECKING:\n    from anndata import AnnData", True),
        ("omicstl.kernels.rank", "need('pandas', 'x')", False),
        ("omicstl._core.log", "if TYPE_CHECKING:\n    from omicstl.tl import plier", False),
        ("omicstl.models.factors.plier.model", "import scipy.linalg", False),
        ("omicstl.models.factors.plier.model", "def f():\n    import scipy.linalg", True),
        ("omicstl.tl._plier.verb", "from omicstl.pp._match import f", False),
        ("omicstl.tl._plier.verb", "from omicstl.pp import match_distribution", False),
        ("omicstl.tl._plier.verb", "from omicstl.tl._project.verb import f", True),
        ("omicstl.tl._plier.verb", "from omicstl.get import model", True),
        ("omicstl.tl._plier.verb", "def f():\n    import matplotlib", False),
        ("omicstl.pl._scatter", "from omicstl.models.factors.plier.model import fit_plier", False),
        ("omicstl.attic.old", "", False),
    ],
)
def test_the_test_finds_what_is_wrong(module: str, source: str, ok: bool) -> None:
    assert (not problems(source, module)) == ok


HEAVY_AT_IMPORT = ("jax", "jaxlib", "scanpy", "matplotlib", "sklearn", "flax", "optax", "dask", "distributed", "mudata")


def test_import_is_light(run_python) -> None:
    code = (
        "import sys, anndata; before = set(sys.modules); import omicstl; dir(omicstl);"
        f"print(*[m for m in {HEAVY_AT_IMPORT} if m in set(sys.modules) - before])"
    )
    assert run_python(code).split() == [], f"`import omicstl` loads a heavy library ({sys.version_info[:2]})"


def test_import_has_no_side_effects(run_python) -> None:
    code = (
        "import os, sys, warnings, logging, numpy as np, anndata;"
        "state = lambda: (dict(os.environ), list(warnings.filters), np.geterr(), list(logging.getLogger().handlers));"
        "before = state(); import omicstl; print(before == state())"
    )
    assert run_python(code).strip() == "True"
