"""Shares of classes in a target without labels, if only these changed: EM, black-box equations, and calibration before them.

numpy: Newton's steps in as many unknowns as classes, and products of n x classes. Everything takes counts of rows, for resamples.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Real
from scipy.special import log_softmax, softmax

FLOOR = 1e-12


class Calibration(NamedTuple):
    """Inverse temperature and a bias for each class (the last is 0), and whether Newton's method converged."""

    scale: float
    bias: Float[np.ndarray, "c"]
    converged: bool


class Shares(NamedTuple):
    """Shares of the classes, steps, and whether they stopped changing."""

    shares: Float[np.ndarray, "c"]
    n_iter: int
    converged: bool


class BlackBox(NamedTuple):
    """Shares of the classes, the solution before negative weights were set to 0, and the condition number of the confusion matrix."""

    shares: Float[np.ndarray, "c"]
    weights: Float[np.ndarray, "c"]
    condition: float


def _log(probabilities: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(np.asarray(probabilities, dtype=np.float64), FLOOR))


def calibrate(
    probabilities: Float[np.ndarray, "n c"],
    labels: Int[np.ndarray, "n"],
    *,
    counts: Real[np.ndarray, "n"] | None = None,
    start: Calibration | None = None,
    max_iter: int = 50,
    tol: float = 1e-8,
) -> Calibration:
    """
    Bias-corrected temperature scaling of held-out probabilities (Alexandari 2020): ``softmax(scale log p + bias)``.

    The likelihood is concave; Newton's method with halved steps, and a penalty of 1e-4 on bias and log-scale change that keeps separated
    classes finite. At the optimum the mean probability of each class is its share among the labels, which EM needs.
    """
    x, n_classes = _log(probabilities), probabilities.shape[1]
    weight = np.ones(len(x)) if counts is None else np.asarray(counts, dtype=np.float64)
    total = weight.sum()
    hot = np.eye(n_classes)[labels]
    parameters = np.concatenate([[1.0], np.zeros(n_classes - 1)])
    if start is not None:
        parameters = np.concatenate([[start.scale], start.bias[:-1]])
    away = np.concatenate([[1.0], np.zeros(n_classes - 1)])

    def loss(v: np.ndarray) -> float:
        z = v[0] * x + np.append(v[1:], 0.0)
        return float(-(weight @ np.sum(hot * log_softmax(z, axis=1), axis=1)) / total + 5e-5 * np.sum((v - away) ** 2))

    value, converged = loss(parameters), False
    for _ in range(max_iter):
        p = softmax(parameters[0] * x + np.append(parameters[1:], 0.0), axis=1)
        # Derivatives of z by (scale, bias): columns of x, and of the identity.
        error = (p - hot) * weight[:, None] / total
        gradient = np.append(np.sum(error * x), error[:, :-1].sum(axis=0)) + 1e-4 * (parameters - away)
        mean = np.sum(p * x, axis=1)
        w = weight / total
        hessian = np.zeros((n_classes, n_classes))
        hessian[0, 0] = w @ (np.sum(p * x * x, axis=1) - mean**2)
        cross = (w[:, None] * p * (x - mean[:, None])).sum(axis=0)[:-1]
        hessian[0, 1:] = hessian[1:, 0] = cross
        hessian[1:, 1:] = np.diag(w @ p[:, :-1]) - (p[:, :-1] * w[:, None]).T @ p[:, :-1]
        step = np.linalg.solve(hessian + 1e-4 * np.eye(n_classes), gradient)
        if float(gradient @ step) < tol:
            converged = True
            break
        size = 1.0
        while size > 1e-6:
            trial = parameters - size * step
            new = loss(trial)
            if new <= value:
                break
            size /= 2
        if size <= 1e-6:
            break
        parameters, value = trial, new
    return Calibration(float(parameters[0]), np.append(parameters[1:], 0.0), converged)


def calibrated(probabilities: Float[np.ndarray, "n c"], calibration: Calibration) -> Float[np.ndarray, "n c"]:
    """Probabilities after the calibration."""
    return softmax(calibration.scale * _log(probabilities) + calibration.bias, axis=1)


def expectation_maximisation(
    probabilities: Float[np.ndarray, "n c"],
    source: Float[np.ndarray, "c"],
    *,
    counts: Real[np.ndarray, "n"] | None = None,
    start: Float[np.ndarray, "c"] | None = None,
    max_iter: int = 2000,
    tol: float = 1e-7,
) -> Shares:
    r"""
    Shares of classes in the target by maximum likelihood (Saerens 2002).

    .. math:: \pi_c \leftarrow \frac1m \sum_i \frac{p(c \mid x_i) \, \pi_c / \pi^S_c}{\sum_k p(k \mid x_i) \, \pi_k / \pi^S_k}

    for probabilities that are calibrated under the source's shares. The likelihood is concave and never falls.
    """
    ratio = np.asarray(probabilities, dtype=np.float64) / np.maximum(source, FLOOR)
    weight = np.full(len(ratio), 1 / len(ratio)) if counts is None else counts / np.sum(counts)
    shares = np.asarray(source if start is None else start, dtype=np.float64)
    for step in range(1, max_iter + 1):
        joint = ratio * shares
        new = weight @ (joint / np.maximum(joint.sum(axis=1, keepdims=True), 1e-300))
        change, shares = float(np.abs(new - shares).max()), new
        if change < tol:
            return Shares(shares, step, True)
    return Shares(shares, max_iter, False)


def black_box(
    source: Float[np.ndarray, "n c"],
    labels: Int[np.ndarray, "n"],
    target: Float[np.ndarray, "m c"],
    *,
    counts: Real[np.ndarray, "n"] | None = None,
    target_counts: Real[np.ndarray, "m"] | None = None,
) -> BlackBox:
    r"""
    Shares of classes by black-box shift estimation (Lipton 2018): :math:`\hat w = \hat C^{-1} \hat q`.

    C holds the mean predicted probability of class i together with label j among held-out source rows, q the mean predicted
    probability in the target; negative weights are set to 0. The larger the condition number of C, the more its noise is multiplied.
    """
    weight = np.full(len(source), 1 / len(source)) if counts is None else counts / np.sum(counts)
    other = np.full(len(target), 1 / len(target)) if target_counts is None else target_counts / np.sum(target_counts)
    hot = np.eye(source.shape[1])[labels]
    confusion = (source * weight[:, None]).T @ hot
    condition = float(np.linalg.cond(confusion))
    weights = np.linalg.lstsq(confusion, other @ target, rcond=None)[0]
    share = np.maximum(weights, 0.0) * (weight @ hot)
    total = share.sum()
    return BlackBox(share / total if total > 0 else weight @ hot, weights, condition)
