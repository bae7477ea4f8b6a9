"""Orders of rows: each row once an epoch, whatever the number of rows; and as random as a shuffled list."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from omicstl.nn import samplers

KEY = jax.random.key(0)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 16, 17, 63, 64, 65, 1000])
def test_it_is_a_permutation(n):
    order = np.asarray(samplers.permuted(KEY, jnp.arange(n), n))
    assert sorted(order) == list(range(n))


@pytest.mark.parametrize(("n", "size"), [(10, 3), (12, 4), (7, 50), (50, 50), (101, 50)])
def test_every_row_once_an_epoch(n, size):
    per_epoch = samplers.steps_per_epoch(n, size)
    assert per_epoch == len(range(0, n, size))
    orders = []
    for epoch in range(3):
        batches = [samplers.shuffled(KEY, jnp.int32(epoch * per_epoch + i), n, size) for i in range(per_epoch)]
        rows = np.concatenate([np.asarray(b.rows)[np.asarray(b.weights) > 0] for b in batches])
        assert sorted(rows) == list(range(n))
        assert {float(w) for b in batches for w in b.weights} <= {0.0, 1.0}
        assert all(0 <= int(r) < n for b in batches for r in b.rows)  # also where nothing counts
        orders.append(tuple(rows))
    assert len(set(orders)) == 3


def test_another_key_is_another_order():
    first, second = (samplers.permuted(jax.random.key(i), jnp.arange(100), 100) for i in (1, 2))
    assert (np.asarray(first) != np.asarray(second)).mean() > 0.9


@pytest.mark.parametrize("n", [6, 20])
def test_places_and_images_are_independent(n):
    """Every row is as likely at every place, and neighbours are not tied: chi-squared over 3,000 keys."""
    keys = jax.random.split(jax.random.key(5), 3000)
    orders = np.asarray(jax.vmap(lambda key: samplers.permuted(key, jnp.arange(n), n))(keys))
    table = np.stack([np.bincount(orders[:, place], minlength=n) for place in range(n)])
    assert stats.chisquare(table.ravel()).pvalue > 1e-3
    ahead = (orders[:, 1] - orders[:, 0]) % n  # 1..n-1, each as likely
    assert stats.chisquare(np.bincount(ahead, minlength=n)[1:]).pvalue > 1e-3
    assert (ahead > 0).all()
