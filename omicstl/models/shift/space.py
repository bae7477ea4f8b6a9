"""Few coordinates for two domains: principal components of both together, without labels (numpy)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from omicstl.kernels import rank

MOST = 20


class Space(NamedTuple):
    """Means and scales of the columns, and components; `transform` gives coordinates with variance one over both domains."""

    mean: np.ndarray
    scale: np.ndarray
    components: np.ndarray

    def transform(self, x: np.ndarray) -> np.ndarray:
        """Coordinates of rows, float64."""
        return ((x - self.mean) / self.scale).astype(np.float64) @ self.components


def learn(source: np.ndarray, target: np.ndarray, *, n_comps: int | None = None) -> Space:
    """
    Leading components of z-scored columns, each domain weighing the same, scaled to variance one.

    `None`: those above the edge of Marchenko and Pastur, between 2 and 20; beyond about 20 weights of single rows take over.
    """
    from scipy.sparse.linalg import svds

    x = np.concatenate([source, target]).astype(np.float32)
    n, m = len(source), len(target)
    weight = np.repeat([0.5 / n, 0.5 / m], [n, m]).astype(np.float32)
    mean = weight @ x
    x -= mean
    scale = np.sqrt(np.maximum(weight @ (x * x), 0.0))
    flat = scale <= 1e-6 * np.maximum(np.abs(mean), 1e-6)
    scale = np.where(flat, np.float32(np.inf), scale)
    x /= scale
    x *= np.sqrt(weight)[:, None]
    most = min(MOST if n_comps is None else n_comps, n + m - 1, int(np.count_nonzero(~flat)))
    if most < 1:
        msg = "All columns are constant over both domains, or vary by less than 1e-12 or a millionth of their mean: there is nothing to compare. Multiply tiny values by a constant."
        raise ValueError(msg)
    small = min(x.shape) <= 300
    if small or most >= min(x.shape) - 1:
        _, d, right = np.linalg.svd(x.astype(np.float64), full_matrices=False)
        d, right = d[:most], right[:most]
    else:
        _, d, right = svds(x, k=most, v0=np.ones(min(x.shape), dtype=np.float32))
        d, right = d[::-1].astype(np.float64), right[::-1].astype(np.float64)
    known = max(1, int(np.count_nonzero(d > 1e-6 * d[0])))
    k = known
    if n_comps is None:
        found = rank.marchenko_pastur((n + m) * d**2, int(np.count_nonzero(~flat)), n + m)
        k = min(known, max(found, 2))
    signs = np.where(right[:k].sum(axis=1) < 0, -1.0, 1.0)
    return Space(mean, scale, (right[:k] * (signs / d[:k])[:, None]).T)
