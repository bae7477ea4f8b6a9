"""What `io.read_archs4` refuses, and what it says then."""

from __future__ import annotations

import re

import anndata as ad
import h5py
import numpy as np
import pytest
from archs4_files import N_SAMPLES, expected_counts, write

import omicstl as otl

pytest.importorskip("dask.array")


def refused(error, words, *arguments, **options):
    with pytest.raises(error) as caught:
        otl.io.read_archs4(*arguments, **options)
    for word in words:
        assert re.search(word, str(caught.value)), f"{word!r} is not in: {caught.value}"


def test_what_is_no_file_of_archs4(tmp_path, archs4_path):
    refused(FileNotFoundError, ["no file", "maayanlab.cloud"], tmp_path / "none.h5")
    refused(ValueError, ["is a folder"], tmp_path)
    page = tmp_path / "page.h5"
    page.write_text("<!DOCTYPE html><html>")
    refused(ValueError, ["no HDF5 file", "DOCTYPE", "repeat"], page)
    (tmp_path / "empty.h5").touch()
    refused(ValueError, ["no HDF5 file"], tmp_path / "empty.h5")
    cut = tmp_path / "cut.h5"
    cut.write_bytes(archs4_path.read_bytes()[:-3000])
    refused(ValueError, ["cannot be opened", "ended early"], cut)
    ad.AnnData(np.ones((2, 2), np.float32)).write_h5ad(tmp_path / "a.h5ad")
    refused(ValueError, ["data/expression", "meta/genes", "read_h5ad"], tmp_path / "a.h5ad")
    with h5py.File(tmp_path / "t.h5", "w") as file:
        file["meta/transcripts/ensembl_id"] = ["ENST1"]
    refused(ValueError, ["holds transcripts", "gene counts"], tmp_path / "t.h5")


@pytest.mark.parametrize(
    ("drop", "words"),
    [
        (["data/expression"], ["'data/expression' are missing"]),
        (["meta/samples/geo_accession"], ["'meta/samples/geo_accession' are missing"]),
        (["meta/genes", "data"], ["'data/expression', 'meta/genes", "it holds 'meta'"]),
    ],
)
def test_missing_parts_are_named(tmp_path, drop, words):
    refused(ValueError, words, write(tmp_path / "a.h5", drop=drop))


def test_lengths_that_disagree(tmp_path):
    file = write(tmp_path / "a.h5", title=["one"])
    refused(ValueError, [r"meta/samples/title \(1,\)", "disagree", "30 samples"], file)
    file = write(tmp_path / "a.h5", geo_accession=["GSM1"])
    refused(ValueError, [r"data/expression \(40, 30\)", "1 samples"], file)
    file = write(tmp_path / "a.h5")
    with h5py.File(file, "a") as open_file:
        del open_file["meta/genes/biotype"]
        open_file["meta/genes/biotype"] = ["a"]
    refused(ValueError, [r"meta/genes/biotype \(1,\)"], file)


def replaced(path, address, make):
    with h5py.File(write(path), "a") as file:
        del file[address]
        make(file, address)
    return path


def test_data_in_other_files_are_not_followed(tmp_path):
    """A file from elsewhere must not show what else is on this machine."""
    secret, other = tmp_path / "secret.bin", write(tmp_path / "other.h5")
    secret.write_bytes(b"SECRET" * 100)
    virtual = h5py.VirtualLayout((40, 30), "u4")
    virtual[:] = h5py.VirtualSource(other, "data/expression", (40, 30))
    for address, make in (
        ("data/expression", lambda file, at: file.create_dataset(at, (40, 30), "u1", external=[(secret, 0, 1200)])),
        ("data/expression", lambda file, at: file.create_virtual_dataset(at, virtual)),
        ("data/expression", lambda file, at: file.__setitem__(at, h5py.ExternalLink(other, at))),
        ("meta/samples/title", lambda file, at: file.create_dataset(at, (30,), "S6", external=[(secret, 0, 180)])),
        ("meta/genes/symbol", lambda file, at: file.__setitem__(at, h5py.ExternalLink(other, at))),
    ):
        refused(ValueError, [address, "points to another file"], replaced(tmp_path / "a.h5", address, make))
    itself = replaced(
        tmp_path / "a.h5", "data/expression", lambda file, at: file.__setitem__(at, h5py.SoftLink("/" + at))
    )
    refused(ValueError, ["'data/expression' are missing"], itself)


def test_fields_of_other_kinds(tmp_path):
    for make in (
        lambda file, at: file.__setitem__(at, 5),
        lambda file, at: file.create_dataset(at, shape=None, dtype="u4"),
    ):
        refused(ValueError, ["disagree"], replaced(tmp_path / "a.h5", "meta/samples/geo_accession", make))
    pairs = np.zeros(30, dtype=[("a", "i4"), ("b", "S3")])
    path = replaced(tmp_path / "a.h5", "meta/samples/title", lambda file, at: file.__setitem__(at, pairs))
    refused(ValueError, ["meta/samples/title", "neither text nor numbers"], path)


def test_no_sample_left_says_which_rule(archs4_path, tmp_path):
    refused(ValueError, ["30 do not match 'kidney'"], archs4_path, pattern="kidney")
    refused(
        ValueError,
        ["30 are not in `samples`", "None of 'GSM77' is in the file", "'GSM1'"],
        archs4_path,
        samples=["GSM77"],
    )
    refused(ValueError, ["6 are probably single cells; 24 have too few reads"], archs4_path, min_reads=10**9)
    file = write(tmp_path / "b.h5", singlecellprobability=np.ones(N_SAMPLES))
    refused(ValueError, ["30 are probably single cells", "Loosen"], file)
    file = write(
        tmp_path / "c.h5", drop=[f"meta/samples/{n}" for n in ("title", "source_name_ch1", "characteristics_ch1")]
    )
    refused(ValueError, ["no field to look for `pattern`"], file, pattern="blood")


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"pattern": "("}, ValueError, ["no regular expression", r"re\.escape"]),
        ({"pattern": ""}, ValueError, ["empty"]),
        ({"pattern": 3}, TypeError, ["`pattern` must be a string"]),
        ({"samples": "GSM1"}, TypeError, ["a list of names", r"samples=\['GSM1'\]"]),
        ({"samples": []}, ValueError, ["at least one accession"]),
        ({"samples": [1]}, TypeError, ["text alone"]),
        ({"max_single_cell": 0}, ValueError, ["must be > 0"]),
        ({"max_single_cell": 2}, ValueError, ["<= 1"]),
        ({"min_reads": 1.5}, TypeError, ["an integer"]),
        ({"max_per_series": 0}, ValueError, [">= 1"]),
        ({"rng": "a"}, TypeError, ["`rng`"]),
    ],
)
def test_bad_options(archs4_path, options, error, words):
    refused(error, words, archs4_path, **options)


def test_numbers_that_are_no_counts(tmp_path):
    whole = expected_counts().astype(np.float32)
    adata = otl.io.read_archs4(write(tmp_path / "whole.h5", whole))
    assert adata.X.dtype == np.int64
    assert adata.X.compute().sum() == whole[np.arange(N_SAMPLES) % 5 != 4].sum()
    for name, value, word in (
        ("half", 0.5, "no whole counts"),
        ("nan", np.nan, "no whole"),
        ("inf", np.inf, "no whole"),
        ("low", -1, "negative"),
    ):
        changed = whole.copy()
        changed[3, 2] = value
        adata = otl.io.read_archs4(write(tmp_path / f"{name}.h5", changed))
        with pytest.raises(ValueError, match=word):
            adata.X.compute()
    refused(ValueError, ["counts are needed"], write(tmp_path / "text.h5", whole.astype("S8")))


def test_without_dask(archs4_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "dask.array", None)
    refused(ImportError, [r'pip install "omicstl\[dask\]"'], archs4_path)


def test_a_file_that_went_away_is_named(archs4_path):
    adata = otl.io.read_archs4(archs4_path)
    archs4_path.rename(archs4_path.with_name("moved.h5"))
    with pytest.raises(FileNotFoundError, match="human_gene_v2.6.h5"):
        adata.X.compute()
