"""What must hold for a projection: the original's arithmetic, ridge algebra by brute force, expectations by simulation."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

import omicstl as otl
from omicstl._core.random import streams
from omicstl.models.factors import projection
from tests.contract.cases import N_QUERY, N_VARS, query

few = settings(max_examples=5, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
seeds = st.integers(0, 10_000)
pytestmark = pytest.mark.filterwarnings("ignore::omicstl.TransferWarning")


def random_query(seed, n=N_QUERY):
    adata = query()[:n].copy()
    adata.X = (adata.X + 0.3 * np.random.default_rng(seed).standard_normal(adata.shape)).astype(np.float32)
    return adata


def some_genes(adata, seed, share=0.6):
    rng = np.random.default_rng(seed)
    return adata[:, rng.permutation(adata.n_vars)[: int(share * adata.n_vars)]].copy()


def z_scores(adata, genes):
    x = adata.to_df()[genes].to_numpy(np.float64)
    return (x - x.mean(axis=0)) / x.std(axis=0, ddof=1)


def close(found, expected, relative=1e-4):
    np.testing.assert_allclose(found, expected, atol=relative * np.abs(expected).max())


@few
@given(seed=seeds)
def test_mean_is_the_arithmetic_of_multiplier(seed, reference, model):
    """`GetNewDataB`: row-normalise, zeros for genes that are missing, then one ridge with the loadings of all genes."""
    adata = some_genes(random_query(seed), seed)
    expression = pd.DataFrame(0.0, index=model.features, columns=adata.obs_names)
    for gene in model.features:
        if gene in adata.var_names:
            row = adata[:, gene].X.ravel().astype(np.float64)
            expression.loc[gene] = (row - row.mean()) / row.std(ddof=1)
    z = model.loadings.astype(np.float64)
    b = np.linalg.inv(z.T @ z + model.score_penalty * np.eye(4)) @ z.T @ expression.to_numpy()
    otl.tl.project(adata, reference, standardize="query", missing="mean")
    close(adata.obsm["plier"], b.T)


@pytest.mark.parametrize("standardize", ["query", "reference", "center", "none"])
@settings(few, max_examples=2)
@given(seed=seeds)
@pytest.mark.filterwarnings("ignore::omicstl.ScaleWarning")
def test_model_solves_on_the_genes_at_hand(seed, standardize, reference, model):
    adata = some_genes(random_query(seed), seed)
    genes = [gene for gene in model.features if gene in adata.var_names]
    at = pd.Index(model.features).get_indexer(genes)
    x, z = adata.to_df()[genes].to_numpy(np.float64), model.loadings[at].astype(np.float64)
    own = x.mean(axis=0), x.std(axis=0, ddof=1)
    centre, scale = {
        "query": own,
        "reference": (model.mean[at], model.scale[at]),
        "center": (own[0], model.scale[at]),
        "none": (0, 1),
    }[standardize]
    y = (x - centre) / scale
    b = np.linalg.solve(z.T @ z + model.score_penalty * np.eye(4), z.T @ y.T).T
    otl.tl.project(adata, reference, standardize=standardize)
    close(adata.obsm["plier"], b)
    used = adata.varm["plier"][adata.var_names.get_indexer(genes)]
    np.testing.assert_array_equal(used, model.loadings[at])
    assert not adata.varm["plier"][~adata.var_names.isin(genes)].any()
    quality = adata.uns["plier"]["quality"]
    assert quality["gene_coverage"] == pytest.approx(len(genes) / model.features.size)
    assert sorted(quality["missing_genes"]) == sorted(set(model.features) - set(genes))
    if standardize != "none":
        close(quality["offset"], (own[0] - model.mean[at]) / model.scale[at])
        close(quality["scale_ratio"], own[1] / model.scale[at])


@few
@given(seed=seeds)
def test_order_and_extra_genes_do_not_matter(seed, reference):
    adata = random_query(seed)
    rng = np.random.default_rng(seed)
    extra = ad.AnnData(rng.normal(8, 1, size=(N_QUERY, 30)).astype(np.float32))
    extra.var_names, extra.obs_names = [f"EXTRA{i}" for i in range(30)], adata.obs_names
    wide = ad.concat([adata, extra], axis=1)
    wide = wide[:, rng.permutation(wide.n_vars)].copy()
    otl.tl.project(adata, reference)
    otl.tl.project(wide, reference)
    close(wide.obsm["plier"], adata.obsm["plier"])
    close(wide[:, adata.var_names].varm["plier"], adata.varm["plier"])
    close(wide.obs["plier_r2"].to_numpy(), adata.obs["plier_r2"].to_numpy())
    order = rng.permutation(N_QUERY)
    other = adata[order].copy()
    otl.tl.project(other, reference)
    close(other.obsm["plier"], adata.obsm["plier"][order])


@few
@given(seed=seeds)
def test_offset_and_unit_of_a_gene_do_not_matter_to_query(seed, reference):
    one, rng = random_query(seed), np.random.default_rng(seed)
    two = one.copy()
    two.X = (two.X * rng.uniform(0.5, 2, size=N_VARS) + rng.uniform(-5, 5, size=N_VARS)).astype(np.float32)
    otl.tl.project(one, reference, standardize="query")
    otl.tl.project(two, reference, standardize="query")
    close(two.obsm["plier"], one.obsm["plier"], 1e-3)
    close(two.obs["plier_r2"].to_numpy(), one.obs["plier_r2"].to_numpy(), 1e-3)


def test_the_training_data_give_their_scores_again(reference):
    for standardize in ("query", "reference"):
        adata = reference.copy()
        otl.tl.project(adata, reference, key_added="again", standardize=standardize)
        close(adata.obsm["again"], adata.obsm["plier"])
        factors = adata.uns["again"]["quality"]["factors"]
        np.testing.assert_allclose(factors[["expected_r", "expected_slope", "present_loading"]], 1, atol=1e-6)
        assert adata.uns["again"]["quality"]["verdict"] == "supported"
        assert adata.uns["again"]["quality"]["median_offset"] < 1e-5


def loo_by_brute_force(z, y, penalty, gram=None):
    """R² of every row when each gene is predicted by a ridge that has never seen it."""
    gram = z.T @ z if gram is None else gram
    left = np.empty_like(y)
    for g in range(len(z)):
        rest = np.arange(len(z)) != g
        b = np.linalg.solve(gram - np.outer(z[g], z[g]) + penalty * np.eye(z.shape[1]), z[rest].T @ y[:, rest].T)
        left[:, g] = y[:, g] - z[g] @ b
    return 1 - (left**2).sum(axis=1) / (y**2).sum(axis=1)


@settings(few, max_examples=3)
@given(seed=seeds, missing=st.sampled_from(["model", "mean"]))
def test_held_out_genes_by_brute_force(seed, missing, reference, model):
    adata = some_genes(random_query(seed), seed, 0.4)
    otl.tl.project(adata, reference, standardize="query", missing=missing)
    genes = [gene for gene in model.features if gene in adata.var_names]
    at = pd.Index(model.features).get_indexer(genes)
    z, y = model.loadings[at].astype(np.float64), z_scores(adata, genes)
    gram = model.loadings.T.astype(np.float64) @ model.loadings if missing == "mean" else None
    close(adata.obs["plier_r2"].to_numpy(), loo_by_brute_force(z, y, model.score_penalty, gram), 1e-3)
    orders = [streams(0).generator("permuted genes", i).permutation(len(genes)) for i in range(20)]
    null = np.max([loo_by_brute_force(z[order], y, model.score_penalty, gram) for order in orders], axis=0)
    close(adata.obs["plier_r2_null"].to_numpy(), null, 1e-3)
    quality = adata.uns["plier"]["quality"]
    assert quality["r2"] == pytest.approx(np.median(adata.obs["plier_r2"]))
    assert quality["share_above_null"] == pytest.approx((adata.obs["plier_r2"] > adata.obs["plier_r2_null"]).mean())


def simulated(model, n, seed):
    """Rows of the population that the model describes: cov(y) = Z S Z' + Psi."""
    rng = np.random.default_rng(seed)
    s = rng.multivariate_normal(np.zeros(4), model.score_cov, size=n)
    return s @ model.loadings.T + rng.standard_normal((n, model.noise.size)) * np.sqrt(model.noise)


@pytest.mark.parametrize("missing", ["model", "mean"])
@pytest.mark.parametrize("share", [0.15, 0.6])
def test_expected_quality_is_that_of_simulated_rows(missing, share, model):
    present = np.sort(np.random.default_rng(3).permutation(model.features.size)[: int(share * model.features.size)])
    part = projection.panel(model, present, missing)
    y = simulated(model, 40_000, 1)
    full = y @ projection.panel(model, np.arange(model.features.size), "model").solve
    seen = y[:, present] @ part.solve
    found = projection.factor_quality(model, present, part)
    for k in range(4):
        cov = np.cov(full[:, k], seen[:, k])
        assert found.expected_r[k] == pytest.approx(cov[0, 1] / np.sqrt(cov[0, 0] * cov[1, 1]), abs=0.01)
        assert found.expected_slope[k] == pytest.approx(cov[0, 1] / cov[0, 0], abs=0.02)
    np.testing.assert_allclose(
        found.present_loading, (model.loadings[present] ** 2).sum(axis=0) / (model.loadings**2).sum(axis=0), rtol=1e-5
    )
    z, rows = model.loadings[present].astype(np.float64), y[:4000, present]
    left = rows - rows @ part.solve @ z.T
    left /= 1 - np.sum(part.solve * z, axis=1)
    expected = projection.expected_r2(model, present, part)
    hat = z @ part.solve.T
    residual = (np.eye(len(z)) - hat) / (1 - np.diag(hat))[:, None]
    cov = z @ model.score_cov @ z.T + np.diag(model.noise[present])
    assert expected == pytest.approx(1 - np.trace(residual @ cov @ residual.T) / np.trace(cov), abs=1e-6)
    assert expected == pytest.approx(1 - (left**2).sum() / (rows**2).sum(), abs=0.02)


@few
@given(seed=seeds)
def test_more_genes_determine_more(seed, model):
    """With Bayes' own weights more data cannot know less; ridge comes close to it."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(model.features.size)
    r = []
    for n in (10, 40, 158):
        present = np.sort(order[:n])
        r.append(projection.factor_quality(model, present, projection.panel(model, present, "model")).expected_r)
    assert (np.diff(r, axis=0) > -0.1).all()
    np.testing.assert_allclose(r[-1], 1, atol=1e-9)


def test_solving_on_the_genes_at_hand_shrinks_less_than_zeros(model):
    present = np.sort(np.random.default_rng(0).permutation(model.features.size)[:79])
    quality = {
        m: projection.factor_quality(model, present, projection.panel(model, present, m)) for m in ("model", "mean")
    }
    assert (quality["model"].expected_slope > quality["mean"].expected_slope).all()
    assert quality["model"].expected_r.mean() >= quality["mean"].expected_r.mean() - 0.01
