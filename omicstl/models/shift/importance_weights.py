"""Weights that make source rows count like target rows, by a rule of `weights`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from omicstl._core.discovery import methods
from omicstl._core.random import Streams
from omicstl.kernels import density_ratio as ratio

from . import weights as folder
from .weights.base import Rule


class Weights(NamedTuple):
    """Weights of all source rows with mean 1, their effective number, and whether an iteration converged."""

    weights: np.ndarray
    effective: float
    converged: bool


def rules() -> Mapping[str, Rule]:
    """All rules by name."""
    return methods(folder)


def fit(
    source: np.ndarray, target: np.ndarray, every: np.ndarray, *, method: str, clip: float | None, random: Streams
) -> Weights:
    """Learn from rows of both domains, and weight `every` source row."""
    raw, converged = rules()[method].weigh(source, target, every, random)
    weights = ratio.normalised(raw, clip=np.inf if clip is None else clip)
    return Weights(weights, ratio.effective_size(weights), converged)
