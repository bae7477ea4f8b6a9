"""`tl.plier` beyond the contract of all verbs: its options, what it reports, and cohorts of many samples."""

from __future__ import annotations

import logging

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import omicstl as otl
from omicstl._data import blocks
from tests.contract.cases import FIT, N_OBS, cohort, fitted, gene_sets, plier
from tests.support.snapshots import changes, snapshot


@pytest.fixture(scope="module")
def many():
    """More observations than half the genes: iterations work on genes × genes."""
    adata, truth = otl.datasets.simulate_pathways(90, 120, n_sets=12, n_factors=3, rng=0)
    return adata, truth.gene_sets


def same(found, expected, relative=1e-3):
    a, b = otl.get.model(found), otl.get.model(expected)
    np.testing.assert_allclose(a.loadings, b.loadings, atol=relative * b.loadings.max())
    np.testing.assert_array_equal(a.weights > 0, b.weights > 0)
    np.testing.assert_allclose(
        found.obsm["plier"], expected.obsm["plier"], atol=relative * np.abs(expected.obsm["plier"]).max()
    )


@pytest.mark.parametrize("layout", ["csr", "csc", "backed", "blocks"])
def test_many_samples_in_any_layout(layout, many, tmp_path):
    adata, sets = many
    plain, other = adata.copy(), adata.copy()
    otl.tl.plier(plain, sets, **FIT)
    if layout == "blocks":
        with otl.settings.override(block_bytes=8 * 120 * 7):
            otl.tl.plier(other, sets, **FIT)
    elif layout == "backed":
        other.write_h5ad(tmp_path / "a.h5ad")
        other = ad.read_h5ad(tmp_path / "a.h5ad", backed="r")
        otl.tl.plier(other, sets, **FIT)
        other.file.close()
    else:
        other.X = sp.csr_matrix(other.X) if layout == "csr" else sp.csc_matrix(other.X)
        otl.tl.plier(other, sets, **FIT)
    same(other, plain)


def test_many_samples_take_two_passes(many, monkeypatch):
    adata, sets = many
    passes, real = [], blocks._Rows.blocks
    monkeypatch.setattr(blocks._Rows, "blocks", lambda self, size=None: (passes.append(1), real(self, size))[1])
    otl.tl.plier(adata.copy(), sets, **FIT)
    assert len(passes) == 2


def test_many_samples_with_constant_genes(many):
    """They leave the Gram matrix too."""
    adata, sets = many
    constant, without = adata.copy(), adata.copy()
    genes = [sets["SET01"][0], sets["SET05"][3]]
    constant.X[:, constant.var_names.get_indexer(genes)] = 3
    with pytest.warns(UserWarning, match="2 genes with one value in all observations"):
        otl.tl.plier(constant, sets, **FIT)
    without = without[:, ~without.var_names.isin(genes)].copy()
    otl.tl.plier(without, sets, **FIT)
    same(constant, without)


def test_the_number_of_factors_is_chosen_and_explained():
    adata = cohort()
    plier(adata, n_factors=None)
    table = adata.uns["plier"]["n_components"].set_index("rule")["n_components"]
    assert set(table.index) == {"marchenko_pastur", "elbow", "gavish_donoho", "permutation"}
    assert table["marchenko_pastur"] == 3  # as many as were simulated
    assert table["permutation"] == 3
    assert adata.obsm["plier"].shape[1] == 9
    assert adata.uns["plier"]["params"]["n_factors"] == 9
    fixed = cohort()
    plier(fixed, n_factors=5)
    table = fixed.uns["plier"]["n_components"].set_index("rule")["n_components"]
    assert np.isnan(table["permutation"])  # the costly rule is left out where its answer is not needed
    assert table["marchenko_pastur"] == 3


def test_hold_outs_that_are_handed_over_are_those_of_the_run():
    drawn, given = fitted(), cohort()
    model = otl.get.model(drawn)
    prior = pd.DataFrame(model.trained.toarray(), model.features, model.sets)
    plier(given, holdout_prior=prior)
    assert not changes(
        {k: v for k, v in snapshot(drawn).items() if "params" not in k},
        {k: v for k, v in snapshot(given).items() if "params" not in k},
    )
    assert given.uns["plier"]["params"]["holdout"] is None


def test_a_start_that_is_handed_over_is_used():
    """The SVD's own start, and another."""
    adata = cohort()
    model = otl.get.model(fitted())
    y = (adata.to_df()[model.features].to_numpy(np.float64) - model.mean) / model.scale
    left, d, right = np.linalg.svd(y.T, full_matrices=False)
    sign = np.where(left.sum(axis=0) < 0, -1, 1)
    start = (d[:, None] * sign[:, None] * right)[:4]
    plier(adata, init_scores=start)
    same(adata, fitted(), 1e-2)
    other = cohort()
    plier(other, init_scores=np.random.default_rng(0).standard_normal((4, N_OBS)))
    assert np.abs(other.obsm["plier"] - adata.obsm["plier"]).max() > 0.1


def test_random_starts_depend_on_the_seed():
    answers = []
    for rng in (0, 0, 1):
        adata = cohort()
        plier(adata, init="random", rng=rng, max_iter=300)
        answers.append(adata.obsm["plier"])
    np.testing.assert_array_equal(answers[0], answers[1])
    assert np.abs(answers[0] - answers[2]).max() > 0.1


@pytest.mark.parametrize("options", [{"prior_weight": 3.0}, {"score_penalty": 20.0}, {"set_penalty": 0.005}])
def test_penalties_that_are_given_are_used_and_kept(options):
    adata = cohort()
    plier(adata, **options)
    ((name, value),) = options.items()
    assert getattr(otl.get.model(adata), name) == value == adata.uns["plier"]["params"][name]
    assert adata.uns["plier"]["penalty_path"].size == (
        0 if name == "set_penalty" else adata.uns["plier"]["n_iter"] // 20
    )


def test_the_share_of_annotated_factors_is_aimed_at():
    shares = []
    for fraction in (0.0, 0.5, 1.0):
        adata = cohort()
        plier(adata, annotated_fraction=fraction)
        shares.append((otl.get.model(adata).weights > 0).any(axis=0).mean())
    assert shares[0] <= shares[1] <= shares[2]
    assert shares[0] < shares[2]


def test_it_never_stops_before_the_gene_sets_enter():
    adata = cohort()
    plier(adata, tol=1e9)
    assert adata.uns["plier"]["n_iter"] == 20
    assert adata.uns["plier"]["converged"]
    assert (otl.get.model(adata).weights > 0).any()


def test_genes_of_no_set_belong_to_the_model_where_the_table_has_them():
    adata = cohort()
    table = pd.DataFrame(0, index=adata.var_names, columns=list(gene_sets()))
    for name, genes in gene_sets().items():
        table.loc[genes, name] = 1
    otl.tl.plier(adata, table, **FIT)
    model = otl.get.model(adata)
    assert model.features.tolist() == adata.var_names.tolist()
    free = np.asarray(model.prior.sum(axis=1)).ravel() == 0
    assert free.any()
    assert model.loadings[free].any()


def test_two_fits_live_side_by_side_and_one_replaces_itself():
    adata = fitted()
    plier(adata, key_added="second", rng=1)
    assert {"plier", "second"} == set(adata.obsm) == set(adata.varm)
    first = otl.get.model(adata, "plier")
    np.testing.assert_array_equal(first.loadings, otl.get.model(fitted()).loadings)
    plier(adata, key_added="second", n_factors=3)
    assert adata.obsm["second"].shape[1] == 3


def test_names_say_what_the_evidence_allows():
    adata = fitted()
    entry = adata.uns["plier"]
    named = 0
    for name in entry["names"]:
        rows = entry["summary"][entry["summary"]["factor"] == name]
        good = rows[(rows["fdr_nominal"] < 0.05) & (rows["auc"] > 0.7)]
        _, _, label = name.partition(" ")
        assert bool(label) == bool(len(good))
        if label:
            named += 1
            assert label == good.loc[good["coefficient"].idxmax(), "set"]
    assert named >= 3


def test_shuffled_sets_name_nothing():
    rng = np.random.default_rng(0)
    adata = cohort()
    order = dict(zip(adata.var_names, rng.permutation(adata.var_names), strict=True))
    sets = {name: [order[g] for g in genes] for name, genes in gene_sets().items()}
    otl.tl.plier(adata, sets, **FIT)
    assert sum(" " in name for name in adata.uns["plier"]["names"]) <= 1


def test_it_says_what_it_did(caplog):
    with otl.settings.override(verbosity=2), caplog.at_level(logging.INFO, "omicstl"):
        plier(cohort())
    text = caplog.text
    for word in (
        "158 genes, 12 sets",
        "40 observations",
        "marchenko_pastur 3",
        "Factors used: 4",
        "(tol)",
        "uns['plier']",
    ):
        assert word in text


def test_a_bar_is_shown_on_request(capsys):
    plier(cohort(), progress=True)
    assert "PLIER" in capsys.readouterr().err
    plier(cohort())
    assert not capsys.readouterr().err
