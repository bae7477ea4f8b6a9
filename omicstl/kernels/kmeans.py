"""k-means of points that are known by their inner products alone.

With all inner products at hand an iteration costs p² additions, whatever the number of dimensions, and a start reads rows of
them. So 5,400 points in 6,500 dimensions take 5 s for the products and five starts, where one start on the coordinates takes 20
(scikit-learn; `benchmarks/bench_gene_modules.py`), points that come in blocks of dimensions never lie in memory, and the
order of additions does not depend on threads. numpy and scipy: an iteration is one sparse product.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import scipy.sparse as sp

SAME = 1e-6  # squared distance, relative to the points' squared length, below which points are one


@runtime_checkable
class Points(Protocol):
    """Points by their inner products."""

    squares: np.ndarray  # (p,) with themselves

    def products(self, index: np.ndarray) -> np.ndarray:
        """Inner products of all points with those at `index`, (p, c)."""
        ...

    def sums(self, member: sp.csr_array) -> np.ndarray:
        """Inner products of all points with sums of points, `member` (k, p) of 0 and 1; (p, k)."""
        ...


class Gram:
    """Points by the matrix of their inner products, (p, p)."""

    def __init__(self, gram: np.ndarray) -> None:
        self._gram = gram.T if gram.flags.f_contiguous else gram  # symmetric; products want rows in a row
        self.squares = np.diagonal(gram).astype(np.float64)

    def products(self, index: np.ndarray) -> np.ndarray:
        """Inner products of all points with those at `index`, (p, c)."""
        return self._gram[index].T

    def sums(self, member: sp.csr_array) -> np.ndarray:
        """Inner products of all points with sums of points, (p, k)."""
        return (member.astype(self._gram.dtype) @ self._gram).T


class Coordinates:
    """Points as rows, (p, n): less memory than their inner products where there are few dimensions."""

    def __init__(self, rows: np.ndarray) -> None:
        self._rows = rows
        self.squares = np.einsum("pn,pn->p", rows, rows, dtype=np.float64)

    def products(self, index: np.ndarray) -> np.ndarray:
        """Inner products of all points with those at `index`, (p, c)."""
        return self._rows @ self._rows[index].T

    def sums(self, member: sp.csr_array) -> np.ndarray:
        """Inner products of all points with sums of points, (p, k)."""
        return self._rows @ (member.astype(self._rows.dtype) @ self._rows).T


class KMeans(NamedTuple):
    """Cluster of each point; its inner product with the sum of its cluster; share of the squared length between clusters."""

    labels: np.ndarray  # (p,); a cluster has no point only where fewer than k points differ
    with_own: np.ndarray  # (p,)
    explained: float
    n_iter: int
    converged: bool


def kmeans(
    points: Points, n_clusters: int, generator: np.random.Generator, *, n_starts: int = 5, max_iter: int = 100
) -> KMeans:
    """
    Find clusters with a small sum of squared distances to their means: Lloyd's algorithm, the best of several starts.

    Parameters
    ----------
    points
        Points by their inner products.
    n_clusters
        Number of clusters, at most the number of points.
    generator
        Draws the starts.
    n_starts
        Starts by greedy k-means++ (Arthur and Vassilvitskii 2007): of ``2 + log k`` points drawn in proportion to their squared
        distance, the one that helps most.
    max_iter
        Largest number of iterations of a start.
    """
    best = None
    for _ in range(n_starts):
        found = _lloyd(points, _start(points, n_clusters, generator), max_iter)
        if best is None or found.explained > best.explained * (1 + 1e-9):
            best = found
    assert best is not None
    return best


def _start(points: Points, k: int, generator: np.random.Generator) -> np.ndarray:
    """Positions of the first centres; where fewer points differ than are wanted, some are equal."""
    squares = points.squares
    n_trials = 2 + int(np.log(k))
    chosen = np.empty(k, dtype=np.intp)
    chosen[0] = generator.integers(squares.size)
    left = _distances(points, chosen[:1])[:, 0]
    for i in range(1, k):
        reach = np.cumsum(left)
        drawn = np.searchsorted(reach, generator.random(n_trials) * reach[-1], side="right")
        drawn = np.minimum(drawn, squares.size - 1)
        after = np.minimum(left[:, None], _distances(points, drawn))
        best = int(np.argmin(after.sum(axis=0)))
        chosen[i], left = drawn[best], after[:, best]
    return chosen


def _distances(points: Points, index: np.ndarray) -> np.ndarray:
    """Squared distances of all points to those at `index`, exactly 0 between points that are one."""
    squares = points.squares
    both = squares[:, None] + squares[index]
    apart = both - 2.0 * points.products(index)
    return np.where(apart > SAME * both, apart, 0.0)


def _lloyd(points: Points, start: np.ndarray, max_iter: int) -> KMeans:
    squares, k, each = points.squares, start.size, np.arange(points.squares.size)
    labels = np.argmin(_distances(points, start), axis=1)
    for n_iter in range(1, max_iter + 1):
        sizes = np.bincount(labels, minlength=k)
        sums = points.sums(_member(labels, sizes))
        with_own = sums[each, labels].astype(np.float64)
        inside = np.bincount(labels, weights=with_own, minlength=k)  # squared length of the sums
        size = np.maximum(sizes, 1)
        closeness = (2.0 / size) * sums - inside / size**2  # |z|² - |z - mean|²
        closeness[:, sizes == 0] = -np.inf
        new = np.argmax(closeness, axis=1)
        _refill(new, squares - closeness[each, new], squares, k)
        if np.array_equal(new, labels) or n_iter == max_iter:
            break
        labels = new
    explained = float(np.sum(inside / size) / np.sum(squares))
    return KMeans(labels, with_own, explained, n_iter, bool(np.array_equal(new, labels)))


def _member(labels: np.ndarray, sizes: np.ndarray) -> sp.csr_array:
    ends = np.concatenate([[0], np.cumsum(sizes)])
    order = np.argsort(labels, kind="stable")
    return sp.csr_array((np.ones(labels.size), order, ends), shape=(sizes.size, labels.size))


def _refill(labels: np.ndarray, apart: np.ndarray, squares: np.ndarray, k: int) -> None:
    """Give each empty cluster the point that lies furthest from its mean, as long as one lies apart at all."""
    sizes = np.bincount(labels, minlength=k)
    for empty in np.flatnonzero(sizes == 0):
        movable = np.where((sizes[labels] > 1) & (apart > SAME * squares), apart, -np.inf)
        furthest = int(np.argmax(movable))
        if movable[furthest] == -np.inf:
            return
        sizes[labels[furthest]] -= 1
        sizes[empty] = 1
        labels[furthest], apart[furthest] = empty, 0.0
