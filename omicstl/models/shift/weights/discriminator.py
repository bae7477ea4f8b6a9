"""Odds of the target from a classifier of the domains (scikit-learn's)."""

from __future__ import annotations

import numpy as np

from omicstl._core.random import Streams
from omicstl.models.shift import cross_fit

from .base import Rule


def weigh(source: np.ndarray, target: np.ndarray, every: np.ndarray, random: Streams) -> tuple[np.ndarray, bool]:
    """Odds of the target from a classifier of the domains; a row's own from folds that do not hold it."""
    x = np.concatenate([source, target])
    y = np.repeat([0, 1], [len(source), len(target)])
    found = cross_fit.probabilities(x, y, every, n_classes=2, generator=random.generator("folds"))
    p = found.own[: len(source), 1] if len(every) == len(source) else found.other[:, 1]
    p = np.clip(p, 1e-6, 1 - 1e-6)
    return p / (1 - p) * len(source) / len(target), True


METHOD = Rule("discriminator", weigh)
