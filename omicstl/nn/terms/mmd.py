"""Maximum mean discrepancy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from omicstl._core.checks import check_choice
from omicstl._core.options.alignment import Alignment
from omicstl._core.public import public

from .base import Params, Scalar, Seen

MEAN, MEDIAN = "mean", "median"


@public
@dataclass(frozen=True)
class Mmd(Alignment):
    """
    Maximum mean discrepancy: the domains' distributions in a kernel space, unbiased, over several widths :cite:p:`Gretton2012`.

    Parameters
    ----------
    weight, ramp, label_shift
        See `Alignment`.
    n_widths
        Gaussian kernels, whose squared widths are multiples by powers of two of a typical squared distance.
    width
        The typical squared distance of a batch: ``"mean"`` or ``"median"``. No gradient goes through it.

    Raises
    ------
    ValueError
        If a number is out of range, or `width` is another word.
    TypeError
        If an argument is of another type.

    Notes
    -----
    Cost of a step: quadratic in the batch.

    Examples
    --------
    >>> import omicstl as otl
    >>> otl.tl.Mmd(weight=0.3).n_widths
    5
    """

    name: ClassVar[str] = "mmd"
    n_widths: int = 5
    width: str = MEAN

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("width", self.width, (MEAN, MEDIAN))

    def loss(self, params: Params, seen: Seen, strength: Scalar) -> Scalar:
        """The discrepancy of the batch."""
        from omicstl.nn.distances import mmd

        return strength * mmd(*seen[:4], self.n_widths, self.width == MEDIAN)


METHOD = Mmd
