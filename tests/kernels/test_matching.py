"""Matching of factors and reconstruction of observations."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from scipy import stats

from omicstl.kernels import matching


def test_permuted_and_flipped_factors_are_found_again():
    rng = np.random.default_rng(0)
    a = rng.normal(size=(80, 6))
    order, signs = rng.permutation(6), rng.choice([-1.0, 1.0], 6)
    b = 3 + 0.2 * (a * signs)[:, order] + 0.01 * rng.normal(size=(80, 6))
    found = matching.match_factors(a, b)
    np.testing.assert_array_equal(order[found.assignment], np.arange(6))
    assert np.all(np.abs(found.correlation) > 0.95)
    np.testing.assert_array_equal(np.sign(found.correlation), signs)


def test_assignment_is_the_best_of_all():
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(20, 4)), rng.normal(size=(20, 5))
    r = np.abs(np.corrcoef(a.T, b.T)[:4, 4:])
    best = max(sum(r[i, j] for i, j in enumerate(choice)) for choice in permutations(range(5), 4))
    np.testing.assert_allclose(np.abs(matching.match_factors(a, b).correlation).sum(), best, rtol=1e-12)
    np.testing.assert_allclose(np.abs(matching.correlation(a, b)), r, atol=1e-12)


def test_factors_left_over_have_no_partner():
    rng = np.random.default_rng(2)
    a = rng.normal(size=(30, 5))
    found = matching.match_factors(a, a[:, [3, 1]])
    np.testing.assert_array_equal(found.assignment, [-1, 1, -1, 0, -1])
    np.testing.assert_array_equal(np.isnan(found.correlation), found.assignment < 0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_constant_factors_correlate_with_nothing(dtype):
    a = np.random.default_rng(3).normal(size=(30, 3)).astype(dtype)
    a[:, 1] = 0.1
    found = matching.match_factors(a, a)
    np.testing.assert_allclose(found.correlation, [1, 0, 1], atol=1e-12)


def test_reconstruction_by_the_definition():
    rng = np.random.default_rng(4)
    y = np.round(rng.normal(size=(7, 40)), 1)
    fitted = np.round(0.7 * y + 0.3 * rng.normal(size=y.shape), 1)
    found = matching.reconstruction(y, fitted)
    for row in range(7):
        error, spread = np.abs(y[row] - fitted[row]).mean(), np.abs(y[row] - y[row].mean()).mean()
        np.testing.assert_allclose(found.mase[row], error / spread, rtol=1e-12)
        np.testing.assert_allclose(found.spearman[row], stats.spearmanr(y[row], fitted[row]).statistic, rtol=1e-12)
        np.testing.assert_allclose(found.r2[row], 1 - ((y[row] - fitted[row]) ** 2).sum() / (40 * y[row].var()))


def test_observations_without_variation_are_nan_and_alone():
    y = np.random.default_rng(5).normal(size=(3, 10))
    fitted = y.copy()
    y[1], fitted[2] = 0.1, 0.0
    found = matching.reconstruction(y, fitted)
    np.testing.assert_array_equal(np.isnan(found.mase), [False, True, False])
    np.testing.assert_array_equal(np.isnan(found.spearman), [False, True, True])
    np.testing.assert_array_equal(np.isnan(found.r2), [False, True, False])
    assert (found.mase[0], found.r2[0]) == (0.0, 1.0)
