"""How many of the cells are sensitive, if expression of sensitive lines and cells is alike (numpy)."""

from __future__ import annotations

import numpy as np

from omicstl.kernels.label_shift import expectation_maximisation

from .decide import Check, below, unchecked
from .source import Source

MOST = 0.3
STEPS = 25  # of Newton
SENSITIVE_SHARE = 0.25  # the most sensitive quarter counts as sensitive where the response is a number


def label_shift(source: Source, score: np.ndarray) -> Check:
    """Estimate the share of sensitive cells by expectation and maximisation :cite:p:`Saerens2002`; rough after z-scoring."""
    name = "share of sensitive cells"
    sensitive = sensitive_of(source.y, source.binary)
    share = float(sensitive.mean())
    if not 0 < share < 1 or sensitive.sum() < 5 or (~sensitive).sum() < 5:
        return unchecked(name, "Share of sensitive cells not checked: fewer than five lines are of a class.")
    lines, cells = scaled(source.out_of_fold), scaled(score)
    slope, offset = platt(lines, sensitive)
    estimate = shifted(1 / (1 + np.exp(-(slope * cells + offset))), share)
    value = abs(estimate - share)
    said = f"About {100 * estimate:.0f} % of the cells look sensitive, {100 * share:.0f} % of the lines are (rough: both sides are centred)."
    return Check(name, below(value, doubt=MOST), value, MOST, said)


def sensitive_of(y: np.ndarray, binary: bool) -> np.ndarray:
    """Which lines (n,) count as sensitive."""
    return np.asarray(y > np.median(np.unique(y)) if binary else y >= np.quantile(y, 1 - SENSITIVE_SHARE))


def scaled(values: np.ndarray) -> np.ndarray:
    """Mean 0 and variance 1."""
    return (values - values.mean()) / max(float(values.std()), 1e-12)


def platt(score: np.ndarray, positive: np.ndarray) -> tuple[float, float]:
    """Slope and offset of a logistic regression on one score, by Newton's method."""
    x = np.column_stack([score, np.ones_like(score)])
    found = np.array([0.0, np.log(positive.mean() / (1 - positive.mean()))])
    for _ in range(STEPS):
        p = 1 / (1 + np.exp(-np.clip(x @ found, -30, 30)))
        gradient = x.T @ (positive - p) - 1e-2 * np.array([found[0], 0.0])
        curvature = (x * (p * (1 - p))[:, None]).T @ x + np.diag([1e-2, 1e-8])
        step = np.linalg.solve(curvature, gradient)
        found = found + np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-8:
            break
    return float(found[0]), float(found[1])


def shifted(probability: np.ndarray, share: float) -> float:
    """Share of positives in the target, from probabilities that hold where the share is `share`."""
    both = np.column_stack([1 - probability, probability])
    return float(expectation_maximisation(both, np.array([1 - share, share])).shares[1])
