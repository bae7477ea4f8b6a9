"""`tl.enrich` and `get.enrichment`: what is read, tested and written, on planted sets and against scipy."""

from __future__ import annotations

import logging

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import stats

import omicstl as otl
from tests.contract.cases import fitted, gene_sets, query
from tests.support.refusals import refused, renamed
from tests.support.snapshots import changes, snapshot

N_GENES = 300
GENES = [f"G{i}" for i in range(N_GENES)]
COLUMNS = ["factor", "direction", "set", "n_overlap", "n_set", "n_top", "odds_ratio", "p", "fdr", "genes"]


def planted(n_factors=4, seed=0, **varm):
    """Factors over 300 genes, of which the first 20 are outside of the model; "UP" and "DOWN" are on either side of factor 1."""
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(N_GENES, n_factors)).astype(np.float32)
    weights[:20] = 0
    weights[30:50, 1] = np.linspace(9, 5, 20)
    weights[60:90, 1] = -6
    names = [f"F{i}" for i in range(n_factors)]
    adata = ad.AnnData(np.zeros((3, N_GENES), dtype=np.float32), var=pd.DataFrame(index=GENES))
    adata.obsm["vae"] = np.zeros((3, n_factors), dtype=np.float32)
    adata.uns["vae"] = {"kind": "vae", "version": 1, "names": np.array(names, dtype=object)}
    for name, value in (varm or {"vae": weights}).items():
        adata.varm[name] = value
    return adata


def sets(n_random=10, seed=1):
    """The two planted sets, and random ones; each also has genes outside of the model, and of no data."""
    rng = np.random.default_rng(seed)
    lists = {"UP": GENES[:5] + GENES[30:45] + ["X1"], "DOWN": GENES[60:85] + GENES[200:205]}
    return lists | {f"R{i}": [*rng.choice(GENES, 25, replace=False), "X2"] for i in range(n_random)}


def test_planted_sets_are_found_on_their_sides():
    adata = planted()
    assert otl.tl.enrich(adata, sets(), n_top=20) is None
    table = adata.uns["vae_enrichment"]["table"]
    assert table.columns.tolist() == COLUMNS
    assert table[["factor", "direction", "set"]].to_numpy().tolist() == [
        ["F1", "negative", "DOWN"],
        ["F1", "positive", "UP"],
    ]
    counts = table[["n_overlap", "n_set", "n_top"]].to_numpy().tolist()
    assert counts == [[25, 30, 30], [15, 15, 20]]  # -6 is tied 30 times
    assert np.isinf(table["odds_ratio"].iloc[1])
    assert table["genes"].iloc[1] == ", ".join(GENES[30:40])  # the largest weights first, ten of them
    params = adata.uns["vae_enrichment"]["params"]
    assert (params["n_genes"], params["n_sets"], params["n_lists"], params["n_tests"]) == (280, 12, 8, 96)
    assert params["weights"] == "loadings"


@pytest.mark.parametrize("sign", ["both", "positive", "negative", "absolute"])
def test_the_table_is_scipys(sign):
    """From the names of genes to p and FDR, in plain loops."""
    adata, lists = planted(seed=3), sets(seed=4)
    otl.tl.enrich(adata, lists, n_top=30, sign=sign, fdr=1)
    table = adata.uns["vae_enrichment"]["table"]
    weights = pd.DataFrame(adata.varm["vae"], index=GENES, columns=[f"F{i}" for i in range(4)]).iloc[20:]
    rows = {}
    for factor in weights:
        turned = {"positive": weights[factor], "negative": -weights[factor], "absolute": weights[factor].abs()}
        for side in ["positive", "negative"] if sign == "both" else [sign]:
            largest = turned[side].nlargest(30, keep="all")
            top = set(largest[largest > 0].index)
            for name, members in lists.items():
                inside = set(members) & set(weights.index)
                a, b, c = len(top & inside), len(inside - top), len(top - inside)
                test = stats.fisher_exact([[a, b], [c, 280 - a - b - c]], alternative="greater")
                rows[factor, side, name] = (a, a + b, a + c, test.statistic, min(test.pvalue, 1))
    wanted = pd.DataFrame(rows, index=["n_overlap", "n_set", "n_top", "odds_ratio", "p"]).T
    wanted["fdr"] = stats.false_discovery_control(wanted["p"])
    assert adata.uns["vae_enrichment"]["params"]["n_tests"] == len(wanted)
    wanted = wanted[wanted["n_overlap"] > 0]
    got = table.set_index(["factor", "direction", "set"]).drop(columns="genes").astype(float)
    assert len(got) == len(wanted)
    pd.testing.assert_frame_equal(got, wanted.loc[got.index], check_names=False, check_index_type=False, rtol=1e-9)
    assert table.groupby("factor", sort=False)["p"].apply(lambda p: p.is_monotonic_increasing).all()


def test_fdr_is_over_all_tests_whatever_is_written():
    adata = planted()
    otl.tl.enrich(adata, sets(), fdr=1)
    whole = adata.uns["vae_enrichment"]["table"]
    otl.tl.enrich(adata, sets(), fdr=0.3)
    part = adata.uns["vae_enrichment"]["table"]
    assert 0 < len(part) < len(whole)
    assert (whole["fdr"] > 0.3).any()
    pd.testing.assert_frame_equal(part, whole[whole["fdr"] <= 0.3].reset_index(drop=True).set_axis(part.index))


def test_the_number_of_top_genes_is_the_mean_size_of_the_sets():
    adata = planted()
    lists = sets()
    otl.tl.enrich(adata, lists)
    inside = [len(set(genes) & set(GENES[20:])) for genes in lists.values()]
    params = adata.uns["vae_enrichment"]["params"]
    assert params["n_top"] == round(np.mean(inside))
    assert params["requested"] is None
    otl.tl.enrich(adata, {**lists, "small": GENES[100:104]}, min_genes=4)
    params = adata.uns["vae_enrichment"]["params"]
    assert params["n_top"] == round(np.mean([*inside, 4]))
    assert params["n_sets"] == len(inside) + 1


def test_small_sets_are_left_out_and_told():
    adata = planted()
    otl.tl.enrich(adata, {**sets(), "small": [*GENES[:18], *GENES[40:44]]})  # 18 of its genes are not in the model
    lost = adata.uns["vae_enrichment"]["lost_sets"]
    assert lost.to_numpy().tolist() == [["small", 4]]
    otl.tl.enrich(adata, sets())
    assert adata.uns["vae_enrichment"]["lost_sets"].shape == (0, 2)


def test_attributions_come_before_loadings():
    loadings, attributions = planted(seed=1).varm["vae"], planted(seed=2).varm["vae"]
    both, one = planted(vae=loadings, vae_attributions=attributions), planted(vae=attributions)
    for adata in (both, one):
        otl.tl.enrich(adata, sets(), fdr=1)
    assert both.uns["vae_enrichment"]["params"]["weights"] == "attributions"
    pd.testing.assert_frame_equal(both.uns["vae_enrichment"]["table"], one.uns["vae_enrichment"]["table"])
    only = planted(vae_attributions=attributions)
    otl.tl.enrich(only, sets(), fdr=1)
    pd.testing.assert_frame_equal(only.uns["vae_enrichment"]["table"], one.uns["vae_enrichment"]["table"])


def test_the_sign_of_a_factor_changes_only_the_direction():
    one, other = planted(), planted()
    other.varm["vae"] = -other.varm["vae"]
    for adata in (one, other):
        otl.tl.enrich(adata, sets(), fdr=1)
    swapped = other.uns["vae_enrichment"]["table"].replace({"positive": "negative", "negative": "positive"})
    by = ["factor", "direction", "set"]
    pd.testing.assert_frame_equal(
        one.uns["vae_enrichment"]["table"].sort_values(by, ignore_index=True), swapped.sort_values(by, ignore_index=True),
        check_index_type=False,
    )  # fmt: skip


def test_scale_and_order_of_genes_do_not_matter():
    one = planted()
    order = np.random.default_rng(0).permutation(N_GENES)
    other = one[:, order].copy()
    other.varm["vae"] = other.varm["vae"] * np.array([2.0, 0.5, 64, 1], dtype=np.float32)
    for adata in (one, other):
        otl.tl.enrich(adata, sets(), fdr=1)
    drop = ["genes"]  # those of equal weights are named in the order of the data
    by = ["factor", "direction", "set"]
    pd.testing.assert_frame_equal(
        *(a.uns["vae_enrichment"]["table"].drop(columns=drop).sort_values(by, ignore_index=True) for a in (one, other)),
        check_index_type=False,
    )


@pytest.mark.parametrize("form", ["list", "integers", "table", "sparse"])
def test_weights_in_other_forms(form):
    import scipy.sparse as sp

    adata, other = planted(), planted()
    w = np.rint(adata.varm["vae"] * 100)
    adata.varm["vae"] = w
    other.varm["vae"] = {
        "list": w.astype(np.float64),
        "integers": w.astype(np.int32),
        "table": pd.DataFrame(w, index=GENES, columns=list("abcd")),
        "sparse": sp.csr_matrix(w),
    }[form]
    for a in (adata, other):
        otl.tl.enrich(a, sets(), fdr=1)
    pd.testing.assert_frame_equal(adata.uns["vae_enrichment"]["table"], other.uns["vae_enrichment"]["table"])


def test_gene_sets_in_any_form(tmp_path):
    lists = {name: list(dict.fromkeys(genes)) for name, genes in sets().items()}
    otl.io.write_gmt(tmp_path / "sets.gmt", lists)
    tidy = pd.DataFrame([(name, gene) for name, genes in lists.items() for gene in genes], columns=["source", "target"])
    tables = []
    for form in (lists, tmp_path / "sets.gmt", tidy):
        adata = planted()
        otl.tl.enrich(adata, form, fdr=1)
        tables.append(adata.uns["vae_enrichment"]["table"])
    pd.testing.assert_frame_equal(tables[0], tables[1])
    pd.testing.assert_frame_equal(tables[0], tables[2])


def test_random_sets_are_found_no_more_often_than_said():
    """60 collections of random sets: p is conservative, as tests of whole numbers are, and FDR finds next to nothing."""
    n_small = n_found = n_tests = 0
    for seed in range(60):
        adata = planted(seed=seed, n_factors=6)
        otl.tl.enrich(adata, {k: v for k, v in sets(seed=seed, n_random=20).items() if k.startswith("R")}, fdr=1)
        table = adata.uns["vae_enrichment"]["table"]
        n_tests += adata.uns["vae_enrichment"]["params"]["n_tests"]
        n_small += (table["p"] < 0.05).sum()
        n_found += (table["fdr"] < 0.05).any()
    assert 0.015 < n_small / n_tests < 0.05
    assert n_found <= 6


def test_a_factor_without_weights_is_no_test(caplog):
    adata = planted()
    adata.varm["vae"][:, 2] = 0
    adata.varm["vae"][:, 3] = np.maximum(adata.varm["vae"][:, 3], 0)
    with otl.settings.override(verbosity=2), caplog.at_level(logging.INFO, logger="omicstl"):
        otl.tl.enrich(adata, sets())
    assert adata.uns["vae_enrichment"]["params"]["n_lists"] == 5
    assert adata.uns["vae_enrichment"]["params"]["n_tests"] == 5 * 12
    assert "Not tested, because no gene has such a weight: 'F2'." in caplog.text
    assert "of 60 pairs with FDR <= 0.05" in caplog.text
    assert otl.get.enrichment(adata, "F2").empty


def test_loadings_of_plier_find_their_sets_again_and_say_so(caplog):
    adata = fitted()
    with otl.settings.override(verbosity=2), caplog.at_level(logging.INFO, logger="omicstl"):
        otl.tl.enrich(adata, gene_sets())
    assert "have a weight on these factors: to find those again is circular" in caplog.text
    table = otl.get.enrichment(adata)
    assert set(table["direction"]) == {"positive"}
    named = {name: name.split(" ", 1)[1] for name in adata.uns["plier"]["names"] if " " in name}
    assert named
    for name, first in named.items():
        assert table[table["factor"] == name]["set"].iloc[0] == first


def test_loadings_come_from_the_model_where_varm_was_dropped():
    one, other = fitted(), fitted()
    del other.varm["plier"]
    for adata in (one, other):
        otl.tl.enrich(adata, gene_sets(), fdr=1)
    assert not changes(snapshot(one), {**snapshot(other), "varm/plier": snapshot(one)["varm/plier"]})
    del other.uns["plier"]["model"]
    refused(enrich, other, KeyError, ["neither 'plier_attributions' nor 'plier'"])


def test_a_projection_is_tested_on_its_own_genes():
    adata = query()[:, 20:].copy()
    otl.tl.project(adata, fitted())
    otl.tl.enrich(adata, gene_sets())
    params = adata.uns["plier_enrichment"]["params"]
    assert params["n_genes"] == (adata.varm["plier"] != 0).any(axis=1).sum() < 180
    assert len(otl.get.enrichment(adata)) > 0


def test_names_with_slashes_survive(tmp_path):
    adata = planted()
    adata.var_names = [f"HLA-{i}/β" for i in range(N_GENES)]
    adata.uns["vae"]["names"] = np.array([f"F/{i} é" for i in range(4)], dtype=object)
    rename = dict(zip(GENES, adata.var_names, strict=True))
    otl.tl.enrich(adata, {f"a/{k}": [rename.get(g, g) for g in v] for k, v in sets().items()})
    adata.write_h5ad(tmp_path / "a.h5ad")
    back = ad.read_h5ad(tmp_path / "a.h5ad")
    assert not changes(snapshot(adata), snapshot(back))
    assert "a/UP" in otl.get.enrichment(back, "F/1 é")["set"].tolist()


def enrich(adata, gene_sets=None, **options):
    return otl.tl.enrich(adata, sets() if gene_sets is None else gene_sets, **options)


def with_weights(change):
    adata = planted()
    adata.varm["vae"] = change(adata.varm["vae"])
    return adata


def put(value):
    def change(w):
        w = w.copy()
        w[100, 2] = value
        return w

    return change


REFUSED = {
    "unknown key": (planted, {"key": "vea"}, KeyError, ["'vea' not found in factor scores", "Did you mean 'vae'"]),
    "no factors": (query, {}, KeyError, ["holds no factor scores"]),
    "sign": (planted, {"sign": "abs"}, ValueError, ["`sign` must be one of 'both', 'positive', 'negative', 'absolute', got 'abs'"]),
    "n_top of 0": (planted, {"n_top": 0}, ValueError, ["`n_top` must be >= 1, got 0"]),
    "n_top of a wrong kind": (planted, {"n_top": 2.5}, TypeError, ["`n_top` must be an integer"]),
    "n_top of all": (planted, {"n_top": 280}, ValueError, ["n_top=280 is not below the 280 genes", "smaller n_top"]),
    "min_genes": (planted, {"min_genes": 0}, ValueError, ["`min_genes` must be >= 1"]),
    "fdr of 0": (planted, {"fdr": 0}, ValueError, ["`fdr` must be > 0 and <= 1, got 0"]),
    "fdr of 5": (planted, {"fdr": 5}, ValueError, ["`fdr` must be > 0 and <= 1, got 5"]),
    "copy": (planted, {"copy": 1}, TypeError, ["`copy` must be True or False"]),
    "key_added": (planted, {"key_added": "my sets"}, ValueError, ["letters, digits", "Use 'my_sets'"]),
    "key_added of the scores": (planted, {"key_added": "vae"}, ValueError, [r"uns\['vae'\] holds something else", "key_added='vae_enrichment'"]),
    "no weights": (lambda: planted(other=np.ones((N_GENES, 4))), {}, KeyError, ["neither 'vae_attributions' nor 'vae'", r"Available: \['other'\]", r"otl.tl.attributions\(adata, key='vae'\)"]),
    "weights of other factors": (lambda: with_weights(lambda w: w[:, :3]), {}, ValueError, [r"shape \(300, 3\), but 'vae' has 4 factors"]),
    "NaN": (lambda: with_weights(put(np.nan)), {}, ValueError, [r"varm\['vae'\] holds values that are not finite"]),
    "infinite": (lambda: with_weights(put(np.inf)), {}, ValueError, ["not finite"]),
    "text": (lambda: with_weights(lambda w: w.astype(str).astype(object)), {}, ValueError, ["not finite numbers"]),
    "all zero": (lambda: with_weights(np.zeros_like), {}, ValueError, [r"All weights in adata.varm\['vae'\] are zero"]),
    "all zero by size": (lambda: with_weights(np.zeros_like), {"sign": "absolute"}, ValueError, ["are zero"]),
    "no negative": (lambda: with_weights(np.abs), {"sign": "negative"}, ValueError, [r"No weight in adata.varm\['vae'\] is negative", "sign='positive' or 'both'"]),
    "no gene": (planted, {"gene_sets": {"A": ["Cd3e", "Cd2"]}}, ValueError, [r"No gene is shared by the genes of adata.varm\['vae'\]"]),
    "small sets": (planted, {"gene_sets": {"A": GENES[30:35]}}, ValueError, ["None of the 1 sets", "min_genes=10", "has 5"]),
    "outside of the model": (planted, {"gene_sets": {"A": GENES[:20]}}, ValueError, ["No gene is shared"]),
    "sets of all genes": (planted, {"gene_sets": {"A": GENES}}, ValueError, ["The mean size of the 1 sets, 280, is not below the 280 genes"]),
    "no sets": (planted, {"gene_sets": {}}, ValueError, ["`gene_sets` is empty"]),
    "a list": (planted, {"gene_sets": ["G1"]}, TypeError, ["of type list"]),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    make, options, error, words = REFUSED[name]
    refused(enrich, make(), error, words, **options)


def test_genes_that_are_there_twice():
    adata = planted()
    renamed(adata, lambda names: ["G299", *names[1:]])
    otl.tl.enrich(adata, sets())  # the other one is outside of the model
    renamed(adata, lambda names: [*names[:-1], "G30"])
    refused(enrich, adata, ValueError, ["must be unique, got 'G30' more than once"])


def test_other_objects():
    with pytest.raises(TypeError, match="AnnData"):
        otl.tl.enrich(pd.DataFrame({"a": [1]}), sets())
    with pytest.raises(TypeError, match="AnnData"):
        otl.get.enrichment(pd.DataFrame({"a": [1]}))


def test_the_reader():
    adata = planted()
    with pytest.raises(KeyError, match=r"holds no enrichment. Run otl.tl.enrich"):
        otl.get.enrichment(adata)
    otl.tl.enrich(adata, sets(), fdr=1)
    before = snapshot(adata)
    table = otl.get.enrichment(adata)
    assert table["p"].is_monotonic_increasing
    assert table.index.tolist() == list(range(len(table)))
    one = otl.get.enrichment(adata, "F1", key="vae_enrichment", max_fdr=0.05)
    assert one["factor"].unique().tolist() == ["F1"]
    assert (one["fdr"] < 0.05).all()
    assert 0 < len(one) < len(otl.get.enrichment(adata, "F1")) < len(table)
    one["p"] = 0.0
    assert not changes(before, snapshot(adata))
    with pytest.raises(KeyError, match="'F11' not found in factors of 'vae_enrichment'"):
        otl.get.enrichment(adata, "F11")
    with pytest.raises(KeyError, match="Did you mean 'vae_enrichment'"):
        otl.get.enrichment(adata, key="vae_enrichments")
    with pytest.raises(ValueError, match="`max_fdr` must be >= 0 and <= 1"):
        otl.get.enrichment(adata, max_fdr=2)
    with pytest.raises(TypeError, match="`factor` must be a string or None"):
        otl.get.enrichment(adata, 1)


def test_the_reader_of_several():
    adata = planted()
    otl.tl.enrich(adata, sets(), key_added="second", fdr=1)
    assert otl.get.enrichment(adata).equals(otl.get.enrichment(adata, key="second"))
    otl.tl.enrich(adata, sets(), n_top=5)
    assert otl.get.enrichment(adata).equals(otl.get.enrichment(adata, key="vae_enrichment"))  # the default name
    otl.tl.enrich(adata, sets(), key_added="third")
    del adata.uns["vae_enrichment"]
    with pytest.raises(KeyError, match="2 enrichments: 'second', 'third'. Say which one: key='second'"):
        otl.get.enrichment(adata)


def test_another_run_takes_the_place_of_the_first():
    adata = planted()
    otl.tl.enrich(adata, sets())
    otl.tl.enrich(adata, {"only": GENES[100:130]})
    assert adata.uns["vae_enrichment"]["params"]["n_sets"] == 1
    new = otl.tl.enrich(adata, sets(), copy=True)
    assert new.uns["vae_enrichment"]["params"]["n_sets"] == 12
    assert adata.uns["vae_enrichment"]["params"]["n_sets"] == 1


def test_the_records_sentence():
    text = otl.cite("enrich")
    assert "Fisher's exact test" in text
    assert "@article{Rivals2007" in text
    assert "@article{Goeman2007" in text
