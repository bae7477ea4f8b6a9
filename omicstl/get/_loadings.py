"""Loadings as a table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from omicstl._core.public import public
from omicstl.models.factors import annotation

from ._model import model

if TYPE_CHECKING:
    from anndata import AnnData

    from omicstl.models.base import Model


@public
def loadings(adata: AnnData | Model | str | Path, key: str | None = None) -> pd.DataFrame:
    """Loadings of a fitted model as a table, genes × factors.

    Parameters
    ----------
    adata
        An AnnData with a fitted model, a model, or the path of a model file.
    key
        Name that the fit was written under. `None` takes the only model there.

    Returns
    -------
    Table of shape (n_features, n_factors), in units of z-scores (of a network for counts: logits, where rare genes vary
    most), non-negative for PLIER; index: features, columns: names.

    Raises
    ------
    KeyError, ValueError, TypeError
        As `omicstl.get.model`, and ValueError for a network without linear decoder, which has no loadings.

    Notes
    -----
    Sort a column to see which genes make a factor (:math:`Z` in :cite:p:`Mao2019`, equation 1). Cost: one copy of them.

    Examples
    --------
    >>> import omicstl as otl
    >>> target, truth = otl.datasets.simulate_pathways(rng=0)
    >>> otl.tl.plier(target, truth.gene_sets, n_factors=5, max_iter=40, tol=1e-2)
    >>> top = otl.get.loadings(target).iloc[:, 0].nlargest(3)
    """
    fitted: Any = model(adata, key)
    found = annotation.loadings_of(fitted)
    if found is None:
        msg = (
            f"A {fitted.kind} model has no loadings: a network computes its scores. otl.tl.attributions(adata) tells how much "
            f"each gene adds to each score, in adata.varm['<key>_attributions']."
        )
        raise ValueError(msg)
    return pd.DataFrame(found.copy(), index=pd.Index(fitted.features, dtype=object), columns=list(fitted.names))
