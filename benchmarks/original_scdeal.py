"""What scDEAL (Chen et al. 2022, commit c0efdbc) computes, written anew from a description of its arithmetic, in JAX.

Two encoders of their own input widths, one for cell lines and one for cells, which share no gene. Four stages, Adam at 1e-2 whatever is asked
for, batches of 200, learning rate times 0.1 after ten epochs without a lower training loss:

A. autoencoder of lines: a fifth of the values set to zero, and the *same* zeroed values as the target; lowest validation loss is kept,
B. its encoder with a predictor, end to end: cross entropy of the softmax of two sigmoids,
C. autoencoder of cells, like A,
D. transfer: cross entropy of lines + 0.25 times the squared MMD (one Gaussian kernel, sigma 1000) of both latent spaces. Only the
   encoder of cells learns; encoder of lines and predictor stay, while the running statistics of their batch normalisation move. Lowest
   validation loss after the first tenth of the epochs.

The last term of D, a regulariser over clusters of cells, has no gradient (`regulariser`) and is left out of the training. Layers without
ReLU in the encoders are as in the original. What differs: running variances are those of the batch, not the unbiased
ones; the rarer class is drawn half as often again as there are lines, which is a balance at a quarter of the lines and keeps arrays of one size.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from omicstl._core.random import Streams
from omicstl.nn import samplers
from omicstl.nn.train import Program, result, start, train

RATE, BATCH, KEPT, SIGMA, WEIGHT = 1e-2, 200, 0.8, 1000.0, 0.25
HIDDEN, LATENT, PREDICTOR, DROPOUT = (512, 256), 128, (128, 64), 0.1  # its defaults
NEVER = 1e30  # loss of an epoch that must not be chosen


class Blocks(nnx.Module):
    """Linear, batch normalisation, in the predictor ReLU, dropout; for each width."""

    def __init__(self, widths: Sequence[int], *, relu: bool = False, rngs: nnx.Rngs) -> None:
        self.relu = relu
        self.layers = nnx.List(linear(a, b, rngs) for a, b in zip(widths[:-1], widths[1:], strict=True))
        self.norms = nnx.List(nnx.BatchNorm(b, momentum=0.9, epsilon=1e-5, rngs=rngs) for b in widths[1:])

    def __call__(self, x: jax.Array, real: jax.Array | None, key: jax.Array | None) -> jax.Array:
        mask = None if real is None else real[:, None]
        for i, (layer, norm) in enumerate(zip(self.layers, self.norms, strict=True)):
            x = norm(layer(x), use_running_average=key is None, mask=mask)
            x = jax.nn.relu(x) if self.relu else x
            if key is not None:
                kept = jax.random.bernoulli(jax.random.fold_in(key, i), 1 - DROPOUT, x.shape)
                x = jnp.where(kept, x / (1 - DROPOUT), 0)
        return x


def linear(n_in: int, n_out: int, rngs: nnx.Rngs) -> nnx.Linear:
    """Weights and offsets uniform within one over the root of the width of the input, as in PyTorch."""
    limit = n_in**-0.5

    def uniform(key, shape, dtype):
        return jax.random.uniform(key, shape, dtype, -limit, limit)

    return nnx.Linear(n_in, n_out, kernel_init=uniform, bias_init=uniform, rngs=rngs)


class Encoder(nnx.Module):
    def __init__(self, n_in: int, rngs: nnx.Rngs) -> None:
        self.blocks, self.last = Blocks((n_in, *HIDDEN), rngs=rngs), linear(HIDDEN[-1], LATENT, rngs)

    def __call__(self, x, real=None, key=None):
        return self.last(self.blocks(x, real, key))


class Decoder(nnx.Module):
    def __init__(self, n_out: int, rngs: nnx.Rngs) -> None:
        up = HIDDEN[::-1]
        self.first, self.blocks = linear(LATENT, up[0], rngs), Blocks(up, rngs=rngs)
        self.last = linear(up[-1], n_out, rngs)

    def __call__(self, z, real=None, key=None):
        return jax.nn.sigmoid(self.last(self.blocks(self.first(z), real, key)))


class Predictor(nnx.Module):
    def __init__(self, rngs: nnx.Rngs) -> None:
        self.blocks = Blocks((LATENT, *PREDICTOR), relu=True, rngs=rngs)
        self.last = linear(PREDICTOR[-1], 2, rngs)

    def __call__(self, z, real=None, key=None):
        return jax.nn.sigmoid(self.last(self.blocks(z, real, key)))


class Weights(NamedTuple):
    """Parameters and running statistics."""

    params: Any
    stats: Any


@cache
def _made(kind: type, *sizes: int) -> tuple[Any, Any]:
    """Structure of a module, and what draws its first weights."""
    graph = nnx.split(nnx.eval_shape(lambda: kind(*sizes, rngs=nnx.Rngs(0))), nnx.Param, nnx.BatchStat)[0]

    @jax.jit
    def draw(key):
        _, params, stats = nnx.split(kind(*sizes, rngs=nnx.Rngs(key)), nnx.Param, nnx.BatchStat)
        return Weights(params, stats)

    return graph, draw


def structure(kind: type, *sizes: int) -> Any:
    return _made(kind, *sizes)[0]


def merged(graph: Any, weights: Weights) -> Any:
    return nnx.merge(graph, weights.params, weights.stats, copy=True)


def apply(graph: Any, weights: Weights, *inputs: Any) -> tuple[jax.Array, Any]:
    """Output of a module and its new running statistics."""
    module = merged(graph, weights)
    return module(*inputs), nnx.state(module, nnx.BatchStat)


def mmd(a: jax.Array, b: jax.Array, wa: jax.Array | None = None, wb: jax.Array | None = None) -> jax.Array:
    """Squared MMD, biased: V-statistic of exp(-d^2 / (2 sigma^2)). Without its constant 1, which cancels, so that no digits are lost."""
    wa = jnp.full(a.shape[0], 1 / a.shape[0]) if wa is None else wa / wa.sum()
    wb = jnp.full(b.shape[0], 1 / b.shape[0]) if wb is None else wb / wb.sum()
    rows, weights = jnp.concatenate([a, b]), jnp.concatenate([wa, -wb])
    rows = rows - (wa @ a + wb @ b) / 2
    square = (rows**2).sum(1)
    distance = jnp.maximum(square[:, None] + square[None, :] - 2 * rows @ rows.T, 0)
    return weights @ jnp.expm1(-distance / (2 * SIGMA**2)) @ weights


def cross_entropy(outputs: jax.Array, y: jax.Array, weights: jax.Array) -> jax.Array:
    """Of the softmax of what has already been through a sigmoid: never below log(1 + 1/e) = 0.313."""
    each = -jnp.take_along_axis(jax.nn.log_softmax(outputs), y[:, None], axis=1)[:, 0]
    return (each * weights).sum() / weights.sum()


class Carry(NamedTuple):
    weights: Any
    moments: Any


@dataclass(frozen=True)
class Config:
    """What decides a stage."""

    stage: str  # "autoencoder", "predictor", "transfer"
    n_lines: int
    n_line_genes: int
    n_epochs: int
    n_cells: int = 0
    n_cell_genes: int = 0

    @property
    def steps(self) -> int:
        return samplers.steps_per_epoch(self.n_lines, BATCH)


def optimiser(config: Config) -> Any:
    plateau = optax.contrib.reduce_on_plateau(factor=0.1, patience=11, rtol=1e-4, accumulation_size=config.steps)
    return optax.chain(optax.adam(RATE), plateau)


@cache
def program(config: Config) -> Program:
    loss, learning = {
        "autoencoder": (_autoencoder, ("encoder", "decoder")),
        "predictor": (_predictor, ("encoder", "predictor")),
        "transfer": (_transfer, ("cells",)),
    }[config.stage]
    return Program(
        step=partial(_step, config, loss, learning),
        sampler=partial(_sampler, config),
        logs=("loss",),
        steps_per_epoch=config.steps,
        n_epochs=config.n_epochs,
        evaluate=partial(_evaluate, config, loss),
        keep=lambda carry: carry.weights,
    )


def _sampler(config: Config, key: jax.Array, step: jax.Array) -> Any:
    lines = samplers.shuffled(key, step, config.n_lines, min(BATCH, config.n_lines))
    if config.stage != "transfer":
        return lines
    size = min(BATCH, config.n_cells)
    n_batches = samplers.steps_per_epoch(config.n_cells, size)
    turn = (
        step // config.steps * n_batches + step % config.steps % n_batches
    )  # batches of cells begin anew with each epoch
    cells = samplers.shuffled(jax.random.fold_in(key, 1), turn, config.n_cells, size)
    n = min(lines.rows.shape[0], size)  # both are cut to the shorter one
    both = lines.weights[:n] * cells.weights[:n]
    return samplers.Batch(lines.rows[:n], both), samplers.Batch(cells.rows[:n], both)


def _step(config, loss, learning, carry, data, batch, key):
    def of(params):
        weights = {k: Weights(params[k], w.stats) if k in learning else w for k, w in carry.weights.items()}
        return loss(config, weights, data, batch, key)

    params = {name: carry.weights[name].params for name in learning}
    (value, stats), slope = jax.value_and_grad(of, has_aux=True)(params)
    update, moments = optimiser(config).update(slope, carry.moments, params, value=value)
    params = optax.apply_updates(params, update)
    weights = {name: Weights(params.get(name, w.params), stats[name]) for name, w in carry.weights.items()}
    return Carry(weights, moments), (value,)


def _evaluate(config, loss, carry, data):
    """Loss of the rows held out, with running statistics; noise of the autoencoder stays on. First tenth of a transfer: not chosen."""
    held = {name.removeprefix("held_"): value for name, value in data.items() if name.startswith("held_")}
    made = optax.tree.get(carry.moments, "ScaleByAdamState").count
    noise = jax.random.fold_in(jax.random.wrap_key_data(data["noise"]), made)
    if config.stage == "transfer":
        n = min(BATCH, held["x"].shape[0], held["cells"].shape[0])
        all_rows = samplers.Batch(jnp.arange(n), jnp.ones(n))
        value, _ = loss(config, carry.weights, held, (all_rows, all_rows), None)
        return jnp.where(made > 0.1 * config.n_epochs * config.steps, value, NEVER)
    n = held["x"].shape[0]
    return loss(config, carry.weights, held, samplers.Batch(jnp.arange(n), jnp.ones(n)), None, noise)[0]


def _split(key: jax.Array | None, n: int) -> Sequence[Any]:
    return [None] * n if key is None else jax.random.split(key, n)


def _autoencoder(config, weights, data, batch, key, noise=None):
    noise, *keys = _split(key, 3) if key is not None else (noise, None, None)
    x, real = samplers.rows_of(data, "x", batch), batch.weights > 0
    x = x * jax.random.bernoulli(noise, KEPT, x.shape)
    z, encoder = apply(structure(Encoder, config.n_line_genes), weights["encoder"], x, real, keys[0])
    back, decoder = apply(structure(Decoder, config.n_line_genes), weights["decoder"], z, real, keys[1])
    error = ((back - x) ** 2).mean(1)  # of what was zeroed too
    return (error * batch.weights).sum() / batch.weights.sum(), {"encoder": encoder, "decoder": decoder}


def _predictor(config, weights, data, batch, key, noise=None):
    keys, real = _split(key, 2), batch.weights > 0
    x, y = samplers.rows_of(data, "x", batch), samplers.rows_of(data, "y", batch)
    z, encoder = apply(structure(Encoder, config.n_line_genes), weights["encoder"], x, real, keys[0])
    outputs, predictor = apply(structure(Predictor), weights["predictor"], z, real, keys[1])
    return cross_entropy(outputs, y, batch.weights), {"encoder": encoder, "predictor": predictor}


def _transfer(config, weights, data, batch, key):
    lines, cells = batch
    keys, real = _split(key, 3), lines.weights > 0
    x, y, c = (samplers.rows_of(data, *of) for of in (("x", lines), ("y", lines), ("cells", cells)))
    zs, encoder = apply(structure(Encoder, config.n_line_genes), weights["encoder"], x, real, keys[0])
    zt, own = apply(structure(Encoder, config.n_cell_genes), weights["cells"], c, real, keys[1])
    outputs, predictor = apply(structure(Predictor), weights["predictor"], zs, real, keys[2])
    loss = cross_entropy(outputs, y, lines.weights) + WEIGHT * mmd(zs, zt, lines.weights, cells.weights)
    return loss, {"encoder": encoder, "cells": own, "predictor": predictor}


class Fitted(NamedTuple):
    """Everything of one run."""

    config: Config
    weights: dict[str, Weights]
    before: dict[str, Weights]  # of the transfer
    lines: np.ndarray  # scaled
    cells: np.ndarray
    cpu: float


def fit(lines: np.ndarray, sensitive: np.ndarray, cells: np.ndarray, seed: int = 0, n_epochs: int = 25) -> Fitted:
    """All stages: lines (n, p), their classes (1 is sensitive), cells (m, q) of any genes. Splits are always those of seed 42."""
    from sklearn.model_selection import train_test_split

    began, random = time.process_time(), Streams(seed)
    x, c, y = min_max(lines), min_max(cells), np.asarray(sensitive, np.int32)
    rest, _ = train_test_split(np.arange(len(x)), test_size=0.2, random_state=42)
    known, held = train_test_split(rest, test_size=0.2, random_state=42)
    c_known, c_held = train_test_split(np.arange(len(c)), test_size=0.2, random_state=42)
    rare = known[y[known] == np.argmin(np.bincount(y[known], minlength=2))]
    more = random.generator("oversampling").choice(rare, len(known) // 2)  # as many, where a quarter is sensitive
    even = np.concatenate([known, more])

    def first(kind: type, *sizes: int) -> Weights:
        return _made(kind, *sizes)[1](jax.random.wrap_key_data(jnp.asarray(random.key(kind.__name__, *sizes))))

    def run(config: Config, weights: dict[str, Weights], learning: Sequence[str], **data: np.ndarray) -> Any:
        moments = optimiser(config).init({name: weights[name].params for name in learning})
        state = start(program(config), Carry(weights, moments), random.key(config.stage, config.n_line_genes))
        data["noise"] = random.key("noise", config.n_line_genes)
        *_, last = train(program(config), state, {k: jnp.asarray(v) for k, v in data.items()}, seconds=1e9)
        return result(program(config), last)

    def copied(weights: Any) -> Any:
        return jax.tree.map(jnp.array, weights)  # the loop takes over the memory of what it is given

    p, q = x.shape[1], c.shape[1]
    a = run(
        Config("autoencoder", len(even), p, n_epochs),
        {"encoder": first(Encoder, p), "decoder": first(Decoder, p)},
        ("encoder", "decoder"),
        x=x[even],
        held_x=x[held],
    )
    b = run(
        Config("predictor", len(even), p, n_epochs),
        {"encoder": a["encoder"], "predictor": first(Predictor)},
        ("encoder", "predictor"),
        x=x[even],
        y=y[even],
        held_x=x[held],
        held_y=y[held],
    )
    t = run(
        Config("autoencoder", len(c_known), q, n_epochs),
        {"encoder": first(Encoder, q), "decoder": first(Decoder, q)},
        ("encoder", "decoder"),
        x=c[c_known],
        held_x=c[c_held],
    )
    before = {"encoder": b["encoder"], "predictor": b["predictor"], "cells": t["encoder"]}
    config = Config("transfer", len(known), p, n_epochs, len(c_known), q)
    after = run(
        config,
        copied(before),
        ("cells",),
        x=x[known],
        y=y[known],
        cells=c[c_known],
        held_x=x[held],
        held_y=y[held],
        held_cells=c[c_held],
    )
    return Fitted(config, after, before, x, c, time.process_time() - began)


def min_max(x: np.ndarray) -> np.ndarray:
    """Each gene from 0 to 1 over all rows, those that are tested on too."""
    x = np.asarray(x, np.float32)
    low, high = x.min(0), x.max(0)
    return (x - low) / np.where(high > low, high - low, 1)


@partial(jax.jit, static_argnums=0)
def _outputs(graphs, encoder, predictor, x):
    z, _ = apply(graphs[0], encoder, x)
    return z, apply(graphs[1], predictor, z)[0]


def predict(fitted: Fitted, weights: dict[str, Weights], of: str = "cells") -> tuple[np.ndarray, np.ndarray]:
    """Latent variables and the two outputs (resistant, sensitive) of cells, or of lines ("encoder")."""
    x = fitted.cells if of == "cells" else fitted.lines
    graphs = structure(Encoder, x.shape[1]), structure(Predictor)
    z, outputs = _outputs(graphs, weights[of], weights["predictor"], jnp.asarray(x))
    return np.asarray(z), np.asarray(outputs)
