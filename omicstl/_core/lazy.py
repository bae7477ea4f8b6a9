"""A door whose names load at their first use, so that opening it loads no compiler."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from .memory import check_room


def attach(file: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """
    ``__getattr__``, ``__dir__`` and ``__all__`` of the package whose ``__init__.py`` is `file`.

    What it shows is what its ``__init__.pyi`` imports, which type checkers and editors read too.
    """
    stub = ast.parse(Path(file).with_suffix(".pyi").read_text(encoding="utf-8"))
    found = [node for node in stub.body if isinstance(node, ast.ImportFrom)]
    home = {alias.name: str(node.module) for node in found for alias in node.names}
    package = f"omicstl.{Path(file).parent.name}"

    def load(name: str) -> Any:
        if name not in home:
            msg = f"module {package!r} has no attribute {name!r}. Available: {sorted(home)}."
            raise AttributeError(msg)
        check_room()  # below it an import ends in the middle of some library
        value = getattr(import_module(home[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    return load, lambda: sorted(home), sorted(home)
