"""Which rows a training step sees: pure functions of a key and the number of the step.

Nothing is remembered between steps, so that a run can be resumed, cut into chunks and spread over devices without a change
of the order in which it sees the data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

ROUNDS = 8
STREAMED = "x"  # the one entry of the data that may be too large for memory; see `nn.stream`


class Batch(NamedTuple):
    """Rows of a step. A short batch is filled up with rows of weight 0, which must not count."""

    rows: Int[Array, "batch"]
    weights: Float[Array, "batch"]
    places: Int[Array, "batch"] | None = None
    """Where the rows are in ``data["x"]``, if that holds only the rows of some steps."""


def rows_of(data: Mapping[str, jax.Array], name: str, batch: Batch) -> jax.Array:
    """Rows of a batch of one entry of the data: what a step function uses in place of ``data[name][batch.rows]``.

    Only ``data["x"]`` may be a window; all other entries have a row for every row of the whole. The barrier keeps the
    compiler from merging the look-up into what follows, so that a window gives the same bits as the whole array.
    """
    windowed = name == STREAMED and batch.places is not None
    return jax.lax.optimization_barrier(data[name][batch.places if windowed else batch.rows])


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


def windowed(sampler: Callable[[jax.Array, jax.Array], Batch], n_steps: int, key: jax.Array, step: jax.Array) -> Batch:
    """The same batch as `sampler`, for data whose "x" holds the rows of `n_steps` steps one after another."""
    batch = sampler(key, step)
    size = batch.rows.shape[0]
    return batch._replace(places=(step % n_steps) * size + jnp.arange(size, dtype=jnp.int32))


def permuted(key: jax.Array, place: Int[Array, "batch"], n: int) -> Int[Array, "batch"]:
    """Images of places in a random permutation of 0..n-1, without writing the permutation down.

    A Feistel network permutes the smallest square of a power of two that holds n; what falls outside goes through it again
    (Black and Rogaway 2002, "cycle walking"). One epoch's whole order would have to be sorted, or remembered, instead.
    """
    half = max(1, -(-(n - 1).bit_length() // 2))
    mask = jnp.uint32((1 << half) - 1)
    round_keys = jax.random.bits(key, (ROUNDS,), jnp.uint32)

    def once(value: jax.Array) -> jax.Array:
        def turn(i: jax.Array, halves: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
            left, right = halves
            return right, left ^ (_mixed(right ^ round_keys[i]) & mask)

        left, right = jax.lax.fori_loop(0, ROUNDS, turn, (value >> half, value & mask))
        return (left << half) | right

    def again(carried: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        value, outside = carried
        value = jnp.where(outside, once(value), value)
        return value, value >= n

    first = (place.astype(jnp.uint32), jnp.ones(place.shape, bool))
    return jax.lax.while_loop(lambda carried: jnp.any(carried[1]), again, first)[0].astype(jnp.int32)


def _mixed(value: jax.Array) -> jax.Array:
    """Scramble 32 bits (the finaliser of MurmurHash3)."""
    value = (value ^ (value >> 16)) * jnp.uint32(0x85EBCA6B)
    value = (value ^ (value >> 13)) * jnp.uint32(0xC2B2AE35)
    return value ^ (value >> 16)
