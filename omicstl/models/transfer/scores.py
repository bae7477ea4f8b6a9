"""How well predictions rank and call labels: correlations, and for any task one skill, 0 without any and 1 at best (numpy)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .heads import BINARY, MULTINOMIAL, REGRESSION, Task


class Skill(NamedTuple):
    """A skill, and its standard error if there were none."""

    value: float
    error: float


def correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Pearson correlation of columns (n, r) with columns, or with one (n,); NaN without spread."""
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    if a.ndim > b.ndim:
        b = b[:, None]
    size = np.sqrt((a * a).sum(axis=0) * (b * b).sum(axis=0))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(size > 0, (a * b).sum(axis=0) / size, np.nan)


def ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1 down each column, ties averaged."""
    from scipy.stats import rankdata

    return rankdata(values, axis=0)


def rank_correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Spearman correlation of columns with columns, or with one."""
    return correlation(ranks(a), ranks(b))


def rank_correlation_of_known(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman correlation (n,) with (n,) where both are finite; NaN for fewer than three."""
    known = np.isfinite(a) & np.isfinite(b)
    return float(rank_correlation(a[known], b[known])) if known.sum() > 2 else float("nan")


def rank_skill(score: np.ndarray, positive: np.ndarray) -> Skill:
    """Twice the AUROC less 1 (Somers' D)."""
    n1 = int(positive.sum())
    n0 = len(positive) - n1
    if not n1 or not n0:
        return Skill(np.nan, np.nan)
    area = (ranks(score)[positive].sum() - n1 * (n1 + 1) / 2) / (n1 * n0)
    return Skill(2 * float(area) - 1, 2 * float(np.sqrt((n1 + n0 + 1) / (12 * n1 * n0))))


def concordance(score: np.ndarray, y: np.ndarray) -> Skill:
    """Lin's concordance correlation: below the correlation where level or spread differ."""
    n = len(y)
    if n < 3 or np.ptp(y) == 0:
        return Skill(np.nan, np.nan)
    covariance = float(((score - score.mean()) * (y - y.mean())).mean())
    below = float(score.var() + y.var() + (score.mean() - y.mean()) ** 2)
    return Skill(2 * covariance / below, 1 / np.sqrt(n - 1))


def _calls(decision: np.ndarray, positive: np.ndarray) -> float:
    """Share of positives called less share of negatives called, of decisions above zero."""
    called = decision > 0
    return float(called[positive].mean() - called[~positive].mean())


def skill(task: Task, decision: np.ndarray, y: np.ndarray, *, calls: bool = False) -> Skill:
    """
    Mean over outputs of linear predictors (n, c) against labels (n, t), NaN where unknown.

    Classes: `rank_skill`, each against the rest; with `calls` half of it is the share of positives called less that of
    negatives, which sees a wrong level too. Numbers: the correlation, with `calls` the concordance. NaN if no output has two values.
    """
    found = []
    for j, (score, truth) in enumerate(_columns(task, decision, y)):
        known = np.isfinite(truth) & np.isfinite(score)
        score, truth = score[known], truth[known]
        if task.kind == REGRESSION:
            one = concordance(score, truth)
            if not calls and len(truth) >= 3 and np.ptp(score) > 0:
                one = Skill(float(np.corrcoef(score, truth)[0, 1]) if np.ptp(truth) > 0 else np.nan, one.error)
        else:
            positive = truth == 1
            one = rank_skill(score, positive)
            if calls and np.isfinite(one.value):
                level = decision[known].argmax(axis=1) == j if task.kind == MULTINOMIAL else score > 0
                one = Skill((one.value + _calls(np.where(level, 1.0, -1.0), positive)) / 2, one.error)
        if np.isfinite(one.value):
            found.append(one)
    if not found:
        return Skill(np.nan, np.nan)
    # Outputs of the same rows are not independent: their mean is no more certain than the typical one.
    return Skill(float(np.mean([s.value for s in found])), float(np.mean([s.error for s in found])))


def _columns(task: Task, decision: np.ndarray, y: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    if task.kind == BINARY:
        return [(decision[:, 0], y[:, 0])]
    if task.kind == MULTINOMIAL:
        known = np.isfinite(y[:, 0])
        hot = [np.where(known, y[:, 0] == code, np.nan) for code in range(len(task.names))]
        return [(decision[:, code], hot[code]) for code in range(len(task.names))]
    return [(decision[:, j], y[:, j]) for j in range(y.shape[1])]
