"""Calibration against scikit-learn, calls against counting, and the realised error of calls on simulations."""

from __future__ import annotations

import numpy as np
import pytest
from response_sim import drawn_of, one_by_one, simulate
from sklearn.linear_model import LogisticRegression

from omicstl._core.random import streams
from omicstl.models.response import calls as rc
from omicstl.models.selection import criteria, pseudo_cells
from omicstl.models.transfer.screen import Cells, Lines


def z_of(x):
    x = np.asarray(x, float)
    return (x - x.mean(0)) / (x.std(0) + 1e-6)


def ridge(lines, cells, candidate, held):
    a, t = z_of(lines.x), z_of(cells.rows.take(np.arange(cells.rows.n_rows)))
    weights = a.T @ np.linalg.solve(a @ a.T + 300 * np.eye(len(a)), lines.y - lines.y.mean(0))
    return criteria.Predicted(t @ weights, z_of(held) @ weights)


def test_platt_against_scikit_learn():
    rng = np.random.default_rng(0)
    score = rng.normal(3, 2, 5000)
    positive = rng.random(5000) < 1 / (1 + np.exp(-(1.4 * score - 3)))
    oracle = LogisticRegression(C=1e12, tol=1e-10).fit(score[:, None], positive)
    slope, intercept = rc.platt(score, positive)
    assert slope == pytest.approx(oracle.coef_[0, 0], rel=0.01)
    assert intercept == pytest.approx(oracle.intercept_[0], rel=0.01)
    assert rc.platt(-score, positive)[0] == 0.0  # a turned score is not turned back
    assert np.isfinite(rc.platt(score, score > 3)).all()  # classes that are separated


def test_probabilities_are_calibrated():
    rng = np.random.default_rng(1)
    score = rng.normal(size=6000)
    p = 1 / (1 + np.exp(-(2 * score - 1)))
    positive = rng.random(6000) < p
    found = rc.calibrate(score[:3000], positive[:3000].astype(float), binary=True)
    given = found(score[3000:])
    assert np.abs(given - p[3000:]).mean() < 0.04
    assert (np.diff(found(np.linspace(-9, 9, 50))) >= 0).all()
    assert found.prior == positive[:3000].mean()


def test_numbers_are_put_on_the_scale_of_the_response():
    rng = np.random.default_rng(2)
    y = rng.normal(4, 2, 800)
    score = 5 * y + rng.normal(0, 10, 800)
    y[:20] = np.nan
    found = rc.calibrate(score, y, binary=False)
    slope, intercept = np.polyfit(score[20:], y[20:], 1)
    np.testing.assert_allclose([found.slope, found.intercept], [slope, intercept], rtol=1e-6)
    assert found.residual == pytest.approx(np.std(y[20:] - found(score[20:])))
    nothing = rc.calibrate(np.ones(50), rng.normal(size=50), binary=False)
    assert nothing.slope == 0
    assert rc.calibrate(np.ones(50), np.ones(50), binary=True)(np.zeros(1))[0] == pytest.approx(51 / 52)


def test_p_values_by_counting():
    rng = np.random.default_rng(4)
    score, y, line = rng.normal(size=60), rng.normal(size=60), np.arange(60)
    tables = rc.conformal(score, y, line, binary=False)
    above = y > np.quantile(y, 0.5)
    new = rng.normal(size=9)
    sensitive, resistant = rc.p_values(new, tables)
    for i, s in enumerate(new):
        assert sensitive[i] == pytest.approx(((score[above] <= s).sum() + 1) / (above.sum() + 1))
        assert resistant[i] == pytest.approx(((score[~above] >= s).sum() + 1) / ((~above).sum() + 1))


def test_lines_weigh_alike():
    score = np.array([0.0, 1.0, 2.0, 3.0, 4.0])
    y = np.array([1.0, 1.0, 1.0, 0.0, 0.0])
    line = np.array([0, 0, 1, 2, 3])
    tables = rc.conformal(score, y, line, binary=True)
    np.testing.assert_allclose(tables.sensitive[1], [0.5, 0.5, 1.0])
    assert (tables.n_sensitive, tables.n_resistant) == (2, 2)


def realised(codes, sensitive):
    """Share of sensitive cells called resistant, of resistant ones called sensitive, and of cells with a call."""
    of = [
        np.mean(codes[rows] == call) if rows.any() else np.nan
        for rows, call in ((sensitive, rc.RESISTANT), (~sensitive, rc.SENSITIVE))
    ]
    return [*of, np.mean(codes != rc.UNCERTAIN)]


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_error_holds_whatever_the_share_of_sensitive_cells(share):
    rng = np.random.default_rng(5)
    wrong = []
    for _ in range(60):
        positive = rng.random(300) < 0.4
        tables = rc.conformal(rng.normal(positive * 2.0, 1), positive.astype(float), np.arange(300), binary=True)
        truth = rng.random(400) < share
        wrong.append(realised(rc.calls(rng.normal(truth * 2.0, 1), tables, error=0.1), truth))
    mean = np.mean(wrong, axis=0)
    assert 0.07 < mean[0] < 0.115
    assert 0.07 < mean[1] < 0.115
    assert mean[2] > 0.6


def test_what_makes_a_cell_uncertain():
    rng = np.random.default_rng(7)
    positive = np.repeat([True, False], 100)
    tables = rc.conformal(rng.normal(positive * 3.0, 1), positive.astype(float), np.arange(200), binary=True)
    score = np.array([5.0, -2.0, 1.5])
    found = rc.calls(score, tables, error=0.02)
    assert [rc.CALLS[i] for i in found] == ["sensitive", "resistant", "uncertain"]
    few = rc.conformal(score, np.array([1.0, 0, 1]), np.arange(3), binary=True)
    assert (rc.calls(score, few, error=0.02) == rc.UNCERTAIN).all()


def test_realised_error_of_pseudo_cells_and_unseen_lines():
    """Calls made with pseudo-cells of some lineages hold for cells of lines of other lineages."""
    errors, called = [], []
    for seed in range(4):
        sim = simulate(20 + seed, n=300, m=300, p=250, umi=4000, tissues=12, noise=0.3)
        tissue = np.unique(sim.lineage)
        new = np.isin(sim.lineage, tissue[:3])
        old = np.flatnonzero(~new)
        names = np.arange(300).astype(str)
        lines = Lines(sim.x[old], sim.y[old], np.array(["a"]), np.array([False]), names[old], sim.lineage[old])
        cells = Cells(pseudo_cells.Table(sim.cells), totals=sim.totals)
        fit = one_by_one(ridge)
        scored = rc.pseudo_scores(lines, cells, None, fit, streams(seed), n_targets=9, n_per_line=3)
        tables = rc.conformal(scored.score[:, 0], scored.y[:, 0], scored.line, binary=False)
        for name in tissue[:3]:
            held = np.flatnonzero(sim.lineage == name)
            drawn = drawn_of(sim.x[held], sim.cells, streams(99), 3, background=sim.x, totals=sim.totals)
            score = ridge(lines, Cells(pseudo_cells.Table(drawn.x)), None, sim.x[:2]).cells[:, 0]
            truth = sim.y[held, 0][drawn.line] > tables.cut
            wrong = realised(rc.calls(score, tables, error=0.1), truth)  # lines have as many cells each
            errors += wrong[:2]
            called.append(wrong[2])
    errors = np.array(errors)[np.isfinite(errors)]
    assert errors.mean() < 0.1 + 2 * errors.std() / np.sqrt(errors.size)
    assert errors.mean() < 0.15
    assert np.mean(called) > 0.15


def test_targets_hold_few_half_or_most_sensitive_lines(monkeypatch):
    sim = simulate(7, n=60, m=50, p=60, tissues=3)
    lines = Lines(sim.x, sim.y, np.array(["a"]), np.array([False]), np.arange(60).astype(str), sim.lineage)
    cells = Cells(pseudo_cells.Table(sim.cells), totals=sim.totals)
    seen = []

    def watch(given, target, candidate, held):
        assert not set(given.lineage) & set(sim.lineage[np.isin(sim.x[:, 0], held[:, 0])])
        seen.append(target.rows.n_rows)
        return ridge(given, target, candidate, held)

    fit = one_by_one(watch)
    every = rc.pseudo_scores(lines, cells, None, fit, streams(0), keep=lambda x: x[:, 1:])
    assert len(seen) == 9
    assert every.kept.shape == (sum(seen), 59)
    start, shares = 0, []
    for size in seen:
        of = every.line[start : start + size]
        start += size
        upper = sim.y[:, 0] >= np.median(sim.y[np.unique(of), 0])
        shares.append(upper[of].mean())
    np.testing.assert_allclose(shares, np.tile([0.5, 0.875, 0.125], 3), atol=0.08)
    seen.clear()
    monkeypatch.setattr(rc, "_MANY_DRUGS", 0)
    turns = rc.pseudo_scores(lines, cells, None, fit, streams(0))
    assert len(seen) == 3
    assert turns.kept is None


def test_lineages_of_one_line_are_targets_together(monkeypatch):
    sim = simulate(7, n=60, m=50, p=60, tissues=3)
    own = np.array([f"lineage {i}" for i in range(60)])
    lines = Lines(sim.x, sim.y, np.array(["a"]), np.array([False]), np.arange(60).astype(str), own)
    cells = Cells(pseudo_cells.Table(sim.cells), totals=sim.totals)
    monkeypatch.setattr(rc, "_MANY_DRUGS", 0)
    found = rc.pseudo_scores(lines, cells, None, one_by_one(ridge), streams(0))
    assert np.unique(found.line).size == 60
