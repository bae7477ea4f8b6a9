"""Class probabilities of rows from models that have not seen them (logistic regression of scikit-learn, fixed penalty)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

PENALTY = 1.0
MAX_ITER = 2000
FOLDS = 5


class CrossFitted(NamedTuple):
    """Probabilities (n, c) of each row from the folds without it, and the mean over folds of those of other rows (m, c)."""

    own: np.ndarray
    other: np.ndarray


def folds(y: np.ndarray, n_folds: int, generator: np.random.Generator) -> np.ndarray:
    """Fold of each row, every class spread over the folds."""
    fold = np.zeros(len(y), dtype=np.int64)
    begin = 0
    for c in np.unique(y):
        rows = generator.permutation(np.flatnonzero(y == c))
        fold[rows] = (np.arange(rows.size) + begin) % n_folds
        begin += rows.size
    return fold


def probabilities(
    x: np.ndarray,
    y: np.ndarray,
    other: np.ndarray,
    *,
    n_classes: int,
    generator: np.random.Generator,
    weights: np.ndarray | None = None,
) -> CrossFitted:
    """Fit z-scored columns to classes 0, 1, ... in all folds but one, for the rows of that one and for `other` rows."""
    from sklearn.linear_model import LogisticRegression

    y = y.astype(np.int64)
    fold = folds(y, FOLDS, generator)
    own, rest = np.zeros((len(x), n_classes)), np.zeros((len(other), n_classes))
    for k in range(FOLDS):
        train = fold != k
        mean, scale = x[train].mean(axis=0), x[train].std(axis=0)
        scale = np.where(scale > 1e-12, scale, 1.0)
        seen = np.unique(y[train])
        if seen.size < 2:
            own[~train, seen[0]] = 1.0
            rest[:, seen[0]] += 1 / FOLDS
            continue
        model = LogisticRegression(C=1 / PENALTY, max_iter=MAX_ITER)
        model.fit((x[train] - mean) / scale, y[train], None if weights is None else weights[train])
        if (~train).any():
            own[np.ix_(~train, seen)] = model.predict_proba((x[~train] - mean) / scale)
        if len(other):
            rest[:, seen] += model.predict_proba((other - mean) / scale) / FOLDS
    return CrossFitted(own, rest)
