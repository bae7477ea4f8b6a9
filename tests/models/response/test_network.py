"""Response networks end to end on a small simulation: what they find, what they keep, and that nothing else changes it."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from response_sim import auroc, simulate

from omicstl._core.options.training import Training
from omicstl._core.random import streams
from omicstl.models import kinds
from omicstl.models.response import network, network_refit
from omicstl.models.response.network_model import NetworkModel
from omicstl.models.response.network_options import ResponseNetwork
from omicstl.models.selection.criteria import subset
from omicstl.models.selection.pseudo_cells import Table
from omicstl.models.transfer.network_fit import forward
from omicstl.models.transfer.screen import Cells, Lines
from omicstl.nn import train
from omicstl.nn.terms.mmd import Mmd

SHORT = Training(epochs=60, batch_size=50, learning_rate=5e-3, validation=0.2, patience=15)
FIXED = ResponseNetwork(term=Mmd(weight=0.3), n_members=3, n_comps=40, hidden=(32,), n_latent=8)


@cache
def data():
    return simulate(n=200, m=300, p=300, n_drugs=2, sep=2.5, umi=3000)


def lines() -> Lines:
    sim = data()
    y = np.column_stack([sim.y[:, 0] > np.median(sim.y[:, 0]), sim.y[:, 1] * 3 + 7]).astype(float)
    y[5:20, 1] = np.nan
    drugs = np.array(["A/B", "second"], dtype=object)
    return Lines(sim.x, y, drugs, np.array([True, False]), np.arange(200).astype(str), sim.lineage)


def cells(rows=slice(None)) -> Cells:
    return Cells(Table(data().cells[rows]), totals=data().totals[rows])


@cache
def fitted():
    return network.fit(lines(), cells(), FIXED, streams(0), training=SHORT)


def test_it_finds_the_response_of_cells_and_of_lines_left_out():
    fit, given = fitted(), lines()
    assert auroc(fit.score[:, 0], data().sensitive) > 0.8
    assert auroc(fit.score_lines[:, 0], given.y[:, 0] > 0.5) > 0.75
    known = np.isfinite(given.y[:, 1])
    assert np.corrcoef(fit.score_lines[known, 1], given.y[known, 1])[0, 1] > 0.5
    assert np.abs(np.median(fit.score_lines[known, 1]) - np.median(given.y[known, 1])) < 1.5  # its own scale
    assert np.isnan(fit.score_lines[5:20, 1]).all()
    assert fit.std.shape == fit.score.shape == (300, 2)
    assert (fit.std > 0).all()
    assert fit.chosen["weight"] == 0.3


def test_scores_are_linear_in_the_latent_space_and_mean_over_members():
    fit = fitted()
    model = fit.model
    np.testing.assert_allclose(model.predict(fit.latent_cells), fit.score, atol=1e-4)
    each = model.members(fit.latent_cells)
    np.testing.assert_allclose(each.mean(axis=0), fit.score, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(each.std(axis=0, ddof=1), fit.std, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(model.lines(lines().x), fit.latent_lines, atol=2e-3)
    assert model.names.size == fit.latent_cells.shape[1] == 24


def test_gene_weights_say_what_is_linear_in_the_score():
    model = fitted().model
    z = (data().cells - model.mean_cells) / model.scale_cells
    linear = np.clip(z, -10, 10) @ model.weights
    for j in range(2):
        assert np.corrcoef(linear[:, j], fitted().score[:, j])[0, 1] > 0.9


def test_the_stored_form_scores_alike_without_the_networks_code():
    tree = fitted().model.to_dict()
    again = kinds.from_dict(tree)
    assert isinstance(again, NetworkModel)
    latent, score, std = again.score_cells(cells())
    np.testing.assert_array_equal(score, fitted().score)
    np.testing.assert_array_equal(std, fitted().std)
    np.testing.assert_array_equal(latent, fitted().latent_cells)
    with pytest.raises(ValueError, match="damaged: head_bias has shape"):
        kinds.from_dict(tree | {"networks": tree["networks"] | {"head_bias": np.zeros((3, 5))}})
    with pytest.raises(ValueError, match="damaged: the first layer"):
        kinds.from_dict(tree | {"networks": tree["networks"] | {"kernel_0": np.zeros((3, 7, 32))}})


def test_the_same_seed_gives_the_same_bits_and_blocks_do_not_matter():
    again = network.fit(lines(), cells(), FIXED, streams(0), training=SHORT)
    np.testing.assert_array_equal(again.score, fitted().score)
    assert not np.array_equal(network.fit(lines(), cells(), FIXED, streams(1), training=SHORT).score, again.score)
    part = fitted().model.score_cells(cells(slice(0, 77)))[1]
    np.testing.assert_allclose(part, fitted().score[:77], atol=1e-4)


def test_only_cells_of_the_mask_shape_the_fit():
    mask = np.arange(340) < 300  # as many as elsewhere here, so that nothing compiles anew
    strange = np.random.default_rng(0).permuted(data().cells[:40], axis=1) * 3
    more = Cells(Table(np.vstack([data().cells, strange])), totals=np.append(data().totals, data().totals[:40]))
    fit = network.fit(lines(), more, FIXED, streams(0), mask=mask, training=SHORT)
    np.testing.assert_array_equal(fit.score[:300], fitted().score)
    assert np.isfinite(fit.score[300:]).all()


def test_the_weight_is_chosen_on_lines_left_out_and_compiles_once():
    options = replace(FIXED, term=Mmd(), candidates=(1.0,))
    fitted()
    before = train._advance._cache_size()
    fit = network.fit(lines(), cells(), options, streams(0), training=SHORT)
    assert train._advance._cache_size() == before  # folds, weights and pseudo-cells share what the fit has compiled
    assert fit.chosen["table"]["candidate"].tolist() == ["weight 0", "weight 1"]
    assert np.isfinite(fit.chosen["table"]["pseudo_cell_rho"]).all()
    assert fit.chosen["weight"] in (0.0, 1.0)
    assert fit.chosen["reason"]


def test_fewer_lines_than_components_compile_nothing_anew():
    fitted()
    before = train._advance._cache_size()
    refit = network_refit.refit_of(FIXED, 0.3, network.sizes_of(lines(), cells(), 40), streams(0), SHORT)
    for n in (30, 35):
        (found,) = refit(subset(lines(), np.arange(n)), cells(), ["network"], lines().x[n:])
        assert found.cells.shape == (300, 2)
        assert found.held.shape == (200 - n, 2)
        assert np.isfinite(found.cells).all()
        assert auroc(found.held[:, 0], lines().y[n:, 0] > 0.5) > 0.55
    assert train._advance._cache_size() == before


def test_columns_that_fill_up_change_nothing():
    x = np.random.default_rng(0).normal(size=(7, 40))
    x[:, 30:] = 0
    for whole, part in zip(
        forward(fitted().model.networks, x), forward(fitted().model.networks, x[:, :30]), strict=True
    ):
        np.testing.assert_array_equal(whole, part)


def test_label_shift_weights_lines_by_the_shares_of_cells():
    one = lines()._replace(y=lines().y[:, :1], drugs=lines().drugs[:1], binary=lines().binary[:1])
    space = network.prepare(one, cells(), network.ResponseRidge(n_comps=40), streams(0))
    weights = network._shift(network.view(space), one, Mmd(label_shift=True))
    share = np.average(one.y[:, 0], weights=weights)
    assert abs(share - data().sensitive.mean()) < 0.2
    assert np.unique(weights).size == 2
    with pytest.raises(ValueError, match="one drug with two classes, got 2 drugs"):
        network._shift(network.view(space), lines(), Mmd(label_shift=True))


def test_records_refuse_what_they_cannot_use():
    with pytest.raises(TypeError, match="term"):
        ResponseNetwork(term="mmd")
    with pytest.raises(ValueError, match="n_members"):
        ResponseNetwork(n_members=1)
    with pytest.raises(TypeError, match="candidates"):
        ResponseNetwork(candidates=0.5)
    with pytest.raises(ValueError, match="drop"):
        ResponseNetwork(drop=1.0)
