"""k-means of directions: vectors and their negatives are the same point.

numpy: an iteration is one product with BLAS.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int


class Aligned(NamedTuple):
    """Cluster of every column, the sign that aligns it with its centre, and its cosine with the centre, at least 0."""

    labels: Int[np.ndarray, "columns"]
    signs: Float[np.ndarray, "columns"]
    cosines: Float[np.ndarray, "columns"]


def aligned_kmeans(
    columns: Float[np.ndarray, "n columns"],
    n_clusters: int,
    generator: np.random.Generator,
    *,
    n_starts: int = 5,
    max_iter: int = 100,
) -> Aligned:
    """
    Cluster unit columns by the absolute cosine with their centre, the best of several starts.

    Spherical k-means (Dhillon and Modha 2001) on lines instead of directions: a column joins the centre with the largest
    squared cosine, and a centre is the normalised sum of its columns, each with the sign of its cosine. Starts are drawn as in
    k-means++ (Arthur and Vassilvitskii 2007), with one minus the squared cosine as the squared distance. A cluster that runs
    empty takes the column that is worst served. Nothing changes if columns change their sign, up to `signs`.

    Parameters
    ----------
    columns
        Columns of length one.
    n_clusters
        Number of clusters, at most the number of columns.
    generator
        Draws the starts.
    n_starts
        Starts; the one with the largest sum of squared cosines is returned.
    max_iter
        Largest number of iterations of a start.
    """
    flipped = columns * lead_signs(columns)  # so that draws do not depend on the signs given
    best, best_value = None, -np.inf
    for _ in range(n_starts):
        centres = _start(flipped, n_clusters, generator)
        found = _iterate(flipped, centres, max_iter)
        value = float(np.sum(found.cosines**2))
        if value > best_value * (1 + 1e-9):
            best, best_value = found, value
    assert best is not None
    return best._replace(signs=best.signs * lead_signs(columns))


def lead_signs(columns: np.ndarray) -> np.ndarray:
    """The sign of each column's largest entry."""
    lead = columns[np.argmax(np.abs(columns), axis=0), np.arange(columns.shape[1])]
    return np.where(lead < 0, -1.0, 1.0).astype(columns.dtype)


def _start(columns: np.ndarray, n_clusters: int, generator: np.random.Generator) -> np.ndarray:
    n = columns.shape[1]
    chosen = [int(generator.integers(n))]
    left = 1 - (columns[:, chosen[0]] @ columns) ** 2
    for _ in range(1, n_clusters):
        weights = np.maximum(left, 0.0).astype(np.float64)
        weights[chosen] = 0
        total = weights.sum()
        unused = np.setdiff1d(np.arange(n), chosen)
        following = int(generator.choice(n, p=weights / total)) if total > 0 else int(generator.choice(unused))
        chosen.append(following)
        left = np.minimum(left, 1 - (columns[:, following] @ columns) ** 2)
    return columns[:, chosen]


def _iterate(columns: np.ndarray, centres: np.ndarray, max_iter: int) -> Aligned:
    k, each = centres.shape[1], np.arange(columns.shape[1])
    labels = np.full(columns.shape[1], -1)
    for _ in range(max_iter):
        cosines = centres.T @ columns
        new = np.argmax(np.abs(cosines), axis=0)
        best = cosines[new, each]
        for empty in np.setdiff1d(np.arange(k), new):  # rare
            spare = np.bincount(new, minlength=k)[new] > 1
            worst = int(np.argmin(np.where(spare, np.abs(best), np.inf)))
            new[worst], best[worst] = empty, 1.0
        unchanged = np.array_equal(new, labels)
        labels = new
        signs = np.where(best < 0, -1.0, 1.0).astype(columns.dtype)
        member = np.zeros((columns.shape[1], k), columns.dtype)
        member[each, labels] = signs
        sums = columns @ member
        centres = sums / np.maximum(np.linalg.norm(sums, axis=0), np.finfo(columns.dtype).tiny)
        if unchanged:
            break
    cosines = (centres.T @ columns)[labels, each]
    signs = np.where(cosines < 0, -1.0, 1.0).astype(columns.dtype)
    return Aligned(labels, signs, np.minimum(np.abs(cosines), 1))
