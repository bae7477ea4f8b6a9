"""Terms of the evidence lower bound, each a value for every observation (and variable, or latent unit): plain functions.

Parameters of a variable have shape (1, p). All likelihoods are negative log densities with their constants, but `squared_error`, which is what the paper of DeepProfile
minimises. Rates and dispersions come as logarithms, so that no network output has to be made positive.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.scipy.special import gammaln
from jaxtyping import Array, Float

LOG_2PI = 1.8378770664093453


def kl_standard_normal(mean: Float[Array, "*b latent"], logvar: Float[Array, "*b latent"]) -> Float[Array, "*b latent"]:
    """Divergence of N(mean, exp(logvar)) from N(0, 1), in nats (Kingma and Welling 2014, appendix B)."""
    return 0.5 * (mean**2 + jnp.exp(logvar) - 1 - logvar)


def free_bits(kl: Float[Array, "b latent"], weights: Float[Array, "b"], nats: float) -> Float[Array, ""]:
    """Divergence summed over units, each at least `nats` on average over the batch (Kingma et al. 2016, equation 15)."""
    mean = jnp.sum(weights[:, None] * kl, axis=0) / jnp.sum(weights)
    return jnp.sum(jnp.maximum(mean, nats))


def squared_error(x: Float[Array, "*b p"], mean: Float[Array, "*b p"]) -> Float[Array, "*b p"]:
    """``(x - mean)^2``: a Gaussian of variance 1/2, without its constants."""
    return (x - mean) ** 2


def gaussian(
    x: Float[Array, "*b p"], mean: Float[Array, "*b p"], log_scale: Float[Array, "*#b p"]
) -> Float[Array, "*b p"]:
    """Gaussian with a standard deviation of ``exp(log_scale)``."""
    return 0.5 * ((x - mean) * jnp.exp(-log_scale)) ** 2 + log_scale + 0.5 * LOG_2PI


def bernoulli(x: Float[Array, "*b p"], logit: Float[Array, "*b p"]) -> Float[Array, "*b p"]:
    """Bernoulli, or the cross entropy of a share between 0 and 1."""
    return jax.nn.softplus(logit) - x * logit


def poisson(x: Float[Array, "*b p"], log_rate: Float[Array, "*b p"]) -> Float[Array, "*b p"]:
    """Poisson counts."""
    return jnp.exp(log_rate) - x * log_rate + gammaln(x + 1)


def negative_binomial(
    x: Float[Array, "*b p"], log_mean: Float[Array, "*b p"], log_inverse_dispersion: Float[Array, "*#b p"]
) -> Float[Array, "*b p"]:
    r"""Negative binomial of mean :math:`\mu` and variance :math:`\mu + \mu^2 / \theta`, with :math:`\theta` the inverse dispersion."""
    theta = jnp.exp(log_inverse_dispersion)
    both = jnp.logaddexp(log_inverse_dispersion, log_mean)  # log(theta + mu)
    chosen = gammaln(x + theta) - gammaln(theta) - gammaln(x + 1)
    return -(chosen + theta * (log_inverse_dispersion - both) + x * (log_mean - both))


def zero_inflated_negative_binomial(
    x: Float[Array, "*b p"],
    log_mean: Float[Array, "*b p"],
    log_inverse_dispersion: Float[Array, "*#b p"],
    dropout_logit: Float[Array, "*#b p"],
) -> Float[Array, "*b p"]:
    """Negative binomial whose values are replaced by 0 with probability ``sigmoid(dropout_logit)`` (Lopez et al. 2018)."""
    counted = negative_binomial(x, log_mean, log_inverse_dispersion)
    at_zero = jax.nn.softplus(dropout_logit) - jnp.logaddexp(dropout_logit, -counted)
    return jnp.where(x < 0.5, at_zero, counted + jax.nn.softplus(dropout_logit))
