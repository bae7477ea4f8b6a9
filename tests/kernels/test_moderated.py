"""Moderated tests against loops over the published formulas, scipy, and what is known of the distributions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate, special, stats

from omicstl.kernels import moderated
from omicstl.kernels.moderated import Prior

NONE = Prior(0.0, 1.0)


def draw(k=400, d0=6.0, s0=2.0, df=12, seed=0):
    """Variances from the hierarchical model of Smyth 2004, section 3."""
    rng = np.random.default_rng(seed)
    df = np.broadcast_to(df, k).astype(float)
    sigma2 = d0 * s0 / rng.chisquare(d0, k)
    return sigma2 * rng.chisquare(df) / df, df, sigma2


def published_prior(variance, df):
    """Section 6.2 row by row; trigamma inverted by bisection, not by Newton."""
    e = [math.log(s) - special.digamma(d / 2) + math.log(d / 2) for s, d in zip(variance, df, strict=True)]
    mean = sum(e) / len(e)
    target = sum((x - mean) ** 2 for x in e) / (len(e) - 1) - sum(special.zeta(2, d / 2) for d in df) / len(e)
    if target <= 0:
        return math.inf, sum(variance) / len(variance)
    low, high = 1e-8, 1e8
    for _ in range(200):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if special.zeta(2, middle) > target else (low, middle)
    return 2 * low, math.exp(mean + special.digamma(low) - math.log(low))


@pytest.mark.parametrize("x", [1e-9, 1e-5, 0.01, 0.5, 1.0, 30.0, 1e4, 1e9])
def test_trigamma_inverse(x):
    y = float(moderated.trigamma_inverse(np.array(x)))
    assert special.polygamma(1, y) == pytest.approx(x, rel=1e-3 if x > 1e7 or x < 1e-6 else 1e-10)


@pytest.mark.parametrize("df", [4, 12, "unequal"])
@pytest.mark.parametrize("d0", [1.0, 6.0, 50.0])
def test_prior_of_the_published_moments(df, d0):
    df = np.random.default_rng(1).uniform(2, 40, 400) if df == "unequal" else df
    variance, df, _ = draw(d0=d0, df=df)
    found = moderated.fit_prior(variance, df)
    np.testing.assert_allclose(found, published_prior(variance, df), rtol=1e-6)


def test_prior_is_recovered_from_many_rows():
    variance, df, _ = draw(k=40_000, d0=6.0, s0=2.0, df=np.random.default_rng(1).uniform(3, 30, 40_000))
    found = moderated.fit_prior(variance, df)
    assert found.df == pytest.approx(6.0, rel=0.1)
    assert found.variance == pytest.approx(2.0, rel=0.03)


def test_equal_variances_share_everything():
    df = np.full(50, 10.0)
    variance = 3.0 * stats.chi2.ppf((np.arange(50) + 0.5) / 50, 10) / 10 * 0.9 ** np.linspace(-0.1, 0.1, 50)
    variance = 3.0 + 0.01 * (variance - 3.0)  # less spread than chance
    found = moderated.fit_prior(variance, df)
    assert found.df == np.inf
    assert found.variance == pytest.approx(variance.mean())
    value, total = moderated.posterior(variance, df, found)
    np.testing.assert_allclose(value, variance.mean())
    np.testing.assert_array_equal(total, 500.0)  # no more than all of the data


@pytest.mark.parametrize("k", [1, 2])
def test_too_few_rows_are_not_moderated(k):
    variance, df = np.array([1.0, 9.0])[:k], np.array([5.0, 7.0])[:k]
    prior = moderated.fit_prior(variance, df)
    assert prior.df == 0.0
    value, total = moderated.posterior(variance, df, prior)
    np.testing.assert_array_equal(value, variance)
    np.testing.assert_array_equal(total, df)


def test_t_by_hand():
    variance, df, _ = draw(k=30)
    estimate = np.random.default_rng(2).normal(size=30)
    d0, s0 = published_prior(variance, df)
    found = moderated.t_test(estimate, variance, df)
    for i in range(30):
        tilde = (d0 * s0 + df[i] * variance[i]) / (d0 + df[i])
        t = estimate[i] / math.sqrt(tilde)
        total = min(d0 + df[i], df.sum())
        assert found.statistic[i] == pytest.approx(t, rel=1e-6)
        assert found.df[i] == pytest.approx(total, rel=1e-6)
        assert found.p[i] == pytest.approx(2 * stats.t.sf(abs(t), total), rel=1e-5)
        assert found.inflation[i] == pytest.approx(math.sqrt(tilde / variance[i]), rel=1e-6)


def test_f_by_hand_and_of_one_contrast_is_t_squared():
    variance, df, _ = draw(k=30)
    rng = np.random.default_rng(3)
    estimate, unscaled = rng.normal(size=(30, 2)), np.array([[2.0, 0.5], [0.5, 1.0]])
    found = moderated.f_test(estimate, variance[:, None, None] * unscaled, df)
    d0, s0 = published_prior(variance, df)
    for i in range(30):
        tilde = (d0 * s0 + df[i] * variance[i]) / (d0 + df[i])
        f = estimate[i] @ np.linalg.inv(unscaled * tilde) @ estimate[i] / 2
        assert found.statistic[i] == pytest.approx(f, rel=1e-6)
        assert found.p[i] == pytest.approx(stats.f.sf(f, 2, min(d0 + df[i], df.sum())), rel=1e-5)
    t = moderated.t_test(estimate[:, 0], variance, df)
    one = moderated.f_test(estimate[:, :1], variance[:, None, None], df)
    np.testing.assert_allclose(one.statistic, t.statistic**2)
    np.testing.assert_allclose(one.p, t.p)


def test_f_does_not_depend_on_how_the_contrasts_are_written():
    variance, df, _ = draw(k=30)
    estimate = np.random.default_rng(3).normal(size=(30, 2))
    other = np.array([[1.0, 2.0], [-1.0, 0.5]])
    a = moderated.f_test(estimate, variance[:, None, None] * np.eye(2), df)
    b = moderated.f_test(estimate @ other.T, variance[:, None, None] * (other @ other.T), df)
    np.testing.assert_allclose(a.statistic, b.statistic)
    np.testing.assert_allclose(a.p, b.p)


def test_moderation_finds_more_at_the_same_error():
    """Under the hierarchical model: uniform p-values without an effect, and more power with one."""
    variance, df, sigma2 = draw(k=20_000, df=4)
    noise = np.sqrt(sigma2) * np.random.default_rng(4).normal(size=variance.size)
    assert np.mean(moderated.t_test(noise, variance, df).p < 0.05) == pytest.approx(0.05, abs=0.006)
    shifted = noise + 4
    plain = np.mean(moderated.t_test(shifted, variance, df, NONE).p < 0.001)
    assert np.mean(moderated.t_test(shifted, variance, df).p < 0.001) > 1.5 * plain


@pytest.mark.parametrize("df", [1.5, 4.0, 30.0, 5000.0])
@pytest.mark.parametrize("t", [-25.0, -1.3, 0.0, 2.2, 60.0])
def test_noncentrality_interval(t, df):
    """The distribution of a noncentral t as an integral over the chi of its denominator."""
    low, high = (float(v[0]) for v in moderated.noncentrality_interval(np.array([t]), np.array([df]), 0.9))
    spread = 12 / math.sqrt(2 * df)

    def below(shift):
        def part(v):
            return stats.norm.cdf(t * v - shift) * stats.chi.pdf(v * math.sqrt(df), df) * math.sqrt(df)

        points = np.linspace(max(0.0, 1 - spread), 1 + spread, 40)
        return sum(integrate.quad(part, a, b)[0] for a, b in zip(points[:-1], points[1:], strict=True))

    assert below(low) == pytest.approx(0.95, abs=1e-4)
    assert below(high) == pytest.approx(0.05, abs=1e-4)


def test_noncentrality_of_a_huge_t_is_finite():
    t, df = np.array([999.0, 1001.0, -999.0, -1001.0, 3e9]), np.array([8.0, 8.0, 500.0, 500.0, 20.0])
    low, high = moderated.noncentrality_interval(t, df, 0.95)
    assert (low < t).all()
    assert (high > t).all()
    np.testing.assert_allclose(
        low[[0, 2]] / t[[0, 2]], low[[1, 3]] / t[[1, 3]], rtol=1e-3
    )  # no step between the two ways
    np.testing.assert_allclose(high[[0, 2]] / t[[0, 2]], high[[1, 3]] / t[[1, 3]], rtol=5e-4)


def test_ratio_interval():
    """Bounds move away from the ratio where its SD is known less well, and nowhere else; signs stay; mirrored by the sign."""
    t, df = np.array([-6.0, -1.0, 0.0, 0.3, 2.5, 30.0]), np.full(6, 40.0)
    low, high = moderated.noncentrality_interval(t, df, 0.95)
    same = moderated.ratio_interval(t, low, high, df, np.full(6, 40.0), 0.95)
    np.testing.assert_allclose(same, (low, high), rtol=1e-12)
    np.testing.assert_allclose(
        moderated.ratio_interval(t, low, high, df, np.full(6, 400.0), 0.95), (low, high), rtol=1e-12
    )
    a, b = moderated.ratio_interval(t, low, high, df, np.full(6, 6.0), 0.95)
    assert (a <= low).all()
    assert (b >= high).all()
    np.testing.assert_array_equal(np.sign(a), np.sign(low))
    np.testing.assert_array_equal(np.sign(b), np.sign(high))
    mirrored = moderated.ratio_interval(-t, -high, -low, df, np.full(6, 6.0), 0.95)
    np.testing.assert_allclose(mirrored, (-b, -a), rtol=1e-12)
    # of an effect that is known exactly, the interval is that of the SD
    exact = moderated.ratio_interval(np.ones(1), np.ones(1), np.ones(1), np.array([1e12]), np.array([6.0]), 0.95)
    expected = np.sqrt(stats.chi2.ppf([0.025, 0.975], 6) / 6)
    np.testing.assert_allclose(np.ravel(exact), expected, rtol=1e-4)
