"""Unseen collections against the definition: one test of scipy for each set and factor."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy import stats

import omicstl as otl
from omicstl.models.factors.factor_table import FactorTable

GENES = [f"g{i}" for i in range(120)]


@pytest.fixture
def factors():
    """Loadings with many ties."""
    loadings = np.round(np.maximum(np.random.default_rng(0).normal(size=(120, 4)), 0), 1).astype(np.float32)
    return FactorTable(
        features=np.array(GENES, dtype=object),
        names=np.array(["LV1", "LV2 x", "LV3", "LV4"], dtype=object),
        loadings=loadings,
        score_penalty=1.0,
    )


@pytest.fixture
def collection():
    rng = np.random.default_rng(1)
    return {f"set {j}": [f"g{i}" for i in rng.choice(130, size=15 + 3 * j, replace=False)] for j in range(6)}


def test_every_set_and_factor_has_the_mann_whitney_test(factors, collection):
    found = otl.metrics.collection_auc(factors, collection)
    assert found.columns.tolist() == ["set", "factor", "auc", "p_nominal", "fdr_nominal", "n_genes"]
    rows = []
    for name, genes in collection.items():
        inside = np.isin(GENES, genes)
        loadings = factors.loadings.astype(float)
        for k, factor in enumerate(factors.names):
            test = stats.mannwhitneyu(
                loadings[inside, k], loadings[~inside, k], alternative="greater", method="asymptotic"
            )
            auc = test.statistic / inside.sum() / (~inside).sum()
            rows.append((name, factor, auc, test.pvalue, inside.sum()))
    expected = pd.DataFrame(rows, columns=["set", "factor", "auc", "p_nominal", "n_genes"])
    expected.insert(4, "fdr_nominal", stats.false_discovery_control(expected["p_nominal"]))
    pd.testing.assert_frame_equal(found, expected, check_dtype=False, rtol=1e-9)


def test_forms_of_the_collection_and_order_do_not_matter(factors, collection, tmp_path):
    expected = otl.metrics.collection_auc(factors, collection)
    tidy = pd.DataFrame([(s, g) for s, genes in collection.items() for g in genes], columns=["source", "target"])
    pd.testing.assert_frame_equal(otl.metrics.collection_auc(factors, tidy), expected)
    otl.io.write_gmt(tmp_path / "sets.gmt", collection)
    pd.testing.assert_frame_equal(otl.metrics.collection_auc(factors, tmp_path / "sets.gmt"), expected)
    order = np.random.default_rng(2).permutation(120)
    turned = FactorTable(factors.features[order], factors.names, factors.loadings[order], 1.0)
    pd.testing.assert_frame_equal(otl.metrics.collection_auc(turned, collection), expected)


def test_small_sets_are_listed(factors, collection):
    found = otl.metrics.collection_auc(factors, collection | {"small": ["g1", "g2", "elsewhere"]})
    assert found.attrs == {"too_small": {"small": 2}, "in_fit": []}
    assert "small" not in found["set"].tolist()
    with_small = otl.metrics.collection_auc(factors, collection | {"small": ["g1", "g2"]}, min_genes=2)
    assert with_small.loc[with_small["set"] == "small", "n_genes"].tolist() == [2] * 4
    everything = otl.metrics.collection_auc(factors, collection | {"all": GENES})
    of_all = everything[everything["set"] == "all"]
    assert (of_all["auc"] == 0.5).all()
    assert of_all["fdr_nominal"].isna().all()


def test_sets_of_the_fit_are_not_held_out(reference, model, tmp_path):
    prior = sp.csc_array(model.prior)
    of_fit = {name: model.features[prior[:, [j]].toarray()[:, 0] > 0].tolist() for j, name in enumerate(model.sets)}
    names = list(of_fit)
    rng = np.random.default_rng(0)
    new = {f"new {i}": rng.choice(model.features, 20, replace=False).tolist() for i in range(3)}
    same_name = {names[0]: rng.choice(model.features, 12, replace=False).tolist()}
    same_genes = {"other name": [*of_fit[names[1]], "a gene without data"]}
    expected = otl.metrics.collection_auc(model, new)
    with pytest.warns(UserWarning, match=f"2 of 5 sets .* were in the fit, .*'{names[0]}', 'other name'"):
        found = otl.metrics.collection_auc(reference, same_name | new | same_genes, "plier")
    pd.testing.assert_frame_equal(found, expected)
    assert found.attrs["in_fit"] == [names[0], "other name"]
    with pytest.raises(ValueError, match="None is held out. Give another collection"):
        otl.metrics.collection_auc(reference, of_fit)
    otl.io.write_model(tmp_path / "model.npz", model)
    pd.testing.assert_frame_equal(otl.metrics.collection_auc(tmp_path / "model.npz", new), expected)


def test_true_sets_are_captured_and_random_ones_are_not():
    adata, truth = otl.datasets.simulate_pathways(rng=0)
    drives = truth.weights.sum(axis=1) > 0
    names = np.array(list(truth.gene_sets))
    driving, idle = names[drives], names[~drives]
    otl.tl.plier(adata, {name: truth.gene_sets[name] for name in idle[:15]}, n_factors=8, progress=False)
    found = otl.metrics.collection_auc(adata, {name: truth.gene_sets[name] for name in (*driving, *idle[15:])})
    best = found.groupby("set")["fdr_nominal"].min()
    assert (best[best.index.isin(driving)] < 1e-4).sum() >= 6
    assert (best[best.index.isin(idle[15:])] > 0.05).sum() >= 5


def test_what_is_wrong_is_said(factors, collection, reference):
    with pytest.raises(ValueError, match="No gene is shared"):
        otl.metrics.collection_auc(factors, {"mouse": [f"Cd{i}" for i in range(20)]})
    with pytest.raises(ValueError, match="None of the 6 sets .* has at least min_genes=100"):
        otl.metrics.collection_auc(factors, collection, min_genes=100)
    with pytest.raises(ValueError, match="`min_genes` must be >= 1"):
        otl.metrics.collection_auc(factors, collection, min_genes=0)
    with pytest.raises(TypeError, match="`adata` must be an AnnData, a fitted model or a path"):
        otl.metrics.collection_auc(3, collection)
    projected = reference.copy()
    del projected.uns["plier"], projected.obsm["plier"], projected.varm["plier"]
    otl.tl.project(projected, reference)
    with pytest.raises(KeyError, match="holds a projection .* pass the reference"):
        otl.metrics.collection_auc(projected, collection)
