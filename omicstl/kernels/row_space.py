"""Coordinates of rows in the space that they span: what depends on lengths and angles alone is computed there (numpy, LAPACK)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.linalg

_RANK = 1e-10  # of the largest eigenvalue of a Gram matrix


class RowSpace(NamedTuple):
    """Orthonormal `basis` (p, r), descending by the sum of squares of the rows along it, and coordinates of the rows (n, r)."""

    basis: np.ndarray
    rows: np.ndarray
    kept: float  # share of the sum of squares


def row_space(x: np.ndarray, rank: int | None = None, *, generator: np.random.Generator | None = None) -> RowSpace:
    """Rows (n, p) in an orthonormal basis of their span, at most `rank` directions; exact where the span has no more.

    The smaller of the two Gram matrices is decomposed; `generator` allows to find the leading directions of a matrix with more than
    3,000 rows and columns by subspace iteration. The sign of a direction makes its entries' sum of cubes positive.
    """
    n, p = x.shape
    total = float(np.vdot(x, x))
    if generator is not None and rank is not None and min(n, p) > 3000:
        basis = _leading(x, rank, generator)
    elif n < p:
        values, u = scipy.linalg.eigh(x @ x.T, driver="evd", check_finite=False)
        used = np.flatnonzero(values > _RANK * max(values[-1], np.finfo(float).tiny))[::-1][:rank]
        basis = x.T @ (u[:, used] / np.sqrt(values[used]))
        basis = np.linalg.qr(basis)[0]  # Gram matrices lose half of the digits of small directions
    else:
        values, v = scipy.linalg.eigh(x.T @ x, driver="evd", check_finite=False)
        used = np.flatnonzero(values > _RANK * max(values[-1], np.finfo(float).tiny))[::-1][:rank]
        basis = v[:, used]
    basis = basis * np.where((basis**3).sum(axis=0) < 0, -1.0, 1.0)
    rows = x @ basis
    return RowSpace(basis, rows, float(np.vdot(rows, rows)) / total if total > 0 else 1.0)


def _leading(x: np.ndarray, rank: int, generator: np.random.Generator, n_iter: int = 4) -> np.ndarray:
    found = generator.standard_normal((x.shape[1], rank + 10))
    for _ in range(n_iter):
        found = np.linalg.qr(x.T @ np.linalg.qr(x @ found)[0])[0]
    _, _, v = scipy.linalg.svd(x @ found, full_matrices=False)
    return (found @ v.T)[:, :rank]
