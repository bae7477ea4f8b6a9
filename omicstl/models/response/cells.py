"""Cells in blocks: moments, a sample, and linear maps of their z-scores (numpy, float64 sums, float32 results)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from omicstl._core.random import Streams
from omicstl.kernels import stats
from omicstl.models.transfer.screen import Cells, Rows

SAMPLE = 2000
ROWS = 512  # of which z-scores are made at a time
CLIP = 10.0  # standard deviations; beyond, a value says no more


class Moments(NamedTuple):
    """Mean and standard deviation (p,) of each gene over the cells that count; 1 where a gene has one value."""

    mean: np.ndarray
    scale: np.ndarray
    varies: np.ndarray  # (p,) bool
    n: int

    def select(self, columns: np.ndarray) -> Moments:
        """Those of some genes."""
        return Moments(self.mean[columns], self.scale[columns], self.varies[columns], self.n)


def moments(rows: Rows, mask: np.ndarray | None = None) -> Moments:
    """One pass over the rows; only those in `mask` (m,) count."""
    summary, low = stats.init(rows.n_cols), 0
    for block in stats.strips(rows.blocks()):
        inside = block if mask is None else np.ascontiguousarray(block[mask[low : low + len(block)]])
        low += len(block)
        summary = stats.update(summary, inside)
    found = stats.finish(summary)
    sd = np.sqrt(np.maximum(found.variance, 0))
    varies = sd > 1e-6 * np.maximum(1.0, np.abs(found.mean))
    return Moments(found.mean, np.where(varies, sd, 1.0), varies, int(summary.n))


def sample_rows(n: int, mask: np.ndarray | None, random: Streams, size: int = SAMPLE) -> np.ndarray:
    """Positions in order of at most `size` of the rows that count."""
    there = np.arange(n) if mask is None else np.flatnonzero(mask)
    if there.size <= size:
        return there
    return np.sort(random.generator("sample of cells").choice(there, size, replace=False))


def standardised(block: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Z-scores of a block (b, p), float32, cut at ten."""
    z = block - mean.astype(block.dtype)
    z /= scale.astype(block.dtype)
    return np.clip(z, -CLIP, CLIP, out=z).astype(np.float32, copy=False)


def blocks(cells: Cells, mean: np.ndarray, scale: np.ndarray) -> Iterator[np.ndarray]:
    """Z-scores of all cells in order."""
    for block in cells.rows.blocks():
        for low in range(0, len(block), ROWS):
            yield standardised(block[low : low + ROWS], mean, scale)


def project(cells: Cells, mean: np.ndarray, scale: np.ndarray, *maps: np.ndarray) -> list[np.ndarray]:
    """Products (m, k) float32 of the cells' z-scores with each of `maps` (p, k); one pass."""
    maps = tuple(np.ascontiguousarray(map_, np.float32) for map_ in maps)
    out, low = [np.empty((cells.rows.n_rows, map_.shape[1]), np.float32) for map_ in maps], 0
    for z in blocks(cells, mean, scale):
        for found, map_ in zip(out, maps, strict=True):
            np.matmul(z, map_, out=found[low : low + len(z)])
        low += len(z)
    return out
