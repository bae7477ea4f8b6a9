"""How strongly scores are smoothed over neighbouring cells, chosen on the target itself without labels (numpy).

A score is a weighted sum of genes. Noise of measurement is nearly independent between genes, biology is shared by many
of them. So genes are dealt into folds: cells are scored and their neighbours found with all folds but one, smoothed, and
compared with the unsmoothed score of the fold that is left. Smoothing that averages noise away raises the correlation;
smoothing over neighbours that differ in the score lowers it. The correlation is taken over all cells and within
clusters, since differences between clusters hide what happens inside them. This is the idea of molecular
cross-validation :cite:p:`Batson2019` with genes in place of molecules, so that it works for z-scores as well.

Where it can err: correlated technical effects (depth, ambient RNA) count as biology, so smoothing is rather too weak.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from omicstl._core.random import Streams
from omicstl.kernels import knn_smooth
from omicstl.kernels.principal import leading

from . import smoothing

_FOLDS, _COMPONENTS = 4, 30
_NEAR_BEST = 0.01  # the weakest smoothing within this share of the best is taken
_SURE = 1.0  # standard errors over cells by which the sum of both correlations must rise
_MAY_FALL = 0.1  # share by which either of them may fall


class SmoothingChoice(NamedTuple):
    """The strength of each drug, with the correlations that decided, at `smoothing.STRENGTHS`."""

    strength: np.ndarray  # (d,)
    overall: np.ndarray  # (s, d) correlation with the genes left out, over all cells
    within: np.ndarray  # (s, d) the same within clusters


def choose(
    cells: np.ndarray,
    weights: np.ndarray,
    random: Streams,
    *,
    gain: np.ndarray | None = None,
) -> SmoothingChoice:
    """Choose the strength of smoothing for each drug.

    Parameters
    ----------
    cells
        A sample of the target's cells (m, p), standardised as the model reads them. 500 to 2,000 are enough.
    weights
        Weight of each gene in the score of each drug (p, d), for values as in `cells`.
    gain
        Weight of each gene where neighbours are sought (p,), see `smoothing.axes_of`. `None`: 1.

    Returns
    -------
    The strength of each drug, and the table. 0 where smoothing does not pay.
    """
    z = np.asarray(cells, dtype=np.float32)
    m, p = z.shape
    grid = np.asarray(smoothing.STRENGTHS)
    n_drugs = weights.shape[1]
    if m < 30 or p < 2 * _FOLDS:
        nothing = np.full((grid.size, n_drugs), np.nan)
        return SmoothingChoice(np.zeros(n_drugs), nothing, nothing)
    gain = np.ones(p) if gain is None else gain
    generator = random.generator("smoothing")
    clusters = _clusters(leading(z, min(_COMPONENTS, m - 1, p), generator), generator)
    code = np.unique(clusters, return_inverse=True)[1]
    overall, within = np.zeros((2, grid.size, m, n_drugs))  # each cell's part of the correlation
    for here, score, left, weight in _gene_splits(z, weights, gain, generator):
        edges = smoothing.graph(here @ smoothing.axes_of(here.astype(np.float32), random, gain=weight))
        left_within = _centred(left, code)
        for j, strength in enumerate(grid):
            mixed = knn_smooth.smooth(edges, score, float(strength), tol=1e-3).scores
            overall[j] += _parts(mixed, left)
            within[j] += _parts(_centred(mixed, code), left_within)
    overall, within = overall / _FOLDS, within / _FOLDS
    strength = np.array([_pick(overall[:, :, d], within[:, :, d], grid) for d in range(n_drugs)])
    return SmoothingChoice(strength, overall.sum(axis=1), within.sum(axis=1))


def _pick(overall: np.ndarray, within: np.ndarray, grid: np.ndarray) -> float:
    """The weakest smoothing near the best sum of both correlations; it must raise the sum, and hardly lower either.

    Of each cell's parts, (s, m). A gain counts when it is above `_SURE` standard errors over cells.
    """
    total = overall + within
    gain = total - total[0]
    error = gain.std(axis=1) * np.sqrt(total.shape[1])
    there = total.sum(axis=1) > 2.0 * total.std(axis=1) * np.sqrt(total.shape[1])
    allowed = there & (gain.sum(axis=1) > _SURE * error)
    for parts in (overall, within):
        start = parts[0].sum()
        if start > 2.0 * parts[0].std() * np.sqrt(total.shape[1]):
            allowed &= parts.sum(axis=1) >= (1.0 - _MAY_FALL) * start
    if not allowed.any():
        return 0.0
    value = np.where(allowed, total.sum(axis=1), -np.inf)
    return float(grid[np.flatnonzero(value >= value.max() - _NEAR_BEST * abs(value.max()))[0]])


def _gene_splits(
    z: np.ndarray, weights: np.ndarray, gain: np.ndarray, generator: np.random.Generator
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    fold = generator.permutation(z.shape[1]) % _FOLDS
    found = []
    for i in range(_FOLDS):
        rest = fold != i
        found.append((z[:, rest], z[:, rest] @ weights[rest], z[:, ~rest] @ weights[~rest], gain[rest]))
    return found


def _clusters(points: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    from sklearn.cluster import KMeans

    k = int(np.clip(points.shape[0] // 100, 2, 15))
    return KMeans(k, n_init=1, random_state=int(generator.integers(2**31))).fit_predict(points[:, :20])


def _centred(values: np.ndarray, code: np.ndarray) -> np.ndarray:
    count = np.bincount(code)[:, None]
    mean = np.zeros((count.size, values.shape[1]))
    np.add.at(mean, code, values)
    return values - (mean / count)[code]


def _parts(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Each row's part of the correlation of columns; the parts add up to it."""
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    norm = np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0))
    return a * b / np.where(norm > 1e-12, norm, np.inf)
