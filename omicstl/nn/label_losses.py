"""Losses of labels, each a value for every observation and output, to be averaged with `masked_mean`; logits, not probabilities."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


def cross_entropy(logit: Float[Array, "n d"], y: Float[Array, "n d"], focus: float = 0.0) -> Float[Array, "n d"]:
    """Binary cross entropy; with `focus` above 0 the focal loss ``(1 - p_y)^focus`` times it (Lin et al. 2017)."""
    loss = jax.nn.softplus(logit) - y * logit
    return loss if focus == 0 else loss * jnp.exp(focus * -jax.nn.softplus((2 * y - 1) * logit))


def huber(value: Float[Array, "n d"], y: Float[Array, "n d"], width: float = 1.345) -> Float[Array, "n d"]:
    """Half the squared error up to `width`, linear beyond (Huber 1964)."""
    error = jnp.abs(value - y)
    inside = jnp.minimum(error, width)
    return 0.5 * inside**2 + width * (error - inside)


def classes(logits: Float[Array, "n d"], y: Float[Array, "n d"], focus: float = 0.0) -> Float[Array, "n d"]:
    """Cross entropy of one class among d, in the column of the class and times d; `y` is one-hot, `focus` as above."""
    log_p = jax.nn.log_softmax(logits, axis=1)
    loss = -logits.shape[1] * y * log_p
    return loss if focus == 0 else loss * (1 - jnp.exp(log_p)) ** focus


def masked_mean(loss: Float[Array, "n d"], weights: Float[Array, "n d"], rows: Float[Array, "n"]) -> Float[Array, ""]:
    """Weighted sum over rows that count and outputs, over their number: `label_weights` makes outputs count alike."""
    counted = weights * rows[:, None]
    kept = jnp.where(counted > 0, loss, 0)
    return jnp.sum(counted * kept) / (jnp.maximum(jnp.sum(rows), 1e-12) * loss.shape[1])


def correlation_distance(
    value: Float[Array, "n d"], y: Float[Array, "n d"], weights: Float[Array, "n d"]
) -> Float[Array, ""]:
    """One less the weighted correlation of each output with its labels, mean over outputs that vary.

    For early stopping: logits that grow too sure cost nothing here while they keep their order.
    """
    share = weights / jnp.maximum(jnp.sum(weights, axis=0), 1e-12)[None, :]

    def centred(x: jax.Array) -> jax.Array:
        return x - jnp.sum(share * x, axis=0)[None, :]

    a, b = centred(value), centred(jnp.where(weights > 0, y, 0))
    spread = jnp.sum(share * b**2, axis=0)
    r = jnp.sum(share * a * b, axis=0) / jnp.sqrt(jnp.maximum(jnp.sum(share * a**2, axis=0) * spread, 1e-12))
    counts = (spread > 1e-9).astype(jnp.float32)
    return 1 - jnp.sum(counts * r) / jnp.maximum(jnp.sum(counts), 1)


def label_weights(y: np.ndarray, binary: np.ndarray, *, balanced: bool = True) -> np.ndarray:
    """Weights (n, d) of labels with NaN: 0 where unknown, a mean of 1 over rows with a label for each output (numpy).

    `binary` (d,) outputs count both of their classes alike if `balanced`.
    """
    known = np.isfinite(y)
    weights = known.astype(np.float64)
    for j in np.flatnonzero(binary) if balanced else ():
        for value in (0, 1):
            of_class = known[:, j] & (y[:, j] == value)
            weights[of_class, j] = 1 / max(of_class.sum(), 1)
    total = weights.sum(axis=0, keepdims=True)
    return np.divide(weights * known.any(axis=1).sum(), total, out=np.zeros_like(weights), where=total > 0).astype(
        np.float32
    )
