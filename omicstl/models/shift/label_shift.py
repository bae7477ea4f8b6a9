"""Shares of classes in a target without labels, with intervals from resampled rows (numpy; the classifier is scikit-learn's)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from omicstl._core.random import Streams
from omicstl.kernels import label_shift as kernel
from omicstl.kernels.paired_bootstrap import resampled

from . import cross_fit, tests

METHODS = ("em", "bbse")


class Estimate(NamedTuple):
    """Shares in source and target (c,) with bounds, condition of the confusion matrix, p of what label shift leaves unexplained, and the calibration."""

    source: np.ndarray
    target: np.ndarray
    low: np.ndarray
    high: np.ndarray
    condition: float
    p: float
    scale: float
    converged: bool


def estimate(
    source: np.ndarray,
    y: np.ndarray,
    target: np.ndarray,
    *,
    n_classes: int,
    method: str,
    n_resamples: int,
    confidence: float,
    random: Streams,
) -> Estimate:
    """Cross-fitted probabilities, calibrated on the source; then EM or the black-box equations, and both again on resampled rows of both domains."""
    y = y.astype(np.int64)
    found = cross_fit.probabilities(source, y, target, n_classes=n_classes, generator=random.generator("folds"))
    prior = np.bincount(y, minlength=n_classes) / len(y)
    whole = kernel.calibrate(found.own, y)
    own, other = kernel.calibrated(found.own, whole), kernel.calibrated(found.other, whole)
    black = kernel.black_box(own, y, other)
    if method == "bbse":
        shares, converged = black.shares, True
    else:
        once = kernel.expectation_maximisation(other, prior)
        shares, converged = once.shares, once.converged
    draws = np.zeros((n_resamples, n_classes))
    generator = random.generator("resamples")
    for r in range(n_resamples):
        a, b = resampled(len(y), 1, generator, strata=y)[0], resampled(len(target), 1, generator)[0]
        again = kernel.calibrate(found.own, y, counts=a, start=whole, max_iter=10, tol=1e-6)
        other = kernel.calibrated(found.other, again)
        if method == "bbse":
            draws[r] = kernel.black_box(kernel.calibrated(found.own, again), y, other, counts=a, target_counts=b).shares
        else:
            draws[r] = kernel.expectation_maximisation(
                other, prior, counts=b, start=0.98 * shares + 0.02 * prior, tol=1e-5
            ).shares
    tail = (1 - confidence) / 2
    low, high = np.quantile(draws, [tail, 1 - tail], axis=0) if n_resamples else np.full((2, n_classes), np.nan)
    p = tests.explained_by_labels(source, tests.basis(y.astype(float), n_classes), target)[1]
    return Estimate(prior, shares, low, high, black.condition, p, whole.scale, converged and whole.converged)
