"""Variables under other identifiers, against groups of pandas; what is left out, kept and told."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given, settings as hypothesis_settings, strategies as st

import omicstl as otl
from tests.support.names import NEW, TABLE, WAY, counts, dense, make, refused
from tests.support.snapshots import changes, snapshot

LAYOUTS = {"dense": np.asarray, "csr": sp.csr_matrix, "csc": sp.csc_matrix, "csr array": sp.csr_array}


def oracle(frame, how):
    """Groups of pandas, in the order of first appearance."""
    new = [NEW.get(name) for name in frame.columns]
    grouped = frame.T[[name is not None for name in new]].groupby([n for n in new if n], sort=False)
    return getattr(grouped, how)().T


@pytest.mark.parametrize("layout", LAYOUTS)
def test_counts_are_summed_and_logarithms_averaged(layout):
    adata = counts()
    adata.layers["log"] = LAYOUTS[layout](np.log1p(adata.X))
    adata.X = LAYOUTS[layout](adata.X)
    frame, logs = adata.to_df(), adata.to_df(layer="log")
    assert otl.pp.map_features(adata, TABLE, **WAY) is None
    wanted = oracle(frame, "sum")
    assert adata.var_names.tolist() == wanted.columns.tolist() == ["A", "B", "C", "D", "E", "F"]
    assert adata.X.dtype == adata.layers["log"].dtype == np.float32
    assert type(adata.X) is type(LAYOUTS[layout](np.ones((2, 2)))) is type(adata.layers["log"])
    np.testing.assert_array_equal(dense(adata.X), wanted)
    np.testing.assert_allclose(dense(adata.layers["log"]), oracle(logs, "mean"), rtol=1e-6)
    assert adata.uns["map_features"]["rules"].to_numpy().tolist() == [
        ["adata.X", "sum"],
        ["adata.layers['log']", "mean"],
    ]
    assert adata.var["number"].tolist() == [0, 1, 4, 6, 8, 9]  # of the first


@pytest.mark.parametrize("how", ["sum", "mean"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_rule_that_is_given(how, layout):
    adata = make(np.random.default_rng(1).normal(size=(7, 12)))
    frame = adata.to_df()
    adata.X = LAYOUTS[layout](adata.X)
    otl.pp.map_features(adata, TABLE, duplicates=how, **WAY)
    assert adata.X.dtype == np.float64
    np.testing.assert_allclose(dense(adata.X), oracle(frame, how), rtol=1e-12)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_largest_keeps_one_variable_of_each_name_in_all_matrices(layout):
    adata = counts()
    adata.X[:, 5] = adata.X[:, 0] + 1
    adata.X[:, 7] += 9
    adata.layers["other"] = LAYOUTS[layout](adata.X[::-1].copy())
    adata.varm["mine"] = np.arange(12.0)[:, None]
    frame = adata.to_df()
    adata.X = LAYOUTS[layout](adata.X)
    otl.pp.map_features(adata, TABLE, duplicates="largest", **WAY)
    assert adata.var["number"].tolist() == adata.varm["mine"].ravel().tolist() == [5, 7, 4, 6, 8, 9]
    np.testing.assert_array_equal(dense(adata.X), frame.iloc[:, [5, 7, 4, 6, 8, 9]])
    np.testing.assert_array_equal(dense(adata.layers["other"]), frame.to_numpy()[::-1, [5, 7, 4, 6, 8, 9]])
    assert adata.uns["map_features"]["params"]["duplicates"] == "largest"


def test_the_report():
    adata = counts()
    adata.uns["note"] = {"kept": 1}
    adata.obsm["mine"] = np.ones((7, 2))
    adata.varm["gone"] = np.ones((12, 1))
    adata.varp["pairs"] = np.ones((12, 12))
    adata.raw = adata
    otl.pp.map_features(adata, TABLE, **WAY)
    report = adata.uns["map_features"]
    assert (report["kind"], report["version"]) == ("map_features", 1)
    assert report["unmapped"].tolist() == ["old10", "old11"]
    assert report["ambiguous"].tolist() == ["old3"]
    pairs = [["old0", "A"], ["old1", "B"], ["old2", "B"], ["old5", "A"], ["old7", "B"]]
    assert report["merged"].to_numpy().tolist() == pairs
    assert report["dropped"].tolist() == ["raw", "varm['gone']", "varp['pairs']"]
    wanted = {"source": "old", "target": "new", "table": "own", "duplicates": "sum", "n_before": 12, "n_after": 6}
    wanted |= {
        "n_unmapped": 2,
        "n_ambiguous": 1,
        "n_merged": 5,
        "n_stay": 0,
        "n_retired": 0,
        "table_citation": None,
        "table_name": None,
    }
    assert report["params"] == wanted | {"keep_known": True}
    assert adata.raw is None
    assert (list(adata.varm), list(adata.varp)) == ([], [])
    assert adata.obsm["mine"].shape == (7, 2)
    assert adata.uns["note"] == {"kept": 1}
    assert adata.obs["group"].tolist() == list("abcdefg")
    text = otl.cite(adata).split("\n\n")
    assert "from 'old' to 'new' with omicstl" in text[0]
    assert "12 became 6; 2 without a partner and 1 with several were left out" in text[0]
    assert "and 5 that share a name were combined (sum)." in text[0]
    assert "Theodoris" not in "".join(text)


def test_a_mere_change_of_names_keeps_all_that_belongs_to_them():
    adata = counts(names=["old4", "old6", "old11", "old8"])
    adata.varm["kept"] = np.arange(4.0)[:, None]
    adata.layers["mask"] = adata.X > 1
    adata.raw = adata
    frame = adata.to_df()
    otl.pp.map_features(adata, TABLE, **WAY)
    assert adata.var_names.tolist() == ["C", "D", "E"]
    np.testing.assert_array_equal(adata.X, frame[["old4", "old6", "old8"]])
    assert adata.varm["kept"].ravel().tolist() == [0, 1, 3]
    assert adata.layers["mask"].dtype == bool
    assert adata.uns["map_features"]["dropped"].tolist() == ["raw"]
    assert adata.uns["map_features"]["params"]["duplicates"] is None
    assert "combined" not in otl.cite(adata)
    assert not len(adata.uns["map_features"]["merged"])


@given(
    order=st.permutations(range(12)),
    whole=st.booleans(),
    layout=st.sampled_from(sorted(LAYOUTS)),
    wide=st.sampled_from([np.float32, np.float64, np.int32]),
)
@hypothesis_settings(max_examples=25)
def test_the_order_of_variables_does_not_matter(order, whole, layout, wide):
    adata = counts()
    adata.X = (adata.X if whole else np.log1p(adata.X)).astype(wide)
    other = adata[:, order].copy()
    other.X = LAYOUTS[layout](other.X)
    otl.pp.map_features(adata, TABLE, **WAY)
    otl.pp.map_features(other, TABLE, **WAY)
    assert set(other.var_names) == set(adata.var_names)
    np.testing.assert_allclose(dense(other[:, adata.var_names].X), adata.X, rtol=1e-6)
    assert adata.X.dtype == other.X.dtype == wide


def test_the_total_is_conserved_but_for_what_is_left_out():
    adata = counts()
    left = adata[:, ["old3", "old10", "old11"]].X.sum()
    total = adata.X.sum()
    otl.pp.map_features(adata, TABLE, **WAY)
    assert adata.X.sum() == total - left
    assert left > 0


def test_twice_is_once():
    adata = counts()
    otl.pp.map_features(adata, TABLE, **WAY)
    again = otl.pp.map_features(adata, TABLE, key_added="again", copy=True, **WAY)
    np.testing.assert_array_equal(again.X, adata.X)
    assert again.var_names.tolist() == adata.var_names.tolist()
    assert again.uns["again"]["params"]["n_stay"] == 6
    assert "map_features" in again.uns
    refused(ValueError, "'new' hold one: they have the new names already", adata, TABLE, keep_known=False, **WAY)


def test_small_integers_do_not_overflow():
    adata = counts()
    adata.X = np.full((7, 12), 200, dtype=np.uint8)
    adata.layers["few"] = sp.csr_matrix(np.full((7, 12), 5, dtype=np.int16))
    otl.pp.map_features(adata, TABLE, **WAY)
    assert adata.X[0].tolist() == [400, 600, 200, 200, 200, 200]
    assert adata.layers["few"].dtype == np.int16
    assert adata.layers["few"].toarray()[0].tolist() == [10, 15, 5, 5, 5, 5]


def test_missing_values_stay_in_their_gene():
    adata = counts()
    adata.X[2, 0] = np.nan
    adata.layers["infinite"] = np.where(np.isnan(adata.X), np.inf, adata.X)
    otl.pp.map_features(adata, TABLE, **WAY)
    assert np.argwhere(np.isnan(adata.X)).tolist() == [[2, 0]]
    assert np.argwhere(np.isinf(adata.layers["infinite"])).tolist() == [[2, 0]]
    assert adata.uns["map_features"]["rules"]["rule"].tolist() == ["mean", "mean"]


def test_names_that_repeat_are_brought_together():
    adata = counts(names=["A", "A", "old0", "x", "x"])
    frame = adata.X.copy()
    otl.pp.map_features(adata, TABLE, **WAY)
    assert adata.var_names.tolist() == ["A"]
    np.testing.assert_array_equal(adata.X.ravel(), frame[:, :3].sum(axis=1))
    assert adata.uns["map_features"]["unmapped"].tolist() == ["x", "x"]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_views(layout):
    whole = counts()
    whole.X = LAYOUTS[layout](whole.X)
    whole.layers["log"] = whole.X.astype(np.float64) * 0.5
    before = snapshot(whole)
    for rows, columns in [(slice(1, 5), slice(None)), (slice(None), slice(1, 9)), ([6, 2], [7, 1, 3, 2])]:
        view = whole[rows, columns]
        actual = view.copy()
        copied = otl.pp.map_features(view, TABLE, copy=True, **WAY)
        assert view.is_view
        otl.pp.map_features(view, TABLE, **WAY)
        otl.pp.map_features(actual, TABLE, **WAY)
        assert not view.is_view
        assert not changes(snapshot(actual), snapshot(view))
        assert not changes(snapshot(actual), snapshot(copied))
    assert not changes(before, snapshot(whole))


@pytest.mark.parametrize("how", ["sum", "mean", "largest", None])
@pytest.mark.parametrize("kind", ["counts", "log", "integers", "sparse"])
def test_dask_stays_lazy(how, kind):
    da = pytest.importorskip("dask.array")
    adata = counts()
    if kind == "log":
        adata.X = np.log1p(adata.X)
    if kind == "integers":
        adata.X = adata.X.astype(np.int32)
    lazy = adata.copy()
    lazy.X = da.from_array(adata.X, chunks=(3, 5))
    if kind == "sparse":
        lazy.X = da.from_array(adata.X, chunks=(3, 12)).map_blocks(sp.csr_matrix)
    otl.pp.map_features(adata, TABLE, duplicates=how, **WAY)
    otl.pp.map_features(lazy, TABLE, duplicates=how, **WAY)
    assert isinstance(lazy.X, da.Array)
    np.testing.assert_allclose(dense(lazy.X.compute()), adata.X, rtol=1e-6)


def test_backed_is_refused_with_the_way_out(tmp_path):
    counts().write_h5ad(tmp_path / "a.h5ad")
    backed = ad.read_h5ad(tmp_path / "a.h5ad", backed="r")
    try:
        with pytest.raises(NotImplementedError, match=r"adata = adata.to_memory\(\)"):
            otl.pp.map_features(backed, TABLE, **WAY)
    finally:
        backed.file.close()


def test_x_may_be_missing():
    adata = counts()
    adata.layers["counts"] = adata.X
    adata.X = None
    frame = adata.to_df(layer="counts")
    refused(ValueError, "'largest' compares means in adata.X, which is None", adata, TABLE, duplicates="largest", **WAY)
    otl.pp.map_features(adata, TABLE, **WAY)
    assert adata.X is None
    np.testing.assert_array_equal(adata.layers["counts"], oracle(frame, "sum"))


class TestBundledTable:
    IDS = {"PTPRC": "ENSG00000081237", "CD19": "ENSG00000177455", "PLCXD1": "ENSG00000182378"}

    def test_versions_and_the_second_copy_of_y(self):
        p = self.IDS["PLCXD1"]
        names = [
            f"{self.IDS['PTPRC']}.21",
            self.IDS["CD19"],
            f"{p}.15",
            f"{p}.15_PAR_Y",
            f"{p}_PAR_Y",
            "ENSG00000000000.1",
        ]
        adata = counts(names=names)
        frame = adata.X.copy()
        otl.pp.map_features(adata)
        assert adata.var_names.tolist() == ["PTPRC", "CD19", "PLCXD1"]
        np.testing.assert_array_equal(adata.X[:, 2], frame[:, 2:5].sum(axis=1))
        report = adata.uns["map_features"]
        assert report["unmapped"].tolist() == ["ENSG00000000000.1"]
        assert report["merged"]["source"].tolist() == names[2:5]
        assert (report["params"]["source"], report["params"]["target"]) == ("ensembl_id", "gene_name")
        assert "by the table of Geneformer (Theodoris et al., 2023): 6 became 3" in otl.cite(adata)
        assert "@article{Theodoris2023" in otl.cite(adata)

    @pytest.mark.parametrize("options", [{}, {"source": "gene_name"}, {"target": "ensembl_id"}])
    def test_symbols_to_ids(self, options):
        adata = counts(names=["CD19", "PTPRC", "ENSG00000182378.4", "ptprc"])  # case is not changed
        otl.pp.map_features(adata, **options)
        assert adata.var_names.tolist() == [self.IDS["CD19"], self.IDS["PTPRC"], self.IDS["PLCXD1"]]
        assert adata.uns["map_features"]["unmapped"].tolist() == ["ptprc"]

    def test_an_empty_copy_of_y_halves_a_logarithm_unless_the_largest_is_kept(self):
        adata = counts(names=[f"{self.IDS['PLCXD1']}.15", f"{self.IDS['PLCXD1']}.15_PAR_Y"])
        adata.X = np.log1p(adata.X)
        adata.X[:, 1] = 0
        x = adata.X[:, 0].copy()
        kept = otl.pp.map_features(adata, duplicates="largest", copy=True)
        otl.pp.map_features(adata)
        np.testing.assert_allclose(adata.X.ravel(), x / 2)
        np.testing.assert_array_equal(kept.X.ravel(), x)

    def test_there_and_back(self):
        adata = otl.datasets.sle_adult()
        here = adata[:10].copy()
        otl.pp.map_features(here, source="gene_name")
        otl.pp.map_features(here)
        known = adata.var_names.isin(otl.datasets.gene_identifiers()["gene_name"])
        assert here.var_names.tolist() == adata.var_names[known].tolist()
        np.testing.assert_array_equal(here.X, adata.X[:10, known])

    def test_other_names_are_refused(self):
        refused(ValueError, "neither gene symbols nor Ensembl.*table of your own", counts(names=["5788", "930", "1"]))
        words = "mouse Ensembl gene ids such as .*human Ensembl gene ids .*orthologs.*map_features"
        refused(ValueError, words, counts(names=["ENSMUSG00000026395"]))
        refused(ValueError, "mouse gene symbols such as 'Cd3e'.*orthologs", counts(names=["Cd3e", "Ms4a1"]))
        refused(
            KeyError, "'gene_names' not found.*Did you mean 'gene_name'", counts(names=["CD19"]), source="gene_names"
        )


class TestFormerSymbols:
    """A table of former symbols, with the columns of a download from HGNC."""

    HGNC = pd.DataFrame(
        {
            "Approved symbol": ["CXCL8", "MARCHF1", "TIFAB", "B1", "TWO1", "TWO2", "CURRENT"],
            "Previous symbol": ["IL8", "MARCH1", np.nan, "CURRENT", "SPLIT", "SPLIT", None],
        }
    )
    WAY = {"source": "Previous symbol", "target": "Approved symbol"}

    def test_current_names_stay(self):
        adata = counts(names=["IL8", "TIFAB", "CXCL8", "CURRENT", "SPLIT", "ERCC-1"])
        frame = adata.X.copy()
        otl.pp.map_features(adata, self.HGNC, **self.WAY)
        assert adata.var_names.tolist() == ["CXCL8", "TIFAB", "CURRENT"]
        np.testing.assert_array_equal(adata.X[:, 0], frame[:, 0] + frame[:, 2])
        report = adata.uns["map_features"]
        assert report["params"]["n_stay"] == 3
        assert report["ambiguous"].tolist() == ["SPLIT"]
        assert report["unmapped"].tolist() == ["ERCC-1"]
        assert report["shared"].to_numpy().tolist() == [["CURRENT", "B1"]]

    def test_several_in_one_field_get_a_row_each(self):
        """The complete set of HGNC, and gene sets brought to the same names, as in the guide."""
        table = pd.DataFrame({"prev_symbol": ["IL8|SCYB8", "", np.nan], "symbol": ["CXCL8", "TIFAB", "CURRENT"]})
        table = table.assign(prev_symbol=table["prev_symbol"].str.split("|")).explode("prev_symbol")
        adata = counts(names=["SCYB8", "IL8", "TIFAB", "CURRENT"])
        otl.pp.map_features(adata, table, source="prev_symbol", target="symbol")
        assert adata.var_names.tolist() == ["CXCL8", "TIFAB", "CURRENT"]
        former = self.HGNC.dropna().drop_duplicates("Previous symbol", keep=False)
        former = former.set_index("Previous symbol")["Approved symbol"]
        current = set(self.HGNC["Approved symbol"])
        genes = ["IL8", "CURRENT", "SPLIT", "TIFAB"]
        assert [g if g in current else former.get(g, g) for g in genes] == ["CXCL8", "CURRENT", "SPLIT", "TIFAB"]

    def test_every_name_is_looked_up_on_request(self):
        adata = counts(names=["IL8", "TIFAB", "CURRENT"])
        otl.pp.map_features(adata, self.HGNC, keep_known=False, **self.WAY)
        assert adata.var_names.tolist() == ["CXCL8", "B1"]
        assert adata.uns["map_features"]["unmapped"].tolist() == ["TIFAB"]
        assert not len(adata.uns["map_features"]["shared"])


class TestRetired:
    def test_listed_by_set(self):
        adata = counts()
        sets = {"half": ["A", "GONE", "Z", "LOST"], "whole": ["A", "Z"], "some": ["B", "C", "GONE"]}
        with pytest.warns(otl.TransferWarning, match=r"1 of 3 gene sets lose half .*'half \(2 of 4\)'") as caught:
            otl.pp.map_features(adata, TABLE, gene_sets=sets, **WAY)
        assert len(caught) == 1
        retired = adata.uns["map_features"]["retired"]
        assert retired.to_numpy().tolist() == [["half", "GONE"], ["half", "LOST"], ["some", "GONE"]]
        assert adata.uns["map_features"]["params"]["n_retired"] == 3
        refused(otl.TransferWarning, "half", counts(), TABLE, gene_sets=sets, **WAY)

    def test_no_warning_where_no_set_loses_half(self):
        adata = counts()
        otl.pp.map_features(adata, TABLE, gene_sets={"some": ["A", "B", "GONE"]}, **WAY)
        assert adata.uns["map_features"]["retired"]["gene"].tolist() == ["GONE"]

    def test_bundled_sets_and_arrays(self):
        """The numbers of the guide: histones have other names since 2019, and take a set with them."""
        adata = otl.datasets.sle_adult()[:4].copy()
        words = r"5 of 252 gene sets lose half.*REACTOME_RNA_POL_I_PROMOTER_OPENING \(29 of 32\)"
        with pytest.warns(otl.TransferWarning, match=words):
            otl.pp.map_features(adata, target="gene_name", gene_sets=otl.datasets.gene_sets("reactome"))
        report = adata.uns["map_features"]
        assert (report["params"]["n_before"], report["params"]["n_after"]) == (5034, 4825)
        assert report["retired"]["gene"].nunique() == 182
        assert report["retired"]["set"].nunique() == 144

    @pytest.mark.parametrize(("collection", "n_genes", "n_sets"), [("pid", 47, 55), ("blood", 37, 9)])
    def test_other_bundled_sets(self, collection, n_genes, n_sets):
        adata = otl.datasets.sle_adult()[:4].copy()
        otl.pp.map_features(adata, target="gene_name", gene_sets=otl.datasets.gene_sets(collection))
        retired = adata.uns["map_features"]["retired"]
        assert (retired["gene"].nunique(), retired["set"].nunique()) == (n_genes, n_sets)
