"""How alike two sets of columns are as spaces, whatever their axes.

numpy: products and decompositions with LAPACK.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Real


def centred(x: Real[np.ndarray, "n k"]) -> Float[np.ndarray, "n k"]:
    """Columns less their means."""
    x = np.asarray(x, dtype=np.float64)
    return x - x.mean(axis=0)


def cka(a: Float[np.ndarray, "n k1"], b: Float[np.ndarray, "n k2"]) -> float:
    """Linear centred kernel alignment of centred columns, ``|B'A|^2 / (|A'A| |B'B|)`` with Frobenius norms; 0 without variation."""
    own = np.linalg.norm(a.T @ a) * np.linalg.norm(b.T @ b)
    return float(np.linalg.norm(b.T @ a) ** 2 / own) if own > 0 else 0.0


def leading(x: Float[np.ndarray, "n k"], share: float) -> Float[np.ndarray, "n d"]:
    """Orthonormal axes, among observations, of the fewest principal directions of centred columns with that share of the variance."""
    left, singular, _ = np.linalg.svd(x, full_matrices=False)
    variance = np.cumsum(singular**2)
    if variance[-1] == 0:
        return left[:, :0]
    known = singular > 1e-10 * singular[0]
    n_directions = min(int(np.searchsorted(variance, share * variance[-1])) + 1, int(known.sum()))
    return left[:, :n_directions]


def mean_canonical(a: Float[np.ndarray, "n d1"], b: Float[np.ndarray, "n d2"]) -> float:
    """Mean canonical correlation of two spaces with orthonormal axes; over the smaller number of axes, 0 without any."""
    if min(a.shape[1], b.shape[1]) == 0:
        return 0.0
    return float(np.minimum(np.linalg.svd(a.T @ b, compute_uv=False), 1.0).mean())


class LeftOut(NamedTuple):
    """Predictions of what was left out; all NaN if there are too few rows for the columns."""

    errors: Float[np.ndarray, "n m"]
    """Of each row, predicted from all others."""
    coefficients: Float[np.ndarray, "k m"]
    """Of the fit to all rows."""
    r2: Float[np.ndarray, "m"]
    """One minus the sum of squared errors over that of predicting each row by the mean of the others; NaN without variation."""


def left_out(x: Real[np.ndarray, "n k"], y: Real[np.ndarray, "n m"]) -> LeftOut:
    """
    Predict each column of y from the columns of x by least squares with an intercept, each row from all others.

    The prediction of a row that is left out is off by its residual over one minus its leverage, so nothing is fitted again.
    Coefficients are the smallest ones where columns of x depend on each other.
    """
    x, y = centred(x), np.asarray(y, dtype=np.float64)
    n = len(y)
    left, singular, right = np.linalg.svd(x, full_matrices=False)
    known = singular > 1e-10 * max(singular.max(initial=0.0), 1e-300)
    axes = left[:, known]
    free = 1 - 1 / n - np.sum(axes**2, axis=1)
    away = centred(y)
    if (free < 1e-10).any():
        return LeftOut(np.full(y.shape, np.nan), np.full((x.shape[1], y.shape[1]), np.nan), np.full(y.shape[1], np.nan))
    along = axes.T @ away
    errors = (away - axes @ along) / free[:, None]
    total = np.sum((away / (1 - 1 / n)) ** 2, axis=0)
    varies = total > 1e-20 * np.sum(y**2, axis=0)
    r2 = np.where(varies, 1 - np.sum(errors**2, axis=0) / np.where(varies, total, 1.0), np.nan)
    return LeftOut(errors, right[known].T @ (along / singular[known][:, None]), r2)
