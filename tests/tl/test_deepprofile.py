"""`tl.deepprofile`: what it writes, what it refuses, and that an interrupted fit goes on to the same answer."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pytest
import scipy.sparse as sp

import omicstl as otl
from tests.contract.cases import cohort, query

QUICK = {"latent_sizes": (3, 5), "n_members": 2, "n_clusters": 4, "training": otl.tl.Training(epochs=5)}


@pytest.fixture(scope="module")
def fit() -> ad.AnnData:
    adata = cohort()
    otl.tl.deepprofile(adata, **QUICK)
    return adata


def test_what_is_written(fit):
    entry = fit.uns["deepprofile"]
    assert list(entry["names"]) == ["DP1", "DP2", "DP3", "DP4", "PC1", "PC2", "PC3", "PC4", "PC5"]
    for name in ("deepprofile", "deepprofile_sd", "deepprofile_sd_between"):
        assert fit.obsm[name].shape == (fit.n_obs, 9)
        assert fit.obsm[name].dtype == np.float32
        assert np.isfinite(fit.obsm[name]).all()
    assert (fit.obsm["deepprofile_sd"] > 0).all()
    assert (fit.obsm["deepprofile_sd"] >= fit.obsm["deepprofile_sd_between"]).all()
    assert len(entry["nodes"]) == 2 * (3 + 5)
    assert entry["clusters"]["n_nodes"].sum() == entry["nodes"]["active"].sum()
    assert (entry["clusters"]["n_nodes"].diff().dropna() <= 0).all()
    shares = entry["clusters"][["share_3", "share_5"]].to_numpy()
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    assert len(entry["history"]) == 4 * 5
    assert entry["params"]["epochs"] == 5
    assert not fit.varm


def test_survives_a_file(fit, tmp_path):
    fit.write_h5ad(tmp_path / "fit.h5ad")
    again = ad.read_h5ad(tmp_path / "fit.h5ad")
    model = otl.get.model(again)
    np.testing.assert_array_equal(model.components, otl.get.model(fit).components)
    other = query()
    with pytest.warns(otl.TransferWarning):  # five epochs are few
        otl.tl.project(other, again)
    assert other.obsm["deepprofile"].shape == (other.n_obs, 9)


def test_layouts_give_the_same(fit):
    for x in (sp.csr_matrix(cohort().X), sp.csc_matrix(cohort().X), np.asarray(cohort().X, np.float64)):
        adata = cohort()
        adata.X = x
        otl.tl.deepprofile(adata, **QUICK)
        np.testing.assert_allclose(adata.obsm["deepprofile"], fit.obsm["deepprofile"], atol=2e-3)


def test_epochs_depend_on_the_number_of_observations():
    adata = cohort()
    otl.tl.deepprofile(adata, **(QUICK | {"training": None, "latent_sizes": (2,)}))
    assert adata.uns["deepprofile"]["params"]["epochs"] == 200


def test_validation_keeps_the_best_epoch():
    adata = cohort()
    training = otl.tl.Training(epochs=400, validation=0.3, patience=3, learning_rate=5e-3)
    otl.tl.deepprofile(adata, **(QUICK | {"training": training}))
    history = adata.uns["deepprofile"]["history"]
    assert history["validation"].notna().all()
    ended = history.groupby(["latent_size", "member"])["epoch"].max()
    best = history.loc[history.groupby(["latent_size", "member"])["validation"].idxmin()].set_index(
        ["latent_size", "member"]
    )["epoch"]
    assert (ended < 400).all()
    np.testing.assert_array_equal(ended - best, 3)
    entry = adata.uns["deepprofile"]
    assert entry["converged"]
    assert entry["n_iter"] == ended.max()


def test_networks_that_were_not_stopped_are_told_of():
    adata = cohort()
    training = otl.tl.Training(epochs=2, validation=0.3, patience=2)
    with pytest.warns(otl.ConvergenceWarning, match="still falling in 4 of 4 networks at epoch 2"):
        otl.tl.deepprofile(adata, **(QUICK | {"training": training}))
    assert not adata.uns["deepprofile"]["converged"]


def test_batches_are_standardised_apart():
    adata = cohort()
    rng = np.random.default_rng(0)
    adata.obs["batch"] = np.array(["a", "b"])[np.arange(adata.n_obs) % 2]
    shifted = (
        np.asarray(adata.X) + np.where(adata.obs["batch"] == "b", 1, 0)[:, None] * rng.normal(size=adata.n_vars) * 5
    )
    adata.X = shifted.astype(np.float32)
    otl.tl.deepprofile(adata, batch_key="batch", **QUICK)
    b = (adata.obs["batch"] == "b").to_numpy()
    components = adata.obsm["deepprofile"][:, 4:]
    np.testing.assert_allclose(components[b].mean(axis=0), components[~b].mean(axis=0), atol=1e-4)
    plain = cohort()
    plain.X = shifted.astype(np.float32)
    otl.tl.deepprofile(plain, **QUICK)
    first = plain.obsm["deepprofile"][:, 4]
    assert abs(first[b].mean() - first[~b].mean()) > 1.5


def test_obsm_in_place_of_genes():
    adata = cohort()
    adata.obsm["X_pca"] = np.random.default_rng(0).normal(size=(adata.n_obs, 12))
    otl.tl.deepprofile(adata, obsm="X_pca", **QUICK)
    assert list(otl.get.model(adata).features[:2]) == ["X_pca1", "X_pca2"]


def test_more_members_are_added_to_a_checkpoint(tmp_path):
    whole = cohort()
    otl.tl.deepprofile(whole, **(QUICK | {"n_members": 3}))
    parts = cohort()
    otl.tl.deepprofile(parts, checkpoint=tmp_path / "run", **QUICK)
    otl.tl.deepprofile(parts, checkpoint=tmp_path / "run", **(QUICK | {"n_members": 3}))
    assert parts.uns["deepprofile"]["digest"] == whole.uns["deepprofile"]["digest"]
    with pytest.raises(ValueError, match="`training.epochs` was 5, is 6"):
        otl.tl.deepprofile(parts, checkpoint=tmp_path / "run", **(QUICK | {"training": otl.tl.Training(epochs=6)}))
    other = cohort()
    other.X[0, 0] += 1
    with pytest.raises(ValueError, match="`data` was"):
        otl.tl.deepprofile(other, checkpoint=tmp_path / "run", **QUICK)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"latent_sizes": (3, 3)}, "different numbers"),
        ({"latent_sizes": ()}, "one to six"),
        ({"n_members": 0}, "`n_members` must be >= 1"),
        ({"n_clusters": 17}, "at most the number of latent units, 16"),
        ({"clustering": "alligned"}, "Did you mean 'aligned'"),
        ({"n_comps": 40}, "`n_comps` must be at most 39, got 40"),
        ({"layer": "x", "obsm": "y"}, "two places to read from"),
        ({"kl_weight": 1e4, "training": otl.tl.Training(epochs=300, learning_rate=0.02)}, "Lower `kl_weight`"),
    ],
)
def test_refused(options, message):
    adata = cohort()
    before = set(adata.uns)
    with pytest.raises((ValueError, KeyError), match=message):
        otl.tl.deepprofile(adata, **(QUICK | {"training": otl.tl.Training(epochs=40)} | options))
    assert set(adata.uns) == before
    assert not adata.obsm


def test_too_large_a_model_is_refused_before_the_fit(monkeypatch, tmp_path):
    adata = cohort()
    with otl.settings.override(model_in_adata=1000):
        with monkeypatch.context() as patch:
            patch.setattr("omicstl.models.factors.deepprofile.fit.fit_deepprofile", None)
            with pytest.raises(ValueError, match="would take .* MB"):
                otl.tl.deepprofile(adata, **QUICK)
        otl.tl.deepprofile(adata, model_path=tmp_path / "model.npz", **QUICK)
    assert adata.uns["deepprofile"]["model"]["path"].endswith("model.npz")
    assert otl.get.model(adata).names.size == 9
