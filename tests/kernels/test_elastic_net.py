"""Against scikit-learn's coordinate descent, one response at a time, and against the optimality conditions."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from sklearn.linear_model import ElasticNet

from omicstl.kernels import elastic_net


def problem(seed, p=300, m=40, k=6, density=0.15):
    rng = np.random.default_rng(seed)
    c = (rng.random((p, m)) < density).astype(float)
    c[:, 3] = c[:, 2]  # two equal sets
    c[:, 5] = 0  # an empty one
    truth = np.where(rng.random((m, k)) < 0.15, rng.gamma(2.0, size=(m, k)), 0)
    z = c @ truth + 0.3 * rng.standard_normal((p, k))
    centred = c - c.mean(0)
    return c, z, centred.T @ centred / p, centred.T @ (z - z.mean(0)) / p


def solve(gram, corr, penalty, ridge, spread, size, coef=None, allowed=None, tol=1e-14):
    m, k = corr.shape
    with jax.enable_x64(True):
        coef = np.zeros((m, k)) if coef is None else coef
        allowed = np.ones((m, k), bool) if allowed is None else allowed
        working = elastic_net.start(gram, k, size)
        found = jax.jit(elastic_net.solve, static_argnums=9)(
            gram, gram, corr, np.float64(penalty), ridge, allowed, spread, coef, working, tol
        )
        return jax.tree.map(np.asarray, found)


@pytest.mark.parametrize("penalty", [0.3, 0.05, 0.005])
def test_equals_scikit_learn(penalty):
    c, z, gram, corr = problem(0)
    k = z.shape[1]
    ridge = np.linspace(0.01, 0.1, k)
    found = solve(gram, corr, penalty, ridge, z.std(0), 40)
    assert not found.overflow
    for i in range(k):
        total = penalty + ridge[i]
        peer = ElasticNet(alpha=total, l1_ratio=penalty / total, positive=True, tol=1e-12, max_iter=100_000).fit(
            c, z[:, i]
        )
        np.testing.assert_allclose(found.coef[:, i], peer.coef_, atol=1e-5)
    if penalty == 0.3:
        assert (found.coef > 0).sum() < 20


def test_a_small_working_set_reaches_the_same_answer():
    _, z, gram, corr = problem(1)
    ridge = np.full(z.shape[1], 0.02)
    whole = solve(gram, corr, 0.1, ridge, z.std(0), 40)
    support = (whole.coef > 0).sum(0).max()
    small = solve(gram, corr, 0.1, ridge, z.std(0), int(support) + 2)
    assert not small.overflow
    np.testing.assert_allclose(small.coef, whole.coef, atol=1e-6)


def test_a_working_set_below_the_support_says_so():
    _, z, gram, corr = problem(2)
    ridge = np.full(z.shape[1], 0.02)
    support = (solve(gram, corr, 0.01, ridge, z.std(0), 40).coef > 0).sum(0).max()
    assert support > 4
    assert solve(gram, corr, 0.01, ridge, z.std(0), 4).overflow


def test_what_is_not_allowed_stays_zero():
    _, z, gram, corr = problem(3)
    allowed = np.random.default_rng(0).random(corr.shape) < 0.5
    found = solve(gram, corr, 0.05, np.full(z.shape[1], 0.02), z.std(0), 40, allowed=allowed)
    assert (found.coef[~allowed] == 0).all()
    assert (found.coef[allowed] > 0).any()
    assert (found.coef[5] == 0).all()


def test_a_warm_start_costs_less_and_changes_nothing():
    _, z, gram, corr = problem(4)
    ridge = np.full(z.shape[1], 0.02)
    cold = solve(gram, corr, 0.05, ridge, z.std(0), 40)
    warm = solve(gram, corr, 0.05, ridge, z.std(0), 40, coef=cold.coef)
    assert warm.n_sweeps < cold.n_sweeps
    np.testing.assert_allclose(warm.coef, cold.coef, atol=1e-6)


def test_a_working_set_of_all_coordinates_is_never_too_small():
    """Sets alike are beyond the sweeps: the solution is as good as it gets, and no larger set would help."""
    rng = np.random.default_rng(0)
    members = rng.random((400, 1)) < 0.4
    c = np.where(rng.random((400, 16)) < 0.995, members, ~members).astype(float)
    z = c @ rng.uniform(0.5, 1, (16, 3))
    centred = c - c.mean(0)
    gram, corr = centred.T @ centred / 400, centred.T @ (z - z.mean(0)) / 400
    found = solve(gram, corr, 1e-6, np.full(3, 1e-7), z.std(0), 16)
    assert (found.coef > 0).all()
    assert not found.overflow
