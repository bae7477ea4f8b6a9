"""Do two groups of pathways have factors of their own?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData

from omicstl import get
from omicstl._core.checks import check_number, listed, near_miss
from omicstl._core.public import public
from omicstl._data.results import factor_names, score_key
from omicstl.models.base import Model

from ._models import resolve


class Separation(NamedTuple):
    """
    Which factors follow either of two groups of gene sets.

    Parameters
    ----------
    separated
        Whether both groups have a factor of their own.
    first, second
        Names of the factors that follow a set of the group, in the order of the model.
    shared
        Those that follow both.
    first_only, second_only
        Those that follow one group and not the other.
    first_auc, second_auc
        Largest AUC of all tested pairs of the group, significant or not; NaN if no factor uses one of its sets.
    """

    separated: bool
    first: list[str]
    second: list[str]
    shared: list[str]
    first_only: list[str]
    second_only: list[str]
    first_auc: float
    second_auc: float


@public
def separation(
    adata: AnnData | Model | str | Path,
    first: Sequence[str],
    second: Sequence[str],
    *,
    key: str | None = None,
    fdr: float = 0.05,
) -> Separation:
    """
    Ask whether two groups of pathways have factors of their own :cite:p:`Taroni2019`.

    Small compendia lump together what is alike, such as neutrophils and monocytes, or the answers to type I and type II
    interferon; a factor of both cannot tell which of them has changed.

    Parameters
    ----------
    adata
        An AnnData with a fit or a projection, a model, or the path of one.
    first, second
        Names of gene sets, a list each. One set is enough.
    key
        Key of the fit or the projection. `None`: the only one there.
    fdr
        Nominal false discovery rate below which a factor follows a set.

    Returns
    -------
    A named tuple: ``separated``; the names of the factors of the ``first`` and of the ``second`` group, those ``shared``,
    and each group's own, ``first_only`` and ``second_only``; the largest AUC of each group, ``first_auc`` and
    ``second_auc``, of all tested pairs, so that it says how near a group without a factor came.

    Raises
    ------
    KeyError
        If there is no such key, or several and no `key`.
    TypeError
        If `first` or `second` is no list of names.
    ValueError
        If a name is not known (the nearest is named), a set is in both groups, or `fdr` is not between 0 and 1.

    Notes
    -----
    A group has a factor if any of its sets has a pair with FDR strictly below `fdr`. The two are separated if each has a
    factor that the other has not, as in MultiPLIER (notebook 32), which looks up names as unescaped regular expressions:
    there ``MONO`` finds ``DMAP_MONO2`` and ``.`` any letter, here names are exact. A projection knows the sets that
    some factor uses; the model knows all. Cost: one pass over the table of pairs.

    Examples
    --------
    >>> import omicstl as otl
    >>> adata, truth = otl.datasets.simulate_pathways(rng=0)
    >>> otl.tl.plier(adata, truth.gene_sets, n_factors=5, max_iter=40, tol=1e-2)
    >>> best = otl.get.summary(adata, max_fdr=0.05).drop_duplicates("factor")["set"].tolist()
    >>> otl.metrics.separation(adata, best[:1], best[1:2]).separated
    True
    """
    check_number("fdr", fdr, low=0, high=1)
    if isinstance(adata, AnnData):
        key = score_key(adata, key)
        names, source = factor_names(adata, key), adata
        model: Any = get.model(adata, key) if "model" in adata.uns[key] else None
    else:
        source = model = resolve(adata, key, "adata")
        names = np.asarray(model.names).astype(str)
    table = get.summary(source, key)
    known = table["set"].astype(str).unique().tolist() if model is None else list(getattr(model, "sets", ()))
    sides = _members("first", first, known), _members("second", second, known)
    both = sorted(set(sides[0]) & set(sides[1]))
    if both:
        msg = f"`first` and `second` both hold {listed(both)}. Leave what they share out of one of them."
        raise ValueError(msg)
    found = [_factors(table, side, fdr) for side in sides]
    of = [[name for name in names.tolist() if name in group] for group in found]
    only = [[name for name in of[0] if name not in found[1]], [name for name in of[1] if name not in found[0]]]
    auc = [float(table.loc[table["set"].isin(side), "auc"].max()) for side in sides]
    shared = [name for name in of[0] if name in found[1]]
    return Separation(bool(only[0] and only[1]), of[0], of[1], shared, only[0], only[1], auc[0], auc[1])


def _members(argument: str, names: Sequence[str], known: list[str]) -> list[str]:
    chosen = list(dict.fromkeys(names))
    if not chosen:
        msg = f"`{argument}` is empty. Name at least one gene set; tested are {listed(known)}."
        raise ValueError(msg)
    wrong = [name for name in chosen if name not in set(known)]
    if wrong:
        there = f"Known are {listed(known)}." if known else "It knows no gene sets."
        msg = (
            f"`{argument}`: {listed(wrong)} not found among the gene sets of the factors.{near_miss(wrong[0], known)} {there} "
            "A projection knows only sets that some factor uses; pass the reference to ask for others."
        )
        raise ValueError(msg)
    return chosen


def _factors(table: pd.DataFrame, sets: list[str], fdr: float) -> set[str]:
    return set(table.loc[table["set"].isin(sets) & (table["fdr_nominal"] < fdr), "factor"].astype(str))
