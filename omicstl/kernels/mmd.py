"""Maximum mean discrepancy of two samples with a mixture of Gaussian kernels (Gretton 2012), in blocks.

numpy rather than JAX: five exponentials and a product a block. 2 x 2,000 rows of 20 columns with 200 permutations take 0.30 s of one
core here and 0.24 s in a compiled loop of JAX in blocks of 1,000 (0.21 and 0.11 s without permutations), which compiles anew for every size of the last block.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Real

from .permutation import permutation_p

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
BLOCK = 1024
MOST = 1000  # rows for the bandwidths


class Mmd(NamedTuple):
    """Squared discrepancy, what permuted labels give, and the share of these at least as large (counting the data themselves)."""

    value: float
    null: Float[np.ndarray, "r"]
    p: float


def squared_distances(x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "m d"]) -> Float[np.ndarray, "n m"]:
    """Squared Euclidean distances by one product; centre the columns first where means are large."""
    d2 = np.sum(x * x, axis=1)[:, None] + np.sum(y * y, axis=1)[None, :] - 2 * (x @ y.T)
    return np.maximum(d2, 0.0, out=d2)


def bandwidths(
    x: Real[np.ndarray, "n d"],
    y: Real[np.ndarray, "m d"],
    *,
    generator: np.random.Generator,
    quantiles: tuple[float, ...] = QUANTILES,
) -> Float[np.ndarray, "b"]:
    """
    Quantiles of the squared distances between rows of both samples together, at most 1,000 of them drawn at random.

    The middle one is the median heuristic. Labels play no part, so permutation tests stay exact.
    """
    pooled = np.concatenate([x, y]).astype(np.float64)
    if len(pooled) > MOST:
        pooled = pooled[np.sort(generator.choice(len(pooled), MOST, replace=False))]
    d2 = squared_distances(pooled - pooled.mean(axis=0), pooled - pooled.mean(axis=0))
    apart = d2[np.triu_indices(len(pooled), k=1)]
    found = np.quantile(apart, quantiles)
    least = 1e-12 * max(float(apart.max(initial=0.0)), 1e-300)
    return np.maximum(found, least)


def gram(d2: Float[np.ndarray, "n m"], widths: Float[np.ndarray, "b"]) -> Float[np.ndarray, "n m"]:
    """Mean over bandwidths of ``exp(-d2 / width)``, positive definite."""
    total = np.exp(d2 / -widths[0])
    for width in widths[1:]:
        total += np.exp(d2 / -width)
    total /= len(widths)
    return total


def mmd2(
    x: Real[np.ndarray, "n d"],
    y: Real[np.ndarray, "m d"],
    widths: Float[np.ndarray, "b"],
    *,
    n_permutations: int = 0,
    generator: np.random.Generator | None = None,
    block: int = BLOCK,
) -> Mmd:
    r"""
    Unbiased estimate of the squared discrepancy (Gretton 2012, equation 3), and its p under permuted labels.

    .. math:: \frac{\sum_{i \ne j} k(x_i, x_j)}{n (n - 1)} + \frac{\sum_{i \ne j} k(y_i, y_j)}{m (m - 1)} - \frac{2 \sum_{ij} k(x_i, y_j)}{n m}

    It may be negative. The Gram matrix of both samples is never held: blocks of its upper triangle are made once and
    multiplied with the labels and all their permutations, so memory is ``block (block + permutations) + rows permutations``.
    """
    n, m = len(x), len(y)
    if min(n, m) < 2:
        return Mmd(float("nan"), np.zeros(0), float("nan"))
    pooled = np.concatenate([x, y]).astype(np.float64)
    pooled -= pooled.mean(axis=0)
    member = np.zeros((n + m, 1 + n_permutations))
    member[:n, 0] = 1
    for r in range(n_permutations):
        assert generator is not None
        member[generator.permutation(n + m)[:n], 1 + r] = 1
    within, row_total, total = np.zeros(1 + n_permutations), np.zeros(1 + n_permutations), 0.0
    for i in range(0, n + m, block):
        left, here = pooled[i : i + block], slice(i, i + block)
        for j in range(i, n + m, block):
            k = gram(squared_distances(left, pooled[j : j + block]), widths)
            there = slice(j, j + block)
            if i == j:
                np.fill_diagonal(k, 0.0)
            twice = 1 if i == j else 2
            within += twice * np.einsum("ir,ir->r", member[here], k @ member[there])
            row_total += k.sum(axis=1) @ member[here]
            if i != j:
                row_total += k.sum(axis=0) @ member[there]
            total += twice * float(k.sum())
    across = row_total - within
    other = total - within - 2 * across
    values = within / (n * (n - 1)) + other / (m * (m - 1)) - 2 * across / (n * m)
    return Mmd(float(values[0]), values[1:], permutation_p(float(values[0]), values[1:]))
