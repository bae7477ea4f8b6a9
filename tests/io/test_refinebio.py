"""Downloads of refine.bio in every layout, written here."""

from __future__ import annotations

import json
import re
import shutil

import anndata as ad
import numpy as np
import pytest

import omicstl as otl

GENES = [f"ENSG{i:011d}" for i in range(12)]


def values(n_genes, n_samples, seed=0):
    return np.random.default_rng(seed).normal(6, 2, (n_genes, n_samples)).round(4)


def write_table(folder, name, samples, genes=GENES, matrix=None, *, organism="HOMO_SAPIENS", metadata=True, **columns):
    """``NAME/NAME.tsv`` and ``NAME/metadata_NAME.tsv`` as the portal writes them."""
    place = folder / name
    place.mkdir(parents=True, exist_ok=True)
    matrix = values(len(genes), len(samples)) if matrix is None else matrix
    lines = ["\t".join(["Gene", *samples])]
    lines += [
        "\t".join([gene, *("NA" if np.isnan(v) else str(v) for v in row)])
        for gene, row in zip(genes, matrix, strict=True)
    ]
    (place / f"{name}.tsv").write_text("\n".join(lines) + "\n")
    if metadata:
        table = {
            "refinebio_accession_code": samples,
            "experiment_accession": [name if name.startswith(("GSE", "SRP")) else "" for _ in samples],
            "refinebio_organism": [organism] * len(samples),
            "refinebio_age": ["31.0", *[""] * (len(samples) - 1)],
            "refinebio_annotations": ["{}"] * len(samples),
            "refinebio_race": [""] * len(samples),
            "disease/state": ["SLE", *["healthy"] * (len(samples) - 1)],
        } | columns
        rows = ["\t".join(table), *("\t".join(row) for row in zip(*table.values(), strict=True))]
        (place / f"metadata_{name}.tsv").write_text("\n".join(rows) + "\n")
    return matrix


def describe(folder, **changes):
    content = {"aggregate_by": "EXPERIMENT", "scale_by": "NONE", "quantile_normalized": True, "samples": {}} | changes
    (folder / "aggregated_metadata.json").write_text(json.dumps(content))


@pytest.fixture
def download(tmp_path):
    """Two experiments; the second has one gene less and another more, in another order."""
    folder = tmp_path / "download"
    one = write_table(folder, "GSE1", ["GSM1", "GSM2", "GSM3"])
    genes = ["ENSG00000000099", *GENES[:0:-1]]
    two = write_table(folder, "SRP2", ["SRR8", "SRR9"], genes, values(12, 2, seed=1))
    describe(folder)
    (folder / "README.md").write_text("x")
    return folder, one, two


def test_experiments_are_joined(download, caplog):
    folder, one, two = download
    with otl.settings.override(verbosity=2):
        adata = otl.io.read_refinebio(folder)
    assert adata.obs_names.tolist() == ["GSM1", "GSM2", "GSM3", "SRR8", "SRR9"]
    assert adata.var_names.tolist() == GENES[1:]
    assert adata.X.dtype == np.float32
    np.testing.assert_allclose(adata.X[:3], one[1:].T, rtol=1e-6)
    np.testing.assert_allclose(adata.X[3:], two[:0:-1].T, rtol=1e-6)
    assert adata.obs["experiment_accession"].tolist() == ["GSE1"] * 3 + ["SRP2"] * 2
    entry = adata.uns["refinebio"]
    assert entry["n_genes_lost"] == 2
    assert entry["experiments"]["n_genes_lost"].tolist() == [1, 1]
    assert entry["experiments"]["n_samples"].tolist() == [3, 2]
    assert (entry["scale"], entry["aggregate_by"], entry["quantile_normalized"]) == ("log", "EXPERIMENT", True)
    assert "5 samples of 2 experiments, 11 genes (2 lost by the join), scale log" in caplog.text


def test_outer_join_says_where_nothing_was_measured(download):
    folder, one, two = download
    adata = otl.io.read_refinebio(folder, join="outer")
    assert adata.var_names.tolist() == [*GENES, "ENSG00000000099"]
    assert np.isnan(adata.X[:3, 12]).all()
    assert np.isnan(adata.X[3:, 0]).all()
    assert np.isnan(adata.X).sum() == 5
    np.testing.assert_allclose(adata.X[3:, 12], two[0], rtol=1e-6)
    np.testing.assert_allclose(adata.X[:3, :12], one.T, rtol=1e-6)


def test_metadata(download):
    obs = otl.io.read_refinebio(download[0]).obs
    assert obs["refinebio_age"].tolist()[0] == 31.0
    assert obs["refinebio_age"].isna().sum() == 3
    assert obs["disease_state"].tolist() == ["SLE", "healthy", "healthy", "SLE", "healthy"]
    assert "refinebio_race" not in obs  # empty
    assert "refinebio_annotations" not in obs
    plain = otl.io.read_refinebio(download[0], annotations=False).obs
    assert set(plain) == {"experiment_accession", "refinebio_organism", "refinebio_age"}


def test_columns_that_only_one_experiment_has_are_empty_text_in_the_other(tmp_path):
    write_table(tmp_path, "GSE1", ["GSM1", "GSM2"], dose=["1", "2"])
    write_table(tmp_path, "GSE2", ["GSM3", "GSM4"], **{"disease_state": ["x", "y"]})
    obs = otl.io.read_refinebio(tmp_path).obs
    assert obs["dose"].tolist() == ["1", "2", "", ""]
    assert obs["disease_state"].tolist() == ["SLE", "healthy", "SLE", "healthy"]
    assert obs["disease_state_"].tolist() == ["", "", "x", "y"]


def test_a_species_compendium(tmp_path):
    experiments = ["GSE1", "GSE1", "GSE2", "SRP3"]
    organisms = ["HOMO_SAPIENS"] * 3 + ["HOMO_SAPIENS_NEANDERTHALENSIS"]
    samples = ["GSM1", "GSM2", "GSM3", "SRR4"]
    columns = {"experiment_accession": experiments, "refinebio_organism": organisms}
    matrix = write_table(tmp_path, "HOMO_SAPIENS", samples, **columns)
    describe(tmp_path, aggregate_by="SPECIES")
    (tmp_path / "HOMO_SAPIENS" / "metadata_HOMO_SAPIENS.json").write_text("{}")
    (tmp_path / "filtered_samples_metadata.tsv").write_text("refinebio_accession_code\nGSM9\n")
    adata = otl.io.read_refinebio(tmp_path)
    np.testing.assert_allclose(adata.X, matrix.T, rtol=1e-6)
    assert adata.obs["experiment_accession"].tolist() == experiments
    assert adata.uns["refinebio"]["n_experiments"] == 3
    some = otl.io.read_refinebio(tmp_path, samples=["SRR4", "GSM2"])
    np.testing.assert_allclose(some.X, matrix.T[[1, 3]], rtol=1e-6)
    assert some.obs_names.tolist() == ["GSM2", "SRR4"]


def test_a_folder_whose_tables_lie_flat_and_without_a_description(tmp_path):
    matrix = write_table(tmp_path, "SRP1", ["SRR1", "SRR2"])
    for file in (tmp_path / "SRP1").iterdir():
        shutil.move(file, tmp_path / file.name)
    (tmp_path / "SRP1").rmdir()
    adata = otl.io.read_refinebio(str(tmp_path))
    np.testing.assert_allclose(adata.X, matrix.T, rtol=1e-6)
    assert adata.uns["refinebio"]["quantile_normalized"] is None


def test_large_tables_are_parsed_in_parts(download, monkeypatch):
    whole = otl.io.read_refinebio(download[0])
    monkeypatch.setattr("omicstl.io._refinebio_folder._CELLS", 9)
    np.testing.assert_array_equal(otl.io.read_refinebio(download[0]).X, whole.X)


def test_samples_that_several_experiments_share(tmp_path):
    one = write_table(tmp_path, "GSE1", ["GSM1", "GSM2"])
    write_table(tmp_path, "GSE2", ["GSM2", "GSM3"], GENES[::-1], one[::-1, ::-1])
    adata = otl.io.read_refinebio(tmp_path)
    assert adata.obs_names.tolist() == ["GSM1", "GSM2", "GSM3"]
    assert adata.uns["refinebio"]["n_repeated"] == 1
    np.testing.assert_allclose(adata.X[1], one[:, 1], rtol=1e-6)
    write_table(tmp_path, "GSE2", ["GSM2", "GSM3"])
    refused(ValueError, ["'GSM2' is in GSE1 and in GSE2 with different values", "aggregated by species"], tmp_path)


def test_species(tmp_path):
    write_table(tmp_path, "GSE1", ["GSM1", "GSM2"])
    write_table(tmp_path, "GSE2", ["GSM3"], [f"ENSMUSG{i:011d}" for i in range(5)], organism="MUS_MUSCULUS")
    refused(ValueError, [r"homo sapiens \(GSE1\), mus musculus \(GSE2\)", "organism="], tmp_path)
    assert otl.io.read_refinebio(tmp_path, organism="Mus musculus").shape == (1, 5)
    assert otl.io.read_refinebio(tmp_path, organism="HOMO_SAPIENS").n_obs == 2
    refused(
        ValueError, ["'Mus muscullus' is not in", "Did you mean 'mus musculus'"], tmp_path, organism="Mus muscullus"
    )


def test_experiments_without_samples_are_left_out(download, caplog):
    folder = download[0]
    (folder / "GSE3").mkdir()
    (folder / "GSE3" / "metadata_GSE3.tsv").write_text("refinebio_accession_code\texperiment_accession\n")
    with otl.settings.override(verbosity=2):
        assert otl.io.read_refinebio(folder).n_obs == 5
    assert "experiments without samples: 'GSE3'" in caplog.text


def test_described_samples_without_values_are_counted(download):
    path = download[0] / "GSE1" / "metadata_GSE1.tsv"
    path.write_text(path.read_text() + "GSM4\tGSE1\tHOMO_SAPIENS\t\t\t\tSLE\n")
    adata = otl.io.read_refinebio(download[0])
    assert adata.n_obs == 5
    assert adata.uns["refinebio"]["n_without_values"] == 1


def test_scales_that_differ_are_told(tmp_path):
    write_table(tmp_path, "GSE1", ["GSM1", "GSM2"])
    write_table(tmp_path, "SRP2", ["SRR1", "SRR2"], matrix=values(12, 2) * 300)
    describe(tmp_path, quantile_normalized=False)
    with pytest.warns(otl.ScaleWarning, match="different scales: 'SRP2'"):
        adata = otl.io.read_refinebio(tmp_path)
    assert adata.uns["refinebio"]["scale"] == "mixed"
    shutil.rmtree(tmp_path / "GSE1")
    assert otl.io.read_refinebio(tmp_path).uns["refinebio"]["scale"] == "linear"
    describe(tmp_path, scale_by="STANDARD")
    with pytest.warns(otl.ScaleWarning, match="scaled by the portal.*'STANDARD'"):
        assert otl.io.read_refinebio(tmp_path).uns["refinebio"]["scale"] == "scaled"


def test_a_join_that_loses_most_genes_warns(tmp_path):
    write_table(tmp_path, "GSE1", ["GSM1"])
    write_table(tmp_path, "GSE2", ["GSM2"], GENES[:3])
    with pytest.warns(UserWarning, match="9 of 12 genes are not in all tables and are lost; 'GSE2' has 3"):
        assert otl.io.read_refinebio(tmp_path).n_vars == 3


def test_missing_values_are_kept_and_counted(tmp_path):
    matrix = values(12, 2)
    matrix[3, 1] = np.nan
    write_table(tmp_path, "GSE1", ["GSM1", "GSM2"], matrix=matrix)
    adata = otl.io.read_refinebio(tmp_path)
    assert np.isnan(adata.X).sum() == 1
    assert adata.uns["refinebio"]["experiments"]["n_missing"].tolist() == [1]


def test_round_trip_and_cite(download, tmp_path):
    adata = otl.io.read_refinebio(download[0])
    adata.write_h5ad(tmp_path / "a.h5ad")
    back = ad.read_h5ad(tmp_path / "a.h5ad")
    assert back.uns["refinebio"]["experiments"]["name"].tolist() == ["GSE1", "SRP2"]
    text = otl.cite(back)
    assert text == otl.cite(adata)
    assert "refine.bio (Greene et al., 2019): 5 samples of 2 experiments and 11 genes, aggregated by EXPERIMENT" in text
    assert "(quantile-normalised: True)" in text
    assert "@misc{Greene2019," in text
    assert "(not recorded)" not in text


# ------------------------------------------------------------------------------------------------------------ bad input


def test_columns_and_texts_that_files_cannot_hold(tmp_path):
    odd = {"": ["a", "b"], ".": ["c", "d"], "_index": ["e\0", "f"]}
    write_table(tmp_path / "odd", "GSE1", ["GSM1", "GSM2"], **odd)
    adata = otl.io.read_refinebio(tmp_path / "odd")
    assert adata.obs[["_", "_.", "__index"]].to_numpy().tolist() == [["a", "c", "e"], ["b", "d", "f"]]
    adata.write_h5ad(tmp_path / "odd.h5ad")
    assert ad.read_h5ad(tmp_path / "odd.h5ad").obs["_."].tolist() == ["c", "d"]


def refused(error, words, *arguments, **options):
    with pytest.raises(error) as caught:
        otl.io.read_refinebio(*arguments, **options)
    for word in words:
        assert re.search(word, str(caught.value)), f"{word!r} is not in: {caught.value}"


def test_what_is_no_download(tmp_path):
    refused(FileNotFoundError, ["no folder"], tmp_path / "none")
    (tmp_path / "a.zip").write_bytes(b"PK")
    refused(ValueError, ["is a file", r"unzip"], tmp_path / "a.zip")
    refused(ValueError, ["holds no refine.bio tables", "Unpack 'a.zip' first"], tmp_path)
    (tmp_path / "SRP1").mkdir()
    (tmp_path / "SRP1" / "SRR1_quant.sf").touch()
    refused(ValueError, ["sample compendium", "normalized compendium"], tmp_path)


@pytest.mark.parametrize("text", ["{", "[1]", "\xff", "[" * 100_000])
def test_a_broken_description(download, text):
    (download[0] / "aggregated_metadata.json").write_bytes(text.encode("latin-1"))
    refused(
        ValueError, [r"aggregated_metadata.json' (is no valid JSON|must hold a JSON object)", "Unpack"], download[0]
    )


def test_half_of_a_pair(download):
    folder = download[0]
    (folder / "GSE1" / "GSE1.tsv").rename(folder / "kept")
    refused(ValueError, ["incomplete", "metadata_GSE1.tsv has no GSE1.tsv"], folder)
    (folder / "kept").rename(folder / "GSE1" / "GSE1.tsv")
    (folder / "GSE1" / "metadata_GSE1.tsv").unlink()
    refused(ValueError, ["incomplete", "GSE1.tsv has no metadata_GSE1.tsv"], folder)


def edit(path, change):
    path.write_text(change(path.read_text()))


@pytest.mark.parametrize(
    ("file", "change", "words"),
    [
        ("GSE1.tsv", lambda t: t[:-20], ["cut off"]),
        ("GSE1.tsv", lambda t: "", ["is empty"]),
        ("GSE1.tsv", lambda t: t.replace(GENES[3], GENES[2]), ["genes more than once", GENES[2]]),
        ("GSE1.tsv", lambda t: t.replace("GSM2", "GSM1"), ["samples more than once: 'GSM1'"]),
        ("GSE1.tsv", lambda t: t.replace("GSM2", "GSM77"), ["does not describe 'GSM77'"]),
        ("GSE1.tsv", lambda t: t.replace("\t", "\tx", 6), ["no table of numbers"]),
        ("GSE1.tsv", lambda t: t.splitlines()[0] + "\n", ["holds no genes"]),
        ("GSE1.tsv", lambda t: t.replace(GENES[3], ""), ["a line without a gene"]),
        ("GSE1.tsv", lambda t: t + "ENSG9\t1\t2\t3\t4\n", ["line 14 has 5 fields, its header 4"]),
        ("metadata_GSE1.tsv", lambda t: t[:-3], ["cut off"]),
        ("metadata_GSE1.tsv", lambda t: t.replace("refinebio_accession_code", "id"), ["no column", "'id'"]),
        ("metadata_GSE1.tsv", lambda t: t.replace("GSM2", "GSM1"), ["describes 'GSM1' more than once"]),
        ("metadata_GSE1.tsv", lambda t: t.replace("refinebio_race", "refinebio_age"), ["columns of the same name"]),
        ("metadata_GSE1.tsv", lambda t: t + "a\t" * 30 + "\n", ["line 5 has 31 fields"]),
        ("metadata_GSE1.tsv", lambda t: t.replace("SLE", "x" * 200_000), ["cannot be read as a table"]),
    ],
)
def test_damaged_tables(download, file, change, words):
    edit(download[0] / "GSE1" / file, change)
    refused(ValueError, words, download[0])


def test_a_row_with_too_few_values_is_no_missing_value(download):
    path = download[0] / "GSE1" / "GSE1.tsv"
    edit(path, lambda t: t.replace(t.splitlines()[4], t.splitlines()[4].rsplit("\t", 1)[0]))
    refused(ValueError, ["GSE1.tsv", "line 5 has 3 fields, its header 4"], download[0])


def test_no_gene_is_shared(tmp_path):
    write_table(tmp_path, "GSE1", ["GSM1"])
    write_table(tmp_path, "GSE2", ["GSM2"], ["A", "B"])
    refused(ValueError, ["share no gene", "'A', 'B'"], tmp_path)


def test_binary_instead_of_text(download):
    (download[0] / "GSE1" / "GSE1.tsv").write_bytes(b"\xff\xfe\x00\n")
    refused(ValueError, ["no UTF-8 text"], download[0])


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"join": "left"}, ValueError, ["'inner', 'outer'"]),
        ({"samples": "GSM1"}, TypeError, ["a list of names"]),
        ({"samples": []}, ValueError, ["at least one"]),
        ({"samples": [3]}, TypeError, ["text alone"]),
        ({"samples": ["GSM77"]}, ValueError, ["'GSM77' are not in the metadata"]),
        ({"organism": 3}, TypeError, ["`organism`"]),
        ({"annotations": 1}, TypeError, ["True or False"]),
    ],
)
def test_bad_options(download, options, error, words):
    refused(error, words, download[0], **options)
