"""Gradients of ReLU encoders, averaged along straight lines, by counting which units are active together.

On the line from a baseline to an observation the pre-activations of the first hidden layer are linear in the position `t`, so
that the average gradient of two hidden layers is one product of 0/1 masks: no differentiation, no pass backwards for each step.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

Layers = tuple[Any, ...]  # arrays, one for each hidden layer


def mean_gradients(
    kernels: Layers,
    biases: Layers,
    head: Float[Array, "h units"],
    x: Float[Array, "n d"],
    baseline: Float[Array, "#n d"],
    n_steps: int,
) -> Float[Array, "units n width"]:
    r"""Mean over `n_steps` midpoints of the line from `baseline` to `x` of the gradient of each output.

    It is taken with respect to the pre-activations of the first hidden layer: times ``kernels[0].T`` it is that with respect
    to x. Without a hidden layer it is that with respect to x at once. Two hidden layers with masks :math:`D_1` (steps × h1)
    and :math:`D_2` (steps × h2), S steps:

    .. math:: u = \left(W_2 \circ D_1^\top D_2 / S\right) W_3
    """
    n, units = x.shape[0], head.shape[1]
    if not kernels:
        return jnp.broadcast_to(head.T[:, None, :], (units, n, head.shape[0]))
    first, bias = kernels[0], biases[0][None]
    begin, end = baseline @ first + bias, x @ first + bias
    times = (jnp.arange(n_steps, dtype=x.dtype) + 0.5) / n_steps
    if len(kernels) > 2:
        return _differentiated(kernels, biases, head, jnp.broadcast_to(begin, end.shape), end, times)
    path = begin[:, None] + times[None, :, None] * (end - begin)[:, None]
    active = (path > 0).astype(x.dtype)
    if len(kernels) == 1:
        return jnp.mean(active, axis=1)[None] * head.T[:, None, :]
    above = (jax.nn.relu(path) @ kernels[1] + biases[1][None, None] > 0).astype(x.dtype)
    together = jnp.einsum("nsa,nsb->nab", active, above) * (kernels[1] / n_steps)[None]
    flat = (
        head.T @ together.reshape(-1, head.shape[0]).T
    )  # not einsum: it would order the result anew, which takes as long
    return flat.reshape(units, n, -1)


def _differentiated(
    kernels: Layers, biases: Layers, head: jax.Array, begin: jax.Array, end: jax.Array, times: jax.Array
) -> jax.Array:
    """The same for any depth, by differentiation at every step."""

    def rest(first: jax.Array) -> jax.Array:
        return outputs(kernels[1:], biases[1:], head, jax.nn.relu(first))

    def add(total: jax.Array, time: jax.Array) -> tuple[jax.Array, None]:
        found, pull = jax.vjp(rest, begin + time * (end - begin))
        each = jnp.broadcast_to(jnp.eye(found.shape[1], dtype=found.dtype)[:, None], (found.shape[1], *found.shape))
        return total + jax.vmap(pull)(each)[0], None

    nothing = jnp.zeros((head.shape[1], *end.shape), end.dtype)
    return jax.lax.scan(add, nothing, times)[0] / len(times)


def outputs(
    kernels: Layers, biases: Layers, head: Float[Array, "h units"], x: Float[Array, "n d"]
) -> Float[Array, "n units"]:
    """The encoder without the bias of its head."""
    for kernel, bias in zip(kernels, biases, strict=True):
        x = jax.nn.relu(x @ kernel + bias[None])
    return x @ head


@partial(jax.jit, static_argnames="n_steps", donate_argnums=(0, 1))
def add_member(
    gradients: Float[Array, "k n d"],
    change: Float[Array, "n k"],
    kernels: Layers,
    biases: Layers,
    head: Float[Array, "h units"],
    factor: Int[Array, "units"],
    n_units: Int[Array, ""],
    x: Float[Array, "n d"],
    baseline: Float[Array, "#n d"],
    *,
    n_steps: int,
) -> tuple[Float[Array, "k n d"], Float[Array, "n k"]]:
    """Add one encoder's share to the mean gradient of each factor with respect to x, and to its change from the baseline.

    Output i of the first `n_units` is a part of ``factor[i]``; the others are zero.
    """
    with jax.default_matmul_precision("highest"):
        u = mean_gradients(kernels, biases, head, x, baseline, n_steps)

        def add(i: jax.Array, gradients: jax.Array) -> jax.Array:
            step = u[i] @ kernels[0].T if kernels else u[i]
            return gradients.at[factor[i]].add(step)

        ends = outputs(kernels, biases, head, x) - outputs(kernels, biases, head, baseline)
        return jax.lax.fori_loop(0, n_units, add, gradients), change.at[:, factor].add(ends)


@jax.jit
def along(
    gradients: Float[Array, "k n d"], x: Float[Array, "n d"], baseline: Float[Array, "#n d"]
) -> Float[Array, "n k"]:
    """What mean gradients say of the change of each factor from the baseline: the sum of its attributions."""
    with jax.default_matmul_precision("highest"):
        return jnp.einsum("nd,knd->nk", x - baseline, gradients)


@partial(jax.jit, static_argnames="absolute")
def add_up(
    gradients: Float[Array, "k n d"],
    weights: Float[Array, "n k"],
    z: Float[Array, "n p"],
    axes: Float[Array, "p d"] | None,
    *,
    absolute: bool,
) -> Float[Array, "k p"]:
    """Weighted sum over observations of gradient times gene, or of its absolute value.

    `axes` lead from genes to inputs; `None` where the genes are the first of the inputs.
    """

    def factor(part: tuple[jax.Array, jax.Array]) -> jax.Array:
        gradient, weight = part
        each = z * (gradient[:, : z.shape[1]] if axes is None else gradient @ axes.T)
        return weight @ (jnp.abs(each) if absolute else each)

    with jax.default_matmul_precision("highest"):
        return jax.lax.map(factor, (gradients, weights.T))
