"""The p-value of a permutation test, counted by hand."""

import numpy as np
import pytest

from omicstl.kernels.permutation import permutation_p


def test_the_data_count_as_one_permutation():
    assert permutation_p(2.0, np.array([1.0, 2.0, 3.0])) == pytest.approx(3 / 4)  # a tie counts against
    assert permutation_p(9.0, np.arange(9.0)) == pytest.approx(1 / 10)
    assert permutation_p(0.1 + 0.2, np.array([0.3])) == 1  # nor does rounding make a difference
    assert np.isnan(permutation_p(1.0, np.zeros(0)))
