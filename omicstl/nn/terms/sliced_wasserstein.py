"""Wasserstein distance along random directions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from omicstl._core.options.alignment import Alignment
from omicstl._core.public import public

from .base import Params, Scalar, Seen


@public
@dataclass(frozen=True)
class SlicedWasserstein(Alignment):
    """
    Squared Wasserstein distance, averaged over random directions of the latent space :cite:p:`Bonneel2015`.

    Parameters
    ----------
    weight, ramp, label_shift
        See `Alignment`.
    n_directions
        Directions, drawn anew in each step.

    Raises
    ------
    ValueError
        If a number is out of range.
    TypeError
        If an argument is of another type.

    Examples
    --------
    >>> import omicstl as otl
    >>> otl.tl.SlicedWasserstein(n_directions=32).n_directions
    32
    """

    name: ClassVar[str] = "sliced_wasserstein"
    n_directions: int = 64

    def loss(self, params: Params, seen: Seen, strength: Scalar) -> Scalar:
        """The distance along directions of this step."""
        import jax
        import jax.numpy as jnp

        from omicstl.nn.distances import sliced_wasserstein

        drawn = jax.random.normal(seen.key, (seen.source.shape[1], self.n_directions), jnp.float32)
        directions = drawn / jnp.linalg.norm(drawn, axis=0)[None, :]
        return strength * sliced_wasserstein(*seen[:4], directions)


METHOD = SlicedWasserstein
