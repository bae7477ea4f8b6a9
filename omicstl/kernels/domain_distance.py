"""Distances of two samples other than the discrepancy of means in a kernel: covariances, projections, and a classifier.

numpy: products, sorts and one decomposition a fold. Each distance comes with its values under permuted labels.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Real
from scipy.stats import rankdata


class Distance(NamedTuple):
    """A distance, what permuted labels give, and the share of these at least as large (counting the data themselves)."""

    value: float
    null: Float[np.ndarray, "r"]
    p: float


def _against(value: float, null: np.ndarray) -> Distance:
    p = (1 + np.count_nonzero(null >= value - 1e-12)) / (1 + null.size) if null.size else float("nan")
    return Distance(float(value), null, float(p))


def _coral(x: np.ndarray, y: np.ndarray) -> float:
    difference = np.cov(x, rowvar=False, ddof=1) - np.cov(y, rowvar=False, ddof=1)
    return float(np.sum(difference**2) / (4 * x.shape[1] ** 2))


def coral_distance(
    x: Real[np.ndarray, "n d"],
    y: Real[np.ndarray, "m d"],
    *,
    n_permutations: int = 0,
    generator: np.random.Generator | None = None,
) -> Distance:
    """
    Squared difference of covariances over 4 d^2 (Sun 2016), which is blind to means.

    Rows are permuted after each sample is centred, so that a difference of means does not enter the null either.
    """
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    value, null = _coral(x, y), np.zeros(n_permutations)
    pooled = np.concatenate([x - x.mean(axis=0), y - y.mean(axis=0)])
    for r in range(n_permutations):
        assert generator is not None
        order = generator.permutation(len(pooled))
        null[r] = _coral(pooled[order[: len(x)]], pooled[order[len(x) :]])
    return _against(value, null)


def sliced_wasserstein(
    x: Real[np.ndarray, "n d"],
    y: Real[np.ndarray, "m d"],
    *,
    generator: np.random.Generator,
    n_projections: int = 100,
    n_permutations: int = 0,
) -> Distance:
    """
    Mean over random directions of the Wasserstein-1 distance of projections, in units of the columns.

    In one dimension that is the area between the two distribution functions, so each direction is sorted once and a permutation is
    a sum of signs. Cost O(projections · rows · (log rows + permutations)).
    """
    n, m = len(x), len(y)
    pooled = np.concatenate([x, y]).astype(np.float64)
    axes = generator.normal(size=(n_projections, pooled.shape[1]))
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    signs = np.full((1 + n_permutations, n + m), -1.0 / m)
    signs[0, :n] = 1.0 / n
    for r in range(n_permutations):
        signs[1 + r, generator.permutation(n + m)[:n]] = 1.0 / n
    values = np.zeros(1 + n_permutations)
    for axis in axes:
        along = pooled @ axis
        order = np.argsort(along)
        gap = np.cumsum(signs[:, order[:-1]], axis=1)
        values += np.abs(gap, out=gap) @ np.diff(along[order])
    values /= n_projections
    return _against(values[0], values[1:])


class Classified(NamedTuple):
    """Held-out error and AUROC of telling two samples apart, averaged over repeats, and both under permuted labels."""

    error: float
    auroc: float
    null_error: Float[np.ndarray, "r"]
    null_auroc: Float[np.ndarray, "r"]


def with_squares(x: Real[np.ndarray, "n d"]) -> Float[np.ndarray, "n d2"]:
    """Z-scored columns and their squares, so that a linear classifier sees differences of spread as well."""
    z = _scaled(np.asarray(x, dtype=np.float64))
    return np.column_stack([z, z**2])


def tell_apart(
    x: Real[np.ndarray, "n d"],
    y: Real[np.ndarray, "m d"],
    *,
    generator: np.random.Generator,
    penalty: float = 1.0,
    n_folds: int = 5,
    n_repeats: int = 5,
    n_permutations: int = 0,
) -> Classified:
    """
    Tell two samples apart by a regularised linear discriminant, cross-validated.

    Columns are scaled by both samples together; `penalty` is in units of the mean variance of what varies among training rows, and fixed
    beforehand: nothing is chosen by the error. Folds are drawn without regard to labels and are the same for all permutations, so the test is exact,
    and one factorisation a fold solves all permuted labels. The threshold is half-way between the projected means of the
    training classes, so neither size of sample is favoured; errors are means over the two samples.
    """
    pooled = _scaled(np.concatenate([x, y]).astype(np.float64))
    n = len(pooled)
    member = np.zeros((n, 1 + n_permutations))
    member[: len(x), 0] = 1
    for r in range(n_permutations):
        member[generator.permutation(n)[: len(x)], 1 + r] = 1
    errors, areas = [], []
    for _ in range(n_repeats):
        fold = generator.permutation(n) % n_folds
        wrong, area = np.zeros_like(member), []
        for k in range(n_folds):
            test = fold == k
            score = _discriminant(pooled[~test], member[~test], pooled[test], penalty)
            wrong[test] = (score > 0) != (member[test] > 0)
            area.append(_auroc(score, member[test]))
        has = member.sum(axis=0), n - member.sum(axis=0)
        errors.append((np.sum(wrong * member, axis=0) / has[0] + np.sum(wrong * (1 - member), axis=0) / has[1]) / 2)
        areas.append(_mean_known(np.array(area)))
    error, auroc = np.mean(errors, axis=0), np.mean(areas, axis=0)
    return Classified(float(error[0]), float(auroc[0]), error[1:], auroc[1:])


def _scaled(x: np.ndarray) -> np.ndarray:
    x = x - x.mean(axis=0)
    spread = x.std(axis=0)
    return x / np.where(spread > 1e-12 * max(float(spread.max(initial=0.0)), 1e-300), spread, np.inf)


def _mean_known(values: np.ndarray) -> np.ndarray:
    known = np.isfinite(values)
    return np.sum(np.where(known, values, 0.0), axis=0) / np.maximum(known.sum(axis=0), 1)


def _discriminant(train: np.ndarray, member: np.ndarray, test: np.ndarray, penalty: float) -> np.ndarray:
    """Scores of test rows for each column of labels: ``w = (S + penalty s I)^-1 (mean_1 - mean_0)``, less the midpoint."""
    mean = train.mean(axis=0)
    train, test = train - mean, test - mean
    n, d = train.shape
    share = member.mean(axis=0)
    target = member - share
    ridge = penalty * np.sum(train**2) / max(min(n - 1, d), 1)
    if d <= n:
        weights = np.linalg.solve(train.T @ train + ridge * np.eye(d), train.T @ target)
    else:
        weights = train.T @ np.linalg.solve(train @ train.T + ridge * np.eye(n), target)
    sums = np.sum((train.T @ target) * weights, axis=0)  # n p (1 - p) times the difference of projected means
    middle = (0.5 - share) * sums / np.maximum(n * share * (1 - share), 1e-300)  # of mean_1 (1 - p) g and mean_0 = -p g
    return test @ weights - middle


def _auroc(score: np.ndarray, member: np.ndarray) -> np.ndarray:
    """AUROC of each column; NaN where it holds one class."""
    ones = member.sum(axis=0)
    pairs = ones * (len(member) - ones)
    above = np.sum(rankdata(score, axis=0) * member, axis=0) - ones * (ones + 1) / 2
    return np.divide(above, pairs, out=np.full(len(pairs), np.nan), where=pairs > 0)
