"""Levels of a column that are to be classes or domains: what is none, and the name that a caller gives."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from omicstl._core.checks import listed, near_miss

from .columns import TRUTH, Column, level_name

_COMMA = re.compile(r"\s*[+-]?\d*,\d+([eE][+-]?\d+)?\s*")
_MANY = 0.5  # share of levels that read as numbers from which text is taken for numbers


def stored_numbers(column: Column) -> str:
    """What to say of numbers that are stored as text or as categories; empty if levels are none."""
    if column.is_number or column.kind == TRUTH or not column.levels:
        return ""
    levels, where = sorted(column.levels), column.where
    parsed = pd.to_numeric(pd.Series(levels, dtype=object), errors="coerce").notna().to_numpy()
    comma = np.array([bool(_COMMA.fullmatch(level)) for level in levels])
    if (parsed | comma).mean() <= _MANY:
        return ""
    numbers = [level for level, good in zip(levels, parsed | comma, strict=True) if good]
    others = [level for level, good in zip(levels, parsed | comma, strict=True) if not good]
    said = f", and {listed(others)}, which are none" if others else ""
    values = f"{where}.astype(str).str.replace(',', '.')" if comma.any() else f"{where}.astype(object)"
    coerce = ", errors='coerce'" if others or comma.any() else ""
    return (
        f"{where} holds numbers stored as {column.kind}, such as {listed(numbers, 3)}{said}. Convert the column first: "
        f"{where} = pd.to_numeric({values}{coerce})."
    )


def check_classes(column: Column, *, advice: str = ". Is it a column of names?") -> None:
    """Refuse levels that are no classes: numbers stored as text, or a name for each observation."""
    n = int((~column.absent).sum())
    if len(column.levels) <= max(2, n // 2):
        return
    stored = stored_numbers(column)
    if stored:
        raise TypeError(stored)
    msg = f"{column.where} has {len(column.levels)} classes among {n} labels, {listed(column.levels)}; a class needs several observations{advice}"
    raise ValueError(msg)


def check_domain(value: str, column: Column) -> str:
    """The name of a level, written as `levels` are; one that is not there is refused."""
    name = level_name(value)
    if name not in column.levels:
        msg = f"{value!r} is no domain of {column.where}.{near_miss(value, column.levels)} Domains: {listed(column.levels, limit=20)}."
        raise ValueError(msg)
    return name
