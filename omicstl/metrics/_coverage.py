"""How much of the gene sets, and of the factors, a fit could put together."""

from __future__ import annotations

from typing import Any

import pandas as pd
from anndata import AnnData

from omicstl import get
from omicstl._core.checks import check_number, missing_key
from omicstl._core.public import public


@public
def coverage(adata: AnnData, key: str | None = None, *, fdr: float = 0.05) -> pd.Series:
    """
    Count the pathways and the factors that a fit could put together :cite:p:`Taroni2019`.

    A pathway counts as found where the genes held out of it follow a factor that uses it.

    Parameters
    ----------
    adata
        Data with a fit of `omicstl.tl.plier`.
    key
        Key of the fit. `None`: the only one there.
    fdr
        False discovery rate up to which a pathway counts, of the nominal p-values as in the original.

    Returns
    -------
    ``pathway_coverage``: share of the model's gene sets found in any factor. ``factor_share``: share of the factors that
    found any. ``pathways_per_factor``: gene sets found, over the number of factors.

    Raises
    ------
    KeyError
        If there is no fit under `key`.
    ValueError
        If `fdr` is not between 0 and 1, or the result under `key` has no table of tested pairs.

    Notes
    -----
    The definitions are those of MultiPLIER (``util/plier_util.R``, strictly below `fdr`), except that sets with too few
    genes are not in the denominator: the original keeps them as empty columns, which lowers the coverage by their
    share. Cost: one pass over the table.

    Examples
    --------
    >>> import omicstl as otl
    >>> adata, truth = otl.datasets.simulate_pathways(rng=0)
    >>> otl.tl.plier(adata, truth.gene_sets, n_factors=8, progress=False)
    >>> otl.metrics.coverage(adata).index.tolist()
    ['pathway_coverage', 'factor_share', 'pathways_per_factor']
    """
    check_number("fdr", fdr, low=0, high=1)
    if key is not None and key not in adata.uns:
        raise missing_key(key, "adata.uns", adata.uns)
    model: Any = get.model(adata, key)
    key = get.fit_key(adata) if key is None else key
    summary = adata.uns[key].get("summary")
    if summary is None:
        msg = f"adata.uns[{key!r}] (kind {adata.uns[key].get('kind')!r}) has no table of tested pathways. Pass the key of a fit."
        raise ValueError(msg)
    found = summary[summary["fdr_nominal"] < fdr]
    n_sets, n_factors = found["set"].nunique(), len(model.names)
    return pd.Series(
        {
            "pathway_coverage": n_sets / len(model.sets),
            "factor_share": found["factor"].nunique() / n_factors,
            "pathways_per_factor": n_sets / n_factors,
        },
        name=key,
    )
