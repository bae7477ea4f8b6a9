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
DRAWN_STEPS = 512  # whose rows and keys are worked out at once


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
    patience_from: int = 0
    """Epochs before which `patience` is not used up: a warm-up, in which the loss that is minimised still changes."""

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


def sampler_key(key: UInt32[Array, "2"]) -> jax.Array:
    """Key of the sampler of a run."""
    return jax.random.fold_in(jax.random.wrap_key_data(key), 0)


def noise_key(key: UInt32[Array, "2"]) -> jax.Array:
    """Key that the keys of all steps come from."""
    return jax.random.fold_in(jax.random.wrap_key_data(key), 1)


def one_step(program: Program, data: Data, state: State) -> State:
    """Apply the step, and at the end of an epoch evaluate."""
    batch = program.sampler(sampler_key(state.key), state.step)
    state = _applied(program, data, state, batch, jax.random.fold_in(noise_key(state.key), state.step))
    return _ended(program, data, state)


def _applied(program: Program, data: Data, state: State, batch: Any, noise: jax.Array) -> State:
    carry, logs = program.step(state.carry, data, batch, noise)
    values = jnp.stack([jnp.asarray(value, jnp.float32) for value in logs])
    return state._replace(
        step=state.step + 1, carry=carry, sums=state.sums + values, finite=state.finite & jnp.isfinite(values).all()
    )


def _ended(program: Program, data: Data, state: State) -> State:
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
    waited = jnp.where(better | (epoch < program.patience_from), 0, state.waited + 1)
    return state._replace(
        evaluated=state.evaluated.at[epoch].set(loss),
        best=jax.tree.map(partial(jnp.where, better), program.keep(state.carry), state.best),
        best_loss=jnp.where(better, loss, state.best_loss),
        best_epoch=jnp.where(better, epoch, state.best_epoch),
        waited=waited,
        finite=state.finite & jnp.isfinite(loss),
        stopped=jnp.zeros((), bool) if program.patience is None else waited >= program.patience,
    )


class _Draws(NamedTuple):
    """Batches and keys of the noise of some whole epochs."""

    first: Int[Array, ""]
    batches: Any
    noise: jax.Array


@partial(jax.jit, static_argnums=(0, 1))
def _draw(sampler: Callable[[jax.Array, jax.Array], Any], n: int, key: jax.Array, first: jax.Array) -> _Draws:
    """Of `n` steps at once: a handful of numbers takes as many kernels as thousands do. Programs with one sampler share it."""
    steps = first + jnp.arange(n, dtype=jnp.int32)
    batches = jax.vmap(sampler, (None, 0))(sampler_key(key), steps)
    return _Draws(first, batches, jax.vmap(jax.random.fold_in, (None, 0))(noise_key(key), steps))


@partial(jax.jit, static_argnums=0, donate_argnums=2)
def _advance(program: Program, data: Data, state: State, draws: _Draws, until: jax.Array) -> State:
    """Make steps up to `until`, epoch by epoch: the condition at the end of one copies all weights, so it is not in the inner loop."""

    def step(s: State) -> State:
        at = s.step - draws.first
        return _applied(program, data, s, jax.tree.map(lambda rows: rows[at], draws.batches), draws.noise[at])

    def epoch(s: State) -> State:
        ends = (s.step // program.steps_per_epoch + 1) * program.steps_per_epoch
        last = jnp.minimum(until, ends)
        return _ended(program, data, jax.lax.while_loop(lambda s: (s.step < last) & s.finite, step, s))

    return jax.lax.while_loop(lambda s: running(program, s) & (s.step < until), epoch, state)


def train(
    program: Program, state: State, data: Data, seconds: float = 1.0, *, last: int | None = None
) -> Iterator[State]:
    """Yield the state after each chunk of about `seconds`, until nothing is left to do, or step `last` is reached.

    The state that was passed in is used up (its memory is taken over); keep what you need of a yielded one before you go on.
    """
    chunk, last = FIRST_STEPS, program.n_steps if last is None else min(last, program.n_steps)
    drawn = max(1, DRAWN_STEPS // program.steps_per_epoch) * program.steps_per_epoch
    key, first, draws = jnp.array(state.key), -drawn, None
    while bool(running(program, state)) and int(state.step) < last:
        begin, before = time.perf_counter(), int(state.step)
        while int(state.step) < min(before + chunk, last) and bool(running(program, state)):
            if draws is None or int(state.step) >= first + drawn:
                first = int(state.step) // drawn * drawn
                draws = _draw(program.sampler, drawn, key, jnp.int32(first))
            until = jnp.int32(min(before + chunk, last, first + drawn))
            state = jax.block_until_ready(_advance(program, data, state, draws, until))
        pace = (time.perf_counter() - begin) / max(int(state.step) - before, 1)
        yield state
        chunk = max(1, min(8 * chunk, int(seconds / pace)))


def result(program: Program, state: State) -> Any:
    """What was kept at the lowest evaluated loss, or of the last step where nothing was evaluated."""
    return program.keep(state.carry) if program.evaluate is None else state.best
