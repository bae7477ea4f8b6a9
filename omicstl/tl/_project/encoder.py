"""Projection through trained encoders: missing genes are filled in, then the network reads all genes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from omicstl._core.random import streams
from omicstl.models.factors import encoder_projection

from .covariates import codes_of
from .found import Found
from .rows import Matched

if TYPE_CHECKING:
    from anndata import AnnData

    from omicstl.models.base import EncoderModel


def score(model: EncoderModel, adata: AnnData, matched: Matched, missing: str) -> Found:
    """Embed rows with the missing genes filled in."""
    codes = codes_of(adata, model)
    source = encoder_projection.gaussian(model)
    part = encoder_projection.panel(source, matched.present)
    how = encoder_projection.completion(source, matched.present, part, missing)
    matrix = None if codes is None else codes.matrix
    found = encoder_projection.score_rows(model, matched.standardised(), how, part, matched.orders(), matrix)
    params: dict[str, Any] = {} if codes is None else {"covariates": codes.names}
    if matched.target_sum is not None:
        params["target_sum"] = matched.target_sum
    loadings = getattr(model, "loadings", None)
    return Found(
        scored=found.scored,
        factor=encoder_projection.factor_quality(model, how, streams(0).generator("expected quality")),
        expected_r2=encoder_projection.expected_r2(source, matched.present, part),
        scored_by="its trained encoders",
        sd=found.sd,
        loadings=None if loadings is None else np.asarray(loadings)[matched.present],
        quality={"captured_variance": encoder_projection.captured_variance(model, matched.present)},
        params=params,
    )
