"""Bad input to `tl.plier`: every message says what, got, allowed and the way out, and nothing of the object is changed."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import omicstl as otl
from tests.contract.cases import FIT, cohort, fitted, gene_sets, plier
from tests.support import refusals
from tests.support.refusals import renamed
from tests.support.snapshots import changes, snapshot

SETS = gene_sets()
GENE = SETS["SET01"][0]


def column(adata, gene=GENE):
    return adata.var_names.get_loc(gene)


def with_value(value, row=3):
    adata = cohort()
    adata.X[row, column(adata)] = value
    return adata


def with_x(x):
    source = cohort()
    return ad.AnnData(x(source.X), source.obs, source.var)


def constant(genes, value=0.0):
    adata = cohort()
    for gene in genes:
        adata.X[:, column(adata, gene)] = value
    return adata


def refused(adata, error, words, **options):
    sets = options.pop("gene_sets", SETS)
    refusals.refused(otl.tl.plier, adata, error, words, sets, **{**FIT, **options})


DATA = {
    "no shared gene": (lambda: renamed(cohort(), lambda n: [f"X{g}" for g in n]), ValueError, ["No gene is shared", "adata.var_names", "gene_sets", "'XGENE001'", "'GENE"]),
    "ensembl": (lambda: renamed(cohort(), lambda n: [f"ENSG{i:011d}" for i in range(len(n))]), ValueError, ["human Ensembl gene ids", "gene symbols", r"otl.datasets.gene_identifiers\(\)"]),
    "ensembl with a version": (lambda: renamed(cohort(), lambda n: [f"ENSG{i:011d}.3" for i in range(len(n))]), ValueError, ["with a version", "Cut the versions off"]),
    "row numbers": (lambda: renamed(cohort(), lambda n: [str(i) for i in range(len(n))]), ValueError, ["only row numbers", "set them to the gene names"]),
    "lower case": (lambda: renamed(cohort(), lambda n: [g.lower() for g in n]), ValueError, ["No gene is shared", "upper and lower case"]),
    "duplicated names": (lambda: renamed(cohort(), lambda n: [*n[:-1], n[0]]), ValueError, ["not unique", "'GENE001'", r"var_names_make_unique\(\)"]),
    "NaN": (lambda: with_value(np.nan), ValueError, ["adata.X contains 1 NaN value", "'S04'", f"'{GENE}'", "Impute"]),
    "infinite": (lambda: with_value(-np.inf), ValueError, ["1 infinite value", "'S04'", f"'{GENE}'", "Impute"]),
    "huge": (lambda: with_value(1e20), ValueError, [r"1e\+20", "overflow", r"at most 1e\+15", "coded as huge numbers"]),
    "object": (lambda: with_x(lambda x: x.astype(object)), TypeError, ["dtype object", "real numbers", r"astype\('float32'\)"]),
    "boolean": (lambda: with_x(lambda x: x > 9), TypeError, ["dtype bool", "real numbers", r"astype\('float32'\)"]),
    "complex": (lambda: with_x(lambda x: x + 1j), TypeError, ["dtype complex", "real part"]),
    "no matrix": (lambda: with_x(lambda x: None), ValueError, ["adata.X is None", "no layers"]),
    "three samples": (lambda: cohort()[:3].copy(), ValueError, ["at least 4 observations, got 3", r"otl.tl.project\(adata, reference\)"]),
    "a single sample": (lambda: cohort()[:1].copy(), ValueError, ["at least 4 observations, got 1", "otl.tl.project"]),
    "as many factors as samples": (lambda: cohort()[:4].copy(), ValueError, ["`n_factors` must be below", "4 factors for 4 observations", "at most 3", "None"]),
    "no genes": (lambda: cohort()[:, :0].copy(), ValueError, ["0 variables", "at least one"]),
    "no samples": (lambda: cohort()[:0].copy(), ValueError, ["0 observations", "at least one"]),
    "constant data": (lambda: with_x(np.ones_like), ValueError, ["No gene set keeps 10 genes that vary", "158 of 158", "right layer"]),
}  # fmt: skip


@pytest.mark.parametrize("name", DATA)
def test_data(name):
    make, error, words = DATA[name]
    refused(make(), error, words)


def test_what_is_no_anndata():
    with pytest.raises(TypeError, match="`adata` must be an AnnData, got DataFrame.*anndata.AnnData"):
        otl.tl.plier(cohort().to_df(), SETS)


def few(n):
    return {"small": SETS["SET01"][:n]}


SOURCES = {
    "no sets": ({}, ValueError, ["`gene_sets` is empty: 0 sets", "at least one set"]),
    "sets without genes": ({"a": []}, ValueError, ["`gene_sets` is empty: 1 sets", "at least one set"]),
    "sets below min_genes": (few(9), ValueError, ["None of the 1 sets", "min_genes=10", "'small', has 9", "Lower min_genes to at most 9"]),
    "a name of a collection": ("reactome", ValueError, ["got the string 'reactome'", r"otl.datasets.gene_sets\('reactome'\)"]),
    "a number": (3, TypeError, ["`gene_sets` must be", "a path", "dict", "of type int"]),
    "a string for genes": ({"a": "CD3E"}, TypeError, ["set 'a' must be a list of names, got str", "Write"]),
    "numbers for genes": ({"a": [1, 2]}, TypeError, ["non-empty strings", "'a' holds 1"]),
    "weights": (pd.DataFrame({"a": [0.5, 1.0]}, index=["GENE001", "GENE002"]), ValueError, ["only 0 and 1", "0.5", "'GENE001'", "table != 0"]),
    "no file": ("nothing.gmt", FileNotFoundError, ["no file", "nothing.gmt", "gene_sets"]),
}  # fmt: skip


@pytest.mark.parametrize("name", SOURCES)
def test_sources_of_gene_sets(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source, error, words = SOURCES[name]
    refused(cohort(), error, words, gene_sets=source)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("SET1 description CD3E CD2\n", ["line 1", "tabs", r"1 field"]),
        ("SET1\tx\tCD3E\nSET1\ty\tCD2\n", ["line 2", "'SET1' stands on line 1", "Rename"]),
        ("a\tb\tc\n\nonly\tthis\n", ["line 3", "got 'only"]),
        ("", ["`gene_sets` is empty"]),
        ("\x89PNG\x00", ["line 1"]),
        (b"\x1f\x8bnot gzip", ["not a readable GMT file", "fetch it again"]),
    ],
)
def test_malformed_gmt(content, words, tmp_path):
    path = tmp_path / "sets.gmt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    refused(cohort(), ValueError, words, gene_sets=path)


OPTIONS = {
    "n_factors": (1, ValueError, ["`n_factors` must be >= 2, got 1", "None"]),
    "n_factors ": (4.5, TypeError, ["`n_factors` must be an integer", "float"]),
    "annotated_fraction": (70, ValueError, [">= 0 and <= 1, got 70"]),
    "max_rank": (0, ValueError, ["`max_rank` must be >= 1"]),
    "selection": ("compleet", ValueError, ["'complete', 'fast', got 'compleet'", "Did you mean 'complete'"]),
    "holdout": (0, ValueError, ["> 0 and <= 0.5, got 0", "honest"]),
    "prior_weight": (0.0, ValueError, ["`prior_weight` must be > 0, got 0.0", "None"]),
    "score_penalty": (-1, ValueError, ["`score_penalty` must be > 0, got -1", "None"]),
    "set_penalty": (np.nan, ValueError, ["`set_penalty` must be > 0, got nan"]),
    "init": ("signs", ValueError, ["'svd', 'random', got 'signs'"]),
    "tol": (-1e-6, ValueError, ["`tol` must be >= 0"]),
    "max_iter": (5, ValueError, ["`max_iter` must be >= 20 and <= 100000, got 5", "iteration 20"]),
    "min_genes": (0, ValueError, ["`min_genes` must be >= 1"]),
    "layer": ("log1", KeyError, ["'log1' not found in adata.layers", "Did you mean 'log1p'", "Available"]),
    "layer ": (3, TypeError, ["`layer` must be a string or None, got 3"]),
    "key_added": ("my factors", ValueError, ["letters, digits and underscores", "Use 'my_factors'"]),
    "rng": (-1, ValueError, ["`rng` must be >= 0", "rng=0"]),
    "rng ": ("zero", TypeError, ["`rng` must be an integer", "'zero'"]),
    "copy": ("yes", TypeError, ["`copy` must be True or False, got 'yes'"]),
    "progress": ("yes", TypeError, ["`progress` must be True or False or None, got 'yes'"]),
    "model_path": ("no/such/folder.npz", FileNotFoundError, ["folder", "does not exist", "create it"]),
    "model_path ": (".", IsADirectoryError, ["must be a file, got the folder", "plier.npz"]),
    "init_scores": (np.ones((40, 4)), ValueError, [r"shape \(4, 40\)", r"got \(40, 4\)", "transpose"]),
    "init_scores ": (np.full((4, 40), np.nan), ValueError, ["NaN or infinite"]),
    "init_scores  ": (np.zeros((4, 40)), ValueError, ["4 factors of zeros"]),
    "init_scores   ": ("svd", TypeError, ["a numpy array"]),
    "holdout_prior": ({"SET01": SETS["SET01"]}, ValueError, ["lacks 11 of the 12 gene sets", "fewer members"]),
    "holdout_prior ": ({k: [*v, "GENE001", "GENE002"] for k, v in SETS.items()}, ValueError, ["memberships that `gene_sets` lacks"]),
}  # fmt: skip


@pytest.mark.parametrize("name", OPTIONS)
def test_options(name):
    value, error, words = OPTIONS[name]
    adata = cohort()
    adata.layers["log1p"] = adata.X.copy()
    refused(adata, error, words, **{name.strip(): value})


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("init", {"init": "random", "init_scores": np.ones((4, 40))}),
        ("holdout", {"holdout": 0.3, "holdout_prior": SETS}),
        ("annotated_fraction", {"annotated_fraction": 0.5, "set_penalty": 0.01}),
    ],
)
def test_an_option_without_use_is_refused(name, options):
    refused(cohort(), ValueError, [f"`{name}` has no use beside", "Leave one of the two out"], **options)


def test_more_factors_than_genes():
    sets = {"a": list(cohort().var_names[:12])}
    refused(cohort(), ValueError, ["at most 12, got 20", "12 genes"], gene_sets=sets, n_factors=20)
    adata = cohort()
    otl.tl.plier(adata, sets, n_factors=None, max_iter=60, tol=1e-2)  # the rule stays below by itself
    assert adata.obsm["plier"].shape[1] <= 12


def test_more_factors_than_distinct_observations():
    """Twenty samples, each twice, have nineteen directions."""
    half = cohort().X[:20]
    adata = with_x(lambda x: np.concatenate([half, half]))
    refused(adata, ValueError, ["at most 19, got 25", "repeated observations"], n_factors=25)
    plier(adata, n_factors=10)
    assert np.isfinite(adata.obsm["plier"]).all()


def test_a_model_that_is_too_large_is_refused_before_the_fit(monkeypatch):
    def never(*args, **kwargs):
        raise AssertionError

    monkeypatch.setattr("omicstl.kernels.loop.run", never)
    with otl.settings.override(model_in_adata=1000):
        refused(
            cohort(),
            ValueError,
            ["The model would take", "model_path='plier.npz'", "fewer `n_factors`", "settings.model_in_adata"],
        )


SUSPECT = {
    "raw counts": (lambda: with_x(lambda x: np.round(2**x)), r"(?s)looks like raw counts.*sc\.pp\.log1p"),
    "integers": (lambda: with_x(lambda x: np.round(100 * x).astype(np.int32)), "looks like raw counts"),
    "not logarithmic": (lambda: with_x(lambda x: 2**x + 0.5), r"(?s)not a logarithmic scale.*sc\.pp\.log1p"),
}


@pytest.mark.parametrize("name", SUSPECT)
def test_scale_warnings(name):
    make, text = SUSPECT[name]
    adata = make()
    with pytest.warns(otl.ScaleWarning, match=text):
        plier(adata)
    assert np.isfinite(adata.obsm["plier"]).all()
    again = make()
    before = snapshot(again)
    with pytest.raises(otl.ScaleWarning):  # a pipeline that makes it an error
        plier(again)
    assert not changes(before, snapshot(again))


@pytest.mark.parametrize("kind", ["negative", "integer", "float64", "float16"])
def test_odd_but_usable_data(kind):
    change = {
        "negative": lambda x: x - 20,
        "integer": lambda x: np.round(x - 9).astype(np.int64),  # small integers below zero are no counts
        "float64": lambda x: x.astype(np.float64),
        "float16": lambda x: x.astype(np.float16),
    }[kind]
    adata, plain = with_x(change), cohort()
    plier(adata)
    plier(plain)
    assert adata.obsm["plier"].dtype == np.float32
    close = 1e-3 if kind in ("negative", "float64") else 0.1
    if kind != "integer":
        np.testing.assert_allclose(
            adata.obsm["plier"], plain.obsm["plier"], atol=close * np.abs(plain.obsm["plier"]).max()
        )


@pytest.mark.parametrize("layout", [np.asarray, sp.csr_matrix], ids=["dense", "csr"])
def test_constant_genes_are_named_and_left_out(layout):
    """The answer is that of data without them."""
    genes = [SETS["SET01"][0], SETS["SET02"][1]]
    adata = constant(genes[:1])
    adata.X[:, column(adata, genes[1])] = 5
    adata.X = layout(adata.X)
    with pytest.warns(
        UserWarning,
        match=rf"2 genes with one value in all observations \(1 of them all zero\).*'{genes[0]}', '{genes[1]}'",
    ):
        plier(adata)
    model = otl.get.model(adata)
    assert not set(genes) & set(model.features)
    assert np.isfinite(adata.obsm["plier"]).all()
    assert not adata.varm["plier"][[column(adata, gene) for gene in genes]].any()
    without = cohort()
    without = without[:, [gene not in genes for gene in without.var_names]].copy()
    plier(without)
    np.testing.assert_allclose(model.loadings, otl.get.model(without).loadings, atol=1e-4)


def test_a_set_that_loses_its_genes_to_constants_is_reported():
    adata = constant(SETS["SET01"][:-5])
    with pytest.warns(UserWarning, match="with one value in all observations"):
        plier(adata)
    assert "SET01" not in otl.get.model(adata).sets
    lost = adata.uns["plier"]["lost_sets"].set_index("set")["n_genes"]
    assert lost["SET01"] == 5


def test_lost_sets_and_genes_are_reported():
    adata = cohort()
    sets = {**SETS, "tiny": SETS["SET01"][:3], "foreign": [*SETS["SET01"][:4], "NOT-HERE"]}
    otl.tl.plier(adata, sets, **FIT)
    entry = adata.uns["plier"]
    assert entry["lost_genes"].tolist() == ["NOT-HERE"]
    assert dict(zip(entry["lost_sets"]["set"], entry["lost_sets"]["n_genes"], strict=True)) == {"tiny": 3, "foreign": 4}


def test_a_run_that_does_not_converge_says_so_and_as_an_error_changes_nothing():
    adata = cohort()
    with pytest.warns(otl.ConvergenceWarning, match="did not converge in 25.*Raise `max_iter`.*looser `tol`"):
        plier(adata, max_iter=25, tol=1e-9)
    assert adata.uns["plier"]["converged"] is False
    assert adata.uns["plier"]["stopped"] == "max_iter"
    assert adata.uns["plier"]["n_iter"] == 25
    refused(fitted(), otl.ConvergenceWarning, ["max_iter"], max_iter=25, tol=1e-9)


def test_a_view_that_is_refused_stays_a_view():
    parent = with_value(np.nan)
    view = parent[:20]
    refused(view, ValueError, ["1 NaN value"])
    assert view.is_view


def test_mudata_is_told_to_pass_a_modality():
    class MuData:
        uns: dict = {}

    with pytest.raises(TypeError, match=r"got MuData. Pass one modality, e.g. mdata\['rna'\]"):
        otl.tl.plier(MuData(), SETS)
