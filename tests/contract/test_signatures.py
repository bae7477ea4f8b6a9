"""Functions take few things by position; kernels, which follow a formula, are free."""

from __future__ import annotations

import ast

from tests.contract._house import PACKAGE, files

MOST = 7


def n_positional(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Arguments that can be given without a name, without `self` and `cls`."""
    names = [argument.arg for argument in (*function.args.posonlyargs, *function.args.args)]
    return len(names) - (names[:1] in (["self"], ["cls"]))


def wide_functions() -> set[str]:
    found = set()
    for path in files():
        place = path.relative_to(PACKAGE)
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and n_positional(node) > MOST:
                found.add(f"{place.as_posix()} {node.name}")
    return {name for name in found if not name.startswith("kernels/")}


def test_positional_arguments_are_few() -> None:
    found = wide_functions()
    assert not found, f"more than {MOST} by position: give what belongs together one name, a small record"
