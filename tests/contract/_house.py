"""What the contract tests know about the source: files, modules and the public functions of the doors."""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

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


class Import(NamedTuple):
    target: str
    line: int
    inside: bool
    typing: bool = False


def imports(source: str, module: str, *, is_package: bool) -> list[Import]:
    """All imports of a file with full names; those under ``if TYPE_CHECKING`` count as inside, and are marked."""
    found: list[Import] = []

    def walk(node: ast.AST, inside: bool, typing: bool) -> None:
        for child in ast.iter_child_nodes(node):
            typing_only = typing or (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test))
            deeper = inside or typing_only or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            if isinstance(child, ast.Import):
                found.extend(Import(alias.name, child.lineno, inside, typing) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                base = child.module or ""
                if child.level:
                    parts = module.split(".")
                    parts = parts[: len(parts) - child.level + is_package]
                    base = ".".join([*parts, base] if base else parts)
                found.extend(Import(f"{base}.{alias.name}", child.lineno, inside, typing) for alias in child.names)
            elif (
                isinstance(child, ast.Call)
                and ast.unparse(child.func).endswith(("import_module", "need"))
                and child.args
            ):
                name = child.args[0]
                if isinstance(name, ast.Constant) and isinstance(name.value, str):
                    found.append(Import(name.value, child.lineno, inside, typing))
                walk(child, deeper, typing_only)
            else:
                walk(child, deeper, typing_only)

    walk(ast.parse(source), inside=False, typing=False)
    return found
