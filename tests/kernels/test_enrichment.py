"""Rank tests of gene sets, against scipy and against the original."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from scipy import stats

from omicstl.kernels import enrichment

GOLDEN = Path(__file__).parents[1] / "data" / "golden_sle.npz"


def problem(seed=0, genes=150, sets=12, factors=5):
    """Loadings with many zeros, a prior, the prior without held-out members, and sparse weights."""
    rng = np.random.default_rng(seed)
    loadings = np.round(np.maximum(rng.normal(size=(genes, factors)), 0), 1)
    prior = rng.random((genes, sets)) < 0.1
    trained = prior & (rng.random(prior.shape) > 0.3)
    weights = np.where(rng.random((sets, factors)) < 0.3, rng.random((sets, factors)), 0.0)
    return loadings, weights, sp.csc_array(prior.astype(float)), sp.csc_array(trained.astype(float))


def pairs_by_loop(loadings, weights, prior, trained):
    """The definition, pair by pair, with scipy's test."""
    prior, trained = prior.toarray() > 0, trained.toarray() > 0
    for i in range(weights.shape[1]):
        outside = ~prior[:, weights[:, i] > 0].any(axis=1)
        for j in np.flatnonzero(weights[:, i] > 0):
            held = prior[:, j] & ~trained[:, j]
            yield j, i, loadings[held, i], loadings[outside, i], held, outside


@pytest.mark.parametrize("seed", range(5))
def test_heldout_auc_is_the_mann_whitney_test(seed):
    data = problem(seed)
    found = enrichment.heldout_auc(*data)
    expected = list(pairs_by_loop(*data))
    assert found.set_index.tolist() == [pair[0] for pair in expected]
    assert found.factor_index.tolist() == [pair[1] for pair in expected]
    p = []
    for row, (*_, held, outside, _, _) in enumerate(expected):
        if not held.size or not outside.size:
            assert found.auc[row] == 0.5
            p.append(np.nan)
            continue
        test = stats.mannwhitneyu(held, outside, alternative="greater", method="asymptotic", use_continuity=True)
        np.testing.assert_allclose(found.auc[row], test.statistic / held.size / outside.size, rtol=1e-12)
        p.append(test.pvalue)
    np.testing.assert_allclose(found.p_nominal, p, rtol=1e-10)
    known = ~np.isnan(p)
    assert known.any()
    np.testing.assert_allclose(found.fdr[known], stats.false_discovery_control(np.asarray(p)[known]), rtol=1e-10)


def test_empty_groups_have_no_p_and_do_not_count():
    loadings, weights, prior, trained = problem()
    found = enrichment.heldout_auc(loadings, weights, prior, prior)  # nothing held out
    assert np.all(found.auc == 0.5)
    assert np.isnan(found.p_nominal).all()
    assert np.isnan(found.fdr).all()
    none = enrichment.heldout_auc(loadings, np.zeros_like(weights), prior, trained)
    assert none.auc.size == none.fdr.size == 0
    everything = sp.csc_array(np.ones(prior.shape))
    assert np.isnan(enrichment.heldout_auc(loadings, weights, everything, trained).p_nominal).all()


def test_constant_loadings_tell_nothing():
    _, weights, prior, trained = problem()
    found = enrichment.heldout_auc(np.zeros((150, 5)), weights, prior, trained)
    assert np.all(found.auc == 0.5)
    assert np.all(found.p_nominal == 1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_explicit_zeros_and_index_order_do_not_matter(dtype):
    loadings, weights, prior, trained = problem(3)
    loadings = loadings.astype(dtype)
    held_as_zeros = prior.copy()
    inside = trained.toarray() > 0
    column = np.repeat(np.arange(prior.shape[1]), np.diff(prior.indptr))
    held_as_zeros.data = inside[prior.indices, column].astype(float)
    first = enrichment.heldout_auc(loadings, weights, prior, trained)
    second = enrichment.heldout_auc(loadings, weights, prior, held_as_zeros)
    np.testing.assert_array_equal(first.p_nominal, second.p_nominal)


def test_order_of_genes_does_not_matter():
    loadings, weights, prior, trained = problem(4)
    order = np.random.default_rng(1).permutation(len(loadings))
    first = enrichment.heldout_auc(loadings, weights, prior, trained)
    second = enrichment.heldout_auc(loadings[order], weights, prior[order], trained[order])
    np.testing.assert_array_equal(first.auc, second.auc)
    np.testing.assert_array_equal(first.p_nominal, second.p_nominal)


def test_auc_matrix_and_nominal_p_for_every_set_and_factor():
    loadings, _, prior, _ = problem(2)
    prior = sp.csc_array(np.column_stack([prior.toarray(), np.zeros(150), np.ones(150)]))
    auc = enrichment.auc_matrix(loadings, prior)
    n_pos = prior.sum(axis=0)
    p = enrichment.nominal_p(auc, n_pos[:, None], 150 - n_pos[:, None], tie_terms(loadings))
    for j in range(12):
        inside = prior[:, [j]].toarray()[:, 0] > 0
        for i in range(5):
            test = stats.mannwhitneyu(
                loadings[inside, i], loadings[~inside, i], alternative="greater", method="asymptotic"
            )
            np.testing.assert_allclose(auc[j, i], test.statistic / inside.sum() / (~inside).sum(), rtol=1e-12)
            np.testing.assert_allclose(p[j, i], test.pvalue, rtol=1e-10)
    assert np.all(auc[12:] == 0.5)
    assert np.isnan(p[12:]).all()


def test_blocks_do_not_change_the_answer(monkeypatch):
    loadings, weights, prior, trained = problem(6)
    null = np.round(np.random.default_rng(0).normal(size=(150, 40)), 1)
    tests = enrichment.heldout_sets(weights, prior, trained)
    auc = enrichment.heldout_auc(loadings, weights, prior, trained).auc
    whole = enrichment.auc_matrix(loadings, prior), enrichment.permutation_p(auc, tests, null)
    monkeypatch.setattr(enrichment, "_BLOCK_VALUES", 8 * 150 * 7)
    blocks = enrichment.auc_matrix(loadings, prior), enrichment.permutation_p(auc, tests, null)
    for one, other in zip(whole, blocks):
        np.testing.assert_array_equal(one, other)


def test_permutation_p_by_the_definition():
    loadings, weights, prior, trained = problem(7)
    found = enrichment.heldout_auc(loadings, weights, prior, trained)
    null = np.round(np.maximum(np.random.default_rng(0).normal(size=(150, 60)), 0), 1)
    null[:, 0] = loadings[:, 0]  # an exact draw of the observed values is counted as reached
    p = enrichment.permutation_p(found.auc, enrichment.heldout_sets(weights, prior, trained), null)
    for row, (*_, held, outside) in enumerate(pairs_by_loop(loadings, weights, prior, trained)):
        if not held.any() or not outside.any():
            assert np.isnan(p[row])
            continue
        reached = [
            stats.mannwhitneyu(column[held], column[outside]).statistic / held.sum() / outside.sum()
            >= found.auc[row] - 1e-12
            for column in null.T
        ]
        np.testing.assert_allclose(p[row], (1 + np.sum(reached)) / 61)


def test_benjamini_hochberg_passes_over_nan():
    p = np.array([0.01, np.nan, 0.04, 0.03, np.nan])
    np.testing.assert_allclose(enrichment.benjamini_hochberg(p), [0.03, np.nan, 0.04, 0.04, np.nan])


def test_the_original_summary_is_reproduced():
    golden = np.load(GOLDEN)
    n = golden["C_shape"][0]
    prior, trained = (sp.csc_array(np.unpackbits(golden[name], axis=0)[:n]) for name in ("prior_packed", "C_packed"))
    found = enrichment.heldout_auc(golden["Z"], golden["U"], prior, trained)
    np.testing.assert_array_equal(golden["pathways"][found.set_index], golden["summary_pathway"])
    np.testing.assert_array_equal(found.factor_index + 1, golden["summary_lv"])
    np.testing.assert_allclose(found.auc, golden["summary_auc"], rtol=1e-12)
    np.testing.assert_allclose(found.p_nominal, golden["summary_pvalue"], rtol=1e-10)
    np.testing.assert_allclose(found.fdr, golden["summary_fdr"], rtol=1e-10)
    np.testing.assert_allclose(golden["Uauc"][found.set_index, found.factor_index], found.auc, rtol=1e-12)


def tie_terms(loadings):
    counts = [np.unique(column, return_counts=True)[1].astype(float) for column in loadings.T]
    return np.array([(n**3 - n).sum() for n in counts])


def test_unseen_leaves_out_what_another_set_of_the_factor_has_shown():
    prior = sp.csc_array(np.array([[1, 1, 1, 0, 0, 0], [0, 1, 1, 1, 0, 0]], dtype=float).T)
    trained = sp.csc_array(np.array([[1, 0, 0, 0, 0, 0], [0, 1, 0, 1, 0, 0]], dtype=float).T)
    both = np.array([[1.0, 1.0], [1.0, 0.0]])  # the first factor uses both sets, the second the first alone
    tests = enrichment.heldout_sets(both, prior, trained)
    unseen = enrichment.heldout_sets(both, prior, trained, unseen=True)
    members = [t.held_genes[t.held_start[q] : t.held_start[q + 1]].tolist() for t in (tests, unseen) for q in range(3)]
    assert members[:3] == [[1, 2], [2], [1, 2]]
    assert members[3:] == [[2], [2], [1, 2]]  # gene 1 was seen in the second set by the first factor
    loadings = np.array([[9.0, 1], [8, 5], [2, 4], [7, 0], [1, 3], [3, 2]])
    np.testing.assert_allclose(enrichment.pair_auc(loadings, unseen), [0.5, 0.5, 1.0])
