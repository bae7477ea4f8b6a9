"""What every verb does around its fit: nothing of others is lost, and nothing of yesterday stays."""

from __future__ import annotations

import logging

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from snapshots import changes, snapshot

import omicstl as otl
from omicstl._data import commit as writer, run as engine
from tests.contract import cases


def numbered(n: int = 4) -> ad.AnnData:
    return ad.AnnData(np.ones((n, 3), np.float32))


def write(adata: ad.AnnData, key: str = "x", name: str = "vae", **slots: object) -> None:
    run = engine.start(name, adata, key, copy=False)
    scores = np.zeros((adata.n_obs, 2), np.float32)
    run.commit({}, params={}, **({"obsm": {"": scores, "_sd": scores}} | slots))


@pytest.mark.parametrize(
    "entry",
    [
        {"kind": np.array(["a", "b"])},
        {"kind": pd.NA},
        {"kind": None, "params": 3},
        {"kind": "rank_factors_groups", "version": 1, "params": {"key": np.array(["x", "y"])}},
        {"kind": "enrichment", "params": {"key": "x"}},  # no version: not ours
        {"kind": "vae", "version": "1"},
    ],
)
def test_entries_of_others_stay(entry):
    adata = numbered()
    adata.uns["mine"] = entry
    write(adata)
    write(adata)
    assert "mine" in adata.uns
    otl.cite(ad.AnnData(uns={"mine": entry}))


def test_an_entry_says_what_it_wrote_and_that_alone_goes():
    adata = numbered()
    write(adata, varm={"": np.zeros((3, 2), np.float32)})
    assert adata.uns["x"]["slots"].tolist() == ["obsm/{key}", "obsm/{key}_sd", "varm/{key}", "uns/{key}"]
    write(adata)
    assert "x" not in adata.varm
    adata.varm["x"] = np.ones((3, 1))  # a user's own, which a fit without loadings has not written
    write(adata)
    assert "x" in adata.varm


def test_an_older_entry_is_known_by_its_record():
    adata = numbered()
    write(adata, varm={"": np.zeros((3, 2), np.float32)})
    del adata.uns["x"]["slots"]
    write(adata)
    assert "x" not in adata.varm


def test_a_key_that_is_anothers_slot():
    adata = numbered()
    write(adata, "a_sd")
    before = snapshot(adata)
    with pytest.raises(ValueError, match=r"adata.obsm\['a_sd'\] would be replaced, and is of the result under the key"):
        write(adata, "a")
    assert not changes(before, snapshot(adata))
    other = numbered()
    write(other, "a")
    other.uns["a_sd"] = {"kind": "vae", "version": 1}
    engine.start("plier", other, "a", copy=False).commit({}, params={}, obsm={"": np.zeros((4, 1), np.float32)})
    assert "a_sd" in other.obsm


def test_a_slot_that_the_record_does_not_name_is_our_error():
    with pytest.raises(RuntimeError, match=r"record of tl.vae does not name obs/\{key\}_r2"):
        write(numbered(), obs={"_r2": np.zeros(4, np.float32)})


def test_what_goes_is_told(caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("omicstl"), "propagate", True)
    adata = cases.tested()
    otl.tl.rank_factors_groups(adata, "group", factors="all", key_added="mine")
    otl.tl.enrich(adata, cases.gene_sets(), min_genes=28, fdr=1)
    with caplog.at_level(logging.INFO, logger="omicstl"), otl.settings.override(verbosity=2):
        cases.plier(adata)
    assert "Removed, as it was computed from the earlier scores of 'plier'" in caplog.text
    assert "uns['mine']" in caplog.text
    assert "uns['plier_enrichment']" in caplog.text
    assert not {"mine", "plier_enrichment"} & set(adata.uns)


def test_enrichment_of_attributions_goes_with_them():
    adata = cases.networked()
    otl.tl.attributions(adata, n_steps=2)
    otl.tl.enrich(adata, cases.gene_sets(), min_genes=28, fdr=1)
    assert adata.uns["deepprofile_enrichment"]["params"]["weights"] == "attributions"
    otl.tl.attributions(adata, n_steps=3)
    assert "deepprofile_enrichment" not in adata.uns


def test_a_model_file_is_written_only_if_all_can_be(tmp_path, monkeypatch):
    adata = cases.cohort()

    def refused(*given):
        msg = "no"
        raise ValueError(msg)

    monkeypatch.setattr(writer, "_validated", refused)
    with pytest.raises(ValueError, match="no"):
        cases.plier(adata, model_path=tmp_path / "plier.npz")
    assert not list(tmp_path.iterdir())


def test_what_is_told_names_the_rooms(caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("omicstl"), "propagate", True)
    adata = numbered()
    run = engine.start("vae", adata, "x", copy=False)
    scores = np.zeros((4, 2), np.float32)
    run.commit({}, params={}, obsm={"": scores, "_sd": scores}, varm={"": np.zeros((3, 2), np.float32)})
    with caplog.at_level(logging.INFO, logger="omicstl"), otl.settings.override(verbosity=2):
        run.tell("Done.")
    assert "Done. Written to obsm, varm and uns['x']." in caplog.text
