"""Which gene sets are among the top genes of a factor more often than chance would have it?

numpy and scipy on purpose: one sparse product counts, and the distinct 2×2 tables are few, whatever the number of pairs.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.sparse
from jaxtyping import Bool, Float, Int, Real
from scipy.special import gammaln

_BLOCK_VALUES = 8_000_000
"""Values that the temporary arrays of one block may hold."""
_SMALL = 1e-17
"""Once a term of falling ones is this small beside their sum, the rest of them changes nothing."""


class OverRepresentation(NamedTuple):
    """One row for each pair with a gene in common, list by list, sets ascending; every other pair has p = 1."""

    list_index: Int[np.ndarray, "pairs"]
    set_index: Int[np.ndarray, "pairs"]
    n_overlap: Int[np.ndarray, "pairs"]
    n_set: Int[np.ndarray, "pairs"]
    n_top: Int[np.ndarray, "pairs"]
    odds_ratio: Float[np.ndarray, "pairs"]
    p: Float[np.ndarray, "pairs"]
    fdr: Float[np.ndarray, "pairs"]
    n_tests: int
    """Lists with a gene × sets: what the false discovery rate allows for, pairs without a gene in common included."""


def top_genes(weights: Real[np.ndarray, "genes factors"], n_top: int) -> Bool[np.ndarray, "genes factors"]:
    """Mark the `n_top` largest positive weights of each column, and all that are tied with the last of them.

    A column with fewer positive weights has fewer marks. O(genes · factors).
    """
    n_genes, n_factors = weights.shape
    rank = n_genes - min(n_top, n_genes)
    chosen = np.zeros((n_genes, n_factors), dtype=bool)
    width = max(1, _BLOCK_VALUES // n_genes)
    for low in range(0, n_factors, width):
        block = np.ascontiguousarray(weights[:, low : low + width].T)  # selection is much faster along rows
        cut = np.partition(block, rank, axis=1)[:, rank, None]
        chosen[:, low : low + width] = ((block >= cut) & (block > 0)).T
    return chosen


def overrepresentation(
    chosen: Bool[np.ndarray, "genes lists"], membership: scipy.sparse.csc_array
) -> OverRepresentation:
    """Hypergeometric test of every set (0/1 ``membership``, genes × sets) in every list of chosen genes.

    For each pair the genes make one table, whose four numbers sum to the number of genes::

                    chosen              not chosen
        in set      n_overlap           n_set - n_overlap
        not in set  n_top - n_overlap   n_genes - n_set - n_top + n_overlap

    p is P(X >= n_overlap) with the margins given, Fisher's exact test of one side :cite:p:`Rivals2007`. The odds ratio is
    that of the table: infinite where no gene is chosen outside of the set or all of the set are chosen, NaN where every
    gene is chosen or in the set. The false discovery rate is over all pairs, also those without a gene in common
    (p = 1); a list without genes is no test. O(memberships of chosen genes + distinct tables · their SD).
    """
    n_genes, n_sets = membership.shape
    counts = scipy.sparse.csr_array(chosen.T, dtype=np.float64) @ scipy.sparse.csr_array(membership, dtype=np.float64)
    counts.eliminate_zeros()
    counts.sort_indices()
    of_list, of_set = chosen.sum(axis=0), np.rint(np.asarray(membership.sum(axis=0))).astype(np.int64)
    list_index = np.repeat(np.arange(chosen.shape[1]), np.diff(counts.indptr))
    set_index = counts.indices.astype(np.int64)
    n_overlap = np.rint(counts.data).astype(np.int64)
    n_set, n_top = of_set[set_index], of_list[list_index].astype(np.int64)
    only_top, only_set = n_top - n_overlap, n_set - n_overlap
    with np.errstate(divide="ignore", invalid="ignore"):
        odds_ratio = (n_overlap * (n_genes - n_set - only_top)) / (only_top * only_set)
    p = _each_distinct(n_overlap, n_set, n_top, n_genes)
    n_tests = int((of_list > 0).sum()) * n_sets
    return OverRepresentation(
        list_index, set_index, n_overlap, n_set, n_top, odds_ratio, p, adjusted(p, n_tests), n_tests
    )


def _each_distinct(n_overlap: np.ndarray, n_set: np.ndarray, n_top: np.ndarray, n_genes: int) -> np.ndarray:
    base = n_genes + 1
    distinct, place = np.unique((n_overlap * base + n_set) * base + n_top, return_inverse=True)
    rest, top = np.divmod(distinct, base)
    return upper_tail(*np.divmod(rest, base), top, n_genes)[place]


def upper_tail(
    n_overlap: Int[np.ndarray, "tables"],
    n_set: Int[np.ndarray, "tables"],
    n_top: Int[np.ndarray, "tables"],
    n_genes: int,
) -> Float[np.ndarray, "tables"]:
    """P(X >= n_overlap) for X genes of a set of `n_set` among `n_top` that were drawn out of `n_genes`.

    From the mode outwards the terms fall, and each is a ratio times the one before: above the mode the upper tail is summed,
    up to the mode the lower one, so that nothing cancels. Relative error below 1e-9 (of log-gamma) down to the smallest
    number of float64; p is 0 below it.
    """
    k, m, n = (np.asarray(x, dtype=np.float64) for x in (n_overlap, n_set, n_top))
    rest = n_genes - m - n  # may be negative: then at least -rest genes must overlap
    low, high = np.maximum(0, -rest), np.minimum(m, n)
    certain, impossible = k <= low, k > high
    up = k > np.floor((m + 1) * (n + 1) / (n_genes + 2))
    x = np.where(certain | impossible, low, np.where(up, k, k - 1))
    log_term = _log_choose(m, x) + _log_choose(n_genes - m, n - x) - _log_choose(np.full_like(m, n_genes), n)
    term, total = np.ones_like(k), np.ones_like(k)
    while (term > _SMALL * total).any():
        grow = (m - x) * (n - x) / ((x + 1) * (rest + x + 1))  # 0 at `high`; the probability of x + 1 over that of x
        fall = x * (rest + x) / ((m - x + 1) * (n - x + 1))  # 0 at `low`
        term = term * np.where(up, grow, fall)
        total += term
        x = np.where(term > 0, x + np.where(up, 1, -1), x)
    tail = np.exp(log_term) * total
    p = np.where(up, tail, 1 - tail)
    return np.clip(np.where(certain, 1.0, np.where(impossible, 0.0, p)), 0, 1)


def _log_choose(n: np.ndarray, k: np.ndarray) -> np.ndarray:
    return gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)


def adjusted(p: Float[np.ndarray, "pairs"], n_tests: int) -> Float[np.ndarray, "pairs"]:
    """False discovery rate of Benjamini and Hochberg over `n_tests`, of which those not given have p = 1."""
    order = np.argsort(p)
    raw = p[order] * n_tests / np.arange(1, p.size + 1)
    fdr = np.empty(p.size)
    fdr[order] = np.minimum(np.minimum.accumulate(raw[::-1])[::-1], 1.0)
    return fdr
