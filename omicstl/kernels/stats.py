"""The mergeable statistic of a pass over rows: moments, range and Gram matrix.

NumPy and BLAS rather than JAX: a pass is bound by one symmetric product a block, which BLAS does in place.
Everything is shifted by the mean of the first rows and accumulated in float64, so that columns whose mean is large against
their spread lose nothing: ``init -> update(block) -> merge -> finish``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from scipy.linalg import blas

STRIP = 256  # rows that are centred and squared at a time, so that float64 copies stay in cache
_TILE = 512


class Summary(NamedTuple):
    """What rows seen so far add up to. `gram` holds the upper triangle only, and belongs to one summary."""

    n: int
    shift: np.ndarray
    total: np.ndarray
    square: np.ndarray
    low: np.ndarray
    high: np.ndarray
    integers: bool
    gram: np.ndarray | None


class Finished(NamedTuple):
    """Mean, variance (``ddof=1``) and centred sums of products (``ddof=0``, not divided; full and symmetric)."""

    n: int
    mean: np.ndarray
    variance: np.ndarray
    gram: np.ndarray | None


def strips(blocks: Iterable[np.ndarray], rows: int = STRIP) -> Iterator[np.ndarray]:
    """
    The same rows in blocks of `rows`, the last of what is left: what is added up of them depends on no other size.

    Sums in another order differ in the last bit, and a network that is trained on what they standardise by a thousandth.
    """
    held: list[np.ndarray] = []
    n = 0
    for block in blocks:
        low = 0
        while low < len(block):
            part = block[low : low + rows - n]
            low += len(part)
            n += len(part)
            if n < rows:
                held.append(part.copy())  # so that the block can go
                continue
            yield np.concatenate([*held, part]) if held else part
            held, n = [], 0
    if held:
        yield np.concatenate(held)


def init(p: int, *, gram: bool = False) -> Summary:
    """Return the summary of no rows of `p` columns."""
    zeros = np.zeros(p)
    return Summary(
        n=0,
        shift=zeros,
        total=zeros.copy(),
        square=zeros.copy(),
        low=np.full(p, np.inf),
        high=np.full(p, -np.inf),
        integers=True,
        gram=np.zeros((p, p), order="F") if gram else None,
    )


def _first_shift(block: np.ndarray) -> np.ndarray:
    mean = block.mean(axis=0, dtype=np.float64)
    # Rounded to the block's precision, so that subtracting it there is exact where values are near the mean.
    return mean.astype(block.dtype).astype(np.float64)


def _all_integers(block: np.ndarray) -> bool:
    head = block[:8]
    return bool(np.array_equal(head, np.rint(head)) and np.array_equal(block, np.rint(block)))


def _add_products(gram: np.ndarray, centred: np.ndarray) -> np.ndarray:
    if centred.dtype == np.float64:
        return blas.dsyrk(1.0, centred.T, beta=1.0, c=gram, overwrite_c=1)
    gram += blas.ssyrk(1.0, centred.T)
    return gram


def update(summary: Summary, block: np.ndarray) -> Summary:
    """Add a block of rows (C order, float32 or float64). Consumes `summary`: its `gram` is changed in place."""
    rows, p = block.shape
    if p != summary.total.size:
        msg = f"a block has {p} columns, the summary {summary.total.size}."
        raise ValueError(msg)
    if rows == 0:
        return summary
    with np.errstate(over="ignore", invalid="ignore"):
        # Moments of strips have the shift of their first strip, whatever the blocks; a float32 Gram matrix needs a steadier one.
        shift = _first_shift(block if summary.gram is not None else block[:STRIP]) if summary.n == 0 else summary.shift
        total, square = summary.total.copy(), summary.square.copy()
        for start in range(0, rows, STRIP):
            strip = block[start : start + STRIP] - shift  # float64
            total += strip.sum(axis=0)
            np.multiply(strip, strip, out=strip)
            square += strip.sum(axis=0)
        gram = summary.gram
        if gram is not None and p:
            gram = _add_products(gram, np.subtract(block, shift.astype(block.dtype), order="C"))
        return Summary(
            n=summary.n + rows,
            shift=shift,
            total=total,
            square=square,
            low=np.minimum(summary.low, block.min(axis=0)),
            high=np.maximum(summary.high, block.max(axis=0)),
            integers=summary.integers and _all_integers(block),
            gram=gram,
        )


def merge(a: Summary, b: Summary) -> Summary:
    """Return the summary of the rows of both; different shifts are accounted for exactly, neither is changed."""
    if a.total.size != b.total.size or (a.gram is None) != (b.gram is None):
        msg = f"summaries of {a.total.size} and {b.total.size} columns, or one without a Gram matrix, cannot be merged."
        raise ValueError(msg)
    if a.n == 0 or b.n == 0:
        kept = b if a.n == 0 else a
        return kept._replace(gram=None if kept.gram is None else kept.gram.copy(order="F"))
    # Around a's shift, b's rows are (x - b.shift) + move.
    move = b.shift - a.shift
    gram = None
    if a.gram is not None and b.gram is not None:
        gram = a.gram + b.gram
        cross = np.outer(move, b.total)
        gram += np.triu(cross + cross.T + b.n * np.outer(move, move))
    return Summary(
        n=a.n + b.n,
        shift=a.shift,
        total=a.total + b.total + b.n * move,
        square=a.square + b.square + 2.0 * move * b.total + b.n * move**2,
        low=np.minimum(a.low, b.low),
        high=np.maximum(a.high, b.high),
        integers=a.integers and b.integers,
        gram=gram,
    )


def finish(summary: Summary, *, overwrite: bool = False) -> Finished:
    """Return mean, variance and centred Gram matrix; `overwrite` reuses the memory of ``summary.gram``.

    The variance of a constant column is exactly zero, that of a single row is NaN.
    """
    n = summary.n
    if n == 0:
        msg = "a summary of no rows has no mean."
        raise ValueError(msg)
    offset = summary.total / n
    constant = summary.low == summary.high
    mean = np.where(constant, summary.low, summary.shift + offset)
    variance = np.full_like(mean, np.nan)
    if n > 1:
        variance = np.where(constant, 0.0, np.maximum(summary.square - summary.total * offset, 0.0) / (n - 1))
    if summary.gram is None:
        return Finished(n, mean, variance, None)
    gram = summary.gram if overwrite else summary.gram.copy(order="F")
    p = mean.size
    for start in range(0, p, _TILE):
        tile = slice(start, start + _TILE)
        gram[tile, start:] -= np.outer(offset[tile], summary.total[start:])
        corner = np.triu(gram[tile, tile])
        gram[tile, tile] = corner + np.triu(corner, 1).T
        gram[start + _TILE :, tile] = gram[tile, start + _TILE :].T
    gram[constant, :] = 0.0
    gram[:, constant] = 0.0
    return Finished(n, mean, variance, gram)
