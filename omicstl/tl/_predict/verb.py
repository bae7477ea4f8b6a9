"""A fitted predictor, applied to new observations."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from omicstl import get
from omicstl._core.checks import check_choice, listed
from omicstl._core.public import public
from omicstl._data import adata as reader
from omicstl._data.run import reference_of, start
from omicstl.tl._shared import screen

from . import adaptation, lines, response

if TYPE_CHECKING:
    from anndata import AnnData

    from omicstl.get import Model

DOMAINS = ("target", "source")
STANDARDIZE = ("auto", "query", "reference")
KINDS = ("adapt", "adapt_network", "scdeal", "scdeal_network")


@public
def predict(
    adata: AnnData,
    reference: AnnData | Model | str | Path,
    *,
    key: str | None = None,
    domain: str = "target",
    layer: str | None = None,
    obsm: str | None = None,
    scale: str = "auto",
    standardize: str = "auto",
    mask_obs: str | None = None,
    study_key: str | None = None,
    key_added: str | None = None,
    copy: bool = False,
) -> AnnData | None:
    """Apply a predictor of `omicstl.tl.scdeal` or `omicstl.tl.adapt` to observations that it was not fitted on.

    For a second sample of the same kind and platform, or cells too few for a fit of their own. Nothing is learnt from them. With
    ``domain="source"`` it brings cell lines into the latent space of the cells instead, for a figure of both.

    Parameters
    ----------
    adata
        New cells, or new observations of the target domain. For a response: counts or log-normalised counts with the genes of
        the fit; some may be missing. Shape (n_obs, n_vars); dense, CSR, CSC, backed or dask. With ``domain="source"`` cell lines.
    reference
        An AnnData with the fit, its model (`omicstl.get.model`), or the path of a model file. It is only read.
    key
        Name that the fit was written under. `None` takes the only model there.
    domain
        ``"target"``: `adata` holds cells, which are scored. ``"source"``, of a response: it holds lines on the scale that the fit was given, and only
        their latent is written. Scores are not: the fit has seen their response.
    layer
        Matrix to use. `None` uses ``adata.X``.
    obsm
        Matrix of `obsm` to use, for an adaptation that was fitted on one.
    scale
        What the values are, for a response: ``"counts"``, ``"log"`` (log1p of counts per 10,000), ``"zscore"``, or
        ``"auto"`` by looking.
    standardize
        For a response, which mean and spread make z-scores of genes: those of the cells of the fit (``"reference"``, also ``"auto"``), or
        those of the new cells (``"query"``, from 10 cells on), which takes out a difference between platforms and also one between
        the samples.
    mask_obs
        Column of ``adata.obs``, True for the cells that the predictor is meant for; all others are called "uncertain".
    study_key
        With ``domain="source"``, if the fit had one: column of ``adata.obs`` with laboratories or screens. Genes are z-scored within those of
        10 lines or more.
    key_added
        Name of everything that is written. `None` takes `key`, or the kind of the model.
    copy
        Return a copy instead of writing into `adata`.

    Returns
    -------
    `None`, or a copy if `copy`. Writes what the fit has written for its own cells: the latent in ``obsm[key_added]``, and of a
    response ``obs[key_added + "_score"]``, ``"_std"``, ``"_call"``, or for several drugs ``obsm[key_added + "_response"]`` and
    ``"_response_std"``, and ``obs[key_added + "_novelty"]``; of an adaptation its predictions and probabilities. With ``domain="source"`` the
    latent alone, shape (n_obs, n_comps): for the lines of the fit it is that of the fit.
    ``uns[key_added]`` has the kind ``"prediction"``, ``reference`` (kind, digest, key), ``names``, ``drugs`` and ``params``, and no model.

    Raises
    ------
    TypeError
        If an argument or a column is of the wrong kind.
    KeyError
        If `layer`, `obsm`, `mask_obs`, `study_key` or the model is missing.
    ValueError
        If the model predicts nothing, fewer than half of its genes are there, all cells are empty on them, an option has no use or is needed,
        values do not fit, a mask or study is missing, or `key_added` holds a fit.

    Warns
    -----
    TransferWarning
        If genes are missing, or lie on average more than 1 standard deviation from those of the fit, or cells have none of them.
    ScaleWarning
        If logs were taken of raw counts, or of counts brought to another total than those of the fit, or lines are no logs.

    Notes
    -----
    Genes that are missing count as average, which pulls scores to the middle. Smoothing over neighbours has the strength of the fit.
    Novelty of up to 10 cells is that of single cells; of more, cells are averaged with those around them first.

    Lines and cells in one figure: ``predict(lines, cells, domain="source")``, then ``anndata.concat([cells, lines])`` has both in ``obsm[key_added]``.

    Three passes over the matrix, for lines two; O(n_obs · n_genes · n_comps).

    Examples
    --------
    >>> import omicstl as otl
    >>> cells, lines, truth = otl.datasets.simulate_drug_response(60, 100, 2100, rng=1)
    >>> few = cells[:5].copy()
    >>> otl.tl.scdeal(cells, lines, drugs=["response"], sensitive="sensitive")
    >>> otl.tl.predict(few, cells)
    >>> few.obs["scdeal_score"].shape
    (5,)
    >>> otl.tl.predict(lines, cells, domain="source")
    >>> lines.obsm["scdeal"].shape[1] == cells.obsm["scdeal"].shape[1]
    True
    """
    check_choice("domain", domain, DOMAINS)
    check_choice("standardize", standardize, STANDARDIZE)
    check_choice("scale", scale, screen.SCALES)
    if isinstance(reference, str | Path) and Path(reference).suffix in (".h5ad", ".zarr"):
        reference = reader.read_uns(reference)
    model: Any = get.model(reference, key)
    if model.kind not in KINDS:
        msg = f"A {model.kind} model predicts no labels; of the kinds {listed(KINDS)} one is needed. For scores of factors use otl.tl.project."
        raise ValueError(msg)
    target = key_added if key_added is not None else key if key is not None else model.kind.partition("_")[0]
    run = start("predict", adata, target, copy=copy, reads={"obsm": [("obsm", obsm)], "mask_obs": [("obs", mask_obs)]})
    there = None if not hasattr(reference, "uns") else get.fit_key(reference) if key is None else key
    if model.kind in ("adapt", "adapt_network"):
        screen.no_use("adapt", domain=(domain, "target"), study_key=(study_key, None), mask_obs=(mask_obs, None))
        screen.no_use("adapt", scale=(scale, "auto"), standardize=(standardize, "auto"))
        found = adaptation.answer(adata, model, reference, there, layer, obsm)
    elif domain == "source":
        run.guard()
        screen.no_use("scdeal", obsm=(obsm, None))
        _only_cells(scale=(scale, "auto"), standardize=(standardize, "auto"), mask_obs=(mask_obs, None))
        found = lines.answer(adata, model, reference, there, layer, study_key)
    else:
        run.guard()
        screen.no_use("scdeal", obsm=(obsm, None))
        if study_key is not None:
            msg = f"`study_key` is for lines, got {study_key!r} with domain='target'. Leave it out, or pass domain='source' with lines."
            raise ValueError(msg)
        found = response.answer(adata, model, response.Asked(layer, scale, standardize, mask_obs))
    return run.commit(
        {"reference": reference_of(model, there), **found.about},
        params=found.params,
        names=model.names,
        obs=found.obs,
        obsm={"": found.latent, **found.obsm},
        own=True,
    )


def _only_cells(**options: tuple[object, object]) -> None:
    """Refuse options, each with its default, that are for cells."""
    for name, (value, default) in options.items():
        if value != default:
            msg = f"`{name}` is for cells, got {value!r} with domain='source'. Leave it out."
            raise ValueError(msg)
