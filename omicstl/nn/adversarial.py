"""Discriminators of domains, and the gradient that comes back from them reversed."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .distances import shares
from .terms.base import Params


def rise(steepness: float, share: Float[Array, ""]) -> Float[Array, ""]:
    """Share of its weight that a term has after a share of training (Ganin et al. 2016, section 5.2.2)."""
    return jnp.float32(1) if steepness == 0 else 2 / (1 + jnp.exp(-steepness * share)) - 1


@jax.custom_vjp
def reverse_gradient(x: Float[Array, "*n"], strength: Float[Array, ""]) -> Float[Array, "*n"]:
    """The identity, whose gradient comes back multiplied by ``-strength``."""
    return x


def _reverse_forward(x: jax.Array, strength: jax.Array) -> tuple[jax.Array, jax.Array]:
    return x, strength


def _reverse_backward(strength: jax.Array, slope: jax.Array) -> tuple[jax.Array, jax.Array]:
    return -strength * slope, jnp.zeros_like(strength)


reverse_gradient.defvjp(_reverse_forward, _reverse_backward)


def discriminator(generator: np.random.Generator, n_in: int, n_hidden: int) -> dict[str, jax.Array]:
    """First weights of one hidden layer and one output (Glorot's uniform)."""

    def kernel(a: int, b: int) -> jax.Array:
        limit = np.sqrt(6 / (a + b))
        return jnp.asarray(generator.uniform(-limit, limit, (a, b)), jnp.float32)

    hidden, out = kernel(n_in, n_hidden), kernel(n_hidden, 1)
    return {"hidden": hidden, "bias": jnp.zeros(n_hidden, jnp.float32), "out": out}


def domain_loss(
    params: Params,
    x: Float[Array, "a h"],
    y: Float[Array, "b h"],
    x_weights: Float[Array, "a"],
    y_weights: Float[Array, "b"],
) -> Float[Array, ""]:
    """Cross entropy of the discriminator, whose output is the logit of the target; both domains count alike."""

    def logit(z: jax.Array) -> jax.Array:
        return (jax.nn.relu(z @ params["hidden"] + params["bias"][None, :]) @ params["out"])[:, 0]

    source, target = jax.nn.softplus(logit(x)), jax.nn.softplus(-logit(y))
    return 0.5 * (shares(x_weights) @ source + shares(y_weights) @ target)


def products(
    params: Params, latent: Float[Array, "n k"], outputs: Float[Array, "n c"], strength: Float[Array, ""]
) -> Float[Array, "n h"]:
    """All products of latent variables and outputs, or fixed random sums of them; gradients come back reversed."""
    latent, outputs = reverse_gradient(latent, strength), reverse_gradient(outputs, strength)
    if "of_latent" not in params:
        return (latent[:, :, None] * outputs[:, None, :]).reshape(len(latent), -1)
    drawn = jax.lax.stop_gradient((params["of_latent"], params["of_outputs"]))
    return (latent @ drawn[0]) * (outputs @ drawn[1]) / jnp.sqrt(jnp.float32(drawn[0].shape[1]))


def binary_entropy(p: Float[Array, "n c"]) -> Float[Array, "n c"]:
    """Of each output that is a probability by itself, in nats."""
    p = jnp.clip(p, 1e-6, 1 - 1e-6)
    return -(p * jnp.log(p) + (1 - p) * jnp.log1p(-p))


def certainty(outputs: Float[Array, "n c"], entropy: Float[Array, "n"] | None) -> Float[Array, "n"]:
    """``1 + exp(-H)``, without a gradient (Long et al. 2018, section 3.3).

    There H is the entropy of one softmax, which `entropy` is for classes. Outputs that are each a probability by itself have no joint
    distribution to take it of; the mean of theirs is taken, which stays between 0 and log 2 however many there are.
    """
    found = jnp.mean(binary_entropy(outputs), axis=1) if entropy is None else entropy
    return 1 + jnp.exp(-jax.lax.stop_gradient(found))
