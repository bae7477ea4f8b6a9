"""Refits: what is stable is called so, what is noise is not, and refits are those of the fit."""

from __future__ import annotations

import time

import numpy as np
import pytest

import omicstl as otl
from tests.contract.cases import cohort, fitted, gene_sets, plier
from tests.support.snapshots import changes, snapshot


@pytest.fixture(scope="module")
def assessed():
    adata = cohort()
    otl.tl.plier(adata, gene_sets(), n_factors=4, max_iter=300, tol=1e-5)
    otl.tl.stability(adata, n_refits=4)
    return adata


def test_tables(assessed):
    model = otl.get.model(assessed)
    found = assessed.uns["plier"]["stability"]
    factors, pairs = found["factors"], found["pairs"]
    assert factors["factor"].tolist() == model.names.tolist()
    assert (factors["lowest_r"] <= factors["median_r"]).all()
    assert factors[["median_r", "lowest_r", "share_reproduced"]].to_numpy().min() >= 0
    assert factors[["median_r", "lowest_r", "share_reproduced"]].to_numpy().max() <= 1 + 1e-9
    assert set(factors["share_reproduced"] * 4) <= {0, 1, 2, 3, 4}
    summary = assessed.uns["plier"]["summary"]
    significant = summary[summary["fdr_nominal"] < 0.05]
    assert pairs[["factor", "set"]].to_numpy().tolist() == significant[["factor", "set"]].to_numpy().tolist()
    assert pairs["share_found"].between(0, 1).all()
    assert found["params"] == {"n_refits": 4, "seed": "0"}


def test_what_drives_the_data_comes_back(assessed):
    """Three true factors of four."""
    factors = assessed.uns["plier"]["stability"]["factors"]
    assert (factors["median_r"].sort_values().to_numpy()[1:] > 0.9).all()
    assert (assessed.uns["plier"]["stability"]["pairs"]["share_found"] >= 0.5).any()


def test_noise_does_not_come_back_as_a_whole():
    """The first directions of the same samples do, even those of noise: so the last is what tells."""
    adata = cohort()
    adata.X = np.random.default_rng(0).normal(8, 1, size=adata.shape).astype(np.float32)
    otl.tl.plier(adata, gene_sets(), n_factors=4, max_iter=300, tol=1e-5)
    otl.tl.stability(adata, n_refits=4)
    found = adata.uns["plier"]["stability"]
    assert found["factors"]["median_r"].min() < 0.7
    assert found["factors"]["lowest_r"].median() < 0.9


def test_everything_else_of_the_fit_stays(assessed):
    plain = cohort()
    otl.tl.plier(plain, gene_sets(), n_factors=4, max_iter=300, tol=1e-5)
    before, after = snapshot(plain), snapshot(assessed)
    assert all(path.startswith("uns/plier/stability") for path in changes(before, after))
    assert otl.get.model(assessed).names.tolist() == otl.get.model(plain).names.tolist()


def test_the_number_of_cores_changes_nothing(monkeypatch, assessed):
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    adata = assessed.copy()
    otl.tl.stability(adata, n_refits=4)
    assert not changes(snapshot(assessed), snapshot(adata))


def test_more_refits_begin_with_the_same(assessed):
    """Streams are named: the fifth refit does not change the first four."""
    few, more = fitted(), fitted()
    otl.tl.stability(few, n_refits=1)
    otl.tl.stability(more, n_refits=2)
    a, b = (adata.uns["plier"]["stability"]["factors"] for adata in (few, more))
    assert (b["lowest_r"] <= a["lowest_r"] + 1e-12).all()


@pytest.mark.parametrize("holdout", [0.1, 0.4])
def test_refits_hold_out_what_the_fit_held_out(holdout, monkeypatch):
    from omicstl.models.factors.plier import stability

    adata, shares = cohort(), []
    plier(adata, holdout=holdout)
    real = stability.hold_out

    def seen(prior, share, generator):
        shares.append(share)
        return real(prior, share, generator)

    monkeypatch.setattr(stability, "hold_out", seen)
    otl.tl.stability(adata, n_refits=2)
    assert shares == [holdout, holdout]


def test_many_samples_too():
    """In Gram form the refits read the rows again for their scores."""
    adata, truth = otl.datasets.simulate_pathways(90, 120, n_sets=12, n_factors=3, rng=0)
    otl.tl.plier(adata, truth.gene_sets, n_factors=4, max_iter=60, tol=1e-3)
    otl.tl.stability(adata, n_refits=2)
    assert (adata.uns["plier"]["stability"]["factors"]["median_r"] > 0.9).sum() >= 2


def test_on_the_layer_of_the_fit():
    adata, plain = cohort(), cohort()
    adata.layers["log"] = adata.X
    adata.X = np.zeros_like(adata.X)
    plier(adata, layer="log")
    plier(plain)
    for each in (adata, plain):
        otl.tl.stability(each, n_refits=1)
    assert adata.uns["plier"]["stability"]["factors"].equals(plain.uns["plier"]["stability"]["factors"])


def test_ctrl_c_ends_refits_that_are_under_way(monkeypatch) -> None:
    from omicstl.models.factors.plier import stability as refits

    asked, ended = [], []

    def fit(*given, watch, **more):
        asked.append(1)
        if len(asked) == 1:
            raise KeyboardInterrupt
        try:
            for _ in range(1000):  # chunks of a long fit
                time.sleep(0.01)
                watch.report(0, 0.0)
        finally:
            ended.append(1)

    monkeypatch.setattr(refits, "fit_plier", fit)
    adata = fitted()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        otl.tl.stability(adata, n_refits=500, progress=False)
    assert time.monotonic() - began < 5
    assert len(asked) <= 6
    assert len(ended) == len(asked) - 1
    assert "stability" not in adata.uns["plier"]
