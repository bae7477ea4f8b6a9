"""Plain ratio in closed form :cite:p:`Kanamori2009`."""

from __future__ import annotations

import numpy as np

from omicstl._core.random import Streams

from .base import Rule, least_squares


def weigh(source: np.ndarray, target: np.ndarray, every: np.ndarray, random: Streams) -> tuple[np.ndarray, bool]:
    """Ratio of the target to the source."""
    return least_squares(source, target, every, random, 0.0)


METHOD = Rule("ulsif", weigh)
