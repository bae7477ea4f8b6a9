"""What terms are that bring the latent variables of two domains together while a network is trained."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np

from omicstl._core.checks import check_number


@dataclass(frozen=True)
class Alignment(ABC):
    """
    What all terms share.

    A term is a frozen record of its options with two functions. ``init`` makes what it learns or draws once (numpy draws it: in JAX it
    would be compiled for each shape); ``loss`` is what it adds to the loss that is minimised, `strength` its weight so far. Rows of
    weight 0 count nowhere.

    Parameters
    ----------
    weight
        Weight of the term beside the loss of the labels, once it has risen. `None`: chosen among several, 0 included, without
        labels of the target.
    ramp
        Steepness of the rise ``2 / (1 + exp(-ramp * t)) - 1`` over the share t of training that is done
        :cite:p:`Ganin2016`; 0 gives the full weight from the first step.
    label_shift
        Weight the source's observations so that the shares of their classes are those estimated for the target
        :cite:p:`Saerens2002`. Without it, a term pulls the domains together although their shares of classes differ. For one column
        of classes; `omicstl.tl.ResponseNetwork` takes it for one drug of two classes. `omicstl.tl.adapt` estimates the shares from the
        variables at their levels, which is right where domains differ in nothing else (`omicstl.metrics.label_shift` tests that); cells and
        lines never do, and there the estimate, from z-scores, is drawn towards the lines' shares.

    Raises
    ------
    ValueError
        If a number is out of range.
    TypeError
        If an argument is of another type.
    """

    name: ClassVar[str]
    """What a user may write in place of the record."""
    weight: float | None = None
    ramp: float = 10.0
    label_shift: bool = False

    def __post_init__(self) -> None:
        if self.weight is not None:
            check_number("weight", self.weight, low=0)
        check_number("ramp", self.ramp, low=0)
        for field in fields(self):
            if field.name.startswith("n_"):
                check_number(field.name, getattr(self, field.name), low=1, integer=True)

    def init(self, generator: np.random.Generator, sizes: Any) -> Mapping[str, Any]:
        """Parameters for networks of these `omicstl.nn.terms.base.Sizes`; most terms have none."""
        return {}

    @abstractmethod
    def loss(self, params: Any, seen: Any, strength: Any) -> Any:
        """A number from what is `omicstl.nn.terms.base.Seen` of a batch."""
