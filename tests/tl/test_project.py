"""`tl.project` beyond the contract of all verbs: its verdict, its report, and rows by the thousand."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import scipy.sparse as sp
from anndata import AnnData

import omicstl as otl
from omicstl._data import blocks
from tests.contract.cases import fitted, query


@pytest.fixture(scope="module")
def reference():
    return fitted()


def test_scores_follow_the_truth(reference):
    """A second cohort on another platform: its known scores come back, and the verdict says so."""
    both, truth = otl.datasets.simulate_pathways(40, 200, n_query=16, n_sets=12, n_factors=3, query_offset=3.0, rng=0)
    adata = both[40:].copy()
    with pytest.warns(otl.TransferWarning, match="another platform"):
        otl.tl.project(adata, reference)
    r = np.abs(np.corrcoef(adata.obsm["plier"].T, truth.scores[40:].T)[:4, 4:])
    assert r.max(axis=0).min() > 0.85
    assert adata.uns["plier"]["quality"]["verdict"] == "supported"
    assert (adata.obs["plier_r2"] > adata.obs["plier_r2_null"]).mean() > 0.8


def test_a_weak_transfer_is_called_so(reference):
    """Most of the variance is of another origin, and what is left is that of the reference."""
    adata = query()
    adata.X = (adata.X + 2.5 * np.random.default_rng(0).standard_normal(adata.shape)).astype(np.float32)
    with pytest.warns(otl.TransferWarning, match="Weak transfer: held-out genes|Transfer refused"):
        otl.tl.project(adata, reference)
    quality = adata.uns["plier"]["quality"]
    assert quality["verdict"] in ("weak", "refused")
    assert quality["r2"] < 0.5 * quality["r2_expected"]


def test_the_expected_r2_is_that_of_the_reference_itself(reference):
    adata = reference.copy()
    otl.tl.project(adata, reference, key_added="again")
    quality = adata.uns["again"]["quality"]
    assert quality["r2_expected"] == pytest.approx(adata.obs["again_r2"].median(), abs=0.1)


def test_the_key_is_that_of_the_reference_unless_given(reference):
    adata = query()
    otl.tl.project(adata, reference, key_added="multiplier")
    assert set(adata.obsm) == set(adata.varm) == {"multiplier"}
    assert {"multiplier_r2", "multiplier_r2_null"} <= set(adata.obs.columns)
    assert "model" not in adata.uns["multiplier"]
    assert adata.uns["multiplier"]["reference"]["digest"] == reference.uns["plier"]["digest"]


def test_many_sparse_rows_in_blocks_are_never_made_dense(reference, monkeypatch):
    """More rows than the budget holds: no block beyond it, and the answer is that of one block."""
    adata = query()
    rows = np.random.default_rng(0).integers(0, adata.n_obs, 3000)
    large = AnnData(sp.csr_matrix(adata.X[rows]), var=adata.var)
    whole = large.copy()
    otl.tl.project(whole, reference)
    seen = []
    real = blocks._Rows._dense

    def dense(self, part):
        out = real(self, part)
        seen.append(out.shape[0])
        return out

    monkeypatch.setattr(blocks._Rows, "_dense", dense)
    with otl.settings.override(block_bytes=8 * 200 * 100):
        otl.tl.project(large, reference)
    assert max(seen) <= 100
    assert sum(seen) == 2 * 3000
    np.testing.assert_allclose(large.obsm["plier"], whole.obsm["plier"], atol=1e-4)
    np.testing.assert_allclose(large.obs["plier_r2"], whole.obs["plier_r2"], atol=1e-4)


def test_it_says_what_it_did(reference, caplog):
    with otl.settings.override(verbosity=2), caplog.at_level(logging.INFO, "omicstl"):
        otl.tl.project(query(), reference)
    assert "100% of the reference's genes, standardised by 'query'; verdict: supported" in caplog.text


def test_silence_on_request(reference, capsys):
    """Warnings are errors here, so that none may be given."""
    adata = query()
    adata.X = adata.X + 9
    with otl.settings.override(verbosity=0):
        otl.tl.project(adata, reference)
    assert not capsys.readouterr().err
    assert adata.uns["plier"]["quality"]["median_offset"] > 3
