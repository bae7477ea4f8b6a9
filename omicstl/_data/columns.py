"""THE reader of columns of `obs`: groups, labels, numbers and masks, with one reading and one message for every verb."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from omicstl._core.checks import listed, missing_key
from omicstl._core.log import warn

from .adata import check_table

if TYPE_CHECKING:
    from anndata import AnnData

NUMBERS, TRUTH, TEXT, CATEGORIES = "numbers", "truth values", "text", "categories"
MISSING_TEXT = {"nan", "<na>", "nat"}  # only programs write this, for what is missing
DOUBTFUL_TEXT = {"none", "null", "na", "n/a"}  # may be missing, or no treatment
CODES = (-9.0, -99.0, -999.0, -9999.0, -99999.0)  # what missing numbers are written as
FAR = 10.0  # spans of the middle half
_DATES = {"datetime", "datetime64", "date", "time", "timedelta", "timedelta64", "period"}
_MOMENTS = (dt.date, dt.time, dt.timedelta, np.datetime64, np.timedelta64, pd.Period)
_WHOLE = re.compile(r"(0|-?[1-9]\d*)\.0")
_LARGEST_WHOLE = 1e15  # above, floats are not written digit by digit


@dataclass(frozen=True)
class Column:
    """A column of n rows. `where` is how a user writes it; numbers are measured, and all else is groups."""

    where: str
    kind: str
    dtype: str
    absent: np.ndarray
    """(n,) bool: None, NaN, NA, NaT, and text of nothing but blanks."""
    numbers: np.ndarray | None
    """(n,) float64, NaN where missing; of truth values 0 and 1; None of text and categories."""
    names: tuple[str, ...] = ()
    places: np.ndarray | None = None

    @property
    def is_number(self) -> bool:
        """Whether values are measured, unlike truth values, text and categories."""
        return self.kind == NUMBERS

    @property
    def is_measured(self) -> bool:
        """Whether numbers are more than two classes."""
        return self.is_number and np.unique(self.known).size > 2

    @property
    def levels(self) -> tuple[str, ...]:
        """Names in use: in the order of the categories, else sorted, numbers by value."""
        return self._grouped[0]

    @property
    def codes(self) -> np.ndarray:
        """(n,) int64, the place of each value in `levels`; -1 where missing."""
        return self._grouped[1]

    @property
    def text(self) -> np.ndarray:
        """(n,) the name of each value, ``""`` where missing."""
        return np.array([*self.levels, ""], dtype=object)[self.codes]

    @property
    def known(self) -> np.ndarray:
        """Numbers that are not missing."""
        return np.asarray(self.numbers)[~self.absent]

    @cached_property
    def _grouped(self) -> tuple[tuple[str, ...], np.ndarray]:
        if self.places is not None:
            names, codes, ordered = list(self.names), self.places, self.kind == TEXT
        else:
            distinct, found = np.unique(self.known, return_inverse=True)
            codes, ordered = np.full(self.absent.size, -1), False
            codes[~self.absent] = found.ravel()
            names = [str(bool(v)) if self.kind == TRUTH else level_name(v) for v in distinct]
        used = [names[i] for i in np.unique(codes[codes >= 0])]
        levels = sorted(set(used)) if ordered else list(dict.fromkeys(used))
        place = {name: i for i, name in enumerate(levels)}
        table = np.array([*(place.get(name, -1) for name in names), -1], dtype=np.int64)
        return tuple(levels), table[codes]

    def named_as(self, levels: Iterable[object]) -> np.ndarray:
        """(n,) names as a model has stored its levels, such as "1.0" where it is "1" now; ``""`` where missing."""
        stored = {level_name(str(level)): str(level) for level in levels}
        return np.array([*(stored.get(name, name) for name in self.levels), ""], dtype=object)[self.codes]

    def select(self, rows: np.ndarray) -> Column:
        """Some rows; levels that none of them has are gone."""
        numbers = None if self.numbers is None else self.numbers[rows]
        places = None if self.places is None else self.places[rows]
        return Column(self.where, self.kind, self.dtype, self.absent[rows], numbers, self.names, places)


def level_name(value: object) -> str:
    """Name of a level: 1, "1" and 1.0 are one, "1"; truth values are "True" and "False"."""
    if isinstance(value, str):
        whole = _WHOLE.fullmatch(value)
        return str(value) if whole is None else whole.group(1)
    if isinstance(value, bool | np.bool_) or not isinstance(value, Real | Decimal):
        return str(value)
    if isinstance(value, Integral):
        return str(int(value))
    number = float(value)
    if number.is_integer() and abs(number) < _LARGEST_WHOLE:
        return str(int(number))
    single = np.float32(number) if abs(number) < 1e30 else number
    return str(single if float(single) == number else number)


def read_column(source: AnnData | pd.DataFrame, key: str, *, argument: str = "key", name: str = "adata") -> Column:
    """
    Read a column of `obs`, of which values may be missing; `argument` is what names it, `name` the object that has it.

    `KeyError` if it is not there, `TypeError` if it holds dates or complex numbers, `ValueError` if it is there twice, or holds infinite
    numbers, a code for missing numbers, or text that only programs write for what is missing.
    """
    obs = source if isinstance(source, pd.DataFrame) else source.obs
    check_table(obs, name)
    places = [i for i, there in enumerate(obs.columns) if str(there) == key]
    if not places:
        raise missing_key(key, f"{name}.obs", [str(there) for there in obs.columns])
    if len(places) > 1:
        msg = f"{name}.obs has several columns {key!r}. Rename all but one."
        raise ValueError(msg)
    return read_series(obs.iloc[:, places[0]], f"{name}.obs[{key!r}]")


def read_series(values: pd.Series, where: str) -> Column:
    """Read a column of any table; `where` is how a user writes it."""
    dtype, gone = values.dtype, values.isna().to_numpy(dtype=bool, copy=True)
    if isinstance(dtype, pd.CategoricalDtype):
        _check_kind(dtype.categories.dtype, pd.api.types.infer_dtype(dtype.categories, skipna=True), where)
        names = [level_name(name) for name in dtype.categories]
        codes = values.cat.codes.to_numpy().astype(np.int64)
        blank = np.array([*(not name.strip() for name in names), True])
        codes[blank[codes]] = -1
        return _checked(Column(where, CATEGORIES, str(dtype), codes < 0, None, tuple(names), codes))
    _check_kind(dtype, "", where)
    if pd.api.types.is_bool_dtype(dtype) or pd.api.types.is_numeric_dtype(dtype):
        kind = TRUTH if pd.api.types.is_bool_dtype(dtype) else NUMBERS
        numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
        return _checked(_numbers(values, numbers, gone | np.isnan(numbers), (where, kind, str(dtype))))
    plain = values.astype(object).to_numpy(dtype=object)
    gone |= np.array([isinstance(value, str) and not value.strip() for value in plain], dtype=bool)
    return _checked(_objects(plain, gone, str(dtype), where))


def _objects(plain: np.ndarray, gone: np.ndarray, dtype: str, where: str) -> Column:
    """Numbers if all are, truth values if all are, else text."""
    known = plain[~gone]
    inferred = pd.api.types.infer_dtype(known, skipna=False)
    if inferred not in ("string", "boolean"):
        if any(isinstance(value, _MOMENTS) for value in known):
            inferred = "date"
        elif any(isinstance(value, complex | np.complexfloating) for value in known):
            inferred = "complex"
        _check_kind(None, inferred, where, dtype)
    is_truth = inferred == "boolean"
    if is_truth or (inferred != "string" and all(_is_number(value) for value in known)):
        numbers = np.full(plain.size, np.nan)
        numbers[~gone] = [float(value) for value in known]
        return _numbers(pd.Series(plain), numbers, gone, (where, TRUTH if is_truth else NUMBERS, dtype))
    names = known if inferred == "string" else np.array([level_name(value) for value in known], dtype=object)
    found, distinct = pd.factorize(names)
    codes = np.full(plain.size, -1, dtype=np.int64)
    codes[~gone] = found
    return Column(where, TEXT, dtype, gone, None, tuple(level_name(str(name)) for name in distinct), codes)


def _numbers(values: pd.Series, numbers: np.ndarray, gone: np.ndarray, about: tuple[str, str, str]) -> Column:
    """Numbers, of which whole ones too large for a float keep apart as names of groups."""
    if not (np.abs(numbers[~gone]) >= _LARGEST_WHOLE).any():
        return Column(*about, gone, numbers)
    places = np.full(gone.size, -1, dtype=np.int64)
    places[~gone], distinct = pd.factorize(values[~gone].to_numpy(), sort=True)
    return Column(*about, gone, numbers, tuple(level_name(value) for value in distinct), places)


def _is_number(value: object) -> bool:
    return isinstance(value, Real | Decimal) and not isinstance(value, bool | np.bool_)


def _check_kind(dtype: Any, inferred: str, where: str, said: str = "") -> None:
    """Refuse dates and complex numbers."""
    kind = getattr(dtype, "kind", "")
    if inferred in _DATES or kind in ("m", "M") or isinstance(dtype, pd.PeriodDtype):
        msg = (
            f"{where} holds dates (dtype {said or dtype}). Turn them into a number first, such as days, or into text for groups: "
            f"{where} = {where}.astype(str)."
        )
        raise TypeError(msg)
    if inferred == "complex" or kind == "c":
        msg = (
            f"{where} holds complex numbers (dtype {said or dtype}). Take a real number of them first, such as .abs()."
        )
        raise TypeError(msg)


def _checked(column: Column) -> Column:
    """Refuse what stands for a missing value, and infinite numbers."""
    if not column.is_number:
        if column.kind != TRUTH:
            _check_no_missing_text(column)
        return column
    known, where = column.known, column.where
    n = int(np.isinf(known).sum())
    if n:
        msg = f"{where} holds infinite values in {n} of {column.absent.size} observations. Replace them, or write NaN where nothing is known."
        raise ValueError(msg)
    codes = [code for code in CODES if (known == code).any()]
    others = known[~np.isin(known, CODES)]
    if codes and others.size and (others.min() >= 0 or _far_below(max(codes), others)):
        n, written = int(np.isin(known, codes).sum()), [int(code) for code in codes]
        said = "no other below 0" if others.min() >= 0 else f"all others from {others.min():.4g} on"
        shown: object = written[0] if len(written) == 1 else written
        msg = (
            f"{where} has {n} value{'' if n == 1 else 's'} of {', '.join(map(str, written))}, and {said}, as if it were a code for what is "
            f"missing. Make it missing: {where} = {where}.replace({shown}, float('nan')). Where it is a true value, add a number to the whole column."
        )
        raise ValueError(msg)
    return column


def _far_below(code: float, others: np.ndarray) -> bool:
    low, high = np.quantile(others, (0.25, 0.75))
    return others.size > 1 and code < others.min() and low - code > FAR * max(high - low, 1e-6 * abs(low))


def _check_no_missing_text(column: Column) -> None:
    found = [name for name in column.levels if name.strip().lower() in MISSING_TEXT]
    if found:
        n = int(np.isin(column.codes, [column.levels.index(name) for name in found]).sum())
        msg = (
            f"{column.where} holds the text {listed(found)} in {n} observation{'' if n == 1 else 's'}, which only programs write, for a missing value. "
            f"Make it missing: {_mended(column, found)}."
        )
        raise ValueError(msg)


def _mended(column: Column, names: list[str]) -> str:
    """The line that makes levels missing."""
    if column.kind == CATEGORIES:
        return f"{column.where} = {column.where}.cat.remove_categories({names!r})"
    return f"{column.where} = {column.where}.replace({names if len(names) > 1 else names[0]!r}, None)"


def doubt_levels(column: Column, category: type[Warning] = UserWarning) -> None:
    """Warn of levels that may stand for a missing value."""
    if column.is_number or column.kind == TRUTH:
        return
    found = [name for name in column.levels if name.strip().lower() in DOUBTFUL_TEXT]
    if found:
        warn(
            f"{listed(found)} {'is' if len(found) == 1 else 'are'} taken as a group of {column.where} like any other: missing values that were turned "
            f"into text? Make them missing again: {_mended(column, found)}.",
            category,
        )


def complete(column: Column) -> Column:
    """Refuse missing values."""
    n = int(column.absent.sum())
    if n:
        msg = (
            f"{column.where} is missing in {n} of {column.absent.size} observations. Fill it in (of groups, a level of its own such as 'unknown' is fine), "
            "or leave these observations out."
        )
        raise ValueError(msg)
    return column


def check_any(column: Column, need: str) -> Column:
    """Refuse a column without a value; `need` says why one is needed."""
    if column.absent.all():
        msg = f"{column.where} is missing in all {column.absent.size} observations; {need}."
        raise ValueError(msg)
    return column


def check_unmeasured(column: Column) -> Column:
    """Refuse measured numbers where names of groups are needed; whole ones may be names."""
    if column.is_number:
        broken = column.known[column.known != np.round(column.known)]
        if broken.size:
            msg = (
                f"{column.where} holds measured numbers such as {broken[0]:.4g}, and names of groups are needed. Is it the right column? Cut numbers "
                "into groups first: pd.cut."
            )
            raise TypeError(msg)
    return column


def groups(
    source: AnnData | pd.DataFrame,
    key: str,
    *,
    argument: str = "key",
    name: str = "adata",
    category: type[Warning] = UserWarning,
) -> Column:
    """Read a column of groups, such as domains, batches, blocks and clusters: each row is of one."""
    column = check_unmeasured(complete(read_column(source, key, argument=argument, name=name)))
    doubt_levels(column, category)
    return column


def numbers(source: AnnData | pd.DataFrame, key: str, *, argument: str = "key", name: str = "adata") -> Column:
    """Read a column of numbers, of which values may be missing."""
    column = read_column(source, key, argument=argument, name=name)
    if not column.is_number:
        msg = f"{column.where} must hold numbers, got {column.kind} (dtype {column.dtype}). Convert it, e.g. with pandas.to_numeric."
        raise TypeError(msg)
    return column


def mask(source: AnnData | pd.DataFrame, key: str, *, argument: str = "mask_obs", name: str = "adata") -> np.ndarray:
    """Read a column of True and False, 1 and 0, or "True" and "False" (n,)."""
    column = read_column(source, key, argument=argument, name=name)
    where, true = column.where, "True"
    if column.levels and not set(column.levels) <= {"True", "False"}:
        true = "1"
        if not set(column.levels) <= {"0", "1"}:
            there = list(dict.fromkeys(column.text[~column.absent]))
            msg = (
                f"{where} must be True or False for each observation, got {column.kind} (dtype {column.dtype}) with values such as {listed(there, 3)}. "
                f"Write e.g. {where} == {there[0]!r} into a column."
            )
            raise TypeError(msg)
    n = int(column.absent.sum())
    if n:
        msg = (
            f"{where} is missing in {n} of {column.absent.size} observations, and True or False is needed for each. To make them False: "
            f"{where} = {where}.astype(object).isin([True, 'True', 1, '1'])."
        )
        raise ValueError(msg)
    return column.text == true


def check_names(argument: str, value: Iterable[str], example: str) -> list[str]:
    """Refuse what is no list of different names of columns."""
    if isinstance(value, str) or not all(isinstance(item, str) for item in value):
        example = value if isinstance(value, str) else example
        msg = f"`{argument}` must be a list of names, got {value!r}. Write {argument}=[{example!r}]."
        raise TypeError(msg)
    names = [str(item) for item in value]
    if len(set(names)) < len(names):
        msg = f"`{argument}` names {listed(sorted({n for n in names if names.count(n) > 1}))} more than once."
        raise ValueError(msg)
    return names
