"""Weights that make source rows count like target rows (numpy; the discriminator is scikit-learn's)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from omicstl._core.random import Streams
from omicstl.kernels import density_ratio as ratio, mmd

from . import cross_fit

METHODS = ("rulsif", "ulsif", "kliep", "discriminator")
N_CENTRES = 100
WIDTHS = np.array([0.25, 0.5, 1.0, 2.0, 4.0])  # of the median squared distance
PENALTIES = np.array([1e-3, 1e-2, 1e-1, 1.0])
ALPHA = 0.1
N_FOLDS = 5


class Weights(NamedTuple):
    """Weights of all source rows with mean 1, their effective number, and whether an iteration converged."""

    weights: np.ndarray
    effective: float
    converged: bool


def fit(
    source: np.ndarray, target: np.ndarray, every: np.ndarray, *, method: str, clip: float | None, random: Streams
) -> Weights:
    """Learn from rows of both domains, and weight `every` source row."""
    raw, converged = _METHODS[method](source, target, every, random)
    weights = ratio.normalised(raw, clip=np.inf if clip is None else clip)
    return Weights(weights, ratio.effective_size(weights), converged)


def _centres(source: np.ndarray, target: np.ndarray, random: Streams) -> tuple[np.ndarray, np.ndarray]:
    generator = random.generator("centres")
    middle = mmd.bandwidths(source, target, generator=generator, quantiles=(0.5,))[0]
    order = generator.permutation(len(target))[:N_CENTRES]
    return target[order], WIDTHS * middle


def _least_squares(
    source: np.ndarray, target: np.ndarray, every: np.ndarray, random: Streams, alpha: float
) -> tuple[np.ndarray, bool]:
    centres, widths = _centres(source, target, random)
    generator = random.generator("pairs")
    source, target = generator.permutation(source), generator.permutation(target)
    found = ratio.relative_least_squares(source, target, centres, widths=widths, penalties=PENALTIES, alpha=alpha)
    return ratio.kernels(every, centres, found.width) @ found.theta, True


def _rulsif(source: np.ndarray, target: np.ndarray, every: np.ndarray, random: Streams) -> tuple[np.ndarray, bool]:
    return _least_squares(source, target, every, random, ALPHA)


def _ulsif(source: np.ndarray, target: np.ndarray, every: np.ndarray, random: Streams) -> tuple[np.ndarray, bool]:
    return _least_squares(source, target, every, random, 0.0)


def _kliep(source: np.ndarray, target: np.ndarray, every: np.ndarray, random: Streams) -> tuple[np.ndarray, bool]:
    centres, widths = _centres(source, target, random)
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


def _discriminator(
    source: np.ndarray, target: np.ndarray, every: np.ndarray, random: Streams
) -> tuple[np.ndarray, bool]:
    """Odds of the target from a classifier of the domains; a row's own from folds that do not hold it."""
    x = np.concatenate([source, target])
    y = np.repeat([0, 1], [len(source), len(target)])
    found = cross_fit.probabilities(x, y, every, n_classes=2, generator=random.generator("folds"))
    p = found.own[: len(source), 1] if len(every) == len(source) else found.other[:, 1]
    p = np.clip(p, 1e-6, 1 - 1e-6)
    return p / (1 - p) * len(source) / len(target), True


_METHODS = {"rulsif": _rulsif, "ulsif": _ulsif, "kliep": _kliep, "discriminator": _discriminator}
