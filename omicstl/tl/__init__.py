"""Compute and annotate: fit models, carry them to other data, and say how far to trust them."""

from omicstl._core.training import Training

from ._attributions import attributions
from ._deepprofile import deepprofile
from ._enrich import enrich
from ._plier import plier
from ._project import project
from ._rank_factors_groups import rank_factors_groups
from ._stability import stability
from ._vae import vae

__all__ = [
    "Training",
    "attributions",
    "deepprofile",
    "enrich",
    "plier",
    "project",
    "rank_factors_groups",
    "stability",
    "vae",
]
