"""What terms are given. Nothing here loads jax."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import jax
    from jaxtyping import Array, Float

Params = Mapping[str, Any]
Scalar = Any  # a jax.Array without dimensions


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
