"""The genes of a predictor of drug response among those that new cells or lines have."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from omicstl._core.log import TransferWarning, warn
from omicstl._data.features import check_overlap, match_features

if TYPE_CHECKING:
    import numpy as np

    from omicstl._data.adata import Expression
    from omicstl._data.features import FeatureMatch
    from omicstl.models.response.model import ResponseModel

LEAST_SHARE, MANY = 0.5, 0.9


def matched(expression: Expression, model: ResponseModel) -> tuple[ResponseModel, FeatureMatch]:
    """The model on the genes that are there, and where these are; refused below half of them, a warning below nine tenths."""
    found = match_features(expression.var_names, model.features)
    check_overlap(found, expression.var_names, model.features, "adata.var_names", "the fit")
    share = found.have_index.size / model.features.size
    if share < LEAST_SHARE:
        msg = f"Of the {model.features.size} genes of the fit only {found.have_index.size} are there, fewer than half. Fit again on the genes that these cells have."
        raise ValueError(msg)
    if share < MANY:
        warn(
            f"{found.missing.size} of {model.features.size} genes of the fit are missing and count as average, which pulls scores to the middle.",
            TransferWarning,
        )
    return subset(model, found.want_index), found


def subset(model: ResponseModel, index: np.ndarray) -> ResponseModel:
    """The model on some of its genes; the others count as average."""
    genes = ["features", "mean_lines", "scale_lines", "mean_cells", "scale_cells", "maps", "gain", "cell_axes"]
    genes.append("components" if hasattr(model, "components") else "line_maps")
    return replace(model, **{name: getattr(model, name)[index] for name in genes})
