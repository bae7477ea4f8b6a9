"""Pathway separation: hand-made summaries, published ones, and the bundled sets."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import omicstl as otl

INTERFERON = ["REACTOME_INTERFERON_ALPHA_BETA_SIGNALING"], ["REACTOME_INTERFERON_GAMMA_SIGNALING"]
ALPHA, GAMMA = INTERFERON[0][0], INTERFERON[1][0]
#: Pairs of the two pathways in MultiPLIER's published summaries: 37,032 samples of recount2, and 1,640 of lupus blood
#: (github.com/greenelab/multi-plier, results/08 and results/05; columns pathway, factor, AUC, FDR, rounded).
RECOUNT2 = [
    (ALPHA, 7, 0.457, 0.855),
    (GAMMA, 25, 0.743, 0.0107),
    (ALPHA, 34, 0.756, 0.0137),
    (GAMMA, 35, 0.678, 0.0697),
    (ALPHA, 116, 0.937, 3.4e-6),
    (GAMMA, 140, 0.861, 2.3e-4),
    (ALPHA, 749, 0.770, 0.0137),
    (ALPHA, 827, 0.749, 0.0150),
    (GAMMA, 827, 0.617, 0.2216),
    (GAMMA, 985, 0.690, 0.0638),
]
LUPUS = [
    (ALPHA, 6, 0.973, 1.5e-8),
    (GAMMA, 38, 0.650, 0.1118),
    (GAMMA, 41, 0.496, 0.6175),
    (GAMMA, 59, 0.651, 0.0716),
    (ALPHA, 69, 0.877, 4.7e-5),
    (ALPHA, 110, 0.727, 0.0168),
]


def projection(pairs, n_factors=1000):
    """Scores of a projection that carries a summary of these (set, factor, AUC, FDR)."""
    names = np.array([f"LV{i + 1}" for i in range(n_factors)], dtype=object)
    table = pd.DataFrame(
        {
            "factor": [f"LV{row[1]}" for row in pairs],
            "set": [row[0] for row in pairs],
            "auc": [row[2] for row in pairs],
            "p_nominal": [row[3] for row in pairs],
            "fdr_nominal": [row[3] for row in pairs],
        }
    )
    adata = ad.AnnData(np.zeros((3, 1), dtype=np.float32))
    adata.obsm["plier"] = np.zeros((3, n_factors), dtype=np.float32)
    adata.uns["plier"] = {"kind": "projection", "names": names, "summary": table}
    return adata


def test_interferons_in_published_models():
    """The large compendium tells them apart; the lupus model has nothing for gamma."""
    found = otl.metrics.separation(projection(RECOUNT2), *INTERFERON)
    assert found.separated is True
    assert found.first == found.first_only == ["LV34", "LV116", "LV749", "LV827"]
    assert found.second == found.second_only == ["LV25", "LV140"]
    assert found.shared == []
    assert (found.first_auc, found.second_auc) == (0.937, 0.861)
    small = otl.metrics.separation(projection(LUPUS), *INTERFERON)
    assert small.separated is False
    assert (small.second, small.second_auc) == ([], 0.651)
    assert otl.metrics.separation(projection(LUPUS), *INTERFERON, fdr=0.1).separated is True


@pytest.mark.parametrize(
    ("pairs", "separated", "shared"),
    [
        ([("A", 1, 0.9, 0.01), ("B", 2, 0.9, 0.01)], True, []),
        ([("A", 1, 0.9, 0.01), ("B", 1, 0.9, 0.01)], False, ["LV1"]),
        ([("A", 1, 0.9, 0.01), ("B", 1, 0.9, 0.01), ("A", 2, 0.8, 0.01)], False, ["LV1"]),
        ([("A", 1, 0.9, 0.01), ("B", 1, 0.9, 0.01), ("A", 2, 0.8, 0.01), ("B", 3, 0.8, 0.01)], True, ["LV1"]),
        ([("A", 1, 0.9, 0.05), ("B", 2, 0.9, 0.01)], False, []),
        ([("A", 1, 0.5, np.nan), ("B", 2, 0.9, 0.01)], False, []),
    ],
)
def test_each_needs_a_factor_of_its_own(pairs, separated, shared):
    found = otl.metrics.separation(projection(pairs, 3), ["A"], ["B"])
    assert (found.separated, found.shared) == (separated, shared)
    turned = otl.metrics.separation(projection(pairs, 3), ["B"], ["A"])
    assert (turned.separated, turned.first_only) == (separated, found.second_only)


def test_a_group_is_the_union_of_its_sets():
    pairs = [("A", 1, 0.9, 0.01), ("A2", 2, 0.7, 0.01), ("B", 2, 0.9, 0.01), ("B2", 3, 0.95, 0.2)]
    found = otl.metrics.separation(projection(pairs, 4), ["A", "A2"], ("B", "B2"))
    assert (found.first, found.second, found.shared) == (["LV1", "LV2"], ["LV2"], ["LV2"])
    assert found.second_auc == 0.95
    assert not found.separated


def test_fit_model_and_projection_agree(reference, model):
    names = model.sets.tolist()
    summary = reference.uns["plier"]["summary"]
    used = summary["set"].unique().tolist()
    from_fit = otl.metrics.separation(reference, used[:2], used[2:4], fdr=0.5)
    assert otl.metrics.separation(model, used[:2], used[2:4], fdr=0.5) == from_fit
    assert set(from_fit.first) <= set(model.names)
    assert from_fit.first  # the answer is of something
    unused = [name for name in names if name not in used]
    if unused:  # known to the model, and no factor uses it
        found = otl.metrics.separation(reference, unused[:1], used[:1])
        assert (found.first, found.separated) == ([], False)
        assert np.isnan(found.first_auc)


def test_what_is_wrong_is_said(reference):
    adata = projection([("A set", 1, 0.9, 0.01), ("B.set", 2, 0.9, 0.01)], 3)
    with pytest.raises(ValueError, match=r"`second`: 'Bset' not found .* Did you mean 'B.set'\? Known are 'A set'"):
        otl.metrics.separation(adata, ["A set"], ["Bset"])
    with pytest.raises(ValueError, match="`first`: 'B.' not found"):  # no regular expression
        otl.metrics.separation(adata, ["B."], ["A set"])
    with pytest.raises(TypeError, match="`first` must be a list of names, got 'A set'"):
        otl.metrics.separation(adata, "A set", ["B.set"])
    with pytest.raises(ValueError, match="`second` is empty"):
        otl.metrics.separation(adata, ["A set"], [])
    with pytest.raises(ValueError, match="`first` and `second` both hold 'A set'"):
        otl.metrics.separation(adata, ["A set"], ["B.set", "A set"])
    with pytest.raises(ValueError, match="`fdr` must be >= 0 and <= 1"):
        otl.metrics.separation(adata, ["A set"], ["B.set"], fdr=2)
    with pytest.raises(KeyError, match="'plyer' not found"):
        otl.metrics.separation(adata, ["A set"], ["B.set"], key="plyer")
    adata.uns["plier"].pop("summary")
    with pytest.raises(ValueError, match="keeps no summary"):
        otl.metrics.separation(adata, ["A set"], ["B.set"])
    table = otl.io.factor_table(pd.DataFrame(np.ones((20, 2)), [f"g{i}" for i in range(20)], ["x", "y"]), penalty=1)
    with pytest.raises(ValueError, match="It knows no gene sets"):
        otl.metrics.separation(table, ["A set"], ["B.set"])


@pytest.mark.slow
def test_the_bundled_compendium():
    """Neutrophils and monocytes have factors of their own among 972 arrays of lupus blood."""
    compendium = otl.datasets.sle_pediatric()
    otl.tl.plier(compendium, otl.datasets.gene_sets("blood", "reactome"), rng=0, progress=False)
    cells = otl.metrics.separation(compendium, ["Neutrophil"], ["Monocyte"])
    assert cells.separated
    interferon = otl.metrics.separation(compendium, *INTERFERON)
    assert interferon.separated
    assert interferon.first_auc > 0.9
