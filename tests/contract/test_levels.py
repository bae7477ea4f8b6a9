"""Inside the rooms: families stand on what is below them, verbs know no other verb's parts, and no file imports itself by a detour."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

import omicstl.tl
from tests.contract._house import files, imports, module_name

#: Families of `models` may import those of a lower number, and no other.
LEVELS = {"base": 0, "transfer": 1, "shift": 1, "factors": 1, "selection": 2, "adapt": 3, "response": 3, "assess": 4}
#: What families of factors share; they import nothing of each other.
SHARED_FACTORS = {"autoencoder"}
#: Files that find others by name: all kinds, all records, all methods, what a door shows, what is optional.
FINDERS = {
    "omicstl",
    "omicstl._core.discovery",
    "omicstl._core.lazy",
    "omicstl._core.optional",
    "omicstl._core.registry",
    "omicstl.models.kinds",
}


def family(module: str) -> str:
    """``omicstl.models.adapt.fit`` is of the family adapt."""
    parts = module.split(".")
    return parts[2] if parts[:2] == ["omicstl", "models"] and len(parts) > 2 else ""


def factors_family(module: str) -> str:
    parts = module.split(".")
    return parts[3] if parts[:3] == ["omicstl", "models", "factors"] and len(parts) > 4 else ""


def verb_of(module: str) -> str:
    """The verb whose parts a file of `tl` belongs to, ``""`` for what verbs share."""
    parts = module.split(".")
    name = parts[2] if parts[:2] == ["omicstl", "tl"] and len(parts) > 2 else ""
    return name[1:] if name.startswith("_") and name[1:] in omicstl.tl.__all__ else ""


@cache
def modules() -> dict[str, Path]:
    return {module_name(path): path for path in files()}


def target_of(name: str) -> str:
    """The file that holds an imported name."""
    while name and name not in modules():
        name = name.rpartition(".")[0]
    return name


def problems(source: str, module: str) -> list[str]:
    """What a file imports against the levels, in words."""
    found = []
    for name, line, _, _ in imports(source, module, is_package=False):
        theirs, ours = family(name), family(module)
        where = f"{module}:{line}: imports {name}"
        if ours in LEVELS and theirs and theirs != ours and LEVELS.get(theirs, 9) >= LEVELS[ours]:
            found.append(f"{where}, and {theirs} is not below {ours}")
        one, other = factors_family(module), factors_family(target_of(name) or name)
        if one and other and other not in {one, *SHARED_FACTORS}:
            found.append(f"{where}, another family of factors")
        if verb_of(name) and verb_of(module) != verb_of(name) and module != "omicstl.tl":
            found.append(f"{where}, the parts of another verb")
    return found


def test_files_import_what_is_below_them() -> None:
    found = [problem for module, path in modules().items() for problem in problems(path.read_text(), module)]
    assert not found, "\n".join(found)


def test_every_family_has_its_level() -> None:
    there = {family(module) for module in modules()} - {"", "kinds"}
    assert there == set(LEVELS)


@pytest.mark.parametrize(
    ("module", "source", "ok"),
    [
        ("omicstl.models.selection.criteria", "from omicstl.models.response import cells", False),
        ("omicstl.models.selection.criteria", "from omicstl.models.transfer import heads", True),
        ("omicstl.models.adapt.fit", "def f():\n    from omicstl.models.response import fit", False),
        ("omicstl.models.response.fit", "from . import cells", True),
        ("omicstl.models.shift.kinds", "from omicstl.models.transfer import heads", False),
        ("omicstl.models.adapt.fit", "from omicstl.models import kinds", False),
        ("omicstl.models.factors.vae.fit", "from omicstl.models.factors.plier import model", False),
        ("omicstl.models.factors.vae.fit", "from omicstl.models.factors.autoencoder import loss", True),
        ("omicstl.models.factors.vae.fit", "from omicstl.models.factors import annotation", True),
        ("omicstl.tl._plier.verb", "from omicstl.tl._vae.inputs import read", False),
        ("omicstl.tl._plier.verb", "from . import inputs", True),
        ("omicstl.tl._plier.verb", "import_module('omicstl.tl._vae.inputs')", False),
    ],
)
def test_the_test_finds_what_is_wrong(module: str, source: str, ok: bool) -> None:
    assert (not problems(source, module)) == ok


def test_what_is_imported_is_there() -> None:
    gone = []
    for module, path in modules().items():
        for name, line, _, _ in imports(path.read_text(), module, is_package=path.name == "__init__.py"):
            if name.startswith("omicstl.") and not {name, name.rpartition(".")[0]} & set(modules()):
                gone.append(f"{module}:{line}: {name}")
    assert not gone, "no such file:\n" + "\n".join(gone)


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Groups of files that import each other, directly or by others (Tarjan 1972)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(graph[node]):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            at = stack.index(node)
            if len(stack) - at > 1:
                found.append(sorted(stack[at:]))
            del stack[at:]

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return found


def test_no_circle() -> None:
    graph = {}
    for module, path in modules().items():
        is_package = path.name == "__init__.py"
        seen = imports(path.read_text(), module, is_package=is_package)
        graph[module] = {target_of(name) for name, _, _, typing in seen if not typing} & set(modules()) - {module}
    assert circles(graph) == []


def test_circles_are_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]
    assert circles({"a": {"b"}, "b": set()}) == []


def test_only_finders_import_by_computed_names() -> None:
    found = set()
    for module, path in modules().items():
        for node in ast.walk(ast.parse(path.read_text())):
            named = isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__"))
            if named and not (node.args and isinstance(node.args[0], ast.Constant)):
                found.add(module)
    assert found == FINDERS
