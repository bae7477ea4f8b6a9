"""Distances between the latent variables of two domains, of rows with weights; rows of weight 0 count nowhere."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

TINY = 1e-12


def shares(weights: Float[Array, "n"]) -> Float[Array, "n"]:
    """Weights that sum to one."""
    return weights / jnp.maximum(jnp.sum(weights), TINY)


def squared_distances(x: Float[Array, "a k"], y: Float[Array, "b k"]) -> Float[Array, "a b"]:
    """Of all pairs of rows, from one product."""
    return jnp.maximum(jnp.sum(x**2, axis=1)[:, None] + jnp.sum(y**2, axis=1)[None, :] - 2 * x @ y.T, 0)


def typical_distance(
    squared: Float[Array, "n n"], weights: Float[Array, "n"], *, median: bool = False
) -> Float[Array, ""]:
    """Mean or median squared distance between different rows, without a gradient."""
    squared, off = jax.lax.stop_gradient(squared), 1 - jnp.eye(len(squared), dtype=squared.dtype)
    pairs = weights[:, None] * weights[None, :] * off
    if median:
        return jnp.nanmedian(jnp.where(pairs > 0, squared, jnp.nan))
    return jnp.sum(pairs * squared) / jnp.maximum(jnp.sum(pairs), TINY)


def gaussian_kernels(
    squared: Float[Array, "n n"], width: Float[Array, ""], n: int
) -> tuple[Float[Array, "n n"], Float[Array, "n n"]]:
    """Mean of ``exp(-d^2 / (width 2^j))`` over n consecutive powers around 2^0, and its derivative by d^2.

    One exponential, of the widest kernel, then squares.
    """
    rate = 2.0 ** -(n - 1 - (n - 1) // 2) / jnp.maximum(width, TINY)
    kernel = jnp.exp(-rate * squared)
    total, slope = kernel, kernel
    for j in range(1, n):
        kernel = kernel * kernel
        total, slope = total + kernel, slope + 2.0**j * kernel
    return total / n, slope * (-rate / n)


@partial(jax.custom_vjp, nondiff_argnums=(4, 5))
def mmd(
    x: Float[Array, "a k"],
    y: Float[Array, "b k"],
    x_weights: Float[Array, "a"],
    y_weights: Float[Array, "b"],
    n_widths: int = 5,
    median: bool = False,
) -> Float[Array, ""]:
    """Unbiased squared maximum mean discrepancy of weighted samples (Gretton et al. 2012, equation 3).

    The gradient is written out: weights of pairs times the kernels' derivatives make one symmetric matrix, and a product with it
    is all that is left. Weights have none.
    """
    return _mmd_forward(x, y, x_weights, y_weights, n_widths, median)[0]


def _mmd_forward(
    x: jax.Array, y: jax.Array, x_weights: jax.Array, y_weights: jax.Array, n_widths: int, median: bool
) -> tuple[jax.Array, Any]:
    z, n = jnp.concatenate([x, y]), len(x)
    squared, off = squared_distances(z, z), 1 - jnp.eye(len(z), dtype=x.dtype)
    on = (jnp.concatenate([x_weights, y_weights]) > 0).astype(x.dtype)
    kernel, slope = gaussian_kernels(squared, typical_distance(squared, on, median=median), n_widths)
    p = jnp.concatenate([shares(x_weights), jnp.zeros_like(y_weights)])
    q = jnp.concatenate([jnp.zeros_like(x_weights), shares(y_weights)])
    a, b = (w / jnp.sqrt(jnp.maximum(1 - jnp.sum(w**2), TINY)) for w in (p, q))
    across = p[:, None] * q[None, :] + q[:, None] * p[None, :]
    pairs = off * (a[:, None] * a[None, :] + b[:, None] * b[None, :] - across)
    value = jnp.sum(jnp.sum(pairs * kernel, axis=0))
    return value, (z, pairs * slope, n, x_weights, y_weights)


def _mmd_backward(n_widths: int, median: bool, kept: Any, slope: jax.Array) -> tuple[jax.Array, ...]:
    z, pairs, n, x_weights, y_weights = kept
    gradient = 4 * slope * (jnp.sum(pairs, axis=0)[:, None] * z - pairs @ z)
    return gradient[:n], gradient[n:], jnp.zeros_like(x_weights), jnp.zeros_like(y_weights)


mmd.defvjp(_mmd_forward, _mmd_backward)


def moment_distance(
    x: Float[Array, "a k"], y: Float[Array, "b k"], x_weights: Float[Array, "a"], y_weights: Float[Array, "b"]
) -> Float[Array, ""]:
    """``|C_x - C_y|^2 / 4 k^2`` (Sun and Saenko 2016, equation 1), and the squared distance of the means over k."""

    def moments(z: jax.Array, w: jax.Array) -> tuple[jax.Array, jax.Array]:
        w = shares(w)
        mean = w @ z
        centred = z - mean[None, :]
        return mean, (centred * w[:, None]).T @ centred / jnp.maximum(1 - jnp.sum(w**2), TINY)

    (mean_x, cov_x), (mean_y, cov_y) = moments(x, x_weights), moments(y, y_weights)
    k = x.shape[1]
    return jnp.sum((cov_x - cov_y) ** 2) / (4 * k**2) + jnp.sum((mean_x - mean_y) ** 2) / k


def sliced_wasserstein(
    x: Float[Array, "a k"],
    y: Float[Array, "b k"],
    x_weights: Float[Array, "a"],
    y_weights: Float[Array, "b"],
    directions: Float[Array, "k r"],
) -> Float[Array, ""]:
    """Squared Wasserstein distance along unit directions, averaged: quantiles of both samples at the same levels."""
    levels = (jnp.arange(max(len(x), len(y)), dtype=jnp.float32) + 0.5) / max(len(x), len(y))

    def quantiles(z: jax.Array, w: jax.Array) -> jax.Array:
        order = jnp.argsort(z)
        reached = jnp.cumsum(shares(w)[order])
        place = jnp.searchsorted(reached, levels - 1e-5 / len(levels))
        return z[order][jnp.minimum(place, len(z) - 1)]

    def along(direction: jax.Array) -> jax.Array:
        return jnp.mean((quantiles(x @ direction, x_weights) - quantiles(y @ direction, y_weights)) ** 2)

    return jnp.mean(jax.vmap(along, 1)(directions))


def smoothness(x: Float[Array, "n k"], neighbours: Float[Array, "n k"], weights: Float[Array, "n"]) -> Float[Array, ""]:
    """Mean squared distance along sampled edges of a graph of neighbours, over k: its gradient reaches both ends."""
    return shares(weights) @ jnp.sum((x - neighbours) ** 2, axis=1) / x.shape[1]
