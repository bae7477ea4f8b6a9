"""How much of each observation the factors describe."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from omicstl._core.checks import check_choice
from omicstl._core.public import public
from omicstl._data import adata as reader
from omicstl._data.features import match_features, no_overlap_message
from omicstl._data.results import score_key
from omicstl.kernels import matching, stats
from omicstl.models.base import Model

from ._models import resolve


@public
def reconstruction(
    adata: AnnData,
    reference: AnnData | Model | str | Path | None = None,
    *,
    key: str | None = None,
    layer: str | None = None,
) -> pd.DataFrame:
    r"""
    Measure how well the factors describe each observation :cite:p:`Taroni2019`.

    Standardised expression is compared with what scores and loadings give for it, over the genes that data and model
    share. Few factors describe little of a sample that is unlike those of the reference.

    .. math:: \text{MASE} = \frac{\sum_g |y_g - (Z b)_g|}{\sum_g |y_g - \bar y|}

    Parameters
    ----------
    adata
        Observations with scores, from `omicstl.tl.plier` or `omicstl.tl.project`.
    reference
        Where the loadings come from: the AnnData, the model or the file that was projected onto. `None` if `adata`
        itself was fitted.
    key
        Key of the scores in ``adata.obsm``. `None`: the only one there.
    layer
        Matrix to use, the one that the scores were made from. Shape (n_obs, n_vars). `None` uses ``adata.X``.

    Returns
    -------
    A table with one row for each observation: ``mase`` (0 is perfect, 1 no better than the mean), ``spearman``
    (over genes) and ``r2`` (1 is perfect, 0 no better than the mean). NaN for an observation without variation.

    Raises
    ------
    KeyError
        If the scores or the layer are missing, or several scores are there and `key` is `None`.
    ValueError
        If `reference` is needed and was not given, has another number of factors, or shares no gene that varies.

    Notes
    -----
    The scale is that of the scores: the training mean and standard deviation for a fit, what
    ``uns[key]["params"]["standardize"]`` says for a projection. Genes that the data lack, and genes without variation, are
    left out; MultiPLIER (``util/plier_util.R``) compares the former with zeros, and the latter turn everything to NaN. R² here is not corrected for the number of factors
    and includes the genes that the scores were computed from; what `omicstl.tl.project` stores is held out.
    Cost: one or two passes in blocks, O(n_obs · n_genes · n_factors).

    Examples
    --------
    >>> import omicstl as otl
    >>> adata, truth = otl.datasets.simulate_pathways(rng=0)
    >>> otl.tl.plier(adata, truth.gene_sets, n_factors=8, progress=False)
    >>> otl.metrics.reconstruction(adata).columns.tolist()
    ['mase', 'spearman', 'r2']
    """
    expression = reader.read(adata, layer=layer)
    key = score_key(adata, key)
    b = np.asarray(adata.obsm[key])
    entry = adata.uns.get(key)
    entry = entry if isinstance(entry, Mapping) else {}
    if reference is None and entry.get("kind") == "projection":
        msg = f"adata.obsm[{key!r}] was projected: pass as `reference` what it was projected onto."
        raise ValueError(msg)
    model = resolve(adata, key, "adata") if reference is None else resolve(reference, None, "reference")
    loadings = np.asarray(model.loadings)
    if loadings.shape[1] != b.shape[1]:
        msg = (
            f"adata.obsm[{key!r}] has {b.shape[1]} factors, the reference {loadings.shape[1]}. Pass its own reference."
        )
        raise ValueError(msg)
    found = match_features(expression.var_names, np.asarray(model.features).astype(str))
    if not found.have_index.size:
        raise ValueError(no_overlap_message(expression.var_names, model.features, "adata.var_names", "the model"))
    expression = expression.select(found.have_index)
    mean, deviation = _statistics(expression, model, found.want_index, entry, fitted=reference is None)
    varies = np.flatnonzero(deviation > 1e-8 * np.maximum(np.abs(mean), 1e-8))
    if not varies.size:
        msg = f"All {mean.size} genes that {expression.where} shares with the model are constant: nothing to describe."
        raise ValueError(msg)
    mean, deviation, loadings = mean[varies], deviation[varies], loadings[found.want_index[varies]].T
    low, parts = 0, []
    for block in expression.select(varies).rows.blocks():
        y = (block - mean) / deviation
        parts.append(matching.reconstruction(y, b[low : low + len(block)] @ loadings))
        low += len(block)
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in matching.Fit._fields}
    return pd.DataFrame(columns, index=adata.obs_names.copy())


def _statistics(
    expression: reader.Expression, model: Any, index: np.ndarray, entry: Mapping[str, Any], *, fitted: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each gene that the scores were standardised with."""
    params = entry.get("params")
    how = params.get("standardize", "query") if isinstance(params, Mapping) else "query"
    how = "reference" if fitted else "query" if how == "auto" else how
    check_choice("standardize", how, ("query", "reference", "center", "none"))
    mean, deviation = np.zeros(index.size), np.ones(index.size)
    if how in ("query", "center"):
        own = stats.finish(reader.summarise(expression))
        mean, deviation = own.mean, np.sqrt(own.variance)
    if how in ("reference", "center"):
        if model.scale is None:
            msg = f"The scores were standardised with {how!r}, but this reference stores no mean and scale."
            raise ValueError(msg)
        deviation = np.asarray(model.scale)[index]
    if how == "reference":
        mean = np.asarray(model.mean)[index]
    return mean, deviation
