"""The convergence loop: chunks never change the answer, every way to end, and what is compiled."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.monitoring
import jax.numpy as jnp
import numpy as np
import pytest

from omicstl.kernels import loop


class State(NamedTuple):
    n_iter: jax.Array
    status: jax.Array
    x: jax.Array


def start(x=2.0):
    return State(np.array(0, np.int32), np.array(loop.RUNNING, np.int32), np.array(x, np.float32))


def newton(config, problem, state):
    """Square root of `problem` by Newton's steps, until a step is below `config`."""
    x = (state.x + problem / state.x) / 2
    moved = jnp.abs(x - state.x)
    status = jnp.where(moved < config, loop.CONVERGED, loop.RUNNING)
    status = jnp.where(jnp.isfinite(x), status, loop.BROKEN)
    return State(state.n_iter + 1, status.astype(jnp.int32), x)


def count(config, problem, state):
    return State(state.n_iter + 1, state.status, state.x + problem)


def test_converges_to_the_answer_of_numpy():
    done = loop.run(newton, 1e-5, np.float32(10), start(), 100)
    assert int(done.status) == loop.CONVERGED
    assert int(done.n_iter) < 10
    assert float(done.x) == pytest.approx(np.sqrt(10), rel=1e-6)


@pytest.mark.parametrize("seconds", [1e-9, 1e-3, 10.0])
def test_the_length_of_chunks_changes_nothing(seconds):
    seen = []
    done = loop.run(count, None, np.float32(0.1), start(), 57, lambda s: seen.append(int(s.n_iter)), seconds)
    once = start()
    for _ in range(57):
        once = count(None, np.float32(0.1), once)
    assert int(done.n_iter) == 57 == seen[-1]
    assert float(done.x) == pytest.approx(float(once.x), rel=1e-6)
    assert seen == sorted(set(seen))
    assert seen[0] == 4  # the first chunk is short, so that a bar and Ctrl-C come soon
    if seconds == 1e-9:
        assert np.diff(seen).max() == 1
    else:
        assert len(seen) < 57


def test_ends_at_max_iter_still_running():
    done = loop.run(newton, 0.0, np.float32(10), start(), 3)
    assert int(done.status) == loop.RUNNING
    assert int(done.n_iter) == 3


def test_a_state_that_has_ended_is_left_alone():
    ended = start()._replace(status=np.array(loop.STALLED, np.int32))
    seen = []
    assert loop.run(newton, 1e-5, np.float32(10), ended, 100, seen.append) is ended
    assert not seen


def test_failure_is_a_status_and_no_exception():
    assert int(loop.run(newton, 1e-5, np.float32(np.nan), start(), 100).status) == loop.BROKEN


def test_can_go_on_where_it_was_stopped():
    half = loop.run(count, None, np.float32(0.1), start(), 20)
    whole = loop.run(count, None, np.float32(0.1), half, 41)
    straight = loop.run(count, None, np.float32(0.1), start(), 41)
    np.testing.assert_array_equal(whole.x, straight.x)


def test_an_interrupt_between_chunks_reaches_the_caller():
    def interrupt(state):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        loop.run(count, None, np.float32(0.1), start(), 1000, interrupt)


def test_compiles_once_for_a_step_and_its_shapes():
    compiled = []
    jax.monitoring.register_event_duration_secs_listener(lambda event, *_, **__: compiled.append(event))
    event = "/jax/core/compile/backend_compile_duration"
    loop.run(newton, 1e-4, np.float32(10), start(), 100, seconds=1e-9)
    compiled.clear()
    loop.run(newton, 1e-4, np.float32(3), start(5.0), 7, seconds=1e-9)
    assert event not in compiled
    loop.run(newton, 1e-3, np.float32(3), start(5.0), 7)  # another configuration is another program
    assert compiled.count(event) == 1
