"""Factors learnt elsewhere, for these observations."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from omicstl import get
from omicstl._core.checks import check_choice
from omicstl._core.public import public
from omicstl._data import adata as reader
from omicstl._data.run import reference_of, spread_out, start
from omicstl.models.base import EncoderModel

from . import encoder, factors, linear, modules, quality, rows
from .found import Found

if TYPE_CHECKING:
    from anndata import AnnData

    from omicstl.get import Model

STANDARDIZE = ("auto", "query", "reference", "center", "none")


@public
def project(
    adata: AnnData,
    reference: AnnData | Model | str | Path,
    *,
    key: str | None = None,
    layer: str | None = None,
    obsm: str | None = None,
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

    with :math:`Z_o` the loadings of the genes observed. Networks (`omicstl.tl.deepprofile`, `omicstl.tl.vae`) get rows with the
    missing genes filled in, modules of genes (`omicstl.pp.gene_modules`) the mean of the genes that are there.

    Parameters
    ----------
    adata
        Log expression with the gene names of the model; raw counts for a network that was trained on counts. Dense, CSR, CSC, backed or dask; it is read in blocks and never made
        dense. Shape (n_obs, n_vars); extra genes are ignored, order does not matter.
    reference
        An AnnData with a fitted model, a model (`omicstl.get.model`, `omicstl.io.factor_table`), or the path of a model
        file. It is only read.
    key
        Name that the fit was written under in `reference`. `None` takes the only model there.
    layer
        Matrix to use. `None` uses ``adata.X``.
    obsm
        Score ``adata.obsm[obsm]`` instead of genes, for a model that was learnt from such a matrix, e.g. means of gene modules.
    standardize
        Which mean and standard deviation make z-scores: ``"query"`` those of `adata`; ``"reference"`` those of the training
        data; ``"center"`` the mean of `adata` and the spread of the training data; ``"none"`` if the values are z-scores
        already; ``"auto"`` the query's from 10 observations on, and below that the reference's if the genes lie a median of
        at most 1 SD off, else an error. For counts ``"auto"`` is the reference's.
    missing
        ``"model"`` solves on the genes at hand, and for a network fills in what the others are expected to be, given these;
        ``"mean"`` fills in zeros, the arithmetic of MultiPLIER and DeepProfile, which shrinks scores.
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
    ``obsm[key_added + "_sd"]``
        Of a network: standard deviations of the scores, as the model gives them for complete rows. What missing genes add is told
        by ``expected_r``.
    ``varm[key_added]``
        Loadings of the genes used, zero elsewhere. Nothing for a network without linear decoder, or with `obsm`.
    ``obs[key_added + "_r2"]``, ``obs[key_added + "_r2_null"]``
        Share of an observation's variance over genes (after removing each gene's mean in `adata`) that is predicted for each
        gene from all others, and the largest of the same with genes permuted; NaN below 3 observations. For a network the
        prediction is that of the principal components it keeps.
    ``uns[key_added]``
        ``reference`` (kind, digest, key), ``names``, ``params`` (with the `standardize` that was used) and ``quality``: ``factors``
        (expected correlation and slope against the score on all genes, ``present_loading``, the share of squared loadings on the
        genes at hand, or for a network of squared covariances of score and genes; ``interpretable`` from 0.8 on, and never where
        the verdict is "refused"), ``gene_coverage``, for a network ``captured_variance`` (share of the variance of its components
        that lies on the genes at hand), ``missing_genes``, ``offset`` and ``scale_ratio`` of each of ``shared_genes``, ``median_offset``, ``r2``, ``r2_expected`` (of the
        reference's own samples on these genes), ``r2_null``, ``share_above_null`` and the ``verdict``: "supported", "weak"
        (r2 below half of what is expected), "refused" (fewer than half of the observations above the null) or "not assessed".
        ``summary`` and ``factors`` are the reference's: its tested gene sets, and the top genes and stability of each factor.

    Raises
    ------
    TypeError
        If X is not numeric, or an argument or a covariate is of the wrong kind.
    KeyError
        If `layer`, `obsm` or the model is missing, or there are several models and no `key`.
    ValueError
        If no gene is shared (both kinds of identifiers are named), values are NaN, infinite or huge, or negative where counts
        are needed, names repeat, `key_added` holds a fit or what this projection would leave behind, or the offset forbids
        `standardize`. `adata` is then unchanged.

    Warns
    -----
    TransferWarning
        If genes lie more than 1 SD off, many genes are missing, factors are not determined, the transfer is refused, or the
        reference has not seen a batch or another level of a covariate (its average is used).
    ScaleWarning
        If values are on another scale than log expression, or than counts where these are needed.

    Notes
    -----
    ``standardize="query", missing="mean"`` is `GetNewDataB` of MultiPLIER (``util/plier_util.R``), but a gene of one value counts
    as missing instead of turning every score into NaN. Z-scoring a cohort of patients alone removes what all patients
    share: scores then compare patients with each other, not with health. Leave-one-gene-out residuals are
    :math:`e_g / (1 - h_g)`, exact for a ridge.

    Networks: genes are filled in by their conditional mean under a factor analysis of the training data, which is made of the
    stored components :math:`V`, up to 50, each with the variance that rows outside of the training data share. That is less than
    the stored one :cite:p:`Donoho2018`, and none for components that only fit their rows; with all of a small cohort's components,
    filling in would be worse than zeros. DeepProfile itself takes zeros and the query's own statistics. Expected correlations come
    from 1,000 rows drawn from the same Gaussian (with a fixed seed), as there is no closed form. Counts become
    ``log1p(x / total * target_sum)``; with genes missing, total and target are those of the genes at hand.

    Two passes, four for counts; O(n_obs · n_genes · k) times the number of permutations (20, or 4 above 10,000 observations), and for
    networks the encoding of the rows and, with genes missing, of 2,000 more; memory is that of a block.

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
    if isinstance(reference, str | Path) and Path(reference).suffix in (".h5ad", ".zarr"):
        reference = reader.read_uns(reference)
    model: Any = get.model(reference, key)
    target = key_added if key_added is not None else key if key is not None else model.kind
    run = start("project", adata, target, copy=copy, reads={"obsm": [("obsm", obsm)]})
    there = _key_there(reference, key)
    _check_place(reference, there, obsm)
    matched = rows.match(adata, model, layer, obsm, standardize, force)
    found = _scored(model, adata, matched, missing)
    measured = quality.measure(model, matched, found)
    scores = {"": found.scored.scores} | ({} if found.sd is None else {"_sd": found.sd})
    varm = {}
    if found.loadings is not None and obsm is None:
        varm[""] = spread_out(adata, matched.have, found.loadings)
    run.check_beside(*(["obsm/{key}_sd"] if found.sd is None else []), *([] if varm else ["varm/{key}"]))
    params = {
        "standardize": matched.units.standardize,
        "requested": standardize,
        "missing": missing,
        "layer": layer,
        "obsm": obsm,
        "n_obs": matched.rows.rows.n_rows,
        "n_genes": int(matched.present.size),
        "n_reference_genes": int(model.features.size),
        "scored_by": found.scored_by,
        **found.params,
    }
    about = {"reference": reference_of(model, there), "quality": measured, **factors.describe(model, reference, there)}
    quality.doubt(measured, target)  # before anything is written, in case that warnings are errors
    obs = {"_r2": found.scored.r2, "_r2_null": found.scored.r2_null}
    written = run.commit(about, params=params, names=model.names, obs=obs, obsm=scores, varm=varm)
    run.tell(quality.sentence(measured, matched.units.standardize))
    return written


def _scored(model: Any, adata: AnnData, matched: rows.Matched, missing: str) -> Found:
    """Scores by the way that fits the model."""
    if isinstance(model, EncoderModel):
        return encoder.score(model, adata, matched, missing)
    if model.kind == "gene_modules":
        return modules.score(model, matched, missing)
    return linear.score(model, matched, missing)


def _key_there(reference: Any, key: str | None) -> str | None:
    """Name of the fit in the reference; a model by itself, or in a file, has none."""
    if not hasattr(reference, "uns"):
        return None
    return get.fit_key(reference) if key is None else key


def _check_place(reference: Any, key: str | None, obsm: str | None) -> None:
    """Refuse to look for the columns of a matrix among genes."""
    entry = reference.uns[key] if key is not None else {}
    used = entry["params"].get("obsm") if "params" in entry else None
    if used is not None and obsm is None:
        msg = (
            f"The reference {key!r} was learnt from obsm[{str(used)!r}], not from genes. Make the same of these data (for gene modules: "
            f"otl.tl.project(adata, reference, key={str(used)!r})) and pass obsm={str(used)!r}."
        )
        raise ValueError(msg)
