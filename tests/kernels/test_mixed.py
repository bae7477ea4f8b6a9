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


def test_a_negative_correlation_is_zero_and_careful_between_blocks():
    """Blocks that differ less than by chance: the variance is the pooled one, the degrees of freedom are those of blocks.

    That is careful of differences between blocks. Differences within them then vary more than the pooled variance says.
    """
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
        np.testing.assert_array_equal(fit.adjusted[j], fit.covariance[j])
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


def kenward_roger(fit, x, block, j, rows):
    """Adjusted covariance, scale of F and degrees of freedom, from whole matrices and in the paper's notation."""
    z = np.eye(block.max() + 1)[block]
    slopes = [z @ z.T, np.eye(len(x))]
    rho, total = fit.correlation[j], fit.variance[j]
    inverse = np.linalg.inv(total * (rho * slopes[0] + (1 - rho) * slopes[1]))
    phi = np.linalg.inv(x.T @ inverse @ x)
    p = [-x.T @ inverse @ s @ inverse @ x for s in slopes]
    q = [[x.T @ inverse @ a @ inverse @ b @ inverse @ x for b in slopes] for a in slopes]
    information = np.zeros((2, 2))
    for a in range(2):
        for b in range(2):
            trace = np.trace(inverse @ slopes[a] @ inverse @ slopes[b])
            information[a, b] = 0.5 * (trace - np.trace(2 * phi @ q[a][b] - phi @ p[a] @ phi @ p[b]))
    w = np.linalg.inv(information)
    inner = sum(w[a, b] * (q[a][b] - p[a] @ phi @ p[b]) for a in range(2) for b in range(2))
    adjusted = phi + 2 * phi @ inner @ phi
    ell = len(rows)
    theta = rows.T @ np.linalg.inv(rows @ phi @ rows.T) @ rows
    parts = [theta @ phi @ p[a] @ phi for a in range(2)]
    a1 = sum(w[a, b] * np.trace(parts[a]) * np.trace(parts[b]) for a in range(2) for b in range(2))
    a2 = sum(w[a, b] * np.trace(parts[a] @ parts[b]) for a in range(2) for b in range(2))
    big_b = (a1 + 6 * a2) / (2 * ell)
    g = ((ell + 1) * a1 - (ell + 4) * a2) / ((ell + 2) * a2)
    below = 3 * ell + 2 * (1 - g)
    c1, c2, c3 = g / below, (ell - g) / below, (ell + 2 - g) / below
    expected = 1 / (1 - a2 / ell)
    spread = 2 / ell * (1 + c1 * big_b) / ((1 - c2 * big_b) ** 2 * (1 - c3 * big_b))
    ratio = spread / (2 * expected**2)
    m = 4 + (ell + 2) / (ell * ratio - 1)
    return adjusted, m / (expected * (m - 2)), m


@pytest.mark.parametrize("seed", range(3))
def test_kenward_and_roger_of_whole_matrices(seed):
    x, y, block = unbalanced(seed)
    fit = mixed.random_intercept(x, y, block)
    for rows in (np.eye(4)[1:3], np.eye(4)[1:], np.array([[0.0, 1, -1, 0.5]])):
        covariance, df = mixed.joint_test(fit, rows)
        for j in range(5):
            adjusted, scale, m = kenward_roger(fit, x, block, j, rows)
            np.testing.assert_allclose(fit.adjusted[j], adjusted, rtol=1e-7, atol=1e-12)
            np.testing.assert_allclose(covariance[j], rows @ adjusted @ rows.T / scale, rtol=1e-6, atol=1e-12)
            assert df[j] == pytest.approx(m, rel=1e-6)
            if len(rows) == 1:  # then the scale is 1, and the degrees of freedom are Satterthwaite's
                assert scale == pytest.approx(1)
                assert m == pytest.approx(mixed.contrast_df(fit, rows[0])[j])


def test_the_adjusted_covariance_is_never_smaller():
    x, y, block = unbalanced()
    fit = mixed.random_intercept(x[:40], y[:40], block[:40])
    more = np.linalg.eigvalsh(fit.adjusted - fit.covariance)
    assert (more > -1e-10 * np.abs(fit.covariance).max(axis=(1, 2))[:, None]).all()
    assert (fit.adjusted[:, 3, 3] > 1.001 * fit.covariance[:, 3, 3]).all()


def test_a_balanced_split_plot_is_its_analysis_of_variance():
    """Three groups of 5 blocks, 4 conditions in each: F of the groups against blocks, F of conditions against the rest."""
    rng = np.random.default_rng(12)
    blocks, k = 15, 40
    group = np.arange(blocks) % 3
    y = rng.normal(size=(blocks, 4, k)) + 1.2 * rng.normal(size=(blocks, 1, k))
    block = np.repeat(np.arange(blocks), 4)
    between, inside = np.eye(3)[group[block]][:, 1:], np.eye(4)[np.tile(np.arange(4), blocks)][:, 1:]
    between, inside = between - between.mean(0), inside - inside.mean(0)
    product = (between[:, :, None] * inside[:, None]).reshape(len(block), -1)
    x = np.hstack([np.ones((len(block), 1)), between, inside, product])
    fit = mixed.random_intercept(x, y.reshape(-1, k), block)
    use = fit.correlation > 0
    assert use.sum() > 30
    means = y.mean(axis=1)
    of_groups = stats.f_oneway(*(means[group == g] for g in range(3))).statistic
    rest = y - means[:, None]
    cell = np.stack([rest[group == g].mean(axis=0) for g in range(3)])
    error = sum(((rest[group == g] - cell[g]) ** 2).sum(axis=(0, 1)) for g in range(3)) / (12 * 3)
    of_conditions = 15 * (rest.mean(axis=0) ** 2).sum(axis=0) / 3 / error
    of_both = 5 * ((cell - rest.mean(axis=0)) ** 2).sum(axis=(0, 1)) / 6 / error
    for first, last, f, exact in ((1, 3, of_groups, 12), (3, 6, of_conditions, 36), (6, 12, of_both, 36)):
        rows = np.eye(12)[first:last]
        covariance, df = mixed.joint_test(fit, rows)
        estimate = fit.beta @ rows.T
        found = np.einsum("kq,kqr,kr->k", estimate, np.linalg.inv(covariance), estimate) / len(rows)
        np.testing.assert_allclose(found[use], f[use], rtol=1e-5)
        np.testing.assert_allclose(df[use], exact, rtol=1e-5)


@pytest.mark.parametrize("df", [1, 2, 3, 40])
def test_without_blocks_nothing_is_adjusted(df):
    rng = np.random.default_rng(13)
    x = np.column_stack([np.ones(df + 3), rng.normal(size=(df + 3, 2))])
    fit = mixed.least_squares(x, rng.normal(size=(df + 3, 4)), df)
    np.testing.assert_array_equal(fit.adjusted, fit.covariance)
    rows = np.eye(3)[1:]
    covariance, found = mixed.joint_test(fit, rows)
    np.testing.assert_allclose(covariance, rows @ fit.covariance @ rows.T, rtol=1e-9)
    np.testing.assert_allclose(found, df, rtol=1e-9)


def test_two_or_three_blocks_give_finite_tests():
    rng = np.random.default_rng(14)
    block = np.array([0, 0, 0, 1, 1, 1, 2, 2])
    x = np.column_stack([np.ones(8), [0, 1, 0, 1, 0, 0, 0, 1], [0, 0, 1, 0, 1, 0, 0, 0]]).astype(float)
    fit = mixed.random_intercept(x, rng.normal(size=(8, 500)) + rng.normal(size=(3, 500))[block], block)
    covariance, df = mixed.joint_test(fit, np.eye(3)[1:])
    assert np.isfinite(covariance).all()
    assert (np.linalg.eigvalsh(covariance) > 0).all()
    assert (df > 0).all()


@pytest.mark.parametrize("blocks", [6, 8, 12])
def test_p_values_of_few_blocks(blocks):
    """Groups that meet within and between few blocks: without the adjustment too much is called."""
    called, plain, rng = [], [], np.random.default_rng(15)
    for _ in range(25):
        block = np.repeat(np.arange(blocks), [1, 2, 3] * (blocks // 3) + [3] * (blocks % 3))
        x = np.column_stack([np.ones(block.size), rng.permutation(block.size) % 2]).astype(float)
        y = rng.normal(size=(block.size, 200)) + 0.6 * rng.normal(size=(blocks, 200))[block]
        fit = mixed.random_intercept(x, y, block)
        df = mixed.contrast_df(fit, np.array([0.0, 1.0]))
        for share, covariance in ((called, fit.adjusted), (plain, fit.covariance)):
            t = np.abs(fit.beta[:, 1]) / np.sqrt(covariance[:, 1, 1])
            share.append((2 * stats.t.sf(t, df) < 0.05).mean())
    assert 0.035 < np.mean(called) < 0.06
    assert np.mean(plain) > np.mean(called) + 0.005


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
