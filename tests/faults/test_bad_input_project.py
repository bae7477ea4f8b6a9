"""Bad input to `tl.project`: data, options, and references that are none."""

from __future__ import annotations

import json
import zipfile

import anndata as ad
import numpy as np
import pytest

import omicstl as otl
from omicstl._data import store
from tests.contract.cases import cohort, fitted, plier, query
from tests.support.refusals import changed_query, put, refused


def project(adata, reference, **options):
    return otl.tl.project(adata, reference, **options)


DATA = {
    "no shared gene": (lambda: changed_query(names=lambda n: [f"X{g}" for g in n]), ValueError, ["No gene is shared", "adata.var_names", "the reference"]),
    "ensembl": (lambda: changed_query(names=lambda n: [f"ENSG{i:011d}" for i in range(len(n))]), ValueError, ["human Ensembl gene ids", "gene symbols", "gene_identifiers"]),
    "mouse": (lambda: changed_query(names=lambda n: [f"Gene{i}a" for i in range(len(n))]), ValueError, ["mouse gene symbols", "orthologs"]),
    "duplicated names": (lambda: changed_query(names=lambda n: [*n[:-1], n[0]]), ValueError, ["not unique", "'GENE001'", "var_names_make_unique"]),
    "NaN": (lambda: changed_query(x=put(np.nan)), ValueError, ["1 NaN value", "'S44'", "'GENE003'", "Impute"]),
    "infinite": (lambda: changed_query(x=put(np.inf)), ValueError, ["1 infinite value", "'S44'", "'GENE003'"]),
    "huge": (lambda: changed_query(x=put(-1e20)), ValueError, [r"1e\+20", "overflow", r"at most 1e\+15"]),
    "object": (lambda: changed_query(x=lambda x: x.astype(object)), TypeError, ["dtype object", r"astype\('float32'\)"]),
    "boolean": (lambda: changed_query(x=lambda x: x > 9), TypeError, ["dtype bool", "real numbers"]),
    "constant data": (lambda: changed_query(x=np.ones_like), UserWarning, ["158 shared genes with one value"]),
    "a single sample far off": (lambda: changed_query(x=lambda x: x + 5)[:1].copy(), ValueError, ["1 observation cannot be standardised", "need 10 or more", r"median \d+\.\d+ SD off", "match_distribution"]),
}  # fmt: skip


@pytest.mark.parametrize("name", DATA)
@pytest.mark.filterwarnings("ignore::omicstl.TransferWarning")
def test_data(name, reference):
    make, error, words = DATA[name]
    refused(project, make(), error, words, reference=reference)


@pytest.mark.filterwarnings("ignore:158 shared genes")
@pytest.mark.filterwarnings("ignore::omicstl.TransferWarning")
def test_all_genes_constant_is_an_error(reference):
    refused(
        project,
        changed_query(x=np.ones_like),
        ValueError,
        ["All 158 shared genes have one value", "nothing can be projected"],
        reference=reference,
    )


OPTIONS = {
    "standardize": ("quary", ValueError, ["'auto', 'query', 'reference', 'center', 'none', got 'quary'", "Did you mean 'query'"]),
    "missing": ("median", ValueError, ["'model', 'mean', got 'median'"]),
    "force": (1, TypeError, ["`force` must be True or False, got 1"]),
    "copy": (None, TypeError, ["`copy` must be True or False"]),
    "layer": ("log1", KeyError, ["'log1' not found in adata.layers", "Did you mean 'log1p'"]),
    "key_added": ("a/b", ValueError, ["letters, digits and underscores", "Use 'a_b'"]),
    "key": ("plyer", KeyError, ["'plyer' not found", "Did you mean 'plier'"]),
}  # fmt: skip


@pytest.mark.parametrize("name", OPTIONS)
def test_options(name, reference):
    value, error, words = OPTIONS[name]
    adata = query()
    adata.layers["log1p"] = adata.X.copy()
    refused(project, adata, error, words, reference=reference, **{name: value})


def test_which_model(reference):
    two = reference.copy()
    plier(two, key_added="other")
    refused(project, query(), KeyError, ["2 models: 'other', 'plier'", "key='other'"], reference=two)
    adata = query()
    project(adata, two, key="other")
    assert adata.uns["other"]["reference"]["key"] == "other"
    assert "other" in adata.obsm
    refused(project, query(), KeyError, ["holds no fitted model", "otl.tl.plier", "ad.concat"], reference=query())
    refused(
        project, query(), KeyError, ["is a projection: its model is in the reference"], reference=adata, key="other"
    )
    refused(project, query(), TypeError, ["an AnnData, a fitted model or a path", "of type int"], reference=3)


def test_the_key_of_the_reference_is_noted(model):
    reference = cohort()
    plier(reference, key_added="mine")
    for source, key in ((reference, "mine"), (model, None)):
        adata = query()
        project(adata, source)
        assert adata.uns["plier"]["reference"]["key"] == key
        assert adata.uns["plier"]["reference"]["kind"] == "plier"


def test_a_projection_never_replaces_a_fit(reference):
    refused(
        project,
        reference.copy(),
        ValueError,
        ["holds a fitted model", "key_added='plier_projected'"],
        reference=reference,
    )
    adata = reference.copy()
    project(adata, reference, key_added="again")
    project(adata, reference, key_added="again")
    assert {"plier", "again"} <= set(adata.obsm)


def files(path):
    """Files that are no models, and a word for each."""
    good = path / "model.npz"
    otl.io.write_model(good, otl.get.model(fitted()))
    raw = good.read_bytes()
    (path / "cut.npz").write_bytes(raw[: len(raw) // 2])
    flipped = bytearray(raw)
    flipped[len(raw) // 2] ^= 1
    (path / "flipped.npz").write_bytes(flipped)
    np.savez(path / "numpy.npz", a=np.ones(3))
    (path / "text.npz").write_text("loadings")
    (path / "empty.npz").write_bytes(b"")
    fitted().write_h5ad(path / "adata.h5ad")
    (path / "adata.h5ad").rename(path / "adata.npz")
    with zipfile.ZipFile(good) as old, zipfile.ZipFile(path / "future.npz", "w") as new:
        for member in old.infolist():
            content = old.read(member)
            if member.filename == "manifest.json":
                content = json.dumps(json.loads(content) | {"format_version": 99}).encode()
            new.writestr(member, content)
    return {
        "cut.npz": "damaged or cut off",
        "flipped.npz": "checksum",
        "numpy.npz": "no omicstl model file",
        "text.npz": "no omicstl model file",
        "empty.npz": "empty",
        "adata.npz": "anndata.read_h5ad",
        "future.npz": "format version 99.*upgrade",
    }


def test_model_files_that_are_none(tmp_path):
    for name, word in files(tmp_path).items():
        refused(project, query(), ValueError, [name, "cannot be used as a model", word], reference=tmp_path / name)
    refused(project, query(), FileNotFoundError, ["no model file"], reference=tmp_path / "missing.npz")
    refused(project, query(), FileNotFoundError, ["There is no file"], reference=tmp_path / "missing.h5ad")
    (tmp_path / "broken.h5ad").write_text("no HDF5")
    refused(project, query(), ValueError, ["cannot be read as an AnnData"], reference=tmp_path / "broken.h5ad")
    refused(project, query(), ValueError, ["is a folder"], reference=tmp_path)


def test_a_model_of_a_future_version_or_an_unknown_kind(tmp_path, model):
    for change, words in (
        ({"version": 7}, ["version 7", "versions 1 to 2", "newer omicstl"]),
        ({"kind": "dann"}, ["kind 'dann'", "known kinds"]),
    ):
        store.write_model(tmp_path / "m.npz", model.to_dict() | change)
        refused(project, query(), ValueError, words, reference=tmp_path / "m.npz")


def test_an_anndata_without_names_of_its_own(reference):
    refused(project, ad.AnnData(query().X), ValueError, ["only row numbers"], reference=reference)
