"""`tl.project` onto models whose scores a network computes."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import omicstl as otl
from omicstl._data import store
from omicstl.models import base
from omicstl.models.factors.autoencoder.encoders import Encoders
from omicstl.models.factors.deepprofile.model import DeepprofileModel
from tests.contract import cases
from tests.support.encoder_model import N_VARS, as_kind, genes, of_data, population, quiet, register


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


def holding(model, adata, **more):
    """An AnnData as a fit of the model would have left it."""
    tree = model.to_dict()
    entry = {"kind": model.kind, "version": 1, "digest": store.digest(tree), "params": {}, "names": model.names}
    adata.uns["net"] = entry | {"model": tree} | more
    z = ((adata.X - model.mean) / model.scale).astype(np.float32)
    adata.obsm["net"], adata.obsm["net_sd"] = model.embed(z)
    return adata


@pytest.mark.parametrize("standardize", ["query", "reference", "center", "none"])
def test_with_all_genes_scores_are_those_of_the_network(model, standardize):
    adata = query()
    mean, sd = adata.X.mean(axis=0), adata.X.std(axis=0, ddof=1)
    centre, scale = {
        "query": (mean, sd),
        "reference": (model.mean, model.scale),
        "center": (mean, model.scale),
        "none": (0, 1),
    }[standardize]
    quiet(adata, model, standardize=standardize, force=True) if standardize != "none" else None
    if standardize == "none":
        adata.X = ((adata.X - mean) / sd).astype(np.float32)
        quiet(adata, model, standardize="none")
    scores, uncertainty = model.embed(((adata.X - centre) / scale).astype(np.float32))
    np.testing.assert_allclose(adata.obsm["net"], scores, atol=1e-4)
    np.testing.assert_allclose(adata.obsm["net_sd"], uncertainty, atol=1e-4)
    assert adata.obsm["net"].dtype == adata.obsm["net_sd"].dtype == np.float32
    assert adata.uns["net"]["params"]["standardize"] == standardize


def test_layout_is_that_of_every_projection(model, reference):
    linear, adata = cases.query(), query()
    otl.tl.project(linear, reference)
    otl.tl.project(adata, model)
    there, here = linear.uns["plier"], adata.uns["two_layers"]
    assert set(here) == set(there)
    assert set(here["quality"]) == set(there["quality"]) | {"captured_variance"}
    assert list(here["quality"]["factors"]) == list(there["quality"]["factors"])
    assert here["names"].tolist() == model.names.tolist()
    assert here["reference"] == {"kind": "two_layers", "digest": store.digest(model.to_dict()), "key": None}
    assert set(adata.obsm) == {"two_layers", "two_layers_sd"}
    assert not list(adata.varm)
    assert here["quality"]["verdict"] == "supported"
    assert here["quality"]["captured_variance"] == pytest.approx(1)
    assert (here["quality"]["factors"][["expected_r", "expected_slope", "present_loading"]] == 1).all(axis=None)
    assert {"two_layers_r2", "two_layers_r2_null"} <= set(adata.obs)
    assert here["params"]["scored_by"] != there["params"]["scored_by"]


def test_filling_in_beats_the_mean_when_genes_are_missing(model):
    full = quiet(query(), model, standardize="query").obsm["net"]
    for share in (0.15, 0.4):
        off = {}
        for missing in ("model", "mean"):
            found = quiet(genes(query(), share), model, standardize="query", missing=missing).obsm["net"]
            off[missing] = np.mean((found - full) ** 2)
        assert off["model"] < 0.7 * off["mean"]


def test_the_expected_agreement_is_the_one_that_is_found(model):
    """New rows of the reference's own population, a quarter of the genes."""
    adata = population(600, 2)
    full = quiet(adata.copy(), model, standardize="reference").obsm["net"]
    part = quiet(genes(adata, 0.25), model, standardize="reference")
    table = part.uns["net"]["quality"]["factors"]
    for k in range(3):
        r = np.corrcoef(full[:, k], part.obsm["net"][:, k])[0, 1]
        slope = r * part.obsm["net"][:, k].std() / full[:, k].std()
        assert table["expected_r"].iloc[k] == pytest.approx(r, abs=0.05)
        assert table["expected_slope"].iloc[k] == pytest.approx(slope, abs=0.1)
    assert table["present_loading"].between(0.1, 0.6).all()


def test_single_observations_equal_their_row_in_the_cohort(model):
    adata = genes(cohort(), 0.5)
    whole = quiet(adata.copy(), model, standardize="reference")
    for i in (0, 17):
        one = quiet(adata[i].copy(), model)  # automatic: the reference's
        assert one.uns["net"]["params"]["standardize"] == "reference"
        for name in ("net", "net_sd"):
            np.testing.assert_allclose(one.obsm[name][0], whole.obsm[name][i], atol=1e-5)
        assert one.obs["net_r2"].isna().all()


def test_order_of_genes_and_extra_genes_change_nothing(model):
    adata = genes(query(), 0.6)
    rng = np.random.default_rng(0)
    extra = ad.AnnData(rng.random((adata.n_obs, 5)).astype(np.float32), obs=adata.obs)
    extra.var_names = [f"OTHER{i}" for i in range(5)]
    wider = ad.concat([adata, extra], axis=1, merge="same")
    other = wider[:, rng.permutation(wider.n_vars)].copy()
    quiet(adata, model)
    quiet(other, model)
    for name in ("net", "net_sd"):
        np.testing.assert_array_equal(other.obsm[name], adata.obsm[name])
    pd.testing.assert_frame_equal(other.uns["net"]["quality"]["factors"], adata.uns["net"]["quality"]["factors"])


def test_blocks_do_not_change_the_answer(model):
    one, two = (genes(query(), 0.3) for _ in range(2))
    quiet(one, model)
    with otl.settings.override(block_bytes=8 * 200 * 3):
        quiet(two, model)
    for name in ("net", "net_sd"):
        np.testing.assert_allclose(two.obsm[name], one.obsm[name], atol=1e-5)
    np.testing.assert_allclose(two.obs["net_r2"], one.obs["net_r2"], atol=1e-5)


def test_few_genes_are_warned_about(model):
    adata = genes(query(), 0.1)
    with pytest.warns(otl.TransferWarning) as told:
        otl.tl.project(adata, model)
    quality = adata.uns["two_layers"]["quality"]
    text = " ".join(str(one.message) for one in told)
    assert f"carry {quality['captured_variance']:.0%} of the variance of its components" in text
    assert quality["captured_variance"] < 0.3
    poor = (quality["factors"]["expected_r"] < 0.8).sum()
    assert not poor or f"Do not interpret {poor} of 3 factors" in text
    assert ("Do not interpret" in text) == bool(poor)
    good = (quality["factors"]["expected_r"] >= 0.8) & (quality["verdict"] != "refused")
    assert (quality["factors"]["interpretable"] == good).all()


def test_other_data_are_refused_as_they_are_by_loadings(model):
    adata = query()
    adata.X = (np.random.default_rng(0).standard_normal(adata.shape) * model.scale + model.mean).astype(np.float32)
    with pytest.warns(otl.TransferWarning, match="Transfer refused"):
        otl.tl.project(adata, model)
    assert adata.uns["two_layers"]["quality"]["verdict"] == "refused"
    assert not adata.uns["two_layers"]["quality"]["factors"]["interpretable"].any()
    adata.var_names = [f"ENSG{i:011d}" for i in range(adata.n_vars)]
    with pytest.raises(ValueError, match="No gene is shared"):
        otl.tl.project(adata, model)


def test_a_fit_in_an_anndata_with_its_attributions(model, monkeypatch, tmp_path):
    register(monkeypatch)
    reference = holding(model, cohort())
    assert isinstance(otl.get.model(reference), base.EncoderModel)
    adata = query()
    otl.tl.project(adata, reference, key="net")
    assert adata.uns["net"]["reference"]["key"] == "net"
    assert otl.get.factors(adata).var["top_genes"].tolist() == ["", "", ""]
    assert otl.get.factors(reference).var["top_genes"].tolist() == ["", "", ""]
    weights = np.zeros((N_VARS, 3), np.float32)
    weights[:12] = np.linspace(1, -2, 36).reshape(12, 3)
    reference.varm["net_attributions"] = weights
    otl.tl.project(adata, reference, key="net")
    expected = [", ".join(reference.var_names[np.argsort(-np.abs(w), kind="stable")[:10]]) for w in weights.T]
    for one in (adata, reference):
        assert otl.get.factors(one).var["top_genes"].tolist() == expected
    assert {"expected_r", "interpretable"} <= set(otl.get.factors(adata).var)
    for one in (adata, reference, model):
        table = otl.get.summary(one)
        assert table.empty
        assert "fdr_nominal" in table
    adata.write_h5ad(tmp_path / "a.h5ad")
    reference.write_h5ad(tmp_path / "r.h5ad")
    again = query()
    otl.tl.project(again, tmp_path / "r.h5ad", key_added="net")
    np.testing.assert_array_equal(again.obsm["net"], ad.read_h5ad(tmp_path / "a.h5ad").obsm["net"])
    assert "two_layers model" in otl.cite(adata)
    assert "by its trained encoders" in otl.cite(adata)


def test_what_a_network_does_not_have_is_said(model):
    with pytest.raises(ValueError, match=r"two_layers model has no loadings.*otl.tl.attributions\(adata\)"):
        otl.get.loadings(model)
    with pytest.raises(ValueError, match="has no loadings"):
        otl.pl.loadings(model, "DP1")


def test_loadings_of_a_linear_decoder_are_written(model):
    class Linear(type(model)):
        loadings = np.random.default_rng(0).standard_normal((N_VARS, 3)).astype(np.float32)

    adata = genes(query(), 0.9)
    quiet(adata, as_kind(model, Linear))
    expected = pd.DataFrame(Linear.loadings, index=model.features).loc[adata.var_names]
    np.testing.assert_array_equal(adata.varm["net"], expected)
    first = Linear.loadings[:, 0]
    assert otl.get.factors(adata).var["top_genes"].iloc[0].split(", ")[0] == model.features[np.argmax(np.abs(first))]


def test_genes_are_not_taken_for_modules(model, monkeypatch):
    register(monkeypatch)
    reference = holding(model, cohort(), params={"obsm": "modules"})
    with pytest.raises(ValueError, match=r"was learnt from obsm\['modules'\], not from genes.*pass obsm='modules'"):
        quiet(query(), reference)


def test_the_same_call_gives_the_same_bits(model):
    one, two = (quiet(genes(query(), 0.3), model) for _ in range(2))
    np.testing.assert_array_equal(one.obsm["net"], two.obsm["net"])
    pd.testing.assert_frame_equal(one.uns["net"]["quality"]["factors"], two.uns["net"]["quality"]["factors"])


def test_nothing_of_another_projection_is_left_beside_the_scores(model, reference):
    adata = population(30, 1)
    adata.varm["net"] = np.ones((adata.n_vars, 2))
    with pytest.raises(ValueError, match=r"varm\['net'\] would stay beside the new scores"):
        quiet(adata, model)
    linear = cases.query()
    linear.obsm["net_sd"] = np.ones((linear.n_obs, 2))
    with pytest.raises(ValueError, match=r"del adata.obsm\['net_sd'\]"):
        otl.tl.project(linear, reference, key_added="net")
    assert "net" not in linear.obsm


def test_modules_of_genes_are_a_reference(model):
    pytest.importorskip("omicstl.models.factors.gene_modules")
    reference, adata = cohort(), query()
    otl.pp.gene_modules(reference, n_modules=8)
    quiet(adata, reference, standardize="reference")
    z = (adata.X - reference.X.mean(axis=0)) / reference.X.std(axis=0, ddof=1)
    module = reference.var["gene_modules"].to_numpy()
    expected = np.stack([z[:, module == i + 1].mean(axis=1) for i in range(8)], axis=1)
    np.testing.assert_allclose(adata.obsm["net"], expected, atol=1e-4)
    assert set(adata.obsm) == {"net"}
    assert adata.uns["net"]["params"]["scored_by"] == "the means of their genes"


def test_an_ensemble_of_deepprofile(model):
    """The same components with encoders of the ensemble, none of them trained."""
    rng = np.random.default_rng(0)
    kernel, head = rng.standard_normal((3, 6, 5)) / 4, rng.standard_normal((3, 5, 4))
    encoders = Encoders.from_dict(
        {"kernel_0": kernel, "bias_0": np.ones((3, 5)), "head": head, "head_bias": np.zeros((3, 4))}
    )
    shared = {name: getattr(model, name) for name in ("features", "mean", "scale", "components", "variance", "noise")}
    nodes = {"node_size": np.full(6, 2), "node_member": np.repeat(range(3), 2), "node_unit": np.tile(range(2), 3)}
    ensemble = DeepprofileModel(
        **shared,
        **{name: value.astype(np.int32) for name, value in nodes.items()},
        names=np.array(["DP1", "DP2"], dtype=object),
        encoders={2: encoders},
        node_cluster=np.array([0, 1, 0, 1, 1, -1], np.int32),
        node_sign=np.array([1, 1, -1, 1, -1, 1], np.float32),
        node_centre=np.zeros(6, np.float32),
        node_scale=np.ones(6, np.float32),
        rule="aligned",
        n_linear=0,
        n_obs=90,
    )
    adata = genes(query(), 0.4)
    quiet(adata, ensemble, standardize="reference")
    full = quiet(query(), ensemble, standardize="reference")
    z = ((query().X - model.mean) / model.scale) @ model.components
    h = np.maximum(np.einsum("nd,mdh->mnh", z, kernel) + 1, 0)
    mean = np.einsum("mnh,mhl->mnl", h, head)[:, :, :2]
    expected = np.stack(
        [(mean[0, :, 0] - mean[1, :, 0]) / 2, (mean[0, :, 1] + mean[1, :, 1] - mean[2, :, 0]) / 3], axis=1
    )
    np.testing.assert_allclose(full.obsm["net"], expected, atol=1e-4)
    assert (full.obsm["net_sd"] > 0).all()
    one = quiet(adata[4].copy(), ensemble)
    for name in ("net", "net_sd"):
        np.testing.assert_allclose(one.obsm[name][0], adata.obsm[name][4], atol=1e-5)
    zeros = quiet(genes(query(), 0.4), ensemble, standardize="reference", missing="mean")
    off = [np.mean((found.obsm["net"] - full.obsm["net"]) ** 2) for found in (adata, zeros)]
    assert off[0] < 0.7 * off[1]
    with pytest.raises(ValueError, match="A deepprofile model has no loadings"):
        otl.get.loadings(ensemble)
