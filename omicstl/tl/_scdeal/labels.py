"""One column of a table of responses or labels: numbers, or names of classes (pandas)."""

from __future__ import annotations

import re
from decimal import Decimal
from numbers import Real
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from omicstl._core.checks import listed

if TYPE_CHECKING:
    from anndata import AnnData

_COMMA = re.compile(r"\s*[+-]?\d*,\d+([eE][+-]?\d+)?\s*")
_HUGE, _TINY = 1e7, 1e-9  # products of four such values fit in single precision
_CODES = (-9999, -999, -99, -9)  # what missing values are written as
_FAR = 10  # interquartile ranges below the quartile
_MANY = 0.5  # share of values that read as numbers from which text is taken for numbers


class Column(NamedTuple):
    """Values of n rows: numbers with NaN where there is none, or text with ``""`` where there is none."""

    numbers: np.ndarray | None
    text: np.ndarray | None
    levels: tuple[str, ...] = ()  # of text, sorted
    boolean: bool = False


def tables_of(adata: AnnData, name: str) -> list[str]:
    """Names of the tables of obsm; some versions of anndata give none away while the rows of one are not those of the object."""
    try:
        return [str(key) for key in adata.obsm]
    except ValueError as error:
        msg = (
            f"A table of {name}.obsm has its rows in another order than {name}.obs_names, or other rows, so anndata does not read it. Store the tables anew: "
            f"{name}.obsm = {{'<key>': table.loc[{name}.obs_names]}}."
        )
        raise ValueError(msg) from error


def check_rows(table: pd.DataFrame, adata: AnnData, key: str, name: str) -> None:
    """Refuse a table whose rows were sorted or renamed after it was stored, which other versions of anndata do not notice."""
    if table.index.astype(str).equals(adata.obs_names.astype(str)):
        return
    place = f"{name}.obsm[{key!r}]"
    msg = (
        f"{place} has its rows in another order than {name}.obs_names, or other rows: {listed(table.index, 3)}, and not {listed(adata.obs_names, 3)}. "
        f"Store it anew: {place} = table.loc[{name}.obs_names]."
    )
    raise ValueError(msg)


def read_column(column: pd.Series, place: str) -> Column:
    """Read a column as what it is; numbers written as text and infinite numbers are an error. `place` is how a user writes the column."""
    classes = isinstance(column.dtype, pd.CategoricalDtype)
    if not classes and column.dtype.kind in "biuf":
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
        return Column(_finite(values, place), None, boolean=column.dtype.kind == "b")
    plain = column.astype(object)
    missing = (plain.isna() | (plain == "").fillna(False)).to_numpy(dtype=bool)
    known = plain.to_numpy(dtype=object)[~missing]
    if not classes and known.size and all(isinstance(value, Real | Decimal | np.bool_) for value in known):
        values = np.full(len(plain), np.nan)
        values[~missing] = [float(value) for value in known]
        return Column(_finite(values, place), None, boolean=all(isinstance(value, bool | np.bool_) for value in known))
    text = np.full(len(plain), "", dtype=object)
    text[~missing] = [str(value) for value in known]
    levels = tuple(sorted(set(text[~missing])))
    if len(levels) > 2:
        _no_numbers(levels, place, "categories" if classes else "text")
    return Column(None, text, levels)


def _finite(values: np.ndarray, place: str) -> np.ndarray:
    """Refuse what is no measured number: infinite, too large for single precision, or a code of a missing value."""
    n = int(np.isinf(values).sum())
    if n:
        msg = f"{place} has {n} infinite value{'s' if n > 1 else ''}. Write NaN where nothing was measured."
        raise ValueError(msg)
    known = values[~np.isnan(values)]
    largest = float(np.abs(known).max()) if known.size else 0.0
    if largest > _HUGE or 0 < largest < _TINY:
        msg = (
            f"{place} has values up to {largest:.3g}, and single precision takes {_TINY:g} to {_HUGE:g}. Take logarithms or another unit, and write NaN where "
            "nothing was measured."
        )
        raise ValueError(msg)
    for code in _CODES:
        others = known[known != code]
        if others.size > 1 and others.size < known.size:
            low, high = np.quantile(others, (0.25, 0.75))
            if code < others.min() and low - code > _FAR * max(high - low, 1e-6 * abs(low)):
                msg = (
                    f"{place} has {known.size - others.size} values of {code}, far below all others (from {others.min():.4g} on), as if they were a code for what was "
                    f"not measured. Write NaN there: {place} = {place}.replace({code}, float('nan'))."
                )
                raise ValueError(msg)
    return values


def _no_numbers(levels: tuple[str, ...], place: str, kind: str) -> None:
    """Refuse numbers that are stored as text or as categories."""
    parsed = pd.to_numeric(pd.Series(levels, dtype=object), errors="coerce").notna().to_numpy()
    comma = np.array([bool(_COMMA.fullmatch(level)) for level in levels])
    if (parsed | comma).mean() <= _MANY:
        return
    numbers = [level for level, good in zip(levels, parsed | comma, strict=True) if good]
    others = [level for level, good in zip(levels, parsed | comma, strict=True) if not good]
    said = f", and {listed(others)}, which are none" if others else ""
    values = f"{place}.astype(object)"
    if comma.any():
        values = f"{place}.astype(str).str.replace(',', '.')"
    coerce = ", errors='coerce'" if others or comma.any() else ""
    msg = (
        f"{place} holds numbers stored as {kind}, such as {listed(numbers, 3)}{said}. Convert the column first: "
        f"{place} = pd.to_numeric({values}{coerce})."
    )
    raise TypeError(msg)
