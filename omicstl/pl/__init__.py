"""Plots: each draws into the Axes that it is given, returns them, and neither shows nor saves."""

from ._attributions import attributions
from ._composition import composition
from ._factor_card import factor_card
from ._factors_heatmap import factors_heatmap
from ._loadings import loadings
from ._projection_quality import projection_quality
from ._rank_factors_groups import rank_factors_groups
from ._replication import replication
from ._response import response
from ._stability import stability
from ._training import training
from ._transfer import transfer
from ._transfer_report import transfer_report
from ._uncertainty import uncertainty
from ._weights import weights

__all__ = [
    "attributions",
    "composition",
    "factor_card",
    "factors_heatmap",
    "loadings",
    "projection_quality",
    "rank_factors_groups",
    "replication",
    "response",
    "stability",
    "training",
    "transfer",
    "transfer_report",
    "uncertainty",
    "weights",
]
