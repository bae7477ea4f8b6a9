"""Small files, no sleeping giants: nothing of ours starts jax, writes or prints when it is imported."""

from __future__ import annotations

from pathlib import Path

import pytest

import omicstl
from tests.contract._house import PACKAGE, files, module_name

LONGEST = 400
ROOT = PACKAGE.parent
WAKES = """
import importlib, sys
from jax._src import xla_bridge
def awake():
    return sorted(xla_bridge._backends)
for name in {names!r}:
    importlib.import_module(name)
    if awake():
        sys.exit(name + " starts the backend of jax at import: " + str(awake()))
import jax
jax.numpy.ones(1)
if not awake():
    sys.exit("the test does not see the backend any more: look for another way to ask jax")
"""


def sources() -> list[Path]:
    """Python files of the package, and of the checkout if there is one around it."""
    found = files()
    if (ROOT / "pyproject.toml").exists():
        for folder in ("tests", "benchmarks", ".ci", "docs"):
            found += sorted(p for p in (ROOT / folder).rglob("*.py") if "_build" not in p.parts)
    return found


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_files_are_small(path: Path) -> None:
    n_lines = len(path.read_text().splitlines())
    assert n_lines <= LONGEST, f"{n_lines} lines, at most {LONGEST}: split it"


def test_importing_everything_leaves_the_backend_asleep(run_python) -> None:
    names = [module_name(path) for path in files() if path.name != "__main__.py"]
    run_python(WAKES.format(names=names))


def test_importing_everything_prints_nothing(run_python) -> None:
    names = [module_name(path) for path in files() if path.name != "__main__.py"]
    assert run_python(f"import importlib\nfor name in {names!r}:\n    importlib.import_module(name)") == ""


def test_the_doors_open() -> None:
    for name in omicstl.__all__:
        assert getattr(omicstl, name) is not None
    assert set(omicstl.__all__) <= set(dir(omicstl))


def test_an_unknown_door_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'tools'"):
        _ = omicstl.tools


def test_typed() -> None:
    assert (PACKAGE / "py.typed").exists()
