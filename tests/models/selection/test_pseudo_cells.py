"""Pseudo-cells look like the target's cells and carry the state of their line."""

from __future__ import annotations

import numpy as np
import pytest
from response_sim import drawn_of, ridge_scores, simulate
from scipy import stats

from omicstl._core.random import streams
from omicstl.models.selection import pseudo_cells


@pytest.fixture(scope="module")
def sim():
    return simulate(3, n=120, m=500, p=300)


@pytest.fixture(scope="module")
def drawn(sim):
    return drawn_of(sim.x[:20], sim.cells, streams(0), 25, background=sim.x, totals=np.asarray(sim.totals))


def test_known_negative_binomial_is_found_again():
    rng = np.random.default_rng(0)
    share = rng.dirichlet(np.ones(200))
    depth = rng.integers(800, 4000, 600).astype(float)
    counts = rng.negative_binomial(2.5, 2.5 / (2.5 + depth[:, None] * share))  # dispersion .4
    totals = counts.sum(1)
    seen = pseudo_cells.platform(np.log1p(counts / totals[:, None] * 1e4), totals=totals)
    assert seen.dispersion == pytest.approx(0.4, abs=0.06)
    np.testing.assert_allclose(seen.depth, totals)
    big = share > 0.002
    np.testing.assert_allclose(np.exp(seen.level)[big], share[big], rtol=0.15)


def test_groups_of_cells_are_not_taken_for_noise():
    rng = np.random.default_rng(1)
    level = rng.normal(0, 1, 200) + rng.normal(0, 1.0, (5, 200))[rng.integers(0, 5, 600)]
    share = np.exp(level) / np.exp(level).sum(1, keepdims=True)
    counts = rng.negative_binomial(5, 5 / (5 + 3000 * share))  # dispersion .2
    totals = counts.sum(1)
    seen = pseudo_cells.platform(np.log1p(counts / totals[:, None] * 1e4), totals=totals)
    assert seen.dispersion == pytest.approx(0.2, abs=0.06)


def test_counts_come_back_without_totals(sim):
    unit = pseudo_cells.count_unit(sim.cells.astype(float))
    some = (sim.counts == 1).any(1)
    np.testing.assert_allclose(unit[some], sim.totals[some] / 1e4, rtol=1e-4)
    np.testing.assert_allclose(
        pseudo_cells.platform(sim.cells).dispersion,
        pseudo_cells.platform(sim.cells, totals=sim.totals).dispersion,
        rtol=0.05,
    )


def test_depth_drop_out_and_levels_are_the_targets(sim):
    drawn = drawn_of(sim.x, sim.cells, streams(1), 8, totals=sim.totals)
    assert (drawn.x == 0).mean() == pytest.approx((sim.cells == 0).mean(), abs=0.04)
    assert np.corrcoef(drawn.x.mean(0), sim.cells.mean(0))[0, 1] > 0.95
    # not the level of the lines, which sit on another platform
    assert np.corrcoef(sim.x.mean(0), sim.cells.mean(0))[0, 1] < 0.95
    mine, theirs = np.expm1(drawn.x).sum(1), np.expm1(sim.cells).sum(1)
    assert np.median(mine) == pytest.approx(np.median(theirs), rel=0.1)
    seen = [(table > 0).sum(1) for table in (drawn.x, sim.cells)]
    assert stats.ks_2samp(*seen).statistic < 0.25


def test_a_pseudo_cell_has_the_state_of_its_line(sim, drawn):
    means = np.stack([drawn.x[drawn.line == i].mean(0) for i in range(20)])
    z, lines = (a - a.mean(0) for a in (means, sim.x[:20]))
    r = np.corrcoef(z, lines)[:20, 20:]
    assert (r.argmax(1) == np.arange(20)).mean() >= 0.95
    score = ridge_scores(sim.x[20:], sim.y[20:], drawn.x)[:, 0]
    assert stats.spearmanr(score, sim.y[:20, 0][drawn.line]).statistic > 0.3


def test_z_scores_get_noise_like_the_targets(sim):
    scaled = (sim.cells - sim.cells.mean(0)) / (sim.cells.std(0) + 1e-6)
    z = (sim.x - sim.x.mean(0)) / sim.x.std(0)
    drawn = drawn_of(z, scaled, streams(0), 10, scaled=True)
    # Lines have unit variance in every gene, so the sum of both parts has the target's.
    np.testing.assert_allclose(drawn.x.var(0).mean(), scaled.var(0).mean(), rtol=0.1)
    score = ridge_scores(sim.x, sim.y, drawn.x)[:, 0]
    assert stats.spearmanr(score, sim.y[:, 0][drawn.line]).statistic > 0.2
    blank = np.random.default_rng(0).normal(size=(300, 300))  # cells of noise alone
    noisy = drawn_of(z, blank, streams(0), 10, scaled=True)
    of_noise = ridge_scores(sim.x, sim.y, noisy.x)[:, 0]
    assert (
        stats.spearmanr(of_noise, sim.y[:, 0][noisy.line]).statistic
        < stats.spearmanr(score, sim.y[:, 0][drawn.line])[0]
    )


def test_each_line_has_its_number_of_cells(sim):
    drawn = drawn_of(sim.x[:3], sim.cells, streams(0), np.array([1, 5, 2]), background=sim.x)
    np.testing.assert_array_equal(np.bincount(drawn.line), [1, 5, 2])


def test_same_seed_same_cells_and_bad_input(sim, drawn):
    again = drawn_of(sim.x[:20], sim.cells, streams(0), 25, background=sim.x, totals=sim.totals)
    np.testing.assert_array_equal(again.x, drawn.x)
    with pytest.raises(ValueError, match="every cell is empty"):
        pseudo_cells.platform(np.zeros((5, 4)))
    constant = sim.x[:20].copy()
    constant[:, 0] = 1.0
    assert np.isfinite(drawn_of(constant, sim.cells[:2], streams(0), 3).x).all()


def test_rows_of_a_table():
    table = pseudo_cells.Table(np.arange(12.0).reshape(6, 2))
    assert (table.n_rows, table.n_cols) == (6, 2)
    np.testing.assert_array_equal(np.concatenate(list(table.blocks(4))), table.x)
    np.testing.assert_array_equal(table.take(np.array([3, 1])), table.x[[3, 1]])


def test_counts_that_are_taken_for_logs_are_refused():
    with pytest.raises(ValueError, match=r"values up to 1000 are no logarithms of counts. Say scale='counts'"):
        pseudo_cells.platform(np.array([[0.0, 1000.0], [3.0, 2.0]]))


def test_what_is_known_of_all_lines_is_what_the_lines_say(sim):
    whole = pseudo_cells.background_of(sim.x)
    mean, sd = sim.x.mean(0, dtype=float), sim.x.std(0, dtype=float)
    np.testing.assert_allclose(whole.mean, mean)
    np.testing.assert_allclose(whole.sd, sd)
    above = np.log(np.mean(np.exp(whole.natural * np.clip((sim.x - mean) / sd, -6, 6)), axis=0))
    np.testing.assert_allclose(whole.excess, above, atol=1e-12)


def test_dispersion_is_the_moment_estimate_around_neighbours(sim):
    seen = pseudo_cells.platform(sim.cells, totals=sim.totals)
    x = sim.cells.astype(float)
    counts = np.expm1(x) * sim.totals[:, None] / 1e4
    depth = counts.sum(1)
    u, s, _ = np.linalg.svd(x - x.mean(0), full_matrices=False)
    near = pseudo_cells.nearest(u[:, :20] * s[:20], 20)
    expected = depth[:, None] * counts[near].sum(1) / depth[near].sum(1)[:, None]
    noise = expected * (1 + depth / depth[near].sum(1))[:, None]
    ratio = ((counts - expected) ** 2 - noise).sum(0) / (expected**2).sum(0)
    wanted = np.median(ratio[expected.mean(0) > 0.05]) / (1 + 1 / 20)
    assert seen.dispersion == pytest.approx(np.clip(wanted, 0.02, 2), rel=1e-6)
