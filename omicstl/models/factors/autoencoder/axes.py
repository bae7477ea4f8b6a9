"""Leading principal axes of standardised rows, which stand in for genes that other data lack (numpy and LAPACK)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

EXACT = 3000  # rows or genes up to which the eigenvectors of a Gram matrix are taken
EXTRA, ROUNDS = 20, 4  # of the randomised range finder beyond
LEAST_NOISE = 1e-3
SINGULAR = 1e-7  # of the largest eigenvalue: below it are rounding errors of products in float32

Blocks = Callable[[], Iterator[np.ndarray]]


class Axes(NamedTuple):
    """Orthonormal axes (p, d), variances along them (d,), and the variance that they leave of each gene (p,)."""

    components: np.ndarray
    variance: np.ndarray
    noise: np.ndarray


def principal_axes(
    blocks: Blocks,
    n: int,
    p: int,
    d: int | Callable[[np.ndarray], int],
    generator: np.random.Generator,
    *,
    exact: float = EXACT,
) -> Axes:
    """
    Axes of centred rows that come in float32 blocks, read as often as needed.

    `d` axes, or as many as a function of the eigenvalues (falling; of Z'Z) says, and no more than are independent: rows or genes that
    repeat others, and batches, leave fewer. Exact where rows or genes are at most `exact`. Else from the range that powers of the Gram matrix leave of random directions (Halko,
    Martinsson and Tropp 2011, algorithm 4.4), good to the axes that matter here: those above noise. Signs: an axis sums to at least 0.
    """
    import scipy.linalg

    most = min(p, max(n - 1, 1))

    def number(values: np.ndarray) -> int:
        values = np.maximum(values[::-1], 0)
        independent = int(np.count_nonzero(values > values[0] * SINGULAR))
        return max(1, min(most, independent, d(values) if callable(d) else d))

    if min(n, p) > exact:
        if callable(d):
            msg = "a number of axes is needed where the eigenvalues are not all computed."
            raise ValueError(msg)
        basis = np.linalg.qr(generator.standard_normal((p, min(d, most) + EXTRA)))[0]
        for _ in range(ROUNDS):
            basis = np.linalg.qr(_gram_times(blocks, basis))[0]
        values, small = scipy.linalg.eigh(basis.T @ _gram_times(blocks, basis))
        d = number(values)
        axes = basis @ small[:, ::-1][:, :d]
    elif p <= n:
        gram = np.zeros((p, p))
        for block in blocks():
            gram += block.T @ block
        values, vectors = scipy.linalg.eigh(gram, driver="evd", overwrite_a=True, check_finite=False)
        d = number(values)
        axes = vectors[:, ::-1][:, :d]
    else:
        z = np.concatenate(list(blocks()))
        values, left = scipy.linalg.eigh((z @ z.T).astype(np.float64), driver="evd", check_finite=False)
        d = number(values)
        length = np.sqrt(np.maximum(values[::-1][:d], np.finfo(np.float64).tiny))
        axes = np.linalg.qr((z.T @ (left[:, ::-1][:, :d] / length).astype(np.float32)).astype(np.float64))[0]
    variance = np.maximum(values[::-1][:d], 0) / max(n - 1, 1)
    square = np.zeros(p)
    for block in blocks():
        square += np.einsum("ng,ng->g", block, block, dtype=np.float64)
    axes = axes * np.where(axes.sum(axis=0) < 0, -1.0, 1.0)
    noise = np.maximum(square / max(n - 1, 1) - axes**2 @ variance, LEAST_NOISE)
    return Axes(np.ascontiguousarray(axes, np.float32), variance, noise)


def _gram_times(blocks: Blocks, basis: np.ndarray) -> np.ndarray:
    total = np.zeros_like(basis)
    narrow = basis.astype(np.float32)
    for block in blocks():
        total += block.T @ (block @ narrow)
    return total
