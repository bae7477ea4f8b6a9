"""Median absolute deviations."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from omicstl.kernels.mad import median_absolute_deviation


@pytest.mark.parametrize("n", [1, 2, 7, 40])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_it_is_that_of_scipy(n, dtype):
    rows = np.random.default_rng(n).normal(5, 2, (30, n)).astype(dtype)
    wanted = stats.median_abs_deviation(rows, axis=1)
    np.testing.assert_allclose(median_absolute_deviation(rows.copy()), wanted, rtol=1e-6)


def test_it_is_that_of_the_definition():
    rows = np.array([[0.0, 1, 2, 100], [3, 3, 3, 9], [1, 1, 1, 1]])
    wanted = []
    for row in rows:
        middle = sorted(row)[1] / 2 + sorted(row)[2] / 2
        away = sorted(abs(value - middle) for value in row)
        wanted.append(away[1] / 2 + away[2] / 2)
    np.testing.assert_array_equal(median_absolute_deviation(rows.copy()), wanted)
    np.testing.assert_array_equal(wanted, [1.0, 0.0, 0.0])
