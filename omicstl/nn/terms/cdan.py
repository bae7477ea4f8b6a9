"""Adversarial alignment of latent variables together with predictions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from omicstl._core.options.alignment import Alignment
from omicstl._core.public import public

from .base import Params, Scalar, Seen, Sizes


@public
@dataclass(frozen=True)
class Cdan(Alignment):
    """
    Adversarial alignment of latent variables together with predictions :cite:p:`Long2018`.

    Parameters
    ----------
    weight
        As in `Dann`.
    ramp, label_shift
        See `Alignment`.
    n_hidden
        Hidden units of the discriminator.
    n_products
        The discriminator sees all products of a latent variable and a prediction; where there are more than this, so many random
        ones (equation 6 of the paper).
    entropy
        Count observations with uncertain predictions less (CDAN+E): weights ``1 + exp(-H)``. For one class among several H is the
        entropy of its probabilities, as in the paper; for several outputs of two classes each, which the paper does not have, the
        mean of theirs; numbers count all alike.

    Raises
    ------
    ValueError
        If a number is out of range.
    TypeError
        If an argument is of another type.

    Examples
    --------
    >>> import omicstl as otl
    >>> otl.tl.Cdan(entropy=False).entropy
    False
    """

    name: ClassVar[str] = "cdan"
    n_hidden: int = 64
    n_products: int = 1024
    entropy: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()

    def init(self, generator: np.random.Generator, sizes: Sizes) -> Params:
        """The discriminator, and what draws random products where there are many."""
        import jax.numpy as jnp

        from omicstl.nn.adversarial import discriminator

        if sizes.n_latent * sizes.n_outputs <= self.n_products:
            return discriminator(generator, sizes.n_latent * sizes.n_outputs, self.n_hidden)
        drawn = {
            name: jnp.asarray(generator.normal(size=(n, self.n_products)), jnp.float32)
            for name, n in (("of_latent", sizes.n_latent), ("of_outputs", sizes.n_outputs))
        }
        return discriminator(generator, self.n_products, self.n_hidden) | drawn

    def loss(self, params: Params, seen: Seen, strength: Scalar) -> Scalar:
        """Cross entropy of the discriminator of products, whose gradient comes back reversed."""
        from omicstl.nn.adversarial import certainty, domain_loss, products

        x_weights, y_weights = seen.source_weights, seen.target_weights
        if self.entropy:
            x_weights = x_weights * certainty(seen.source_outputs, seen.source_entropy)
            y_weights = y_weights * certainty(seen.target_outputs, seen.target_entropy)
        x = products(params, seen.source, seen.source_outputs, strength)
        y = products(params, seen.target, seen.target_outputs, strength)
        return domain_loss(params, x, y, x_weights, y_weights)


METHOD = Cdan
