"""Layers and networks (Flax NNX). Modules are made once and split into arrays; the training loop sees only those."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

MOMENTUM, EPSILON = 0.99, 1e-3  # of batch normalisation in Keras, whose numbers the papers rest on


class Hidden(nnx.Module):
    """Dense layers with ReLU, and batch normalisation before it where running statistics have a momentum."""

    def __init__(self, n_in: int, sizes: Sequence[int], *, momentum: float | None = None, rngs: nnx.Rngs) -> None:
        widths = [n_in, *sizes]
        glorot = nnx.initializers.glorot_uniform()
        self.layers = nnx.List(
            nnx.Linear(a, b, kernel_init=glorot, rngs=rngs) for a, b in zip(widths[:-1], widths[1:], strict=True)
        )
        self.norms = nnx.List(
            nnx.BatchNorm(b, momentum=momentum, epsilon=EPSILON, use_fast_variance=False, rngs=rngs)
            for b in (() if momentum is None else widths[1:])
        )

    def __call__(
        self, x: Float[Array, "b n"], weights: Float[Array, "b"] | None, *, training: bool
    ) -> Float[Array, "b h"]:
        """Rows of weight 0 do not count in the batch's mean and variance; without training the running ones are used."""
        mask = None if weights is None else weights[:, None] > 0
        for i, layer in enumerate(self.layers):
            x = layer(x)
            if len(self.norms):
                x = self.norms[i](x, use_running_average=not training, mask=mask)
            x = jax.nn.relu(x)
        return x


class Encoder(nnx.Module):
    """Mean and log variance of the latent variables of each observation."""

    def __init__(
        self, n_in: int, hidden: Sequence[int], n_latent: int, *, momentum: float = MOMENTUM, rngs: nnx.Rngs
    ) -> None:
        glorot = nnx.initializers.glorot_uniform()
        self.hidden = Hidden(n_in, hidden, momentum=momentum, rngs=rngs)
        last = hidden[-1] if hidden else n_in
        self.mean = nnx.Linear(last, n_latent, kernel_init=glorot, rngs=rngs)
        self.logvar = nnx.Linear(last, n_latent, kernel_init=glorot, rngs=rngs)

    def __call__(
        self, x: Float[Array, "b n"], weights: Float[Array, "b"] | None = None, *, training: bool = False
    ) -> tuple[Float[Array, "b latent"], Float[Array, "b latent"]]:
        """Return mean and log variance."""
        h = self.hidden(x, weights, training=training)
        return self.mean(h), self.logvar(h)


class Decoder(nnx.Module):
    """Parameters of the likelihood from latent variables: `n_heads` numbers for each variable. No normalisation.

    Without hidden layers it is linear, and a `mask` of 0 and 1 may keep weights of its heads at zero.
    """

    def __init__(self, n_latent: int, hidden: Sequence[int], n_out: int, *, n_heads: int = 1, rngs: nnx.Rngs) -> None:
        glorot = nnx.initializers.glorot_uniform()
        self.hidden = Hidden(n_latent, hidden, rngs=rngs)
        last = hidden[-1] if hidden else n_latent
        self.heads = nnx.List(nnx.Linear(last, n_out, kernel_init=glorot, rngs=rngs) for _ in range(n_heads))

    def __call__(
        self, z: Float[Array, "b latent"], mask: Float[Array, "h n"] | None = None
    ) -> tuple[Float[Array, "b n"], ...]:
        """Return one array for each head."""
        h = self.hidden(z, None, training=False)
        if mask is None:
            return tuple(head(h) for head in self.heads)
        return tuple(_masked(head, h, mask) for head in self.heads)


def _masked(head: Any, h: jax.Array, mask: jax.Array) -> jax.Array:
    return h @ (head.kernel[...] * mask) + head.bias[...][None, :]


class VAE(nnx.Module):
    """Encoder and decoder of a variational autoencoder :cite:p:`Kingma2014`.

    Covariates are appended to what the encoder sees and to what the decoder sees. `own` names parameters of the likelihood
    that each variable has for itself.
    """

    def __init__(
        self,
        n_in: int,
        hidden: Sequence[int],
        n_latent: int,
        *,
        decoder_hidden: Sequence[int] | None = None,
        n_covariates: int = 0,
        n_heads: int = 1,
        own: Sequence[str] = (),
        momentum: float = MOMENTUM,
        rngs: nnx.Rngs,
    ) -> None:
        up = tuple(reversed(hidden)) if decoder_hidden is None else tuple(decoder_hidden)
        self.encoder = Encoder(n_in + n_covariates, hidden, n_latent, momentum=momentum, rngs=rngs)
        self.decoder = Decoder(n_latent + n_covariates, up, n_in, n_heads=n_heads, rngs=rngs)
        for name in own:
            setattr(self, name, nnx.Param(jnp.zeros((1, n_in), jnp.float32)))

    def __call__(
        self,
        x: Float[Array, "b n"],
        weights: Float[Array, "b"] | None,
        noise: Float[Array, "b latent"] | None,
        covariates: Float[Array, "b c"] | None = None,
        mask: Float[Array, "h n"] | None = None,
    ) -> tuple[Float[Array, "b latent"], Float[Array, "b latent"], tuple[Float[Array, "b n"], ...]]:
        """Encode, draw with standard normal `noise`, decode: mean, log variance, outputs.

        Without `noise` the mean is decoded, and batch normalisation uses its running statistics.
        """
        mean, logvar = self.encoder(beside(x, covariates), weights, training=noise is not None)
        z = mean if noise is None else mean + jnp.exp(0.5 * logvar) * noise
        return mean, logvar, self.decoder(beside(z, covariates), mask)


def beside(x: Float[Array, "b n"], more: Float[Array, "b c"] | None) -> Float[Array, "b m"]:
    """Columns of both; those of `x` if there are no more."""
    return x if more is None else jnp.concatenate([x, more], axis=1)
