"""A small problem for the training loop: rows, a program that trains on them, members by number."""

from __future__ import annotations

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import optax

from omicstl._core.random import streams
from omicstl.nn import samplers, train
from omicstl.nn.train import Program, State

N, P, SIZE, EPOCHS = 23, 4, 5, 6
HIDDEN = 3
RATE = 0.05


@cache
def arrays() -> dict[str, np.ndarray]:
    """Rows `x`, what is predicted from them and a covariate, `y`, and rows to evaluate on."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(N + 10, P)).astype(np.float32)
    covariate = rng.normal(size=(N + 10, 1)).astype(np.float32)
    y = np.tanh(x @ rng.normal(size=P) + covariate[:, 0]).astype(np.float32)
    held = {"x": x[N:], "covariate": covariate[N:], "y": y[N:]}
    return {"x": x[:N], "covariate": covariate[:N], "y": y[:N], "held": held}


def predicted(params, x, covariate):
    hidden = jnp.tanh(jnp.concatenate([x, covariate], axis=1) @ params["first"])
    return hidden @ params["second"]


def _step(rate, carry, data, batch, key):
    params, moments = carry
    optimiser = optax.adam(rate, eps=1e-7)
    x, covariate, y = (samplers.rows_of(data, name, batch) for name in ("x", "covariate", "y"))

    def loss(p):
        noise = 0.01 * jax.random.normal(key, x.shape, jnp.float32)
        error = predicted(p, x + noise, covariate) - y
        return jnp.sum(batch.weights * error**2) / jnp.sum(batch.weights)

    value, slope = jax.value_and_grad(loss)(params)
    update, moments = optimiser.update(slope, moments)
    return (optax.apply_updates(params, update), moments), (value, jax.random.uniform(key))


def _evaluate(carry, data):
    held = data["held"]
    return jnp.mean((predicted(carry[0], held["x"], held["covariate"]) - held["y"]) ** 2)


def _keep(carry):
    return carry[0]


@cache
def program(patience: int | None = None, rate: float = RATE, n_epochs: int = EPOCHS, evaluated: bool = True) -> Program:
    return Program(
        step=partial(_step, rate),
        sampler=partial(samplers.shuffled, n_rows=N, batch_size=SIZE),
        logs=("loss", "noise"),
        steps_per_epoch=samplers.steps_per_epoch(N, SIZE),
        n_epochs=n_epochs,
        evaluate=_evaluate if evaluated else None,
        keep=_keep,
        patience=patience,
    )


def begin(p: Program, member: int = 0) -> State:
    random = streams(0)
    generator = random.generator("start", member)
    shapes = {"first": (P + 1, HIDDEN), "second": (HIDDEN,)}
    params = {name: jnp.asarray(generator.normal(size=shape), jnp.float32) for name, shape in shapes.items()}
    return train.start(p, (params, optax.adam(RATE).init(params)), random.key("member", member))


def finish(p: Program, state: State, seconds: float = 1.0) -> State:
    for following in train.train(p, state, arrays(), seconds):
        state = following
    return jax.device_get(state)


def part_way(p: Program, member: int, n_steps: int) -> State:
    """A member's state after some steps, on the host."""
    state = begin(p, member)
    for following in train.train(p, state, arrays(), last=n_steps):
        state = following
    return jax.device_get(state)


def same(a, b) -> bool:
    """Whether two states have the same arrays, to the bit."""
    one, other = (jax.tree.leaves(jax.device_get(state)) for state in (a, b))
    return len(one) == len(other) and all(
        x.dtype == y.dtype and np.asarray(x).tobytes() == np.asarray(y).tobytes()
        for x, y in zip(one, other, strict=True)
    )
