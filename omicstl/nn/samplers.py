"""Which rows a training step sees: pure functions of a key and the number of the step.

Nothing is remembered between steps, so that a run can be resumed, cut into chunks and spread over devices without a change
of the order in which it sees the data.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

ROUNDS = 8


class Batch(NamedTuple):
    """Rows of a step. A short batch is filled up with rows of weight 0, which must not count."""

    rows: Int[Array, "batch"]
    weights: Float[Array, "batch"]


def steps_per_epoch(n_rows: int, batch_size: int) -> int:
    """Number of batches that see every row once, the last one short if need be."""
    return -(-n_rows // batch_size)


def shuffled(key: jax.Array, step: jax.Array, n_rows: int, batch_size: int) -> Batch:
    """Rows without replacement: every row once in an epoch, in an order of its own in each; the last batch may be short."""
    per_epoch = steps_per_epoch(n_rows, batch_size)
    place = (step % per_epoch) * batch_size + jnp.arange(batch_size, dtype=jnp.int32)
    inside = place < n_rows
    rows = permuted(jax.random.fold_in(key, step // per_epoch), jnp.where(inside, place, 0), n_rows)
    return Batch(rows, inside.astype(jnp.float32))


def permuted(key: jax.Array, place: Int[Array, "batch"], n: int) -> Int[Array, "batch"]:
    """Images of places in a random permutation of 0..n-1, without writing the permutation down.

    A Feistel network permutes the smallest square of a power of two that holds n; what falls outside goes through it again
    (Black and Rogaway 2002, "cycle walking"). One epoch's whole order would have to be sorted, or remembered, instead.
    """
    half = max(1, -(-(n - 1).bit_length() // 2))
    mask = jnp.uint32((1 << half) - 1)
    round_keys = jax.random.bits(key, (ROUNDS,), jnp.uint32)

    def once(value: jax.Array) -> jax.Array:
        left, right = value >> half, value & mask
        for i in range(ROUNDS):
            left, right = right, left ^ (_mixed(right ^ round_keys[i]) & mask)
        return (left << half) | right

    def outside(value: jax.Array) -> jax.Array:
        return jnp.any(value >= n)

    def again(value: jax.Array) -> jax.Array:
        return jnp.where(value >= n, once(value), value)

    return jax.lax.while_loop(outside, again, once(place.astype(jnp.uint32))).astype(jnp.int32)


def _mixed(value: jax.Array) -> jax.Array:
    """Scramble 32 bits (the finaliser of MurmurHash3)."""
    value = (value ^ (value >> 16)) * jnp.uint32(0x85EBCA6B)
    value = (value ^ (value >> 13)) * jnp.uint32(0xC2B2AE35)
    return value ^ (value >> 16)
