"""Correlation alignment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from omicstl._core.public import public
from omicstl._core.random import Streams
from omicstl.kernels import coral as kernel
from omicstl.models.adapt import spaces
from omicstl.models.adapt.problem import Aligned, Problem

from .base import ClosedForm, check_shrinkage, mapped


@public
@dataclass(frozen=True)
class Coral(ClosedForm):
    r"""
    Correlation alignment: sources are given the target's covariance :cite:p:`Sun2016a`.

    .. math:: X_s \mapsto (X_s - \mu_s)\, C_s^{-1/2} C_t^{1/2} + \mu_t

    Parameters
    ----------
    shrinkage
        Share of the identity in both covariances, above 0 and up to 1. `None` estimates it from each domain :cite:p:`Ledoit2004`.
    scale
        Bring variables to variance 1 within their domain first, as `ZScore` does.

    Raises
    ------
    ValueError
        If `shrinkage` is out of range.
    TypeError
        If an argument is of another type.

    Notes
    -----
    Both domains are centred. The original and the library *adapt* do not centre and add the identity to both
    covariances; *skada* centres and shrinks correlations. With fewer observations than variables the map is exact in the space
    of the observations; no matrix of variables by variables is formed.

    Examples
    --------
    >>> import omicstl as otl
    >>> otl.tl.Coral(shrinkage=0.1).shrinkage
    0.1
    """

    name: ClassVar[str] = "coral"
    rank: ClassVar[int] = 20
    shrinkage: float | None = None
    scale: bool = True

    def __post_init__(self) -> None:
        check_shrinkage(self.shrinkage)

    def prepare(self, problem: Problem, random: Streams) -> Aligned:
        """Sources with the target's covariance."""
        start = spaces.own_scales(problem, self.scale, random)
        return mapped(problem, start, kernel.coral, self.shrinkage)


METHOD = Coral
