"""Is one prediction better than another of the same rows? The gap of a measure, with a bootstrap interval.

numpy: a resample is a row of counts, and every measure takes counts, so that all resamples are a few array operations.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Real, Shaped
from scipy.special import ndtr, stdtrit

CELLS = 4_000_000  # of resamples x rows that are held at a time


class Gap(NamedTuple):
    """How much better `score_a` is than `score_b`, in units of the measure; above 0 it is better, whatever the measure."""

    mean: float
    """Of all rows as they are."""
    low: float
    high: float
    """Percentiles of the resamples, a little further out where rows or groups are few."""


def midranks(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Mid-ranks of values of which row i is there counts[r, i] times, for each resample r."""
    _, place, size = np.unique(values, return_inverse=True, return_counts=True)
    place = place.ravel()
    order = np.argsort(place, kind="stable")
    start = np.concatenate([[0], np.cumsum(size)[:-1]])
    group = np.add.reduceat(counts[:, order], start, axis=1)
    return (np.cumsum(group, axis=1) - group / 2 + 0.5)[:, place]


def _correlation(a: np.ndarray, b: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Weighted correlation in each resample; a, b (n,) or (resamples, n)."""
    total = counts.sum(axis=1, keepdims=True)
    a = a - np.sum(counts * a, axis=1, keepdims=True) / total
    b = b - np.sum(counts * b, axis=1, keepdims=True) / total
    spread = np.sqrt(np.sum(counts * a * a, axis=1) * np.sum(counts * b * b, axis=1))
    return np.divide(np.sum(counts * a * b, axis=1), spread, out=np.full(len(counts), np.nan), where=spread > 0)


def _auc(score: np.ndarray, positive: np.ndarray, counts: np.ndarray) -> np.ndarray:
    n_positive = counts @ positive
    n_negative = counts.sum(axis=1) - n_positive
    pairs = n_positive * n_negative
    above = np.sum(midranks(score, counts) * counts * positive, axis=1) - n_positive * (n_positive + 1) / 2
    return np.divide(above, pairs, out=np.full(len(counts), np.nan), where=pairs > 0)


def auroc(score: np.ndarray, truth: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Area under the ROC curve; with a column for each class the mean of each class against the rest."""
    if score.ndim == 1:
        return _auc(score, (truth > 0).astype(np.float64), counts)
    return np.mean([_auc(column, (truth == c).astype(np.float64), counts) for c, column in enumerate(score.T)], axis=0)


def _right(score: np.ndarray, truth: np.ndarray) -> np.ndarray:
    called = (score > 0.5).astype(np.int64) if score.ndim == 1 else np.argmax(score, axis=1)
    return called == truth


def accuracy(score: np.ndarray, truth: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Share of rows whose most probable class is the true one."""
    return counts @ _right(score, truth) / counts.sum(axis=1)


def balanced_accuracy(score: np.ndarray, truth: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Mean over classes of the share of rows that are called rightly."""
    member = (truth[:, None] == np.unique(truth)[None, :]).astype(np.float64)
    have = counts @ member
    right = counts @ (member * _right(score, truth)[:, None])
    return np.mean(np.divide(right, have, out=np.full(have.shape, np.nan), where=have > 0), axis=1)


def log_score(score: np.ndarray, truth: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Mean log probability of the true class."""
    table = np.column_stack([1 - score, score]) if score.ndim == 1 else score
    given = np.log(np.clip(table[np.arange(len(truth)), truth.astype(np.int64)], 1e-12, 1.0))
    return counts @ given / counts.sum(axis=1)


def brier(score: np.ndarray, truth: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Mean squared error of probabilities, the sign turned."""
    table = np.column_stack([1 - score, score]) if score.ndim == 1 else score
    hot = truth.astype(np.int64)[:, None] == np.arange(table.shape[1])[None, :]
    return -(counts @ np.sum((table - hot) ** 2, axis=1)) / counts.sum(axis=1)


def mse(score: np.ndarray, truth: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Mean squared error, the sign turned."""
    return -(counts @ (score - truth) ** 2) / counts.sum(axis=1)


def r2(score: np.ndarray, truth: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """One minus the mean squared error over the variance of the truth."""
    total = counts.sum(axis=1, keepdims=True)
    spread = np.sum(counts * (truth - counts @ truth[:, None] / total) ** 2, axis=1)
    error = counts @ (score - truth) ** 2
    return 1 - np.divide(error, spread, out=np.full(len(counts), np.nan), where=spread > 0)


def pearson(score: np.ndarray, truth: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Correlation."""
    return _correlation(score, truth, counts)


def spearman(score: np.ndarray, truth: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Rank correlation."""
    return _correlation(midranks(score, counts), midranks(truth, counts), counts)


#: Measures of (score, truth, counts of each resample), larger is better in all.
MEASURES: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]] = {
    "auroc": auroc,
    "accuracy": accuracy,
    "balanced_accuracy": balanced_accuracy,
    "log_score": log_score,
    "brier": brier,
    "mse": mse,
    "r2": r2,
    "pearson": pearson,
    "spearman": spearman,
}
#: Those whose truth is a class: 0 and 1 with one score, or 0, 1, 2, ... with a column of probabilities for each.
OF_CLASSES = frozenset({"auroc", "accuracy", "balanced_accuracy", "log_score", "brier"})


def resampled(
    n: int,
    n_resamples: int,
    generator: np.random.Generator,
    *,
    strata: np.ndarray | None = None,
    groups: np.ndarray | None = None,
) -> np.ndarray:
    """
    How often each row is in each resample, (n_resamples, n).

    Drawn within strata. With groups, whole groups are drawn; a stratum is then the set of groups that hold the same
    strata (patients with class 0 alone, with class 1 alone, with both).
    """
    strata = np.zeros(n, dtype=np.int64) if strata is None else np.unique(strata, return_inverse=True)[1].ravel()
    if groups is None:
        unit = np.arange(n)
        kind = strata
    else:
        unit = np.unique(groups, return_inverse=True)[1].ravel()
        held = np.zeros((int(unit.max()) + 1, int(strata.max()) + 1), dtype=bool)
        held[unit, strata] = True
        kind = np.unique(held, axis=0, return_inverse=True)[1].ravel()
    drawn = np.zeros((n_resamples, kind.size))
    for k in range(int(kind.max()) + 1):
        members = np.flatnonzero(kind == k)
        picks = generator.integers(members.size, size=(n_resamples, members.size))
        picks += np.arange(n_resamples)[:, None] * members.size
        drawn[:, members] = np.bincount(picks.ravel(), minlength=n_resamples * members.size).reshape(n_resamples, -1)
    return drawn if groups is None else drawn[:, unit]


def paired_gap(
    score_a: Real[np.ndarray, "n *c"],
    score_b: Real[np.ndarray, "n *c"],
    truth: Real[np.ndarray, "n"],
    measure: str,
    groups: Shaped[np.ndarray, "n"] | None = None,
    n_resamples: int = 1000,
    *,
    generator: np.random.Generator,
    strata: Shaped[np.ndarray, "n"] | None = None,
    confidence: float = 0.95,
) -> Gap:
    """
    Measure of a less measure of b, both on the same rows, with the expanded percentile interval of resampled rows.

    Both are resampled together, so that what is common to them, such as rows that are hard for either, cancels. Rows of
    one group (cells of a patient, repeats of a split) are drawn together: without that the interval is too narrow.
    Measures of classes are stratified by the true class unless `strata` says otherwise. Resamples in which the
    measure is not defined (groups that leave one class) are left out; NaN bounds if that is more than half. Percentiles
    are those that give the t interval for a mean (Hesterberg 2015, 5.3.1); plain ones are too narrow for 30 groups.
    """
    a, b = np.asarray(score_a, dtype=np.float64), np.asarray(score_b, dtype=np.float64)
    n, of = len(truth), MEASURES[measure]
    truth = np.asarray(truth) if measure in OF_CLASSES else np.asarray(truth, dtype=np.float64)
    if strata is None and measure in OF_CLASSES:
        strata = truth
    whole = np.ones((1, n))
    gap = float(of(a, truth, whole)[0] - of(b, truth, whole)[0])
    size = max(1, CELLS // max(n, 1))
    found = []
    for begin in range(0, n_resamples, size):
        counts = resampled(n, min(size, n_resamples - begin), generator, strata=strata, groups=groups)
        found.append(of(a, truth, counts) - of(b, truth, counts))
    gaps = np.concatenate(found)
    gaps = gaps[np.isfinite(gaps)]
    n_units = n if groups is None else np.unique(groups).size
    if gaps.size < n_resamples / 2 or n_units < 2:
        return Gap(gap, float("nan"), float("nan"))
    tail = float(ndtr(stdtrit(n_units - 1, (1 - confidence) / 2) * np.sqrt(n_units / (n_units - 1))))
    low, high = np.quantile(gaps, [tail, 1 - tail])
    return Gap(gap, float(low), float(high))
