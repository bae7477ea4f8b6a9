"""Variances that learn from each other, and the t and F tests that use them (empirical Bayes of Smyth 2004).

NumPy in double precision: a few thousand numbers, and the digits of small p-values matter.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import special, stats as distributions

FEWEST = 3
"""Rows below which no prior is estimated."""
_HUGE = 1e3  # t from which the interval of a standard error alone is closer than the root that scipy finds


class Prior(NamedTuple):
    """Scaled inverse chi-squared: what the variances have in common. `df` 0 means nothing, infinite means everything."""

    df: float
    variance: float


def trigamma_inverse(x: np.ndarray) -> np.ndarray:
    """Solve ``trigamma(y) = x`` by Newton's method on ``1 / trigamma`` (Smyth 2004, appendix)."""
    x = np.asarray(x, dtype=np.float64)
    y = 0.5 + 1 / np.clip(x, 1e-7, 1e7)
    for _ in range(50):
        value = special.polygamma(1, y)
        step = value * (1 - value / x) / special.polygamma(2, y)
        y = y + step
        if np.all(-step / y < 1e-8):
            break
    return np.where(x > 1e7, 1 / np.sqrt(x), np.where(x < 1e-6, 1 / x, y))


def fit_prior(variance: np.ndarray, df: np.ndarray) -> Prior:
    """Moments of log variances (Smyth 2004, section 6.2), each with degrees of freedom of its own; shapes (k,)."""
    if variance.size < FEWEST:
        return Prior(0.0, float(np.mean(variance)))
    half = df / 2
    e = np.log(variance) - special.digamma(half) + np.log(half)
    mean = float(np.mean(e))
    excess = float(np.var(e, ddof=1) - np.mean(special.polygamma(1, half)))
    if excess <= 0:
        return Prior(np.inf, float(np.mean(variance)))
    prior_df = 2 * float(trigamma_inverse(np.array(excess)))
    return Prior(prior_df, float(np.exp(mean + special.digamma(prior_df / 2) - np.log(prior_df / 2))))


def posterior(variance: np.ndarray, df: np.ndarray, prior: Prior) -> tuple[np.ndarray, np.ndarray]:
    """Moderated variances (k,) and their degrees of freedom, at most all of the data's together."""
    if np.isinf(prior.df):
        moderated = np.full_like(variance, prior.variance)
    else:
        moderated = (prior.df * prior.variance + df * variance) / (prior.df + df)
    return moderated, np.minimum(df + prior.df, df.sum())


class Moderated(NamedTuple):
    """Per row (k,): the statistic (t for one contrast, F for several) with its degrees of freedom and p-value.

    `inflation` is the factor by which moderation has multiplied the standard error.
    """

    statistic: np.ndarray
    df: np.ndarray
    p: np.ndarray
    inflation: np.ndarray
    prior: Prior


def t_test(estimate: np.ndarray, variance: np.ndarray, df: np.ndarray, prior: Prior | None = None) -> Moderated:
    """Two-sided t tests of estimates (k,) with variances (k,); `prior` `None` is estimated, ``Prior(0, ...)`` is none."""
    prior = fit_prior(variance, df) if prior is None else prior
    moderated, df_total = posterior(variance, df, prior)
    t = estimate / np.sqrt(moderated)
    return Moderated(t, df_total, 2 * distributions.t.sf(np.abs(t), df_total), np.sqrt(moderated / variance), prior)


def f_test(estimate: np.ndarray, covariance: np.ndarray, df: np.ndarray, prior: Prior | None = None) -> Moderated:
    """F tests that all q estimates (k, q) with covariances (k, q, q) are zero; ``det(covariance)^(1/q)`` is moderated."""
    q = estimate.shape[1]
    variance = np.exp(np.linalg.slogdet(covariance)[1] / q)
    prior = fit_prior(variance, df) if prior is None else prior
    moderated, df_total = posterior(variance, df, prior)
    f = np.einsum("kq,kq->k", estimate, np.linalg.solve(covariance, estimate[..., None])[..., 0]) / q
    f = f * variance / moderated
    return Moderated(f, df_total, distributions.f.sf(f, q, df_total), np.sqrt(moderated / variance), prior)


def noncentrality_interval(t: np.ndarray, df: np.ndarray, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    """Interval for the noncentrality of each t: the values under which `t` lies in either tail with half the rest."""
    tail = (1 - confidence) / 2
    huge = np.abs(t) > _HUGE
    moderate = np.where(huge, 0.0, t)
    low, high = special.nctdtrinc(df, 1 - tail, moderate), special.nctdtrinc(df, tail, moderate)
    near, far = (np.sqrt(distributions.chi2.ppf(q, df) / df) for q in (tail, 1 - tail))
    low = np.where(huge, t * np.where(t > 0, near, far), low)
    high = np.where(huge, t * np.where(t > 0, far, near), high)
    return low, high


def ratio_interval(
    ratio: np.ndarray, low: np.ndarray, high: np.ndarray, df: np.ndarray, sd_df: np.ndarray, confidence: float
) -> tuple[np.ndarray, np.ndarray]:
    """Interval for an effect over an SD that is known less well (`sd_df`) than the standard error of the effect (`df`).

    `low` and `high` are the interval that takes SD over standard error as known. A bound on the side of `ratio` moves away
    from it: squares of logarithms add, that of the SD's error less that of the standard error. No bound changes its sign.
    """
    tail = (1 - confidence) / 2

    def away(bound: np.ndarray, q: float) -> np.ndarray:
        error, known = (0.5 * np.log(distributions.chi2.ppf(q, v) / v) for v in (sd_df, df))
        more = np.where(sd_df < df, np.maximum(error**2 - known**2, 0), 0.0)
        beside = bound * ratio > 0
        distance = np.sqrt(np.log(np.divide(bound, ratio, out=np.ones_like(ratio), where=beside)) ** 2 + more)
        return np.where(beside, ratio * np.exp(np.where(q < 0.5, -distance, distance)), bound)

    inner, outer = np.where(ratio < 0, high, low), np.where(ratio < 0, low, high)
    inner, outer = away(inner, tail), away(outer, 1 - tail)
    return np.where(ratio < 0, outer, inner), np.where(ratio < 0, inner, outer)
