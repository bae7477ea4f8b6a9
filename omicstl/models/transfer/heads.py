"""Heads: from a representation to labels, solved to tolerance, the penalty chosen by rows or groups left out (numpy).

A task's labels are a matrix (n, t), NaN where unknown: numbers, 0 and 1, or codes of several classes in one column.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from omicstl.kernels import logistic
from omicstl.kernels.masked_ridge import masked_ridge, penalty_grid
from omicstl.kernels.row_space import row_space

REGRESSION, BINARY, MULTINOMIAL, MULTILABEL = "regression", "binary", "multinomial", "multilabel"
TASKS = (REGRESSION, BINARY, MULTINOMIAL, MULTILABEL)
N_PENALTIES = 9
PATIENCE = 2  # penalties without a lower loss
FOLDS = 5


@dataclass(frozen=True, eq=False)
class Task:
    """What is predicted: `names` are the classes, or the columns of several labels or numbers."""

    kind: str
    names: np.ndarray

    @property
    def n_out(self) -> int:
        """Columns of a linear predictor."""
        return 1 if self.kind == BINARY else len(self.names)


class Head(NamedTuple):
    """A linear predictor of r columns for c outputs, and what it predicts for rows of its training without them."""

    coefficients: np.ndarray  # (r, c)
    intercept: np.ndarray  # (c,)
    penalty: np.ndarray  # (c,)
    left_out: np.ndarray  # (n, c) linear predictors of rows that were left out; NaN for rows without label or weight

    def decide(self, x: np.ndarray) -> np.ndarray:
        """Linear predictors (m, c)."""
        return x @ self.coefficients + self.intercept


def labelled(y: np.ndarray) -> np.ndarray:
    """Rows with at least one label."""
    return np.isfinite(y).any(axis=1)


def class_weights(task: Task, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weights (n,) times what gives every class of one column the same total."""
    out = weights.copy()
    known = labelled(y) & (weights > 0)
    for code in np.unique(y[known, 0]):
        rows = known & (y[:, 0] == code)
        out[rows] *= weights[known].sum() / (len(task.names) * weights[rows].sum())
    return out


class Known(NamedTuple):
    """The rows of n that a head is fitted on, and what is left out together."""

    x: np.ndarray  # (m, r)
    y: np.ndarray  # (m, t)
    weights: np.ndarray  # (m,) mean 1
    groups: np.ndarray | None  # (m,)
    rows: np.ndarray  # (m,) their positions
    n: int

    def spread(self, values: np.ndarray) -> np.ndarray:
        """Values (m, c) at the positions of their rows, (n, c); NaN elsewhere."""
        out = np.full((self.n, values.shape[1]), np.nan)
        out[self.rows] = values
        return out


def fit_head(
    task: Task,
    x: np.ndarray,
    y: np.ndarray,
    *,
    weights: np.ndarray | None = None,
    groups: np.ndarray | None = None,
    balanced: bool = False,
    outside: bool = True,
) -> Head:
    """Fit on the rows with labels and weight; ridge for numbers, logistic regression with a squared penalty for classes.

    The penalty is the one of a grid with the least loss over rows, or `groups` of rows, that are left out: exactly for
    ridge, by one Newton step for logistic regression, class against rest where there are several. An output of one class
    alone has its prior as intercept. `outside=False` leaves out the predictions for rows that were left out where they need refits.
    """
    n = len(x)
    w = np.ones(n) if weights is None else np.asarray(weights, np.float64)
    if balanced and task.kind in (BINARY, MULTINOMIAL):
        w = class_weights(task, y, w)
    rows = np.flatnonzero(labelled(y) & (w > 0))
    if not rows.size:
        msg = "no row has a label and a weight above 0."
        raise ValueError(msg)
    inner, labels, share = x[rows], y[rows], w[rows] / w[rows].mean()
    own = None if groups is None else groups[rows]
    own = None if own is None or np.unique(own).size < 2 else own
    grid = penalty_grid(inner, N_PENALTIES)
    if task.kind == REGRESSION:
        found = masked_ridge(inner, labels, grid, groups=own, weights=share)
        b, b0 = np.nan_to_num(found.coefficients), np.nan_to_num(found.intercept)
        return Head(b, b0, found.penalty, Known(inner, labels, share, own, rows, n).spread(found.left_out))
    grid = grid / 4  # the curvature of the logistic loss
    wide = inner.shape[1] > len(inner)
    space = row_space(inner) if wide else None  # coefficients lie in the space of the rows
    known = Known(space.rows if space is not None else inner, labels, share, own, rows, n)
    if task.kind == MULTINOMIAL:
        head = _several(task, known, grid, outside)
    else:
        head = _each(known, grid, balanced and task.kind == MULTILABEL)
    return head if space is None else head._replace(coefficients=space.basis @ head.coefficients)


def _each(given: Known, grid: np.ndarray, balanced: bool) -> Head:
    """One or several columns of 0 and 1, each with its own penalty."""
    x, y, w, groups = given.x, given.y, given.weights, given.groups
    t = y.shape[1]
    b, b0, penalty, left = np.zeros((x.shape[1], t)), np.zeros(t), np.full(t, np.nan), np.full((len(x), t), np.nan)
    for j in range(t):
        known = np.flatnonzero(np.isfinite(y[:, j]))
        z = y[known, j]
        share = w[known]
        if not 0 < z.sum() < z.size:  # one class, or none known: a smoothed prior
            prior = (z.sum() + 0.5) / (z.size + 1)
            b0[j] = np.log(prior / (1 - prior))
            left[known, j] = b0[j]
            continue
        if balanced:
            share = (
                share * np.where(z == 1, 1 / max(share @ z, 1e-12), 1 / max(share @ (1 - z), 1e-12)) * share.sum() / 2
            )
        own = None if groups is None else groups[known]
        fit = logistic.logistic_path(x[known], z, grid, weights=share, groups=own, patience=PATIENCE)
        best = _best(fit.risk)
        b[:, j], b0[j], penalty[j] = fit.coefficients[best], fit.intercept[best], grid[best]
        left[known, j] = fit.left_out[best]
    return Head(b, b0, penalty, given.spread(left))


def _best(risk: np.ndarray) -> int:
    """The least risk, at the largest of equal penalties."""
    return int(len(risk) - 1 - np.argmin(risk[::-1]))


def _several(task: Task, given: Known, grid: np.ndarray, outside: bool) -> Head:
    """One column of several classes, with one penalty."""
    x, w, groups = given.x, given.weights, given.groups
    codes = given.y[:, 0].astype(np.int64)
    c = len(task.names)
    risk = np.zeros(len(grid))
    for code in np.unique(codes):
        own = (codes == code).astype(np.float64)
        if own.all():
            continue
        risk += logistic.logistic_path(x, own, grid, weights=w, groups=groups).risk
    penalty = float(grid[_best(risk)])
    fit = logistic.multinomial(x, codes, c, penalty, weights=w)
    left = np.full((len(x), c), np.nan)
    if outside:
        fold = folds(codes, groups, FOLDS, np.random.default_rng(0))
        for number in np.unique(fold):
            held = fold == number
            if held.all():
                continue
            part = logistic.multinomial(x[~held], codes[~held], c, penalty, weights=w[~held])
            left[held] = x[held] @ part.coefficients + part.intercept
    return Head(fit.coefficients, fit.intercept, np.full(c, penalty), given.spread(left))


def folds(strata: np.ndarray | None, groups: np.ndarray | None, k: int, generator: np.random.Generator) -> np.ndarray:
    """Fold of each row: whole groups, or rows dealt out within strata (classes), at most `k` folds of like size."""
    n = len(strata) if strata is not None else len(groups)  # type: ignore[arg-type]
    if groups is not None:
        codes = np.unique(groups, return_inverse=True)[1].reshape(-1)
        size = np.bincount(codes)
        order = generator.permutation(size.size)
        order = order[np.argsort(-size[order], kind="stable")]
        filled, place = np.zeros(min(k, size.size)), np.zeros(size.size, np.int64)
        for group in order:
            place[group] = filled.argmin()
            filled[place[group]] += size[group]
        return place[codes]
    order = generator.permutation(n)
    order = order[np.argsort(np.asarray(strata)[order], kind="stable")]
    out = np.empty(n, np.int64)
    out[order] = np.arange(n) % min(k, n)
    return out


def probabilities(task: Task, decision: np.ndarray) -> np.ndarray:
    """Probabilities of linear predictors (m, c): two columns for two classes, one for each class or label else."""
    if task.kind == BINARY:
        p = logistic.expit(decision[:, 0])
        return np.column_stack([1 - p, p])
    if task.kind == MULTINOMIAL:
        e = np.exp(decision - decision.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)
    return logistic.expit(decision)
