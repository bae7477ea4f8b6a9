"""How well do features suit a task, before anything is trained? LogME, the regularised H-score, and LEEP.

numpy: one thin singular value decomposition of the features; with it every target costs O(n) a step.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Real
from scipy.linalg import eigh

MANY_STEPS = 1000


class LogMe(NamedTuple):
    """Log evidence per row for each target, its mean over targets, precisions of weights and noise, and whether all converged."""

    value: float
    evidence: Float[np.ndarray, "k"]
    alpha: Float[np.ndarray, "k"]
    beta: Float[np.ndarray, "k"]
    converged: bool


def spectrum(f: Real[np.ndarray, "n d"]) -> tuple[Float[np.ndarray, "n r"], Float[np.ndarray, "r"]]:
    """Left singular vectors and squared singular values of f, by the smaller Gram matrix; O(n d min(n, d)), no d x d matrix if n < d."""
    f = np.asarray(f, dtype=np.float64)
    n, d = f.shape
    if d >= n:
        values, left = eigh(f @ f.T)
        values, left = values[::-1], left[:, ::-1]
    else:
        values, right = eigh(f.T @ f)
        values, right = values[::-1], right[:, ::-1]
        left = f @ right
        left = left / np.sqrt(np.maximum(values, 1e-300))
    known = values > 1e-12 * max(float(values[0]), 1e-300)
    return left[:, known], values[known]


def logme(
    f: Real[np.ndarray, "n d"], y: Real[np.ndarray, "n k"], *, max_iter: int = MANY_STEPS, tol: float = 1e-9
) -> LogMe:
    r"""
    Maximum log evidence of a linear model from features to each column of y, per row (You 2021, equation 2).

    .. math:: \frac n2 \ln\beta + \frac d2 \ln\alpha - \frac n2 \ln 2\pi - \frac\beta2 |Fm - y|^2 - \frac\alpha2 |m|^2 - \frac12 \ln|\alpha I + \beta F^\top F|

    maximised over both precisions by MacKay's fixed point, iterated until the evidence changes by less than `tol` per row (the authors'
    code stops at a change of 1 % of alpha / beta). The noise is at least 1e-6 of the mean square of y, which matters where n <= d and
    the features fit anything. Features enter as they are: centre and scale them first. Equal to the d x d formula, in n x r.
    """
    f, y = np.asarray(f, dtype=np.float64), np.asarray(y, dtype=np.float64)
    n, d = f.shape
    left, s = spectrum(f)
    z = left.T @ y
    total = np.sum(y * y, axis=0)
    outside = np.maximum(total - np.sum(z * z, axis=0), 0.0)  # of y, what no weights reach
    least = np.maximum(1e-6 * total, 1e-30)
    alpha, beta = np.ones(y.shape[1]), np.ones(y.shape[1])
    last, converged = np.full(y.shape[1], -np.inf), np.zeros(y.shape[1], dtype=bool)
    for _ in range(max_iter):
        shrunk = s[:, None] / (s[:, None] + alpha / beta)
        size = np.sum(shrunk**2 * z**2 / s[:, None], axis=0)
        error = np.maximum(outside + np.sum(((1 - shrunk) * z) ** 2, axis=0), least)
        gamma = shrunk.sum(axis=0)
        alpha = np.clip(gamma / np.maximum(size, 1e-300), 1e-12, 1e12)
        beta = np.maximum(n - gamma, 1e-6 * n) / error
        # The evidence at the new precisions, with the weights that are best for them.
        shrunk = s[:, None] / (s[:, None] + alpha / beta)
        size = np.sum(shrunk**2 * z**2 / s[:, None], axis=0)
        error = np.maximum(outside + np.sum(((1 - shrunk) * z) ** 2, axis=0), least)
        determinant = np.sum(np.log(alpha + beta * s[:, None]), axis=0) + (d - s.size) * np.log(alpha)
        evidence = (
            n * np.log(beta) + d * np.log(alpha) - n * np.log(2 * np.pi) - beta * error - alpha * size - determinant
        )
        evidence = evidence / (2 * n)
        converged = np.abs(evidence - last) < tol
        last = evidence
        if converged.all():
            break
    return LogMe(float(last.mean()), last, alpha, beta, bool(converged.all()))


def ledoit_wolf(s: Float[np.ndarray, "r"], norms: Float[np.ndarray, "n"], d: int) -> float:
    """Shrinkage of the covariance of centred rows (Ledoit and Wolf 2004), from squared singular values and squared norms of rows."""
    n = len(norms)
    mean = s.sum() / (n * d)
    square = np.sum((s / n) ** 2)
    beta = (np.sum(norms**2) / n - square) / (d * n)
    delta = (square - 2 * mean * s.sum() / n + d * mean**2) / d
    return float(min(max(beta, 0.0), delta) / delta) if delta > 0 else 0.0


def h_scores(f: Real[np.ndarray, "n d"], labels: Int[np.ndarray, "r n"]) -> Float[np.ndarray, "r"]:
    r"""
    Regularised H-score (Ibrahim 2021) of each row of labels: ``tr(S^-1 (1 - shrinkage) cov(E[f | y]))``, S the covariance of Ledoit and Wolf.

    Between 0 and classes - 1. Computed among rows: no d x d matrix if n < d, and one decomposition for all labels.
    """
    f = np.asarray(f, dtype=np.float64)
    f = f - f.mean(axis=0)
    n, d = f.shape
    left, s = spectrum(f)
    shrinkage = ledoit_wolf(s, np.sum(f * f, axis=1), d)
    variance = (1 - shrinkage) * s / n + shrinkage * s.sum() / (n * d)
    found = np.zeros(len(labels))
    for r, codes in enumerate(labels):
        hot = np.eye(int(codes.max()) + 1)[codes]
        means = hot.T @ left
        between = np.sum(
            means**2 / np.maximum(hot.sum(axis=0), 1)[:, None], axis=0
        )  # each vector averaged within classes
        found[r] = (1 - shrinkage) * np.sum(s * between / variance) / (n - 1)
    return found


def leep(probabilities: Float[np.ndarray, "n z"], labels: Int[np.ndarray, "n"]) -> float:
    r"""
    Log expected empirical prediction (Nguyen 2020): mean of :math:`\log \sum_z \hat P(y_i \mid z) \, \theta(x_i)_z`; at most 0.

    Source classes without mass have no part; a probability below 1e-12 counts as that.
    """
    theta = np.asarray(probabilities, dtype=np.float64)
    joint = np.zeros((int(labels.max()) + 1, theta.shape[1]))
    np.add.at(joint, labels, theta)
    mass = joint.sum(axis=0)
    given = np.divide(joint, mass, out=np.zeros_like(joint), where=mass > 0)
    return float(np.mean(np.log(np.maximum(np.sum(given[labels] * theta, axis=1), 1e-12))))
