"""What rules are, and what those of kernels share (numpy)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from omicstl._core.random import Streams
from omicstl.kernels import density_ratio as ratio, mmd

N_CENTRES = 100
WIDTHS = np.array([0.25, 0.5, 1.0, 2.0, 4.0])  # of the median squared distance
PENALTIES = np.array([1e-3, 1e-2, 1e-1, 1.0])


class Rule(NamedTuple):
    """A name, and a function of rows of the source, of the target, of every row of the source, and random streams.

    It gives a weight for each of the latter, on any scale, and whether an iteration converged.
    """

    name: str
    weigh: Callable[[np.ndarray, np.ndarray, np.ndarray, Streams], tuple[np.ndarray, bool]]


def centres_and_widths(source: np.ndarray, target: np.ndarray, random: Streams) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the target that kernels stand on, and squared widths to choose from."""
    generator = random.generator("centres")
    middle = mmd.bandwidths(source, target, generator=generator, quantiles=(0.5,))[0]
    order = generator.permutation(len(target))[:N_CENTRES]
    return target[order], WIDTHS * middle


def least_squares(
    source: np.ndarray, target: np.ndarray, every: np.ndarray, random: Streams, alpha: float
) -> tuple[np.ndarray, bool]:
    """Ratio relative to a mixture with `alpha` of the target, in closed form."""
    centres, widths = centres_and_widths(source, target, random)
    generator = random.generator("pairs")
    source, target = generator.permutation(source), generator.permutation(target)
    found = ratio.relative_least_squares(source, target, centres, widths=widths, penalties=PENALTIES, alpha=alpha)
    return ratio.kernels(every, centres, found.width) @ found.theta, True
