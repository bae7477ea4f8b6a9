"""Training on rows that do not fit into memory: the loop of `train`, with the same bits, over windows of rows.

The order of the rows is known beforehand, so the rows of the next steps are read, in a thread, while the present ones compute.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache, partial
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from . import samplers
from .samplers import STREAMED
from .train import Program, State, running, sampler_key, train

WINDOW_BYTES = 256 * 2**20


class Rows(Protocol):
    """Rows that can be read in any order, as dense blocks."""

    n_rows: int
    n_cols: int

    def take(self, index: np.ndarray) -> np.ndarray:
        """Return the rows at `index` (m,), in its order: (m, n_cols)."""
        ...


class Window(NamedTuple):
    """What to read for some steps: the numbers of their rows (steps, batch)."""

    first: int
    rows: np.ndarray


def stream(
    program: Program,
    state: State,
    rows: Rows,
    data: Mapping[str, Any],
    prepare: Callable[[np.ndarray], np.ndarray] = lambda block: block,
    *,
    window_bytes: int = WINDOW_BYTES,
    seconds: float = 1.0,
) -> Iterator[State]:
    """
    Yield the state after each chunk, as `train` does, while ``data["x"]`` stays where it is.

    Parameters
    ----------
    program
        What is trained. Its sampler gives a `samplers.Batch`, its step reads through `samplers.rows_of`, and its `evaluate` does
        not read ``data["x"]``: rows that are watched are entries of their own.
    state
        Where to begin; it is used up.
    rows
        What ``data["x"]`` would be before `prepare`. ``take`` is called from a thread of its own.
    data
        All other entries, in memory; those of rows have a row for each of `rows`.
    prepare
        Applied to the rows that were read (m, n_cols), such as a standardisation. Each row must be treated by itself.
    window_bytes
        Memory for rows as float32: those of the present steps, of the next ones, and what was just read.
    seconds
        Length of a chunk.

    Notes
    -----
    Each window is read with one ``take`` of sorted, unique numbers. The state does not depend on the window's size, and equals
    that of `train` bit by bit. A row is read once an epoch, if epochs do not share windows.
    """
    if STREAMED in data:
        msg = f"`data` must not hold {STREAMED!r}, which is read from `rows`."
        raise ValueError(msg)
    size = _batch_size(program, state)
    n_steps = max(1, min(window_bytes // (12 * size * max(1, rows.n_cols)), program.n_steps))
    if not running(program, state):
        return
    windowed, resident = _windowed(program, n_steps), jax.device_put(dict(data))
    with ThreadPoolExecutor(1, thread_name_prefix="omicstl-rows") as pool:
        # The numbers are computed here: settings of JAX may belong to this thread.
        following = pool.submit(_read, rows, prepare, _next(program, state, int(state.step), n_steps), n_steps)
        while bool(running(program, state)):
            last = (int(state.step) // n_steps + 1) * n_steps
            window = jax.device_put(following.result())
            if last < program.n_steps:
                following = pool.submit(_read, rows, prepare, _next(program, state, last, n_steps), n_steps)
            for made in train(windowed, state, {**resident, STREAMED: window}, seconds, last=last):
                state = made
                yield state


@cache
def _windowed(program: Program, n_steps: int) -> Program:
    return replace(program, sampler=partial(samplers.windowed, program.sampler, n_steps))


@partial(jax.jit, static_argnums=0)
def _rows(program: Program, key: jax.Array, steps: jax.Array) -> jax.Array:
    return jax.vmap(lambda step: program.sampler(sampler_key(key), step).rows)(steps)


def _batch_size(program: Program, state: State) -> int:
    return jax.eval_shape(partial(_rows, program), state.key, jnp.zeros(1, jnp.int32)).shape[1]


def _next(program: Program, state: State, first: int, n_steps: int) -> Window:
    """The window that holds step `first`, from there to its end."""
    low = first // n_steps * n_steps
    steps = np.minimum(np.arange(low, low + n_steps), program.n_steps - 1).astype(np.int32)
    numbers = np.asarray(_rows(program, state.key, jnp.asarray(steps)))
    return Window(first - low, numbers[first - low : program.n_steps - low])


def _read(rows: Rows, prepare: Callable[[np.ndarray], np.ndarray], wanted: Window, n_steps: int) -> np.ndarray:
    """The rows of a window, one batch after another; zeros for steps that are not made."""
    unique, inverse = np.unique(wanted.rows, return_inverse=True)
    block = np.asarray(prepare(rows.take(unique)), np.float32)
    size = wanted.rows.shape[1]
    window = np.zeros((n_steps * size, block.shape[1]), np.float32)
    low = wanted.first * size
    np.take(block, inverse.ravel(), axis=0, out=window[low : low + wanted.rows.size])
    return window
