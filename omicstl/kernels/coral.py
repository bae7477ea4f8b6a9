"""Correlation alignment: covariances, shrunk so that their roots exist, and the map between two of them (numpy, LAPACK).

Everything here commutes with rotations. Data of more variables than rows are brought into the space of their rows first
(`row_space`), where matrices are as large as the number of rows; `n_features` then tells how many variables there were, since what
lies outside of that space has a shrunk variance too.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.linalg


class Covariance(NamedTuple):
    """A shrunk covariance: eigenvectors (r, r) and eigenvalues (r,) in the space of the rows, and the variance outside of it."""

    vectors: np.ndarray
    values: np.ndarray
    outside: float
    shrinkage: float

    def power(self, exponent: float) -> np.ndarray:
        """The matrix (r, r) to this power."""
        return (self.vectors * self.values**exponent) @ self.vectors.T


def shrunk_covariance(
    x: np.ndarray,
    *,
    shrinkage: float | None = None,
    ridge: float = 0.0,
    ddof: int = 0,
    n_features: int | None = None,
) -> Covariance:
    r"""Covariance of rows (n, r), which are centred here, shrunk towards a multiple of the identity.

    .. math:: (1 - a) S + a \frac{\operatorname{tr} S}{p} I + \rho I

    `shrinkage` a: `None` is the estimate of Ledoit and Wolf (2004). `ridge` is :math:`\rho`. `n_features` p, where rows
    are coordinates in a smaller space.
    """
    n, r = x.shape
    p = r if n_features is None else n_features
    centred = x - x.mean(axis=0)
    s = centred.T @ centred / max(n - ddof, 1)
    level = float(np.trace(s)) / p
    a = ledoit_wolf(centred, p) if shrinkage is None else float(shrinkage)
    values, vectors = scipy.linalg.eigh(s, driver="evd", check_finite=False)
    floor = a * level + ridge
    return Covariance(vectors, (1 - a) * np.maximum(values, 0) + floor, floor, a)


def ledoit_wolf(centred: np.ndarray, p: int) -> float:
    """Share of the identity that minimises the expected squared error, of centred rows (n, r) of `p` variables."""
    n = len(centred)
    gram = centred.T @ centred if centred.shape[1] <= n else centred @ centred.T
    square = float(np.vdot(gram, gram)) / n**2  # ||S||^2
    level = float(np.vdot(centred, centred)) / (n * p)
    spread = square - p * level**2
    fourth = float((np.einsum("ij,ij->i", centred, centred) ** 2).sum())
    noise = (fourth / n - square) / n
    return float(np.clip(noise / spread, 0, 1)) if spread > 0 else 1.0


def map_between(source: Covariance, target: Covariance) -> np.ndarray:
    """Matrix A (r, r) such that centred source rows times A have the covariance of the target: ``C_s^(-1/2) C_t^(1/2)``."""
    _check(source)
    return source.power(-0.5) @ target.power(0.5)


def _check(source: Covariance) -> None:
    low, high = float(source.values.min(initial=np.inf)), float(source.values.max(initial=0.0))
    if not low > 1e-12 * high:
        msg = "the source's covariance is singular; shrink it (`shrinkage`) or add a ridge (`ridge`)."
        raise ValueError(msg)


def coral(
    source: np.ndarray,
    target: np.ndarray,
    *,
    shrinkage: float | None = None,
    ridge: float = 0.0,
    ddof: int = 0,
    n_features: int | None = None,
    center: bool = True,
) -> tuple[np.ndarray, np.ndarray]:
    """Map of the source onto the target :cite:p:`Sun2016a`: a matrix (r, r) and an offset (r,), for ``x @ matrix + offset``.

    With `center` rows are centred at the source's mean and moved to the target's (as skada); without it the
    matrix alone is applied, so that means are turned and stretched too (as adapt and the original).
    """
    options = {"shrinkage": shrinkage, "ridge": ridge, "ddof": ddof, "n_features": n_features}
    matrix = map_between(shrunk_covariance(source, **options), shrunk_covariance(target, **options))  # type: ignore[arg-type]
    if not center:
        return matrix, np.zeros(matrix.shape[1])
    return matrix, target.mean(axis=0) - source.mean(axis=0) @ matrix
