"""Non-negative elastic net for many responses at once: working-set coordinate descent on the Gram matrix."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int


class WorkingSet(NamedTuple):
    """The coordinates that each response is solved on, and their Gram matrices."""

    chosen: Int[Array, "size k"]
    gram: Float[Array, "size size k"]


class Solution(NamedTuple):
    """Coefficients, the working set they were found on, and whether that set was too small."""

    coef: Float[Array, "m k"]
    working: WorkingSet
    overflow: Bool[Array, ""]
    n_sweeps: Int[Array, ""]


MAX_SWEEPS, MAX_ROUNDS = 1000, 50


def start(gram: np.ndarray, k: int, size: int) -> WorkingSet:
    """The first `size` coordinates for each of `k` responses, in numpy; `solve` exchanges them as needed."""
    index = np.repeat(np.arange(size, dtype=np.int32)[:, None], k, axis=1)
    return WorkingSet(index, _gather(gram, index))


def solve(
    gram: Float[Array, "m m"],
    screen: Float[Array, "m m"],
    corr: Float[Array, "m k"],
    penalty: Float[Array, ""],
    ridge: Float[Array, "k"],
    allowed: Bool[Array, "m k"],
    spread: Float[Array, "k"],
    coef: Float[Array, "m k"],
    working: WorkingSet,
    tol: float,
) -> Solution:
    r"""Minimise :math:`\tfrac12 b^\top G b - r^\top b + \lambda \sum b + \tfrac{d}{2} \lVert b \rVert^2` over :math:`b \ge 0`.

    One problem for each of the ``k`` columns of `corr`; `coef` is the warm start.
    Coordinates outside `allowed` and those without variance stay at zero.
    A coordinate is at rest when its step :math:`\delta` has :math:`G_{jj} \delta^2 < tol \cdot s^2`, with ``s`` from `spread`:
    glmnet's rule, checked on every coordinate and not on the working set alone.
    `screen` is `gram` in the precision (float32 will do) of that last check, the costliest product.
    If a response needs more coordinates than the set holds, `Solution.overflow` is set and a larger one is due.
    """
    variance = jnp.diagonal(gram)
    usable = allowed & (variance > 0)[:, None]
    curvature = variance[:, None] + ridge[None, :]
    limit = tol * spread**2
    columns = jnp.arange(corr.shape[1])[None, :]

    def descend(working: WorkingSet, coef: Array) -> tuple[Array, Array]:
        index, local = working
        size = index.shape[0]
        b = jnp.where(usable[index, columns], coef[index, columns], 0)
        g = corr[index, columns] - jnp.sum(local * b[None, :, :], axis=1) - penalty
        own = variance[index]
        inverse = jnp.where(usable[index, columns], 1 / (own + ridge[None, :]), 0)

        def sweep(carry: tuple[Array, Array, Array, Array]) -> tuple[Array, Array, Array, Array]:
            def coordinate(j: Array, inner: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
                b, g, largest = inner
                step = jnp.maximum((g[j] + own[j] * b[j]) * inverse[j], 0) - b[j]
                largest = jnp.maximum(largest, own[j] * step**2)
                return b.at[j].add(step), g - local[j] * step[None, :], largest

            b, g, _, n = carry
            # Coordinates at zero that would not move are skipped beyond the last that may: exchanges put support first.
            free = jnp.any((b > 0) | ((g > 0) & (inverse > 0)), axis=1)
            reach = jnp.max(jnp.where(free, jnp.arange(1, size + 1), 0))
            b, g, largest = jax.lax.fori_loop(0, reach, coordinate, (b, g, jnp.zeros_like(limit)))
            return b, g, jnp.any(largest > limit), n + 1

        b, _, _, n = jax.lax.while_loop(
            lambda c: c[2] & (c[3] < MAX_SWEEPS), sweep, (b, g, jnp.array(True), jnp.array(0))
        )
        return jnp.zeros_like(coef).at[index, columns].set(b), n

    def step(
        carry: tuple[Array, WorkingSet, Array, Array, Array, Array],
    ) -> tuple[Array, WorkingSet, Array, Array, Array, Array]:
        coef, working, _, _, rounds, sweeps = carry
        coef, n = descend(working, coef)
        slope = corr - screen @ coef.astype(screen.dtype) - ridge[None, :] * coef - penalty
        gain = jnp.where(usable, jnp.maximum(slope / jnp.where(usable, curvature, 1), -coef), 0)
        moves = variance[:, None] * gain**2 > 4 * limit[None, :]
        more = jnp.any(moves)
        size = working.chosen.shape[0]
        overflow = jnp.any((jnp.sum(coef > 0, axis=0) >= size) & jnp.any(moves, axis=0)) & (size < coef.shape[0])

        def exchange(_: None) -> WorkingSet:
            score = jnp.where(
                coef > 0,
                jnp.inf,
                jnp.where(usable, slope / jnp.sqrt(jnp.where(usable, variance[:, None], 1)), -jnp.inf),
            )
            index = jax.lax.top_k(score.T, size)[1].T.astype(jnp.int32)
            return WorkingSet(index, _gather(gram, index))

        working = jax.lax.cond(more & ~overflow, exchange, lambda _: working, None)
        return coef, working, more, overflow, rounds + 1, sweeps + n

    no = jnp.array(False)
    first = (coef, working, jnp.array(True), no, jnp.array(0), jnp.array(0))
    coef, working, _, overflow, _, sweeps = jax.lax.while_loop(
        lambda c: c[2] & ~c[3] & (c[4] < MAX_ROUNDS), step, first
    )
    return Solution(coef, working, overflow, sweeps)


def _gather(gram: Array | np.ndarray, index: Array | np.ndarray) -> Array | np.ndarray:
    return gram[index[:, None, :], index[None, :, :]]
