"""Latent of lines in the space that a predictor of drug response shares between lines and cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from omicstl._core.log import TransferWarning, warn
from omicstl._data import adata as reader
from omicstl.tl._shared import screen

from . import genes, odd
from .answer import Answer

if TYPE_CHECKING:
    from anndata import AnnData

    from omicstl.models.response.model import ResponseModel


def answer(
    adata: AnnData,
    model: ResponseModel,
    reference: Any,
    there: str | None,
    layer: str | None,
    study_key: str | None,
) -> Answer:
    """Read the lines on the genes of the model, and bring them in as the fit has done with its own."""
    study = _study(adata, model, reference, there, study_key)
    expression = reader.read(adata, layer=layer)
    part, matched = genes.matched(expression, model)
    x = screen.finite_lines(expression.select(matched.have_index))
    offset = 0.0
    if adata.n_obs >= screen.FEWEST_LINES and study is None:
        offset = float(np.median(np.abs(x.mean(axis=0, dtype=np.float64) - part.mean_lines) / part.scale_lines))
    if offset > odd.OFFSET:
        warn(
            f"Genes lie a median of {offset:.1f} standard deviations from those of the lines of the fit. Is it another platform or unit? "
            "Pass the lines as they were given to the fit.",
            TransferWarning,
        )
    params = {
        "domain": "source",
        "study_key": study_key,
        "layer": layer,
        "n_obs": adata.n_obs,
        "n_genes": int(matched.have_index.size),
        "n_reference_genes": int(model.features.size),
        "median_offset": offset,
    }
    return Answer(part.lines(x, study).astype(np.float32), params)


def _study(
    adata: AnnData, model: ResponseModel, reference: Any, there: str | None, study_key: str | None
) -> np.ndarray | None:
    """Laboratory of each line, where the fit has used them."""
    if not np.ravel(model.calibration["by_study"])[0]:
        if study_key is not None:
            msg = f"The fit has z-scored its lines all together, without a `study_key`, got study_key={study_key!r}. Leave it out."
            raise ValueError(msg)
        return None
    if study_key is None:
        used = None if there is None else reference.uns[there]["params"].get("study_key")
        column = "<column of adata.obs>" if used is None else str(used)
        msg = f"The fit has z-scored its lines within laboratories, and has to do so with these: pass study_key={column!r}."
        raise ValueError(msg)
    return screen.group_names(adata, study_key, "study_key")
