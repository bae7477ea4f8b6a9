"""Stability of the weights of genes against refits."""

from __future__ import annotations

import numpy as np
import pytest
from response_sim import simulate
from scipy import stats

from omicstl.models.response import attributions as ra


def z_of(x):
    x = np.asarray(x, float)
    return (x - x.mean(0)) / (x.std(0) + 1e-6)


def test_a_score_of_nothing_is_not_stable():
    assert np.isnan(ra.stability(np.zeros((5, 1)), np.eye(5), np.zeros((3, 5, 1))).rank_correlation).all()


def test_stability_against_refits_by_loop():
    rng = np.random.default_rng(1)
    maps, coefficients = rng.normal(size=(80, 6)), rng.normal(size=(6, 2))
    moved = 0.3 * rng.normal(size=(7, 6, 2))
    effects = maps @ coefficients
    found = ra.stability(effects, maps, moved)
    for drug in range(2):
        refits = [maps @ (coefficients + moved[b])[:, drug] for b in range(7)]
        rho = np.mean([stats.spearmanr(effects[:, drug], r).statistic for r in refits])
        assert found.rank_correlation[drug] == pytest.approx(rho)
        same = np.mean([np.sign(r) == np.sign(effects[:, drug]) for r in refits], axis=0)
        np.testing.assert_allclose(found.sign_share[:, drug], same, rtol=1e-6)
        top = set(np.argsort(-np.abs(effects[:, drug]))[:50])
        overlap = np.mean([len(top & set(np.argsort(-np.abs(r))[:50])) / 50 for r in refits])
        assert found.top_overlap[drug] == pytest.approx(overlap)
    none = ra.stability(effects, maps, np.zeros((0, 6, 2)))
    assert np.isnan(none.sign_share).all()


def test_more_lines_are_more_stable_and_find_the_programme():
    found = []
    for n in (40, 300):
        sim = simulate(2, n=n, m=100, p=200)
        x, y = z_of(sim.x), sim.y - sim.y.mean(0)

        def fit(rows, x=x, y=y):
            a = x[rows]
            return a.T @ np.linalg.solve(a @ a.T + 100 * np.eye(len(a)), y[rows])

        weights = fit(np.arange(n))
        rng = np.random.default_rng(0)
        moved = np.stack([fit(rng.integers(0, n, n)) - weights for _ in range(20)])
        found.append(ra.stability(weights, np.eye(200), moved))
    assert found[1].rank_correlation[0] > found[0].rank_correlation[0]
    assert found[1].sign_share.mean() > found[0].sign_share.mean()
