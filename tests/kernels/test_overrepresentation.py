"""Fisher's test of sets in lists of genes, against scipy pair by pair, against whole numbers, and what must not change it."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings, strategies as st
from scipy import stats

from omicstl.kernels import overrepresentation as kernel


def problem(seed=0, genes=120, sets=15, lists=8):
    """Lists of several sizes, one empty and one of all genes; sets of several sizes, one of all genes, two disjoint ones."""
    rng = np.random.default_rng(seed)
    chosen = rng.random((genes, lists)) < rng.uniform(0.05, 0.4, lists)
    chosen[:, 0], chosen[:, 1] = False, True
    members = rng.random((genes, sets)) < rng.uniform(0.05, 0.4, sets)
    members[:, 0] = True
    members[:, 1] = chosen[:, 2]
    members[:, 2] = ~chosen[:, 2]
    return chosen, members


def csc(members):
    return sp.csc_array(members.astype(np.float32))


def by_pair(chosen, members):
    """The definition: a table, scipy's test of one side and its odds ratio for every pair; BH over all of them."""
    n_genes = len(chosen)
    rows = []
    for i in np.flatnonzero(chosen.any(axis=0)):
        for j in range(members.shape[1]):
            a, b = (chosen[:, i] & members[:, j]).sum(), (~chosen[:, i] & members[:, j]).sum()
            c, d = (chosen[:, i] & ~members[:, j]).sum(), (~chosen[:, i] & ~members[:, j]).sum()
            assert a + b + c + d == n_genes
            test = stats.fisher_exact([[a, b], [c, d]], alternative="greater")
            rows.append((i, j, a, a + b, a + c, test.statistic, test.pvalue))
    table = np.array(rows, dtype=float)
    return table, stats.false_discovery_control(np.minimum(table[:, 6], 1))


@pytest.mark.parametrize("seed", range(4))
def test_the_table_is_fishers(seed):
    chosen, members = problem(seed)
    found = kernel.overrepresentation(chosen, csc(members))
    table, fdr = by_pair(chosen, members)
    assert found.n_tests == len(table) == 7 * 15
    shared = table[:, 2] > 0
    assert (~shared).any()  # no gene in common: p = 1, no row, but a test
    np.testing.assert_allclose(table[~shared, 6], 1, rtol=1e-12)
    got = np.column_stack([found.list_index, found.set_index, found.n_overlap, found.n_set, found.n_top])
    np.testing.assert_array_equal(got, table[shared, :5])
    np.testing.assert_allclose(found.odds_ratio, table[shared, 5], rtol=1e-12)
    assert np.isinf(found.odds_ratio).any()
    assert np.isnan(found.odds_ratio).any()
    np.testing.assert_allclose(found.p, table[shared, 6], rtol=1e-9)
    np.testing.assert_allclose(found.fdr, fdr[shared], rtol=1e-9)


def test_a_list_that_is_a_set():
    """A table worked out by hand: 5 of 20 genes are chosen, and they are the set."""
    chosen = np.zeros((20, 1), dtype=bool)
    chosen[:5] = True
    found = kernel.overrepresentation(chosen, csc(chosen))
    assert (found.n_overlap[0], found.n_set[0], found.n_top[0], found.odds_ratio[0]) == (5, 5, 5, np.inf)
    np.testing.assert_allclose(found.p, 1 / comb(20, 5), rtol=1e-12)


@given(st.data())
@settings(max_examples=150)
def test_the_upper_tail_is_that_of_whole_numbers(data):
    n_genes = data.draw(st.integers(1, 300))
    n_set, n_top = data.draw(st.integers(0, n_genes)), data.draw(st.integers(0, n_genes))
    k = np.arange(min(n_set, n_top) + 2)
    of = [comb(n_set, x) * comb(n_genes - n_set, n_top - x) if x <= n_top else 0 for x in k.tolist()]
    exact = [sum(of[x:]) / comb(n_genes, n_top) for x in k.tolist()]
    got = kernel.upper_tail(k, np.full_like(k, n_set), np.full_like(k, n_top), n_genes)
    np.testing.assert_allclose(got, exact, rtol=1e-9, atol=1e-300)
    assert (np.diff(got) <= 1e-12).all()


@pytest.mark.parametrize("n_genes", [2_000, 20_000, 60_000])
def test_the_upper_tail_of_large_tables_is_scipys(n_genes):
    rng = np.random.default_rng(n_genes)
    n_set, n_top = rng.integers(1, n_genes // 10, 200), rng.integers(1, 500, 200)
    k = rng.binomial(np.minimum(n_set, n_top), 0.1) + rng.integers(0, 5, 200)
    wanted = stats.hypergeom.sf(k - 1, n_genes, n_set, n_top)
    got = kernel.upper_tail(k, n_set, n_top, n_genes)
    assert wanted.min() < 1e-25
    np.testing.assert_allclose(got, wanted, rtol=1e-7, atol=1e-290)


def test_the_smallest_numbers_and_zero():
    k = np.array([100, 150, 400])
    got = kernel.upper_tail(k, np.full(3, 400), np.full(3, 400), 20_000)
    exact = sum(comb(400, x) * comb(19_600, 400 - x) for x in range(100, 401)) / comb(20_000, 400)
    np.testing.assert_allclose(got[0], exact, rtol=1e-9)
    assert 0 < got[1] < got[0]
    assert got[2] == 0


def test_both_sides_are_one():
    """P(X >= k) of the genes in the set and P(X <= k - 1) of those outside of it."""
    k, n_set = np.arange(31), np.full(31, 40)
    inside = kernel.upper_tail(k, n_set, np.full(31, 30), 150)
    outside = kernel.upper_tail(30 - k + 1, 150 - n_set, np.full(31, 30), 150)
    np.testing.assert_allclose(inside + outside, 1, rtol=1e-9)


def test_set_and_list_may_change_places():
    chosen, members = problem(5)
    one, other = kernel.overrepresentation(chosen, csc(members)), kernel.overrepresentation(members, csc(chosen))
    order = np.lexsort((other.list_index, other.set_index))
    np.testing.assert_array_equal(one.list_index, other.set_index[order])
    np.testing.assert_allclose(one.p, other.p[order], rtol=1e-10)


def test_the_order_of_genes_and_sets_does_not_matter():
    chosen, members = problem(6)
    rng = np.random.default_rng(0)
    rows, columns = rng.permutation(len(chosen)), rng.permutation(members.shape[1])
    one = kernel.overrepresentation(chosen, csc(members))
    other = kernel.overrepresentation(chosen[rows], csc(members[np.ix_(rows, columns)]))
    order = np.lexsort((columns[other.set_index], other.list_index))
    for a, b in zip(one[2:8], other[2:8], strict=True):
        np.testing.assert_array_equal(a, b[order])


def test_more_tests_that_find_nothing_make_the_rest_less_certain():
    chosen, members = problem(7)
    one = kernel.overrepresentation(chosen[:, 2:], csc(members))
    empty = kernel.overrepresentation(chosen[:, 2:], csc(np.column_stack([members, np.zeros((120, 15), dtype=bool)])))
    np.testing.assert_array_equal(one.p, empty.p)
    np.testing.assert_allclose(empty.fdr, np.minimum(kernel.adjusted(one.p, empty.n_tests), 1))
    assert (empty.fdr >= one.fdr).all()
    assert (empty.fdr > one.fdr).any()


def test_nothing_chosen_is_no_test():
    found = kernel.overrepresentation(np.zeros((120, 3), dtype=bool), csc(problem()[1]))
    assert found.n_tests == found.p.size == found.fdr.size == 0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40), st.integers(0, 60))
def test_adjusted_is_benjamini_and_hochberg_with_ones_left_out(p, n_more):
    wanted = stats.false_discovery_control([*p, *[1.0] * n_more])[: len(p)]
    np.testing.assert_allclose(kernel.adjusted(np.array(p), len(p) + n_more), wanted, rtol=1e-12, atol=1e-300)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_top_genes_are_those_of_a_sort(dtype):
    weights = np.random.default_rng(0).normal(size=(90, 7)).astype(dtype)
    weights[:, 2] = -np.abs(weights[:, 2])
    weights[10:, 3] = 0
    for n_top in (1, 10, 89, 90, 500):
        chosen = kernel.top_genes(weights, n_top)
        for column, marks in zip(weights.T, chosen.T, strict=True):
            wanted = [i for i in np.argsort(-column)[:n_top] if column[i] > 0]
            assert sorted(wanted) == np.flatnonzero(marks).tolist()


def test_ties_are_taken_together():
    weights = np.array([[3.0, 2, 2, 2, 1, 0, -5], [1, 1, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0, 0]]).T
    assert kernel.top_genes(weights, 2).sum(axis=0).tolist() == [4, 7, 0]
    order = np.random.default_rng(0).permutation(7)
    np.testing.assert_array_equal(kernel.top_genes(weights[order], 2), kernel.top_genes(weights, 2)[order])


def test_blocks_do_not_change_the_answer(monkeypatch):
    weights = np.random.default_rng(1).normal(size=(50, 23))
    whole = kernel.top_genes(weights, 6)
    monkeypatch.setattr(kernel, "_BLOCK_VALUES", 50 * 4)
    np.testing.assert_array_equal(kernel.top_genes(weights, 6), whole)
    assert (whole.sum(axis=0) == 6).all()


def test_distinct_tables_are_computed_once(monkeypatch):
    sizes = []
    real = kernel.upper_tail
    monkeypatch.setattr(kernel, "upper_tail", lambda k, *more: sizes.append(k.size) or real(k, *more))
    rng = np.random.default_rng(0)
    chosen = kernel.top_genes(rng.normal(size=(500, 200)), 25)
    members = kernel.top_genes(rng.normal(size=(500, 100)), 30)
    found = kernel.overrepresentation(chosen, csc(members))
    assert found.p.size > 10_000
    assert sizes[0] == np.unique(found.n_overlap).size < 15
