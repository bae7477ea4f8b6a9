"""Doubts about new cells: none of the genes of the fit, another normalisation, another platform."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from omicstl._core.log import ScaleWarning, TransferWarning, warn
from omicstl.tl._shared import screen

if TYPE_CHECKING:
    from omicstl.models.response.cells import Moments
    from omicstl.models.response.model import ResponseModel

OFFSET = 1.0  # standard deviations
RATIO = 2.0  # of what the values add up to, to that of the cells of the fit
_SAMPLE, _WHOLE, _MOST = 200, 0.01, 50.0


class Seen(NamedTuple):
    """What one pass over the genes of the fit shows."""

    moments: Moments | None  # of the cells in the mask; None for fewer than ten
    empty: np.ndarray  # (m,) bool: none of these genes
    offset: float  # median over genes of the distance to the mean of the fit's cells, in their standard deviations
    ratio: float  # of the totals of what the logs were taken of; NaN where not known


class _Watched:
    """Rows that remember, once they were read, which of them held nothing."""

    def __init__(self, rows: Any) -> None:
        self.rows, self.n_rows, self.n_cols = rows, rows.n_rows, rows.n_cols
        self.empty = np.zeros(rows.n_rows, dtype=bool)

    def blocks(self, size: int | None = None) -> Iterator[np.ndarray]:
        low = 0
        for block in self.rows.blocks(size):
            self.empty[low : low + len(block)] = ~block.any(axis=1)
            low += len(block)
            yield block

    def take(self, index: np.ndarray) -> np.ndarray:
        return self.rows.take(index)


def look(rows: Any, model: ResponseModel, mask: np.ndarray | None, *, scaled: bool) -> Seen:
    """One pass over the rows, on the genes of `model`."""
    from omicstl.models.response import cells

    few = (rows.n_rows if mask is None else int(mask.sum())) < screen.FEWEST_CELLS
    watched = _Watched(rows)
    moments = cells.moments(watched, None if few else mask)
    empty = np.zeros(rows.n_rows, dtype=bool) if scaled else watched.empty
    if few:
        return Seen(None, empty, 0.0, float("nan"))
    offset = float(np.median(np.abs(moments.mean - model.mean_cells) / model.scale_cells))
    ratio = float("nan") if scaled else _total(moments.mean, moments.scale * moments.varies)
    return Seen(moments, empty, offset, ratio / _total(model.mean_cells, model.scale_cells))


def _total(mean: np.ndarray, sd: np.ndarray) -> float:
    """What cells with these moments of logs add up to before the logs were taken, to second order."""
    return max(float((np.exp(np.minimum(mean, 50)) * (1 + sd**2 / 2) - 1).sum()), 1e-12)


def doubt_empty(seen: Seen) -> None:
    """Refuse cells without any of the genes, or warn of some."""
    n, m = int(seen.empty.sum()), seen.empty.size
    if n == m:
        msg = "The cells hold nothing but zeros on the genes of the fit. Is the wrong layer read, or is the matrix not filled?"
        raise ValueError(msg)
    if n:
        warn(
            f"{n} of {m} cells hold nothing but zeros on the genes of the fit. Their scores say nothing and they are called uncertain. Leave such "
            "cells out: sc.pp.filter_cells(adata, min_genes=200).",
            TransferWarning,
        )


def doubt_scale(rows: Any, seen: Seen, scale: str) -> bool:
    """Warn of logs that were taken of raw counts, or of counts brought to another total than those of the fit; whether there is a doubt."""
    if scale == "log" and _of_whole_numbers(rows):
        warn(
            "The values are logs of whole numbers: of counts that were not brought to a common total, so that deep cells look active. Pass the counts "
            "themselves, or bring them to 10,000 a cell first: sc.pp.normalize_total(adata, target_sum=1e4), sc.pp.log1p(adata).",
            ScaleWarning,
        )
        return True
    doubt = bool(np.isfinite(seen.ratio)) and not 1 / RATIO <= seen.ratio <= RATIO
    if doubt:
        way_out = (
            "The fit was made on logs: give these cells as logs of the same total."
            if scale == "counts"
            else "Bring these cells to the total of the fit, as in sc.pp.normalize_total(adata, target_sum=1e4), sc.pp.log1p(adata), or pass their counts."
        )
        warn(
            f"Before logarithms, cells add up to about {seen.ratio:.2g} times what those of the fit do: counts were brought to another total, or "
            f"logarithms are of another base. {way_out}",
            ScaleWarning,
        )
    return doubt


def _of_whole_numbers(rows: Any) -> bool:
    """Whether small values of a sample of cells are logs of whole numbers."""
    index = np.unique(np.linspace(0, rows.n_rows - 1, min(_SAMPLE, rows.n_rows)).astype(np.int64))
    values = np.expm1(np.minimum(rows.take(index), 50).astype(np.float64))
    values = values[(values > 0) & (values < _MOST)]
    return bool(values.size) and bool((np.abs(values - np.rint(values)) < _WHOLE).mean() > 0.9)


def doubt_offset(seen: Seen) -> None:
    """Warn of genes that lie far from those of the fit."""
    if seen.offset > OFFSET:
        warn(
            f"Genes lie a median of {seen.offset:.1f} standard deviations from those of the cells of the fit. Is it another platform or normalisation? "
            "standardize='query' takes such a difference out.",
            TransferWarning,
        )
