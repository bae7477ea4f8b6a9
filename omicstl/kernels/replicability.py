"""How far two series of effects on correlated variables agree: effective numbers, intervals, combined effects."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Real
from scipy.special import ndtr, ndtri
from scipy.stats import chi2


class Combined(NamedTuple):
    """Fixed-effect combination of several estimates of the same quantities, one row a quantity."""

    effect: Float[np.ndarray, "k"]
    low: Float[np.ndarray, "k"]
    high: Float[np.ndarray, "k"]
    p: Float[np.ndarray, "k"]
    """Two-sided, normal."""
    p_heterogeneity: Float[np.ndarray, "k"]
    """Cochran's Q against chi-square with one degree of freedom less than there are estimates."""


def effective_number(effects: Real[np.ndarray, "k"], correlation: Real[np.ndarray, "k k"]) -> float:
    """Number of independent pairs that would give a correlation with `effects` the same variance.

    ``1 + tr(H R) / (u' R u)``, where H takes the mean away, R is the correlation of the other series, and u are the
    centred effects scaled to length one. It is the formula of Dutilleul (1993), who corrects Clifford, Richardson and
    Hemon (1989) for the mean, with the covariance of the first series replaced by what was observed of it, since only
    one realisation is there. Without correlation it is k. Two at least are returned, and NaN for constant effects.
    """
    centred = np.asarray(effects, dtype=np.float64)
    centred = centred - centred.mean()
    length = np.linalg.norm(centred)
    if not length > 1e-12 * max(np.abs(effects).max(), np.finfo(np.float64).tiny):
        return np.nan
    correlation = np.asarray(correlation, dtype=np.float64)
    direction = centred / length
    total = np.trace(correlation) - correlation.sum() / len(correlation)
    along = direction @ correlation @ direction
    if total <= 1e-9 * len(correlation):  # all move together: there is one variable
        return 2.0
    return float(np.clip(1.0 + total / np.maximum(along, np.finfo(np.float64).tiny), 2.0, len(correlation)))


def effective_signs(positive: Bool[np.ndarray, "k"], correlation: Real[np.ndarray, "k k"]) -> float:
    """Number of independent signs whose share of agreement with given signs has the same variance.

    Signs of normal variables with correlation r and mean zero have the covariance ``2 / pi asin r``, so that the number
    is ``k^2 / (s' A s)`` with that matrix A and the given signs s of plus and minus one. Signs of variables with another
    mean are correlated less. Between 1 and k.
    """
    sign = np.where(positive, 1.0, -1.0)
    covariance = 2 / np.pi * np.arcsin(np.clip(np.asarray(correlation, dtype=np.float64), -1.0, 1.0))
    k = sign.size
    return float(np.clip(k**2 / np.maximum(sign @ covariance @ sign, np.finfo(np.float64).tiny), 1.0, k))


def correlation_interval(r: float, n: float, confidence: float = 0.95) -> tuple[float, float]:
    """Interval of a correlation of n pairs, by Fisher's transformation; all of -1 to 1 for three pairs or fewer."""
    if np.isnan(r) or np.isnan(n):
        return np.nan, np.nan
    if n <= 3:
        return -1.0, 1.0
    half = ndtri((1 + confidence) / 2) / np.sqrt(n - 3)
    with np.errstate(divide="ignore"):
        z = np.arctanh(np.clip(r, -1.0, 1.0))
    return float(np.tanh(z - half)), float(np.tanh(z + half))


def share_interval(share: float, n: float, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's interval of a share among n, which need not be a whole number."""
    if np.isnan(share) or not n > 0:
        return np.nan, np.nan
    z2 = ndtri((1 + confidence) / 2) ** 2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = np.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n**2))) / (1 + z2 / n)
    return float(max(centre - half, 0.0)), float(min(centre + half, 1.0))


def standard_error(
    effect: Float[np.ndarray, "k"], t: Float[np.ndarray, "k"], df: Float[np.ndarray, "k"]
) -> Float[np.ndarray, "k"]:
    """Standard error of an effect in units of an estimated standard deviation, from its t statistic.

    ``|effect / t| sqrt(1 + t^2 / (2 df)) / (1 - 1 / (4 df))``: the error of the difference and that of its unit. It is
    such that ``effect / se`` is nearly normal where t has Student's distribution (Abramowitz and Stegun, 26.7.8). NaN
    where t is 0.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.abs(effect / t) * np.sqrt(1 + t**2 / (2 * df)) / (1 - 1 / (4 * df))


def combine(
    effects: Float[np.ndarray, "k estimates"], se: Float[np.ndarray, "k estimates"], confidence: float = 0.95
) -> Combined:
    """Means weighted by the inverse variance, with the normal test that they are 0 and the test that estimates agree."""
    weight = 1 / se**2
    total = weight.sum(axis=1)
    mean = (weight * effects).sum(axis=1) / total
    q = (weight * (effects - mean[:, None]) ** 2).sum(axis=1)
    deviation = np.sqrt(1 / total)
    half = ndtri((1 + confidence) / 2) * deviation
    p = 2 * ndtr(-np.abs(mean / deviation))
    return Combined(mean, mean - half, mean + half, p, chi2.sf(q, effects.shape[1] - 1))
