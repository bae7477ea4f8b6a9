"""Attributions against the plain definition, stability against refits."""

from __future__ import annotations

import numpy as np
import pytest
from response_sim import simulate
from scipy import stats

from omicstl.models.response import attributions as ra


def z_of(x):
    x = np.asarray(x, float)
    return (x - x.mean(0)) / (x.std(0) + 1e-6)


def test_shares_add_up_and_effects_are_slopes():
    rng = np.random.default_rng(0)
    cells = rng.normal(size=(200, 30)) @ rng.normal(size=(30, 30)) + 5
    weights = rng.normal(size=(30, 2))
    found = ra.attributions(weights, cells)
    np.testing.assert_allclose(found.share.sum(0), 1, rtol=1e-5)
    score = cells @ weights
    for gene, drug in ((3, 0), (17, 1)):
        moved = cells.copy()
        moved[:, gene] += cells[:, gene].std()
        np.testing.assert_allclose((moved @ weights - score)[:, drug], found.effect[gene, drug], rtol=1e-5)
        by_hand = weights[gene, drug] * np.cov(cells[:, gene], score[:, drug], ddof=0)[0, 1] / score[:, drug].var()
        assert found.share[gene, drug] == pytest.approx(by_hand, rel=1e-5)
    given = ra.attributions(weights, cells, spread=np.zeros(30))
    assert not given.effect.any()


def test_a_score_of_nothing_has_no_shares():
    found = ra.attributions(np.zeros((5, 1)), np.random.default_rng(0).normal(size=(20, 5)))
    assert not found.share.any()
    assert np.isnan(ra.stability(found.effect, np.eye(5), np.zeros((3, 5, 1)), np.ones(5)).rank_correlation).all()


def test_stability_against_refits_by_loop():
    rng = np.random.default_rng(1)
    maps, coefficients = rng.normal(size=(80, 6)), rng.normal(size=(6, 2))
    moved = 0.3 * rng.normal(size=(7, 6, 2))
    spread = rng.uniform(0.5, 1.5, 80)
    effects = (maps @ coefficients) * spread[:, None]
    found = ra.stability(effects, maps, moved, spread)
    for drug in range(2):
        refits = [(maps @ (coefficients + moved[b])[:, drug]) * spread for b in range(7)]
        rho = np.mean([stats.spearmanr(effects[:, drug], r).statistic for r in refits])
        assert found.rank_correlation[drug] == pytest.approx(rho)
        same = np.mean([np.sign(r) == np.sign(effects[:, drug]) for r in refits], axis=0)
        np.testing.assert_allclose(found.sign_share[:, drug], same, rtol=1e-6)
        top = set(np.argsort(-np.abs(effects[:, drug]))[:50])
        overlap = np.mean([len(top & set(np.argsort(-np.abs(r))[:50])) / 50 for r in refits])
        assert found.top_overlap[drug] == pytest.approx(overlap)
    none = ra.stability(effects, maps, np.zeros((0, 6, 2)), spread)
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
        found.append(ra.stability(weights, np.eye(200), moved, np.ones(200)))
    assert found[1].rank_correlation[0] > found[0].rank_correlation[0]
    assert found[1].sign_share.mean() > found[0].sign_share.mean()
