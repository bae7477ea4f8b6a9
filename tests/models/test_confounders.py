"""Relations of a score with what it should not follow."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from omicstl.models import confounders


@pytest.fixture(scope="module")
def cells():
    rng = np.random.default_rng(0)
    genes = np.array([*confounders.S_GENES[:20], *confounders.G2M_GENES[:20], *(f"G{i}" for i in range(200))])
    cycling = rng.random(500) < 0.3
    rate = np.full((500, 240), 0.5)
    rate[np.ix_(cycling, np.arange(40))] = 1.5
    depth = rng.lognormal(0, 0.4, 500)
    counts = rng.poisson(rate * depth[:, None])
    return np.log1p(counts / counts.sum(1, keepdims=True) * 1e3), genes, cycling, counts.sum(1).astype(float)


def test_cell_cycle_is_found_and_is_not_depth(cells):
    x, genes, cycling, totals = cells
    found = confounders.cell_cycle(x, genes)
    assert found[cycling].mean() > found[~cycling].mean() + 2 * found[~cycling].std()
    assert abs(stats.spearmanr(found[~cycling], totals[~cycling]).statistic) < 0.25
    assert confounders.cell_cycle(x, np.char.lower(genes)) is not None
    assert confounders.cell_cycle(x[:, 40:], genes[40:]) is None


def test_relations_against_scipy(cells):
    x, genes, cycling, totals = cells
    batch = np.where(np.arange(500) < 250, "a", "b")
    known = confounders.gather(x, genes, totals=totals, n_genes=(x > 0).sum(1), batch=batch)
    assert list(known) == ["depth", "genes seen", "cell cycle", "batch", "first component"]
    rng = np.random.default_rng(1)
    score = np.log(totals) + rng.normal(0, 0.2, 500)
    found = confounders.confounding(score, known)
    assert found.correlation[0] == pytest.approx(stats.spearmanr(score, totals).statistic)
    assert found.correlation[0] > 0.8
    assert found.correlation[3] < 0.15
    moved = confounders.confounding(score + 2.0 * (batch == "b"), {"batch": batch})
    h = stats.kruskal(*(rank_of(score + 2.0 * (batch == "b"))[batch == b] for b in "ab")).statistic
    eta = (h / 499 - 1 / 499) / (1 - 1 / 499)
    assert moved.correlation[0] == pytest.approx(np.sqrt(eta), rel=1e-6)
    assert moved.correlation[0] > 0.7


def rank_of(x):
    return stats.rankdata(x)


def test_many_batches_are_no_relation_by_chance():
    rng = np.random.default_rng(2)
    found = [
        confounders.confounding(rng.normal(size=200), {"batch": np.repeat(np.arange(40), 5).astype(str)}).correlation[0]
        for _ in range(40)
    ]
    assert np.mean(found) < 0.15


def test_first_component_against_svd_and_its_sign(cells):
    x = cells[0]
    z = (x - x.mean(0)) / x.std(0)
    u = np.linalg.svd(z, full_matrices=False)[0][:, 0]
    found = confounders.first_component(x)
    assert abs(np.corrcoef(found, u)[0, 1]) > 0.998
    both = [confounders.confounding(s * u, {"first component": found}).correlation[0] for s in (1, -1)]
    np.testing.assert_allclose(both, both[0])
    assert both[0] > 0.99


def test_missing_and_constant_values():
    score = np.array([1.0, 2, 3, np.nan, 5, 6])
    found = confounders.confounding(score, {"depth": np.array([1.0, 2, np.nan, 4, 5, 6]), "flat": np.ones(6)})
    assert list(found.n) == [4, 5]
    assert found.correlation[0] == pytest.approx(1)
    assert np.isnan(found.correlation[1])
    assert confounders.confounding(score, {}).name.size == 0
