"""Compute and annotate: fit models, carry them to other data, and say how far to trust them."""

from ._plier import plier
from ._project import project
from ._rank_factors_groups import rank_factors_groups
from ._stability import stability

__all__ = ["plier", "project", "rank_factors_groups", "stability"]
