"""R's vectors and lists as plain Python values."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

_LOGICAL, _INTEGER, _REAL, _STRINGS, _LIST, _PAIRS, _NIL = 10, 13, 14, 16, 19, 2, 254
_LATIN1 = 1 << 2


class Value(NamedTuple):
    """A vector of R: float64 numbers (NA is NaN), strings (NA is `None`), or a list of values (NULL is `None`)."""

    numbers: np.ndarray | None
    texts: list[str | None] | None
    items: list[Value | None] | None
    attributes: dict[str, Value]

    def strings(self) -> list[str | None] | None:
        """The strings of a character vector or a factor; `None` of anything else."""
        levels = self.attributes["levels"].texts if "levels" in self.attributes else None
        if levels is None or self.numbers is None:
            return self.texts
        if not all(np.isnan(code) or 1 <= code <= len(levels) for code in self.numbers):
            return None
        return [None if np.isnan(code) else levels[int(code) - 1] for code in self.numbers]

    def by_name(self) -> dict[str, Value]:
        """Values of a list by name; nothing of anything else."""
        names = self.attributes["names"].texts if "names" in self.attributes else None
        if self.items is None or names is None or len(names) != len(self.items):
            return {}
        return {str(name): item for name, item in zip(names, self.items, strict=True) if item is not None}

    def matrix(self) -> pd.DataFrame | None:
        """A matrix of numbers with its names (row numbers where it has none), or a data frame of them; else `None`."""
        if self.items is not None:
            return self.frame(numeric=True)
        if self.numbers is None or "dim" not in self.attributes or "levels" in self.attributes:
            return None
        shape = self.attributes["dim"].numbers
        if shape is None or shape.size != 2 or shape.prod() != self.numbers.size or shape.min() < 0:
            return None
        values = self.numbers.reshape(shape.astype(np.int64), order="F")
        names = self.attributes["dimnames"].items or () if "dimnames" in self.attributes else ()
        axes = [None if name is None else name.strings() for name in names] or [None, None]
        if len(axes) != 2 or any(axis is not None and len(axis) != n for axis, n in zip(axes, values.shape)):
            return None
        index, columns = (None if axis is None else pd.Index(axis, dtype=object) for axis in axes)
        return pd.DataFrame(values, index=index, columns=columns, copy=False)

    def frame(self, *, numeric: bool = False) -> pd.DataFrame | None:
        """A data frame; factors become strings."""
        columns = {}
        for name, item in self.by_name().items():
            texts = item.strings()
            column = item.numbers if texts is None else None if numeric else np.array(texts, dtype=object)
            if column is None or "dim" in item.attributes:
                return None
            columns[name] = column
        if not columns or len({len(column) for column in columns.values()}) > 1:
            return None
        row_names = self.attributes["row.names"].texts if "row.names" in self.attributes else None
        n = len(next(iter(columns.values())))
        index = pd.Index(row_names, dtype=object) if row_names is not None and len(row_names) == n else None
        return pd.DataFrame(columns, index=index)


def decode(found: Any) -> Value | None:
    """Turn what `rdata` parsed into plain values; NULL is `None`."""
    kind = int(found.info.type.value)
    if kind == _NIL:
        return None
    numbers, texts, items = None, None, None
    if kind in (_LOGICAL, _INTEGER, _REAL):
        numbers = np.ma.filled(found.value.astype(np.float64, copy=False), np.nan)
    elif kind == _STRINGS:
        texts = [_text(item) for item in found.value]
    elif kind == _LIST:
        items = [decode(item) for item in found.value]
    else:
        msg = f"it holds a value of type {found.info.type.name}, which is no vector and no list"
        raise ValueError(msg)
    return Value(numbers, texts, items, _attributes(found.attributes))


def _text(found: Any) -> str | None:
    if found.value is None:
        return None
    return str(found.value.decode("latin1" if int(found.info.gp) & _LATIN1 else "utf-8"))


def _attributes(found: Any) -> dict[str, Value]:
    attributes: dict[str, Value] = {}
    while found is not None and int(found.info.type.value) == _PAIRS:
        name = found.tag.value.value.decode("latin1") if found.tag is not None else ""
        value = decode(found.value[0])
        if name in attributes:
            msg = f"a value has the attribute {name!r} twice"
            raise ValueError(msg)
        if value is not None:
            attributes[name] = value
        found = found.value[1]
    return attributes
