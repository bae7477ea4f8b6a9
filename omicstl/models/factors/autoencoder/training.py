"""Variational autoencoders of expression: the training of one network, as arrays. The defaults are DeepProfile's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from omicstl._core.random import Streams
from omicstl.nn import samplers
from omicstl.nn.train import Program, State, start

from .loss import NOTHING, Minibatch, VaeProgram, loss, parts, validation_loss

__all__ = ["Carry", "Minibatch", "VaeProgram", "begin", "loss", "program"]

KERAS_EPSILON = 1e-7  # of Adam
VALIDATION_ROWS = 256  # that are evaluated at a time
OF_ROWS = ("x", "covariates", "library")


class Carry(NamedTuple):
    """Weights, running statistics of batch normalisation, and the optimiser's state."""

    params: Any
    stats: Any
    moments: Any


def _optimiser(config: VaeProgram) -> optax.GradientTransformation:
    return optax.adam(config.learning_rate, eps=KERAS_EPSILON)


@cache
def program(config: VaeProgram) -> Program:
    """The training of one network.

    ``data["x"]`` (n_rows, n_in) float32 are z-scores for Gaussian likelihoods, else the data themselves; `loss` says what else
    there may be: ``covariates`` and ``library`` of the rows, what is ``given`` of the variables, and the same of rows ``held`` out.
    """
    return Program(
        step=partial(_step, config),
        sampler=_sampler(config.n_rows, config.batch_size),
        logs=("loss", "reconstruction", "kl"),
        steps_per_epoch=samplers.steps_per_epoch(config.n_rows, config.batch_size),
        n_epochs=config.n_epochs,
        keep=_keep,
        evaluate=partial(_evaluate, config) if config.n_validation else None,
        patience=config.patience,
        patience_from=config.kl_warmup,
    )


@cache
def _sampler(n_rows: int, batch_size: int) -> Callable[[jax.Array, jax.Array], samplers.Batch]:
    """One object for equal sizes, so that networks share what is compiled of it."""
    return partial(_never_one, n_rows, batch_size)


def _keep(carry: Carry) -> tuple[Any, Any]:
    return carry.params, carry.stats


def _never_one(n_rows: int, batch_size: int, key: jax.Array, step: jax.Array) -> samplers.Batch:
    """Every row once an epoch; a last row that would be alone in its batch, without a variance, takes the one before along."""
    batch = samplers.shuffled(key, step, n_rows, batch_size)
    if n_rows % batch_size != 1 or n_rows < 2:
        return batch
    per_epoch = samplers.steps_per_epoch(n_rows, batch_size)
    before = jnp.full(1, n_rows - 2, jnp.int32)
    other = samplers.permuted(jax.random.fold_in(key, step // per_epoch), before, n_rows)[0]
    last = step % per_epoch == per_epoch - 1
    rows = batch.rows.at[1].set(jnp.where(last, other, batch.rows[1]))
    return samplers.Batch(rows, batch.weights.at[1].set(1.0))


def begin(config: VaeProgram, random: Streams, member: int, first: Mapping[str, np.ndarray] | None = None) -> State:
    """The state of a member before its first step, from its own streams.

    `first` has first values by name: of the offsets of the decoder's outputs, ``head_0`` and ``head_1``, and of what each variable
    has for itself.
    """
    _, params, stats = parts(config)
    generator = random.generator("start", config.n_latent, member)
    params, stats = (
        jax.tree_util.tree_map_with_path(partial(_first, config, generator, first or {}), part)
        for part in (params, stats)
    )
    carry = Carry(params, stats, _optimiser(config).init(_gathered(params)))
    return start(program(config), carry, random.key("training", config.n_latent, member))


def _first(
    config: VaeProgram,
    generator: np.random.Generator,
    given: Mapping[str, np.ndarray],
    path: tuple[Any, ...],
    shape: jax.ShapeDtypeStruct,
) -> jax.Array:
    """First value of an array by its name: Glorot's uniform for kernels, ones for what multiplies, zeros else.

    Drawn by numpy: the same in JAX would be compiled for every architecture, which takes longer than many epochs.
    """
    name = jax.tree_util.keystr(path)
    if "'kernel'" in name:
        limit = np.sqrt(6 / sum(shape.shape))
        drawn = generator.uniform(-limit, limit, shape.shape)
        if config.positive and "['decoder']" in name:
            drawn[: config.n_latent] = np.abs(drawn[: config.n_latent])
        return jnp.asarray(drawn, jnp.float32)
    for what, value in given.items():
        where = f"['decoder']['heads'][{what[5:]}]['bias']" if what.startswith("head_") else f"['{what}']"
        if name.startswith(where):
            return jnp.asarray(np.broadcast_to(value, shape.shape), jnp.float32)
    ones = "'scale'" in name or "'var'" in name
    return jnp.full(shape.shape, 1.0 if ones else 0.0, jnp.float32)


def _step(
    config: VaeProgram, carry: Carry, data: dict[str, Any], batch: samplers.Batch, key: jax.Array
) -> tuple[Carry, tuple[jax.Array, jax.Array, jax.Array]]:
    noise = jax.random.normal(key, (config.batch_size, config.n_latent), jnp.float32)
    arrays = {name: data[name] for name in OF_ROWS if name in data}
    rows = {name: samplers.rows_of(arrays, name, batch) for name in arrays}
    share: Any = 1.0
    if config.kl_warmup:
        steps = config.kl_warmup * samplers.steps_per_epoch(config.n_rows, config.batch_size)
        made = optax.tree.get(carry.moments, "count")
        share = jnp.minimum(jnp.asarray(made, jnp.float32) / steps, 1.0)
    gradient = jax.value_and_grad(partial(loss, config), has_aux=True)
    (total, (stats, reconstruction, kl)), slope = gradient(
        carry.params,
        carry.stats,
        Minibatch(rows.pop("x"), batch.weights, noise, rows),
        data.get("given", NOTHING),
        share,
    )
    update, moments = _optimiser(config).update(_gathered(slope), carry.moments)
    params = _apart(carry.params, optax.apply_updates(_gathered(carry.params), update))
    if config.positive:
        params = jax.tree_util.tree_map_with_path(partial(_not_negative, config), params)
    return Carry(params, stats, moments), (total, reconstruction, kl)


def _gathered(params: Any) -> list[jax.Array]:
    """Matrices as they are and all vectors as one: an update is compiled for each array, and vectors are many and short."""
    leaves = jax.tree.leaves(params)
    return [*(leaf for leaf in leaves if leaf.ndim > 1), jnp.concatenate([leaf for leaf in leaves if leaf.ndim == 1])]


def _apart(like: Any, gathered: list[jax.Array]) -> Any:
    """Undo `_gathered`."""
    leaves, structure = jax.tree.flatten(like)
    *matrices, vector = gathered
    ends = np.cumsum([leaf.size for leaf in leaves if leaf.ndim == 1])[:-1]
    kinds = {True: iter(matrices), False: iter(jnp.split(vector, ends))}
    return jax.tree.unflatten(structure, [next(kinds[leaf.ndim > 1]) for leaf in leaves])


def _not_negative(config: VaeProgram, path: tuple[Any, ...], value: jax.Array) -> jax.Array:
    """Clip the weights of latent units in the decoder, not those of covariates."""
    if "['decoder']['heads'][0]['kernel']" not in jax.tree_util.keystr(path):
        return value
    return value.at[: config.n_latent].set(jnp.maximum(value[: config.n_latent], 0))


def _evaluate(config: VaeProgram, carry: Carry, data: dict[str, Any]) -> jax.Array:
    size = min(VALIDATION_ROWS, config.n_validation)
    return validation_loss(config, _keep(carry), data["held"], data.get("given", NOTHING), size)
