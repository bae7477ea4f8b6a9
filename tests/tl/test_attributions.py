"""The verb standardises as the fit did, writes what it says, and refuses what it cannot attribute."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import omicstl as otl
from omicstl._core.random import streams
from omicstl.models.factors import attributions
from omicstl.models.factors.attributions import Block
from tests.support import network_models as networks
from tests.support.snapshots import changes, snapshot

SLOT = "deepprofile_attributions"


def genes(adata, model):
    """Columns of the model, in its order."""
    return np.asarray(adata[:, list(model.features)].X, np.float64)


def block(z, covariates=None):
    return Block(z.astype(np.float32), np.zeros((len(z), 0), np.float32) if covariates is None else covariates)


def expected(model, z, covariates=None, **options):
    size = 32  # as the verb would have it: the same compiled code
    blocks = [
        block(z[low : low + size], None if covariates is None else covariates[low : low + size]) for low in (0, size)
    ]
    return attributions.attribute(model, blocks, size, **{"n_steps": 50, **options})


def assert_written(adata, model, wanted, key="deepprofile"):
    written = adata[:, list(model.features)].varm[f"{key}_attributions"]
    np.testing.assert_allclose(written, wanted, atol=1e-5 * np.abs(wanted).max())


@pytest.fixture(scope="module")
def model():
    return networks.ensemble()


@pytest.fixture(scope="module")
def attributed(model):
    adata = networks.cohort(model)
    assert otl.tl.attributions(adata) is None
    return adata


def test_genes_are_standardised_with_the_models_statistics(attributed, model):
    wanted = expected(model, (genes(attributed, model) - model.mean) / model.scale)
    assert_written(attributed, model, wanted.values)
    table = attributed.uns[SLOT]["completeness_gap"]
    assert table["factor"].tolist() == model.names.tolist()
    np.testing.assert_allclose(table["gap"], wanted.gap, rtol=1e-2)
    assert table["gap"].max() < 0.05


def test_variables_outside_the_model_have_none(attributed):
    values = attributed.varm[SLOT]
    others = attributed.var_names.str.startswith("OTHER")
    assert values.shape == (33, 6)
    assert not values[others].any()
    assert values[~others].any(axis=1).all()


def test_what_was_done_is_noted(attributed, model):
    entry = attributed.uns[SLOT]
    assert entry["kind"] == "attributions"
    assert entry["names"].tolist() == model.names.tolist()
    assert entry["params"] == {
        "key": "deepprofile",
        "method": "integrated_gradients",
        "n_steps": 50,
        "n_obs": 40,
        "n_genes": 30,
        "n_factors": 6,
        "layer": None,
        "seed": "0",
    }


@pytest.mark.parametrize("method", ["integrated_gradients_absolute", "gradient", "correlation"])
def test_methods(method, model):
    adata = networks.cohort(model)
    otl.tl.attributions(adata, method=method)
    z = (genes(adata, model) - model.mean) / model.scale
    if method == "correlation":
        wanted = attributions.correlate(model, [block(z)])
    else:
        wanted = expected(model, z, method=method)
    assert_written(adata, model, wanted.values)
    integrated = method.startswith("integrated")
    assert adata.uns[SLOT]["params"]["n_steps"] == (50 if integrated else None)
    assert adata.uns[SLOT]["completeness_gap"]["gap"].notna().all() == integrated


def test_within_batches_if_the_fit_did(model):
    adata = networks.cohort(model, batch_key="batch")
    adata.X[1::2] += 3 * np.random.default_rng(0).random(33).astype(np.float32)
    otl.tl.attributions(adata)
    x = genes(adata, model)
    z = np.empty_like(x)
    for first in (0, 1):
        part = x[first::2]
        z[first::2] = (part - part.mean(axis=0)) / part.std(axis=0, ddof=1)
    assert_written(adata, model, expected(model, z).values)


def test_the_layer_of_the_fit_or_another(attributed, model):
    adata = networks.cohort(model, layer="log")
    adata.layers["log"] = adata.X
    adata.layers["other"] = adata.X + 1
    adata.X = np.zeros_like(adata.X)
    otl.tl.attributions(adata)
    np.testing.assert_array_equal(adata.varm[SLOT], attributed.varm[SLOT])
    assert adata.uns[SLOT]["params"]["layer"] == "log"
    otl.tl.attributions(adata, layer="other")
    assert_written(adata, model, expected(model, (genes(attributed, model) + 1 - model.mean) / model.scale).values)


def test_covariates_are_those_of_the_observations():
    model = networks.vae(with_batch=True)
    adata = networks.cohort(model)
    adata.obs["batch"] = ["a", "b", "b", "unseen"] * 10
    otl.tl.attributions(adata)
    codes = np.tile(np.array([[0.5, -0.5], [-0.5, 0.5], [-0.5, 0.5], [0, 0]], np.float32), (10, 1))
    z = (genes(adata, model) - model.mean) / model.scale
    assert_written(adata, model, expected(model, z, codes).values, "vae")


def test_counts_are_normalised_as_the_fit_did():
    model = replace(networks.vae(), likelihood="nb", target_sum=100.0)
    model = replace(model, mean=np.full(12, 2.2), scale=np.full(12, 0.3))
    adata = networks.cohort(
        model, likelihood="nb", batch_key="batch"
    )  # a covariate of the fit at most, not of the genes
    otl.tl.attributions(adata)
    x = genes(adata, model)
    z = (np.log1p(x / x.sum(axis=1, keepdims=True) * 100) - 2.2) / 0.3
    assert_written(adata, model, expected(model, z).values, "vae")


def test_some_observations(model):
    adata, again = networks.cohort(model), networks.cohort(model)
    otl.tl.attributions(adata, n_obs=35, rng=3)
    assert adata.uns[SLOT]["params"]["n_obs"] == 35
    drawn = np.sort(streams(3).generator("observations").choice(40, 35, replace=False))
    z = (genes(adata, model) - model.mean) / model.scale
    assert_written(adata, model, expected(model, z[drawn]).values)
    otl.tl.attributions(again, n_obs=35, rng=3)
    np.testing.assert_array_equal(adata.varm[SLOT], again.varm[SLOT])
    otl.tl.attributions(again, n_obs=35, rng=4)
    assert (adata.varm[SLOT] != again.varm[SLOT]).any()


def test_more_observations_than_there_are_means_all(attributed, model):
    adata = networks.cohort(model)
    otl.tl.attributions(adata, n_obs=1000)
    assert adata.uns[SLOT]["params"]["n_obs"] == 40
    np.testing.assert_array_equal(adata.varm[SLOT], attributed.varm[SLOT])


def test_blocks_do_not_matter(attributed, model):
    adata = networks.cohort(model)
    with otl.settings.override(block_bytes=2048):  # 8 rows of gradients on 2 cores
        otl.tl.attributions(adata)
    wanted = attributed.varm[SLOT]
    np.testing.assert_allclose(adata.varm[SLOT], wanted, atol=1e-5 * np.abs(wanted).max())


def test_one_of_several_models(model):
    adata = networks.cohort(model, key="one")
    networks.put(adata, networks.ensemble(seed=5), "two")
    with pytest.raises(KeyError, match="2 models"):
        otl.tl.attributions(adata)
    otl.tl.attributions(adata, "two")
    assert list(adata.varm) == ["two_attributions"]


def test_too_few_steps_are_told(model):
    adata = networks.cohort(model)
    with pytest.warns(UserWarning, match=r"do not add up.*completeness gap of.*n_steps=10\."):
        otl.tl.attributions(adata, n_steps=1)
    assert adata.uns[SLOT]["completeness_gap"]["gap"].median() > 0.05


def test_enrichment_reads_them(attributed):
    """The slot is the one that `tl.enrich` looks into."""
    adata = attributed.copy()
    adata.obsm["deepprofile"] = np.zeros((40, 6), np.float32)
    otl.tl.enrich(adata, {"some": [f"GENE{i}" for i in range(12)]}, n_top=5)
    assert "deepprofile_enrichment" in adata.uns


BAD = {
    "method": (
        {"method": "integrated_gradient"},
        ValueError,
        "`method` must be one of .* Did you mean 'integrated_gradients'",
    ),
    "no steps": ({"n_steps": 0}, ValueError, "`n_steps` must be >= 1"),
    "steps of no use": (
        {"n_steps": 20, "method": "gradient"},
        ValueError,
        "`n_steps` has no use with method='gradient'",
    ),
    "no observations": ({"n_obs": 0}, ValueError, "`n_obs` must be >= 1.*None uses all"),
    "layer": ({"layer": "logs"}, KeyError, "'logs' not found in adata.layers"),
    "key": ({"key": "deeprofile"}, KeyError, "Did you mean 'deepprofile'"),
}


@pytest.mark.parametrize("bad", BAD)
def test_bad_options(bad, model):
    options, error, text = BAD[bad]
    adata = networks.cohort(model)
    before = snapshot(adata)
    with pytest.raises(error, match=text):
        otl.tl.attributions(adata, **options)
    assert not changes(before, snapshot(adata))


def test_genes_must_be_there(model):
    adata = networks.cohort(model)
    short = adata[:, adata.var_names != "GENE7"].copy()
    with pytest.raises(ValueError, match="lacks 1 of the 30 genes of the model: 'GENE7'"):
        otl.tl.attributions(short)


def test_values_must_be_finite(model):
    adata = networks.cohort(model)
    adata.X[3, adata.var_names.get_loc("GENE2")] = np.nan
    with pytest.raises(ValueError, match="1 NaN value .first at sample 'S3', gene 'GENE2'"):
        otl.tl.attributions(adata)


def test_columns_of_the_fit_must_be_there(model):
    adata = networks.cohort(model, batch_key="plate")
    with pytest.raises(KeyError, match="'plate' not found in adata.obs"):
        otl.tl.attributions(adata)
    adata.obs["plate"] = ["a", None] * 20
    with pytest.raises(ValueError, match="'plate'. is missing in 20 of 40 observations. Fill it in"):
        otl.tl.attributions(adata)


def test_a_fit_on_obsm_has_no_genes(model):
    adata = networks.cohort(model, obsm="gene_modules")
    with pytest.raises(ValueError, match="learnt from adata.obsm.'gene_modules'.*leave out `obsm`"):
        otl.tl.attributions(adata)


def test_a_linear_model_has_loadings(reference):
    adata = reference.copy()
    with pytest.raises(NotImplementedError, match="kind 'plier', which is linear.*otl.get.loadings"):
        otl.tl.attributions(adata)


def test_other_objects(model):
    with pytest.raises(TypeError, match="`adata` must be an AnnData, got DeepprofileModel"):
        otl.tl.attributions(model)
