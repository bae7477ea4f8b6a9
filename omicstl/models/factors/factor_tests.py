"""Tests of a phenotype on factor scores: a design goes in, moderated tests with effect sizes come out (arrays only)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from omicstl.kernels import mixed, moderated, units
from omicstl.kernels.enrichment import benjamini_hochberg
from omicstl.kernels.mixed import LinearFit
from omicstl.kernels.moderated import Prior


@dataclass(frozen=True)
class FactorTests:
    """What is asked of the scores.

    `x` (n, p) is of full rank; rows of `contrasts` (c, p) are tested one by one, rows of `overall` (q, p) together.
    `block` (n,) holds codes 0..b-1, or is `None`. `full` is the design with an intercept. It is `x`, but for `within`, which
    compares within blocks: x then has no intercept, and `full` serves the spread alone. Columns of x are of size 1: a number
    was divided by `unit`, and effects are per 1 of the number.
    """

    x: np.ndarray
    full: np.ndarray
    contrasts: np.ndarray
    overall: np.ndarray
    block: np.ndarray | None = None
    within: bool = False
    confidence: float = 0.95
    unit: float = 1.0


class Contrasts(NamedTuple):
    """One row for each factor, one column for each contrast: all (k, c) but `prior_df` and `prior_variance` (c,)."""

    effect: np.ndarray
    se: np.ndarray
    low: np.ndarray
    high: np.ndarray
    effect_sd: np.ndarray
    effect_sd_low: np.ndarray
    effect_sd_high: np.ndarray
    t: np.ndarray
    df: np.ndarray
    p: np.ndarray
    fdr: np.ndarray
    prior_df: np.ndarray
    prior_variance: np.ndarray


class Overall(NamedTuple):
    """One value for each factor (k,)."""

    f: np.ndarray
    df_between: int
    df_within: np.ndarray
    p: np.ndarray
    fdr: np.ndarray


class Tested(NamedTuple):
    """Tests of all factors; `sd` and `block_correlation` (k,), `residual_correlation` (k, k), `prior` of the variance."""

    contrasts: Contrasts
    overall: Overall
    sd: np.ndarray
    block_correlation: np.ndarray
    residual_correlation: np.ndarray
    prior: Prior


def fit(scores: np.ndarray, config: FactorTests) -> Tested:
    """Test the columns of `scores` (n, k); none may be constant, or determined by the design."""
    y, exponent = units.standard(scores)
    size = np.ldexp(1.0, exponent)  # what the scores were divided by
    linear, spread = _linear_models(y, config)
    variance, variance_df = spread.variance * size**2, spread.variance_df
    prior = moderated.fit_prior(variance, variance_df)
    posterior, sd_df = moderated.posterior(variance, variance_df, prior)
    sd = np.sqrt(posterior)
    x, y = (centred(v, config.block) if config.within else v for v in (config.x, y))
    residual = y - x @ linear.beta.T
    length = np.sqrt(np.sum(residual**2, axis=0))
    correlation = (residual / length).T @ (residual / length)
    return Tested(
        _contrasts(linear, config, size, sd, sd_df),
        _overall(linear, config, size),
        sd,
        spread.correlation,
        np.clip(correlation, -1, 1),
        prior,
    )


def _linear_models(y: np.ndarray, config: FactorTests) -> tuple[LinearFit, LinearFit]:
    """The fit that the tests rest on, and the one that gives the spread of observations of one group."""
    if config.block is None:
        linear = mixed.least_squares(config.x, y, len(y) - config.x.shape[1])
        return linear, linear
    if not config.within:
        linear = mixed.random_intercept(config.x, y, config.block)
        return linear, linear
    df = len(y) - (config.block.max() + 1) - config.x.shape[1]
    linear = mixed.least_squares(centred(config.x, config.block), centred(y, config.block), df)
    return linear, mixed.random_intercept(config.full, y, config.block)


def centred(columns: np.ndarray, block: np.ndarray | None) -> np.ndarray:
    """Columns (n, j) less their mean, of each block if there are blocks; what is left by rounding is zero."""
    codes = np.zeros(len(columns), dtype=np.int64) if block is None else block
    total = np.stack([np.bincount(codes, weights=c) for c in columns.T], axis=1)
    rest = columns - (total / np.bincount(codes)[:, None])[codes]
    return np.where(np.abs(rest) <= 1e-12 * np.abs(columns).max(axis=0), 0.0, rest)


def _contrasts(
    linear: LinearFit, config: FactorTests, size: np.ndarray, sd: np.ndarray, sd_df: np.ndarray
) -> Contrasts:
    from scipy import stats

    columns: list[tuple[np.ndarray, ...]] = []
    priors = []
    for c in config.contrasts:
        effect = linear.beta @ c * size
        variance = np.einsum("p,kpq,q->k", c, linear.adjusted, c) * size**2
        test = moderated.t_test(effect, variance, mixed.contrast_df(linear, c))
        se = np.sqrt(variance) * test.inflation
        half = stats.t.ppf((1 + config.confidence) / 2, test.df) * se
        low, high = moderated.noncentrality_interval(test.statistic, test.df, config.confidence)
        low, high = low * se / sd, high * se / sd
        if config.block is not None:
            low, high = moderated.ratio_interval(effect / sd, low, high, test.df, sd_df, config.confidence)
        effects = (effect, se, effect - half, effect + half, effect / sd, low, high)
        tested = (test.statistic, test.df, test.p, benjamini_hochberg(test.p))
        columns.append((*(of_columns / config.unit for of_columns in effects), *tested))
        priors.append(test.prior)
    stacked = [np.stack(column, axis=1) for column in zip(*columns, strict=True)]
    shared = [np.array([prior.df for prior in priors]), np.array([prior.variance / config.unit**2 for prior in priors])]
    return Contrasts._make([*stacked, *shared])


def _overall(linear: LinearFit, config: FactorTests, size: np.ndarray) -> Overall:
    rows = config.overall
    covariance, df = mixed.joint_test(linear, rows)
    test = moderated.f_test(linear.beta @ rows.T * size[:, None], covariance * size[:, None, None] ** 2, df)
    return Overall(test.statistic, len(rows), test.df, test.p, benjamini_hochberg(test.p))
