"""`tl.project` onto gene modules: the same means in other data, and how far they can be trusted there."""

from __future__ import annotations

import numpy as np
import pytest

import omicstl as otl
from tests.contract.cases import cohort, query
from tests.support.snapshots import changes, snapshot

KEY = "gene_modules"


@pytest.fixture(scope="module")
def reference():
    adata = cohort()
    otl.pp.gene_modules(adata, n_modules=9, n_top_genes=150)
    return adata


def correlation(a, b):
    return np.array([np.corrcoef(x, y)[0, 1] for x, y in zip(a.T, b.T, strict=True)])


def test_the_reference_gets_its_own_scores(reference):
    adata = reference.copy()
    otl.tl.project(adata, reference, key_added="again")
    np.testing.assert_array_equal(adata.obsm["again"], adata.obsm[KEY])
    np.testing.assert_array_equal(adata.varm["again"], adata.varm[KEY])
    quality = adata.uns["again"]["quality"]
    assert quality["verdict"] == "supported"
    assert quality["r2"] == pytest.approx(quality["r2_expected"], abs=0.1)
    np.testing.assert_allclose(quality["factors"]["expected_r"], 1)


def test_other_data_get_the_means_of_the_genes_that_they_have(reference):
    adata = query()[:, ::-2].copy()
    model = otl.get.model(reference)
    with pytest.warns(otl.TransferWarning):
        otl.tl.project(adata, reference)
    x = adata.to_df()
    z = (x - x.mean()) / x.std()
    there = np.zeros(9, dtype=int)
    for i in range(9):
        genes = [g for g, of in zip(model.features, model.labels, strict=True) if of == i and g in x.columns]
        there[i] = len(genes)
        wanted = z[genes].mean(axis=1) if genes else 0.0
        np.testing.assert_allclose(adata.obsm[KEY][:, i], wanted, atol=1e-5)
    np.testing.assert_array_equal(adata.uns[KEY]["quality"]["genes_present"], there)
    assert adata.uns[KEY]["names"].tolist() == model.names.tolist()
    assert adata.uns[KEY]["params"]["scored_by"] == "the means of their genes"
    assert "model" not in adata.uns[KEY]


def test_zeros_for_missing_genes_shrink_scores(reference):
    one, two = query()[:, ::2].copy(), query()[:, ::2].copy()
    with pytest.warns(otl.TransferWarning):
        otl.tl.project(one, reference)
    with pytest.warns(otl.TransferWarning):
        otl.tl.project(two, reference, missing="mean")
    slope = two.uns[KEY]["quality"]["factors"]["expected_slope"].to_numpy()
    np.testing.assert_allclose(two.obsm[KEY], one.obsm[KEY] * slope, atol=1e-5)


@pytest.mark.filterwarnings("ignore::omicstl.TransferWarning")
def test_the_expected_agreement_is_that_of_a_smaller_panel(reference):
    full, part = reference.copy(), cohort()
    part = part[:, np.random.default_rng(0).permutation(200)[:120]].copy()
    otl.tl.project(part, reference)
    expected = part.uns[KEY]["quality"]["factors"]["expected_r"].to_numpy()
    some = expected > 0
    found = correlation(part.obsm[KEY][:, some], full.obsm[KEY][:, some])
    np.testing.assert_allclose(found, expected[some], atol=0.1)


def test_a_module_without_a_gene_is_told(reference):
    model = otl.get.model(reference)
    adata = query()
    adata = adata[:, ~adata.var_names.isin(model.features[model.labels == 8])].copy()
    with pytest.warns(otl.TransferWarning) as caught:
        otl.tl.project(adata, reference)
    assert any("1 of 9 modules have none of their genes in the data" in str(w.message) for w in caught)
    assert any("'module 9'" in str(w.message) for w in caught)
    assert not adata.obsm[KEY][:, 8].any()
    table = adata.uns[KEY]["quality"]["factors"]
    assert table["expected_r"].iloc[8] == 0
    assert not table["interpretable"].iloc[8]


def test_one_observation_on_the_reference_scale(reference):
    one, all_ = reference[5:6].copy(), reference.copy()
    del one.uns[KEY]
    otl.tl.project(one, reference, standardize="reference", key_added="one")
    np.testing.assert_allclose(one.obsm["one"], all_.obsm[KEY][5:6], atol=1e-5)
    assert one.uns["one"]["quality"]["verdict"] == "not assessed"


@pytest.mark.filterwarnings("ignore::omicstl.TransferWarning")
def test_a_file_is_as_good(reference, tmp_path):
    otl.io.write_model(tmp_path / "modules.npz", otl.get.model(reference))
    one, two = query(), query()
    otl.tl.project(one, reference)
    otl.tl.project(two, tmp_path / "modules.npz")
    del one.uns[KEY]["reference"]["key"], two.uns[KEY]["reference"]["key"]
    assert not changes(snapshot(one), snapshot(two))


def test_genes_of_other_data_are_refused(reference):
    adata = query()
    adata.X = np.random.default_rng(0).permuted(adata.X, axis=0)
    with pytest.warns(otl.TransferWarning, match="Transfer refused|Weak transfer"):
        otl.tl.project(adata, reference)
    assert adata.uns[KEY]["quality"]["verdict"] in ("refused", "weak")
