"""The training of the network against a derivation by hand in numpy: loss, gradients, running statistics, Adam."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from omicstl._core.random import streams
from omicstl.models.factors.autoencoder import loss, training
from omicstl.nn import ensemble, samplers, train

N, P, SIZE = 13, 7, 5  # the last batch of an epoch has 3 rows
CONFIG = training.VaeProgram(
    n_in=P, n_latent=2, hidden=(6, 4), n_rows=N, batch_size=SIZE, n_epochs=2, learning_rate=0.01
)


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(0).normal(size=(N, P)).astype(np.float32)


def encoded(state, x):
    return loss.merged(CONFIG, *train.result(training.program(CONFIG), state)).encoder(jnp.asarray(x))


class ByHand:
    """The network in float64 with every derivative written out. Weights as [W, b] pairs, gamma, beta of each norm."""

    def __init__(self, carry):
        tree = jax.device_get(carry.params)
        take = lambda layer: [np.array(layer["kernel"][...], float), np.array(layer["bias"][...], float)]
        e, d = tree["encoder"], tree["decoder"]
        self.p = {
            **{f"e{i}": take(e["hidden"]["layers"][i]) for i in range(2)},
            **{
                f"n{i}": [np.array(e["hidden"]["norms"][i][k][...], float) for k in ("scale", "bias")] for i in range(2)
            },
            "mean": take(e["mean"]),
            "logvar": take(e["logvar"]),
            **{f"d{i}": take(d["hidden"]["layers"][i]) for i in range(2)},
            "out": take(d["heads"][0]),
        }
        self.running = [[np.zeros(w), np.ones(w)] for w in (6, 4)]
        self.m = {k: [np.zeros_like(a) for a in v] for k, v in self.p.items()}
        self.v = {k: [np.zeros_like(a) for a in v] for k, v in self.p.items()}
        self.t = 0

    def step(self, x, noise):
        p, n, g = self.p, len(x), {}
        h, kept = x, []
        for i in range(2):
            a = h @ p[f"e{i}"][0] + p[f"e{i}"][1]
            mu, var = a.mean(0), a.var(0)  # biased, in the step and in the running statistics, as Keras has it
            self.running[i] = [0.99 * old + 0.01 * new for old, new in zip(self.running[i], (mu, var), strict=True)]
            unit = (a - mu) / np.sqrt(var + 1e-3)
            y = p[f"n{i}"][0] * unit + p[f"n{i}"][1]
            kept.append((h, unit, var, y))
            h = np.maximum(y, 0)
        mean, logvar = (h @ p[k][0] + p[k][1] for k in ("mean", "logvar"))
        scale = np.exp(logvar / 2)
        z = mean + scale * noise
        inputs, up = [], z
        for i in range(2):
            inputs.append(up)
            up = np.maximum(up @ p[f"d{i}"][0] + p[f"d{i}"][1], 0)
        out = up @ p["out"][0] + p["out"][1]
        error = np.sum((x - out) ** 2) / n
        kl = -0.5 * np.sum(1 + logvar - mean**2 - np.exp(logvar)) / n
        back = 2 * (out - x) / n
        g["out"] = [up.T @ back, back.sum(0)]
        back = back @ p["out"][0].T
        for i in (1, 0):
            after = inputs[i] @ p[f"d{i}"][0] + p[f"d{i}"][1]
            back = back * (after > 0)
            g[f"d{i}"] = [inputs[i].T @ back, back.sum(0)]
            back = back @ p[f"d{i}"][0].T
        to_mean = back + mean / n
        to_logvar = back * noise * scale / 2 + (np.exp(logvar) - 1) / (2 * n)
        g["mean"], g["logvar"] = [h.T @ to_mean, to_mean.sum(0)], [h.T @ to_logvar, to_logvar.sum(0)]
        back = to_mean @ p["mean"][0].T + to_logvar @ p["logvar"][0].T
        for i in (1, 0):
            before, unit, var, y = kept[i]
            back = back * (y > 0)
            g[f"n{i}"] = [np.sum(back * unit, 0), back.sum(0)]
            back = back * p[f"n{i}"][0]
            back = (back - back.mean(0) - unit * np.mean(back * unit, 0)) / np.sqrt(var + 1e-3)
            g[f"e{i}"] = [before.T @ back, back.sum(0)]
            back = back @ p[f"e{i}"][0].T
        self.t += 1
        for k in p:
            for j in range(2):
                self.m[k][j] = 0.9 * self.m[k][j] + 0.1 * g[k][j]
                self.v[k][j] = 0.999 * self.v[k][j] + 0.001 * g[k][j] ** 2
                rate = CONFIG.learning_rate / (1 - 0.9**self.t)
                p[k][j] = p[k][j] - rate * self.m[k][j] / (np.sqrt(self.v[k][j] / (1 - 0.999**self.t)) + 1e-7)
        return error + kl, error, kl


def test_steps_are_those_of_the_derivation(x):
    """Six steps, over two epochs with a short batch each: everything that a step changes."""
    p, state = training.program(CONFIG), training.begin(CONFIG, streams(0), 0)
    hand = ByHand(state.carry)
    key = jax.random.wrap_key_data(state.key)
    logs = []
    for step in range(p.n_steps):
        batch = samplers.shuffled(jax.random.fold_in(key, 0), jnp.int32(step), N, SIZE)
        noise = jax.random.normal(jax.random.fold_in(jax.random.fold_in(key, 1), step), (SIZE, 2), jnp.float32)
        counts = np.asarray(batch.weights) > 0
        logs.append(hand.step(x[np.asarray(batch.rows)[counts]].astype(float), np.asarray(noise, float)[counts]))
    for following in train.train(p, state, {"x": jnp.asarray(x)}):
        state = following
    np.testing.assert_allclose(state.history, np.reshape(logs, (2, 3, 3)).mean(axis=1), rtol=1e-4)
    found = ByHand(state.carry).p
    for name, parts in hand.p.items():
        for a, b in zip(found[name], parts, strict=True):
            # A bias before batch normalisation has no gradient but rounding, which Adam blows up to its full step.
            if name not in ("e0", "e1") or a.ndim == 2:
                np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-4, err_msg=name)
    stats = jax.device_get(state.carry.stats)["encoder"]["hidden"]["norms"]
    for i in range(2):
        np.testing.assert_allclose(stats[i]["var"][...], hand.running[i][1], rtol=1e-4)


def test_gradients_are_differences(x):
    """Central differences of the loss along random directions."""
    state = training.begin(CONFIG, streams(0), 1)
    weights = jnp.ones(SIZE)
    noise = jax.random.normal(jax.random.key(3), (SIZE, 2))
    batch = training.Minibatch(jnp.asarray(x[:SIZE]), weights, noise)
    f = lambda params: training.loss(CONFIG, params, state.carry.stats, batch)[0]
    slope = jax.grad(f)(state.carry.params)
    rng = np.random.default_rng(0)
    for _ in range(3):
        direction = jax.tree.map(lambda a: jnp.asarray(rng.normal(size=a.shape), jnp.float32), state.carry.params)
        expected = sum(float(jnp.vdot(a, b)) for a, b in zip(*map(jax.tree.leaves, (slope, direction)), strict=True))
        ends = [f(jax.tree.map(lambda a, d, s=s: a + s * 1e-3 * d, state.carry.params, direction)) for s in (1, -1)]
        assert float(ends[0] - ends[1]) / 2e-3 == pytest.approx(expected, rel=2e-2)


def test_rows_that_fill_a_batch_do_not_count(x):
    state = training.begin(CONFIG, streams(0), 0)
    noise = jax.random.normal(jax.random.key(3), (SIZE, 2))
    rows = jnp.asarray(x[:SIZE])
    short = jnp.array([1.0, 1.0, 1.0, 0.0, 0.0])
    one = training.loss(CONFIG, state.carry.params, state.carry.stats, training.Minibatch(rows, short, noise))
    other = training.loss(
        CONFIG, state.carry.params, state.carry.stats, training.Minibatch(rows.at[3:].set(99.0), short, noise)
    )
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


def test_members_are_known_by_size_and_number(x):
    data = {"x": jnp.asarray(x)}
    found: dict[int, train.State] = {}
    ensemble.run(
        training.program(CONFIG), lambda i: training.begin(CONFIG, streams(0), i), [4, 1], data, found.__setitem__
    )
    alone: dict[int, train.State] = {}
    ensemble.run(
        training.program(CONFIG), lambda i: training.begin(CONFIG, streams(0), i), [1], data, alone.__setitem__
    )
    for a, b in zip(jax.tree.leaves(found[1]), jax.tree.leaves(alone[1]), strict=True):
        np.testing.assert_array_equal(a, b)
    mean, logvar = encoded(found[4], x)
    assert mean.shape == logvar.shape == (N, 2)
    assert not np.allclose(mean, encoded(found[1], x)[0])
