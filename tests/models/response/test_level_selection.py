"""The choice between levels: what is surely better is taken, all else stays, and the table says what was measured."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from omicstl._core.options.response import ResponseRidge
from omicstl._core.options.training import Training
from omicstl._core.random import streams
from omicstl.models.response import align_selection, level_selection, network as response_network, network_refit
from omicstl.models.response.network_options import ResponseNetwork
from omicstl.models.selection import validation
from omicstl.models.selection.criteria import Predicted
from omicstl.models.selection.pseudo_cells import Table
from omicstl.models.transfer.screen import Cells, Lines

N, M, P = 200, 150, 80


def screen(bent=False, seed=0):
    """Two responses along one programme of the genes: straight, or high at both of its ends."""
    rng = np.random.default_rng(seed)
    axis = np.zeros(P)
    axis[:30] = rng.choice([-1, 1], 30)
    programme, cells = rng.normal(size=N), rng.normal(size=M)
    x = 5 + np.outer(programme, axis) + 0.5 * rng.normal(size=(N, P))
    truth = np.abs(programme) if bent else programme
    y = truth[:, None] + 0.2 * rng.normal(size=(N, 2))
    y[3:9, 1] = np.nan
    rate = np.exp2(5 + np.outer(cells, axis))
    counts = rng.poisson(4000 * rate / rate.sum(axis=1, keepdims=True))
    lineage = np.char.add("tissue", rng.integers(0, 10, N).astype(str))
    names = np.arange(N).astype(str)
    lines = Lines(x.astype(np.float32), y, np.array(["a", "b"]), np.zeros(2, bool), names, lineage)
    totals = np.maximum(counts.sum(axis=1), 1)
    return lines, Cells(Table(np.log1p(counts / totals[:, None] * 1e4).astype(np.float32)), totals=totals)


def gene(cells, held=None, calls=None):
    """A fit whose score is the value of a gene, for cells and for lines; genes above 30 say nothing."""

    def fit(lines, target, candidates, rows):
        if calls is not None:
            calls.append(len(lines.x))
        assert len(rows) + len(lines.x) == N
        score = target.rows.x[:, [cells, cells]]
        return [Predicted(score, rows[:, [cells if held is None else held] * 2]) for _ in candidates]

    return fit


def signed(lines):
    """The gene that goes with the response, not against it."""
    return int(np.argmax([np.corrcoef(lines.x[:, j], lines.y[:, 0])[0, 1] for j in range(30)]))


def test_what_is_surely_better_is_taken_and_the_table_is_what_was_measured():
    lines, cells = screen()
    good = signed(lines)
    found = level_selection.choose(lines, cells, (gene(50), gene(good)), streams(0))
    assert found.taken
    assert found.reason.endswith("network is used.")
    fold = validation.lineage_folds(lines.lineage, N, 5, streams(0).generator("folds of levels"))
    rho = np.full((5, 2), np.nan)
    for f in range(5):
        for d in range(2):
            ok = (fold == f) & np.isfinite(lines.y[:, d])
            rho[f, d] = stats.spearmanr(lines.x[ok, good], lines.y[ok, d]).statistic
    assert found.table["line_rho"][1] == pytest.approx(rho.mean())
    gain = found.table["line_rho"][1] - found.table["line_rho"][0]
    assert found.table["line_gain_mean"].tolist() == pytest.approx([0, gain])
    assert found.table["pseudo_cell_gain_low"][1] > 0
    assert found.table["pseudo_cell_rho"][1] > 0.3
    assert found.table["taken"].tolist() == [False, True]


def test_what_does_not_lead_is_given_up_after_two_folds():
    lines, cells = screen()
    for second in (gene(50), gene(60)):
        calls: list[int] = []
        found = level_selection.choose(lines, cells, (gene(signed(lines), calls=calls), second), streams(0))
        assert not found.taken
        assert len(calls) == 2
        assert "after 2 of 5 folds; linear is used." in found.reason
    same = level_selection.choose(lines, cells, (gene(3), gene(3)), streams(0))
    assert not same.taken
    assert same.table["pseudo_cell_gain_mean"].tolist() == [0, 0]


def test_a_gain_on_pseudo_cells_that_costs_lines_is_not_taken():
    lines, cells = screen()
    good = signed(lines)
    found = level_selection.choose(lines, cells, (gene(50, held=good), gene(good, held=50)), streams(0))
    assert found.table["pseudo_cell_gain_low"][1] > 0
    assert found.table["line_gain_mean"][1] < 0
    assert not found.taken


def test_a_lead_that_may_be_chance_is_not_taken():
    lines, cells = screen()
    taken = []
    for draw in range(20):
        y = np.random.default_rng(draw).normal(size=(N, 2))
        found = level_selection.choose(lines._replace(y=y), cells, (gene(50), gene(60)), streams(draw))
        taken.append(found.taken)
    assert sum(taken) <= 2


def test_only_cells_of_the_mask_count():
    lines, cells = screen()
    mask = np.arange(M) < 100
    other = cells._replace(rows=Table(np.where(mask[:, None], cells.rows.x, cells.rows.x[:, ::-1])))
    first, second = (
        level_selection.choose(lines, c, (gene(50), gene(signed(lines))), streams(0), mask=mask) for c in (cells, other)
    )
    np.testing.assert_array_equal(first.table["pseudo_cell_rho"], second.table["pseudo_cell_rho"])


@pytest.mark.parametrize("bent", [True, False])
def test_a_network_wins_where_the_response_bends_and_only_there(bent):
    lines, cells = screen(bent)
    ridge, network = ResponseRidge(), ResponseNetwork(term=None, n_members=3, hidden=(16,), n_latent=4, n_comps=6)
    sizes = response_network.sizes_of(lines, cells, 6)
    training = Training(epochs=60, batch_size=50, learning_rate=1e-2, validation=0.2, patience=20)
    other = network_refit.refit_of(network, 0.0, sizes, streams(0), training, n_members=2)

    def linear(part, target, candidates, held):
        return align_selection.predicted(align_selection.OfLines(part, ridge), target, ["denoise"], held, streams(0))

    found = level_selection.choose(lines, cells, (linear, other), streams(0))
    assert found.taken is bent
    assert found.table["line_rho"][1] > 0.5
    assert (found.table["line_rho"][0] > 0.5) is not bent
