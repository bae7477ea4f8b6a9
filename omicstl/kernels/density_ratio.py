"""Weights that make source rows count like target rows: ratios of densities in kernels, without estimating either density.

numpy: a matrix of Gaussian kernels and small linear algebra. All weights are normalised to mean 1 over the source.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Real
from scipy.linalg import cho_factor, cho_solve

from .mmd import squared_distances


class Kliep(NamedTuple):
    """Coefficients of the kernels, the objective (mean log ratio over the target) after each step, and whether it converged."""

    alpha: Float[np.ndarray, "c"]
    objective: Float[np.ndarray, "steps"]
    converged: bool


class LeastSquares(NamedTuple):
    """Coefficients of the kernels, and the width and penalty that leave-one-out chose, with its score for each pair (less is better)."""

    theta: Float[np.ndarray, "c"]
    width: float
    penalty: float
    scores: Float[np.ndarray, "w l"]


def effective_size(weights: Real[np.ndarray, "n"]) -> float:
    """Effective number of rows, ``(sum w)^2 / sum w^2`` (Kish): n for equal weights, 1 if one row has all."""
    w = np.asarray(weights, dtype=np.float64)
    square = float(np.sum(w * w))
    return float(np.sum(w)) ** 2 / square if square > 0 else 0.0


def normalised(weights: Real[np.ndarray, "n"], *, clip: float | int = np.inf) -> Float[np.ndarray, "n"]:
    """Weights with mean 1, none above `clip` times the mean of the result; negative ones are 0."""
    w = np.maximum(np.asarray(weights, dtype=np.float64), 0.0)
    total = w.mean() if w.size else 0.0
    if not np.isfinite(total) or total <= 0:
        return np.ones(w.size)
    w = w / total
    for _ in range(100 if np.isfinite(clip) else 0):
        high = w > clip + 1e-12
        if not high.any():
            break
        w = np.minimum(w, clip)
        free = w < clip
        if not free.any() or w[free].sum() <= 0:
            break
        w[free] *= (w.size - clip * np.count_nonzero(~free)) / w[free].sum()
    return w


def kernels(x: Real[np.ndarray, "n d"], centres: Real[np.ndarray, "c d"], width: float) -> Float[np.ndarray, "n c"]:
    """``exp(-|x - c|^2 / width)``."""
    x, centres = np.asarray(x, dtype=np.float64), np.asarray(centres, dtype=np.float64)
    middle = centres.mean(axis=0)
    return np.exp(squared_distances(x - middle, centres - middle) / -width)


def kliep(
    target: Float[np.ndarray, "m c"],
    source_mean: Float[np.ndarray, "c"],
    *,
    max_iter: int = 20_000,
    tol: float = 1e-9,
) -> Kliep:
    r"""
    Maximise the mean log ratio over the target (KLIEP, Sugiyama 2008).

    .. math:: \max_{\alpha \ge 0} \frac{1}{m} \sum_j \log (A \alpha)_j \quad \text{with} \quad b^\top \alpha = 1,

    A the kernels of the target rows, b their means over the source rows. The update is that of an EM algorithm,
    :math:`\alpha_c \leftarrow \alpha_c \, [A^\top (1 / A\alpha)]_c / (m b_c)`: no step size, the constraint always holds, and the objective never falls.
    It has converged if the bound that duality gives, ``max_c [A'(1 / A alpha)]_c / (m b_c) - 1``, or the last gain is below `tol`.
    """
    m = len(target)
    usable = source_mean > 1e-300
    a, b = target[:, usable], source_mean[usable]
    alpha = np.full(b.size, 1.0 / b.sum())
    path, converged = [float(np.mean(np.log(a @ alpha)))], False
    for _ in range(max_iter):
        grow = a.T @ (1 / (a @ alpha)) / (m * b)
        if grow.max() - 1 < tol:
            converged = True
            break
        alpha = alpha * grow
        path.append(float(np.mean(np.log(a @ alpha))))
        if path[-1] - path[-2] < tol * max(1.0, abs(path[-1])) / 100:
            converged = True
            break
    whole = np.zeros(usable.size)
    whole[usable] = alpha
    return Kliep(whole, np.array(path), converged)


def relative_least_squares(
    source: Real[np.ndarray, "n d"],
    target: Real[np.ndarray, "m d"],
    centres: Real[np.ndarray, "c d"],
    *,
    widths: Float[np.ndarray, "w"],
    penalties: Float[np.ndarray, "l"],
    alpha: float = 0.1,
) -> LeastSquares:
    r"""
    Closed form of the relative ratio :math:`p_T / (\alpha p_T + (1 - \alpha) p_S)` (RuLSIF, Yamada 2013; uLSIF for alpha 0).

    .. math:: \theta = (\alpha \Phi_T^\top \Phi_T / m + (1 - \alpha) \Phi_S^\top \Phi_S / n + \lambda I)^{-1} \Phi_T^\top 1 / m

    The ratio is bounded by 1 / alpha, so that a few rows cannot take all the weight. Width and penalty have the least
    squared error on rows left out one at a time, source and target rows in pairs (Kanamori 2009, equation 14): one factorisation for each pair of them.
    """
    scores = np.zeros((len(widths), len(penalties)))
    best: tuple[float, np.ndarray, float, float] | None = None
    for i, width in enumerate(widths):
        s, t = kernels(source, centres, float(width)), kernels(target, centres, float(width))
        gram = alpha * (t.T @ t) / len(t) + (1 - alpha) * (s.T @ s) / len(s)
        mean = t.mean(axis=0)
        for j, penalty in enumerate(penalties):
            factor = cho_factor(gram + penalty * np.eye(len(mean)))
            theta = cho_solve(factor, mean)
            scores[i, j] = _left_out(s, t, factor, mean, alpha)
            if best is None or scores[i, j] < best[0]:
                best = float(scores[i, j]), theta, float(width), float(penalty)
    assert best is not None
    return LeastSquares(best[1], best[2], best[3], scores)


def _left_out(s: np.ndarray, t: np.ndarray, factor: tuple, mean: np.ndarray, alpha: float) -> float:
    """Squared error of each pair of a source and a target row, coefficients from all others and not below 0.

    Both rows leave the matrix by a change of rank two and the vector by one of rank one; the rest is not divided anew by n - 1.
    """
    n, m, k = len(s), len(t), min(len(s), len(t))
    s, t = s[:k], t[:k]
    # B_i = B - u u' - v v' with u = sqrt((1 - alpha) / n) s_i, v = sqrt(alpha / m) t_i, and h_i = (m h - t_i) / (m - 1).
    u, v = np.sqrt((1 - alpha) / n) * s, np.sqrt(alpha / m) * t
    bu, bv = cho_solve(factor, u.T).T, cho_solve(factor, v.T).T
    bt = cho_solve(factor, t.T).T
    bh = cho_solve(factor, mean)
    theta = (m * bh - bt) / (m - 1)
    # Woodbury with two vectors, row by row.
    uu, uv, vv = (np.einsum("ic,ic->i", x, y) for x, y in ((u, bu), (u, bv), (v, bv)))
    ut, vt = np.einsum("ic,ic->i", u, theta), np.einsum("ic,ic->i", v, theta)
    det = (1 - uu) * (1 - vv) - uv**2
    det = np.where(np.abs(det) > 1e-12, det, 1e-12)
    cu, cv = ((1 - vv) * ut + uv * vt) / det, ((1 - uu) * vt + uv * ut) / det
    theta = np.maximum(theta + cu[:, None] * bu + cv[:, None] * bv, 0.0)
    on_s, on_t = np.einsum("ic,ic->i", s, theta), np.einsum("ic,ic->i", t, theta)
    return float(np.mean(alpha * on_t**2 / 2 + (1 - alpha) * on_s**2 / 2 - on_t))
