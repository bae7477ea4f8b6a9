"""Measures of fits and transfers: they return values and write nothing."""

from ._active_units import active_units
from ._calibration import calibration
from ._collection_auc import collection_auc
from ._coverage import coverage
from ._da_bound import Bound, da_bound
from ._domain_distance import DomainDistance, domain_distance
from ._factor_recovery import factor_recovery
from ._importance_weights import ImportanceWeights, importance_weights
from ._label_shift import LabelShift, label_shift
from ._latent_stability import latent_stability
from ._match_factors import match_factors
from ._negative_transfer import NegativeTransfer, negative_transfer
from ._reconstruction import reconstruction
from ._replication import Replication, replication
from ._separation import Separation, separation
from ._shift_report import ShiftReport, shift_report
from ._transferability import Transferability, transferability

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
