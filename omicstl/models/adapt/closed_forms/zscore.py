"""Z-scores by domain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from omicstl._core.public import public
from omicstl._core.random import Streams
from omicstl.models.adapt import spaces
from omicstl.models.adapt.problem import Aligned, Problem

from .base import ClosedForm


@public
@dataclass(frozen=True)
class ZScore(ClosedForm):
    """
    Every variable at mean 0 and variance 1 within its domain.

    Parameters
    ----------
    scale
        `False` moves means alone, and scales a variable alike in all domains.

    Raises
    ------
    TypeError
        If `scale` is neither `True` nor `False`.

    Notes
    -----
    A domain's mean and spread are taken as technical. Where the shares of classes differ between domains, part of what tells classes
    apart goes with them.

    Examples
    --------
    >>> import omicstl as otl
    >>> otl.tl.ZScore(scale=False).scale
    False
    """

    name: ClassVar[str] = "zscore"
    rank: ClassVar[int] = 10
    scale: bool = True

    def prepare(self, problem: Problem, random: Streams) -> Aligned:
        """Mean 0 and variance 1 in each domain."""
        return spaces.own_scales(problem, self.scale, random)


METHOD = ZScore
