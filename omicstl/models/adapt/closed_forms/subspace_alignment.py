"""Principal axes turned onto those of the target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from omicstl._core.checks import check_number
from omicstl._core.public import public
from omicstl._core.random import Streams
from omicstl.kernels import subspace as kernel
from omicstl.models.adapt import spaces
from omicstl.models.adapt.problem import Aligned, Problem

from .base import ClosedForm

SHARE = 0.8  # of the target's variance


@public
@dataclass(frozen=True)
class SubspaceAlignment(ClosedForm):
    """
    Principal axes of a source turned onto those of the target, all else left out :cite:p:`Fernando2013`.

    Parameters
    ----------
    n_comps
        Axes that are kept. `None`: as many as hold four fifths of the target's variance, at most 50, and fewer than either
        domain has observations.
    scale
        Bring variables to variance 1 within their domain first, as `ZScore` does.

    Raises
    ------
    ValueError
        If `n_comps` is below 1.
    TypeError
        If an argument is of another type.

    Notes
    -----
    Both domains are centred. More axes than the smallest domain has are an error of `omicstl.tl.adapt`.

    Examples
    --------
    >>> import omicstl as otl
    >>> otl.tl.SubspaceAlignment(n_comps=10).n_comps
    10
    """

    name: ClassVar[str] = "subspace_alignment"
    rank: ClassVar[int] = 40
    n_comps: int | None = None
    scale: bool = True

    def __post_init__(self) -> None:
        if self.n_comps is not None:
            check_number("n_comps", self.n_comps, low=1, integer=True)

    def prepare(self, problem: Problem, random: Streams) -> Aligned:
        """Principal axes of each source turned onto those of the target."""
        start = spaces.own_scales(problem, self.scale, random)
        most = min(min(len(z) - 1, z.shape[1]) for z in (*start.sources, start.target))
        k = self.n_comps
        if k is None:
            values = np.linalg.svd(start.target - start.target.mean(axis=0), compute_uv=False) ** 2
            k = int(np.searchsorted(np.cumsum(values) / values.sum(), SHARE)) + 1
            k = max(1, min(k, 50, most))
        elif k > most:
            msg = (
                f"`n_comps` must be at most {most}, one less than the smallest domain has observations, got {k}. Use "
                "SubspaceAlignment() for a number by rule."
            )
            raise ValueError(msg)
        maps = [kernel.subspace_alignment(source, start.target, k) for source in start.sources]
        rows = tuple((source - source.mean(axis=0)) @ m.source for source, m in zip(start.sources, maps, strict=True))
        axes, mean = maps[0].target, start.target.mean(axis=0)
        cosines = np.array([m.cosines.mean() for m in maps])
        return Aligned(
            rows,
            (start.target - mean) @ axes,
            start.matrix @ axes,
            (start.offset - mean) @ axes,
            {"mean_cosine": cosines},
        )


METHOD = SubspaceAlignment
