"""Small dense algebra inside compiled loops."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

_LAPACK_FROM = 160


def spd_inverse(matrix: Float[Array, "k k"]) -> Float[Array, "k k"]:
    """Inverse of a symmetric positive definite matrix.

    Small ones by Gauss-Jordan steps in compiled code, which need no pivots here: LAPACK's threads may spin for longer than
    such a matrix takes, twice an iteration, on busy cores. Large ones by LAPACK.
    """
    if matrix.shape[0] > _LAPACK_FROM:
        return jnp.linalg.inv(matrix)

    def pivot(i: Array, a: Array) -> Array:
        column, inverse = a[:, i], 1 / a[i, i]
        row = a[i] * inverse
        a = (a - column[:, None] * row[None, :]).at[i].set(row)
        return a.at[:, i].set((-column * inverse).at[i].set(inverse))

    return jax.lax.fori_loop(0, matrix.shape[0], pivot, matrix)
