"""Do factors know gene sets that nobody showed them?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from omicstl._core.checks import check_number, listed
from omicstl._core.log import info, warn
from omicstl._core.public import public
from omicstl._data import genesets
from omicstl.kernels import enrichment
from omicstl.models.base import Model

from ._models import resolve


@public
def collection_auc(
    adata: AnnData | Model | str | Path,
    gene_sets: dict[str, list[str]] | pd.DataFrame | str | Path,
    key: str | None = None,
    *,
    min_genes: int = 10,
) -> pd.DataFrame:
    """
    Test every factor for every set of a collection that the fit has not seen :cite:p:`Taroni2019`.

    What a reference has learnt beyond its prior: sets that it was never shown and that one of its factors follows all the
    same. The names of the factors play no part.

    Parameters
    ----------
    adata
        An AnnData with a fitted model, a model, or the path of one. A projection has no model: pass its reference.
    gene_sets
        The collection: path of a GMT file, dict of name to genes, tidy table ``source``/``target``, or 0/1 table genes ×
        sets.
    key
        Key of the fit. `None`: the only one there.
    min_genes
        Sets with fewer genes in the model are left out.

    Returns
    -------
    A table with one row for each set and factor: ``set``, ``factor``, ``auc`` (of the loadings of the set's genes against
    all other genes of the model; 0.5 is chance), ``p_nominal`` (one-sided; NaN of a set of all genes), ``fdr_nominal`` (Benjamini and Hochberg over
    all pairs) and ``n_genes`` (of the set in the model). ``attrs["too_small"]`` has the sets left out for their size, with
    their number of genes, ``attrs["in_fit"]`` those that the fit has seen.

    Raises
    ------
    KeyError
        If there is no model under `key`, or several and no `key`.
    TypeError
        If `adata` or `gene_sets` is of another kind.
    ValueError
        If no gene is shared, every set is too small, or every set was in the fit.

    Warns
    -----
    UserWarning
        If the collection has sets of the fit, by name or by the same genes. They are not held out, and are left out.

    Notes
    -----
    `CalculateHoldoutAUC` of MultiPLIER (``util/plier_util.R``): the Mann-Whitney test over all genes of the model, with the
    corrections for ties and continuity. It keeps small sets and does not look for sets of the fit. A set that overlaps
    with one of the fit without being the same counts as unseen: compare genes before calling a collection new. p-values
    are nominal, they take genes as independent; genes of one set are not, and a random set of correlated genes passes
    too. The share captured has the tested sets as its denominator. Cost: one sort of each factor's loadings, and one
    sparse product; seconds for 1,000 factors and 5,000 sets, with a row for each of the five million pairs.

    Examples
    --------
    >>> import omicstl as otl
    >>> adata, truth = otl.datasets.simulate_pathways(rng=0)
    >>> names = list(truth.gene_sets)
    >>> otl.tl.plier(adata, {name: truth.gene_sets[name] for name in names[:20]}, n_factors=8, progress=False)
    >>> found = otl.metrics.collection_auc(adata, {name: truth.gene_sets[name] for name in names[20:]})
    >>> captured = found.loc[found["fdr_nominal"] < 0.05, "set"].nunique() / found["set"].nunique()
    >>> 0 < captured <= 1
    True
    """
    check_number("min_genes", min_genes, low=1, integer=True)
    sets = genesets.read_gene_sets(gene_sets)
    model: Any = resolve(adata, key, "adata")
    features = np.asarray(model.features).astype(str)
    matched = genesets.match(sets, features, min_genes=min_genes, label="the model")
    members = _spread(matched, features.size)
    seen = _seen(matched.names, members, model)
    if seen.any():
        _tell_seen(matched.names[seen], seen.size)
    names, members = matched.names[~seen], members[:, np.flatnonzero(~seen)]
    if matched.lost_sets:
        info(f"{len(matched.lost_sets)} of {len(sets.names)} sets have fewer than {min_genes} genes in the model.")
    loadings = np.asarray(model.loadings)
    auc = enrichment.auc_matrix(loadings, members)
    n_genes = np.diff(members.indptr)
    n_pos = n_genes[:, None]
    p = enrichment.nominal_p(auc, n_pos, features.size - n_pos, _ties(loadings))
    k = loadings.shape[1]
    table = pd.DataFrame(
        {
            "set": np.repeat(names.astype(object), k),
            "factor": np.tile(np.asarray(model.names, dtype=object), names.size),
            "auc": auc.ravel(),
            "p_nominal": p.ravel(),
            "fdr_nominal": enrichment.benjamini_hochberg(p).ravel(),
            "n_genes": np.repeat(n_genes.astype(np.int64), k),
        }
    )
    table.attrs = {"too_small": dict(matched.lost_sets), "in_fit": matched.names[seen].tolist()}
    return table


def _spread(matched: genesets.MatchedSets, n_features: int) -> sp.csc_array:
    """Memberships over all genes of the model."""
    inside = matched.membership
    shape = (n_features, matched.names.size)
    return sp.csc_array((inside.data, matched.columns[inside.indices], inside.indptr), shape=shape)


def _seen(names: np.ndarray, members: sp.csc_array, model: Any) -> np.ndarray:
    """Which sets the fit was shown: by their name, or by the same genes under another name."""
    known = getattr(model, "sets", None)
    if known is None or not len(known):
        return np.zeros(names.size, dtype=bool)
    sizes, prior = np.diff(members.indptr), sp.csc_array(model.prior)
    common = sp.coo_array(members.T @ prior)
    same = (common.data == sizes[common.row]) & (common.data == np.diff(prior.indptr)[common.col])
    seen = np.isin(names.astype(str), np.asarray(known).astype(str))
    seen[common.row[same]] = True
    return seen


def _tell_seen(names: np.ndarray, n_sets: int) -> None:
    few = (
        f"{names.size} of {n_sets} sets of `gene_sets` were in the fit, by name or by the same genes: {listed(names)}."
    )
    if names.size == n_sets:
        msg = f"{few} None is held out. Give another collection; otl.get.summary has the tests of the fit's own sets."
        raise ValueError(msg)
    warn(f"{few} They are not held out, and are left out of the table.", UserWarning)


def _ties(loadings: np.ndarray) -> np.ndarray:
    """``sum(t^3 - t)`` over groups of t equal loadings, of each factor."""
    counts = [np.unique(column, return_counts=True)[1].astype(np.float64) for column in loadings.T]
    return np.array([(count**3 - count).sum() for count in counts])
