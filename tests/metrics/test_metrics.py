"""The measures on data whose answer is known; fits are made by hand where no fit is needed."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import omicstl as otl
from omicstl.models.factors.factor_table import FactorTable


def table(loadings, features=None, names=None):
    p, k = loadings.shape
    return FactorTable(
        features=np.asarray([f"g{i}" for i in range(p)] if features is None else features, dtype=object),
        names=np.asarray([f"LV{i + 1}" for i in range(k)] if names is None else names, dtype=object),
        loadings=loadings.astype(np.float32),
        score_penalty=1.0,
    )


@pytest.fixture
def projected():
    """A projection without error: X is a scale and an offset away from scores times loadings."""
    rng = np.random.default_rng(0)
    loadings, scores = rng.random((40, 4)), rng.normal(size=(25, 4))
    y = scores @ loadings.T
    scores, spread = scores - scores.mean(axis=0), y.std(axis=0, ddof=1)
    model = table(loadings / spread[:, None])
    x = 5 + 3 * y
    adata = ad.AnnData(
        x, pd.DataFrame(index=[f"s{i}" for i in range(25)]), pd.DataFrame(index=model.features.astype(str))
    )
    adata.obsm["plier"] = scores.astype(np.float32)
    adata.uns["plier"] = {"kind": "projection", "names": model.names, "params": {"standardize": "query"}}
    return adata, model


def test_a_perfect_projection(projected):
    adata, model = projected
    found = otl.metrics.reconstruction(adata, model)
    np.testing.assert_array_equal(found.index, adata.obs_names)
    np.testing.assert_allclose(found["mase"], 0, atol=1e-5)
    np.testing.assert_allclose(found[["spearman", "r2"]], 1, atol=1e-4)


@pytest.mark.parametrize("convert", [sp.csr_matrix, sp.csc_matrix, np.asarray])
def test_layouts_order_of_genes_and_blocks(projected, convert):
    adata, model = projected
    rng = np.random.default_rng(1)
    adata.X = adata.X + rng.normal(size=adata.shape)
    expected = otl.metrics.reconstruction(adata, model)
    order = rng.permutation(adata.n_vars)
    other = adata[:, order].copy()
    other.layers["log"] = convert(other.X)
    other.X = None
    with otl.settings.override(block_bytes=8 * 40 * 4):
        found = otl.metrics.reconstruction(other, model, key="plier", layer="log")
    pd.testing.assert_frame_equal(found, expected, atol=1e-5)


def test_missing_and_constant_genes(projected):
    adata, model = projected
    less = adata[:, 5:].copy()
    less.X[:, 0] = 2.0
    found = otl.metrics.reconstruction(less, model)
    np.testing.assert_allclose(found["r2"], 1, atol=1e-4)
    less.X[:] = 2.0
    with pytest.raises(ValueError, match="All 35 genes that adata.X shares with the model are constant"):
        otl.metrics.reconstruction(less, model)


def test_reconstruction_says_what_is_missing(projected):
    adata, model = projected
    with pytest.raises(ValueError, match="was projected: pass as `reference`"):
        otl.metrics.reconstruction(adata)
    with pytest.raises(ValueError, match="has 4 factors, the reference 3"):
        otl.metrics.reconstruction(adata, table(model.loadings[:, :3]))
    with pytest.raises(ValueError, match="No gene is shared"):
        otl.metrics.reconstruction(adata, table(model.loadings, features=[f"x{i}" for i in range(40)]))
    with pytest.raises(KeyError, match="'pliers' not found in factor scores of adata. Did you mean 'plier'"):
        otl.metrics.reconstruction(adata, model, key="pliers")
    with pytest.raises(TypeError, match=r"`reference` must be an AnnData, a fitted model, a path or None, got \[1\]"):
        otl.metrics.reconstruction(adata, [1])
    adata.uns["plier"]["params"] = {"standardize": "reference"}
    with pytest.raises(ValueError, match="stores no mean and scale"):
        otl.metrics.reconstruction(adata, model)
    del adata.obsm["plier"]
    with pytest.raises(KeyError, match="adata holds no factor scores. Run otl.tl.project"):
        otl.metrics.reconstruction(adata, model)


def test_factors_are_matched_over_shared_genes():
    rng = np.random.default_rng(2)
    loadings = rng.random((60, 5))
    order, genes = rng.permutation(5), rng.permutation(60)[:45]
    a = table(loadings)
    b = table(-2 * loadings[genes][:, order], [f"g{i}" for i in genes], a.names[order])
    found = otl.metrics.match_factors(a, b)
    np.testing.assert_array_equal(found["factor"], found["partner"])
    np.testing.assert_allclose(found["correlation"], -1, atol=1e-5)
    fewer = otl.metrics.match_factors(a, table(loadings[:, :2]))
    assert fewer["partner"].tolist() == ["LV1", "LV2", None, None, None]
    assert fewer["correlation"].isna().tolist() == [False, False, True, True, True]


def test_factors_are_matched_over_shared_observations(projected):
    adata, _ = projected
    other = adata[::-2].copy()
    other.obsm["plier"] = other.obsm["plier"][:, [2, 0, 1]]
    other.uns["plier"] = {"kind": "projection", "names": np.array(["c", "a", "b"], dtype=object)}
    found = otl.metrics.match_factors(adata, other, by="scores")
    assert found["partner"].tolist() == ["a", "b", "c", None]
    np.testing.assert_allclose(found["correlation"][:3], 1, atol=1e-6)


def test_match_factors_says_what_is_wrong(projected):
    adata, model = projected
    with pytest.raises(
        ValueError, match="`by` must be one of 'loadings', 'scores', got 'score'. Did you mean 'scores'"
    ):
        otl.metrics.match_factors(model, model, by="score")
    with pytest.raises(ValueError, match="`b` is no AnnData and has no keys"):
        otl.metrics.match_factors(model, model, other_key="plier")
    with pytest.raises(TypeError, match="`a` must be an AnnData for by='scores', got FactorTable"):
        otl.metrics.match_factors(model, adata, by="scores")
    with pytest.raises(ValueError, match="share 2 genes; at least 3"):
        otl.metrics.match_factors(model, table(model.loadings[:2]))
    with pytest.raises(ValueError, match="No gene is shared"):
        otl.metrics.match_factors(model, table(model.loadings, features=[f"x{i}" for i in range(40)]))
    with pytest.raises(TypeError, match="`a` must be an AnnData, a fitted model or a path, got 3"):
        otl.metrics.match_factors(3, model)


def test_measures_of_a_fit_leave_the_data_alone():
    adata, truth = otl.datasets.simulate_pathways(rng=0)
    otl.tl.plier(adata, truth.gene_sets, n_factors=8, progress=False)
    before = adata.copy()
    fitted = otl.metrics.reconstruction(adata)
    assert fitted["r2"].median() > 0.2
    assert (fitted["mase"] < 1).mean() > 0.9
    found = otl.metrics.coverage(adata)
    summary = adata.uns["plier"]["summary"]
    good = summary[summary["fdr_nominal"] < 0.05]
    assert found["pathways_per_factor"] == pytest.approx(good["set"].nunique() / 8)
    assert found["factor_share"] == pytest.approx(good["factor"].nunique() / 8)
    assert 0 < found["pathway_coverage"] <= 1
    assert (otl.metrics.coverage(adata, fdr=0.0) == 0).all()
    np.testing.assert_array_equal(adata.X, before.X)
    assert set(adata.uns) == set(before.uns)
    with pytest.raises(KeyError, match="'plyer' not found in adata.uns. Did you mean 'plier'"):
        otl.metrics.coverage(adata, "plyer")
    with pytest.raises(ValueError, match="`fdr` must be >= 0 and <= 1"):
        otl.metrics.coverage(adata, fdr=5)
