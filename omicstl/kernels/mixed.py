r"""Linear models of many responses with one design: least squares, and a random intercept for every block by REML.

.. math:: y = X b + Z u + e, \quad u \sim N(0, \sigma_u^2 I), \; e \sim N(0, \sigma_e^2 I), \quad
          \lambda = \sigma_u^2 / \sigma_e^2, \quad V = I + \lambda Z Z^\top

Z says which block a row is of, so that :math:`V^{-1}` is closed: in a block of m rows :math:`I - w 1 1^\top` with
:math:`w = \lambda / (1 + \lambda m)`. Everything needs only :math:`X^\top X` and sums over blocks, and all responses are
solved side by side, each with a :math:`\lambda` of its own. NumPy in double precision: the arrays are small.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

GRID = np.array([0.0, 0.02, 0.05, *np.arange(0.1, 0.95, 0.1), 0.95, 0.98, 0.99, 0.999, 0.9999])
"""Within-block correlations at which the likelihood is looked at before it is refined."""
BISECTIONS = 45


class LinearFit(NamedTuple):
    """A fit of k responses. `gradient` and `spread` are those of the two variances (block, residual).

    `beta` (k, p); `covariance` (k, p, p) of beta if the variances were known, and `adjusted` (k, p, p) for their being
    estimates; `gradient` (k, 2, p, p), the derivative of `covariance`; `spread` (k, 2, 2), the covariance of the two
    variances; `correlation` (k,) within blocks, NaN without; `variance` (k,) of one row given the design, and its
    degrees of freedom `variance_df` (k,).
    """

    beta: np.ndarray
    covariance: np.ndarray
    adjusted: np.ndarray
    gradient: np.ndarray
    spread: np.ndarray
    correlation: np.ndarray
    variance: np.ndarray
    variance_df: np.ndarray


def least_squares(x: np.ndarray, y: np.ndarray, df: int) -> LinearFit:
    """Ordinary least squares of y (n, k) on x (n, p) of full rank with `df` residual degrees of freedom."""
    k, p = y.shape[1], x.shape[1]
    orthonormal, r = np.linalg.qr(x)
    back = np.linalg.inv(r)
    inverse = back @ back.T
    beta = back @ (orthonormal.T @ y)
    variance = np.sum((y - x @ beta) ** 2, axis=0) / df
    gradient = np.zeros((k, 2, p, p))
    gradient[:, 1] = inverse
    spread = np.zeros((k, 2, 2))
    spread[:, 1, 1] = 2 * variance**2 / df
    covariance = variance[:, None, None] * inverse
    unknown, degrees = np.full(k, np.nan), np.full(k, float(df))
    return LinearFit(beta.T, covariance, covariance, gradient, spread, unknown, variance, degrees)


class _Sums(NamedTuple):
    """What the likelihood needs of the data: sizes m (b,), products, and sums over blocks.

    Columns of x are orthonormal and y is what least squares leave, so that ``X'y = 0`` and nothing large cancels.
    """

    n: int
    m: np.ndarray
    xx: np.ndarray
    yy: np.ndarray
    sx: np.ndarray
    sy: np.ndarray
    sxx: np.ndarray


def _sums(x: np.ndarray, y: np.ndarray, block: np.ndarray) -> _Sums:
    order = np.argsort(block, kind="stable")
    starts = np.flatnonzero(np.diff(block[order], prepend=-1))
    sx, sy = np.add.reduceat(x[order], starts), np.add.reduceat(y[order], starts)
    sxx = (sx[:, :, None] * sx[:, None, :]).reshape(len(starts), -1)
    m = np.bincount(block).astype(np.float64)
    return _Sums(len(x), m, x.T @ x, np.sum(y * y, axis=0), sx, sy, sxx)


class _At(NamedTuple):
    """The fit at given λ (k,).

    `d`: 1 / (1 + λ m) (k, b). `a`: A = X'V⁻¹X, and its inverse (k, p, p). `beta` (k, p). `rss`: the weighted residual sum
    of squares (k,). `residual`: sums of residuals over blocks (k, b).
    """

    d: np.ndarray
    a: np.ndarray
    inverse: np.ndarray
    beta: np.ndarray
    rss: np.ndarray
    residual: np.ndarray


def _less(s: _Sums, weights: np.ndarray) -> np.ndarray:
    """``X'X - sum_i w_i (X_i' 1)(1' X_i)`` for weights (k, b)."""
    p = s.xx.shape[0]
    return s.xx - (weights @ s.sxx).reshape(-1, p, p)


def _sandwich(s: _Sums, weights: np.ndarray) -> np.ndarray:
    p = s.xx.shape[0]
    return (weights @ s.sxx).reshape(-1, p, p)


def _at(s: _Sums, ratio: np.ndarray) -> _At:
    d = 1 / (1 + ratio[:, None] * s.m)
    w = ratio[:, None] * d
    a = _less(s, w)
    inverse = np.linalg.inv(a)
    xvy = -(w * s.sy.T) @ s.sx
    beta = np.einsum("kpq,kq->kp", inverse, xvy)
    rss = s.yy - np.sum(w * s.sy.T**2, axis=1) - np.sum(beta * xvy, axis=1)
    return _At(d, a, inverse, beta, np.maximum(rss, 1e-14 * s.yy), s.sy.T - beta @ s.sx.T)


def _likelihood(s: _Sums, ratio: np.ndarray) -> np.ndarray:
    """Profile restricted log likelihood (k,), without constants."""
    at = _at(s, ratio)
    free = s.n - s.xx.shape[0]
    return -0.5 * (free * np.log(at.rss) - np.sum(np.log(at.d), axis=1) + np.linalg.slogdet(at.a)[1])


def _slope(s: _Sums, ratio: np.ndarray) -> np.ndarray:
    """Derivative of the likelihood with respect to λ."""
    at = _at(s, ratio)
    free = s.n - s.xx.shape[0]
    trace = at.d @ s.m - np.sum(at.inverse * _sandwich(s, at.d**2), axis=(1, 2))
    return -0.5 * (trace - free * np.sum((at.d * at.residual) ** 2, axis=1) / at.rss)


def _best_correlation(s: _Sums) -> np.ndarray:
    """REML estimate of λ / (1 + λ) in [0, 1): the best point of a grid, then the root of the slope beside it."""
    k = s.yy.size
    ratio = GRID / (1 - GRID)
    best = np.argmax([_likelihood(s, np.full(k, r)) for r in ratio], axis=0)
    low, high = GRID[np.maximum(best - 1, 0)], GRID[np.minimum(best + 1, GRID.size - 1)]
    at_zero = (best == 0) & (_slope(s, np.zeros(k)) <= 0)
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        rising = _slope(s, middle / (1 - middle)) > 0
        low, high = np.where(rising, middle, low), np.where(rising, high, middle)
    return np.where(at_zero, 0.0, (low + high) / 2)


def random_intercept(x: np.ndarray, y: np.ndarray, block: np.ndarray) -> LinearFit:
    """REML fit of y (n, k) on x (n, p) with a random intercept for each block (codes 0..b-1, each in use).

    The correlation within blocks is estimated for every response by itself, and is 0 where it would be negative.
    `adjusted` is Kenward and Roger's (1997); their second derivatives are zero, for V is linear in the variances.
    x must have full rank and leave degrees of freedom both between and within blocks.
    """
    orthonormal, r = np.linalg.qr(x)
    first = orthonormal.T @ y
    s = _sums(orthonormal, y - orthonormal @ first, block)
    correlation = _best_correlation(s)
    ratio = correlation / (1 - correlation)
    at = _at(s, ratio)
    d, inverse, m = at.d, at.inverse, s.m
    residual = at.rss / (s.n - x.shape[1])
    m_block = _sandwich(s, d**2)  # X' V^-1 ZZ' V^-1 X
    m_rest = _less(s, (1 - d**2) / m)  # X' V^-2 X
    c_block, c_rest = inverse @ m_block, inverse @ m_rest

    def trace(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.einsum("kpq,kqp->k", a, b)

    # X' V^-1 A V^-1 B V^-1 X, where each of A and B is ZZ' (block) or I (rest)
    q_block, q_both, q_rest = _sandwich(s, m * d**3), _sandwich(s, d**3), _less(s, (1 - d**3) / m)
    # twice the expected information of the two variances, times the residual variance squared
    rest = s.n - m.size + np.sum(d**2, axis=1) - 2 * trace(inverse, q_rest) + trace(c_rest, c_rest)
    both = d**2 @ m - 2 * trace(inverse, q_both) + trace(c_block, c_rest)
    own = d**2 @ m**2 - 2 * trace(inverse, q_block) + trace(c_block, c_block)
    information = np.stack([np.stack([own, both], -1), np.stack([both, rest], -1)], -2)
    unit = 2 * np.linalg.inv(information)
    spread = residual[:, None, None] ** 2 * unit
    w_block, w_both, w_rest = (unit[:, i, j, None, None] for i, j in ((0, 0), (0, 1), (1, 1)))
    excess = w_block * (q_block - m_block @ c_block) + w_rest * (q_rest - m_rest @ c_rest)
    excess = excess + w_both * (2 * q_both - m_block @ c_rest - m_rest @ c_block)
    back = np.linalg.inv(r)

    def outer(a: np.ndarray) -> np.ndarray:
        return back @ a @ back.T

    total = residual * (1 + ratio)
    return LinearFit(
        beta=(first.T + at.beta) @ back.T,
        covariance=outer(residual[:, None, None] * inverse),
        adjusted=outer(residual[:, None, None] * (inverse + 2 * inverse @ excess @ inverse)),
        gradient=np.stack([outer(c_block @ inverse), outer(c_rest @ inverse)], axis=1),
        spread=spread,
        correlation=correlation,
        variance=total,
        variance_df=2 * total**2 / spread.sum(axis=(1, 2)),
    )


def contrast_df(fit: LinearFit, contrasts: np.ndarray) -> np.ndarray:
    """Satterthwaite's degrees of freedom (k,) of one contrast: coefficients (p,), or (k, p) for each response its own."""
    c = np.broadcast_to(contrasts, fit.beta.shape)
    variance = np.einsum("kp,kpq,kq->k", c, fit.covariance, c)
    slope = np.einsum("kp,kjpq,kq->kj", c, fit.gradient, c)
    return 2 * variance**2 / np.einsum("kj,kjl,kl->k", slope, fit.spread, slope)


def joint_df(fit: LinearFit, contrasts: np.ndarray) -> np.ndarray:
    """Degrees of freedom (k,) of the F test of contrasts (q, p) together (Fai and Cornelius 1996, their method 1)."""
    q = len(contrasts)
    covariance = contrasts @ fit.covariance @ contrasts.T
    axes = np.swapaxes(np.linalg.eigh(covariance)[1], 1, 2) @ contrasts
    df = np.stack([contrast_df(fit, axes[:, j]) for j in range(q)], axis=1)
    enough = (df > 2).all(axis=1)
    expected = np.sum(df / np.where(df > 2, df - 2, np.inf), axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        together = np.where(enough, 2 * expected / (expected - q), 2.0)
    same = np.ptp(df, axis=1) < 1e-8 * df.max(axis=1)
    return np.where(same, df.mean(axis=1), together)


def joint_test(fit: LinearFit, contrasts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Covariance (k, q, q) and degrees of freedom (k,) of the F test of contrasts (q, p) together (Kenward and Roger 1997).

    The covariance is the adjusted one over their scale of F. Where their moments do not exist, because the degrees of
    freedom are about 2 or fewer, those of `joint_df` are taken. One contrast has Satterthwaite's.
    """
    q = len(contrasts)
    covariance = contrasts @ fit.adjusted @ contrasts.T
    weight = np.linalg.inv(contrasts @ fit.covariance @ contrasts.T)[:, None] @ (contrasts @ fit.gradient @ contrasts.T)
    traces = np.trace(weight, axis1=2, axis2=3)
    a1 = np.einsum("ki,kij,kj->k", traces, fit.spread, traces)
    a2 = np.einsum("kipq,kij,kjqp->k", weight, fit.spread, weight)
    b = (a1 + 6 * a2) / (2 * q)
    g = ((q + 1) * a1 - (q + 4) * a2) / ((q + 2) * a2)
    c1, c2, c3 = (part / (3 * q + 2 * (1 - g)) for part in (g, q - g, q + 2 - g))
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = 1 / (1 - a2 / q)
        ratio = (1 + c1 * b) / ((1 - c2 * b) ** 2 * (1 - c3 * b)) / (q * mean**2)
        df = 4 + (q + 2) / (q * ratio - 1)
        scale = df / (mean * (df - 2))
    exist = (a2 < q) & (c2 * b < 1) & (c3 * b < 1) & (q * ratio > 1) & (q > 1)
    scale, df = np.where(exist, scale, 1.0), np.where(exist, df, joint_df(fit, contrasts))
    return covariance / scale[:, None, None], df
