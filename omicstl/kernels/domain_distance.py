"""Distances of two samples other than the discrepancy of means in a kernel: covariances, projections, and a classifier.

numpy: products, sorts and one decomposition a fold. Each distance comes with its values under permuted labels.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Real
from scipy.stats import rankdata

from .permutation import permutation_p

TRAIN = 0.25


class Distance(NamedTuple):
    """A distance, what permuted labels give, and the share of these at least as large (counting the data themselves)."""

    value: float
    null: Float[np.ndarray, "r"]
    p: float


def _against(value: float, null: np.ndarray) -> Distance:
    return Distance(float(value), null, permutation_p(value, null))


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
    """Held-out error and AUROC of telling two samples apart, averaged over splits, and both under permuted labels."""

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
    train: float = TRAIN,
    n_repeats: int | None = None,
    n_permutations: int = 0,
) -> Classified:
    """
    Tell two samples apart by a regularised linear discriminant, on rows that it has not seen.

    Columns are scaled by both samples together; `penalty` is in units of the mean variance of what varies among training rows, and fixed
    beforehand: nothing is chosen by the error. A repeat puts the rows in random order and learns from a window of the share `train`, then from
    the next ones around the circle; the rest is tested. `None` repeats until about 10,000 rows were tested, 2 to 30 times. Where nothing differs
    the standard error of ``1 - 2 error`` is about ``1.13 sqrt(train / rows)``: less to learn from means less luck in common to all calls.
    Equal rows are learnt from together or tested together; else a row would be told by its twin. Splits know no labels and are the same for all
    permutations, so the test is exact, and one factorisation a split solves all permuted labels. The threshold is half-way between the
    classes, so neither size of sample is favoured; errors are means over the two samples.
    """
    pooled = _scaled(np.concatenate([x, y]).astype(np.float64))
    n, twin = len(pooled), _twins(pooled)
    if pooled.shape[1] > n:  # coordinates in the space of the rows: the same distances and products
        values, vectors = np.linalg.eigh(pooled @ pooled.T)
        known = values > 1e-10 * values[-1]
        pooled = vectors[:, known] * np.sqrt(values[known])
    member = np.zeros((n, 1 + n_permutations))
    member[: len(x), 0] = 1
    for r in range(n_permutations):
        member[generator.permutation(n)[: len(x)], 1 + r] = 1
    has = member.sum(axis=0), n - member.sum(axis=0)
    n_windows, n_kinds = max(2, round(1 / min(train, 1 - train))), int(twin.max()) + 1
    repeats = int(np.clip(10_000 // (n * (1 - train) * n_windows), 2, 30)) if n_repeats is None else n_repeats
    wrong, times, areas = np.zeros_like(member), np.zeros(n), []
    for _ in range(repeats):
        place = generator.permutation(n_kinds)[twin]
        for window in range(n_windows):
            learns = (place - window * n_kinds // n_windows) % n_kinds < max(1, round(train * n_kinds))
            test = ~learns
            score = _discriminant(pooled[learns], member[learns], pooled[test], penalty)
            wrong[test] += 0.5 - np.sign(score) * (member[test] - 0.5)
            times[test] += 1
            areas.append(_auroc(score, member[test]))
    wrong = np.where(times[:, None] > 0, wrong / np.maximum(times, 1)[:, None], 0.5)
    error = (np.sum(wrong * member, axis=0) / has[0] + np.sum(wrong * (1 - member), axis=0) / has[1]) / 2
    auroc = _mean_known(np.array(areas))
    return Classified(float(error[0]), float(auroc[0]), error[1:], auroc[1:])


def _twins(x: np.ndarray) -> np.ndarray:
    """Number the kinds of rows: equal rows have one number. Equal means that a random projection is, to nine digits."""
    along = x @ np.random.default_rng(0).normal(size=x.shape[1])
    order = np.argsort(along)
    kind = np.zeros(len(x), dtype=np.int64)
    kind[order[1:]] = np.cumsum(np.diff(along[order]) > 1e-9 * max(float(np.abs(along).max(initial=0.0)), 1e-300))
    return kind


def _scaled(x: np.ndarray) -> np.ndarray:
    x = x - x.mean(axis=0)
    spread = x.std(axis=0)
    return x / np.where(spread > 1e-12 * max(float(spread.max(initial=0.0)), 1e-300), spread, np.inf)


def _mean_known(areas: np.ndarray) -> np.ndarray:
    known = np.isfinite(areas)
    total = np.sum(np.where(known, areas, 0.0), axis=0)
    return np.where(known.any(axis=0), total / np.maximum(known.sum(axis=0), 1), 0.5)


def _discriminant(train: np.ndarray, member: np.ndarray, test: np.ndarray, penalty: float) -> np.ndarray:
    """
    Scores of test rows for each column of labels: ``w = (S + penalty s I)^-1 (mean_1 - mean_0)``, less the threshold.

    The threshold is half of ``|mean_1|^2 - |mean_0|^2`` in the metric of w. A squared mean of n rows is too large by the spread of the rows over n,
    which would favour the larger sample in many columns: products of a row with itself are left out of both.
    """
    mean = train.mean(axis=0)
    train, test = train - mean, test - mean
    n, d = train.shape
    target = member - member.mean(axis=0)
    ridge = penalty * np.sum(train**2) / max(min(n - 1, d), 1)
    if not ridge:
        return np.zeros((len(test), member.shape[1]))
    if d <= n:
        metric = np.linalg.solve(train.T @ train + ridge * np.eye(d), train.T)
    else:
        metric = np.linalg.solve(train @ train.T + ridge * np.eye(n), train).T
    weights = metric @ target  # n_1 n_0 / n times the difference of means, in the metric
    products = np.einsum("ij,ji->i", train, metric)  # of rows with themselves
    own, total, ones = products @ member, products.sum(), member.sum(axis=0)
    zeros, square = n - ones, np.sum((train.T @ target) * weights, axis=0)
    middle = _square_of_mean(square, own, ones) - _square_of_mean(square, total - own, zeros)
    score = test @ weights - middle / 2 * ones * zeros / n
    return np.where(square > 1e-18 * total, score, 0.0)  # no difference at all, but for rounding


def _square_of_mean(square: np.ndarray, own: np.ndarray, n: np.ndarray) -> np.ndarray:
    """Squared mean of n rows from the square of their sum, without products of a row with itself; of one row with them."""
    return np.where(n > 1, (square - own) / np.maximum(n * (n - 1), 1), square / np.maximum(n, 1) ** 2)


def _auroc(score: np.ndarray, member: np.ndarray) -> np.ndarray:
    """AUROC of each column; NaN where it holds one class."""
    ones = member.sum(axis=0)
    pairs = ones * (len(member) - ones)
    above = np.sum(rankdata(score, axis=0) * member, axis=0) - ones * (ones + 1) / 2
    return np.divide(above, pairs, out=np.full(len(pairs), np.nan), where=pairs > 0)
