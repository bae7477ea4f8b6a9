"""What the contract tests know about the source: files, modules and the public functions of the doors."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path

import omicstl

PACKAGE = Path(omicstl.__file__).parent
DOORS = ("datasets", "get", "io", "metrics", "pl", "pp", "tl")


def files() -> list[Path]:
    """Every python file of the package."""
    return sorted(PACKAGE.rglob("*.py"))


def module_name(path: Path) -> str:
    """``omicstl/tl/_plier/verb.py`` is ``omicstl.tl._plier.verb``, ``omicstl/tl/__init__.py`` is ``omicstl.tl``."""
    parts = ("omicstl", *path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def present_doors() -> list[str]:
    """Doors that exist as a file or a folder."""
    return [door for door in DOORS if (PACKAGE / f"{door}.py").exists() or (PACKAGE / door / "__init__.py").exists()]


def public_functions(doors: tuple[str, ...] = DOORS) -> Iterator[tuple[str, Callable]]:
    """Pairs ``("tl.plier", function)`` of all functions that the doors export."""
    for door in present_doors():
        if door in doors:
            module = importlib.import_module(f"omicstl.{door}")
            for name in module.__all__:
                value = getattr(module, name)
                if inspect.isfunction(inspect.unwrap(value)):
                    yield f"{door}.{name}", value
