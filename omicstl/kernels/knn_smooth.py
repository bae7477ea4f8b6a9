"""Smoothing of scores over a sparse graph of neighbours (scipy: sparse products, which BLAS threads and compilers do not speed up)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

_BLOCK = 1024  # rows whose distances are looked at together
_RUN = 32  # columns of which the smallest is taken first


class Smoothed(NamedTuple):
    """Smoothed scores (m, d), and how the solver ended."""

    scores: np.ndarray
    n_iter: int
    converged: bool


def neighbours(x: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions and Euclidean distances (m, k) of each row's nearest other rows, exactly; O(m² columns) time, O(m) memory."""
    m = len(x)
    k = min(k, m - 1)
    square = np.einsum("ij,ij->i", x, x)
    index, distance = np.empty((m, k), np.int64), np.empty((m, k), x.dtype)
    for low in range(0, m, _BLOCK):
        part = slice(low, min(low + _BLOCK, m))
        gap = square[part, None] + square
        inner = x[part] @ x.T
        inner *= 2
        gap -= inner
        own = np.arange(part.start, part.stop)
        gap[own - low, own] = np.inf
        index[part] = _smallest(gap, k)
        distance[part] = np.sqrt(np.maximum(np.take_along_axis(gap, index[part], axis=1), 0))
    return index, distance


def _smallest(values: np.ndarray, k: int) -> np.ndarray:
    """Positions (n, k) of the smallest values of each row (n, m), ascending; of equal ones the first.

    No value above the k-th smallest minimum of runs of columns can be among them, which leaves few to sort.
    """
    n, m = values.shape
    if k == 0:
        return np.empty((n, 0), np.int64)
    runs = m // _RUN
    if runs >= 2 * k:
        lows = values[:, : runs * _RUN].reshape(n, runs, _RUN).min(axis=2)
        row, column = np.nonzero(values <= np.partition(lows, k - 1, axis=1)[:, k - 1, None])
        if row.size <= 8 * k * n:  # else too many are equal
            order = np.lexsort((column, values[row, column], row))
            first = np.searchsorted(row, np.arange(n))
            return column[order[first[:, None] + np.arange(k)]]
    near = np.argpartition(values, k - 1, axis=1)[:, :k]
    order = np.lexsort((near, np.take_along_axis(values, near, axis=1)), axis=1)
    return np.take_along_axis(near, order, axis=1)


def graph_of(index: np.ndarray) -> sp.csr_matrix:
    """Symmetric graph of neighbours (m, k): an edge weighs 1 where both name each other, and 1/2 where one does."""
    m, k = index.shape
    places = np.sort(index, axis=1).astype(np.int32).ravel()
    directed = sp.csr_matrix((np.full(m * k, 0.5), places, np.arange(m + 1) * k), shape=(m, m))
    return (directed + directed.T).tocsr()


def smooth(
    graph: sp.spmatrix, scores: np.ndarray, strength: float, *, tol: float = 1e-6, max_iter: int = 500
) -> Smoothed:
    r"""Average scores (m, d) along random walks on `graph` that stop after an exponential time of mean `strength`.

    .. math:: F = (I + s L)^{-1} S, \qquad L = (D - W) / \bar d

    W is the symmetric part of the graph without its diagonal, D its degrees with mean :math:`\bar d`, and time is counted in steps of a
    walk from a row of mean degree. The weights are symmetric, not negative and sum to 1 in each row and each column: the mean of
    a column of scores is kept and no value leaves their range. A row without neighbours keeps its score. Solved by conjugate
    gradients, whose directions all have mean zero, to a residual of `tol` of each column's spread.
    """
    given = np.asarray(scores)
    if strength < 0 or not np.isfinite(strength):
        msg = f"`strength` must be >= 0 and finite, got {strength}."
        raise ValueError(msg)
    s = given.reshape(len(given), -1).astype(np.float64)
    w = _symmetric(graph, len(s))
    degree = np.asarray(w.sum(axis=1)).ravel()
    mean_degree = degree.mean() if degree.size else 0.0
    if strength == 0 or mean_degree == 0 or not s.size:
        return Smoothed(given.copy(), 0, True)
    step = strength / mean_degree
    diagonal = 1 + step * degree[:, None]

    def system(f: np.ndarray) -> np.ndarray:
        return diagonal * f - step * (w @ f)

    f = s.copy()
    residual = s - system(f)
    limit = (tol**2) * np.maximum(np.einsum("ij,ij->j", s - s.mean(axis=0), s - s.mean(axis=0)), np.finfo(float).tiny)
    direction = residual.copy()
    square = np.einsum("ij,ij->j", residual, residual)
    n_iter = 0
    while (square > limit).any() and n_iter < max_iter:
        moved = system(direction)
        length = np.divide(
            square, np.einsum("ij,ij->j", direction, moved), out=np.zeros_like(square), where=square > limit
        )
        f += length * direction
        residual -= length * moved
        new = np.einsum("ij,ij->j", residual, residual)
        going = square > limit
        direction = np.where(
            going, residual + np.divide(new, square, out=np.zeros_like(new), where=going) * direction, 0
        )
        square = new
        n_iter += 1
    dtype = given.dtype if given.dtype.kind == "f" else np.float64
    return Smoothed(f.reshape(given.shape).astype(dtype), n_iter, bool((square <= limit).all()))


def _symmetric(graph: sp.spmatrix, m: int) -> sp.csr_matrix:
    w = sp.csr_matrix(graph, dtype=np.float64)
    if w.shape != (m, m):
        msg = f"a graph of {m} rows has shape {(m, m)}, got {w.shape}."
        raise ValueError(msg)
    if w.nnz and (not np.isfinite(w.data).all() or w.data.min() < 0):
        msg = "the weights of a graph must be finite and not negative."
        raise ValueError(msg)
    turned = w.T.tocsr()
    pairs = ((w.indptr, turned.indptr), (w.indices, turned.indices), (w.data, turned.data))
    if w.has_canonical_format and all(map(np.array_equal, *zip(*pairs, strict=True))) and not w.diagonal().any():
        return w
    w = (w + turned).tocsr()
    w.data *= 0.5
    w.setdiag(0)
    w.eliminate_zeros()
    return w
