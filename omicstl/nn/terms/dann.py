"""Adversarial alignment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from omicstl._core.options.alignment import Alignment
from omicstl._core.public import public

from .base import Params, Scalar, Seen, Sizes


@public
@dataclass(frozen=True)
class Dann(Alignment):
    """
    Adversarial alignment: a discriminator tells domains apart, the encoder gets its reversed gradient :cite:p:`Ganin2016`.

    Parameters
    ----------
    weight
        Factor of the reversed gradient, once it has risen; the discriminator learns at its full rate throughout. `None`: chosen
        among several, 0 included, without labels of the target.
    ramp, label_shift
        See `Alignment`.
    n_hidden
        Hidden units of the discriminator.

    Raises
    ------
    ValueError
        If a number is out of range.
    TypeError
        If an argument is of another type.

    Examples
    --------
    >>> import omicstl as otl
    >>> otl.tl.Dann(weight=0.3, ramp=10).n_hidden
    64
    """

    name: ClassVar[str] = "dann"
    n_hidden: int = 64

    def init(self, generator: np.random.Generator, sizes: Sizes) -> Params:
        """The discriminator."""
        from omicstl.nn.adversarial import discriminator

        return discriminator(generator, sizes.n_latent, self.n_hidden)

    def loss(self, params: Params, seen: Seen, strength: Scalar) -> Scalar:
        """Cross entropy of the discriminator, whose gradient reaches the encoder reversed."""
        from omicstl.nn.adversarial import domain_loss, reverse_gradient

        x, y = reverse_gradient(seen.source, strength), reverse_gradient(seen.target, strength)
        return domain_loss(params, x, y, seen.source_weights, seen.target_weights)


METHOD = Dann
