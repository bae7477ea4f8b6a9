"""Buckets of sizes, and zeros that fill them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from omicstl.kernels.padding import bucket, pad


@given(size=st.integers(1, 200_000), step=st.sampled_from([4, 8, 16, 64, 1024]))
def test_a_bucket_holds_its_sizes_and_wastes_little(size, step):
    rung = bucket(size, step)
    assert rung >= size
    assert rung % step == 0
    assert rung - size < max(step, size / 8)
    assert bucket(rung, step) == rung  # a bucket's own size is in it
    assert bucket(size, step) <= bucket(size + 1, step)


@pytest.mark.parametrize("step", [4, 64])
def test_there_are_few_buckets_an_octave(step):
    for low in (2**9, 2**12, 2**15):
        assert len({bucket(n, step) for n in range(low, 2 * low)}) <= 17


def test_pad():
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    found = pad(array, 4, 5)
    assert found.shape == (4, 5)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found[:2, :3], array)
    assert found.sum() == array.sum()
    assert pad(array, 2, 3) is array
    np.testing.assert_array_equal(pad(np.ones(2), 3), [1, 1, 0])
    with pytest.raises(ValueError, match="broadcast"):
        pad(array, 1, 3)
