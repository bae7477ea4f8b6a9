"""The one training loop: compiled chunks of about a second over a step, with early stopping inside.

Built on a *step*, not on a loss, so that alternating and two-phase methods fit. Everything that decides the result is in the
state, so the length of the chunks never changes it. Saving, progress, Ctrl-C and what to say of a divergence belong to the
caller, between chunks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, UInt32

Carry = Any
Data = Any
FIRST_STEPS = 2


@dataclass(frozen=True)
class Program:
    """What is compiled, once for each program: make it in a cached factory, so that equal settings are the same object.

    `sampler` (key, step) gives a batch. `step` (carry, data, batch, key) gives the next carry and one number for each of
    `logs`, averaged over an epoch. `evaluate` (carry, data) gives the loss that early stopping looks at, at the end of an
    epoch, and `keep` what is kept of the carry where that loss is lowest. `patience`: epochs without an improvement.
    """

    step: Callable[[Carry, Data, Any, jax.Array], tuple[Carry, tuple[jax.Array, ...]]]
    sampler: Callable[[jax.Array, jax.Array], Any]
    logs: tuple[str, ...]
    steps_per_epoch: int
    n_epochs: int
    evaluate: Callable[[Carry, Data], jax.Array] | None = None
    keep: Callable[[Carry], Any] = lambda carry: carry
    patience: int | None = None

    @property
    def n_steps(self) -> int:
        """Steps of a run that is not stopped early."""
        return self.steps_per_epoch * self.n_epochs


class State(NamedTuple):
    """A run so far; an array each, so that it can be saved and resumed. `best` is `None` if nothing is evaluated."""

    step: Int[Array, ""]
    key: UInt32[Array, "2"]
    carry: Carry
    sums: Float[Array, "logs"]
    history: Float[Array, "epochs logs"]
    """Mean of each log over the epoch; NaN for epochs not run."""
    evaluated: Float[Array, "epochs"]
    best: Any
    best_loss: Float[Array, ""]
    best_epoch: Int[Array, ""]
    waited: Int[Array, ""]
    finite: Bool[Array, ""]
    """False once a log or the evaluated loss was not finite: the run stops there."""
    stopped: Bool[Array, ""]
    """True once `patience` was used up."""


def start(program: Program, carry: Carry, key: np.ndarray) -> State:
    """Return the state before the first step; `key` (2,) uint32, as `Streams.key` gives it."""
    epochs, logs = program.n_epochs, len(program.logs)
    return State(
        step=jnp.zeros((), jnp.int32),
        key=jnp.asarray(key, jnp.uint32),
        carry=carry,
        sums=jnp.zeros(logs, jnp.float32),
        history=jnp.full((epochs, logs), jnp.nan, jnp.float32),
        evaluated=jnp.full(epochs, jnp.nan, jnp.float32),
        best=None if program.evaluate is None else jax.tree.map(jnp.copy, program.keep(carry)),
        best_loss=jnp.full((), jnp.inf, jnp.float32),
        best_epoch=jnp.full((), -1, jnp.int32),
        waited=jnp.zeros((), jnp.int32),
        finite=jnp.ones((), bool),
        stopped=jnp.zeros((), bool),
    )


def running(program: Program, state: State) -> Bool[Array, ""]:
    """Whether there is something left to do."""
    return (state.step < program.n_steps) & state.finite & ~state.stopped


def one_step(program: Program, data: Data, state: State) -> State:
    """Apply the step, and at the end of an epoch evaluate."""
    key = jax.random.wrap_key_data(state.key)
    batch = program.sampler(jax.random.fold_in(key, 0), state.step)
    noise = jax.random.fold_in(jax.random.fold_in(key, 1), state.step)
    carry, logs = program.step(state.carry, data, batch, noise)
    values = jnp.stack([jnp.asarray(value, jnp.float32) for value in logs])
    state = state._replace(
        step=state.step + 1, carry=carry, sums=state.sums + values, finite=state.finite & jnp.isfinite(values).all()
    )
    return jax.lax.cond(
        state.step % program.steps_per_epoch == 0, partial(_end_of_epoch, program, data), lambda s: s, state
    )


def _end_of_epoch(program: Program, data: Data, state: State) -> State:
    epoch = state.step // program.steps_per_epoch - 1
    state = state._replace(
        history=state.history.at[epoch].set(state.sums / program.steps_per_epoch), sums=jnp.zeros_like(state.sums)
    )
    if program.evaluate is None:
        return state
    loss = jnp.asarray(program.evaluate(state.carry, data), jnp.float32)
    better = loss < state.best_loss
    waited = jnp.where(better, 0, state.waited + 1)
    return state._replace(
        evaluated=state.evaluated.at[epoch].set(loss),
        best=jax.tree.map(partial(jnp.where, better), program.keep(state.carry), state.best),
        best_loss=jnp.where(better, loss, state.best_loss),
        best_epoch=jnp.where(better, epoch, state.best_epoch),
        waited=waited,
        finite=state.finite & jnp.isfinite(loss),
        stopped=jnp.zeros((), bool) if program.patience is None else waited >= program.patience,
    )


@partial(jax.jit, static_argnums=0, donate_argnums=2)
def _advance(program: Program, data: Data, state: State, until: jax.Array) -> State:
    def more(s: State) -> jax.Array:
        return running(program, s) & (s.step < until)

    return jax.lax.while_loop(more, partial(one_step, program, data), state)


def train(program: Program, state: State, data: Data, seconds: float = 1.0) -> Iterator[State]:
    """Yield the state after each chunk of about `seconds`, until nothing is left to do.

    The state that was passed in is used up (its memory is taken over); keep what you need of a yielded one before you go on.
    """
    chunk = FIRST_STEPS
    while bool(running(program, state)):
        begin, before = time.perf_counter(), int(state.step)
        until = jnp.asarray(before + chunk, jnp.int32)
        state = jax.block_until_ready(_advance(program, data, state, until))
        pace = (time.perf_counter() - begin) / max(int(state.step) - before, 1)
        yield state
        chunk = max(1, min(8 * chunk, int(seconds / pace)))


def result(program: Program, state: State) -> Any:
    """What was kept at the lowest evaluated loss, or of the last step where nothing was evaluated."""
    return program.keep(state.carry) if program.evaluate is None else state.best
