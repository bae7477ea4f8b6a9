"""The optimal transport map between two Gaussians, which is linear (numpy, LAPACK)."""

from __future__ import annotations

import numpy as np
import scipy.linalg

from .coral import Covariance, _check, shrunk_covariance


def monge_map(source: Covariance, target: Covariance) -> np.ndarray:
    r"""Symmetric matrix (r, r) of the map that carries one covariance to the other at least squared cost.

    .. math:: A = C_s^{-1/2} (C_s^{1/2} C_t C_s^{1/2})^{1/2} C_s^{-1/2}
    """
    _check(source)
    root, inverse = source.power(0.5), source.power(-0.5)
    inner = root @ target.power(1.0) @ root
    values, vectors = scipy.linalg.eigh((inner + inner.T) / 2, driver="evd", check_finite=False)
    half = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    matrix = inverse @ half @ inverse
    return (matrix + matrix.T) / 2


def linear_transport(
    source: np.ndarray,
    target: np.ndarray,
    *,
    shrinkage: float | None = None,
    ridge: float = 0.0,
    n_features: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Map of the source onto the target :cite:p:`Flamary2019`: a matrix (r, r) and an offset (r,), for ``x @ matrix + offset``.

    `shrinkage`, `ridge` and `n_features` are those of `coral.shrunk_covariance`, so that the map exists with fewer rows than variables.
    """
    first = shrunk_covariance(source, shrinkage=shrinkage, ridge=ridge, n_features=n_features)
    second = shrunk_covariance(target, shrinkage=shrinkage, ridge=ridge, n_features=n_features)
    matrix = monge_map(first, second)
    return matrix, target.mean(axis=0) - source.mean(axis=0) @ matrix


def squared_distance(source: Covariance, target: Covariance, n_outside: int = 0) -> float:
    """Squared Bures distance of two covariances; `n_outside` directions have the variances outside of the space of the rows."""
    root = source.power(0.5)
    inner = root @ target.power(1.0) @ root
    values = np.linalg.eigvalsh((inner + inner.T) / 2)
    inside = source.values.sum() + target.values.sum() - 2 * np.sqrt(np.maximum(values, 0)).sum()
    return float(inside + n_outside * (np.sqrt(source.outside) - np.sqrt(target.outside)) ** 2)
