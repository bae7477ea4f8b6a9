"""Choice between candidates: what helps is taken, what does not falls back, and no label of the target is needed."""

from __future__ import annotations

import numpy as np
import pytest
from response_sim import one_by_one, simulate

from omicstl._core.random import streams
from omicstl.models.selection import criteria, pseudo_cells
from omicstl.models.transfer.screen import Cells, Lines


def z_of(x):
    x = np.asarray(x, float)
    return (x - x.mean(0)) / (x.std(0) + 1e-6)


def ridge(lines, cells, candidate, held):
    """Candidates: "plain", "noise" (a score that says nothing), "turned", "smooth" (means of pseudo-lines' neighbours)."""
    a, t = z_of(lines.x), z_of(cells.rows.take(np.arange(cells.rows.n_rows)))
    b = (held - lines.x.mean(0)) / (lines.x.std(0) + 1e-6)
    y = np.where(np.isfinite(lines.y), lines.y, np.nanmean(lines.y, axis=0))
    weights = a.T @ np.linalg.solve(a @ a.T + 300 * np.eye(len(a)), y - y.mean(0))
    if candidate == "turned":
        weights = -weights
    if candidate == "noise":
        weights = np.random.default_rng(0).normal(size=weights.shape)
    score = t @ weights
    if candidate == "smooth":
        score = score[pseudo_cells.nearest(pseudo_cells._leading(t), 8)].mean(1)
    return criteria.Predicted(score, b @ weights)


@pytest.fixture(scope="module")
def problem():
    sim = simulate(5, n=160, m=300, p=300, n_drugs=2)
    y = sim.y.copy()
    y[::7, 1] = np.nan
    names = np.array([f"L{i}" for i in range(160)])
    lines = Lines(sim.x, y, np.array(["a/b", "c"]), np.array([False, False]), names, sim.lineage)
    return sim, lines, Cells(pseudo_cells.Table(sim.cells), totals=sim.totals)


@pytest.fixture(scope="module")
def chosen(problem):
    _, lines, cells = problem
    return criteria.select(lines, cells, ["plain", "noise", "smooth", "turned"], one_by_one(ridge), streams(0))


def test_smoothing_of_pseudo_cells_wins_and_the_rest_is_seen_through(chosen):
    table = chosen.table
    assert chosen.chosen == 2
    assert chosen.reason.startswith("smooth against plain")
    assert list(table["candidate"]) == ["plain", "noise", "smooth", "turned"]
    assert table["gain_low"][2] > 0
    assert table["gain_high"][1] < 0
    assert table["gain_mean"][0] == 0
    np.testing.assert_allclose(table["pseudo_cell_rho"][3], -table["pseudo_cell_rho"][0], atol=1e-6)
    assert table["grouped_rho"][0] > 0.3 > abs(table["grouped_rho"][1])
    for risk in ("weighted_risk", "deep_embedded_risk"):
        assert table[risk][0] < min(table[risk][1], table[risk][3])
    # A turned sign turns back on the way home: circular validation does not see it.
    assert table["circular_rho"][3] == pytest.approx(table["circular_rho"][0], abs=0.05)
    assert table["circular_rho"][0] > table["circular_rho"][1]
    assert 1 <= chosen.effective_lines <= 160
    assert all(len(column) == 4 for column in table.values())


def test_gain_is_the_difference_of_the_measures(chosen):
    table = chosen.table
    np.testing.assert_allclose(table["gain_mean"], table["pseudo_cell_rho"] - table["pseudo_cell_rho"][0], atol=1e-9)


def test_falls_back_where_nothing_is_gained(problem):
    _, lines, cells = problem
    found = criteria.select(
        lines, cells, ["plain", "plain", "noise"], one_by_one(ridge), streams(1), n_folds=3,
        criteria=("pseudo_cells",), names=["none", "same", "noise"],
    )  # fmt: skip
    assert found.chosen == 0
    assert "none" in found.reason
    assert "grouped_rho" not in found.table


def test_left_out_lines_may_not_lose(problem):
    """A candidate that is better on pseudo-cells and worse on lines is not taken."""
    _, lines, cells = problem

    def torn(given, target, candidate, held):
        scores = ridge(given, target, candidate, held)
        return scores if candidate == "plain" else scores._replace(held=-scores.held)

    found = criteria.select(
        lines, cells, ["plain", "smooth"], one_by_one(torn), streams(0), criteria=("pseudo_cells", "grouped")
    )
    assert found.table["gain_low"][1] > 0
    assert found.chosen == 0


def test_classes_and_same_seed_same_choice(problem):
    sim, lines, cells = problem
    binary = lines._replace(y=(lines.y[:, :1] > 0.5).astype(float), drugs=lines.drugs[:1], binary=np.array([True]))
    runs = [
        criteria.select(binary, cells, ["plain"], one_by_one(ridge), streams(3), criteria=("pseudo_cells",))
        for _ in range(2)
    ]
    np.testing.assert_array_equal(runs[0].table["pseudo_cell_rho"], runs[1].table["pseudo_cell_rho"])
    none = criteria.select(binary, cells, ["plain"], one_by_one(ridge), streams(3), criteria=("circular",))
    assert none.chosen == 0


def test_paired_interval_covers():
    rng = np.random.default_rng(1)
    lineage = np.repeat(np.arange(20), 8).astype(str)
    inside = 0
    for _ in range(300):
        parts = (0.01 + np.repeat(rng.normal(0, 0.02, 20), 8) + rng.normal(0, 0.02, 160)) / 160
        found = criteria.paired(parts, lineage)
        inside += found.low <= 0.01 <= found.high
    assert 0.91 <= inside / 300 <= 0.99
    assert found.n == 20
    assert criteria.paired(np.array([0.1, np.nan])).low == -np.inf
