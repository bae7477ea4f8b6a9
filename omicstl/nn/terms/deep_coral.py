"""Distance of means and covariances."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from omicstl._core.options.alignment import Alignment
from omicstl._core.public import public

from .base import Params, Scalar, Seen


@public
@dataclass(frozen=True)
class DeepCoral(Alignment):
    """
    Distance of the domains' means and covariances of the latent variables :cite:p:`Sun2016b`.

    Parameters
    ----------
    weight, ramp, label_shift
        See `Alignment`.

    Raises
    ------
    ValueError
        If a number is out of range.
    TypeError
        If an argument is of another type.

    Notes
    -----
    The paper compares covariances alone, which leaves a shift as it is; means are compared too.

    Examples
    --------
    >>> import omicstl as otl
    >>> otl.tl.DeepCoral().weight is None  # chosen without labels of the target
    True
    """

    name: ClassVar[str] = "deep_coral"

    def loss(self, params: Params, seen: Seen, strength: Scalar) -> Scalar:
        """The distance of the batch's moments."""
        from omicstl.nn.distances import moment_distance

        return strength * moment_distance(*seen[:4])


METHOD = DeepCoral
