"""The three terms of the bound of Ben-David et al. 2010, each estimated on rows that were left out (numpy, scikit-learn)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from omicstl._core.random import Streams
from omicstl.kernels import domain_distance

from . import cross_fit


class Terms(NamedTuple):
    """Error in the source, half the proxy A-distance (not below 0), joint error (NaN without labels in the target), and the target's own error."""

    source_error: float
    divergence: float
    joint_error: float
    target_error: float


def terms(
    source: np.ndarray,
    y_source: np.ndarray,
    target: np.ndarray,
    y_target: np.ndarray,
    *,
    n_classes: int,
    random: Streams,
) -> Terms:
    """Labels are codes of classes, NaN where unknown."""
    known, seen = np.isfinite(y_source), np.isfinite(y_target)
    x, y = source[known], y_source[known].astype(np.int64)
    own = cross_fit.probabilities(x, y, target[seen], n_classes=n_classes, generator=random.generator("source"))
    source_error = float(np.mean(own.own.argmax(axis=1) != y))
    apart = domain_distance.tell_apart(source, target, generator=random.generator("domains"))
    divergence = max(0.0, 1 - 2 * apart.error)
    if np.count_nonzero(seen) < 10:
        return Terms(source_error, divergence, float("nan"), float("nan"))
    z = y_target[seen].astype(np.int64)
    target_error = float(np.mean(own.other.argmax(axis=1) != z))
    both, labels = np.concatenate([x, target[seen]]), np.concatenate([y, z])
    weights = np.repeat([0.5 / len(y), 0.5 / len(z)], [len(y), len(z)]) * len(labels)  # each domain counts the same
    joint = cross_fit.probabilities(
        both, labels, both[:0], n_classes=n_classes, generator=random.generator("joint"), weights=weights
    )
    wrong = joint.own.argmax(axis=1) != labels
    return Terms(source_error, divergence, float(wrong[: len(y)].mean() + wrong[len(y) :].mean()), target_error)
