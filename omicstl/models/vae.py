"""Variational autoencoders of expression: the network of DeepProfile and its training step, as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from omicstl._core.random import Streams
from omicstl.nn import modules, samplers, terms
from omicstl.nn.train import Program, State, start

KERAS_EPSILON = 1e-7  # of Adam


@dataclass(frozen=True)
class VaeConfig:
    """What decides a network and its training; equal ones share their compiled program."""

    n_in: int
    n_latent: int
    hidden: tuple[int, ...]
    n_rows: int
    batch_size: int = 50
    n_epochs: int = 50
    learning_rate: float = 5e-4
    kl_weight: float = 1.0


class Carry(NamedTuple):
    """Weights, running statistics of batch normalisation, and the optimiser's state."""

    params: Any
    stats: Any
    moments: Any


@cache
def _split(config: VaeConfig) -> nnx.GraphDef:
    """The structure of the network without its arrays."""
    return nnx.split(nnx.eval_shape(lambda: _module(config, nnx.Rngs(0))))[0]


def _module(config: VaeConfig, rngs: nnx.Rngs) -> modules.VAE:
    return modules.VAE(config.n_in, config.hidden, config.n_latent, rngs=rngs)


def _optimiser(config: VaeConfig) -> optax.GradientTransformation:
    return optax.adam(config.learning_rate, eps=KERAS_EPSILON)


@cache
def program(config: VaeConfig) -> Program:
    """The training of one network; ``data`` is {"x": (n_rows, n_in) float32}."""
    return Program(
        step=partial(_step, config),
        sampler=partial(samplers.shuffled, n_rows=config.n_rows, batch_size=config.batch_size),
        logs=("loss", "reconstruction", "kl"),
        steps_per_epoch=samplers.steps_per_epoch(config.n_rows, config.batch_size),
        n_epochs=config.n_epochs,
        keep=lambda carry: (carry.params, carry.stats),
    )


def begin(config: VaeConfig, random: Streams, member: int) -> State:
    """The state of a member before its first step, from its own streams."""
    params, stats = _start(config, random.key("start", config.n_latent, member))
    carry = Carry(params, stats, _optimiser(config).init(params))
    return start(program(config), carry, random.key("training", config.n_latent, member))


@partial(jax.jit, static_argnums=0)
def _start(config: VaeConfig, key: jax.Array) -> tuple[Any, Any]:
    module = _module(config, nnx.Rngs(jax.random.wrap_key_data(key)))
    parts: Any = nnx.split(module, nnx.Param, nnx.BatchStat)  # an error if there were arrays of another kind
    return parts[1], parts[2]


def _step(
    config: VaeConfig, carry: Carry, data: dict[str, jax.Array], batch: samplers.Batch, key: jax.Array
) -> tuple[Carry, tuple[jax.Array, jax.Array, jax.Array]]:
    noise = jax.random.normal(key, (config.batch_size, config.n_latent), jnp.float32)
    gradient = jax.value_and_grad(partial(loss, config), has_aux=True)
    (total, (stats, reconstruction, kl)), slope = gradient(
        carry.params, carry.stats, data["x"][batch.rows], batch.weights, noise
    )
    update, moments = _optimiser(config).update(slope, carry.moments)
    return Carry(optax.apply_updates(carry.params, update), stats, moments), (total, reconstruction, kl)


def loss(
    config: VaeConfig, params: Any, stats: Any, x: jax.Array, weights: jax.Array, noise: jax.Array
) -> tuple[jax.Array, tuple[Any, jax.Array, jax.Array]]:
    """Mean over the batch of squared error and weighted divergence, each summed; and the new running statistics."""
    module = nnx.merge(_split(config), params, stats, copy=True)
    mean, logvar, (output,) = module(x, weights, noise)
    n = jnp.sum(weights)
    reconstruction = jnp.sum(weights[:, None] * terms.squared_error(x, output)) / n
    kl = jnp.sum(weights[:, None] * terms.kl_standard_normal(mean, logvar)) / n
    return reconstruction + config.kl_weight * kl, (nnx.state(module, nnx.BatchStat), reconstruction, kl)


@partial(jax.jit, static_argnums=0)
def _encode(config: VaeConfig, kept: tuple[Any, Any], x: jax.Array) -> tuple[jax.Array, jax.Array]:
    module: Any = nnx.merge(_split(config), kept[0], kept[1], copy=True)
    return module.encoder(x)


def encode(config: VaeConfig, kept: tuple[Any, Any], x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and log variance of the latent variables of rows (n, n_in), with the running statistics."""
    mean, logvar = _encode(config, kept, jnp.asarray(x, jnp.float32))
    return np.asarray(mean), np.asarray(logvar)
