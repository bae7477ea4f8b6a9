"""Random intercepts by REML against statsmodels, dense matrices, and textbook formulas of balanced designs."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy import stats

from omicstl.kernels import mixed

B = 40


def unbalanced(seed=0, k=5, spread=(0.3, 1.0, 2.0, 5.0, 0.0)):
    """Three groups between blocks of 1 to 6 rows, and a number that varies within them."""
    rng = np.random.default_rng(seed)
    block = np.repeat(np.arange(B), rng.integers(1, 7, B))
    group = (np.arange(B) % 3)[block]
    x = np.column_stack([np.ones(block.size), group == 1, group == 2, rng.normal(size=block.size)]).astype(float)
    effects = rng.normal(size=(B, k)) * np.array(spread)[:k]
    return x, rng.normal(size=(block.size, k)) + effects[block] + 3.0, block


def dense(fit, x, block, j):
    """Covariance of beta, information of the two variances and what goes with them, from whole matrices."""
    z = np.eye(block.max() + 1)[block]
    parts = [z @ z.T, np.eye(len(x))]
    rho, total = fit.correlation[j], fit.variance[j]
    inverse = np.linalg.inv(total * rho * parts[0] + total * (1 - rho) * parts[1])
    covariance = np.linalg.inv(x.T @ inverse @ x)
    p = inverse - inverse @ x @ covariance @ x.T @ inverse
    information = np.array([[0.5 * np.trace(p @ a @ p @ b) for b in parts] for a in parts])
    slopes = [covariance @ x.T @ inverse @ a @ inverse @ x @ covariance for a in parts]
    return covariance, information, slopes, inverse


def restricted_likelihood(rho, x, y, block):
    v = (1 - rho) * np.eye(len(x)) + rho * (block[:, None] == block[None, :])
    inverse = np.linalg.inv(v)
    a = x.T @ inverse @ x
    r = y - x @ np.linalg.solve(a, x.T @ inverse @ y)
    free = len(x) - x.shape[1]
    return -0.5 * (free * np.log(r @ inverse @ r) + np.linalg.slogdet(v)[1] + np.linalg.slogdet(a)[1])


def test_against_statsmodels():
    sm = pytest.importorskip("statsmodels.api")
    x, y, block = unbalanced(k=4)
    fit = mixed.random_intercept(x, y, block)
    for j in range(4):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            other = sm.MixedLM(y[:, j], x, groups=block).fit(reml=True, method="powell")
        between = float(other.cov_re[0, 0])
        assert fit.correlation[j] == pytest.approx(between / (between + other.scale), abs=1e-4)
        assert fit.variance[j] == pytest.approx(between + other.scale, rel=1e-4)
        np.testing.assert_allclose(fit.beta[j], other.fe_params, rtol=1e-5)
        np.testing.assert_allclose(
            np.sqrt(np.diag(fit.covariance[j])), other.bse_fe, rtol=0.02
        )  # of another information


@pytest.mark.parametrize("seed", range(3))
def test_the_correlation_is_where_the_restricted_likelihood_is_largest(seed):
    x, y, block = unbalanced(seed)
    fit = mixed.random_intercept(x, y, block)
    for j in range(5):
        best = restricted_likelihood(fit.correlation[j], x, y[:, j], block)
        grid = np.linspace(0, 0.99, 34)
        assert best >= max(restricted_likelihood(r, x, y[:, j], block) for r in grid) - 1e-9
        if fit.correlation[j] > 0:
            near = fit.correlation[j] + np.array([-1e-4, 1e-4])
            assert best > max(restricted_likelihood(r, x, y[:, j], block) for r in near)


def test_covariances_and_degrees_of_freedom_of_whole_matrices():
    x, y, block = unbalanced()
    fit = mixed.random_intercept(x, y, block)
    contrasts = np.array([[0.0, 1, 0, 0], [0, -1, 1, 0], [0, 0, 0, 1]])
    for j in range(5):
        covariance, information, slopes, inverse = dense(fit, x, block, j)
        np.testing.assert_allclose(fit.covariance[j], covariance, rtol=1e-8, atol=1e-12)
        np.testing.assert_allclose(fit.beta[j], covariance @ x.T @ inverse @ y[:, j], rtol=1e-8)
        np.testing.assert_allclose(fit.spread[j], np.linalg.inv(information), rtol=1e-7)
        for c in contrasts:
            slope = np.array([c @ s @ c for s in slopes])
            expected = 2 * (c @ covariance @ c) ** 2 / (slope @ np.linalg.inv(information) @ slope)
            assert mixed.contrast_df(fit, c)[j] == pytest.approx(expected, rel=1e-7)
        total = fit.variance[j] ** 2 * 2 / np.linalg.inv(information).sum()
        assert fit.variance_df[j] == pytest.approx(total, rel=1e-7)


def test_the_gradient_is_the_derivative_of_the_covariance():
    x, y, block = unbalanced(k=1)
    fit = mixed.random_intercept(x, y, block)
    both = np.array([fit.correlation[0], 1 - fit.correlation[0]]) * fit.variance[0]

    def covariance(between, rest):
        v = between * (block[:, None] == block[None, :]) + rest * np.eye(len(x))
        return np.linalg.inv(x.T @ np.linalg.solve(v, x))

    for j, step in enumerate(np.eye(2) * 1e-5):
        numeric = (covariance(*(both + step)) - covariance(*(both - step))) / 2e-5
        np.testing.assert_allclose(fit.gradient[0, j], numeric, rtol=1e-5, atol=1e-9)


def test_balanced_blocks_are_the_analysis_of_variance():
    """Groups of blocks of equal size: the t test on block means, with blocks minus groups degrees of freedom."""
    rng = np.random.default_rng(5)
    block = np.repeat(np.arange(20), 4)
    group = (np.arange(20) < 9).astype(float)
    y = rng.normal(size=(80, 30)) + 1.5 * rng.normal(size=(20, 30))[block]
    x = np.column_stack([np.ones(80), group[block]])
    fit = mixed.random_intercept(x, y, block)
    assert (fit.correlation > 0).all()
    means = y.reshape(20, 4, 30).mean(axis=1)
    expected = stats.ttest_ind(means[group == 1], means[group == 0])
    t = fit.beta[:, 1] / np.sqrt(fit.covariance[:, 1, 1])
    np.testing.assert_allclose(t, expected.statistic, rtol=1e-6)
    np.testing.assert_allclose(mixed.contrast_df(fit, np.array([0.0, 1.0])), 18, rtol=1e-6)


def test_complete_pairs_are_the_paired_t_test():
    rng = np.random.default_rng(6)
    block = np.tile(np.arange(15), 2)
    y = rng.normal(size=(30, 30)) + 2 * rng.normal(size=(15, 30))[block]
    x = np.column_stack([np.ones(30), np.repeat([0.0, 1.0], 15)])
    fit = mixed.random_intercept(x, y, block)
    t = fit.beta[:, 1] / np.sqrt(fit.covariance[:, 1, 1])
    np.testing.assert_allclose(t, stats.ttest_rel(y[15:], y[:15]).statistic, rtol=1e-6)
    np.testing.assert_allclose(mixed.contrast_df(fit, np.array([0.0, 1.0])), 14, rtol=1e-6)


def test_a_negative_correlation_is_zero_and_stays_careful():
    """Blocks that differ less than by chance: the variance is the pooled one, the degrees of freedom are those of blocks."""
    rng = np.random.default_rng(7)
    block = np.repeat(np.arange(12), 5)
    y = rng.normal(size=(60, 4))
    y -= np.repeat(y.reshape(12, 5, 4).mean(axis=1), 5, axis=0)
    x = np.column_stack([np.ones(60), (block < 6).astype(float)])
    fit = mixed.random_intercept(x, y, block)
    np.testing.assert_array_equal(fit.correlation, 0.0)
    np.testing.assert_allclose(fit.variance, np.sum(y**2, axis=0) / 58)
    np.testing.assert_allclose(mixed.contrast_df(fit, np.array([0.0, 1.0])), 10, rtol=1e-9)


def test_order_of_rows_units_and_origin_do_not_matter():
    x, y, block = unbalanced()
    a = mixed.random_intercept(x, y, block)
    order = np.random.default_rng(0).permutation(len(x))
    b = mixed.random_intercept(x[order], y[order] * 1e-3 + 1e4, np.random.default_rng(1).permutation(B)[block][order])
    np.testing.assert_allclose(b.correlation, a.correlation, atol=1e-6)
    np.testing.assert_allclose(b.beta[:, 1:], a.beta[:, 1:] * 1e-3, rtol=1e-4)
    np.testing.assert_allclose(b.variance, a.variance * 1e-6, rtol=1e-4)


def test_nearly_all_between_blocks():
    rng = np.random.default_rng(8)
    block = np.repeat(np.arange(10), 3)
    y = rng.normal(size=(10, 2))[block] + 1e-4 * rng.normal(size=(30, 2))
    fit = mixed.random_intercept(np.ones((30, 1)), y, block)
    assert (fit.correlation > 0.999).all()
    assert np.isfinite(fit.covariance).all()
    np.testing.assert_allclose(mixed.contrast_df(fit, np.ones(1)), 9, rtol=1e-3)


def test_least_squares():
    x, y, _ = unbalanced()
    n, p = x.shape
    fit = mixed.least_squares(x, y, n - p)
    for j in range(y.shape[1]):
        beta, rss, *_ = np.linalg.lstsq(x, y[:, j], rcond=None)
        np.testing.assert_allclose(fit.beta[j], beta)
        np.testing.assert_allclose(fit.covariance[j], rss[0] / (n - p) * np.linalg.inv(x.T @ x))
    np.testing.assert_allclose(mixed.contrast_df(fit, np.array([0.0, 1, -1, 0.5])), n - p)
    np.testing.assert_allclose(mixed.joint_df(fit, np.eye(4)[1:]), n - p)
    assert np.isnan(fit.correlation).all()


def test_joint_degrees_of_freedom():
    """Fai and Cornelius row by row; of one contrast they are Satterthwaite's."""
    x, y, block = unbalanced()
    fit = mixed.random_intercept(x, y, block)
    rows = np.array([[0.0, 1, 0, 0], [0, 0, 0, 1.0]])
    found = mixed.joint_df(fit, rows)
    for j in range(y.shape[1]):
        covariance, information, slopes, _ = dense(fit, x, block, j)
        vectors = np.linalg.eigh(rows @ covariance @ rows.T)[1]
        df = []
        for c in vectors.T @ rows:
            slope = np.array([c @ s @ c for s in slopes])
            df.append(2 * (c @ covariance @ c) ** 2 / (slope @ np.linalg.inv(information) @ slope))
        expected = sum(v / (v - 2) for v in df)
        assert found[j] == pytest.approx(2 * expected / (expected - 2), rel=1e-6)
        assert min(df) * 0.99 < found[j] < max(df)
    np.testing.assert_allclose(mixed.joint_df(fit, rows[:1]), mixed.contrast_df(fit, rows[0]))


def test_p_values_are_uniform_and_those_without_blocks_are_not():
    rng = np.random.default_rng(9)
    block = np.repeat(np.arange(24), rng.integers(1, 9, 24))
    y = rng.normal(size=(block.size, 3000)) + 0.8 * rng.normal(size=(24, 3000))[block]
    x = np.column_stack([np.ones(block.size), (block % 3 == 0).astype(float)])
    c = np.array([0.0, 1.0])
    share = {}
    for name, fit in (
        ("block", mixed.random_intercept(x, y, block)),
        ("none", mixed.least_squares(x, y, len(x) - 2)),
    ):
        t = fit.beta[:, 1] / np.sqrt(fit.covariance[:, 1, 1])
        share[name] = np.mean(2 * stats.t.sf(np.abs(t), mixed.contrast_df(fit, c)) < 0.05)
    assert 0.035 < share["block"] < 0.06
    assert share["none"] > 0.15
