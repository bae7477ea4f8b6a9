"""Logistic regression with a squared penalty, and what it predicts for rows and groups left out (numpy, float64, LAPACK)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.linalg
import scipy.optimize

_MAX_ITER = 100
_HALVINGS = 30


class Logistic(NamedTuple):
    """Fits along a path of l penalties, of n rows and p columns."""

    coefficients: np.ndarray  # (l, p)
    intercept: np.ndarray  # (l,)
    left_out: np.ndarray  # (l, n) linear predictors of rows whose group was left out
    risk: np.ndarray  # (l,) weighted mean log loss of those
    converged: np.ndarray  # (l,)


class Multinomial(NamedTuple):
    """A fit of c classes."""

    coefficients: np.ndarray  # (p, c), rows sum to zero
    intercept: np.ndarray  # (c,), sums to zero
    converged: bool


def log_loss(predictor: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Loss in nats of linear predictors for classes 0 and 1."""
    return np.logaddexp(0, predictor) - y * predictor


def expit(predictor: np.ndarray) -> np.ndarray:
    """Probability of class 1."""
    return np.exp(-np.logaddexp(0, -predictor))


def logistic_path(
    x: np.ndarray,
    y: np.ndarray,
    penalties: np.ndarray,
    *,
    weights: np.ndarray | None = None,
    groups: np.ndarray | None = None,
    patience: int | None = None,
    tol: float = 1e-8,
) -> Logistic:
    r"""Logistic regression of classes 0 and 1 at every penalty, from the largest to the smallest, by Newton steps.

    .. math:: \min_{b_0, b} \sum_i w_i [\log(1 + e^{\eta_i}) - y_i \eta_i] + \tfrac{\lambda}{2} \|b\|^2, \qquad \eta = b_0 + X b

    to a gradient below `tol` of the sum of weights. Without the rows G, one Newton step from the fit of all predicts there
    :math:`\eta_G + H_G (I - D_G H_G)^{-1} g_G`, with :math:`H = X M^{-1} X'` (M the Hessian), D its weights and g the gradients of
    the rows: what a refit would, to second order. `groups` (n,) are left out together, `None` leaves out single rows. After
    `patience` penalties without a lower risk the path ends; those not reached have infinite risk and coefficients of zero.
    """
    a = np.column_stack([np.ones(len(x)), np.asarray(x, np.float64)])
    y = np.asarray(y, np.float64)
    w = np.ones(len(a)) if weights is None else np.asarray(weights, np.float64)
    grid = np.asarray(penalties, np.float64)
    if not grid.size or not (grid > 0).all():
        msg = f"`penalties` must be a list of numbers > 0, got {penalties!r}."
        raise ValueError(msg)
    if not 0 < float(w @ y) < float(w.sum()):
        msg = "`y` must have rows of weight in class 0 and in class 1."
        raise ValueError(msg)
    codes = None if groups is None else np.unique(groups, return_inverse=True)[1].reshape(-1)
    b = np.zeros(a.shape[1])
    b[0] = np.log(w @ y / (w @ (1 - y)))
    coefficients, left_out = np.zeros((grid.size, a.shape[1])), np.zeros((grid.size, len(a)))
    converged, risk, worse = np.zeros(grid.size, bool), np.full(grid.size, np.inf), 0
    for i in np.argsort(-grid, kind="stable"):
        b, hessian, converged[i] = _newton(a, y, w, float(grid[i]), b, tol)
        coefficients[i] = b
        left_out[i] = _left_out(a, y, w, b, hessian, codes)
        best, risk[i] = risk.min(), float(w @ log_loss(left_out[i], y)) / w.sum()
        worse = worse + 1 if risk[i] > best else 0
        if worse == patience:
            break
    return Logistic(coefficients[:, 1:], coefficients[:, 0], left_out, risk, converged)


def _objective(a: np.ndarray, y: np.ndarray, w: np.ndarray, penalty: float, b: np.ndarray) -> float:
    return float(w @ log_loss(a @ b, y) + 0.5 * penalty * (b[1:] @ b[1:]))


def _newton(
    a: np.ndarray, y: np.ndarray, w: np.ndarray, penalty: float, b: np.ndarray, tol: float
) -> tuple[np.ndarray, tuple[np.ndarray, bool], bool]:
    ridge = np.full(a.shape[1], penalty)
    ridge[0] = 0.0
    value = _objective(a, y, w, penalty, b)
    for _ in range(_MAX_ITER):
        p = expit(a @ b)
        gradient = a.T @ (w * (p - y)) + ridge * b
        hessian = (a * (w * p * (1 - p))[:, None]).T @ a
        hessian[np.diag_indices_from(hessian)] += ridge
        hessian[0, 0] += 1e-12 * w.sum()
        factor = scipy.linalg.cho_factor(hessian, overwrite_a=True, check_finite=False)
        if np.abs(gradient).max() < tol * w.sum():
            return b, factor, True
        step = scipy.linalg.cho_solve(factor, gradient, check_finite=False)
        length = 1.0
        for _ in range(_HALVINGS):
            new = _objective(a, y, w, penalty, b - length * step)
            if new <= value - 1e-4 * length * float(gradient @ step) or new <= value * (1 + 1e-14):
                break
            length /= 2
        b, value = b - length * step, new
    return b, factor, False


def _left_out(
    a: np.ndarray,
    y: np.ndarray,
    w: np.ndarray,
    b: np.ndarray,
    factor: tuple[np.ndarray, bool],
    codes: np.ndarray | None,
) -> np.ndarray:
    eta = a @ b
    p = expit(eta)
    d, g = w * p * (1 - p), w * (p - y)
    solved = scipy.linalg.cho_solve(factor, a.T, check_finite=False)  # M^-1 X'
    if codes is None:
        h = np.einsum("ij,ji->i", a, solved)
        return eta + g * h / np.maximum(1 - d * h, 1e-8)
    found = np.empty_like(eta)
    for code in range(int(codes.max()) + 1):
        rows = np.flatnonzero(codes == code)
        h = a[rows] @ solved[:, rows]
        found[rows] = eta[rows] + h @ np.linalg.solve(np.eye(rows.size) * (1 + 1e-10) - d[rows, None] * h, g[rows])
    return found


def multinomial(
    x: np.ndarray,
    y: np.ndarray,
    n_classes: int,
    penalty: float,
    *,
    weights: np.ndarray | None = None,
    tol: float = 1e-7,
) -> Multinomial:
    """Logistic regression of codes 0, 1, ... with ``penalty / 2`` times the sum of squared coefficients, by L-BFGS."""
    n, p = x.shape
    w = np.ones(n) if weights is None else np.asarray(weights, np.float64)
    hot = np.eye(n_classes)[np.asarray(y, np.int64)]
    total = w.sum()

    def value_and_gradient(flat: np.ndarray) -> tuple[float, np.ndarray]:
        b = flat.reshape(p + 1, n_classes)
        eta = x @ b[1:] + b[0]
        log_norm = np.logaddexp.reduce(eta, axis=1)
        loss = w @ (log_norm - (eta * hot).sum(axis=1)) + 0.5 * penalty * float(np.vdot(b[1:], b[1:]))
        residual = w[:, None] * (np.exp(eta - log_norm[:, None]) - hot)
        gradient = np.concatenate([residual.sum(axis=0)[None], x.T @ residual + penalty * b[1:]])
        return float(loss / total), gradient.ravel() / total

    begin = np.zeros((p + 1, n_classes))
    begin[0] = np.log(np.maximum(w @ hot, 1e-12) / total)
    found = scipy.optimize.minimize(
        value_and_gradient,
        begin.ravel(),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": 2000, "gtol": tol, "ftol": 1e-15, "maxcor": 20},
    )
    b = found.x.reshape(p + 1, n_classes)
    b = b - b.mean(axis=1, keepdims=True)
    gradient = float(np.abs(value_and_gradient(b.ravel())[1]).max())
    return Multinomial(b[1:], b[0], gradient < 100 * tol)
