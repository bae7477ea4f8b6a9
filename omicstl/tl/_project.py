"""Factors learnt elsewhere, for these observations."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from omicstl import get
from omicstl._core.checks import check_choice, check_flag
from omicstl._core.random import streams
from omicstl._data import adata as reader, store
from omicstl._data.commit import Result, check_target, commit
from omicstl._data.features import check_overlap, match_features
from omicstl.kernels import stats
from omicstl.models import projection

from . import _project_factors as factors_of, _project_quality as quality_of, _project_units as units_of

if TYPE_CHECKING:
    from anndata import AnnData

    from omicstl.models.base import LinearModel

STANDARDIZE = ("auto", "query", "reference", "center", "none")


def project(
    adata: AnnData,
    reference: AnnData | LinearModel | str | Path,
    *,
    key: str | None = None,
    layer: str | None = None,
    standardize: str = "auto",
    missing: str = "model",
    key_added: str | None = None,
    force: bool = False,
    copy: bool = False,
) -> AnnData | None:
    r"""Score observations on factors that were learnt elsewhere (MultiPLIER) :cite:p:`Taroni2019`.

    Answers what a small cohort looks like in the terms of a large one, and whether that may be believed: every projection
    measures how well held-out genes are predicted, and how much of each factor the genes at hand determine.

    .. math:: B = (Z_o^\top Z_o + \lambda I)^{-1} Z_o^\top Y_o

    with :math:`Z_o` the loadings of the genes observed.

    Parameters
    ----------
    adata
        Log expression with the gene names of the model. Dense, CSR, CSC, backed or dask; it is read in blocks and never made
        dense. Shape (n_obs, n_vars); extra genes are ignored, order does not matter.
    reference
        An AnnData with a fitted model, a model (`omicstl.get.model`, `omicstl.io.factor_table`), or the path of a model
        file. It is only read.
    key
        Name that the fit was written under in `reference`. `None` takes the only model there.
    layer
        Matrix to use. `None` uses ``adata.X``.
    standardize
        Which mean and standard deviation make z-scores: ``"query"`` those of `adata`; ``"reference"`` those of the training
        data; ``"center"`` the mean of `adata` and the spread of the training data; ``"none"`` if the values are z-scores
        already; ``"auto"`` the query's from 10 observations on, and below that the reference's if the genes lie a median of
        at most 1 SD off, else an error.
    missing
        ``"model"`` solves on the genes at hand; ``"mean"`` fills in zeros, the arithmetic of MultiPLIER, which shrinks scores.
    key_added
        Name of everything that is written. `None` takes `key`, or the kind of the model.
    force
        Allow ``standardize="reference"`` at a median offset above 3 SD.
    copy
        Return a copy instead of writing into `adata`.

    Returns
    -------
    `None`, or a copy if `copy`. Writes

    ``obsm[key_added]``
        Scores, float32, shape (n_obs, n_factors), unitless.
    ``varm[key_added]``
        Loadings of the genes used, zero elsewhere.
    ``obs[key_added + "_r2"]``, ``obs[key_added + "_r2_null"]``
        Share of an observation's variance over genes (after removing each gene's mean in `adata`) that is predicted for each
        gene from all others, and the largest of the same with genes permuted; NaN below 3 observations.
    ``uns[key_added]``
        ``reference`` (kind, digest, key), ``names``, ``params`` (with the `standardize` that was used) and ``quality``: ``factors``
        (expected correlation and slope against the score on all genes, ``interpretable`` from 0.8 on, and never where the
        verdict is "refused"), ``gene_coverage``,
        ``missing_genes``, ``offset`` and ``scale_ratio`` of each of ``shared_genes``, ``median_offset``, ``r2``, ``r2_expected`` (of the
        reference's own samples on these genes), ``r2_null``, ``share_above_null`` and the ``verdict``: "supported", "weak"
        (r2 below half of what is expected), "refused" (fewer than half of the observations above the null) or "not assessed".
        ``summary`` and ``factors`` are the reference's: its tested gene sets, and the top genes and stability of each factor.

    Raises
    ------
    TypeError
        If X is not numeric, or an argument is of the wrong kind.
    KeyError
        If `layer` or the model is missing, or there are several models and no `key`.
    ValueError
        If no gene is shared (both kinds of identifiers are named), values are NaN, infinite or huge, names repeat, `key_added`
        holds a fit, or the offset forbids `standardize`. `adata` is then unchanged.

    Warns
    -----
    TransferWarning
        If genes lie more than 1 SD off, many genes are missing, factors are not determined, or the transfer is refused.

    Notes
    -----
    ``standardize="query", missing="mean"`` is `GetNewDataB` of MultiPLIER (``util/plier_util.R``), but a gene of one value counts
    as missing instead of turning every score into NaN. Z-scoring a cohort of patients alone removes what all patients
    share: scores then compare patients with each other, not with health. Leave-one-gene-out residuals are
    :math:`e_g / (1 - h_g)`, exact for a ridge. Two passes; O(n_obs · n_genes · k) times the number of permutations (20, or 4
    above 10,000 observations); memory is that of a block.

    Examples
    --------
    >>> import omicstl as otl
    >>> both, truth = otl.datasets.simulate_pathways(n_query=20, rng=0)
    >>> reference, query = both[:60].copy(), both[60:].copy()
    >>> otl.tl.plier(reference, truth.gene_sets, n_factors=5, max_iter=60, tol=1e-3)
    >>> otl.tl.project(query, reference)
    >>> query.obsm["plier"].shape, query.uns["plier"]["quality"]["verdict"]
    ((20, 5), 'supported')
    """
    check_choice("standardize", standardize, STANDARDIZE)
    check_choice("missing", missing, ("model", "mean"))
    check_flag("force", force)
    if isinstance(reference, str | Path) and Path(reference).suffix in (".h5ad", ".zarr"):
        reference = reader.read_uns(reference)
    model: Any = get.model(reference, key)
    target = key_added if key_added is not None else _default_key(reference, key, model)
    check_target(adata, target, kind="projection", copy=copy)
    expression = reader.read(adata, layer=layer)
    found = match_features(expression.var_names, model.features)
    check_overlap(found, expression.var_names, model.features, "adata.var_names", "the reference")
    rows = expression.select(found.have_index)
    summary = reader.summarise(rows)
    reader.check_scale(rows, summary, expected="zscore" if standardize == "none" else "log")
    seen = stats.finish(summary)
    units = units_of.choose(model, found.want_index, seen, standardize, force)
    used = units.scale > 0
    units_of.warn_constant(rows, used, units)
    if not used.any():
        msg = f"All {used.size} shared genes have one value in every observation of {expression.where}; nothing can be projected."
        raise ValueError(msg)
    if not used.all():  # choosing columns again would convert a CSC matrix again
        rows = rows.select(np.flatnonzero(used))
    present = found.want_index[used]
    part = projection.panel(model, present, missing)
    n_null = 20 if rows.rows.n_rows <= 10_000 else 4
    orders = [streams(0).generator("permuted genes", i).permutation(present.size) for i in range(n_null)]
    scored = projection.score_rows(
        rows.rows.blocks(), rows.rows.n_rows, part, units.centre[used], units.scale[used], seen.mean[used], orders
    )
    quality = quality_of.measure(model, present, part, scored, units, found.missing)
    quality["shared_genes"] = expression.var_names[found.have_index]
    loadings = np.zeros((adata.n_vars, part.loadings.shape[1]), dtype=np.float32)
    loadings[found.have_index[used]] = part.loadings
    there = _key_there(reference, key)
    uns = {
        "kind": "projection",
        "version": 1,
        "reference": {
            "kind": model.kind,
            "digest": store.digest(model.to_dict()),
            "key": there,
        },
        "names": model.names,
        "params": {
            "standardize": units.standardize,
            "requested": standardize,
            "missing": missing,
            "layer": layer,
            "n_obs": rows.rows.n_rows,
            "n_genes": int(present.size),
            "n_reference_genes": int(model.features.size),
        },
        "quality": quality,
        **factors_of.describe(model, reference, there),
    }
    result = Result(
        key=target,
        obsm={target: scored.scores},
        varm={target: loadings},
        obs={f"{target}_r2": scored.r2, f"{target}_r2_null": scored.r2_null},
        uns=uns,
    )
    quality_of.doubt(quality, target)  # before anything is written, in case that warnings are errors
    written = commit(adata, result, copy=copy)
    quality_of.tell(quality, units, target)
    return written


def _key_there(reference: Any, key: str | None) -> str | None:
    """Name of the fit in the reference; a model by itself, or in a file, has none."""
    if not hasattr(reference, "uns"):
        return None
    return get.fit_key(reference) if key is None else key


def _default_key(reference: Any, key: str | None, model: LinearModel) -> str:
    return key if key is not None else model.kind
