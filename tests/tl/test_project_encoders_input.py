"""What `tl.project` makes of counts, covariates and matrices of `obsm` for models whose scores a network computes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import omicstl as otl
from omicstl.models.factors.autoencoder.covariates import learn
from tests.support.encoder_model import N_VARS, Counting, WithBatch, as_kind, counts, of_data, population, quiet


def cohort():
    """What the network has learnt from."""
    return population(90, 0)


def query():
    """Other observations of the same population."""
    return population(30, 1)


@pytest.fixture(scope="module")
def model():
    reference = cohort()
    return of_data(reference.X.astype(float), np.asarray(reference.var_names))


@pytest.fixture(scope="module")
def counting():
    x = counts(200).X
    return as_kind(of_data(np.log1p(x / x.sum(axis=1, keepdims=True) * 1e4), counts(1).var_names), Counting)


def test_counts_are_normalised_as_for_the_training(counting):
    adata = counts(30, seed=1)
    otl.tl.project(adata, counting, key_added="net")
    logs = np.log1p(adata.X / adata.X.sum(axis=1, keepdims=True) * 1e4)
    scores, _ = counting.embed(((logs - counting.mean) / counting.scale).astype(np.float32))
    np.testing.assert_allclose(adata.obsm["net"], scores, atol=1e-4)
    params = adata.uns["net"]["params"]
    assert (params["standardize"], params["requested"], params["target_sum"]) == ("reference", "auto", 1e4)
    one = adata[3].copy()
    otl.tl.project(one, counting, key_added="net")
    np.testing.assert_allclose(one.obsm["net"][0], adata.obsm["net"][3], atol=1e-5)


def test_missing_genes_do_not_make_the_others_look_higher(counting):
    """The total over fewer genes is smaller, and so is its target."""
    adata = counts(200, seed=1)
    high = np.argsort(-adata.X.mean(axis=0))
    part = adata[:, np.sort(high[20:])].copy()
    quiet(part, counting)
    assert np.median(np.abs(part.uns["net"]["quality"]["offset"])) < 0.15
    naive = np.log1p(part.X / part.X.sum(axis=1, keepdims=True) * 1e4).mean(axis=0)
    there = np.sort(high[20:])
    assert np.median(np.abs((naive - counting.mean[there]) / counting.scale[there])) > 0.3


def test_counts_are_asked_for(counting):
    adata = counts(30, seed=1)
    adata.X = np.log1p(adata.X)
    with pytest.warns(otl.ScaleWarning, match="is not made of integers"):
        quiet(adata, counting, force=True)
    adata.X = adata.X - 1
    with pytest.raises(ValueError, match="raw counts are needed"):
        quiet(adata, counting)
    empty = counts(30, seed=1)
    empty.X[4] = 0
    with pytest.warns(otl.TransferWarning, match="1 of 30 observations have no counts on the 150 shared genes"):
        otl.tl.project(empty, counting, key_added="net")
    assert np.isfinite(empty.obsm["net"]).all()


def with_batch(model, adata):
    age = adata.obs["age"].to_numpy(dtype=float)
    batch = adata.obs["batch"].to_numpy(dtype=str)
    return as_kind(model, WithBatch, covariate_codes=learn({"batch": batch, "age": age}, {"batch": ["a", "b", "c"]}))


def described(adata, seed=0):
    rng = np.random.default_rng(seed)
    adata.obs["batch"] = pd.Categorical(rng.choice(["a", "b", "c"], adata.n_obs, p=[0.2, 0.3, 0.5]))
    adata.obs["age"] = rng.uniform(20, 60, adata.n_obs)
    return adata


def test_covariates_are_coded_as_in_the_training(model):
    reference = described(cohort())
    fitted, adata = with_batch(model, reference), described(query(), 1)
    otl.tl.project(adata, fitted, key_added="net")
    plain = quiet(query(), model).obsm["net"]
    share = (reference.obs["batch"] == "a").mean()
    age = (adata.obs["age"] - reference.obs["age"].mean()) / reference.obs["age"].std()
    more = 10 * ((adata.obs["batch"] == "a") - share) + age
    np.testing.assert_allclose(adata.obsm["net"], plain + more.to_numpy()[:, None], atol=1e-4)
    assert adata.uns["net"]["params"]["covariates"].tolist() == ["batch", "age"]


def test_unknown_covariates_count_as_the_average(model):
    fitted = with_batch(model, described(cohort()))
    plain = quiet(query(), model).obsm["net"]
    without = query()
    with pytest.warns(otl.TransferWarning, match=r"obs has no column 'batch'; obs has no column 'age'"):
        otl.tl.project(without, fitted, key_added="net")
    np.testing.assert_array_equal(without.obsm["net"], plain)
    adata = described(query(), 1)
    adata.obs["batch"] = ["d", None, "a", *adata.obs["batch"].astype(str)[3:]]
    adata.obs.loc[adata.obs_names[:3], "age"] = np.nan
    with pytest.warns(otl.TransferWarning) as told:
        otl.tl.project(adata, fitted, key_added="net")
    text = str(told[0].message)
    assert "levels that it does not know (d, (missing); it knows a, b, c) in 2 of 30 observations" in text.replace(
        "'", ""
    )
    assert "obs['age'] is missing in 3 of 30 observations" in text
    np.testing.assert_allclose(adata.obsm["net"][:2], plain[:2], atol=1e-5)
    assert (np.abs(adata.obsm["net"][2] - plain[2]) > 5).all()
    adata.obs["age"] = "old"
    with pytest.warns(otl.TransferWarning, match=r"obs\['age'\] is no number"):
        otl.tl.project(adata, fitted, key_added="net")


def test_columns_of_obsm_take_the_place_of_genes(model):
    """A network on module means, as it was learnt."""
    adata = query()
    expected = quiet(query(), model).obsm["net"]
    modules = replace(model, features=np.array([f"modules{i + 1}" for i in range(N_VARS)], dtype=object))
    adata.obsm["modules"] = adata.X.copy()
    quiet(adata, modules, obsm="modules")
    np.testing.assert_array_equal(adata.obsm["net"], expected)
    assert adata.uns["net"]["params"]["obsm"] == "modules"
    with pytest.raises(ValueError, match="two places to read from"):
        quiet(adata, modules, obsm="modules", layer="log")
    with pytest.raises(KeyError, match="Did you mean 'modules'"):
        quiet(adata, modules, obsm="module")
