"""Scores as an AnnData of observations × factors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from omicstl._data.results import score_key

if TYPE_CHECKING:
    from anndata import AnnData


def factors(adata: AnnData, key: str | None = None) -> AnnData:
    """Scores of a fit or a projection as an AnnData of observations × factors, for any plot and test of scanpy.

    Parameters
    ----------
    adata
        An AnnData with ``obsm[key]`` of a fit or a projection.
    key
        Name that the scores were written under. `None` takes the only one there.

    Returns
    -------
    AnnData of shape (n_obs, n_factors), float32, unitless scores; `obs` and `obsm` are copies of those of `adata`. `var`
    holds what is known of each factor: for a projection how well the genes at hand determine it (`expected_r`,
    `expected_slope`, `present_loading`, `interpretable`); for a fit the tested set with the highest AUC (`top_set`,
    `top_auc`, `top_fdr_nominal`, `top_p_permutation`; missing if none was tested), which need not be the one of the
    largest weight that the factor is named after.

    Raises
    ------
    KeyError
        If there are no such scores, or several and no `key`.
    TypeError
        If `adata` is no AnnData.

    Notes
    -----
    Names of factors are `var_names`. Scores have both signs: of ``sc.tl.rank_genes_groups`` use ``scores`` and p-values, its
    ``logfoldchanges`` have no meaning here. Source: the scores :math:`B` of :cite:p:`Mao2019`. Cost: one copy.

    Examples
    --------
    >>> import omicstl as otl
    >>> target, truth = otl.datasets.simulate_pathways(rng=0)
    >>> otl.tl.plier(target, truth.gene_sets, n_factors=5, max_iter=40, tol=1e-2)
    >>> otl.get.factors(target).n_vars
    5
    """
    from anndata import AnnData

    key = score_key(adata, key)
    entry = adata.uns[key]
    var = pd.DataFrame(index=pd.Index([str(name) for name in entry["names"]], dtype=object))
    quality = entry.get("quality")
    if isinstance(quality, Mapping):
        table = quality["factors"]
        for column in table.columns.drop("factor"):
            var[column] = table[column].to_numpy()
    elif "summary" in entry:
        best = entry["summary"].sort_values("auc", ascending=False).drop_duplicates("factor").set_index("factor")
        best.index = best.index.astype(str)
        best = best.reindex(var.index)
        var["top_set"] = pd.Categorical(best["set"])  # plain strings with missing ones among them cannot be written
        for column in ("auc", "fdr_nominal", "p_permutation"):
            var[f"top_{column}"] = best[column].to_numpy()
    return AnnData(
        np.array(adata.obsm[key], dtype=np.float32),
        obs=adata.obs.copy(),
        var=var,
        obsm={name: np.array(value) for name, value in adata.obsm.items() if isinstance(value, np.ndarray)},
    )
