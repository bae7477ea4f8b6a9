"""`tl.scdeal`: scores, calls, tables, and what new cells get."""

from __future__ import annotations

import warnings

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from response_sim import auroc

import omicstl as otl
from omicstl._core.log import TransferWarning

pytestmark = pytest.mark.filterwarnings("ignore::omicstl._core.log.TransferWarning")


@pytest.fixture(scope="module")
def screen():
    return otl.datasets.simulate_drug_response(200, 240, 400, n_drugs=3, rng=3)


@pytest.fixture(scope="module")
def one(screen):
    cells, lines = screen[0].copy(), screen[1].copy()
    otl.tl.scdeal(
        cells,
        lines,
        drugs=["response"],
        sensitive="sensitive",
        lineage_key="tissue",
        study_key="laboratory",
        cluster_key="clone",
        eval_key="sensitive",
    )
    return cells


@pytest.fixture(scope="module")
def many(screen):
    cells = screen[0].copy()
    otl.tl.scdeal(cells, screen[1], response_key="ln_ic50", sensitive="low", lineage_key="tissue")
    return cells


def test_cells_are_ranked_by_their_response(one, many, screen):
    truth = screen[0].obs["sensitive"].to_numpy()
    assert auroc(one.obs["scdeal_score"].to_numpy(), truth) > 0.8
    assert auroc(many.obsm["scdeal_response"][:, 0], truth) > 0.8
    # other drugs than the first: the oracle's score of each
    for drug in range(3):
        assert np.corrcoef(many.obsm["scdeal_response"][:, drug], screen[2].cell_score[:, drug])[0, 1] > 0.3


def test_one_drug_is_written_in_columns(one):
    score = one.obs["scdeal_score"]
    assert score.dtype == np.float32
    assert score.between(0, 1).all()  # a probability
    assert (one.obs["scdeal_std"] > 0).all()
    assert list(one.obs["scdeal_call"].cat.categories) == ["sensitive", "resistant", "uncertain"]
    called = one.obs["scdeal_call"]
    assert (called != "uncertain").any()
    assert score[called == "sensitive"].min() > score[called == "resistant"].max()
    assert one.obsm["scdeal"].shape[0] == one.n_obs
    assert one.obs["scdeal_novelty"].between(0, 1).all()
    assert one.varm["scdeal"].shape == (one.n_vars, 1)
    assert np.isin(one.uns["scdeal_assessment"]["verdict"], ["supported", "caution", "do not use"])


def test_the_entry_says_that_it_is_ridge(one):
    entry = one.uns["scdeal"]
    assert entry["params"]["level"].startswith("linear: ridge with")
    assert "ridge" in otl.cite(one)
    assert "Chen" not in otl.cite(one)
    table = entry["lines"]
    assert table["n_lines"].item() == 200
    assert 0 < table["rho_left_out"].item() < 1
    assert 0 < table["weights_rank_correlation"].item() <= 1


def test_labels_are_compared_after_the_fit(one, screen):
    got = one.uns["scdeal"]["evaluation"]
    assert got["auroc"].item() == pytest.approx(
        auroc(one.obs["scdeal_score"].to_numpy(), screen[0].obs["sensitive"].to_numpy())
    )
    without = screen[0].copy()
    options = {"drugs": ["response"], "sensitive": "sensitive", "lineage_key": "tissue", "study_key": "laboratory"}
    otl.tl.scdeal(without, screen[1], **options, cluster_key="clone")
    np.testing.assert_array_equal(without.obs["scdeal_score"], one.obs["scdeal_score"])


def test_clusters_have_means_and_nearest_lines(one):
    table = one.uns["scdeal"]["clusters"]
    assert set(table["cluster"]) == set(one.obs["clone"])
    first = table.iloc[0]
    assert first["low"] < first["mean"] < first["high"]
    shares = table[["sensitive", "resistant", "uncertain"]].to_numpy()
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    near = one.uns["scdeal"]["nearest_lines"]
    assert set(near["line_1"]) <= {f"LINE{i:03d}" for i in range(1, 201)}


def test_many_drugs_are_matrices_and_one_table(many):
    assert many.obsm["scdeal_response"].shape == (240, 3)
    assert list(many.uns["scdeal"]["drugs"]) == ["drug_1", "drug/2", "drug_3"]
    table = otl.get.response(many)
    assert table["score"].columns.tolist() == ["drug_1", "drug/2", "drug_3"]
    np.testing.assert_array_equal(table["score"].to_numpy(dtype=np.float32), many.obsm["scdeal_response"])
    codes = {"sensitive": 0, "resistant": 1, "uncertain": 2}
    np.testing.assert_array_equal(table["call"].map(codes.get).to_numpy(), many.obsm["scdeal_calls"])
    assert "scdeal_assessment" not in many.uns


def test_results_survive_a_file(many, tmp_path):
    many.write_h5ad(tmp_path / "cells.h5ad")
    back = ad.read_h5ad(tmp_path / "cells.h5ad")
    pd.testing.assert_frame_equal(otl.get.response(back), otl.get.response(many), check_dtype=False)
    assert otl.get.model(back).drugs.tolist() == ["drug_1", "drug/2", "drug_3"]


def test_predicting_the_same_cells_gives_the_fit(one, screen):
    again = screen[0].copy()
    otl.tl.predict(again, one)
    np.testing.assert_allclose(again.obs["scdeal_score"], one.obs["scdeal_score"], atol=1e-5)
    np.testing.assert_allclose(again.obsm["scdeal"], one.obsm["scdeal"], atol=1e-4)
    assert (again.obs["scdeal_call"] == one.obs["scdeal_call"]).mean() > 0.99
    assert again.uns["scdeal"]["kind"] == "prediction"


def test_new_cells_that_lack_genes(many, screen):
    part = screen[0][:30, 60:].copy()
    with pytest.warns(TransferWarning, match="60 of .* genes of the fit are missing"):
        otl.tl.predict(part, many)
    whole = many.obsm["scdeal_response"][:30, 0]
    assert np.corrcoef(part.obsm["scdeal_response"][:, 0], whole)[0, 1] > 0.8
    with pytest.raises(ValueError, match="fewer than half"):
        otl.tl.predict(screen[0][:30, :150].copy(), many)


def test_predict_refuses_what_it_has_no_use_for(many, screen):
    cells = screen[0][:5].copy()
    with pytest.raises(ValueError, match="10 are needed"):
        otl.tl.predict(cells, many, standardize="query")
    with pytest.raises(ValueError, match="`obsm` is not used"):
        otl.tl.predict(cells, many, obsm="x")
    with pytest.raises(ValueError, match="fit was made on counts"):
        otl.tl.predict(cells, many, scale="zscore")
    with pytest.raises(ValueError, match="holds a fitted model"):
        otl.tl.predict(many.copy(), many)


def test_numbers_and_classes_have_one_direction(screen):
    cells, lines = screen[0].copy(), screen[1].copy()
    ic50 = lines.obs["ln_ic50"]
    lines.obs["rs"] = np.where(ic50 < ic50.quantile(0.3), "S", "R")
    lines.obs["zero_one"] = (lines.obs["rs"] == "S").astype(float)
    lines.obs["viable"] = 1 - lines.obs["zero_one"]
    lines.obs["minus"] = -ic50
    fast = otl.tl.ResponseRidge(align="none", smoothing=0.0, n_members=0)

    def score(drug, sensitive):
        otl.tl.scdeal(cells, lines, drugs=[drug], sensitive=sensitive, level=fast, safeguard=False)
        return cells.obs["scdeal_score"].to_numpy()

    classes = score("rs", "S")
    np.testing.assert_allclose(score("zero_one", "high"), classes, atol=1e-6)
    np.testing.assert_allclose(score("viable", "low"), classes, atol=1e-6)
    np.testing.assert_allclose(score("minus", "high"), score("ln_ic50", "low"), atol=1e-6)
    assert np.corrcoef(classes, score("minus", "high"))[0, 1] > 0.5


def test_only_malignant_cells_shape_the_fit(screen):
    cells, lines = screen[0].copy(), screen[1]
    fast = otl.tl.ResponseRidge(align="denoise", smoothing=0.0, n_members=3)
    options = {"drugs": ["response"], "sensitive": "sensitive", "level": fast, "safeguard": False}
    mask = np.arange(cells.n_obs) < 150
    cells.obs["tumour"] = mask
    otl.tl.scdeal(cells, lines, mask_obs="tumour", **options)
    assert (cells.obs["scdeal_call"][~mask] == "uncertain").all()
    alone = screen[0][:150].copy()
    otl.tl.scdeal(alone, lines, **options)
    np.testing.assert_allclose(alone.obs["scdeal_score"], cells.obs["scdeal_score"][:150], atol=1e-5)


def test_excluded_lines_are_gone(screen):
    cells, lines = screen[0].copy(), screen[1]
    fast = otl.tl.ResponseRidge(align="none", smoothing=0.0, n_members=0)
    options = {"drugs": ["response"], "sensitive": "sensitive", "level": fast, "safeguard": False}
    otl.tl.scdeal(cells, lines, exclude_lines=list(lines.obs_names[:20]), **options)
    other = screen[0].copy()
    otl.tl.scdeal(other, lines[20:].copy(), **options)
    np.testing.assert_array_equal(cells.obs["scdeal_score"], other.obs["scdeal_score"])
    assert cells.uns["scdeal"]["params"]["n_lines"] == 180


def test_log_values_and_z_scores(screen, one):
    counts = screen[0].X.toarray()
    logs = np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4).astype(np.float32)
    options = {"drugs": ["response"], "sensitive": "sensitive", "lineage_key": "tissue", "study_key": "laboratory"}
    cells = screen[0].copy()
    cells.X = sp.csr_matrix(logs)
    otl.tl.scdeal(cells, screen[1], **options)
    assert cells.uns["scdeal"]["params"]["scale"] == "log"
    assert np.corrcoef(cells.obs["scdeal_score"], one.obs["scdeal_score"])[0, 1] > 0.9
    z = (logs - logs.mean(axis=0)) / np.where(logs.std(axis=0) > 0, logs.std(axis=0), 1)
    cells.X = z
    otl.tl.scdeal(cells, screen[1], scale="zscore", **options)
    assert cells.uns["scdeal"]["params"]["scale"] == "zscore"
    assert auroc(cells.obs["scdeal_score"].to_numpy(), screen[0].obs["sensitive"].to_numpy()) > 0.75


def test_cells_of_a_line_in_the_source_are_named(screen):
    cells, lines = screen[0].copy(), screen[1].copy()
    lines.var_names = cells.var_names
    own = lines.X[7] - lines.X.mean(axis=0)
    cells.obs["group"] = np.where(np.arange(cells.n_obs) < 120, "a", "b")
    rng = np.random.default_rng(0)
    rate = np.exp(np.log(2) * (lines.X.mean(axis=0) + np.where(np.arange(240) < 120, 1, 0)[:, None] * own))
    cells.X = rng.poisson(3000 * rate / rate.sum(axis=1, keepdims=True)).astype(np.float32)
    fast = otl.tl.ResponseRidge(align="none", smoothing=0.0, n_members=0)
    with pytest.warns(TransferWarning, match="'LINE008'"):
        otl.tl.scdeal(
            cells, lines, drugs=["response"], sensitive="sensitive", cluster_key="group", level=fast, safeguard=False
        )


def test_a_backed_object_and_a_view(screen, one, tmp_path):
    screen[0].write_h5ad(tmp_path / "cells.h5ad")
    backed = ad.read_h5ad(tmp_path / "cells.h5ad", backed="r")
    fast = otl.tl.ResponseRidge(align="none", smoothing=0.0, n_members=0)
    options = {"drugs": ["response"], "sensitive": "sensitive", "level": fast, "safeguard": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        otl.tl.scdeal(backed, screen[1], **options)
    whole = screen[0].copy()
    otl.tl.scdeal(whole, screen[1], **options)
    np.testing.assert_allclose(backed.obs["scdeal_score"], whole.obs["scdeal_score"], atol=1e-6)
    view = screen[0][::2]
    otl.tl.scdeal(view, screen[1][:100], **options)
    assert not view.is_view
    assert "scdeal_score" not in screen[0].obs


def test_networks_are_a_level_of_the_same_verb(screen):
    cells, lines = screen[0][:60].copy(), screen[1][:80].copy()
    small = otl.tl.ResponseNetwork(term=None, n_members=2, hidden=(8,), n_latent=4, n_comps=10)
    tumour = np.arange(60) < 50
    cells.obs["tumour"] = pd.array(tumour, dtype="boolean")
    lines.obsm["ln_ic50"] = np.where([True, False, True], lines.obsm["ln_ic50"], np.nan)  # a drug without any value
    lines.X = sp.csr_matrix(lines.X)
    options = {"response_key": "ln_ic50", "sensitive": "low", "lineage_key": "tissue", "mask_obs": "tumour"}
    otl.tl.scdeal(cells, lines, level=small, training=otl.tl.Training(epochs=3, batch_size=40), **options)
    assert list(cells.uns["scdeal"]["drugs"]) == ["drug_1", "drug_3"]
    assert (cells.obsm["scdeal_calls"][~tumour] == 2).all()
    assert cells.uns["scdeal"]["params"]["level"].startswith("network: 2 members")
    assert cells.obsm["scdeal_response"].shape == (60, 2)
    assert (cells.obsm["scdeal_response_std"] > 0).any()
    again = screen[0][:60].copy()
    otl.tl.predict(again, cells)
    np.testing.assert_allclose(again.obsm["scdeal_response"], cells.obsm["scdeal_response"], atol=1e-4)
