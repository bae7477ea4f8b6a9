"""Columns of one size against exact arithmetic, for numbers of any size a float can have."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from omicstl.kernels import units

TINY = 5e-324


@pytest.mark.parametrize("scale", [TINY, 1e-310, 1e-200, 1.0, 1e17, 1e300])
def test_it_is_the_column_less_its_mean(scale):
    x = np.random.default_rng(0).integers(1, 1000, size=(20, 3)) * scale
    columns, exponent = units.standard(x)
    for j in range(3):
        exact = [Fraction(float(v)) for v in x[:, j]]
        mean = sum(exact) / len(exact)
        unit = Fraction(2) ** int(exponent[j])
        np.testing.assert_allclose(columns[:, j], [float((v - mean) / unit) for v in exact], rtol=0, atol=1e-15)
        assert 0.5 <= np.abs(columns[:, j]).max() < 1


def test_both_ends_and_constants():
    largest = np.finfo(float).max
    columns, exponent = units.standard(np.array([[-largest, 0.1, 0.0], [largest, 0.1, 0.0]]))
    np.testing.assert_allclose(columns[:, 0], [-1.0, 1.0])
    np.testing.assert_array_equal(columns[:, 1:], 0)
    assert exponent[0] == 1024


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 1000), min_size=12, max_size=12).filter(lambda v: len(set(v)) > 1),
    st.integers(-(10**12), 10**12),
    st.integers(-900, 900),
)
def test_origin_and_unit_change_nothing(values, offset, power):
    x = np.array(values, dtype=float)[:, None]
    expected, exponent = units.standard(x)
    moved, other = units.standard(x + offset)
    np.testing.assert_allclose(moved, expected, rtol=0, atol=1e-15)
    assert other == exponent
    scaled, other = units.standard(np.ldexp(x, power))
    np.testing.assert_array_equal(scaled, expected)
    assert other == exponent + power


@pytest.mark.parametrize(
    ("x", "eps", "expected"),
    [
        (1e17 + np.arange(24), 2.0**-52, True),
        (1e15 + np.arange(24), 2.0**-52, False),  # whole steps of 8
        (1234567890.0 + np.arange(24), 2.0**-52, False),
        (np.array([0.3, 0.1 + 0.2, 0.3]), 2.0**-52, True),
        (TINY * np.arange(5), 2.0**-52, False),
        (20 + np.random.default_rng(0).uniform(size=9), 2.0**-52, False),
        (np.float32([2000.0, 2001.0, 2003.0]), 2.0**-23, False),
        (np.float32([1e9, 1e9 + 64, 1e9 + 128]), 2.0**-23, True),
    ],
)
def test_what_is_rounding(x, eps, expected):
    assert units.rounded_away(np.asarray(x, dtype=float), eps) is expected


def test_the_float_that_numbers_were_stored_as():
    x = np.random.default_rng(0).normal(size=5)
    assert units.epsilon(x) == 2.0**-52
    assert units.epsilon(x.astype(np.float32).astype(float)) == 2.0**-23
    assert units.epsilon(np.array([1e300])) == 2.0**-52
