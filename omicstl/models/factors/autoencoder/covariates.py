"""Columns that describe observations, as the numbers that a network sees: known levels and spreads, 0 for the average."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np


class Covariates(NamedTuple):
    """How columns of `obs` become columns of numbers, c in all.

    A level of a categorical column becomes 1 for its observations and 0 for the others, less the level's share of the training
    data; a number is standardised. So 0 is the average of the training data, which stands for what is not known.
    """

    column: np.ndarray  # (c,) name of the column of obs
    level: np.ndarray  # (c,) level; "" for a number
    centre: np.ndarray  # (c,) share of the level, or mean of the number
    scale: np.ndarray  # (c,) 1, or standard deviation of the number
    is_number: np.ndarray  # (c,) bool

    @property
    def levels(self) -> dict[str, np.ndarray]:
        """Levels of each column, in order; none of a number."""
        names = dict.fromkeys(str(name) for name in self.column)
        return {name: self.level[(self.column == name) & ~self.is_number] for name in names}

    def matrix(self, values: Mapping[str, np.ndarray], n_rows: int) -> np.ndarray:
        """Numbers (n_rows, c) float32 of columns of text or numbers by name; zeros for columns and values not known."""
        found = np.zeros((n_rows, self.column.size), np.float32)
        for j, name in enumerate(self.column):
            if name not in values:
                continue
            given = np.asarray(values[name])
            if self.is_number[j]:
                number = (given.astype(np.float64) - self.centre[j]) / self.scale[j]
                found[:, j] = np.where(np.isfinite(number), number, 0)
                continue
            known = np.isin(given.astype(str), self.level[self.column == name].astype(str))
            found[known, j] = (given.astype(str)[known] == str(self.level[j])) - self.centre[j]
        return found

    def to_dict(self) -> dict[str, np.ndarray]:
        """Stored form."""
        return dict(self._asdict())

    @classmethod
    def from_dict(cls, tree: Mapping[str, Any]) -> Covariates:
        """Rebuild from the stored form, with the lengths checked."""
        parts = {name: np.asarray(tree[name]) for name in cls._fields}
        if len({part.shape for part in parts.values()}) != 1:
            msg = f"The covariates are damaged: their arrays have {[part.size for part in parts.values()]} entries."
            raise ValueError(msg)
        for name in ("column", "level"):
            parts[name] = parts[name].astype(object)
        return cls(**(parts | {"is_number": parts["is_number"].astype(bool)}))


def learn(values: Mapping[str, np.ndarray], levels: Mapping[str, list[str]]) -> Covariates:
    """From the training data; `levels` of each categorical column, in order. What is not in it is a number."""
    rows: list[tuple[str, str, float, float, bool]] = []
    for name, given in values.items():
        if name in levels:
            text = np.asarray(given).astype(str)
            rows += [(name, level, float(np.mean(text == level)), 1.0, False) for level in levels[name]]
        else:
            number = np.asarray(given, np.float64)
            rows.append((name, "", float(number.mean()), float(number.std(ddof=1)), True))
    column, level, centre, scale, is_number = zip(*rows, strict=True) if rows else ((),) * 5
    return Covariates(
        np.array(column, dtype=object),
        np.array(level, dtype=object),
        np.array(centre, dtype=np.float64),
        np.array(scale, dtype=np.float64),
        np.array(is_number, dtype=bool),
    )
