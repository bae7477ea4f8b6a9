"""Relative ratio in closed form :cite:p:`Yamada2013`."""

from __future__ import annotations

import numpy as np

from omicstl._core.random import Streams

from .base import Rule, least_squares

ALPHA = 0.1


def weigh(source: np.ndarray, target: np.ndarray, every: np.ndarray, random: Streams) -> tuple[np.ndarray, bool]:
    """Ratio of the target to a tenth of it and nine tenths of the source, never above 10."""
    return least_squares(source, target, every, random, ALPHA)


METHOD = Rule("rulsif", weigh)
