"""Which gene sets the genes of each factor belong to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
import scipy.sparse as sp

from omicstl import get
from omicstl._core.checks import check_choice, check_number, listed
from omicstl._core.log import info
from omicstl._core.public import public
from omicstl._data import genesets
from omicstl._data.results import factor_names, score_key
from omicstl._data.run import start
from omicstl.kernels import overrepresentation as kernel
from omicstl.models.factors import annotation

if TYPE_CHECKING:
    from anndata import AnnData

KIND = "enrichment"
SIGNS = ("both", "positive", "negative", "absolute")
N_GENES = 10
"""Names of genes that a row of the table tells."""


@public
def enrich(
    adata: AnnData,
    gene_sets: str | Path | dict[str, list[str]] | pd.DataFrame,
    *,
    key: str | None = None,
    n_top: int | None = None,
    sign: str = "both",
    min_genes: int = 10,
    fdr: float = 0.05,
    key_added: str | None = None,
    copy: bool = False,
) -> AnnData | None:
    """Ask which gene sets the top genes of each factor belong to: Fisher's exact test :cite:p:`Rivals2007`.

    Answers what a factor is about in terms of any collection, also one that the fit never saw. Factors of every method are
    read in the same way: from attributions where there are some, else from loadings.

    Parameters
    ----------
    adata
        An AnnData with factor scores under `key`. Only ``varm``, ``uns[key]`` and the names of genes are read, X is not.
    gene_sets
        A ``.gmt`` or ``.gmt.gz`` file, a dict of set name to genes, a table with columns ``source`` and ``target``, or a
        0/1 table genes × sets. Names of genes are compared exactly.
    key
        Name that the factors were written under. `None` takes the only ones there. Weights are
        ``varm[key + "_attributions"]``, or loadings, ``varm[key]``, if there are none; shape (n_vars, n_factors).
    n_top
        Genes of a factor that are looked up, those with the largest weights; genes with a weight of 0 are never among them,
        and genes tied with the last one always. `None` takes the mean size of the sets in these genes.
    sign
        ``"both"`` tests genes with positive and with negative weights apart, as two lists of `n_top`; ``"positive"`` and
        ``"negative"`` one of them; ``"absolute"`` one list by size, whatever the sign (the original's).
    min_genes
        Sets with fewer genes in the model are left out.
    fdr
        Pairs with a false discovery rate of at most this are written. 1 writes every pair with a gene in common.
    key_added
        Name of what is written. `None` takes ``f"{key}_enrichment"``.
    copy
        Return a copy instead of writing into `adata`.

    Returns
    -------
    `None`, or a copy if `copy`. Writes ``uns[key_added]``:

    ``table``
        A row for each pair of a factor and a set, factors in their order, the smallest p first: ``factor``, ``direction``
        ("positive", "negative" or "absolute"), ``set``, ``n_overlap``, ``n_set``, ``n_top`` (genes in common, in the set, and of
        the factor), ``odds_ratio`` (infinite where nothing lies outside the overlap), ``p``, ``fdr`` (of all tests
        :cite:p:`Benjamini1995`, not only of those in the table) and ``genes``: up to ten genes in common, the largest weight
        first.
    ``names``, ``lost_sets``
        The factors, and sets with too few genes.
    ``params``
        The arguments, with the ``weights`` ("attributions" or "loadings") and `n_top` that were used; ``n_genes``, ``n_sets``,
        ``n_lists`` (of top genes) and ``n_tests``, their product with the sets.

    Raises
    ------
    KeyError
        If there are no factors under `key`, or several and no `key`, or they have neither attributions nor loadings.
    TypeError
        If an argument is of the wrong kind.
    ValueError
        If weights are not finite or all zero (on the side asked for), no gene or set is matched, `n_top` is not below the
        number of genes, or `key_added` holds something else. `adata` is then unchanged.

    Notes
    -----
    For each pair the genes of the model (rows of weights that are not all zero) make a 2×2 table, in the set or not, among
    the top genes or not; p is the upper tail of the hypergeometric distribution. A factor without genes on a side is no
    test. DeepProfile :cite:p:`Qiu2024`, whose rule for `n_top` this is, counts the top genes once more in the last cell, so
    that its tables sum to more genes than there are, tests two sides, and adjusts the p-values of each set by themselves
    (``Fishers_Test.py``).

    **What p does not say.** Genes of a set follow each other in the data, so that a direction through the data that means
    nothing is enriched too; tests that count genes take them as independent :cite:p:`Goeman2007`. An enriched set says
    what a factor is about, not that the factor is real: `omicstl.tl.stability` asks that. And PLIER's loadings were drawn
    towards the sets of the fit: to find those sets again is circular, and no evidence for a factor's name. Use a
    collection that the fit did not see, or `omicstl.get.summary`, which tests on genes held out.

    O(n_vars · n_factors), and a sparse product: 1,000 factors, 2,000 sets and 20,000 genes, both signs, take 1 to 2 seconds.

    Examples
    --------
    >>> import omicstl as otl
    >>> adata, truth = otl.datasets.simulate_pathways(rng=0)
    >>> otl.tl.plier(adata, truth.gene_sets, n_factors=5, max_iter=40, tol=1e-2)
    >>> otl.tl.enrich(adata, truth.gene_sets)
    >>> otl.get.enrichment(adata).columns[:3].tolist()
    ['factor', 'direction', 'set']
    """
    check_choice("sign", sign, SIGNS)
    check_number("fdr", fdr, low=0, high=1, low_open=True)
    if n_top is not None:
        check_number("n_top", n_top, low=1, integer=True)
    key = score_key(adata, key)
    target = f"{key}_{KIND}" if key_added is None else key_added
    run = start("enrich", adata, target, copy=copy)
    weights = _read(adata, key)
    _check_any(weights, sign)
    n_genes = weights.genes.size
    sets = genesets.read_gene_sets(gene_sets)
    matched = genesets.match(sets, weights.genes, min_genes=min_genes, label=f"the genes of {weights.where}")
    membership = _of_all_genes(matched, n_genes)
    size = round(membership.nnz / matched.names.size) if n_top is None else int(n_top)
    if size >= n_genes:
        what = f"The mean size of the {matched.names.size} sets, {size}," if n_top is None else f"n_top={size}"
        msg = (
            f"{what} is not below the {n_genes} genes of {weights.where}: all would be top genes. Pass a smaller n_top."
        )
        raise ValueError(msg)
    names = factor_names(adata, key)
    sides = _sides(sign)
    chosen = np.concatenate([kernel.top_genes(_turned(weights.values, side), size) for side in sides], axis=1)
    found = kernel.overrepresentation(chosen, membership)
    table = _table(found, chosen, weights, _Names(names, sides, matched.names), membership, fdr)
    n_lists = int(chosen.any(axis=0).sum())
    params = {
        "key": key,
        "weights": weights.kind,
        "sign": sign,
        "n_top": size,
        "requested": n_top,
        "min_genes": int(min_genes),
        "fdr": float(fdr),
        "n_genes": int(n_genes),
        "n_sets": int(matched.names.size),
        "n_lists": n_lists,
        "n_tests": found.n_tests,
    }
    lost = genesets.lost_table(matched.lost_sets)
    written = run.commit({"table": table, "lost_sets": lost}, params=params, names=names)
    idle = names[~chosen.reshape(n_genes, len(sides), names.size).any(axis=(0, 1))]
    if idle.size:
        info(f"Not tested, because no gene has such a weight: {listed(idle)}.")
    run.tell(*_sentences(adata.uns[key], table, params, matched.names))
    return written


class _Weights(NamedTuple):
    """What each gene of a model has to do with each factor."""

    kind: str
    where: str
    genes: np.ndarray
    values: np.ndarray


def _read(adata: AnnData, key: str) -> _Weights:
    """Attributions or loadings of `varm`; or of the model, where a concatenation has dropped `varm`."""
    kinds = {f"{key}_attributions": "attributions", key: "loadings"}
    slot = next((name for name in kinds if name in adata.varm), None)
    value: Any = None if slot is None else adata.varm[slot]
    genes, where = np.asarray(adata.var_names), f"adata.varm[{slot!r}]"
    if slot is None and "model" in adata.uns[key]:
        model: Any = get.model(adata, key)
        value, where = annotation.loadings_of(model), f"the model in adata.uns[{key!r}]"
        genes = np.asarray(model.features)
    if value is None:
        msg = (
            f"The factors {key!r} have no weights of genes: adata.varm has neither '{key}_attributions' nor {key!r}. "
            f"Available: [{listed(sorted(adata.varm))}]. Compute them: otl.tl.attributions(adata, key={key!r})."
        )
        raise KeyError(msg)
    values = value.toarray() if sp.issparse(value) else np.asarray(value)
    n_factors = len(adata.uns[key]["names"])
    if values.ndim != 2 or values.shape[1] != n_factors:
        msg = f"{where} has shape {values.shape}, but {key!r} has {n_factors} factors. Write both again with the verb they came from."
        raise ValueError(msg)
    if values.dtype.kind not in "biuf" or not np.isfinite(values).all():
        msg = f"{where} holds values that are not finite numbers. Write it again with the verb it came from."
        raise ValueError(msg)
    inside = (values != 0).any(axis=1)
    values = values[inside] if values.dtype.kind == "f" else values[inside].astype(np.float64)
    return _Weights(kinds[slot or key], where, genes.astype(str)[inside], values)


def _check_any(weights: _Weights, sign: str) -> None:
    if any((_turned(weights.values, side) > 0).any() for side in _sides(sign)):
        return
    if weights.genes.size:
        other = "positive" if sign == "negative" else "negative"
        msg = f"No weight in {weights.where} is {sign}, so there is no gene to look up. Pass sign={other!r} or 'both'."
    else:
        msg = f"All weights in {weights.where} are zero, so no factor has a gene. Are these the genes of the model?"
    raise ValueError(msg)


def _sides(sign: str) -> tuple[str, ...]:
    return ("positive", "negative") if sign == "both" else (sign,)


def _turned(weights: np.ndarray, side: str) -> np.ndarray:
    """Weights such that the genes of a side are the largest."""
    return weights if side == "positive" else -weights if side == "negative" else np.abs(weights)


def _of_all_genes(matched: genesets.MatchedSets, n_genes: int) -> sp.csc_array:
    """Memberships with a row for every gene of the model, also for those that the collection does not know."""
    known = matched.membership
    return sp.csc_array((known.data, matched.columns[known.indices], known.indptr), shape=(n_genes, known.shape[1]))


class _Names(NamedTuple):
    factors: np.ndarray
    sides: tuple[str, ...]
    sets: np.ndarray


def _table(
    found: kernel.OverRepresentation,
    chosen: np.ndarray,
    weights: _Weights,
    names: _Names,
    membership: sp.csc_array,
    fdr: float,
) -> pd.DataFrame:
    """Pairs of at most this FDR, factor by factor, the smallest p first."""
    side, factor = np.divmod(found.list_index, names.factors.size)
    keep = np.flatnonzero(found.fdr <= fdr)
    keep = keep[np.lexsort((-found.n_overlap[keep], found.p[keep], factor[keep]))]
    shared = [
        _shared(membership, s, chosen[:, q], weights.values[:, f], weights.genes)
        for s, q, f in zip(found.set_index[keep], found.list_index[keep], factor[keep], strict=True)
    ]
    return pd.DataFrame(
        {
            "factor": names.factors[factor[keep]],
            "direction": np.array(names.sides, dtype=object)[side[keep]],
            "set": names.sets.astype(object)[found.set_index[keep]],
            **{name: getattr(found, name)[keep] for name in ("n_overlap", "n_set", "n_top", "odds_ratio", "p", "fdr")},
            "genes": np.array(shared, dtype=object),
        }
    )


def _shared(membership: sp.csc_array, s: int, chosen: np.ndarray, weight: np.ndarray, genes: np.ndarray) -> str:
    """Names of a set's members among the chosen genes, the largest weight first."""
    members = membership.indices[membership.indptr[s] : membership.indptr[s + 1]]
    members = members[chosen[members]]
    order = np.argsort(-np.abs(weight[members]), kind="stable")[:N_GENES]
    return ", ".join(genes[members[order]])


def _sentences(
    entry: Mapping[str, Any], table: pd.DataFrame, params: dict[str, Any], sets: np.ndarray
) -> Iterator[str]:
    summary = entry.get("summary")
    n_seen = len(set(sets.tolist()) & set(summary["set"].astype(str))) if isinstance(summary, pd.DataFrame) else 0
    if n_seen:
        yield f"{n_seen} of the {sets.size} sets have a weight on these factors: to find those again is circular."
    yield (
        f"{len(table)} of {params['n_tests']:,} pairs with FDR <= {params['fdr']:g}, of {table['factor'].nunique()} factors "
        f"({params['n_top']} top genes of {params['n_genes']}, {params['n_sets']} sets)."
    )
