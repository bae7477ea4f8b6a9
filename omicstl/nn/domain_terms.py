"""Terms that bring the latent variables of two domains together. A term is a pair of functions, found by its record.

``init(generator, sizes) -> params`` makes what a term learns or draws once (numpy draws it: in JAX it would be compiled for each
shape). ``loss(term, params, seen, strength) -> scalar`` is what the term adds to the loss that is minimised; `strength` is its
weight so far. Rows of weight 0 count nowhere. A new term is a record, these two functions, a line in `TERMS`, and a test.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from omicstl._core.options.alignment import MEDIAN, Alignment, Cdan, Dann, DeepCoral, Mmd, SlicedWasserstein

Params = Mapping[str, Any]
TINY = 1e-12


class Seen(NamedTuple):
    """What terms see of a batch, source and target."""

    source: Float[Array, "a k"]
    target: Float[Array, "b k"]
    source_weights: Float[Array, "a"]
    target_weights: Float[Array, "b"]
    source_outputs: Float[Array, "a c"]
    """Predicted probabilities (or numbers), one column for each class or drug; for terms of predictions."""
    target_outputs: Float[Array, "b c"]
    key: jax.Array
    """For what is drawn in each step."""
    source_entropy: Float[Array, "a"] | None = None
    """Of predictions, in nats; `None`: the mean over outputs, each a probability by itself."""
    target_entropy: Float[Array, "b"] | None = None


class Sizes(NamedTuple):
    """Widths that parameters depend on."""

    n_latent: int
    n_outputs: int


class Term(NamedTuple):
    """The two functions of a term."""

    init: Callable[[Any, np.random.Generator, Sizes], Params]
    loss: Callable[[Any, Params, Seen, jax.Array], jax.Array]


def rise(steepness: float, share: Float[Array, ""]) -> Float[Array, ""]:
    """Share of its weight that a term has after a share of training (Ganin et al. 2016, section 5.2.2)."""
    return jnp.float32(1) if steepness == 0 else 2 / (1 + jnp.exp(-steepness * share)) - 1


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


@jax.custom_vjp
def reverse_gradient(x: Float[Array, "*n"], strength: Float[Array, ""]) -> Float[Array, "*n"]:
    """The identity, whose gradient comes back multiplied by ``-strength``."""
    return x


def _reverse_forward(x: jax.Array, strength: jax.Array) -> tuple[jax.Array, jax.Array]:
    return x, strength


def _reverse_backward(strength: jax.Array, slope: jax.Array) -> tuple[jax.Array, jax.Array]:
    return -strength * slope, jnp.zeros_like(strength)


reverse_gradient.defvjp(_reverse_forward, _reverse_backward)


def smoothness(x: Float[Array, "n k"], neighbours: Float[Array, "n k"], weights: Float[Array, "n"]) -> Float[Array, ""]:
    """Mean squared distance along sampled edges of a graph of neighbours, over k: its gradient reaches both ends."""
    return shares(weights) @ jnp.sum((x - neighbours) ** 2, axis=1) / x.shape[1]


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


def _nothing(_term: Any, generator: np.random.Generator, sizes: Sizes) -> Params:
    return {}


def _mmd(term: Mmd, params: Params, seen: Seen, strength: jax.Array) -> jax.Array:
    return strength * mmd(*seen[:4], term.n_widths, term.width == MEDIAN)


def _coral(term: DeepCoral, params: Params, seen: Seen, strength: jax.Array) -> jax.Array:
    return strength * moment_distance(*seen[:4])


def _sliced(term: SlicedWasserstein, params: Params, seen: Seen, strength: jax.Array) -> jax.Array:
    drawn = jax.random.normal(seen.key, (seen.source.shape[1], term.n_directions), jnp.float32)
    directions = drawn / jnp.linalg.norm(drawn, axis=0)[None, :]
    return strength * sliced_wasserstein(*seen[:4], directions)


def _dann_init(term: Dann, generator: np.random.Generator, sizes: Sizes) -> Params:
    return discriminator(generator, sizes.n_latent, term.n_hidden)


def _dann(term: Dann, params: Params, seen: Seen, strength: jax.Array) -> jax.Array:
    x, y = reverse_gradient(seen.source, strength), reverse_gradient(seen.target, strength)
    return domain_loss(params, x, y, seen.source_weights, seen.target_weights)


def _cdan_init(term: Cdan, generator: np.random.Generator, sizes: Sizes) -> Params:
    if sizes.n_latent * sizes.n_outputs <= term.n_products:
        return discriminator(generator, sizes.n_latent * sizes.n_outputs, term.n_hidden)
    drawn = {
        name: jnp.asarray(generator.normal(size=(n, term.n_products)), jnp.float32)
        for name, n in (("of_latent", sizes.n_latent), ("of_outputs", sizes.n_outputs))
    }
    return discriminator(generator, term.n_products, term.n_hidden) | drawn


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


def _cdan(term: Cdan, params: Params, seen: Seen, strength: jax.Array) -> jax.Array:
    x_weights, y_weights = seen.source_weights, seen.target_weights
    if term.entropy:
        x_weights = x_weights * certainty(seen.source_outputs, seen.source_entropy)
        y_weights = y_weights * certainty(seen.target_outputs, seen.target_entropy)
    x = products(params, seen.source, seen.source_outputs, strength)
    y = products(params, seen.target, seen.target_outputs, strength)
    return domain_loss(params, x, y, x_weights, y_weights)


TERMS: Mapping[type[Alignment], Term] = {
    Mmd: Term(_nothing, _mmd),
    DeepCoral: Term(_nothing, _coral),
    SlicedWasserstein: Term(_nothing, _sliced),
    Dann: Term(_dann_init, _dann),
    Cdan: Term(_cdan_init, _cdan),
}
