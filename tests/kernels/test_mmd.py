"""Maximum mean discrepancy against plain loops and scikit-learn; size and power of the permutation test."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics.pairwise import rbf_kernel

from omicstl.kernels import mmd


def by_hand(x, y, widths):
    k = lambda a, b: np.mean([rbf_kernel(a, b, gamma=1 / width) for width in widths], axis=0)
    xx, yy = k(x, x), k(y, y)
    n, m = len(x), len(y)
    own = (xx.sum() - np.trace(xx)) / (n * (n - 1)) + (yy.sum() - np.trace(yy)) / (m * (m - 1))
    return own - 2 * k(x, y).mean()


@pytest.fixture
def two():
    rng = np.random.default_rng(0)
    return rng.normal(size=(31, 4)) + 50, 1.2 * rng.normal(size=(23, 4)) + 50.4


@pytest.mark.parametrize("block", [1024, 10, 7])
def test_value_of_any_block(two, block):
    widths = np.array([0.5, 2.0, 9.0])
    assert mmd.mmd2(*two, widths, block=block).value == pytest.approx(by_hand(*two, widths), abs=1e-12)


@pytest.mark.parametrize("block", [1024, 10])
def test_null_is_that_of_permuted_rows(two, block):
    x, y = two
    widths = np.array([1.0, 8.0])
    found = mmd.mmd2(x, y, widths, n_permutations=6, generator=np.random.default_rng(3), block=block)
    rng, pooled, expected = np.random.default_rng(3), np.concatenate(two), []
    for _ in range(6):
        order = rng.permutation(54)
        expected.append(by_hand(pooled[order[:31]], pooled[order[31:]], widths))
    np.testing.assert_allclose(found.null, expected, atol=1e-12)
    assert found.p == pytest.approx((1 + np.sum(np.array(expected) >= found.value)) / 7)


def test_bandwidths_are_quantiles_of_distances(two):
    x, y = two
    pooled = np.concatenate(two)
    d2 = [np.sum((pooled[i] - pooled[j]) ** 2) for i in range(54) for j in range(i)]
    found = mmd.bandwidths(x, y, generator=np.random.default_rng(0))
    np.testing.assert_allclose(found, np.quantile(d2, [0.1, 0.25, 0.5, 0.75, 0.9]), rtol=1e-9)
    many = np.random.default_rng(1).normal(size=(3000, 4)) * 2
    part = mmd.bandwidths(many, many[:0], generator=np.random.default_rng(0))
    np.testing.assert_allclose(part[2], 4 * 2 * 3.3567, rtol=0.08)  # median of chi squared with 4 degrees: 3.3567
    assert (mmd.bandwidths(np.ones((5, 2)), np.ones((5, 2)), generator=np.random.default_rng(0)) > 0).all()


def test_unbiased_and_of_the_right_size():
    values, p = [], []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        x, y = rng.normal(size=(2, 30, 3))
        widths = mmd.bandwidths(x, y, generator=rng)
        found = mmd.mmd2(x, y, widths, n_permutations=99, generator=rng)
        values.append(found.value)
        p.append(found.p)
    assert abs(np.mean(values)) < 3 * np.std(values) / 10
    assert np.mean(np.array(p) <= 0.1) < 0.19
    assert 0.35 < np.mean(p) < 0.65


def test_finds_means_spreads_and_shapes():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(150, 2))
    signs = rng.choice([-1, 1], size=(150, 2))
    for y in (x[::-1] * 1.7 + 0, rng.normal(size=(150, 2)) + 0.6, signs * (0.95 + 0.3 * rng.normal(size=(150, 2)))):
        found = mmd.mmd2(x, y, mmd.bandwidths(x, y, generator=rng), n_permutations=99, generator=rng)
        assert found.p == 0.01


def test_too_few_rows():
    found = mmd.mmd2(np.ones((1, 2)), np.ones((5, 2)), np.array([1.0]))
    assert np.isnan(found.value)
