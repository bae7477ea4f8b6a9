"""Scores of new cells by a fitted predictor of drug response."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from omicstl._data import adata as reader, store
from omicstl._data.commit import Result
from omicstl.tl._scdeal import inputs, result as found

from . import genes as genes_of, odd

if TYPE_CHECKING:
    from anndata import AnnData

    from omicstl.models.response.model import ResponseModel


def result(
    adata: AnnData,
    model: ResponseModel,
    there: str | None,
    layer: str | None,
    scale: str,
    standardize: str,
    mask_obs: str | None,
    key: str,
) -> Result:
    """Read the genes of the model, score, call."""
    from omicstl.models.response import report
    from omicstl.models.transfer.screen import Cells

    found.check_leftovers(adata, key)
    mask = inputs.mask_of(adata, mask_obs)
    _check_ways(adata, model, scale, standardize, mask_obs, mask)
    expression = reader.read(adata, layer=layer)
    part, matched = genes_of.matched(expression, model)
    rows, found_scale, (totals, n_genes) = inputs.read_cells(expression, matched.have_index, scale)
    scaled = found_scale == "zscore"
    seen = odd.look(rows, part, mask, scaled=scaled)
    odd.doubt_empty(seen)
    doubtful = odd.doubt_scale(rows, seen, found_scale)
    if standardize == "query" and seen.moments is not None:
        spread = np.where(seen.moments.varies, seen.moments.scale, np.inf)
        part = replace(part, mean_cells=seen.moments.mean, scale_cells=spread)
    elif not doubtful:
        odd.doubt_offset(seen)
    latent, score, std = part.score_cells(Cells(rows, scaled, totals, n_genes))
    novelty = report.novelty_of(model, latent)
    codes = report.called(model, score, novelty, ~seen.empty if mask is None else mask & ~seen.empty)
    shown, spread_of = report.calibrated(model, score, std)
    obs, obsm = found.scores(key, shown, spread_of, codes, novelty)
    obsm[key] = latent
    params: dict[str, Any] = {
        "domain": "target",
        "standardize": "query" if standardize == "query" else "reference",
        "scale": found_scale,
        "layer": layer,
        "mask_obs": mask_obs,
        "n_obs": adata.n_obs,
        "n_empty": int(seen.empty.sum()),
        "n_genes": int(matched.have_index.size),
        "n_reference_genes": int(model.features.size),
        "median_offset": seen.offset,
    }
    uns = {
        "kind": "prediction",
        "version": 1,
        "reference": {"kind": model.kind, "digest": store.digest(model.to_dict()), "key": there},
        "names": model.names,
        "drugs": model.drugs,
        "params": params,
    }
    return found.result(adata, key, obs, obsm, {}, uns)


def _check_ways(
    adata: AnnData, model: ResponseModel, scale: str, standardize: str, mask_obs: str | None, mask: np.ndarray | None
) -> None:
    """Refuse a scale that is not the fit's, and a standardisation over too few cells."""
    if model.scaled != (scale == "zscore") and (model.scaled or scale == "zscore"):
        was = "z-scores" if model.scaled else "counts or log-normalised counts"
        msg = f"The fit was made on {was}, got scale={scale!r}. " + (
            "Pass scale='zscore' and z-scores." if model.scaled else "Pass counts or log-normalised counts."
        )
        raise ValueError(msg)
    n = adata.n_obs if mask is None else int(mask.sum())
    if standardize == "query" and n < inputs.FEWEST_CELLS:
        where = "" if mask is None else f" in adata.obs[{mask_obs!r}]"
        msg = (
            f"standardize='query' z-scores genes over the new cells, of which {inputs.FEWEST_CELLS} are needed, got {n}{where}. "
            "Use standardize='reference'."
        )
        raise ValueError(msg)
