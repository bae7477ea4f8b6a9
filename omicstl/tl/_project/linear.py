"""Projection onto loadings: ridge regression, as in MultiPLIER."""

from __future__ import annotations

from typing import TYPE_CHECKING

from omicstl.models.factors import projection

from .found import Found
from .rows import Matched

if TYPE_CHECKING:
    from omicstl.models.base import LinearModel


def score(model: LinearModel, matched: Matched, missing: str) -> Found:
    """Score rows on the loadings of the genes at hand."""
    part = projection.panel(model, matched.present, missing)
    scored = projection.score_rows(matched.standardised(), part, matched.orders())
    return Found(
        scored=scored,
        factor=projection.factor_quality(model, matched.present, part),
        expected_r2=projection.expected_r2(model, matched.present, part),
        scored_by="ridge regression on its loadings",
        sd=None,
        loadings=part.loadings,
        quality={},
        params={},
    )
