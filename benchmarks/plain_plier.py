"""PLIER as a plain port of its equations: NumPy, and scikit-learn's elastic net one factor and one penalty at a time.

The peer of `bench_plier.py`: what one gets in Python without a solver of one's own. It follows the original's order of work
(65 penalties at every search), with Gram matrices precomputed.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata
from sklearn.linear_model import ElasticNet

GRID = np.exp(-np.arange(4, 12.01, 0.125))


def weights(z: np.ndarray, c: np.ndarray, gram: np.ndarray, penalties: np.ndarray) -> np.ndarray:
    """Weights (penalties, sets, factors) along a falling path of penalties, warm from one to the next."""
    out = np.zeros((len(penalties), c.shape[1], z.shape[1]))
    for i in range(z.shape[1]):
        net = ElasticNet(
            fit_intercept=False, positive=True, precompute=gram, warm_start=True, tol=1e-6, max_iter=10_000
        )
        for n, penalty in enumerate(penalties):
            ridge = 0.1 * penalty / max(z[:, i].std(), 1e-12)
            total = 0.9 * penalty + ridge
            net.set_params(alpha=total, l1_ratio=0.9 * penalty / total)
            out[n, :, i] = net.fit(c, z[:, i] - z[:, i].mean(), check_input=False).coef_
    return out


def plain_plier(
    y: np.ndarray, c: np.ndarray, b: np.ndarray, prior_weight: float, score_penalty: float, n_iter: int
) -> np.ndarray:
    """Run `n_iter` iterations from scores `b` and return the weights."""
    m, k = c.shape[1], len(b)
    overlap = c.T @ c
    chat = np.linalg.solve(overlap @ overlap + 25 * np.eye(m), overlap) @ c.T
    z, u, penalty = None, np.zeros((m, k)), None
    for i in range(1, n_iter + 1):
        if i >= 20:
            sets = np.flatnonzero((rankdata(-(chat @ z), axis=0) <= 10).any(1))
            part = np.asfortranarray(c[:, sets] - c[:, sets].mean(0))
            gram = np.ascontiguousarray(part.T @ part)
            u = np.zeros((m, k))
            if i % 20 == 0:
                path = weights(z, part, gram, GRID)
                best = np.argmin(np.abs(0.7 - (path > 0).any(1).mean(1)))
                penalty, u[sets] = GRID[best], path[best]
            else:
                u[sets] = weights(z, part, gram, np.array([penalty]))[0]
        z = np.maximum((y @ b.T + prior_weight * c @ u) @ np.linalg.inv(b @ b.T + prior_weight * np.eye(k)), 0)
        b = np.linalg.solve(z.T @ z + score_penalty * np.eye(k), z.T @ y)
    return u
