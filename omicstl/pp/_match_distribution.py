"""Bring single observations to the scale of a reference."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from omicstl import get
from omicstl._core.checks import check_choice
from omicstl._core.log import info
from omicstl._core.public import public
from omicstl._data import adata as reader
from omicstl._data.commit import Result, check_target, commit
from omicstl._data.features import match_features, no_overlap_message
from omicstl.kernels.distribution import match_line, match_quantiles

if TYPE_CHECKING:
    from anndata import AnnData

    from omicstl.models.base import Model

METHODS = {"quantile": match_quantiles, "linear": match_line}


@public
def match_distribution(
    adata: AnnData,
    reference: AnnData | Model | str | Path,
    *,
    key: str | None = None,
    layer: str | None = None,
    method: str = "quantile",
    key_added: str = "matched",
    copy: bool = False,
) -> AnnData | None:
    """Give each observation the reference's distribution of expression, one observation at a time.

    For single samples and very small cohorts, which have no statistics of their own to be standardised by: platforms and
    scales differ mostly by a monotone map of expression. Follow with ``tl.project(..., standardize="reference")`` on the
    layer; a cohort of ten or more needs none of this.

    Parameters
    ----------
    adata
        Log expression with the genes of the model by name. Shape (n_obs, n_vars).
    reference
        An AnnData with a fitted model, a model, or the path of a model file; it must know its training mean.
    key
        Name that the fit was written under in `reference`. `None` takes the only model there.
    layer
        Matrix to use, on a logarithmic scale. `None` uses ``adata.X``.
    method
        ``"quantile"`` gives the gene of rank r in an observation the r-th smallest of the reference's gene means;
        ``"linear"`` fits one line an observation, from its values to the reference's gene means, by least squares.
    key_added
        Name of the layer to write.
    copy
        Return a copy instead of writing into `adata`.

    Returns
    -------
    `None`, or a copy if `copy`. Writes ``layers[key_added]``, float32, shape (n_obs, n_vars), in units of the reference's
    training data; genes that the model lacks keep zeros.

    Raises
    ------
    ValueError
        If the model has no training mean, no gene is shared, values are not finite, or the method is unknown.
    KeyError
        If `layer` is missing, or `reference` holds no model.

    Notes
    -----
    Quantile normalisation to a fixed target (Bolstad et al. 2003) :cite:p:`Bolstad2003`; equal values share the mean of their
    targets. It removes true differences in the overall distribution too. The layer is dense. Cost: O(n_obs · n_genes · log n_genes).

    Examples
    --------
    >>> import omicstl as otl
    >>> both, truth = otl.datasets.simulate_pathways(n_query=1, rng=0)
    >>> reference, one = both[:60].copy(), both[60:].copy()
    >>> otl.tl.plier(reference, truth.gene_sets, n_factors=5, max_iter=40, tol=1e-2)
    >>> otl.pp.match_distribution(one, reference)
    >>> otl.tl.project(one, reference, layer="matched", standardize="reference")
    """
    check_choice("method", method, METHODS)
    model: Any = get.model(reference, key)
    check_target(adata, key_added, copy=copy)
    if model.mean is None:
        msg = (
            f"This {model.kind} model has no training mean to match to: what others publish does not hold it. Use a model that "
            "was fitted by omicstl."
        )
        raise ValueError(msg)
    expression = reader.read(adata, layer=layer)
    found = match_features(expression.var_names, model.features)
    if found.have_index.size == 0:
        raise ValueError(no_overlap_message(expression.var_names, model.features, "adata.var_names", "the reference"))
    rows = expression.select(found.have_index)
    reader.check_scale(rows, reader.summarise(rows), expected="log")
    target = np.asarray(model.mean, dtype=np.float64)[found.want_index]
    matched = np.zeros((rows.rows.n_rows, expression.var_names.size), dtype=np.float32)
    low = 0
    for block in rows.rows.blocks():
        matched[low : low + len(block), found.have_index] = METHODS[method](block, target)
        low += len(block)
    written = commit(adata, Result(key=key_added, layers={key_added: matched}), copy=copy)
    info(f"Wrote layers[{key_added!r}]: {found.have_index.size} genes on the reference's scale ({method}).")
    return written
