"""Named streams: independent of the order of calls, different for different names and ids."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from omicstl._core.random import streams

PINNED = [1925499270, 3296777237]

names = st.text(max_size=8)
ids = st.lists(st.integers(0, 2**40), max_size=3).map(tuple)


@given(st.integers(0, 2**63 - 1), names, ids)
def test_same_seed_same_stream(seed, name, numbers):
    a, b = streams(seed), streams(seed)
    b.generator("something else").random()
    assert np.array_equal(a.key(name, *numbers), b.key(name, *numbers))
    assert a.generator(name, *numbers).random() == b.generator(name, *numbers).random()
    assert a.entropy == seed


@given(st.integers(0, 5), st.tuples(names, ids), st.tuples(names, ids))
def test_other_name_or_ids_other_stream(seed, one, two):
    if one != two:
        s = streams(seed)
        assert not np.array_equal(s.key(one[0], *one[1]), s.key(two[0], *two[1]))


def test_streams_are_pinned():
    """A change of these numbers would change every result of the package."""
    assert streams(0).key("noise", 1).tolist() == PINNED
    assert streams(0).key("noise", 1).dtype == np.uint32


def test_no_collisions_of_simple_ids():
    s = streams(0)
    keys = {tuple(s.key("member", *i)) for i in [(), (0,), (1,), (0, 0), (1, 0), (0, 1), (2**32,), (2**32 + 1,)]}
    keys |= {tuple(streams(2**32 * k).key("member")) for k in (1, 2, 3)}
    assert len(keys) == 11


def test_kinds_of_seeds():
    assert streams(np.int64(3)).entropy == 3
    assert streams(np.random.default_rng(1)).entropy == streams(np.random.default_rng(1)).entropy
    generator = np.random.default_rng(1)
    assert streams(generator).entropy != streams(generator).entropy
    assert streams(np.random.SeedSequence(5)).entropy == streams(np.random.SeedSequence(5)).entropy
    assert streams(None).entropy != streams(None).entropy
    again = streams(streams(None).entropy)
    assert 0 <= again.entropy < 2**63


@pytest.mark.parametrize(
    ("seed", "error"), [(True, TypeError), (0.5, TypeError), ("a", TypeError), (-1, ValueError), (2**63, ValueError)]
)
def test_no_seeds(seed, error):
    with pytest.raises(error, match="`rng` must be"):
        streams(seed)


def test_negative_ids():
    with pytest.raises(ValueError, match="ids of a stream"):
        streams(0).key("x", -1)


def test_jax_takes_the_key():
    import jax

    key = jax.random.wrap_key_data(streams(0).key("noise"))
    assert jax.random.uniform(key, (2,)).shape == (2,)
