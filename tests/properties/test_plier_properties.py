"""What must hold for PLIER whatever the data: sizes are fixed so that all examples share compiled code."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import scipy.sparse as sp
from hypothesis import HealthCheck, given, settings, strategies as st

import omicstl as otl
from omicstl._core.random import streams
from omicstl._data import genesets
from omicstl._data.blocks import row_source
from omicstl.kernels import stats
from omicstl.models.factors.plier import model as parts
from omicstl.models.factors.plier.fit import Prior, fit_plier
from tests.contract.cases import N_OBS, N_VARS, gene_sets

# 25 iterations: the gene sets enter at the 20th; then the run ends, converged or not.
STEPS = {"n_factors": 4, "max_iter": 25, "tol": 0.0}
pytestmark = pytest.mark.filterwarnings("ignore:PLIER did not converge:omicstl.ConvergenceWarning")
few = settings(max_examples=4, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
seeds = st.integers(0, 10_000)


def data(seed):
    """Data of one size on one collection of gene sets, other values for each seed."""
    rng = np.random.default_rng(seed)
    adata, _ = otl.datasets.simulate_pathways(N_OBS, N_VARS, n_sets=12, n_factors=3, rng=0)
    members = [adata.var_names.get_indexer(genes) for genes in gene_sets().values()]
    x = rng.normal(8, 1, size=adata.shape[1]) + 0.5 * rng.standard_normal(adata.shape)
    for j in rng.permutation(len(members))[:3]:
        x[:, members[j]] += rng.standard_normal((N_OBS, 1)) * rng.uniform(0.5, 1.5, size=members[j].size)
    adata.X = x.astype(np.float32)
    return adata


def fit(adata, **options):
    otl.tl.plier(adata, gene_sets(), **{**STEPS, **options})
    return otl.get.model(adata)


def close(found, expected, relative=1e-3):
    np.testing.assert_allclose(found, expected, atol=relative * np.abs(expected).max())


@few
@given(seed=seeds)
def test_permuting_samples_permutes_the_scores(seed):
    one = data(seed)
    order = np.random.default_rng(seed + 1).permutation(N_OBS)
    two = one[order].copy()
    a, b = fit(one), fit(two)
    close(b.loadings, a.loadings)
    close(b.weights, a.weights)
    close(two.obsm["plier"], one.obsm["plier"][order])


@few
@given(seed=seeds)
def test_permuting_genes_permutes_the_loadings(seed):
    one = data(seed)
    a = fit(one)
    trained = a.trained
    prior = {
        str(name): a.features[trained.indices[low:high]].tolist()
        for name, low, high in zip(a.sets, trained.indptr[:-1], trained.indptr[1:], strict=True)
    }
    order = np.random.default_rng(seed + 1).permutation(N_VARS)
    two = one[:, order].copy()
    b = fit(two, holdout_prior=prior)  # the same hold-outs, whose draw follows the order of genes
    assert b.features.tolist() == [gene for gene in two.var_names if gene in set(a.features)]
    close(two.varm["plier"], one.varm["plier"][order])
    close(two.obsm["plier"], one.obsm["plier"])
    np.testing.assert_array_equal(b.weights > 0, a.weights > 0)


@few
@given(seed=seeds)
def test_offset_and_unit_of_a_gene_do_not_matter(seed):
    one = data(seed)
    rng = np.random.default_rng(seed + 1)
    two = one.copy()
    two.X = (two.X * rng.uniform(0.5, 2, size=N_VARS) + rng.uniform(-5, 5, size=N_VARS)).astype(np.float32)
    a, b = fit(one), fit(two)
    close(b.loadings, a.loadings)
    close(two.obsm["plier"], one.obsm["plier"])
    close(b.noise, a.noise)


@few
@given(seed=seeds, rng=seeds)
def test_constraints_hold(seed, rng):
    adata = data(seed)
    model = fit(adata, rng=rng)
    assert model.loadings.min() >= 0
    assert model.weights.min() >= 0
    outside = ~adata.var_names.isin(model.features)
    assert outside.any()
    assert not adata.varm["plier"][outside].any()
    np.testing.assert_array_equal(adata.varm["plier"][adata.var_names.get_indexer(model.features)], model.loadings)
    assert len(set(model.names)) == len(model.names)
    table = adata.uns["plier"]["summary"]
    assert len(table) == (model.weights > 0).sum()
    assert table["auc"].between(0, 1).all()
    assert table["p_nominal"].between(0, 1).all()
    assert table["p_permutation"].between(1 / 201, 1).all()
    assert (table["fdr_nominal"] >= table["p_nominal"]).all()
    history = adata.uns["plier"]["history"]
    assert history.shape == (25,)
    assert (history >= 0).all()
    # a share of the members of every set is held out, rounded down
    sizes = np.diff(model.prior_indptr)
    held = np.add.reduceat(model.heldout, model.prior_indptr[:-1])
    np.testing.assert_array_equal(held, (0.2 * sizes).astype(int))


@few
@given(seed=seeds)
def test_a_factor_uses_only_its_candidates(seed):
    """Of rank one or two for it ("fast"): no more sets than that; for any factor ("complete"): no more sets in all."""
    fast = fit(data(seed), selection="fast", max_rank=2)
    assert (fast.weights > 0).sum(axis=0).max() <= 2
    complete = fit(data(seed), max_rank=1)
    assert (complete.weights > 0).any(axis=1).sum() <= 4


@few
@given(seed=seeds)
def test_scores_are_the_ridge_coefficients_of_the_data(seed):
    """At the end B solves its own equation, so that a projection of the same data gives it again."""
    adata = data(seed)
    model = fit(adata)
    y = ((adata.to_df()[model.features].to_numpy(np.float64) - model.mean) / model.scale).T
    z = model.loadings.astype(np.float64)
    b = np.linalg.solve(z.T @ z + model.score_penalty * np.eye(4), z.T @ y)
    close(adata.obsm["plier"], b.T, 1e-4)
    close(model.score_cov, b @ b.T / (N_OBS - 1), 1e-4)
    close(model.noise, np.maximum(((y - z @ b) ** 2).sum(axis=1) / (N_OBS - 1), 1e-3), 1e-4)
    np.testing.assert_allclose(model.mean, adata.to_df()[model.features].to_numpy(np.float64).mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(
        model.scale, adata.to_df()[model.features].to_numpy(np.float64).std(axis=0, ddof=1), rtol=1e-5
    )
    assert model.score_penalty == pytest.approx(np.linalg.svd(y, compute_uv=False)[3], rel=1e-4)
    assert model.prior_weight == model.score_penalty / 2


@few
@given(seed=seeds)
def test_the_data_and_their_gram_matrix_give_one_answer(seed):
    """Y (genes × samples) and K = Y Y' are two forms of the same problem."""
    adata = data(seed)
    matched = genesets.match(genesets.read_gene_sets(gene_sets()), adata.var_names)
    rows = row_source(adata.X).select(matched.columns)
    summary = stats.update(stats.init(rows.n_cols, gram=True), np.ascontiguousarray(adata.X[:, matched.columns]))
    heldout = parts.hold_out(matched.membership, 0.2, np.random.default_rng(seed))
    prior = Prior(matched.genes, matched.names, matched.membership, heldout)
    config = parts.PlierOptions(n_factors=4, max_iter=25, tol=0.0)
    finished = stats.finish(summary)
    forms = [parts.prepare(rows, finished), parts.prepare(rows, finished._replace(gram=None))]
    assert [form.gram_form for form in forms] == [True, False]
    k, y = (fit_plier(form, rows, prior, config, streams(0)) for form in forms)
    close(k.model.loadings, y.model.loadings)
    close(k.scores, y.scores)
    close(k.model.weights, y.model.weights, 1e-2)
    np.testing.assert_array_equal(k.model.weights > 0, y.model.weights > 0)
    np.testing.assert_allclose(k.penalty_path, y.penalty_path)
    np.testing.assert_allclose(k.history, y.history, rtol=0.02, atol=1e-7)
    close(k.model.noise, y.model.noise)
    close(k.model.score_cov, y.model.score_cov)
    assert k.counts.used == y.counts.used
    assert k.counts.rules["marchenko_pastur"] == y.counts.rules["marchenko_pastur"]


@few
@given(seed=seeds)
def test_every_set_and_factor_has_its_auc(seed):
    """Against a count over all pairs of genes."""
    model = fit(data(seed))
    members = model.prior.toarray() > 0
    for j, i in ((0, 0), (5, 2), (11, 3)):
        inside, outside = model.loadings[members[:, j], i], model.loadings[~members[:, j], i]
        wins = (inside[:, None] > outside).mean() + 0.5 * (inside[:, None] == outside).mean()
        assert model.auc[j, i] == pytest.approx(wins, abs=1e-6)
    assert sp.issparse(model.prior)
    assert scipy.linalg.norm(model.loadings) > 0


def test_what_drives_simulated_data_is_found():
    """Three factors, each driven by sets of its own: found, and named by them."""
    adata, truth = otl.datasets.simulate_pathways(N_OBS, N_VARS, n_sets=12, n_factors=3, rng=0)
    otl.tl.plier(adata, truth.gene_sets, n_factors=4, max_iter=300)
    match = np.abs(np.corrcoef(adata.obsm["plier"].T, truth.scores.T)[:4, 4:])
    assert match.max(axis=0).min() > 0.9
    names = otl.get.model(adata).names
    for factor in range(3):
        drivers = [f"SET{j + 1:02d}" for j in np.flatnonzero(truth.weights[:, factor])]
        assert any(driver in names[match[:, factor].argmax()] for driver in drivers)
