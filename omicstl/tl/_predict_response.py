"""Scores of new cells by a fitted predictor of drug response."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from omicstl._core.log import TransferWarning, warn
from omicstl._data import adata as reader, store
from omicstl._data.commit import Result
from omicstl._data.features import check_overlap, match_features

from . import _scdeal_input as given, _scdeal_result as found

if TYPE_CHECKING:
    from anndata import AnnData

    from omicstl.models.response import ResponseModel

LEAST_SHARE, MANY = 0.5, 0.9
_OFFSET = 1.0


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
    from omicstl.models import response_cells, response_report
    from omicstl.models.screen import Cells

    found.check_leftovers(adata, key)
    mask = given.mask_of(adata, mask_obs)
    expression = reader.read(adata, layer=layer)
    matched = match_features(expression.var_names, model.features)
    check_overlap(matched, expression.var_names, model.features, "adata.var_names", "the fit")
    share = matched.have_index.size / model.features.size
    if share < LEAST_SHARE:
        msg = f"Of the {model.features.size} genes of the fit only {matched.have_index.size} are there, fewer than half. Fit again on the genes that these cells have."
        raise ValueError(msg)
    if model.scaled != (scale == "zscore") and (model.scaled or scale == "zscore"):
        was = "z-scores" if model.scaled else "counts or log-normalised counts"
        msg = f"The fit was made on {was}, got scale={scale!r}. " + (
            "Pass scale='zscore' and z-scores." if model.scaled else "Pass counts or log-normalised counts."
        )
        raise ValueError(msg)
    if standardize == "query" and adata.n_obs < given.FEWEST_CELLS:
        msg = f"standardize='query' z-scores genes over the new cells, of which {given.FEWEST_CELLS} are needed, got {adata.n_obs}. Use standardize='reference'."
        raise ValueError(msg)
    rows, found_scale, (totals, n_genes) = given.read_cells(expression, matched.have_index, scale)
    part = subset(model, matched.want_index)
    offset = 0.0
    if adata.n_obs >= given.FEWEST_CELLS:
        seen = response_cells.moments(rows, mask)
        offset = float(np.median(np.abs(seen.mean - part.mean_cells) / part.scale_cells))
        if standardize == "query":
            spread = np.where(seen.varies, seen.scale, np.inf)
            part = replace(part, mean_cells=seen.mean, scale_cells=spread)
    if share < MANY:
        warn(
            f"{matched.missing.size} of {model.features.size} genes of the fit are missing and count as average, which pulls scores to the middle.",
            TransferWarning,
        )
    if standardize != "query" and offset > _OFFSET:
        warn(
            f"Genes lie a median of {offset:.1f} standard deviations from those of the cells of the fit. Is it another platform or normalisation? "
            "standardize='query' takes such a difference out.",
            TransferWarning,
        )
    latent, score, std = part.score_cells(Cells(rows, found_scale == "zscore", totals, n_genes))
    novelty = response_report.novelty_of(model, latent)
    codes = response_report.called(model, score, novelty, mask)
    shown, spread_of = response_report.calibrated(model, score, std)
    obs, obsm = found.scores(key, shown, spread_of, codes, novelty)
    obsm[key] = latent
    params: dict[str, Any] = {
        "standardize": "query" if standardize == "query" else "reference",
        "scale": found_scale,
        "layer": layer,
        "mask_obs": mask_obs,
        "n_obs": adata.n_obs,
        "n_genes": int(matched.have_index.size),
        "n_reference_genes": int(model.features.size),
        "median_offset": offset,
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


def subset(model: ResponseModel, index: np.ndarray) -> ResponseModel:
    """The model on some of its genes; the others count as average."""
    genes = ["features", "mean_lines", "scale_lines", "mean_cells", "scale_cells", "maps", "gain", "cell_axes"]
    genes.append("components" if hasattr(model, "components") else "line_maps")
    return replace(model, **{name: getattr(model, name)[index] for name in genes})
