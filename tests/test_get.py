"""What `get` takes out: models, loadings, factors as an AnnData; and that nothing is written."""

from __future__ import annotations

import warnings

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scanpy as sc

import omicstl as otl
from tests.contract.cases import cohort, fitted, plier, query
from tests.support.snapshots import changes, snapshot


@pytest.fixture(scope="module")
def fit():
    return fitted()


@pytest.fixture(scope="module")
def projected(fit):
    adata = query()
    otl.tl.project(adata, fit)
    return adata


def test_nothing_is_written(fit, projected):
    for adata in (fit, projected):
        before = snapshot(adata)
        otl.get.factors(adata)
        if adata is fit:
            otl.get.model(adata)
            otl.get.loadings(adata)
        assert not changes(before, snapshot(adata))


def test_the_model_is_the_truth_and_varm_a_view_of_it(fit):
    adata = fit.copy()
    adata.varm["plier"] = np.zeros_like(adata.varm["plier"])
    np.testing.assert_array_equal(otl.get.model(adata).loadings, otl.get.model(fit).loadings)
    one, two = query(), query()
    otl.tl.project(one, fit)
    otl.tl.project(two, adata)
    assert not changes(snapshot(one), snapshot(two))


def test_sources_of_a_model(fit, tmp_path):
    model = otl.get.model(fit)
    assert otl.get.model(model) is model
    otl.io.write_model(tmp_path / "m.npz", model)
    for source in (tmp_path / "m.npz", str(tmp_path / "m.npz")):
        np.testing.assert_array_equal(otl.get.model(source).loadings, model.loadings)
    fit.write_h5ad(tmp_path / "fit.h5ad")
    np.testing.assert_array_equal(otl.get.model(tmp_path / "fit.h5ad", "plier").loadings, model.loadings)
    view = fit[:5]
    np.testing.assert_array_equal(otl.get.model(view).loadings, model.loadings)
    assert view.is_view


def test_which_model(fit, projected):
    two = fit.copy()
    plier(two, key_added="other", rng=3)
    with pytest.raises(KeyError, match="2 models: 'other', 'plier'. Say which one: key='other'"):
        otl.get.model(two)
    assert otl.get.model(two, "other").heldout.tolist() != otl.get.model(two, "plier").heldout.tolist()
    with pytest.raises(KeyError, match="'othe' not found in models of adata.uns. Did you mean 'other'"):
        otl.get.model(two, "othe")
    with pytest.raises(KeyError, match="holds no fitted model. Keys there: none"):
        otl.get.model(cohort())
    with pytest.raises(KeyError, match="is a projection"):
        otl.get.model(projected, "plier")
    with pytest.raises(TypeError, match="got ndarray"):
        otl.get.model(np.ones(3))


def test_a_key_belongs_to_an_anndata(fit, tmp_path):
    """Rather than ignored."""
    model = otl.get.model(fit)
    otl.io.write_model(tmp_path / "m.npz", model)
    for source in (model, tmp_path / "m.npz"):
        with pytest.raises(
            ValueError, match="`key` names a fit within an AnnData, got key='plier' with a .*Leave the key out"
        ):
            otl.get.model(source, "plier")


def test_a_result_of_r_is_sent_to_its_reader():
    with pytest.raises(ValueError, match=r"is an R file. Read a PLIER result first: otl.io.read_plier\('x.rds'\)"):
        otl.tl.project(query(), "x.rds")


@pytest.mark.parametrize("damage", ["array", "missing", "none", "text", "lost"])
def test_a_changed_model_is_refused(damage, fit):
    adata = fit.copy()
    entry = adata.uns["plier"]
    if damage == "array":
        entry["model"]["loadings"][0, 0] += 1e-3
    elif damage == "missing":
        del entry["model"]["auc"]
    elif damage == "none":
        entry["model"] = None
    elif damage == "text":
        entry["model"] = "plier.npz"
    else:
        del entry["model"]
    words = {
        "array": "is not the one that was fitted",
        "missing": "incomplete: 'auc' is missing",
        "none": "no stored model",
        "text": "no stored model",
        "lost": "has lost its model",
    }[damage]
    with pytest.raises(ValueError, match=words):
        otl.get.model(adata, "plier")


def test_loadings(fit):
    model, table = otl.get.model(fit), otl.get.loadings(fit)
    assert table.index.tolist() == model.features.tolist()
    assert table.columns.tolist() == model.names.tolist()
    np.testing.assert_array_equal(table.to_numpy(), model.loadings)
    table.iloc[0, 0] = -1  # a copy
    assert otl.get.model(fit).loadings[0, 0] >= 0


def test_factors_of_a_fit(fit):
    found = otl.get.factors(fit)
    assert found.shape == (40, 4)
    np.testing.assert_array_equal(found.X, fit.obsm["plier"])
    assert found.var_names.tolist() == otl.get.model(fit).names.tolist()
    assert found.obs.equals(fit.obs)
    summary = fit.uns["plier"]["summary"]
    for name, row in found.var.iterrows():
        here = summary[summary["factor"] == name]
        own = here[here["set"] == name.partition(" ")[2]]
        if len(here):
            expected = (own if len(own) else here.nlargest(1, "auc")).iloc[0]
            assert (row["top_set"], row["top_auc"]) == (expected["set"], expected["auc"])
        else:
            assert np.isnan(row["top_auc"])
    found.X[:] = 0
    assert fit.obsm["plier"].any()


def test_factors_of_a_projection_carry_their_quality(projected):
    found = otl.get.factors(projected)
    table = projected.uns["plier"]["quality"]["factors"]
    assert {"expected_r", "expected_slope", "present_loading", "interpretable"} <= set(found.var.columns)
    fit = otl.get.factors(fitted()).var  # what is known of the factors travels with the projection
    pd.testing.assert_frame_equal(found.var[fit.columns], fit)
    np.testing.assert_array_equal(found.var["expected_r"], table["expected_r"])
    assert "plier_r2" in found.obs


def test_factors_of_a_reference_without_gene_sets(tmp_path):
    adata = query()
    table = pd.DataFrame({"a": [1.0, 0.5, 0.1], "b": [0.2, 0.9, -1.0]}, index=adata.var_names[[5, 7, 9]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", otl.TransferWarning)
        otl.tl.project(adata, otl.io.factor_table(table, penalty=1.0))
    adata.write_h5ad(tmp_path / "projected.h5ad")
    found = otl.get.factors(ad.read_h5ad(tmp_path / "projected.h5ad"))
    assert found.var["top_set"].isna().all()
    assert found.var["sets"].tolist() == ["", ""]
    assert found.var["top_genes"].tolist() == [
        ", ".join(table[name].abs().sort_values(ascending=False).index) for name in ("a", "b")
    ]
    found.write_h5ad(tmp_path / "factors.h5ad")
    assert otl.get.summary(adata).empty
    assert otl.get.summary(adata).columns.tolist() == otl.get.summary(fitted()).columns.tolist()


def test_summary_of_a_fit_a_projection_and_a_model(fit, projected):
    own, model = otl.get.summary(fit), otl.get.model(fit)
    assert len(own) == len(fit.uns["plier"]["summary"])
    assert own["p_nominal"].is_monotonic_increasing
    pd.testing.assert_frame_equal(otl.get.summary(projected), own)
    alone = otl.get.summary(model)  # tested again from what the model holds
    assert alone["p_permutation"].isna().all()
    names = {"factor": object, "set": object}  # pandas 3 has its own strings; a frame copied by anndata has objects
    pd.testing.assert_frame_equal(
        alone.drop(columns="p_permutation").astype(names), own.drop(columns="p_permutation").astype(names)
    )
    found = otl.get.summary(fit, max_fdr=0.05)
    assert len(found) == int((own["fdr_nominal"] < 0.05).sum())
    older = projected.copy()
    del older.uns["plier"]["summary"]
    with pytest.raises(ValueError, match="written by an older omicstl"):
        otl.get.summary(older)
    with pytest.raises(ValueError, match="`max_fdr` must be"):
        otl.get.summary(fit, max_fdr=2)


def test_the_stability_of_the_reference_travels(fit):
    adata, cohort = fit.copy(), query()
    otl.tl.stability(adata, n_refits=2)
    otl.tl.project(cohort, adata)
    expected = adata.uns["plier"]["stability"]["factors"]["median_r"]
    np.testing.assert_array_equal(otl.get.factors(cohort).var["stability"], expected)
    np.testing.assert_array_equal(otl.get.factors(adata).var["stability"], expected)


def test_the_supplement_knows_where_it_comes_from(projected):
    adata = projected.copy()
    adata.obs["group"] = ["a", "b"] * 8
    otl.tl.rank_factors_groups(adata, "group", factors="all")
    otl.tl.rank_factors_groups(adata, "group", factors="all", reference_group="b", key_added="turned")
    found = otl.get.factors(adata)
    told = otl.cite(found).splitlines()[0]
    assert "Samples were scored on 4 factors" in told
    assert "were tested for 'group'" in told
    assert "model" not in otl.get.factors(fitted()).uns["plier"]
    turned = otl.get.factors(adata, test="turned").var
    np.testing.assert_allclose(turned["test_effect_sd"], -found.var["test_effect_sd"])
    np.testing.assert_allclose(turned["test_effect_sd_low"], -found.var["test_effect_sd_high"])
    with pytest.raises(KeyError, match="'turnt' not found in tests over factors of adata. Did you mean 'turned'"):
        otl.get.factors(adata, test="turnt")


def test_short_names_fit_a_plot():
    adata = query()
    names = ["a" * 40, "b"]
    table = pd.DataFrame(np.eye(3)[:, :2], index=adata.var_names[:3], columns=names)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", otl.TransferWarning)
        otl.tl.project(adata, otl.io.factor_table(table, penalty=1.0))
    assert otl.get.factors(adata).var["short"].tolist() == ["a" * 29 + "…", "b"]


def test_no_factors_yet():
    with pytest.raises(KeyError, match="no factor scores. Run otl.tl.project"):
        otl.get.factors(query())


def test_which_factors(projected):
    adata = projected.copy()
    otl.tl.project(adata, fitted(), key_added="again")
    with pytest.raises(KeyError, match="2 sets of factor scores: 'again', 'plier'"):
        otl.get.factors(adata)
    assert otl.get.factors(adata, "again").n_vars == 4
    with pytest.raises(KeyError, match="'agin' not found in factor scores of adata. Did you mean 'again'"):
        otl.get.factors(adata, "agin")
    with pytest.raises(TypeError, match="must be an AnnData"):
        otl.get.factors(otl.get.model(fitted()))


@pytest.mark.filterwarnings("ignore")  # of scanpy's own
def test_scanpy_takes_the_scores(projected, fit):
    adata = fit.copy()
    adata.obs["group"] = pd.Categorical(["a", "b"] * 20)
    sc.tl.dendrogram(adata, "group", use_rep="plier")
    assert adata.uns["dendrogram_group"]["use_rep"] == "plier"
    found = otl.get.factors(adata)
    sc.tl.rank_genes_groups(found, "group", method="t-test")
    assert set(found.uns["rank_genes_groups"]["names"]["a"]) == set(found.var_names)
