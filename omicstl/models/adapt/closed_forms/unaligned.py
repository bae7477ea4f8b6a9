"""No alignment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from omicstl._core.random import Streams
from omicstl.models.adapt import spaces
from omicstl.models.adapt.problem import Aligned, Problem

from .base import ClosedForm


@dataclass(frozen=True)
class Unaligned(ClosedForm):
    """Nothing but one scale for all: each variable less its mean in the sources, over its standard deviation there."""

    name: ClassVar[str] = "none"
    rank: ClassVar[int] = 0

    def prepare(self, problem: Problem, random: Streams) -> Aligned:
        """One scale for all, that of the sources."""
        mean, sd = spaces.moments(np.vstack([d.x for d in problem.sources]))
        scales = [(mean, spaces.inverse(sd))] * (len(problem.sources) + 1)
        return spaces.in_row_space(problem, scales, "sources", random)


METHOD = Unaligned
