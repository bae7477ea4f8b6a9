"""Prepare data for a model that was fitted elsewhere."""

from ._align_features import align_features
from ._gene_modules import gene_modules
from ._map_features import map_features
from ._match_distribution import match_distribution

__all__ = ["align_features", "gene_modules", "map_features", "match_distribution"]
