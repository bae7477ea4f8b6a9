"""`tl.vae`: planted factors come back, covariates do what they say, and what is written is what was learnt."""

from __future__ import annotations

from dataclasses import replace

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import omicstl as otl
from omicstl.models.factors.vae import fit
from tests.support.snapshots import changes, snapshot

QUICK = otl.tl.Training(epochs=4, batch_size=40, learning_rate=0.01)
LONG = otl.tl.Training(epochs=150, batch_size=40, learning_rate=0.005)


@pytest.fixture(scope="module")
def planted():
    return otl.datasets.simulate_pathways(160, 120, n_sets=12, n_factors=3, rng=1)


def explained(scores, truth):
    """R² of each true factor from all scores."""
    x = np.column_stack([np.ones(len(scores)), scores])
    left = truth - x @ np.linalg.lstsq(x, truth, rcond=None)[0]
    return 1 - left.var(axis=0) / truth.var(axis=0)


def correlations(a, b):
    return np.corrcoef(a.T, b.T)[: a.shape[1], a.shape[1] :]


@pytest.fixture(scope="module")
def linear(planted):
    adata = planted[0].copy()
    otl.tl.vae(adata, n_factors=3, decoder="linear", hidden=(16,), training=LONG)
    return adata


def test_planted_factors_are_found(planted, linear):
    assert explained(linear.obsm["vae"], planted[1].scores).min() > 0.9
    assert linear.uns["vae"]["units"]["active"].all()


def test_batches_written_otherwise_are_the_same(planted):
    """Numbers become floats where `anndata.concat` fills in NaN, and text or categories in files."""
    adata = planted[0].copy()
    adata.obs["batch"] = np.arange(adata.n_obs) % 3 + 1
    otl.tl.vae(adata, n_factors=2, hidden=(8,), batch_key="batch", training=QUICK)
    query, scores = planted[0][:40].copy(), []
    numbers = np.arange(40) % 3 + 1
    stored = otl.get.model(adata)
    assert stored.covariate_codes.level.tolist() == ["1", "2", "3"]
    earlier = stored.covariate_codes._replace(level=np.array(["1.0", "2.0", "3.0"], dtype=object))
    floats = numbers.astype(float)
    for reference in (stored, replace(stored, covariate_codes=earlier)):
        for batch in (
            numbers,
            floats,
            numbers.astype(str),
            floats.astype(str),
            pd.Categorical(floats),
            pd.array(numbers, "Int64"),
        ):
            query.obs["batch"] = batch
            otl.tl.project(query, reference, key_added="vae")  # a level that is not known would be a warning
            scores.append(query.obsm["vae"].copy())
    for other in scores[1:]:
        np.testing.assert_array_equal(other, scores[0])
    query.obs["batch"] = "1"
    otl.tl.project(query, stored, key_added="vae")
    assert np.abs(query.obsm["vae"] - scores[0]).max() > 1e-3


def test_loadings_predict_the_data(linear):
    """Of a linear decoder: z-scores are scores times loadings, up to an offset."""
    z = (linear.X - linear.X.mean(0)) / linear.X.std(0, ddof=1)
    fitted = linear.obsm["vae"] @ linear.varm["vae"].T
    r2 = np.array([np.corrcoef(z[:, j], fitted[:, j])[0, 1] for j in range(z.shape[1])]) ** 2
    best = np.linalg.svd(z - z.mean(0), compute_uv=False) ** 2
    assert r2.mean() > 0.9 * best[:3].sum() / best.sum()
    assert (linear.varm["vae"].sum(axis=0) >= 0).all()


def test_the_model_scores_the_training_data_as_the_fit_did(linear):
    model = otl.get.model(linear)
    z = ((linear.X - model.mean) / model.scale).astype(np.float32)
    scores, sd = model.embed(z)
    np.testing.assert_allclose(scores, linear.obsm["vae"], atol=2e-5)
    np.testing.assert_allclose(sd, linear.obsm["vae_sd"], rtol=1e-4)
    query = linear[:50].copy()
    otl.tl.project(query, linear, standardize="reference", key_added="seen")
    np.testing.assert_allclose(query.obsm["seen"], linear.obsm["vae"][:50], atol=2e-5)


def test_what_is_said_of_units_is_that_of_the_scores(linear):
    units, scores, sd = linear.uns["vae"]["units"], linear.obsm["vae"], linear.obsm["vae_sd"]
    kl = 0.5 * (scores**2 + sd**2 - 1 - 2 * np.log(sd)).mean(0)
    np.testing.assert_allclose(units["kl"], kl, rtol=1e-4)
    np.testing.assert_allclose(units["variance"], scores.var(0), rtol=1e-5)
    history = linear.uns["vae"]["history"]
    assert history["epoch"].tolist() == list(range(1, 151))
    assert history["validation"].isna().all()
    np.testing.assert_allclose(history["loss"], history["reconstruction"] + history["kl"], rtol=1e-5)
    assert history["loss"].iloc[-1] < 0.7 * history["loss"].iloc[0]


def test_components_are_those_of_the_data(linear):
    model = otl.get.model(linear)
    z = (linear.X - model.mean) / model.scale
    gram = z.T @ z / (len(z) - 1)
    values = np.linalg.eigvalsh(gram)[::-1]
    np.testing.assert_allclose(model.variance, values[:50], rtol=1e-3)
    np.testing.assert_allclose(model.components.T @ model.components, np.eye(50), atol=1e-5)
    np.testing.assert_allclose(gram @ model.components[:, :3], model.components[:, :3] * values[:3], atol=1e-3)
    np.testing.assert_allclose(model.noise + model.components**2 @ model.variance, 1, atol=1e-3)


def test_a_factor_of_a_set_is_that_of_its_set(planted):
    """Sets with too few genes are left out, and said to be."""
    adata, truth = planted[0].copy(), planted[1]
    few = {"few": list(adata.var_names[:3]), "foreign": ["A", "B"]}
    otl.tl.vae(adata, gene_sets=truth.gene_sets | few, positive=True, hidden=(16,), training=LONG)
    names = list(adata.uns["vae"]["names"])
    assert names == [*truth.gene_sets, "extra1"]
    lost = adata.uns["vae"]["lost_sets"]
    assert dict(zip(lost["set"], lost["n_genes"], strict=True)) == {"few": 3, "foreign": 0}
    loadings = pd.DataFrame(adata.varm["vae"], index=adata.var_names, columns=names)
    assert (loadings >= 0).all(axis=None)
    for name, genes in truth.gene_sets.items():
        assert not loadings.loc[~loadings.index.isin(genes), name].any()
    assert (loadings["extra1"] != 0).sum() > 40
    single = np.flatnonzero((truth.weights > 0).sum(axis=0) == 1)  # a factor of two sets is no factor of one
    own = [names.index(list(truth.gene_sets)[i]) for i in truth.weights.argmax(axis=0)[single]]
    assert single.size == 2
    r = correlations(adata.obsm["vae"], truth.scores[:, single])
    assert (np.diag(r[own]) > 0.95).all()  # the right sign, too
    idle = ~adata.uns["vae"]["units"]["active"].to_numpy()
    assert 6 <= idle.sum() <= 10  # sets that drive nothing are given up


@pytest.fixture(scope="module")
def batches(planted):
    """Two batches that differ in a third of the genes, and an age that drives others."""
    adata = planted[0].copy()
    rng = np.random.default_rng(0)
    adata.obs["batch"] = np.where(rng.random(adata.n_obs) < 0.5, "one", "two")
    adata.obs["age"] = rng.normal(50, 10, adata.n_obs)
    adata.X[adata.obs["batch"] == "two", :40] += 3
    adata.X[:, 40:80] += 0.2 * adata.obs["age"].to_numpy(np.float32)[:, None]
    return adata


def told(adata, values):
    """R² of `values` from the scores."""
    return explained(adata.obsm["vae"], np.asarray(values, float)[:, None])[0]


def test_covariates_leave_the_factors(planted, batches):
    """Without them one of four factors is the age (R² .97). Genes are standardised within batches."""
    adata = batches.copy()
    otl.tl.vae(adata, n_factors=4, hidden=(16,), batch_key="batch", covariates=["age"], training=LONG)
    assert told(adata, batches.obs["batch"] == "two") < 0.2
    assert told(adata, batches.obs["age"]) < 0.2
    assert explained(adata.obsm["vae"], planted[1].scores).min() > 0.8
    model, frame = otl.get.model(adata), adata.to_df().astype(float)
    assert {name: levels.tolist() for name, levels in model.covariates.items()} == {"batch": ["one", "two"], "age": []}
    grouped = frame.groupby(adata.obs["batch"])
    np.testing.assert_allclose(model.mean, frame.mean(), rtol=1e-5)
    pooled = sum((len(part) - 1) * part.var() for _, part in grouped) / (len(frame) - 2)
    np.testing.assert_allclose(model.scale, np.sqrt(pooled), rtol=1e-4)
    z = ((frame - grouped.transform("mean")) / grouped.transform("std")).to_numpy(np.float32)
    codes = model.covariate_codes.matrix({name: adata.obs[name].to_numpy() for name in ("batch", "age")}, adata.n_obs)
    np.testing.assert_allclose(codes.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(model.embed(z, codes)[0], adata.obsm["vae"], atol=2e-4)


@pytest.fixture(scope="module")
def counts(planted):
    """Poisson counts of two kinds of cells that differ in twenty genes."""
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 2, 160)
    rate = np.tile(rng.gamma(2, 1, 120), (160, 1))
    rate[kind == 1, :20] *= 4
    depth = rng.uniform(200, 900, 160)
    x = rng.poisson(depth[:, None] * rate / rate.sum(1, keepdims=True)).astype(np.float32)
    return ad.AnnData(sp.csr_matrix(x), obs=pd.DataFrame({"kind": kind}, index=[f"c{i}" for i in range(160)]))


def test_counts_show_kinds_and_not_depth(counts):
    adata = counts.copy()
    held = otl.tl.Training(epochs=60, batch_size=40, learning_rate=0.005, validation=0.1)
    otl.tl.vae(adata, n_factors=3, likelihood="nb", decoder="linear", hidden=(16,), training=held)
    assert told(adata, adata.obs["kind"]) > 0.85
    depth = np.log(adata.X.sum(axis=1)).A1
    assert told(adata, depth) < 0.25
    model, total = otl.get.model(adata), adata.X.sum(axis=1).A1
    assert model.target_sum == np.median(total)
    logs = np.log1p(adata.X.toarray() / total[:, None] * np.median(total))
    np.testing.assert_allclose(model.mean, logs.mean(0), rtol=1e-5)
    np.testing.assert_allclose(model.scale, logs.std(0, ddof=1), rtol=1e-5)
    scores, _ = model.embed((logs - model.mean) / model.scale)
    np.testing.assert_allclose(scores, adata.obsm["vae"], atol=1e-4)
    query = adata[:30].copy()
    otl.tl.project(query, adata, key_added="seen")
    np.testing.assert_allclose(query.obsm["seen"], adata.obsm["vae"][:30], atol=1e-4)


def test_rows_that_are_held_out_stop_it_and_the_best_epoch_counts(planted):
    adata = planted[0].copy()
    stop = otl.tl.Training(epochs=400, batch_size=40, learning_rate=0.02, validation=0.2, patience=8)
    otl.tl.vae(adata, n_factors=3, hidden=(16,), training=stop)
    entry = adata.uns["vae"]
    watched = entry["history"]["validation"]
    assert entry["stopped"] == "patience"
    assert entry["converged"]
    assert entry["n_iter"] == len(watched) < 400
    assert entry["best_epoch"] == watched.argmin() + 1 == len(watched) - 8
    assert entry["params"]["n_held_out"] == 32


def test_a_run_that_was_cut_off_goes_on_to_the_same_bits(planted, tmp_path, monkeypatch):
    options = {"n_factors": 3, "hidden": (16,), "training": otl.tl.Training(6, 40, 0.001, 0.2, 5)}
    whole, resumed = planted[0].copy(), planted[0].copy()
    with pytest.warns(otl.ConvergenceWarning, match=r"lowest in epoch \d of 6, less than patience=5"):
        otl.tl.vae(whole, **options)
    assert not whole.uns["vae"]["converged"]
    monkeypatch.setattr(fit, "SAVE_EVERY", 0.0)
    real, chunks = fit.train, []

    def cut(*args, **kwargs):
        for i, state in enumerate(real(*args, seconds=1e-9, **kwargs)):
            if i == 3 and not chunks:
                raise KeyboardInterrupt
            yield state
        chunks.append(i)

    monkeypatch.setattr(fit, "train", cut)
    with pytest.raises(KeyboardInterrupt):
        otl.tl.vae(resumed, checkpoint=tmp_path / "run", **options)
    assert "vae" not in resumed.uns
    chunks.append("resumed")
    with pytest.warns(otl.ConvergenceWarning):
        otl.tl.vae(resumed, checkpoint=tmp_path / "run", **options)
    assert chunks[1] < 28  # of 30 steps
    assert not changes(snapshot(whole), snapshot(resumed))
    with pytest.raises(ValueError, match=r"other data or settings: `options.kl_weight` was 1.0, is 2.0"):
        otl.tl.vae(resumed, checkpoint=tmp_path / "run", kl_weight=2.0, **options)


def test_rows_too_large_for_memory_give_the_same_answer(batches, monkeypatch):
    options = {"n_factors": 3, "hidden": (16,), "batch_key": "batch"}
    options["training"] = otl.tl.Training(epochs=3, batch_size=50, validation=0.1)
    resident, streamed = batches.copy(), batches.copy()
    otl.tl.vae(resident, **options)
    real, used = fit.stream, []

    def stream(*args, **kwargs):
        used.append(1)
        return real(*args, **kwargs)

    monkeypatch.setattr(fit, "stream", stream)
    with otl.settings.override(block_bytes=1024):
        otl.tl.vae(streamed, **options)
    assert used
    for slot in ("vae", "vae_sd"):
        np.testing.assert_allclose(streamed.obsm[slot], resident.obsm[slot], atol=2e-5)


@pytest.fixture
def small(planted):
    return planted[0][:, :30].copy()


SMALL = {"n_factors": 2, "decoder": "linear", "hidden": (8,), "training": QUICK}


def test_modules_of_obsm_are_data_too(small):
    adata = ad.AnnData(obs=small.obs, obsm={"modules": small.X.astype(np.float64)})
    adata.uns["modules"] = {"names": np.array([f"module {i}" for i in range(30)], dtype=object)}
    otl.tl.vae(adata, obsm="modules", **SMALL)
    model = otl.get.model(adata)
    assert model.features.tolist() == adata.uns["modules"]["names"].tolist()
    assert model.loadings.shape == (30, 2)
    assert not adata.varm
    otl.tl.vae(small, **SMALL)
    np.testing.assert_allclose(small.obsm["vae"], adata.obsm["vae"], atol=1e-5)


def test_genes_of_one_value_are_left_out(planted):
    adata = planted[0][:, :31].copy()
    adata.X[:, 5] = 7
    with pytest.warns(UserWarning, match="1 of 31 variables have one value .* left out of the model: 'GENE006'"):
        otl.tl.vae(adata, **SMALL)
    assert not adata.varm["vae"][5].any()
    assert otl.get.model(adata).features.size == 30


def test_a_model_in_a_file_is_the_same(small, tmp_path):
    beside = small.copy()
    otl.tl.vae(small, **SMALL)
    otl.tl.vae(beside, model_path=tmp_path / "vae.npz", **SMALL)
    assert beside.uns["vae"]["digest"] == small.uns["vae"]["digest"]
    model = otl.io.read_model(tmp_path / "vae.npz")
    z = np.zeros((3, 30), np.float32)
    np.testing.assert_array_equal(model.embed(z)[0], otl.get.model(small).embed(z)[0])
    tree = model.to_dict()
    for name, value, words in (
        ("mean", np.zeros(3), r"mean has shape \(3,\), expected \(30,\)"),
        ("names", np.array(["a"]), "loadings has shape|encoder does not fit"),
        ("features", np.array(["a"] * 31), "expected"),
    ):
        with pytest.raises(ValueError, match=f"VAE model is damaged: .*({words})"):
            type(model).from_dict(tree | {name: value})
    assert "30 genes, 2 factors, gaussian likelihood, linear decoder, learnt from 160 observations" in repr(model)


def test_a_network_that_carries_nothing_is_said_to(small):
    with pytest.warns(UserWarning, match="None of the 2 factors carries anything.*kl_warmup"):
        otl.tl.vae(small, **SMALL | {"kl_weight": 1e4, "training": otl.tl.Training(30, 40, 0.02)})
