"""Cell lines with a drug screen, and cells without: what everything that predicts a response is given (numpy)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np


class Rows(Protocol):
    """Rows of numbers, in dense blocks or by their positions, as often as asked."""

    n_rows: int
    n_cols: int

    def blocks(self, size: int | None = None) -> Iterator[np.ndarray]:
        """Dense blocks of all rows in order."""
        ...

    def take(self, index: np.ndarray) -> np.ndarray:
        """Dense rows at these positions."""
        ...


class Lines(NamedTuple):
    """The source: n lines, p genes that the cells have too, d drugs."""

    x: np.ndarray  # (n, p) float32, log expression, or z-scores
    y: np.ndarray  # (n, d) float64, larger is more sensitive; NaN where not measured; classes are 0 and 1 (sensitive)
    drugs: np.ndarray  # (d,) names
    binary: np.ndarray  # (d,) bool: classes
    names: np.ndarray  # (n,) of the lines
    lineage: np.ndarray | None = None  # (n,) tissue of origin: groups that are left out together
    study: np.ndarray | None = None  # (n,) laboratory or screen


class Cells(NamedTuple):
    """The target: m cells, the same p genes in the same order."""

    rows: Rows  # log expression (log1p of counts per 10,000), or z-scores
    scaled: bool = False  # z-scores: neither level nor spread of a gene means anything
    totals: np.ndarray | None = None  # (m,) counts of each cell over all its genes
    n_genes: np.ndarray | None = None  # (m,) genes seen in each cell
