"""The one convergence loop: compiled chunks of about a second, so that Ctrl-C, progress and memory stay in hand."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import jax
import jax.numpy as jnp

RUNNING, CONVERGED, STALLED, GROW, BROKEN = range(5)
S = TypeVar("S", bound=Any)
Step = Callable[[Any, Any, S], S]


@partial(jax.jit, static_argnums=(0, 1))
def _advance(step: Step[S], config: Any, problem: Any, state: S, last: jax.Array) -> S:
    def more(s: S) -> jax.Array:
        return (s.status == RUNNING) & (s.n_iter < last)

    return jax.lax.while_loop(more, partial(step, config, problem), state)


def run(
    step: Step[S],
    config: Any,
    problem: Any,
    state: S,
    max_iter: int,
    report: Callable[[S], None] = lambda state: None,
    seconds: float = 1.0,
) -> S:
    """Apply ``step(config, problem, state)`` until the state's `status` leaves ``RUNNING`` or `max_iter` is reached.

    `state` is a NamedTuple with integer arrays ``n_iter`` and ``status``.
    `step` is a module-level function and `config` hashable: they key the compilation, so equal shapes never compile twice.
    The number of steps in a chunk follows the clock and never changes the result. `report` sees the state between chunks.
    """
    chunk = 4
    while int(state.status) == RUNNING and int(state.n_iter) < max_iter:
        begin, before = time.perf_counter(), int(state.n_iter)
        last = min(before + chunk, max_iter)
        state = jax.block_until_ready(_advance(step, config, problem, state, jnp.asarray(last, jnp.int32)))
        report(state)
        pace = (time.perf_counter() - begin) / max(int(state.n_iter) - before, 1)
        chunk = max(1, min(4 * chunk, int(seconds / pace)))
    return state
