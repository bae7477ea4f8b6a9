import gzip
import lzma
import zipfile
import zlib
from importlib.resources import files

import numpy as np
import pandas as pd
import pytest

from omicstl._data import identifiers
from omicstl.datasets import (
    _cells,
    _cohorts,
    _multiplier,
    gene_identifiers,
    gene_sets,
    multiplier_scores,
    pbmc_citeseq,
    sle_adult,
    sle_pediatric,
)

DATA = [item for item in files("omicstl.datasets").joinpath("data").iterdir() if item.is_file()]


@pytest.fixture(scope="module")
def pediatric():
    return sle_pediatric()


@pytest.fixture(scope="module")
def adult():
    return sle_adult()


def test_sizes():
    sizes = {item.name: len(item.read_bytes()) for item in DATA}
    assert sum(sizes.values()) <= 8 * 2**20
    assert max(sizes.values()) <= 5 * 2**20
    assert not [name for name in sizes if name.endswith((".pkl", ".pickle", ".rds", ".rda"))]


def test_every_file_has_its_origin_and_licence():
    readme = files("omicstl.datasets").joinpath("data", "README.md").read_text(encoding="utf-8")
    rows = {line.split("`")[1]: line for line in readme.splitlines() if line.startswith("| `")}
    assert set(rows) == {item.name for item in DATA} - {"README.md"}
    assert all(any(word in row for word in ("CC0", "CC BY 4.0", "Apache-2.0", "BSD-3-Clause")) for row in rows.values())


@pytest.mark.parametrize(
    ("cohort", "shape", "low", "high"), [("pediatric", (972, 4470), 2.25, 15.375), ("adult", (177, 5034), 0, 14)]
)
def test_matrix(cohort, shape, low, high, request):
    adata = request.getfixturevalue(cohort)
    assert adata.shape == shape
    assert adata.X.dtype == np.float32
    assert adata.X.flags.c_contiguous
    assert adata.X.flags.writeable
    assert (adata.X.min(), adata.X.max()) == (low, high)
    np.testing.assert_array_equal(adata.X * 32, np.round(adata.X * 32))
    assert adata.var_names.is_unique
    assert adata.obs_names.is_unique


def test_pediatric_obs(pediatric):
    obs = pediatric.obs
    assert "technical_replicate" not in set(obs["set"])
    assert obs["disease_state"].value_counts().to_dict() == {"SLE": 924, "Healthy": 48}
    assert obs["subject"].nunique() == 204
    assert obs["neutrophil_count"].notna().sum() == 853
    assert set(obs["neutrophil_percent"].dropna().between(0, 100)) == {True}


def test_adult_obs(adult):
    obs = adult.obs
    assert obs["disease_state"].value_counts().to_dict() == {"SLE": 157, "Healthy control of SLE": 20}
    assert obs.loc[obs["disease_state"] == "SLE", "subject"].nunique() == 62
    assert [int(obs[c].notna().sum()) for c in ("b_cells", "cd4_t_cells", "cd8_t_cells", "nk_cells")] == [101] * 4
    assert obs["neutrophil_percent"].notna().sum() == 147
    assert obs["neutrophil_percent"].max() < 100
    row = obs.loc["GSM1199352"]
    assert (row["sex"], row["b_cells"], row["subject"], row["visit"]) == ("female", 33, "C2PL28", 2)


def test_values_of_one_gene(adult):
    gene = np.asarray(adult[:, "CD19"].X).ravel()
    assert np.ptp(gene) > 1


@pytest.mark.parametrize("cohort", ["pediatric", "adult"])
def test_types_of_obs(cohort, request):
    obs = request.getfixturevalue(cohort).obs
    assert {"subject", "visit", "disease_state", "sledai", "age", "sex"} <= set(obs)
    for column in obs:
        dtype = obs[column].dtype
        assert dtype == np.float32 or isinstance(dtype, pd.CategoricalDtype)
    assert isinstance(obs["subject"].dtype, pd.CategoricalDtype)


def test_cohorts_round_trip(adult, tmp_path):
    import anndata as ad

    adult.write_h5ad(tmp_path / "a.h5ad")
    back = ad.read_h5ad(tmp_path / "a.h5ad")
    pd.testing.assert_frame_equal(back.obs, adult.obs)
    np.testing.assert_array_equal(back.X, adult.X)


def test_collections():
    assert (len(gene_sets("reactome")), len(gene_sets("pid")), len(gene_sets("blood"))) == (252, 116, 9)
    assert list(gene_sets("pid", "blood"))[-1] == "Erythroid"
    assert all(name.startswith("REACTOME_") for name in gene_sets("reactome"))
    assert all(name.startswith("PID_") for name in gene_sets("pid"))


def test_no_collection_with_other_terms():
    names = " ".join(gene_sets("reactome", "pid", "blood"))
    assert not [word for word in ("KEGG", "BIOCARTA", "IRIS", "DMAP", "LM22") if word in names]


def test_gene_sets_are_fresh():
    gene_sets("blood")["B cell"].clear()
    assert "CD19" in gene_sets("blood")["B cell"]


def test_unknown_collections():
    with pytest.raises(
        ValueError, match="`names` must be one of 'blood', 'pid', 'reactome', got 'reactom'. Did you mean 'reactome'"
    ):
        gene_sets("reactom")
    with pytest.raises(ValueError, match="needs at least one of 'blood', 'pid', 'reactome'"):
        gene_sets()


def test_blood_markers(pediatric, adult):
    blood = gene_sets("blood")
    genes = [gene for markers in blood.values() for gene in markers]
    assert len(genes) == len(set(genes)), "a marker in two sets"
    for name, markers in blood.items():
        for adata in (pediatric, adult):
            assert sum(gene in adata.var_names for gene in markers) >= 12, name
    for old, new in [
        ("IL8RB", "CXCR2"),
        ("IGJ", "JCHAIN"),
        ("EMR1", "ADGRE1"),
        ("KIAA0125", "FAM30A"),
        ("SDPR", "CAVIN2"),
    ]:
        assert [name for name in blood if old in blood[name]] == [name for name in blood if new in blood[name]] != []


def test_blood_sets_name_their_papers():
    text = files("omicstl.datasets").joinpath("data", "blood.gmt").read_text(encoding="utf-8")
    assert all(
        "see " in line.split("\t")[1] and any(c.isdigit() for c in line.split("\t")[1]) for line in text.splitlines()
    )


def test_identifiers():
    table = gene_identifiers()
    assert table.shape == (40247, 2)
    assert table["gene_name"].is_unique
    assert table["ensembl_id"].is_unique
    assert table["ensembl_id"].str.fullmatch(r"ENSG\d{11}").all()
    assert not table.isna().any(axis=None)


def test_published_scores_belong_to_the_cohort(pediatric):
    table = multiplier_scores()
    assert table.shape == (924, 4)
    assert table.index.isin(pediatric.obs_names).all()
    assert table["LV603"].notna().sum() == 853
    # the authors publish R² .361 with the neutrophil count (their notebook 7, LV603)
    count = pediatric.obs.loc[table.index, "neutrophil_count"]
    assert float(table["LV603"].corr(count)) ** 2 == pytest.approx(0.361, abs=0.01)


NPZ = (zipfile.BadZipFile, lzma.LZMAError, EOFError, ValueError)
GZIP = (gzip.BadGzipFile, zlib.error, EOFError, ValueError)


@pytest.mark.parametrize(
    ("read", "name", "errors"),
    [
        (sle_adult, "sle_adult.npz", NPZ),
        (pbmc_citeseq, "pbmc_citeseq.npz", NPZ),
        (multiplier_scores, "multiplier_sle.tsv.gz", GZIP),
        (gene_identifiers, "gc30M_gene_name_id.tsv.gz", GZIP),
    ],
)
def test_a_file_that_is_missing_or_damaged_is_not_read(read, name, errors, tmp_path, monkeypatch):
    good = files("omicstl.datasets").joinpath("data", name).read_bytes()
    path = tmp_path / "datasets" / "data" / name
    path.parent.mkdir(parents=True)
    for module in (_cells, _cohorts, _multiplier):
        monkeypatch.setattr(module, "data_file", lambda name: path)
    monkeypatch.setattr(identifiers, "files", lambda package: tmp_path)
    with pytest.raises(FileNotFoundError):
        read()
    half = len(good) // 2
    for damaged in (b"", b"another file", good[:half], good[:half] + bytes(500) + good[half + 500 :]):
        path.write_bytes(damaged)
        with pytest.raises(errors):
            read()
