"""The training loop against a loop in numpy, and what must not change its answer: chunks, resuming, company."""

from __future__ import annotations

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from omicstl._core.random import streams
from omicstl.nn import ensemble, samplers, train
from omicstl.nn.train import Program, State

N, P, SIZE, EPOCHS = 23, 4, 5, 6
RATE = 0.05


@cache
def problem():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(N + 10, P)).astype(np.float32)
    y = (x @ rng.normal(size=P) + 0.3 * rng.normal(size=N + 10)).astype(np.float32)
    return {"x": x[:N], "y": y[:N], "x_test": x[N:], "y_test": y[N:]}


def _loss(w, data, batch):
    error = data["x"][batch.rows] @ w - data["y"][batch.rows]
    return jnp.sum(batch.weights * error**2) / jnp.sum(batch.weights)


def _step(optimiser, carry, data, batch, key):
    w, state = carry
    loss, gradient = jax.value_and_grad(_loss)(w, data, batch)
    update, state = optimiser.update(gradient, state)
    return (optax.apply_updates(w, update), state), (loss, jax.random.uniform(key))


def _evaluate(carry, data):
    return jnp.mean((data["x_test"] @ carry[0] - data["y_test"]) ** 2)


@cache
def program(patience=None, rate=RATE, evaluated=True, n_epochs=EPOCHS):
    return Program(
        step=partial(_step, optax.adam(rate, eps=1e-7)),
        sampler=partial(samplers.shuffled, n_rows=N, batch_size=SIZE),
        logs=("loss", "noise"),
        steps_per_epoch=samplers.steps_per_epoch(N, SIZE),
        n_epochs=n_epochs,
        evaluate=_evaluate if evaluated else None,
        keep=lambda carry: carry[0],
        patience=patience,
    )


def begin(p: Program, member: int = 0) -> State:
    random = streams(0)
    w = random.generator("start", member).normal(size=P).astype(np.float32)
    return train.start(p, (jnp.asarray(w), optax.adam(RATE).init(jnp.asarray(w))), random.key("member", member))


def finish(p: Program, state: State, seconds: float = 1.0) -> State:
    for following in train.train(p, state, problem(), seconds):
        state = following
    return jax.device_get(state)


def by_hand(p: Program, member: int, *, rate: float = RATE, patience: int | None = None):
    """Adam with the equations of its paper, over the same batches; the epoch with the lowest test loss."""
    data, start = problem(), begin(p, member)
    w = np.asarray(start.carry[0], dtype=np.float64)
    m, v, t = np.zeros(P), np.zeros(P), 0
    key = jax.random.fold_in(jax.random.wrap_key_data(start.key), 0)
    best, kept, history, waited = np.inf, None, [], 0
    for _ in range(EPOCHS):
        losses = []
        for _ in range(p.steps_per_epoch):
            batch = samplers.shuffled(key, jnp.int32(t), N, SIZE)
            rows = np.asarray(batch.rows)[np.asarray(batch.weights) > 0]
            error = data["x"][rows] @ w - data["y"][rows]
            losses.append(np.mean(error**2))
            gradient = 2 * data["x"][rows].T @ error / rows.size
            t += 1
            m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
            w = w - rate * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-7)
        history.append(np.mean(losses))
        test = np.mean((data["x_test"] @ w - data["y_test"]) ** 2)
        waited = 0 if test < best else waited + 1
        if test < best:
            best, kept = test, w.copy()
        if patience is not None and waited >= patience:
            break
    return w, kept, best, history


def same(a, b) -> bool:
    return all(
        np.array_equal(x, y, equal_nan=True) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    )


@pytest.mark.parametrize("member", [0, 3])
def test_it_is_adam_over_the_batches(member):
    p = program()
    state = finish(p, begin(p, member))
    w, kept, best, history = by_hand(p, member)
    np.testing.assert_allclose(state.carry[0], w, rtol=1e-4, atol=2e-5)
    np.testing.assert_allclose(train.result(p, state), kept, rtol=1e-4, atol=2e-5)
    np.testing.assert_allclose(state.best_loss, best, rtol=1e-4)
    np.testing.assert_allclose(state.history[:, 0], history, rtol=1e-4)
    assert int(state.step) == p.n_steps
    assert np.isfinite(state.evaluated).all()


def test_early_stopping_stops_where_the_loop_does():
    p = program(patience=1, rate=0.8)
    state = finish(p, begin(p))
    w, kept, best, history = by_hand(p, 0, rate=0.8, patience=1)
    assert len(history) < EPOCHS, "the rate is high enough to get worse at some point"
    assert bool(state.stopped)
    assert int(state.step) == len(history) * p.steps_per_epoch
    np.testing.assert_allclose(train.result(p, state), kept, rtol=1e-4)
    assert np.isnan(state.history[len(history) :]).all()


def test_without_evaluation_the_last_step_counts():
    p = program(evaluated=False)
    state = finish(p, begin(p))
    assert state.best is None
    np.testing.assert_array_equal(train.result(p, state), state.carry[0])
    assert np.isnan(state.evaluated).all()


@pytest.mark.parametrize("seconds", [0.0, 1e-4, 10.0])
def test_chunks_do_not_change_the_answer(seconds):
    p = program()
    assert same(finish(p, begin(p), seconds), finish(p, begin(p)))


def test_a_saved_state_goes_on_bit_by_bit():
    p = program()
    run = train.train(p, begin(p), problem(), seconds=0.0)
    for _ in range(5):
        saved = jax.device_get(next(run))
    assert 0 < int(saved.step) < p.n_steps
    assert same(finish(p, jax.tree.map(jnp.asarray, saved)), finish(p, begin(p)))


def test_it_stops_where_numbers_end():
    p = program(rate=1e30)
    state = finish(p, begin(p))
    assert not bool(state.finite)
    assert int(state.step) < p.n_steps


def members_of(p: Program, members, **options) -> dict[int, State]:
    found: dict[int, State] = {}
    steps = []
    ensemble.run(p, lambda i: begin(p, i), members, problem(), found.__setitem__, steps.append, **options)
    if not any(bool(s.stopped) for s in found.values()):
        assert sum(steps) == len(members) * p.n_steps
    return found


def test_a_member_does_not_depend_on_its_company():
    p = program()
    alone = {i: finish(p, begin(p, i)) for i in range(3)}
    for members, at_once in (([0, 1, 2], None), ([2, 0], 1), ([1, 0, 2], 8)):
        found = members_of(p, members, at_once=at_once)
        assert set(found) == set(members)
        assert all(same(found[i], alone[i]) for i in members)


@pytest.mark.parametrize("patience", [None, 1])
def test_side_by_side_is_one_by_one(patience, monkeypatch):
    """What an accelerator does: members vmapped, those that have ended carried along."""
    p = program(patience=patience, rate=0.5)
    one_by_one = members_of(p, range(5))
    monkeypatch.setattr(ensemble.jax, "default_backend", lambda: "gpu")
    for at_once in (2, None):
        found = members_of(p, range(5), at_once=at_once)
        for i, state in one_by_one.items():
            assert int(found[i].step) == int(state.step)
            assert int(found[i].best_epoch) == int(state.best_epoch)
            for a, b in zip(jax.tree.leaves(found[i]), jax.tree.leaves(state), strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_an_error_of_the_caller_ends_the_run():
    p = program()

    def refuse(member, state):
        msg = "disk full"
        raise RuntimeError(msg)

    with pytest.raises(RuntimeError, match="disk full"):
        ensemble.run(p, lambda i: begin(p, i), range(6), problem(), refuse)
    ensemble.run(p, lambda i: begin(p, i), [], problem(), refuse)  # nothing to do


def test_nothing_is_compiled_twice():
    p = program()
    finish(p, begin(p))
    before = train._advance._cache_size()
    finish(p, begin(p, 7), seconds=1e-3)
    members_of(p, range(3))
    assert train._advance._cache_size() == before
