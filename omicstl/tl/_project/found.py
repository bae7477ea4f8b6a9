"""What either way of a projection hands back, to be written under one layout."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from omicstl.models.factors import projection


class Found(NamedTuple):
    """Scores with their quality; `sd`, `loadings` (of the genes used) and more entries of quality and params if there are any."""

    scored: projection.Scored
    factor: projection.FactorQuality
    expected_r2: float
    scored_by: str
    sd: np.ndarray | None
    loadings: np.ndarray | None
    quality: dict[str, Any]
    params: dict[str, Any]
