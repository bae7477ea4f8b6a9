"""The updates of PLIER against a plain numpy loop written from the equations, and its parts against scipy."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from scipy.stats import rankdata
from sklearn.linear_model import ElasticNet

from omicstl.kernels import loop, plier


@pytest.mark.parametrize("selection", ["complete", "fast"])
@pytest.mark.parametrize("seed", range(4))
def test_candidates_are_the_sets_of_small_mean_rank(seed, selection):
    rng = np.random.default_rng(seed)
    score = rng.integers(0, 12 if seed % 2 else 1000, size=(50, 7)).astype(np.float32)  # few values: many ties
    small = rankdata(-score, axis=0) <= 10
    expected = small if selection == "fast" else np.broadcast_to(small.any(1, keepdims=True), small.shape)
    np.testing.assert_array_equal(
        np.asarray(jax.jit(plier.candidates, static_argnums=(1, 2))(score, 10, selection)), expected
    )


def test_the_penalty_equals_that_of_the_whole_path():
    """The share of factors with a set, from one comparison, against 65 fits of scikit-learn a factor."""
    rng = np.random.default_rng(0)
    c = (rng.random((200, 20)) < 0.2).astype(float)
    z = np.maximum(c @ np.where(rng.random((20, 8)) < 0.1, 0.1, 0) + 0.02 * rng.standard_normal((200, 8)), 0)
    grid = np.exp(-np.arange(4, 12.01, 0.125))
    corr = (c - c.mean(0)).T @ (z - z.mean(0)) / 200
    share = []
    for penalty in grid:
        has = []
        for i in range(8):
            ridge = 0.1 * penalty / z[:, i].std()
            total = 0.9 * penalty + ridge
            fit = ElasticNet(alpha=total, l1_ratio=0.9 * penalty / total, positive=True, tol=1e-10, max_iter=50_000)
            has.append((fit.fit(c, z[:, i]).coef_ > 0).any())
        share.append(np.mean(has))
    assert 0 < min(share) < max(share) or len(set(share)) > 1
    expected = grid[np.argmin(np.abs(0.7 - np.array(share)))]
    with jax.enable_x64(True):
        found = jax.jit(plier.choose_penalty, static_argnums=4)(
            corr.max(0), grid, np.ones(8, bool), np.float64(0.7), 0.9
        )
        assert float(found) == pytest.approx(expected, rel=1e-12)


def reference_loop(y, c, b, prior_weight, score_penalty, n_iter, max_rank=10, fraction=0.7):
    """Sections 1.2 and 1.3 of the method, as loops over factors; the elastic net by scikit-learn."""
    p, m = c.shape
    k = len(b)
    overlap = c.T @ c
    ranker = np.linalg.inv(overlap @ overlap + 25 * np.eye(m)) @ overlap @ c.T
    grid = np.exp(-np.arange(4, 12.01, 0.125))
    z, u, history, penalties = None, np.zeros((m, k)), [], []
    penalty = None

    def weights(z, candidates, penalty):
        out = np.zeros((m, k))
        for i in range(k):
            ridge = 0.1 * penalty / z[:, i].std()
            total = 0.9 * penalty + ridge
            net = ElasticNet(alpha=total, l1_ratio=0.9 * penalty / total, positive=True, tol=1e-12, max_iter=100_000)
            out[candidates, i] = net.fit(c[:, candidates], z[:, i]).coef_
        return out

    for i in range(1, n_iter + 1):
        if i >= 20:
            candidates = np.flatnonzero((rankdata(-(ranker @ z), axis=0) <= max_rank).any(1))
            if i % 20 == 0:
                shares = [np.mean((weights(z, candidates, g) > 0).any(0)) for g in grid]
                penalty = grid[np.argmin(np.abs(fraction - np.array(shares)))]
                penalties.append(penalty)
            u = weights(z, candidates, penalty)
        z = np.maximum((y @ b.T + prior_weight * c @ u) @ np.linalg.inv(b @ b.T + prior_weight * np.eye(k)), 0)
        old, b = b, np.linalg.inv(z.T @ z + score_penalty * np.eye(k)) @ z.T @ y
        history.append(((b - old) ** 2).sum() / (b**2).sum())
    return z, u, b, np.array(history), np.array(penalties)


def small_problem(gram_form):
    rng = np.random.default_rng(3)
    p, n, m, k = 160, 40, 15, 4
    c = (rng.random((p, m)) < 0.15).astype(float)
    y = c[:, :k] @ rng.standard_normal((k, n)) * 2 + rng.standard_normal((p, n))
    y = (y - y.mean(1, keepdims=True)) / y.std(1, ddof=1, keepdims=True)
    left, d, right = np.linalg.svd(y, full_matrices=False)
    start = left[:, :k] if gram_form else d[:k, None] * right[:k]
    overlap = c.T @ c
    set_gram = overlap / p - np.outer(c.mean(0), c.mean(0))
    problem = plier.Problem(
        data=y @ y.T if gram_form else y,
        members=(c,),
        sets=(c.T,),
        set_gram=set_gram,
        screen=set_gram,
        set_mean=c.mean(0),
        ranker=np.linalg.inv(overlap @ overlap + 25 * np.eye(m)) @ overlap,
        real=np.ones(k, bool),
        known=np.ones(m, bool),
        n_genes=np.float64(p),
        prior_weight=np.float64(d[k - 1] / 2),
        score_penalty=np.float64(d[k - 1]),
        annotated_fraction=np.float64(0.7),
        penalties=np.exp(-np.arange(4, 12.01, 0.125)),
        tol=np.float64(0),
    )
    return y, c, start, d[:k, None] * right[:k], problem


@pytest.mark.parametrize("gram_form", [False, True])
def test_a_run_equals_the_plain_loop(gram_form):
    """Y itself and K = YY' give the answer of the equations, with sets from iteration 20 and a second search at 40."""
    y, c, start, scores, problem = small_problem(gram_form)
    z, u, b, history, penalties = reference_loop(y, c, scores, problem.prior_weight, problem.score_penalty, 45)
    config = plier.Program("complete", 10, False, gram_form, lasso_tol=1e-16)
    with jax.enable_x64(True), jax.default_matmul_precision("highest"):
        state = loop.run(plier.step, config, problem, plier.start(config, problem, start, 4, 15, 45), 45)
        state = jax.tree.map(np.asarray, state)
    np.testing.assert_allclose(state.searched[:2], penalties, rtol=1e-12)
    np.testing.assert_array_equal(state.weights > 0, u > 0)
    np.testing.assert_allclose(state.weights, u, atol=1e-6)
    np.testing.assert_allclose(state.loadings, z, atol=1e-6)
    np.testing.assert_allclose(state.scores.T @ y if gram_form else state.scores, b, atol=1e-5)
    np.testing.assert_allclose(state.history, history, rtol=1e-3)


def test_stops_by_itself_and_reports_why():
    _, _, start, _, problem = small_problem(False)
    config = plier.Program("complete", 10, False, False)
    with jax.enable_x64(True):
        for tol, status in ((1e-3, loop.CONVERGED), (0.0, loop.RUNNING)):
            own = problem._replace(tol=np.float64(tol))
            state = loop.run(plier.step, config, own, plier.start(config, own, start, 4, 15, 30), 30)
            assert int(state.status) == status
        assert int(state.n_iter) == 30
