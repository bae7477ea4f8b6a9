"""Input that is allowed but odd: it has a defined answer, or an error that names what is wrong."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import omicstl as otl
from omicstl.models.factors.plier import stability as refits
from tests.contract.cases import cohort, fitted, gene_sets, plier, query
from tests.support.refusals import refused


def memberships(change=lambda gene: gene):
    return pd.DataFrame(
        [(name, change(gene)) for name, genes in gene_sets().items() for gene in genes], columns=["source", "target"]
    )


def test_a_holdout_prior_of_other_genes_is_refused():
    foreign = memberships("ENSG{}".format)
    refused(plier, cohort(), ValueError, ["keeps none of the [0-9]+ memberships", "same names"], holdout_prior=foreign)


@pytest.mark.parametrize("options", [{"holdout_prior": memberships()}, {"holdout": 0.01}])
def test_nothing_held_out_is_said(options):
    adata = cohort()
    with pytest.warns(UserWarning, match="No gene is held out of any set"):
        plier(adata, **options)
    assert adata.uns["plier"]["names"].tolist() == ["LV1", "LV2", "LV3", "LV4"]


def test_repeated_observations_are_no_more_directions():
    five = cohort()[:5]
    names = [f"{name}-{i}" for i in (1, 2) for name in five.obs_names]
    adata = ad.AnnData(np.tile(five.X, (2, 1)), pd.DataFrame(index=names), five.var.copy())
    refused(plier, adata, ValueError, ["at most 4, got 6", "leave out repeated observations"], n_factors=6)
    plier(adata, n_factors=None)
    assert 1 <= adata.obsm["plier"].shape[1] <= 4
    assert otl.get.model(adata).score_penalty > 1


@pytest.mark.parametrize("penalty", ["prior_weight", "score_penalty"])
def test_penalties_beyond_numbers_are_named(penalty):
    refused(plier, cohort(), ValueError, ["broke down", "too small or too large", "1e\\+30"], **{penalty: 1e30})


def test_any_number_of_ranks():
    few, many = cohort(), cohort()
    plier(few, max_rank=len(gene_sets()))
    plier(many, max_rank=10**9)  # no more ranks than sets
    np.testing.assert_array_equal(few.obsm["plier"], many.obsm["plier"])


def test_factors_of_a_fit_without_sets_can_be_written(tmp_path):
    adata = cohort()
    plier(adata, set_penalty=1e3)
    assert adata.uns["plier"]["summary"].empty
    adata.write_h5ad(tmp_path / "fit.h5ad")
    otl.get.factors(ad.read_h5ad(tmp_path / "fit.h5ad")).write_h5ad(tmp_path / "factors.h5ad")
    assert ad.read_h5ad(tmp_path / "factors.h5ad").var["top_set"].isna().all()


def test_a_model_file_that_was_left_behind_is_asked_for(tmp_path, monkeypatch):
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path)
    adata = cohort()
    plier(adata, model_path="plier.npz")
    monkeypatch.chdir(tmp_path / "there")
    with pytest.raises(FileNotFoundError, match=r"adata.uns\['plier'\] is kept in 'plier.npz' \(seen from .*there'\)"):
        otl.get.model(adata)
    adata.uns["plier"]["model"]["path"] = str(tmp_path / "plier.npz")
    assert otl.get.model(adata).names.size == 4


def test_a_key_without_an_adata_is_refused(tmp_path):
    model = otl.get.model(fitted())
    otl.io.write_model(tmp_path / "model.npz", model)
    for reference in (model, tmp_path / "model.npz"):
        refused(otl.tl.project, query(), ValueError, ["`key` names a fit within an AnnData"], reference, key="plier")


def test_offsets_have_names():
    adata = query()[:, ::-1].copy()
    otl.tl.project(adata, fitted())
    quality, model = adata.uns["plier"]["quality"], otl.get.model(fitted())
    assert quality["shared_genes"].tolist() == model.features.tolist()
    shift = (adata[:, quality["shared_genes"]].X.mean(axis=0) - model.mean) / model.scale
    np.testing.assert_allclose(quality["offset"], shift, atol=1e-4)


@pytest.mark.parametrize("index", [["A", np.nan], [1, "1"]])
def test_a_table_of_loadings_needs_names(index):
    with pytest.raises(ValueError, match="missing names|must be unique, got '1'"):
        otl.io.factor_table(pd.DataFrame({"LV1": [1.0, 2.0]}, index=index), penalty=1.0)


def test_refits_need_the_values_of_the_fit():
    adata = fitted()
    adata.X[:, adata.var_names.get_loc(otl.get.model(adata).features[0])] = 0
    refused(otl.tl.stability, adata, ValueError, ["adata.X is not what the model was fitted on", "mean or spread"])


@pytest.mark.parametrize("given", [None, 1e-3])
def test_refits_keep_a_given_set_penalty(given, monkeypatch):
    adata, seen = cohort(), []
    plier(adata, set_penalty=given)
    fit = refits.fit_plier

    def spy(data, rows, prior, config, *more, **options):
        seen.append(config.set_penalty)
        return fit(data, rows, prior, config, *more, **options)

    monkeypatch.setattr(refits, "fit_plier", spy)
    otl.tl.stability(adata, n_refits=2)
    assert seen == [given, given]
