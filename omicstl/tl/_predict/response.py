"""Scores of new cells by a fitted predictor of drug response."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from omicstl._data import adata as reader
from omicstl.tl._shared import screen
from omicstl.tl._shared.scores import scores

from . import genes, odd
from .answer import Answer

if TYPE_CHECKING:
    from anndata import AnnData

    from omicstl.models.response.model import ResponseModel


class Asked(NamedTuple):
    """Options of the user."""

    layer: str | None
    scale: str
    standardize: str
    mask_obs: str | None


def answer(adata: AnnData, model: ResponseModel, asked: Asked) -> Answer:
    """Read the genes of the model, score, call."""
    from omicstl.models.response import report
    from omicstl.models.transfer.screen import Cells

    mask = screen.mask_of(adata, asked.mask_obs)
    _check_ways(adata, model, asked, mask)
    expression = reader.read(adata, layer=asked.layer)
    part, matched = genes.matched(expression, model)
    rows, found_scale, (totals, n_genes) = screen.read_cells(expression, matched.have_index, asked.scale)
    scaled = found_scale == "zscore"
    seen = odd.look(rows, part, mask, scaled=scaled)
    odd.doubt_empty(seen)
    doubtful = odd.doubt_scale(rows, seen, found_scale)
    if asked.standardize == "query" and seen.moments is not None:
        spread = np.where(seen.moments.varies, seen.moments.scale, np.inf)
        part = replace(part, mean_cells=seen.moments.mean, scale_cells=spread)
    elif not doubtful:
        odd.doubt_offset(seen)
    latent, score, std = part.score_cells(Cells(rows, scaled, totals, n_genes))
    novelty = report.novelty_of(model, latent)
    codes = report.called(model, score, novelty, ~seen.empty if mask is None else mask & ~seen.empty)
    shown, spread_of = report.calibrated(model, score, std)
    obs, obsm = scores(shown, spread_of, codes, novelty)
    params = {
        "domain": "target",
        "standardize": "query" if asked.standardize == "query" else "reference",
        "scale": found_scale,
        "layer": asked.layer,
        "mask_obs": asked.mask_obs,
        "n_obs": adata.n_obs,
        "n_empty": int(seen.empty.sum()),
        "n_genes": int(matched.have_index.size),
        "n_reference_genes": int(model.features.size),
        "median_offset": seen.offset,
    }
    return Answer(latent, params, obs, obsm, {"drugs": model.drugs})


def _check_ways(adata: AnnData, model: ResponseModel, asked: Asked, mask: np.ndarray | None) -> None:
    """Refuse a scale that is not the fit's, and a standardisation over too few cells."""
    if model.scaled != (asked.scale == "zscore") and (model.scaled or asked.scale == "zscore"):
        was = "z-scores" if model.scaled else "counts or log-normalised counts"
        msg = f"The fit was made on {was}, got scale={asked.scale!r}. " + (
            "Pass scale='zscore' and z-scores." if model.scaled else "Pass counts or log-normalised counts."
        )
        raise ValueError(msg)
    n = adata.n_obs if mask is None else int(mask.sum())
    if asked.standardize == "query" and n < screen.FEWEST_CELLS:
        where = "" if mask is None else f" in adata.obs[{asked.mask_obs!r}]"
        msg = (
            f"standardize='query' z-scores genes over the new cells, of which {screen.FEWEST_CELLS} are needed, got {n}{where}. "
            "Use standardize='reference'."
        )
        raise ValueError(msg)
