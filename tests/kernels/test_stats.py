"""The mergeable statistic against NumPy in double precision."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from omicstl.kernels import stats


def run(x, cuts=(), gram=True):
    summary = stats.init(x.shape[1], gram=gram)
    for part in np.split(x, cuts):
        summary = stats.update(summary, part)
    return summary


def expected(x):
    x = x.astype(np.float64)
    centred = x - x.mean(axis=0)
    return x.mean(axis=0), x.var(axis=0, ddof=1), centred.T @ centred


def check(finished, x, rtol):
    mean, variance, gram = expected(x)
    scale = np.sqrt(np.diag(gram))
    np.testing.assert_allclose(finished.mean, mean, rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(finished.variance, variance, rtol=rtol, atol=1e-12)
    np.testing.assert_allclose(finished.gram / np.outer(scale, scale), gram / np.outer(scale, scale), atol=rtol)
    assert np.array_equal(finished.gram, finished.gram.T)


@pytest.mark.parametrize(("dtype", "rtol"), [(np.float32, 1e-5), (np.float64, 1e-11)])
@pytest.mark.parametrize("offset", [0.0, 1e3, 1e5])
def test_mean_far_above_spread(dtype, rtol, offset):
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(700, 23)) + offset).astype(dtype)
    check(stats.finish(run(x, (100, 101, 400))), x, rtol)


def test_a_raw_gram_would_fail():
    """The reason for the shift: without it single precision is off in the first digits."""
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(700, 5)) + 1e3).astype(np.float32)
    raw = np.square(x).mean(axis=0) - np.square(x.mean(axis=0))
    assert np.abs(raw - x.var(axis=0, dtype=np.float64)).max() > 1e-2


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 40), max_size=4), st.integers(0, 40))
def test_blocks_and_merges_do_not_matter(seed, cuts, half):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(40, 4)) * [1.0, 10.0, 0.1, 1.0] + [0.0, 1e4, -3.0, 7.0]
    check(stats.finish(run(x, sorted(cuts))), x, 1e-9)
    merged = stats.merge(run(x[:half]), run(x[half:], sorted(c for c in cuts if c <= 40 - half)))
    check(stats.finish(merged), x, 1e-9)
    assert merged.n == 40
    assert np.array_equal(merged.low, x.min(axis=0))
    assert np.array_equal(merged.high, x.max(axis=0))


def test_merge_leaves_its_parts_alone():
    x = np.random.default_rng(1).normal(size=(20, 3))
    a, b, empty = run(x[:8]), run(x[8:]), stats.init(3, gram=True)
    before = [np.copy(field) for field in (a.gram, b.gram, a.total, b.total)]
    for merged in (stats.merge(a, b), stats.merge(b, a)):
        check(stats.finish(merged), x, 1e-10)
    alone = stats.merge(empty, a)
    alone.gram[:] = 7.0
    for old, new in zip(before, (a.gram, b.gram, a.total, b.total), strict=True):
        assert np.array_equal(old, new)
    with pytest.raises(ValueError, match="cannot be merged"):
        stats.merge(a, stats.init(4, gram=True))
    with pytest.raises(ValueError, match="cannot be merged"):
        stats.merge(a, stats.init(3))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_constant_columns_have_exactly_no_variance(dtype):
    x = np.random.default_rng(2).normal(size=(33, 3)).astype(dtype)
    x[:, 1] = 0.1
    done = stats.finish(run(x, (7,)))
    assert done.variance[1] == 0.0
    assert done.mean[1] == dtype(0.1)
    assert not done.gram[1].any()
    assert not done.gram[:, 1].any()
    assert (done.variance[[0, 2]] > 0).all()


def test_few_rows():
    one = stats.finish(run(np.ones((1, 2), dtype=np.float32)))
    assert np.isnan(one.variance).all()
    assert np.array_equal(one.mean, [1.0, 1.0])
    with pytest.raises(ValueError, match="no rows"):
        stats.finish(stats.init(2))
    assert stats.update(stats.init(2), np.zeros((0, 2), dtype=np.float32)).n == 0
    with pytest.raises(ValueError, match="3 columns, the summary 2"):
        stats.update(stats.init(2), np.zeros((1, 3), dtype=np.float32))


def test_integers():
    counts = np.random.default_rng(3).poisson(3.0, size=(50, 4)).astype(np.float32)
    assert run(counts, (10,)).integers
    counts[40, 2] += 0.5
    assert not run(counts, (10,)).integers


def test_gram_of_many_columns_is_mirrored_over_tiles():
    x = np.random.default_rng(4).normal(size=(30, 1100)).astype(np.float32)
    summary = run(x)
    kept = summary.gram.copy()
    done = stats.finish(summary)
    assert np.array_equal(summary.gram, kept)
    check(done, x, 1e-5)
    assert np.shares_memory(stats.finish(summary, overwrite=True).gram, summary.gram)


def test_the_block_is_not_changed():
    x = np.random.default_rng(5).normal(size=(10, 3)).astype(np.float32)
    x.flags.writeable = False
    run(x)


def test_huge_values_stay_silent():
    x = np.full((4, 2), 1e300)
    x[0] = -1e300
    assert run(x).high.max() == 1e300
