"""Matching distributions against loops and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.linear_model import LinearRegression

from omicstl.kernels.distribution import match_line, match_quantiles


def by_loop(row, target):
    """Every value takes the target of its rank; ties the mean of theirs."""
    ordered = sorted(target)
    out = []
    for value in row:
        low = sum(other < value for other in row)
        high = sum(other <= value for other in row)
        out.append(np.mean(ordered[low:high]))
    return out


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_quantiles(ties, dtype):
    rng = np.random.default_rng(0)
    x = (rng.integers(0, 6, size=(5, 40)) if ties else rng.normal(size=(5, 40))).astype(dtype)
    target = rng.gamma(2.0, size=40)
    found = match_quantiles(x, target)
    np.testing.assert_allclose(found, [by_loop(row, target) for row in x], rtol=1e-12)
    np.testing.assert_allclose(found.mean(axis=1), target.mean())
    if not ties:
        np.testing.assert_allclose(np.sort(found, axis=1), np.tile(np.sort(target), (5, 1)), rtol=1e-9)
        assert spearmanr(found[0], x[0])[0] == pytest.approx(1)


def test_quantiles_see_the_order_alone():
    rng = np.random.default_rng(1)
    x, target = rng.normal(size=(3, 30)), rng.normal(size=30)
    np.testing.assert_array_equal(match_quantiles(np.exp(3 * x), target), match_quantiles(x, target))
    np.testing.assert_array_equal(match_quantiles(x[1:2], target), match_quantiles(x, target)[1:2])


def test_line_is_least_squares():
    rng = np.random.default_rng(2)
    x, target = rng.normal(5, 2, size=(4, 50)), rng.normal(8, 1, size=50)
    found = match_line(x, target)
    for row, got in zip(x, found, strict=True):
        peer = LinearRegression().fit(row[:, None], target)
        np.testing.assert_allclose(got, peer.predict(row[:, None]), rtol=1e-9)


def test_a_line_through_the_target_is_the_target():
    target = np.random.default_rng(3).normal(size=20)
    np.testing.assert_allclose(match_line(3 + 2 * target[None], target)[0], target, atol=1e-12)


@pytest.mark.parametrize("method", [match_line, match_quantiles])
def test_a_row_of_one_value_becomes_the_mean(method):
    target = np.random.default_rng(4).normal(size=20)
    found = method(np.full((2, 20), 7.0), target)
    np.testing.assert_allclose(found, target.mean(), rtol=1e-12)
