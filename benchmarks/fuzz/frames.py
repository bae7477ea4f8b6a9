"""Changes of the names of observations and variables, and of their columns."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData


def _replaced(position: int, new: Any) -> Callable[[pd.Index], Any]:
    def change(names: pd.Index) -> list[Any]:
        found = list(names)
        if found:
            found[position % len(found)] = new
        return found

    return change


NAMES: dict[str, Callable[[pd.Index], Any]] = {
    "one twice": lambda names: [*names[1:2], *names[1:]],
    "all the same": lambda names: ["a"] * len(names),
    "one empty": _replaced(1, ""),
    "one NaN": lambda names: pd.Index(_replaced(1, np.nan)(names), dtype=object),
    "one None": lambda names: pd.Index(_replaced(1, None)(names), dtype=object),
    "integers": lambda names: pd.Index(np.arange(len(names))),
    "floats": lambda names: pd.Index(np.arange(len(names)) / 2),
    "mixed": lambda names: pd.Index([*range(len(names) // 2), *names[len(names) // 2 :]], dtype=object),
    "categorical": lambda names: pd.CategoricalIndex(names),
    "string dtype": lambda names: pd.Index(pd.array(names, dtype="string")),
    "unicode": lambda names: [f"{name}ä漢" for name in names],
    "slash": lambda names: [f"{name}/x" for name in names],
    "dollar": lambda names: [f"${name}_^$" for name in names],
    "blanks": lambda names: [f" {name} " for name in names],
    "lower case": lambda names: names.str.lower(),
    "versions": lambda names: [f"{name}.1" for name in names],
    "line break": _replaced(0, "a\nb"),
    "long": _replaced(0, "x" * 10_000),
    "bytes": lambda names: pd.Index([str(name).encode() for name in names], dtype=object),
    "tuples": lambda names: pd.Index([(name, 1) for name in names], tupleize_cols=False),
    "MultiIndex": lambda names: pd.MultiIndex.from_arrays([names, names]),
    "dates": lambda names: pd.date_range("2020-01-01", periods=len(names)),
    "range": lambda names: pd.RangeIndex(len(names)),
    "index name": lambda names: names.rename("symbol"),
    "number as index name": lambda names: names.rename(3),
    "reversed": lambda names: names[::-1],
}


def names(adata: AnnData, axis: str, what: str) -> AnnData:
    """Other names; what AnnData refuses is put below its checks, as other readers and `pandas` do."""
    new = NAMES[what](getattr(adata, f"{axis}_names"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if what in (
            "MultiIndex",
            "integers",
            "bytes",
            "tuples",
            "dates",
            "one NaN",
            "one None",
            "categorical",
            "range",
        ):
            getattr(adata, f"_{axis}").index = new
        else:
            setattr(adata, f"{axis}_names", new)
    return adata


def _one(values: pd.Series, new: Any, position: int = 1) -> pd.Series:
    found = values.astype(object).copy()
    if len(found):
        found.iloc[position % len(found)] = new
    return found


def _text(values: pd.Series) -> pd.Series:
    return values.astype(object).where(values.notna(), None)


COLUMNS: dict[str, Callable[[pd.Series], Any]] = {
    "all NaN": lambda s: pd.Series(np.nan, s.index),
    "all None": lambda s: pd.Series([None] * len(s), s.index, dtype=object),
    "one NaN": lambda s: _one(s, np.nan),
    "one NA": lambda s: _one(s, pd.NA),
    "one inf": lambda s: _one(s, np.inf),
    "one number": lambda s: _one(s, 5),
    "one list": lambda s: _one(s, ["a"]),
    "one empty text": lambda s: _one(s, ""),
    "one level": lambda s: pd.Series("a", s.index),
    "two levels": lambda s: pd.Series(np.where(np.arange(len(s)) % 2, "a", "b"), s.index),
    "first apart": lambda s: pd.Series(np.where(np.arange(len(s)) == 0, "a", "b"), s.index),
    "each its own": lambda s: pd.Series([f"level {i}" for i in range(len(s))], s.index),
    "zeros": lambda s: pd.Series(0.0, s.index),
    "numbers": lambda s: pd.Series(np.arange(len(s), dtype=float) ** 2 % 7, s.index),
    "huge": lambda s: pd.Series(1e300 * (1 + np.arange(len(s))), s.index),
    "tiny": lambda s: pd.Series(1e-310 * (1 + np.arange(len(s))), s.index),
    "offset": lambda s: pd.Series(1e17 + 16 * np.arange(len(s), dtype=float), s.index),
    "infinite": lambda s: pd.Series(np.inf, s.index),
    "complex": lambda s: pd.Series(np.arange(len(s)) * 1j, s.index),
    "bool": lambda s: pd.Series(np.arange(len(s)) % 2 == 0, s.index),
    "int8": lambda s: pd.Series((np.arange(len(s)) % 5).astype("int8"), s.index),
    "Int64": lambda s: pd.Series(pd.array([None, *range(len(s) - 1)][: len(s)], dtype="Int64"), s.index),
    "Float64": lambda s: pd.Series(pd.array(np.arange(len(s)) / 3, dtype="Float64"), s.index),
    "boolean": lambda s: pd.Series(pd.array([None, *[True, False] * len(s)][: len(s)], dtype="boolean"), s.index),
    "string": lambda s: pd.Series(pd.array(_text(s).astype(str), dtype="string"), s.index),
    "pyarrow string": lambda s: pd.Series(pd.array(_text(s).astype(str), dtype="string[pyarrow]"), s.index),
    "pyarrow number": lambda s: pd.Series(np.arange(len(s)) / 3, s.index).astype("double[pyarrow]"),
    "dates": lambda s: pd.Series(pd.date_range("2020-01-01", periods=len(s)), s.index),
    "time zone": lambda s: pd.Series(pd.date_range("2020-01-01", periods=len(s), tz="UTC"), s.index),
    "durations": lambda s: pd.Series(pd.to_timedelta(np.arange(len(s)), unit="D"), s.index),
    "periods": lambda s: pd.Series(pd.period_range("2020-01", periods=len(s), freq="M"), s.index),
    "intervals": lambda s: pd.Series(pd.interval_range(0, periods=len(s)), s.index),
    "sparse": lambda s: pd.Series(pd.arrays.SparseArray(np.arange(len(s)) % 3 * 1.0), s.index),
    "bytes": lambda s: pd.Series([b"a", b"b"] * len(s), dtype=object).iloc[: len(s)].set_axis(s.index),
    "tuples": lambda s: pd.Series([("a", i % 2) for i in range(len(s))], s.index, dtype=object),
    "categorical": lambda s: _text(s).astype("category"),
    "ordered": lambda s: _text(s).astype("category").cat.as_ordered(),
    "unused level": lambda s: _text(s).astype("category").cat.add_categories(["unused"]),
    "levels of numbers": lambda s: pd.Series(pd.Categorical(np.arange(len(s)) % 3), s.index),
    "levels of bool": lambda s: pd.Series(pd.Categorical(np.arange(len(s)) % 2 == 0), s.index),
    "levels with NaN": lambda s: pd.Series(pd.Categorical([None, *["a", "b"] * len(s)][: len(s)]), s.index),
    "levels alike": lambda s: pd.Series(pd.Categorical(([1, "1"] * len(s))[: len(s)]), s.index),
    "levels odd": lambda s: pd.Series(pd.Categorical((["a/b", "$x^", ""] * len(s))[: len(s)]), s.index),
    "level nan text": lambda s: pd.Series((["nan", "b"] * len(s))[: len(s)], s.index),
}
WHOLE = ("missing", "twice", "renamed to a number")


def column(adata: AnnData, frame: str, name: str, what: str) -> AnnData:
    """Another content of a column of ``obs`` or ``var``."""
    table: pd.DataFrame = getattr(adata, frame)
    if what == "missing":
        del table[name]
    elif what == "twice":
        setattr(adata, f"_{frame}", pd.concat([table, table[[name]]], axis=1))
    elif what == "renamed to a number":
        table.rename(columns={name: 7}, inplace=True)
    else:
        table[name] = COLUMNS[what](table[name])
    return adata
