"""Measures of fits and transfers: they return values and write nothing."""

from omicstl.metrics._active_units import active_units
from omicstl.metrics._calibration import calibration
from omicstl.metrics._collection_auc import collection_auc
from omicstl.metrics._coverage import coverage
from omicstl.metrics._da_bound import Bound, da_bound
from omicstl.metrics._domain_distance import DomainDistance, domain_distance
from omicstl.metrics._factor_recovery import factor_recovery
from omicstl.metrics._importance_weights import ImportanceWeights, importance_weights
from omicstl.metrics._label_shift import LabelShift, label_shift
from omicstl.metrics._latent_stability import latent_stability
from omicstl.metrics._match_factors import match_factors
from omicstl.metrics._negative_transfer import NegativeTransfer, negative_transfer
from omicstl.metrics._reconstruction import reconstruction
from omicstl.metrics._replication import Replication, replication
from omicstl.metrics._separation import Separation, separation
from omicstl.metrics._shift_report import ShiftReport, shift_report
from omicstl.metrics._transferability import Transferability, transferability

__all__ = [
    "Bound",
    "DomainDistance",
    "ImportanceWeights",
    "LabelShift",
    "NegativeTransfer",
    "Replication",
    "Separation",
    "ShiftReport",
    "Transferability",
    "active_units",
    "calibration",
    "collection_auc",
    "coverage",
    "da_bound",
    "domain_distance",
    "factor_recovery",
    "importance_weights",
    "label_shift",
    "latent_stability",
    "match_factors",
    "negative_transfer",
    "reconstruction",
    "replication",
    "separation",
    "shift_report",
    "transferability",
]
