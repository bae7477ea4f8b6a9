"""Measures of fits and transfers: they return values and write nothing."""

from omicstl.metrics._active_units import active_units
from omicstl.metrics._calibration import calibration
from omicstl.metrics._collection_auc import collection_auc
from omicstl.metrics._coverage import coverage
from omicstl.metrics._factor_recovery import factor_recovery
from omicstl.metrics._latent_stability import latent_stability
from omicstl.metrics._match_factors import match_factors
from omicstl.metrics._reconstruction import reconstruction
from omicstl.metrics._replication import Replication, replication
from omicstl.metrics._separation import Separation, separation

__all__ = [
    "Replication",
    "Separation",
    "active_units",
    "calibration",
    "collection_auc",
    "coverage",
    "factor_recovery",
    "latent_stability",
    "match_factors",
    "reconstruction",
    "replication",
    "separation",
]
