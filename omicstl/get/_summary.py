"""The gene sets that factors were tested for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from anndata import AnnData

from omicstl._core.checks import check_number
from omicstl._core.public import public
from omicstl._data.results import score_key
from omicstl.models.factors import annotation

from ._model import model

if TYPE_CHECKING:
    from omicstl.models.base import Model


@public
def summary(
    adata: AnnData | Model | str | Path, key: str | None = None, *, max_fdr: float | None = None
) -> pd.DataFrame:
    """Gene sets that the factors were tested for, with the evidence: PLIER's summary.

    Parameters
    ----------
    adata
        An AnnData with a fit or a projection, a model, or the path of a model file.
    key
        Name that the scores were written under. `None` takes the only one there.
    max_fdr
        Keep pairs with a nominal FDR below it. `None` keeps every tested pair.

    Returns
    -------
    Table of tested pairs, the most certain first: ``factor``, ``set``, ``auc`` (0.5 is chance), ``p_nominal``,
    ``fdr_nominal``, ``p_permutation`` and ``coefficient`` (the set's weight on the factor). A model by itself, or in a file,
    has no permutation p-values (NaN): they need the data.

    Raises
    ------
    KeyError
        If there is no such key, or several and no `key`.
    ValueError
        If `max_fdr` is not between 0 and 1, or the scores were written by a version that kept no summary.
    TypeError
        If `adata` is none of these.

    Notes
    -----
    A set is tested on its members that the fit did not see, against genes of none of the factor's sets (Mann-Whitney;
    :cite:p:`Mao2019`, "crossVal"). Nominal p-values take genes as independent. For a model without gene sets, and for
    networks, the table is empty: `omicstl.tl.enrich` tests sets after the fit. Cost: a copy; for a model one sort of each factor.

    Examples
    --------
    >>> import omicstl as otl
    >>> target, truth = otl.datasets.simulate_pathways(rng=0)
    >>> otl.tl.plier(target, truth.gene_sets, n_factors=5, max_iter=40, tol=1e-2)
    >>> float(otl.get.summary(target, max_fdr=0.05)["auc"].iloc[0])
    1.0
    """
    if max_fdr is not None:
        check_number("max_fdr", max_fdr, low=0, high=1)
    if isinstance(adata, AnnData):
        key = score_key(adata, key)
        entry: Mapping[str, Any] = adata.uns[key]
        if "summary" in entry:
            table = entry["summary"]
        elif "model" in entry:  # a network tests no sets while it is trained
            table = annotation.summary(model(adata, key))
        else:
            msg = (
                f"adata.uns[{key!r}] (kind {entry.get('kind')!r}) keeps no summary: it was written by an older omicstl. "
                "Project again, or ask the reference: otl.get.summary(reference)."
            )
            raise ValueError(msg)
    else:
        table = annotation.summary(model(adata, key))
    if max_fdr is not None:
        table = table[table["fdr_nominal"] < max_fdr]
    return table.sort_values(["p_nominal", "auc"], ascending=[True, False], kind="stable").reset_index(drop=True)
