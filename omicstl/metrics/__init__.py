"""Measures of fits and transfers: they return values and write nothing."""

from omicstl.metrics._collection_auc import collection_auc
from omicstl.metrics._coverage import coverage
from omicstl.metrics._match_factors import match_factors
from omicstl.metrics._reconstruction import reconstruction
from omicstl.metrics._replication import Replication, replication
from omicstl.metrics._separation import Separation, separation

__all__ = [
    "Replication",
    "Separation",
    "collection_auc",
    "coverage",
    "match_factors",
    "reconstruction",
    "replication",
    "separation",
]
