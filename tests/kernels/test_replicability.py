"""Effective numbers, intervals and combined effects, against simulation, scipy and plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from omicstl.kernels import replicability


def blocks(k=40, n_blocks=5, rho=0.8, common=0.0):
    """Correlation of factors that move together in blocks, every third with the other sign."""
    of = np.arange(k) % n_blocks
    sign = np.where(np.arange(k) % 3 == 0, -1.0, 1.0)
    r = np.where(of[:, None] == of, rho, common) * np.outer(sign, sign)
    np.fill_diagonal(r, 1.0)
    return r


def test_independent_variables_count_one_each():
    effects = np.random.default_rng(0).normal(size=30)
    assert replicability.effective_number(effects, np.eye(30)) == pytest.approx(30)
    assert replicability.effective_signs(effects > 0, np.eye(30)) == pytest.approx(30)


def test_variables_that_move_together_count_once():
    effects = np.linspace(-1, 2, 12)
    assert replicability.effective_signs(np.ones(12, dtype=bool), np.ones((12, 12))) == pytest.approx(1)
    assert replicability.effective_number(effects, np.ones((12, 12))) == 2
    assert np.isnan(replicability.effective_number(np.full(12, 0.1), np.eye(12)))
    assert np.isnan(replicability.effective_number(np.zeros(12), np.eye(12)))


def test_negative_correlation_does_not_add_variables():
    pair = np.array([[1, -0.9], [-0.9, 1]])
    assert replicability.effective_signs(np.array([True, True]), pair) == 2
    assert replicability.effective_signs(np.array([True, False]), pair) == pytest.approx(
        4 / (2 + 4 / np.pi * np.arcsin(0.9))
    )


@pytest.mark.parametrize("r", [blocks(), blocks(60, 8, 0.6, 0.2)])
def test_effective_numbers_give_the_variance_of_the_statistics(r):
    """Against draws of correlated normal effects, the first series held fixed."""
    rng = np.random.default_rng(1)
    k = len(r)
    draws = rng.multivariate_normal(np.zeros(k), r, size=8000, method="cholesky")
    first = rng.multivariate_normal(np.zeros(k), r, method="cholesky")
    found = np.array([np.corrcoef(first, draw)[0, 1] for draw in draws])
    assert 1 + 1 / found.var() == pytest.approx(replicability.effective_number(first, r), rel=0.15)
    share = ((draws > 0) == (first > 0)).mean(axis=1)
    assert 0.25 / share.var() == pytest.approx(replicability.effective_signs(first > 0, r), rel=0.1)


@pytest.mark.parametrize(("r", "n"), [(0.3, 20), (-0.8, 7), (0.0, 100)])
def test_correlation_interval_is_fishers(r, n):
    z, half = np.arctanh(r), stats.norm.ppf(0.975) / np.sqrt(n - 3)
    np.testing.assert_allclose(
        replicability.correlation_interval(r, float(n)), np.tanh([z - half, z + half]), rtol=1e-12
    )


def test_correlation_interval_of_a_sample_is_that_of_scipy():
    x, y = np.random.default_rng(2).normal(size=(2, 25))
    found = stats.pearsonr(x, y)
    np.testing.assert_allclose(
        replicability.correlation_interval(found.statistic, 25.0, 0.9), found.confidence_interval(0.9), rtol=1e-10
    )


def test_intervals_of_little_or_nothing():
    assert replicability.correlation_interval(0.5, 3.0) == (-1, 1)
    assert replicability.correlation_interval(1.0, 10.0) == (1, 1)
    assert np.isnan(replicability.correlation_interval(np.nan, 10.0)).all()
    assert np.isnan(replicability.share_interval(np.nan, 10.0)).all()
    assert np.isnan(replicability.share_interval(0.5, np.nan)).all()


@pytest.mark.parametrize(("successes", "n"), [(0, 5), (3, 10), (10, 10), (1, 1)])
def test_share_interval_is_wilsons(successes, n):
    expected = stats.binomtest(successes, n).proportion_ci(method="wilson")
    np.testing.assert_allclose(replicability.share_interval(successes / n, float(n)), expected, atol=1e-12)


@pytest.mark.parametrize("df", [6.0, 20.0, 200.0, np.inf])
def test_standard_error_makes_t_nearly_normal(df):
    t = np.array([-2.5, -1.0, 0.3, 2.0, 3.0])
    z = stats.norm.ppf(stats.t.cdf(t, df)) if np.isfinite(df) else t
    effect = 0.4 * t
    found = effect / replicability.standard_error(effect, t, np.full(5, df))
    np.testing.assert_allclose(found, z, atol=0.1 if df < 10 else 0.02)
    assert np.isnan(replicability.standard_error(np.zeros(1), np.zeros(1), np.ones(1))).all()


def test_combine_is_the_weighted_mean():
    rng = np.random.default_rng(3)
    effects, se = rng.normal(size=(6, 3)), rng.uniform(0.1, 1, size=(6, 3))
    found = replicability.combine(effects, se)
    for row in range(6):
        w = [1 / s**2 for s in se[row]]
        mean = sum(wi * e for wi, e in zip(w, effects[row], strict=True)) / sum(w)
        low, high = stats.norm.interval(0.95, mean, sum(w) ** -0.5)
        q = sum(wi * (e - mean) ** 2 for wi, e in zip(w, effects[row], strict=True))
        p = 2 * stats.norm.sf(abs(mean) * sum(w) ** 0.5)
        expected = (mean, low, high, p, stats.chi2.sf(q, 2))
        np.testing.assert_allclose([column[row] for column in found], expected, rtol=1e-10)
