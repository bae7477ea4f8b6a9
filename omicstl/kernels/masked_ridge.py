"""Ridge regression of many outputs with missing values, and what it predicts for rows and groups left out (numpy, float64).

Eigendecompositions and symmetric products are LAPACK's and BLAS's; nothing is left that a compiler would speed up.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import scipy.linalg

_RANK = 1e-12  # of the largest eigenvalue: what is below carries no direction of the data


class MaskedRidge(NamedTuple):
    """Coefficients at each output's chosen penalty, and predictions for rows that were left out, of n rows, p columns, d outputs."""

    coefficients: np.ndarray  # (p, d)
    intercept: np.ndarray  # (d,)
    penalty: np.ndarray  # (d,) chosen; NaN for an output with fewer than two values
    left_out: np.ndarray  # (n, d) predictions at the chosen penalty; NaN where the output is missing
    path: np.ndarray  # (l, n, d) the same at every penalty
    risk: np.ndarray  # (l, d) mean squared error of those


def penalty_grid(x: np.ndarray, n: int = 13, low: float = 1e-3, high: float = 1e3) -> np.ndarray:
    """Penalties from `low` to `high` times the mean eigenvalue of the centred ``X'X``."""
    centred = x - x.mean(axis=0)
    rank = max(1, min(x.shape[0] - 1, x.shape[1]))
    scale = float(np.vdot(centred, centred)) / rank
    return np.geomspace(low, high, n) * (scale if scale > 0 else 1.0)


def patterns(seen: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows that are seen and the outputs that see just these, for every distinct column of `seen` (n, d)."""
    packed = np.packbits(seen, axis=0).T
    _, code = np.unique(np.ascontiguousarray(packed), axis=0, return_inverse=True)
    code = code.reshape(-1)
    for pattern in range(int(code.max(initial=-1)) + 1):
        outputs = np.flatnonzero(code == pattern)
        yield np.flatnonzero(seen[:, outputs[0]]), outputs


def masked_ridge(
    x: np.ndarray,
    y: np.ndarray,
    penalties: np.ndarray,
    *,
    groups: np.ndarray | None = None,
    weights: np.ndarray | None = None,
    shared: bool = False,
    left_out: bool = True,
) -> MaskedRidge:
    r"""Ridge of each column of `y` on `x`, on the rows where it is not NaN, with an intercept that is not penalised.

    .. math:: \min_{b_0, b} \sum_i w_i (y_i - b_0 - x_i' b)^2 + \lambda \|b\|^2

    One eigendecomposition for each pattern of missing values, of the smaller of ``XX'`` and ``X'X``, serves all penalties and all
    outputs. With the hat matrix H (in coordinates scaled by the roots of the weights) what a fit without the rows G predicts
    there is exact, without a refit: ``y_G - (I - H_GG)^{-1} (y_G - yhat_G)``. `groups` (n,) are left out together; `None` leaves
    out single rows. The penalty of an output has the least squared error of these predictions; `shared` takes one penalty for all, with
    the least mean over outputs of that error divided by the output's variance. `weights` (n,) are above zero.

    With one penalty there is nothing to choose, and without `left_out` these predictions are not made: NaN, with infinite risk.

    A group that holds all rows of an output has NaN predictions. An output with fewer than two values has NaN everywhere.
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    grid = np.asarray(penalties, np.float64)
    if grid.ndim != 1 or not grid.size or not (grid > 0).all():
        msg = f"`penalties` must be a list of numbers > 0, got {penalties!r}."
        raise ValueError(msg)
    if not left_out and grid.size > 1:
        msg = "a penalty is chosen by what is left out: give one penalty, or leave rows out."
        raise ValueError(msg)
    w = np.ones(len(x)) if weights is None else np.asarray(weights, np.float64)
    if not (w > 0).all():
        msg = "`weights` must be > 0; leave out rows without weight."
        raise ValueError(msg)
    codes = np.arange(len(x)) if groups is None else np.unique(groups, return_inverse=True)[1].reshape(-1)
    centre = x.mean(axis=0)  # far from the origin the products below would cancel
    x = x - centre
    wide = x.shape[1] > len(x)
    inner = x @ x.T if wide else x  # all that is needed of the columns
    n, d = y.shape
    path = np.full((grid.size, n, d), np.nan)
    kept = []  # (rows, outputs, eigenvalues, vectors, centred roots) of each pattern
    for rows, outputs in patterns(np.isfinite(y)):
        if rows.size < 2:
            continue
        root = np.sqrt(w[rows])
        values, u = _spectrum(inner, rows, root, wide)
        if left_out:
            path[:, rows[:, None], outputs] = _left_out(values, u, root, y[np.ix_(rows, outputs)], grid, codes[rows])
        kept.append((rows, outputs, values, u, root))
    risk = _risk(path, y)
    chosen = _choose(risk, y, shared)
    dual, intercept, penalty = np.zeros((n, d)), np.full(d, np.nan), np.full(d, np.nan)
    for rows, outputs, values, u, root in kept:
        penalty[outputs] = grid[chosen[outputs]]
        dual[rows[:, None], outputs] = _dual(values, u, root, y[np.ix_(rows, outputs)], penalty[outputs])
    coefficients = x.T @ dual
    for rows, outputs, _, _, root in kept:
        share = root**2 / (root @ root)
        intercept[outputs] = share @ y[np.ix_(rows, outputs)] - (share @ x[rows] + centre) @ coefficients[:, outputs]
    coefficients[:, np.isnan(penalty)] = np.nan
    predicted = np.take_along_axis(path, chosen[None, None, :], axis=0)[0]
    return MaskedRidge(coefficients, intercept, penalty, predicted, path, risk)


def _spectrum(inner: np.ndarray, rows: np.ndarray, root: np.ndarray, wide: bool) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues (r,) and vectors (m, r) of the centred, weighted ``XX'`` of some rows."""
    share = root**2 / (root @ root)
    if wide:
        k = inner[np.ix_(rows, rows)]
        mean = share @ k
        k = (k - mean - mean[:, None] + share @ mean) * root * root[:, None]
        values, u = scipy.linalg.eigh(k, driver="evd", overwrite_a=True, check_finite=False)
        used = values > _RANK * max(values[-1], np.finfo(float).tiny)
        return values[used], u[:, used]
    centred = (inner[rows] - share @ inner[rows]) * root[:, None]
    if len(rows) <= centred.shape[1]:
        values, u = scipy.linalg.eigh(centred @ centred.T, driver="evd", overwrite_a=True, check_finite=False)
        used = values > _RANK * max(values[-1], np.finfo(float).tiny)
        return values[used], u[:, used]
    values, v = scipy.linalg.eigh(centred.T @ centred, driver="evd", overwrite_a=True, check_finite=False)
    used = values > _RANK * max(values[-1], np.finfo(float).tiny)
    return values[used], centred @ (v[:, used] / np.sqrt(values[used]))


def _left_out(
    values: np.ndarray, u: np.ndarray, root: np.ndarray, y: np.ndarray, grid: np.ndarray, codes: np.ndarray
) -> np.ndarray:
    """Predictions (l, m, e) for rows whose group was left out."""
    unit = root / np.sqrt(root @ root)
    target = y * root[:, None]
    kept = values / (values + grid[:, None])  # (l, r)
    mean = unit[:, None] * (unit @ target)
    fitted = mean + u @ (kept[:, :, None] * (u.T @ (target - mean)))  # (l, m, e)
    error = target - fitted
    groups = [np.flatnonzero(codes == code) for code in np.unique(codes)]
    if len(groups) == len(codes):
        hat = kept @ (u**2).T + unit**2  # (l, m)
        return (target - error / np.maximum(1 - hat, np.finfo(float).eps)[:, :, None]) / root[:, None]
    predicted = np.full_like(fitted, np.nan)
    for rows in groups:
        if rows.size == len(codes):
            continue
        part = u[rows]
        hat = (part * kept[:, None, :]) @ part.T + np.outer(unit[rows], unit[rows])
        rest = np.linalg.solve(np.eye(rows.size) - hat, error[:, rows])
        predicted[:, rows] = (target[rows] - rest) / root[rows, None]
    return predicted


def _risk(path: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Mean squared error (l, d) over what was predicted; infinite where nothing was."""
    square = (path - y) ** 2
    known = np.isfinite(square)
    return np.where(
        known.any(axis=1), np.where(known, square, 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1), np.inf
    )


def _choose(risk: np.ndarray, y: np.ndarray, shared: bool) -> np.ndarray:
    """Position of the penalty (d,); the largest of equals."""
    if shared:
        seen = np.isfinite(y)
        n = np.maximum(seen.sum(axis=0), 1)
        mean = np.where(seen, y, 0).sum(axis=0) / n
        variance = np.where(seen, (y - mean) ** 2, 0).sum(axis=0) / n
        usable = np.isfinite(risk).all(axis=0) & (variance > 0)
        total = (risk[:, usable] / variance[usable]).sum(axis=1, keepdims=True)
        risk = np.broadcast_to(total, (len(risk), y.shape[1]))
    return len(risk) - 1 - np.argmin(risk[::-1], axis=0)


def _dual(values: np.ndarray, u: np.ndarray, root: np.ndarray, y: np.ndarray, penalty: np.ndarray) -> np.ndarray:
    """Weights of rows (m, e) whose combination of the centred rows is the coefficients."""
    target = y * root[:, None]
    unit = root / np.sqrt(root @ root)
    target = target - unit[:, None] * (unit @ target)
    inside = u.T @ target
    a = u @ (inside / (values[:, None] + penalty))
    a = a * root[:, None]
    # The rows are not centred where this is used: their weighted mean is taken out here instead.
    return a - (root**2 / (root @ root))[:, None] * a.sum(axis=0)
