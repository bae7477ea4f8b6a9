"""The fit of all drugs: ridge, members, smoothing, memory and passes."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp

from omicstl._core.options.response import ResponseRidge
from omicstl._core.random import Streams
from omicstl._core.settings import settings
from omicstl._data.blocks import row_source
from omicstl.models.response import align_selection, cells as response_cells, fit as response_fit, smoothing, space
from omicstl.models.response.model import ResponseModel
from omicstl.models.response.space import fit_ridge
from omicstl.models.selection.pseudo_cells import Table
from omicstl.models.transfer.screen import Cells, Lines

PLAIN = ResponseRidge(align="none", smoothing=0.0, penalty=0.3, n_comps=10, n_members=30)


@pytest.fixture(scope="module")
def both():
    rng = np.random.default_rng(0)
    basis = rng.standard_normal((8, 60))
    x = rng.standard_normal((90, 8)) @ basis + 0.3 * rng.standard_normal((90, 60))
    y = x[:, :3] + rng.standard_normal((90, 3))
    y[:30, 1] = np.nan
    cells = np.exp(0.3 * (rng.standard_normal((150, 8)) @ basis))
    counts = rng.poisson(600 * cells / cells.sum(axis=1, keepdims=True))
    totals = counts.sum(axis=1)
    lines = Lines(x.astype(np.float32), y, np.array(["a", "b", "c"]), np.zeros(3, bool), np.arange(90).astype(str))
    return lines, Cells(Table(np.log1p(counts / totals[:, None] * 1e4).astype(np.float32)), totals=totals)


def test_scores_are_a_plain_ridge_on_components(both):
    lines, cells = both
    fit = response_fit.fit(lines, cells, PLAIN, Streams(0))
    z = (lines.x - lines.x.mean(axis=0)) / lines.x.std(axis=0)
    vt = np.linalg.svd(z, full_matrices=False)[2][:10]
    u, seen = z @ vt.T, np.isfinite(lines.y[:, 1])
    penalty = 0.3 * (u**2).sum() / 10
    x, y = u[seen] - u[seen].mean(axis=0), lines.y[seen, 1]
    beta = np.linalg.solve(x.T @ x + penalty * np.eye(10), x.T @ (y - y.mean()))
    c = cells.rows.x
    zc = np.clip((c - c.mean(axis=0)) / c.std(axis=0, ddof=1), -10, 10)
    expected = (zc @ vt.T - u[seen].mean(axis=0)) @ beta + y.mean()
    np.testing.assert_allclose(fit.score[:, 1], expected, rtol=2e-3, atol=2e-3)
    np.testing.assert_allclose(fit.model.lines(lines.x), fit.latent_lines, atol=1e-4)


def test_members_are_refits_to_first_order(both):
    lines, cells = both
    fit = response_fit.fit(lines, cells, PLAIN, Streams(0))
    latent, y = fit.latent_lines.astype(float), lines.y[:, 0]
    rng, added = np.random.default_rng(1), []
    for _ in range(300):
        w = rng.multinomial(90, np.full(90, 1 / 90))
        x, mean = latent - w @ latent / 90, w @ y / 90
        added.append(np.linalg.solve(x.T * w @ x + fit.penalty[0] * np.eye(10), x.T * w @ (y - mean)))
    exact = np.std(added, axis=0)
    first_order = np.sqrt((fit.model.members[:, :, 0] ** 2).mean(axis=0))
    assert 0.7 < np.median(first_order / exact) < 1.5
    spread = fit.model.spread(fit.latent_cells)
    moved = np.stack([fit.latent_cells @ m + i for m, i in zip(fit.model.members, fit.model.member_intercept)])
    np.testing.assert_allclose(spread, np.sqrt((moved**2).mean(axis=0)), rtol=1e-4)


def test_the_same_seed_gives_the_same_fit(both):
    first, second = (response_fit.fit(*both, ResponseRidge(align="denoise"), Streams(3)) for _ in range(2))
    np.testing.assert_array_equal(first.score, second.score)
    np.testing.assert_array_equal(first.std, second.std)


def test_left_out_scores_have_not_seen_the_lineage(both):
    lines, cells = both
    grouped = lines._replace(lineage=np.repeat(np.arange(9), 10).astype(str))
    fit = response_fit.fit(grouped, cells, PLAIN, Streams(0))
    rows = np.arange(90) >= 10
    alone = fit_ridge(
        fit.latent_lines[rows].astype(float),
        grouped._replace(y=lines.y[rows], lineage=grouped.lineage[rows]),
        PLAIN,
    )
    # the same penalty, which is relative to the variance of the rows
    from omicstl.kernels.masked_ridge import masked_ridge

    ridge = masked_ridge(fit.latent_lines[rows].astype(float), lines.y[rows], fit.penalty[:1])
    expected = fit.latent_lines[:10] @ ridge.coefficients[:, 0] + ridge.intercept[0]
    np.testing.assert_allclose(fit.score_lines[:10, 0], expected, rtol=1e-4, atol=1e-4)
    assert np.isnan(fit.score_lines[:10, 1]).all()
    assert alone.left_out.shape == (80, 3)


def test_the_model_comes_back(both):
    model = response_fit.fit(*both, PLAIN, Streams(0)).model
    again = ResponseModel.from_dict(model.to_dict())
    latent = np.random.default_rng(0).standard_normal((5, 10)).astype(np.float32)
    np.testing.assert_array_equal(again.predict(latent), model.predict(latent))
    with pytest.raises(ValueError, match="damaged: maps"):
        ResponseModel.from_dict(model.to_dict() | {"maps": np.zeros((2, 2))})


def test_strength_is_zero_where_neighbours_say_nothing():
    """Genes without any programme in common: a cell's neighbours are no more like it than others."""
    rng = np.random.default_rng(0)
    rate = rng.gamma(3, 1, (300, 80)) * 2
    x = np.log1p(rng.poisson(rate) / 480 * 1e4)
    found = smoothing.choose(x, np.full(300, 480.0), rng.standard_normal((80, 4)), Streams(0))
    assert (found.strength <= 0.5).all()


def test_strength_is_above_zero_in_tight_clouds():
    rng = np.random.default_rng(1)
    state = np.repeat(rng.standard_normal((10, 80)), 40, axis=0)
    rate = np.exp(0.8 * state)
    rate = 150 * rate / rate.sum(axis=1, keepdims=True)
    counts = rng.poisson(rate)
    x = np.log1p(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1) * 1e4)
    weights = rng.standard_normal((80, 3))
    found = smoothing.choose(x, counts.sum(axis=1), weights, Streams(0))
    assert (found.strength >= 1).all()
    plain = (x - x.mean(axis=0)) @ weights
    edges = smoothing.graph(
        (x - x.mean(axis=0)) @ smoothing.axes_of((x - x.mean(axis=0)).astype(np.float32), Streams(0))
    )
    better = smoothing.smoothed(edges, plain, found.strength)
    truth = state @ weights
    for drug in range(3):
        assert np.corrcoef(better[:, drug], truth[:, drug])[0, 1] > np.corrcoef(plain[:, drug], truth[:, drug])[0, 1]


def test_counts_are_found_behind_logs():
    counts = np.random.default_rng(0).poisson(1.0, (40, 30)).astype(float)
    counts[:, 0] += 1
    totals = counts.sum(axis=1)
    x = np.log1p(counts / totals[:, None] * 1e4)
    np.testing.assert_array_equal(smoothing.counts_of(x, totals), counts)
    assert smoothing.counts_of(np.random.default_rng(0).random((40, 30)), None) is None


def test_leaves_hold_every_row_once():
    points = np.random.default_rng(0).standard_normal((9000, 3)).astype(np.float32)
    edges = smoothing.graph(points)
    assert edges.shape == (9000, 9000)
    assert (np.diff(edges.tocsr().indptr) >= 15).all()


def test_many_sparse_cells_are_never_dense():
    """Of 15,000 cells a dense matrix of 2,000 genes would take 120 MB of float32."""
    rng = np.random.default_rng(0)
    x = sp.random(15_000, 2000, density=0.01, format="csr", random_state=1, dtype=np.float32)
    lines = Lines(
        rng.standard_normal((60, 2000)).astype(np.float32),
        rng.standard_normal((60, 1)),
        np.array(["a"]),
        np.zeros(1, bool),
        np.arange(60).astype(str),
    )
    cells = Cells(row_source(x))
    options = ResponseRidge(align="denoise", smoothing=0.0, n_members=2, n_comps=20)
    tracemalloc.start()
    with settings.override(block_bytes=8 * 2**20):
        fit = response_fit.fit(lines, cells, options, Streams(0))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert fit.score.shape == (15_000, 1)
    assert peak < 100e6


def test_refits_to_the_same_lines_share_what_depends_on_these(both, monkeypatch):
    lines, cells = both
    fit = response_fit.fit(lines, cells, PLAIN, Streams(0))
    made = []
    monkeypatch.setattr(align_selection, "source_of", lambda *given: made.append(1) or space.source_of(*given))
    halves = [Cells(Table(cells.rows.x[rows])) for rows in (slice(0, 75), slice(75, 150))]

    def fresh():
        return align_selection.refit_of(fit.model, 10, fit.penalty, fit.latent_lines, Streams(0))

    refit = fresh()
    kept = [refit(lines, half, ["none"], lines.x[:3])[0] for half in halves]
    assert len(made) == 1
    again = [fresh()(lines, half, ["none"], lines.x[:3])[0] for half in halves]
    assert len(made) == 3
    for one, other in zip(kept, again, strict=True):
        np.testing.assert_array_equal(one.cells, other.cells)
    refit(lines._replace(y=-lines.y), halves[0], ["none"], lines.x[:3])
    assert len(made) == 4


def test_projections_are_those_of_all_rows_at_once():
    rng = np.random.default_rng(2)
    x, mean, scale = rng.normal(size=(1300, 7)), rng.normal(size=7), rng.uniform(0.01, 2, 7)
    maps = rng.normal(size=(7, 3)), rng.normal(size=(7, 2))
    found = response_cells.project(Cells(Table(x)), mean, scale, *maps)
    z = np.clip((x - mean) / scale, -10, 10)
    for got, map_ in zip(found, maps, strict=True):
        np.testing.assert_allclose(got, z @ map_, rtol=1e-4, atol=1e-4)
