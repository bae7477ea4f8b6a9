"""Ratio of largest likelihood in the target :cite:p:`Sugiyama2008`."""

from __future__ import annotations

import numpy as np

from omicstl._core.random import Streams
from omicstl.kernels import density_ratio as ratio

from .base import Rule, centres_and_widths

N_FOLDS = 5


def weigh(source: np.ndarray, target: np.ndarray, every: np.ndarray, random: Streams) -> tuple[np.ndarray, bool]:
    """The width has the largest likelihood in folds of the target."""
    centres, widths = centres_and_widths(source, target, random)
    fold = random.generator("folds").permutation(len(target)) % N_FOLDS
    held_out = []
    for width in widths:
        at_target, mean = ratio.kernels(target, centres, width), ratio.kernels(source, centres, width).mean(axis=0)
        total = 0.0
        for k in range(N_FOLDS):
            alpha = ratio.kliep(at_target[fold != k], mean, max_iter=500, tol=1e-5).alpha
            total += float(np.sum(np.log(np.maximum(at_target[fold == k] @ alpha, 1e-300))))
        held_out.append(total)
    width = widths[int(np.argmax(held_out))]
    mean = ratio.kernels(source, centres, width).mean(axis=0)
    found = ratio.kliep(ratio.kernels(target, centres, width), mean, tol=1e-7)
    return ratio.kernels(every, centres, width) @ found.alpha, found.converged


METHOD = Rule("kliep", weigh)
