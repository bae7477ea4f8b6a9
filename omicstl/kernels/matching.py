"""Which factors of two fits are the same, and how well a low-rank model describes each observation."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Real
from scipy.optimize import linear_sum_assignment
from scipy.stats import rankdata


class Matching(NamedTuple):
    """The best one-to-one assignment of two sets of columns."""

    assignment: Int[np.ndarray, "a_factors"]
    """Column of b for each column of a, -1 where b has none left."""
    correlation: Float[np.ndarray, "a_factors"]
    """Signed correlation of each matched pair, NaN without a partner."""


class Fit(NamedTuple):
    """How well each observation is described; NaN where the observation has no variation."""

    mase: Float[np.ndarray, "obs"]
    spearman: Float[np.ndarray, "obs"]
    r2: Float[np.ndarray, "obs"]


def correlation(a: Real[np.ndarray, "n k1"], b: Real[np.ndarray, "n k2"]) -> Float[np.ndarray, "k1 k2"]:
    """Pearson correlation of every column of a with every column of b; 0 for a constant column."""
    return _unit(a).T @ _unit(b)


def _unit(x: np.ndarray) -> np.ndarray:
    """Columns centred and of length one; a column whose spread is rounding becomes zero."""
    x = np.asarray(x, dtype=np.float64)
    centred = x - x.mean(axis=0)
    length = np.linalg.norm(centred, axis=0)
    varies = length > 1e-10 * np.linalg.norm(x, axis=0)
    return np.where(varies, centred / np.where(varies, length, 1.0), 0.0)


def match_factors(a: Real[np.ndarray, "n k1"], b: Real[np.ndarray, "n k2"]) -> Matching:
    """One-to-one assignment of columns with the largest sum of absolute correlations (Hungarian algorithm).

    O(n · k1 · k2 + k^3). The absolute value, because a factor and its negative are the same direction.
    """
    r = correlation(a, b)
    rows, columns = linear_sum_assignment(np.abs(r), maximize=True)
    assignment = np.full(r.shape[0], -1, dtype=np.int64)
    found = np.full(r.shape[0], np.nan)
    assignment[rows], found[rows] = columns, r[rows, columns]
    return Matching(assignment, found)


def reconstruction(y: Real[np.ndarray, "obs genes"], fitted: Real[np.ndarray, "obs genes"]) -> Fit:
    """Agreement of a block of observations with what a model gives for them, row by row.

    The mean absolute scaled error of MultiPLIER is ``mean|y - fitted| / mean|y - mean(y)|``, R² is
    ``1 - sum (y - fitted)^2 / sum (y - mean(y))^2``, and Spearman is over genes. O(obs · genes · log genes).
    """
    y, fitted = np.asarray(y, dtype=np.float64), np.asarray(fitted, dtype=np.float64)
    centred = y - y.mean(axis=1, keepdims=True)
    varies = np.linalg.norm(centred, axis=1) > 1e-10 * np.linalg.norm(y, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mase = np.abs(y - fitted).mean(axis=1) / np.abs(centred).mean(axis=1)
        r2 = 1 - ((y - fitted) ** 2).sum(axis=1) / (centred**2).sum(axis=1)
    ranks, other = _unit(rankdata(y, axis=1).T), _unit(rankdata(fitted, axis=1).T)
    spearman = np.einsum("go,go->o", ranks, other)
    known = varies & other.any(axis=0)
    return Fit(np.where(varies, mase, np.nan), np.where(known, spearman, np.nan), np.where(varies, r2, np.nan))
