"""Averages over neighbouring cells, and how strong they should be, without labels (numpy, scipy sparse)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from omicstl._core.random import Streams
from omicstl.kernels import knn_smooth

from .pseudo_cells import count_unit
from .response_align import components
from .response_cells import standardised

STRENGTHS = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)
NEIGHBOURS, COMPONENTS = 15, 30
_LARGEST_LEAF = 4096
_KEPT = 0.9  # share of the counts that are smoothed; the rest tells how well
_WHOLE = 0.02  # distance of a count from the next integer
_GENES = 4000


class Chosen(NamedTuple):
    """Strength for each drug (d,), and what was seen: correlation (s, d) of smoothed scores with held-out counts' scores."""

    strength: np.ndarray
    agreement: np.ndarray  # NaN where counts could not be told


def axes_of(z: np.ndarray, random: Streams, k: int = COMPONENTS) -> np.ndarray:
    """Leading principal axes (p, k) of z-scores of cells: randomised, four power iterations."""
    n, p = z.shape
    k = min(k, n - 1, p)
    if k < 1:
        return np.zeros((p, 1), np.float32)
    if min(n, p) <= 3 * k:
        return components(z, k).axes.astype(np.float32)
    q = random.generator("axes of cells").standard_normal((p, min(k + 10, n, p))).astype(np.float32)
    for _ in range(4):
        q = np.linalg.qr(z.T @ (z @ q))[0]
    return (q @ np.linalg.svd(z @ q, full_matrices=False)[2].T[:, :k]).astype(np.float32)


def graph(points: np.ndarray) -> object:
    """Symmetric graph of the 15 nearest neighbours; above 4,096 rows they are sought among those that lie together."""
    m = len(points)
    index = np.empty((m, min(NEIGHBOURS, m - 1)), np.int64)
    for rows in _leaves(points, np.arange(m)):
        near = knn_smooth.neighbours(points[rows], NEIGHBOURS)[0]
        index[rows] = rows[near]
    return knn_smooth.graph_of(index)


def _leaves(points: np.ndarray, rows: np.ndarray) -> list[np.ndarray]:
    """Halves along the coordinate of largest spread until at most 4,096 rows are left in each."""
    if len(rows) <= _LARGEST_LEAF:
        return [rows]
    column = int(points[rows].var(axis=0).argmax())
    order = rows[np.argsort(points[rows, column], kind="stable")]
    half = len(order) // 2
    return _leaves(points, np.sort(order[:half])) + _leaves(points, np.sort(order[half:]))


def smoothed(edges: object, scores: np.ndarray, strength: np.ndarray) -> np.ndarray:
    """Scores (m, d), each drug at its own strength."""
    out = scores.copy()
    for value in np.unique(strength[strength > 0]):
        columns = np.flatnonzero(strength == value)
        out[:, columns] = knn_smooth.smooth(edges, scores[:, columns], float(value)).scores
    return out


def counts_of(x: np.ndarray, totals: np.ndarray | None) -> np.ndarray | None:
    """Counts behind log values (m, p), or `None` if they are none."""
    unit = count_unit(x) if totals is None else totals / 1e4
    counts = np.expm1(x.astype(np.float64)) * unit[:, None]
    whole = np.rint(counts)
    present = counts > 0
    if not present.any() or (np.abs(counts - whole)[present] > _WHOLE * np.maximum(1, counts[present])).mean() > 0.1:
        return None
    return np.maximum(whole, present)


def choose(x: np.ndarray, totals: np.ndarray | None, weights: np.ndarray, random: Streams) -> Chosen:
    """
    Strength under which nine tenths of each cell's counts predict the score of the last tenth best.

    Counts are divided at random, so that the noise of the parts is independent: what the smoothed score of one part shares with
    the plain score of the other is the cell's own state. A difference between sub-clones that are neighbours is part of it.

    `x` are log values (m, p) of a sample of cells, `weights` (p, d) those of their z-scores.
    """
    d = weights.shape[1]
    if len(weights) > _GENES:  # those that move scores most
        genes = np.sort(np.argsort(-(weights**2).sum(axis=1), kind="stable")[:_GENES])
        totals = count_unit(x) * 1e4 if totals is None else totals
        x, weights = x[:, genes], weights[genes]
    counts = counts_of(x, totals) if len(x) > 2 * NEIGHBOURS else None
    if counts is None:
        return Chosen(np.zeros(d), np.full((len(STRENGTHS), d), np.nan))
    total = counts.sum(axis=1) if totals is None else totals
    generator = random.generator("divided counts")
    first = np.zeros_like(counts)
    there = np.nonzero(counts)
    first[there] = generator.binomial(counts[there].astype(np.int64), _KEPT)
    kept, held = (_logs(part, total * share) for part, share in ((first, _KEPT), (counts - first, 1 - _KEPT)))
    plain, target = kept @ weights.astype(np.float32), held @ weights.astype(np.float32)
    edges = graph(kept @ axes_of(kept, random))
    agreement = np.stack([_correlation(smoothed(edges, plain, np.full(d, s)), target) for s in STRENGTHS])
    return Chosen(np.array(STRENGTHS)[np.nan_to_num(agreement, nan=-1.0).argmax(axis=0)], agreement)


def _logs(counts: np.ndarray, totals: np.ndarray) -> np.ndarray:
    x = np.log1p(counts * (1e4 / np.maximum(totals, 1))[:, None])
    sd = x.std(axis=0)
    return standardised(x, x.mean(axis=0), np.where(sd > 0, sd, 1.0))


def _correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    size = np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0))
    return np.divide((a * b).sum(axis=0), size, out=np.full(a.shape[1], np.nan), where=size > 0)
