"""Averages over neighbouring cells, and how strong they should be, without labels (numpy, scipy sparse)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from omicstl._core.random import Streams
from omicstl.kernels import knn_smooth
from omicstl.models.selection.pseudo_cells import count_unit

from .align import components
from .cells import standardised

STRENGTHS = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)
NEIGHBOURS, COMPONENTS = 15, 50
_AVERAGED = 10  # neighbours that a cell is averaged with before neighbours are sought again
_EXACT = 800
_LARGEST_LEAF = 4096
_AT_ONCE = 2**22  # scores that are smoothed together
_KEPT = 0.9  # share of the counts that are smoothed; the rest tells how well
_WHOLE = 0.02  # distance of a count from the next integer
_GENES = 4000
_BLOCK = 512  # genes
_FEW = 0.05  # counts a cell below which a gene says nothing about dispersion
_MOST_DISPERSED = 2.0


class Chosen(NamedTuple):
    """Strength for each drug (d,), and what was seen: correlation (s, d) of smoothed scores with held-out counts' scores."""

    strength: np.ndarray
    agreement: np.ndarray  # NaN where counts could not be told


def axes_of(z: np.ndarray, random: Streams, k: int = COMPONENTS, gain: np.ndarray | None = None) -> np.ndarray:
    """
    Axes (p, k) onto which z-scores of cells are projected before neighbours are sought: leading principal axes.

    With `gain` (p,), the share of the lines' variation of a gene that shows in the cells, genes are weighed by it, in the search of axes
    and in the projection. Exact where cells or genes are 800 or fewer, else randomised with eight power iterations.
    """
    n, p = z.shape
    k = min(k, n - 1, p)
    weight = np.ones((p, 1), np.float32) if gain is None else np.asarray(gain, np.float32)[:, None]
    if k < 1:
        return np.zeros((p, 1), np.float32)
    if min(n, p) <= max(3 * k, _EXACT):
        return components(z * weight[:, 0], k).axes.astype(np.float32) * weight
    q = random.generator("axes of cells").standard_normal((p, min(k + 20, n, p))).astype(np.float32)
    for _ in range(8):
        q = np.linalg.qr(weight * (z.T @ (z @ (weight * q))))[0]
    return (weight * (q @ np.linalg.svd(z @ (weight * q), full_matrices=False)[2].T[:, :k])).astype(np.float32)


def graph(points: np.ndarray) -> object:
    """
    Symmetric graph of the 15 nearest neighbours by angle, found twice: the second time each row is its mean with its ten nearest.

    What is noise in one cell says little of where its group lies, and the mean of eleven has less of it. Angles, since a cell of low depth
    has larger z-scores for no reason of its own. Above 4,096 rows neighbours are sought among rows that lie together.
    """
    places = _directions(np.array(points, np.float32))
    del points  # the copy is enough
    means = np.empty_like(places)
    for rows, near in _near(places, _AVERAGED):
        own = places[rows]
        means[rows] = own + own[near].sum(axis=1)
    places = _directions(means)
    index = np.empty((len(places), min(NEIGHBOURS, len(places) - 1)), np.int64)
    for rows, near in _near(places, NEIGHBOURS):
        index[rows] = rows[near]
    return knn_smooth.graph_of(index)


def _directions(places: np.ndarray) -> np.ndarray:
    """Rows of length one, in place; rows of zeros stay."""
    size = np.sqrt(np.einsum("ij,ij->i", places, places))
    places /= np.maximum(size, np.finfo(np.float32).tiny)[:, None]
    return places


def _near(places: np.ndarray, k: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows that are looked at together, and the positions among them of the nearest of each."""
    for rows in _leaves(places, np.arange(len(places))):
        yield rows, knn_smooth.neighbours(places[rows], k)[0]


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
        step = max(1, _AT_ONCE // len(scores))
        for some in (columns[low : low + step] for low in range(0, columns.size, step)):
            out[:, some] = knn_smooth.smooth(edges, scores[:, some], float(value)).scores
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


def dispersion_of(counts: np.ndarray, edges: Any) -> float:
    r"""
    Dispersion :math:`\phi` of counts (m, p) with variance :math:`\mu + \phi \mu^2` around a mean that neighbours in a graph share.

    By moments: the excess of squared distances from the neighbours' mean over what Poisson noise of both explains, beside the mean's
    square; the median over genes with .05 counts a cell, so that what a minority of genes differ in is not taken for noise.
    """
    depth = counts.sum(axis=1)
    around = edges @ depth
    kept = around > 0
    own, around, weight = depth[kept], around[kept], edges[kept]
    ratio = own / around
    poisson = 1 + ratio * (weight.multiply(weight) @ depth) / around  # noise of the cell and of its neighbours
    spread = 1 + (weight.multiply(weight) @ depth**2) / around**2
    found = []
    for low in range(0, counts.shape[1], _BLOCK):
        part = counts[:, low : low + _BLOCK]
        expected = (weight @ part) * ratio[:, None]
        excess = ((part[kept] - expected) ** 2).sum(axis=0) - poisson @ expected
        seen = expected.mean(axis=0) > _FEW if len(expected) else np.zeros(0, bool)
        found.append(excess[seen] / (spread @ expected**2)[seen])
    values = np.concatenate(found)
    if not values.size:
        return 0.0
    return round(
        float(np.clip(np.median(values), 0, _MOST_DISPERSED)), 2
    )  # the last bits would change every draw that uses it


def divided(counts: np.ndarray, share: float, dispersion: float, generator: np.random.Generator) -> np.ndarray:
    """
    The first of two parts (m, p) of counts, `share` of them on average, whose noise is independent of the other's.

    Poisson counts are divided by a binomial; counts with a dispersion by a beta-binomial, which gives independent negative binomials
    :cite:p:`Neufeld2023`.
    """
    there = np.nonzero(counts)
    whole = counts[there].astype(np.int64)
    size = 1 / max(dispersion, 1e-4)
    chance = generator.beta(share * size, (1 - share) * size, whole.size)
    first = np.zeros_like(counts)
    first[there] = generator.binomial(whole, chance)
    return first


def choose(
    x: np.ndarray, totals: np.ndarray | None, weights: np.ndarray, random: Streams, gain: np.ndarray | None = None
) -> Chosen:
    """
    Strength under which nine tenths of each cell's counts predict the scores of the last tenth best.

    Counts are divided at random such that the noise of the parts is independent, that beyond Poisson's too: what the smoothed score of one
    part shares with the plain score of the other is the cell's own state. A difference between sub-clones that are neighbours is
    part of it. One strength is taken for all drugs, since that of a single drug is seen with much noise: the weakest that is within one standard
    error over cells of the best on average. A drug keeps its own best where that is better by more than two.

    `x` are log values (m, p) of a sample of cells, `weights` (p, d) those of their z-scores, `gain` (p,) as in `axes_of`.
    """
    d = weights.shape[1]
    if len(weights) > _GENES:  # those that move scores most
        genes = np.sort(np.argsort(-(weights**2).sum(axis=1), kind="stable")[:_GENES])
        totals = count_unit(x) * 1e4 if totals is None else totals
        x, weights = x[:, genes], weights[genes]
        gain = None if gain is None else gain[genes]
    counts = counts_of(x, totals) if len(x) > 2 * NEIGHBOURS else None
    if counts is None:
        return Chosen(np.zeros(d), np.full((len(STRENGTHS), d), np.nan))
    total = counts.sum(axis=1) if totals is None else totals

    def edges_of(z: np.ndarray) -> object:
        return graph(z @ axes_of(z, random, gain=gain))

    dispersion = dispersion_of(counts, edges_of(_logs(counts, total)))
    first = divided(counts, _KEPT, dispersion, random.generator("divided counts"))
    kept, held = (_logs(part, total * share) for part, share in ((first, _KEPT), (counts - first, 1 - _KEPT)))
    plain, target = kept @ weights.astype(np.float32), held @ weights.astype(np.float32)
    edges = edges_of(kept)
    return picked(np.stack([_parts(smoothed(edges, plain, np.full(d, s)), target) for s in STRENGTHS]))


def picked(parts: np.ndarray) -> Chosen:
    """One strength for all drugs, and another for those that surely want it; `parts` (s, m, d) of cells add up to correlations."""
    known = np.isfinite(parts).all(axis=(0, 1))
    agreement = parts.sum(axis=1)
    strength = np.zeros(parts.shape[2])
    if known.any():
        mean = parts[:, :, known].mean(axis=2, dtype=np.float64)
        lost = mean[mean.sum(axis=1).argmax()] - mean
        common = int((lost.sum(axis=1) <= lost.std(axis=1) * np.sqrt(mean.shape[1])).argmax())  # the first of these
        best = np.where(known, agreement.argmax(axis=0), common)
        gain = np.take_along_axis(parts, best[None, None], axis=0)[0] - parts[common]
        sure = gain.sum(axis=0) > 2 * gain.std(axis=0) * np.sqrt(len(gain))
        strength[known] = np.array(STRENGTHS)[np.where(sure, best, common)][known]
    return Chosen(strength, agreement)


def _logs(counts: np.ndarray, totals: np.ndarray) -> np.ndarray:
    x = np.log1p(counts * (1e4 / np.maximum(totals, 1))[:, None])
    sd = x.std(axis=0)
    return standardised(x, x.mean(axis=0), np.where(sd > 0, sd, 1.0))


def _parts(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Each row's part of the correlations of columns, float32; NaN where a side is constant."""
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    size = np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0))
    return np.divide(a * b, size, out=np.full(a.shape, np.nan, np.float32), where=size > 0, casting="same_kind")
