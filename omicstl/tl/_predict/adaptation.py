"""Predictions of an adaptation for new observations of its target domain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from omicstl._data import adata as reader
from omicstl._data.features import match_features, no_overlap_message
from omicstl._data.obsm import read_obsm
from omicstl.models.transfer.heads import Task
from omicstl.tl._shared.predictions import predictions

from .answer import Answer

if TYPE_CHECKING:
    from anndata import AnnData

    from omicstl.models.adapt.model import AdaptModel


def answer(
    adata: AnnData, model: AdaptModel, reference: Any, there: str | None, layer: str | None, obsm: str | None
) -> Answer:
    """Read the variables of the model and apply it in blocks."""
    if layer is not None and obsm is not None:
        msg = f"`layer` and `obsm` are two places to read from, got layer={layer!r} and obsm={obsm!r}. Leave one out."
        raise ValueError(msg)
    used = None if there is None else reference.uns[there]["params"].get("obsm")
    if used is not None and obsm is None:
        msg = f"The adaptation {there!r} was fitted on obsm[{str(used)!r}], not on genes. Make the same of these data and pass obsm={str(used)!r}."
        raise ValueError(msg)
    expression = reader.read(adata, layer=layer) if obsm is None else read_obsm(adata, obsm)
    matched = match_features(expression.var_names, model.features)
    if matched.missing.size:
        where = "adata.var_names" if obsm is None else f"the columns of {expression.where}"
        text = no_overlap_message(expression.var_names, model.features, where, "the fit", int(matched.have_index.size))
        msg = f"All {model.features.size} variables of the fit are needed. {text}"
        raise ValueError(msg)
    rows = expression.select(matched.have_index)
    reader.summarise(rows)
    parts = [(model.decide(block), model.embed(block)) for block in rows.rows.blocks()]
    decision, latent = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
    predicted = predictions(Task(model.task, model.outputs), decision)
    params = {"layer": layer, "obsm": obsm, "n_obs": adata.n_obs, "n_genes": int(model.features.size)}
    return Answer(latent, params, predicted.obs, predicted.obsm, {"outputs": model.outputs})
