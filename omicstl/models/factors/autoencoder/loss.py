"""What a variational autoencoder minimises: its network, the likelihoods, and the bound on rows of a batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from omicstl.models.factors.autoencoder.likelihoods import COUNTS, GAUSSIAN, LIKELIHOODS
from omicstl.nn import likelihoods, modules

Arrays = Mapping[str, jax.Array]
NOTHING: Arrays = {}


@dataclass(frozen=True)
class VaeProgram:
    """What decides a network and its training; equal ones share their compiled program."""

    n_in: int
    n_latent: int
    hidden: tuple[int, ...]
    n_rows: int
    batch_size: int = 50
    n_epochs: int = 50
    learning_rate: float = 5e-4
    kl_weight: float = 1.0
    likelihood: str = "gaussian"
    decoder: str = "mlp"
    n_covariates: int = 0
    positive: bool = False
    """Weights of latent units in a decoder without hidden layers are kept at zero or above."""
    kl_warmup: int = 0
    """Epochs over which the weight of the divergence rises from 0 to `kl_weight`."""
    free_bits: float = 0.0
    """Nats of each unit's divergence that cost nothing."""
    n_validation: int = 0
    """Rows that are held out, ``data["held"]``."""
    patience: int | None = None
    momentum: float = modules.MOMENTUM
    """Of the running statistics of batch normalisation."""

    @property
    def heads(self) -> tuple[int, tuple[str, ...]]:
        """Outputs of the decoder for each variable, and what each variable has for itself.

        A decoder without hidden layers has one output, so that its weights say all of what a unit does.
        """
        n_heads, own = LIKELIHOODS[self.likelihood]
        return (n_heads, own) if self.decoder == "mlp" else (1, own + ("dropout_logit",) * (n_heads - 1))


class Minibatch(NamedTuple):
    """Rows of a batch: values (b, p), weights (b,) of which 0 only fills the batch, and the noise (b, k) of the draw.

    `more` has what else belongs to the rows: ``covariates`` (b, c) and, for counts, ``library`` (b,), the logarithm of their totals.
    """

    x: jax.Array
    weights: jax.Array
    noise: jax.Array
    more: Arrays = NOTHING


@cache
def parts(config: VaeProgram) -> tuple[nnx.GraphDef, Any, Any]:
    """The structure of the network, and the shapes of its weights and running statistics; no array is made."""
    n_heads, own = config.heads
    more = {"n_covariates": config.n_covariates, "n_heads": n_heads, "own": own, "momentum": config.momentum}
    more |= {} if config.decoder == "mlp" else {"decoder_hidden": ()}
    module = nnx.eval_shape(lambda: modules.VAE(config.n_in, config.hidden, config.n_latent, rngs=nnx.Rngs(0), **more))
    split: Any = nnx.split(module, nnx.Param, nnx.BatchStat)  # an error if there were arrays of another kind
    return split


def merged(config: VaeProgram, params: Any, stats: Any) -> Any:
    """The network with these weights and running statistics."""
    return nnx.merge(parts(config)[0], params, stats, copy=True)


def loss(
    config: VaeProgram,
    params: Any,
    stats: Any,
    batch: Minibatch,
    given: Arrays = NOTHING,
    kl_share: jax.Array | float = 1.0,
) -> tuple[jax.Array, tuple[Any, jax.Array, jax.Array]]:
    """Mean over the batch of reconstruction and weighted divergence, each summed; and the new running statistics.

    `given` has what belongs to the variables: ``centre`` and ``scale`` (p,) of the encoder's input and ``log_target`` (), where
    that is not the values themselves; and the ``mask`` (k + c, p) of a masked decoder.
    """
    x, weights, noise, more = batch
    real = weights > 0
    # Rows that only fill the batch are zeroed before the network, and left out of sums by a choice, not by a product: what
    # they would give may not be finite.
    x = jnp.where(real[:, None], x, 0)
    rows = {name: jnp.where(real[:, None] if value.ndim > 1 else real, value, 0) for name, value in more.items()}
    module = merged(config, params, stats)
    error, divergence = _bound(config, module, x, weights, noise, rows, given)
    n = jnp.sum(weights)
    reconstruction = jnp.sum(jnp.where(real[:, None], error, 0)) / n
    divergence = jnp.where(real[:, None], divergence, 0)
    kl = jnp.sum(divergence) / n
    paid = likelihoods.free_bits(divergence, weights, config.free_bits) if config.free_bits else kl
    total = reconstruction + config.kl_weight * kl_share * paid
    return total, (nnx.state(module, nnx.BatchStat), reconstruction, kl)


def validation_loss(config: VaeProgram, kept: tuple[Any, Any], held: Arrays, given: Arrays, size: int) -> jax.Array:
    """Mean over all held-out rows of reconstruction and divergence at its full weight, `size` rows at a time.

    The mean of the posterior is decoded, and batch normalisation uses its running statistics: nothing is drawn.
    """
    n = config.n_validation
    module = merged(config, *kept)

    def block(low: jax.Array) -> jax.Array:
        place = low + jnp.arange(size, dtype=jnp.int32)
        real = place < n
        rows = {name: value[jnp.minimum(place, n - 1)] for name, value in held.items()}
        error, divergence = _bound(config, module, rows["x"], None, None, rows, given)
        each = jnp.sum(error, axis=1) + config.kl_weight * jnp.sum(divergence, axis=1)
        return jnp.sum(jnp.where(real, each, 0))

    return jnp.sum(jax.lax.map(block, jnp.arange(0, n, size, dtype=jnp.int32))) / n


def _bound(
    config: VaeProgram,
    module: Any,
    x: jax.Array,
    weights: jax.Array | None,
    noise: jax.Array | None,
    rows: Arrays,
    given: Arrays,
) -> tuple[jax.Array, jax.Array]:
    """Negative log likelihood of each value (b, p), and divergence of each unit (b, k)."""
    seen = encoder_input(config, x, rows, given)
    mean, logvar, outputs = module(seen, weights, noise, rows.get("covariates"), given.get("mask"))
    own = {name: getattr(module, name)[...] for name in config.heads[1]}
    return negative_log_likelihood(config, x, outputs, own, rows), likelihoods.kl_standard_normal(mean, logvar)


def encoder_input(config: VaeProgram, x: jax.Array, rows: Arrays, given: Arrays) -> jax.Array:
    """Standardised rows: of the data themselves, or of ``log1p(x / total * target)`` for counts."""
    if config.likelihood in GAUSSIAN:
        return x  # standardised before
    if config.likelihood in COUNTS:
        x = jnp.log1p(x * jnp.exp(given["log_target"] - rows["library"])[:, None])
    return (x - given["centre"][None, :]) * (1 / given["scale"])[None, :]


def negative_log_likelihood(
    config: VaeProgram, x: jax.Array, outputs: tuple[jax.Array, ...], own: Arrays, rows: Arrays
) -> jax.Array:
    """Of each value (b, p), from the outputs of the decoder and what each variable has for itself."""
    kind, first = config.likelihood, outputs[0]
    if kind == "gaussian":
        return likelihoods.squared_error(x, first)
    if kind == "gaussian_learned":
        return likelihoods.gaussian(x, first, own["log_scale"])
    if kind == "bernoulli":
        return likelihoods.bernoulli(x, first)
    log_mean = jax.nn.log_softmax(first, axis=1) + rows["library"][:, None]
    if kind == "poisson":
        return likelihoods.poisson(x, log_mean)
    if kind == "nb":
        return likelihoods.negative_binomial(x, log_mean, own["log_inverse_dispersion"])
    dropout = outputs[1] if len(outputs) > 1 else own["dropout_logit"]
    return likelihoods.zero_inflated_negative_binomial(x, log_mean, own["log_inverse_dispersion"], dropout)
