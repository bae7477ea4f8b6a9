"""Layers and networks (Flax NNX). Modules are made once and split into arrays; the training loop sees only those."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

MOMENTUM, EPSILON = 0.99, 1e-3  # of batch normalisation in Keras, whose numbers the papers rest on


class Hidden(nnx.Module):
    """Dense layers with ReLU, and batch normalisation before it where asked for."""

    def __init__(self, n_in: int, sizes: Sequence[int], *, normalise: bool, rngs: nnx.Rngs) -> None:
        widths = [n_in, *sizes]
        glorot = nnx.initializers.glorot_uniform()
        self.layers = nnx.List(
            nnx.Linear(a, b, kernel_init=glorot, rngs=rngs) for a, b in zip(widths[:-1], widths[1:], strict=True)
        )
        self.norms = nnx.List(
            nnx.BatchNorm(b, momentum=MOMENTUM, epsilon=EPSILON, use_fast_variance=False, rngs=rngs)
            for b in (widths[1:] if normalise else ())
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

    def __init__(self, n_in: int, hidden: Sequence[int], n_latent: int, *, rngs: nnx.Rngs) -> None:
        glorot = nnx.initializers.glorot_uniform()
        self.hidden = Hidden(n_in, hidden, normalise=True, rngs=rngs)
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
    """Parameters of the likelihood from latent variables: `n_heads` numbers for each variable. No normalisation."""

    def __init__(self, n_latent: int, hidden: Sequence[int], n_out: int, *, n_heads: int = 1, rngs: nnx.Rngs) -> None:
        glorot = nnx.initializers.glorot_uniform()
        self.hidden = Hidden(n_latent, hidden, normalise=False, rngs=rngs)
        last = hidden[-1] if hidden else n_latent
        self.heads = nnx.List(nnx.Linear(last, n_out, kernel_init=glorot, rngs=rngs) for _ in range(n_heads))

    def __call__(self, z: Float[Array, "b latent"]) -> tuple[Float[Array, "b n"], ...]:
        """Return one array for each head."""
        h = self.hidden(z, None, training=False)
        return tuple(head(h) for head in self.heads)


class VAE(nnx.Module):
    """Encoder and decoder of a variational autoencoder :cite:p:`Kingma2014`."""

    def __init__(self, n_in: int, hidden: Sequence[int], n_latent: int, *, n_heads: int = 1, rngs: nnx.Rngs) -> None:
        self.encoder = Encoder(n_in, hidden, n_latent, rngs=rngs)
        self.decoder = Decoder(n_latent, tuple(reversed(hidden)), n_in, n_heads=n_heads, rngs=rngs)

    def __call__(
        self, x: Float[Array, "b n"], weights: Float[Array, "b"], noise: Float[Array, "b latent"]
    ) -> tuple[Float[Array, "b latent"], Float[Array, "b latent"], tuple[Float[Array, "b n"], ...]]:
        """Encode in training mode, draw with standard normal `noise`, decode: mean, log variance, outputs."""
        mean, logvar = self.encoder(x, weights, training=True)
        return mean, logvar, self.decoder(mean + jnp.exp(0.5 * logvar) * noise)
