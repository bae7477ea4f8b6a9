"""Optimal transport between Gaussians."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from omicstl._core.public import public
from omicstl._core.random import Streams
from omicstl.kernels import linear_transport as kernel
from omicstl.models.adapt import spaces
from omicstl.models.adapt.problem import Aligned, Problem

from .base import ClosedForm, check_shrinkage, mapped


@public
@dataclass(frozen=True)
class LinearTransport(ClosedForm):
    r"""
    Optimal transport between Gaussians: the linear map of a source onto the target that moves it least :cite:p:`Flamary2019`.

    .. math:: X_s \mapsto (X_s - \mu_s)\, C_s^{-1/2} (C_s^{1/2} C_t C_s^{1/2})^{1/2} C_s^{-1/2} + \mu_t

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
    It differs from `Coral` in the rotation that two covariances leave free: this one is the nearest to none.

    Examples
    --------
    >>> import omicstl as otl
    >>> otl.tl.LinearTransport(scale=False).shrinkage is None
    True
    """

    name: ClassVar[str] = "linear_transport"
    rank: ClassVar[int] = 30
    shrinkage: float | None = None
    scale: bool = True

    def __post_init__(self) -> None:
        check_shrinkage(self.shrinkage)

    def prepare(self, problem: Problem, random: Streams) -> Aligned:
        """Sources moved onto the target at least cost."""
        start = spaces.own_scales(problem, self.scale, random)
        return mapped(problem, start, kernel.linear_transport, self.shrinkage)


METHOD = LinearTransport
