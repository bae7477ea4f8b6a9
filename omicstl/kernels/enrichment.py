"""Which gene sets do the loadings of a factor follow? Rank statistics of genes in sets against genes outside.

numpy and scipy on purpose: sorting and counting need no compiler, and a whole table of tests costs milliseconds.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.sparse
from jaxtyping import Bool, Float, Int, Real
from scipy.special import ndtr
from scipy.stats import false_discovery_control, rankdata

_BLOCK_VALUES = 8_000_000
"""Values that the temporary arrays of one block may hold."""


class HeldoutSets(NamedTuple):
    """Which genes are compared, for every pair of a set and a factor that uses it; factor by factor, sets ascending."""

    set_index: Int[np.ndarray, "pairs"]
    factor_index: Int[np.ndarray, "pairs"]
    outside: Bool[np.ndarray, "genes factors"]
    """Genes in none of the sets that the factor uses."""
    held_start: Int[np.ndarray, "pairs_and_one"]
    """The held-out members of pair q are ``held_genes[held_start[q]:held_start[q + 1]]``."""
    held_genes: Int[np.ndarray, "members"]


class Enrichment(NamedTuple):
    """One row a tested pair."""

    set_index: Int[np.ndarray, "pairs"]
    factor_index: Int[np.ndarray, "pairs"]
    auc: Float[np.ndarray, "pairs"]
    p_nominal: Float[np.ndarray, "pairs"]
    fdr: Float[np.ndarray, "pairs"]


def _pattern(matrix: scipy.sparse.sparray | np.ndarray) -> scipy.sparse.csc_array:
    """0/1 float32 CSC pattern of the non-zero entries, without stored zeros."""
    pattern = scipy.sparse.csc_array(matrix, dtype=np.float32, copy=True)
    pattern.sum_duplicates()
    pattern.eliminate_zeros()
    pattern.data = np.ones_like(pattern.data)
    return pattern


def _take_columns(matrix: scipy.sparse.csc_array, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Row indices of the given columns one after the other, and where each column starts (columns may repeat)."""
    first = matrix.indptr[columns].astype(np.int64)
    size = matrix.indptr[columns + 1].astype(np.int64) - first
    start = np.concatenate([[0], np.cumsum(size)])
    position = np.arange(start[-1]) - np.repeat(start[:-1] - first, size)
    return matrix.indices[position].astype(np.int64), start


def heldout_sets(
    weights: Real[np.ndarray, "sets factors"],
    prior: scipy.sparse.csc_array,
    trained: scipy.sparse.csc_array,
    *,
    unseen: bool = False,
) -> HeldoutSets:
    """Genes to compare for each pair with a positive weight: outside all sets of the factor, and held-out members.

    ``weights`` is (sets, factors); ``prior`` and ``trained`` are (genes, sets), the latter without held-out members.
    The original takes every member of a set that was held out of it. With `unseen` those are left out that the fit saw in
    another set of the same factor: they follow the factor whether or not their own set does.
    """
    prior = _pattern(prior)
    held = _pattern(prior - prior.multiply(_pattern(trained)))
    active = _pattern(np.asarray(weights) > 0)
    factor_index = np.repeat(np.arange(active.shape[1]), np.diff(active.indptr))
    active.sort_indices()
    set_index = active.indices.astype(np.int64)
    outside = np.ones((prior.shape[0], active.shape[1]), dtype=bool, order="F")
    union = scipy.sparse.csc_array(prior @ active)
    outside[union.indices, np.repeat(np.arange(union.shape[1]), np.diff(union.indptr))] = False
    held_genes, held_start = _take_columns(held, set_index)
    if unseen:
        seen = scipy.sparse.csc_array(_pattern(trained) @ active).toarray() > 0
        keep = ~seen[held_genes, np.repeat(factor_index, np.diff(held_start))]
        held_start = np.concatenate([[0], np.cumsum(keep)])[held_start]
        held_genes = held_genes[keep]
    return HeldoutSets(set_index, factor_index, outside, held_start, held_genes)


def heldout_auc(
    loadings: Real[np.ndarray, "genes factors"],
    weights: Real[np.ndarray, "sets factors"],
    prior: scipy.sparse.csc_array,
    trained: scipy.sparse.csc_array,
) -> Enrichment:
    """Mann-Whitney test of the held-out members of every set with a positive weight (PLIER, ``crossVal``).

    Members of set j that the fit did not see are compared with the genes in none of the factor's sets. The test is
    one-sided with the correction for ties and for continuity, the false discovery rate that of Benjamini and Hochberg
    over all pairs. A pair without held-out members or without genes outside has AUC 0.5 and p NaN, and does not count.
    R's ``wilcox.test`` takes exact p-values if both groups are below 50 and nothing is tied; here they are asymptotic.

    Each factor is sorted once, O(factors · genes · log genes + held-out members · log genes).
    """
    tests = heldout_sets(weights, prior, trained)
    auc, ties, n_pos, n_neg = _mann_whitney(loadings, tests)
    p = nominal_p(auc, n_pos, n_neg, ties)
    return Enrichment(tests.set_index, tests.factor_index, auc, p, benjamini_hochberg(p))


def pair_auc(loadings: Real[np.ndarray, "genes factors"], tests: HeldoutSets) -> Float[np.ndarray, "pairs"]:
    """AUC of the held-out members of each pair against the genes outside; 0.5 where either is empty."""
    return _mann_whitney(loadings, tests)[0]


def _mann_whitney(loadings: np.ndarray, tests: HeldoutSets) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """AUC, ``sum(t^3 - t)`` over ties, and the sizes of both groups, of every pair."""
    n_pairs = tests.set_index.size
    n_pos = np.diff(tests.held_start)
    n_neg = np.zeros(n_pairs, dtype=np.int64)
    statistic, ties = np.zeros(n_pairs), np.zeros(n_pairs)
    first = np.searchsorted(tests.factor_index, np.arange(tests.outside.shape[1] + 1))
    for factor in np.unique(tests.factor_index):
        pairs = slice(first[factor], first[factor + 1])
        value = np.asarray(loadings[:, factor])
        genes = tests.held_genes[tests.held_start[pairs.start] : tests.held_start[pairs.stop]]
        statistic[pairs], ties[pairs], n_neg[pairs] = _compare(
            np.sort(value[tests.outside[:, factor]]), value[genes], n_pos[pairs]
        )
    with np.errstate(invalid="ignore", divide="ignore"):
        auc = np.where((n_pos > 0) & (n_neg > 0), statistic / (n_pos * n_neg), 0.5)
    return auc, ties, n_pos, n_neg


def _compare(outside: np.ndarray, held: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """U statistic and ``sum(t^3 - t)`` of groups of held-out values, one after the other, against sorted values."""
    group = np.repeat(np.arange(sizes.size), sizes)
    below = np.searchsorted(outside, held, side="left")
    through = np.searchsorted(outside, held, side="right")
    statistic = np.bincount(group, weights=0.5 * (below + through), minlength=sizes.size)
    ends = np.flatnonzero(np.diff(outside, append=np.nan) != 0) + 1  # a NaN differs from everything
    ties = np.full(sizes.size, _cubes(np.diff(ends, prepend=0)).sum())
    if held.size:
        order = np.lexsort((held, group))
        held, group, tied = held[order], group[order], (through - below)[order]
        new = np.flatnonzero(np.concatenate([[True], (np.diff(held) != 0) | (np.diff(group) != 0)]))
        count = np.diff(new, append=held.size)
        extra = _cubes(tied[new] + count) - _cubes(tied[new])
        ties += np.bincount(group[new], weights=extra, minlength=sizes.size)
    return statistic, ties, outside.size


def _cubes(count: np.ndarray) -> np.ndarray:
    count = np.asarray(count, dtype=np.float64)
    return count**3 - count


def nominal_p(
    auc: np.ndarray, n_pos: np.ndarray | int, n_neg: np.ndarray | int, tie_term: np.ndarray | float = 0.0
) -> np.ndarray:
    """One-sided p-value of an AUC, large-sample Mann-Whitney with correction for ties and continuity.

    ``tie_term`` is ``sum(t^3 - t)`` over groups of t equal values. "Nominal": it takes genes as independent, which
    genes of one set are not. NaN where a group is empty.
    """
    auc, n_pos, n_neg, tie_term = np.broadcast_arrays(
        *(np.asarray(x, dtype=np.float64) for x in (auc, n_pos, n_neg, tie_term))
    )
    n = n_pos + n_neg
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = n_pos * n_neg / 12 * (n + 1 - tie_term / (n * (n - 1)))
        p = ndtr(-((auc - 0.5) * n_pos * n_neg - 0.5) / np.sqrt(np.maximum(variance, 0.0)))
    return np.where((n_pos > 0) & (n_neg > 0), p, np.nan)


def benjamini_hochberg(p: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """False discovery rate over all p-values that are not NaN; NaN stays NaN and does not count."""
    p = np.asarray(p, dtype=np.float64)
    fdr = np.full(p.shape, np.nan)
    known = ~np.isnan(p)
    if known.any():
        fdr[known] = false_discovery_control(p[known], method="bh")
    return fdr


def auc_matrix(
    loadings: Real[np.ndarray, "genes factors"], membership: scipy.sparse.csc_array
) -> Float[np.ndarray, "sets factors"]:
    """AUC of every set for every factor, (sets, factors), from mid-ranks and one sparse product.

    Members against all other genes. A set of no gene, or of all, has 0.5. O(factors · genes · log genes).
    """
    membership = _pattern(membership).astype(np.float64)
    n_genes, n_factors = loadings.shape
    n_pos = np.diff(membership.indptr).astype(np.float64)[:, None]
    n_neg = n_genes - n_pos
    auc = np.full((membership.shape[1], n_factors), 0.5)
    sets = ((n_pos > 0) & (n_neg > 0))[:, 0]
    width = max(1, _BLOCK_VALUES // n_genes)
    members = membership.T.tocsr()[np.flatnonzero(sets)]
    for low in range(0, n_factors, width):
        ranks = rankdata(loadings[:, low : low + width], axis=0)
        rank_sum = members @ ranks
        auc[sets, low : low + width] = (rank_sum - (n_pos * (n_pos + 1) / 2)[sets]) / (n_pos * n_neg)[sets]
    return auc


def permutation_p(
    auc: Float[np.ndarray, "pairs"], tests: HeldoutSets, null: Real[np.ndarray, "genes draws"]
) -> Float[np.ndarray, "pairs"]:
    """Share of null directions whose AUC, on the same genes of the same pair, is at least the observed one.

    ``null`` is (genes, draws): loadings of directions that keep the correlation of genes and know nothing of the sets.
    ``p = (1 + #{AUC_null >= AUC}) / (draws + 1)``; NaN where the pair has no test. Exact for every pair: a null column
    is sorted once, and what lies below a gene among the genes outside of a factor's sets is a running count.

    Cost O(draws · genes · (log genes + factors in use) + draws · held-out members), in blocks of bounded memory.
    """
    null = np.asarray(null)
    n_genes, n_draws = null.shape
    n_pos = np.diff(tests.held_start)
    n_neg = tests.outside.sum(axis=0)[tests.factor_index]
    tested = (n_pos > 0) & (n_neg > 0)
    observed = np.rint(2.0 * auc * n_pos * n_neg)  # twice U is an integer: no comparison of rounded numbers
    exceeded = np.zeros(tests.set_index.size, dtype=np.int64)
    first = np.searchsorted(tests.factor_index, np.arange(tests.outside.shape[1] + 1))
    width = max(1, _BLOCK_VALUES // (8 * n_genes))
    held, place = np.unique(tests.held_genes, return_inverse=True)
    for low in range(0, n_draws, width):
        draws = np.ascontiguousarray(null[:, low : low + width].T)
        order = np.argsort(draws, axis=1).astype(np.int32)
        below, through = _bounds(np.take_along_axis(draws, order, axis=1), draws[:, held])
        rows = np.arange(len(order))[:, None]
        count = np.zeros((len(order), n_genes + 1), dtype=np.int32)
        for factor in np.unique(tests.factor_index[tested]):
            np.cumsum(tests.outside[:, factor].take(order), axis=1, out=count[:, 1:])
            pairs = np.arange(first[factor], first[factor + 1])
            pairs = pairs[tested[pairs]]
            genes = np.concatenate([place[tests.held_start[q] : tests.held_start[q + 1]] for q in pairs])
            twice = count[rows, below[:, genes]].astype(np.int64) + count[rows, through[:, genes]]
            starts = np.concatenate([[0], np.cumsum(n_pos[pairs])[:-1]])
            exceeded[pairs] += (np.add.reduceat(twice, starts, axis=1) >= observed[pairs]).sum(axis=0)
    return np.where(tested, (1.0 + exceeded) / (n_draws + 1.0), np.nan)


def _bounds(ordered: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How many of each row's ascending values are below, and at most, each of some values of that row."""
    pairs = list(zip(ordered, values, strict=True))
    below = np.array([np.searchsorted(row, wanted, side="left") for row, wanted in pairs])
    return below, np.array([np.searchsorted(row, wanted, side="right") for row, wanted in pairs])
