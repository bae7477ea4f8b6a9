"""When a projection may be trusted: too few samples, another platform, missing or constant genes, the wrong tissue."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import omicstl as otl
from tests.contract.cases import query
from tests.support.refusals import changed_query, refused
from tests.support.snapshots import changes, snapshot


@pytest.fixture(scope="module")
def table(model):
    return otl.io.factor_table(pd.DataFrame(model.loadings, model.features, model.names), penalty=3.0)


def project(adata, reference, **options):
    return otl.tl.project(adata, reference, **options)


@pytest.mark.parametrize("n", [1, 2, 5, 9])
def test_a_few_samples_take_the_reference_statistics_where_they_fit(n, reference):
    """Platform and scale are those of the reference: single samples may be projected."""
    same = query()
    model = otl.get.model(reference)
    same.X = same.X.copy()
    at = same.var_names.get_indexer(model.features)
    same.X[:, at] = model.mean + 0.5 * (same.X[:, at] - model.mean)  # nearer than 1 SD
    few = same[:n].copy()
    project(few, reference)
    entry = few.uns["plier"]
    assert entry["params"]["standardize"] == "reference"
    assert entry["params"]["requested"] == "auto"
    assert entry["quality"]["median_offset"] <= 1
    assert np.isfinite(few.obsm["plier"]).all()
    assert np.isnan(few.obs["plier_r2"]).all() == (n < 3)
    assert entry["quality"]["verdict"] == "not assessed" if n < 3 else True
    whole = same.copy()
    project(
        whole, reference, standardize="reference"
    )  # with the reference's statistics rows do not depend on each other
    np.testing.assert_allclose(few.obsm["plier"], whole.obsm["plier"][:n], atol=1e-5)


def test_what_a_single_sample_cannot_have(reference, table):
    one = query()[:1].copy()
    refused(
        project, one, ValueError, ["='query' needs at least 2", "'reference'"], reference=reference, standardize="query"
    )
    refused(
        project,
        one,
        ValueError,
        ["'center' needs at least 2", "'reference'"],
        reference=reference,
        standardize="center",
    )
    refused(project, one, ValueError, ["='query' needs at least 2", "'none'"], reference=table, standardize="query")
    refused(
        project,
        one,
        ValueError,
        ["cannot be standardised", "factor_table model has no training statistics", "'none'"],
        reference=table,
    )
    refused(
        project,
        query()[:5].copy(),
        ValueError,
        ["5 observations cannot", "or choose 'query' knowingly"],
        reference=table,
    )


@pytest.mark.parametrize("standardize", ["reference", "center"])
def test_a_table_has_no_statistics(standardize, table):
    refused(
        project,
        query(),
        ValueError,
        [f"'{standardize}' needs the mean and spread", "factor_table", "'query'"],
        reference=table,
        standardize=standardize,
    )


def test_an_offset_warns_and_forbids_the_reference(reference):
    far = changed_query(x=lambda x: x + 9)
    with pytest.warns(
        otl.TransferWarning, match=r"a median \d+\.\d SD off.*another platform, or another scale.*'query'"
    ):
        project(far, reference)
    assert far.uns["plier"]["params"]["standardize"] == "query"
    assert far.uns["plier"]["quality"]["median_offset"] > 3
    near = query()
    project(near, reference)
    np.testing.assert_allclose(far.obsm["plier"], near.obsm["plier"], atol=1e-4)  # the cohort's own statistics
    words = [
        r"'reference' is refused",
        r"a median \d+\.\d SD off",
        "at most 3",
        "platform or the scale",
        "match_distribution",
        "force=True",
    ]
    refused(project, changed_query(x=lambda x: x + 9), ValueError, words, reference=reference, standardize="reference")
    forced = changed_query(x=lambda x: x + 9)
    with pytest.warns(otl.TransferWarning, match="absorb that shift"):
        project(forced, reference, standardize="reference", force=True)
    assert forced.uns["plier"]["quality"]["r2"] < near.uns["plier"]["quality"]["r2"] + 0.05


def test_z_scores_are_taken_as_they_are(reference):
    scaled, plain = query(), query()
    scaled.X = (scaled.X - scaled.X.mean(0)) / scaled.X.std(0, ddof=1)
    project(scaled, reference, standardize="none")
    project(plain, reference, standardize="query")
    np.testing.assert_allclose(scaled.obsm["plier"], plain.obsm["plier"], atol=1e-4)
    assert scaled.uns["plier"]["quality"]["median_offset"] < 0.01
    adata = query()
    with (
        pytest.warns(otl.ScaleWarning, match="not z-scored by gene"),
        pytest.warns(otl.TransferWarning, match="are no z-scores as standardize='none' takes them to be"),
    ):
        project(adata, reference, standardize="none")


def test_counts_warn(reference):
    adata = changed_query(x=lambda x: np.round(2**x))
    with (
        pytest.warns(otl.ScaleWarning, match="looks like raw counts"),
        pytest.warns(otl.TransferWarning, match="another scale"),
    ):
        project(adata, reference)


def test_fewer_than_half_of_the_genes(reference, model):
    adata = query()[:, model.features[:60]].copy()
    with pytest.warns(otl.TransferWarning) as caught:
        project(adata, reference)
    texts = " ".join(str(w.message) for w in caught)
    assert "Only 38% of the reference's genes" in texts
    quality = adata.uns["plier"]["quality"]
    assert quality["gene_coverage"] == pytest.approx(60 / 158)
    assert quality["missing_genes"].tolist() == model.features[60:].tolist()
    before = snapshot(again := query()[:, model.features[:60]].copy())
    with pytest.raises(otl.TransferWarning, match="Only 38%"):
        project(again, reference)
    assert not changes(before, snapshot(again))


def test_factors_that_the_genes_do_not_determine_are_named(reference, model):
    """Without the genes of one factor its score means nothing, and the message says which."""
    weak = model.loadings[:, 0] / (model.loadings.sum(axis=1) + 1e-9)
    adata = query()[:, model.features[weak < 0.02]].copy()
    with pytest.warns(otl.TransferWarning) as caught:
        project(adata, reference)
    assert any(re.search(f"Do not interpret .*{model.names[0]}", str(w.message)) for w in caught)
    factors = adata.uns["plier"]["quality"]["factors"]
    assert not factors["interpretable"].iloc[0]
    assert factors["expected_r"].iloc[0] < 0.8


def test_shuffled_genes_are_refused(reference):
    order = np.random.default_rng(0).permutation(200)
    adata = changed_query(x=lambda x: x[:, order])
    with pytest.warns(otl.TransferWarning) as caught:
        project(adata, reference)
    assert any("Transfer refused: held-out genes are no better predicted" in str(w.message) for w in caught)
    assert adata.uns["plier"]["quality"]["verdict"] == "refused"


@pytest.mark.parametrize("value", [0.0, 7.0])
@pytest.mark.parametrize("layout", [np.asarray, sp.csr_matrix], ids=["dense", "csr"])
@pytest.mark.parametrize("missing", ["model", "mean"])
def test_one_constant_gene_poisons_nothing(value, layout, missing, reference):
    """It counts as missing: the scores are those of data without it."""
    gene = "GENE003"
    adata = query()
    adata.X[:, adata.var_names.get_loc(gene)] = value
    adata.X = layout(adata.X)
    with pytest.warns(
        UserWarning, match=f"1 shared gene with one value in all observations .* counted as missing: '{gene}'"
    ):
        project(adata, reference, missing=missing)
    without = query()[:, query().var_names != gene].copy()
    project(without, reference, missing=missing)
    assert np.isfinite(adata.obsm["plier"]).all()
    np.testing.assert_allclose(adata.obsm["plier"], without.obsm["plier"], atol=1e-5)
    assert not adata.varm["plier"][adata.var_names.get_loc(gene)].any()


def test_nothing_of_a_refused_transfer_is_interpretable(reference):
    order = np.random.default_rng(0).permutation(200)
    adata = changed_query(x=lambda x: x[:, order])
    with pytest.warns(otl.TransferWarning) as caught:
        project(adata, reference)
    assert any("Transfer refused" in str(w.message) for w in caught)
    assert not otl.get.factors(adata).var["interpretable"].any()
    adata.obs["group"] = ["a", "b"] * 8
    with pytest.raises(ValueError, match="None of the 4 factors .* pass factors='all'"):
        otl.tl.rank_factors_groups(adata, "group")
    with pytest.warns(otl.TransferWarning, match="has the verdict 'refused'"):
        otl.tl.rank_factors_groups(adata, "group", factors="all")


def test_names_of_another_species_that_agree_by_chance_are_refused():
    """Six genes of a mouse are spelled as in man; that is no overlap."""
    genes = [f"GENE{i}" for i in range(194)] + ["A1", "B2", "C3", "D4", "E5", "F6"]
    table = pd.DataFrame({"LV1": np.ones(200)}, index=genes)
    mouse = query()
    mouse.var_names = [f"Gene{i}" for i in range(194)] + genes[-6:]
    refused(
        project,
        mouse,
        ValueError,
        ["Only 6 of 200 genes are shared", "mouse gene symbols", "human gene symbols", "otl.pp.map_features"],
        reference=otl.io.factor_table(table, penalty=1.0),
    )
