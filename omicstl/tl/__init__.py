"""Compute and annotate: fit models, carry them to other data, and say how far to trust them."""

from omicstl._core.adaptation import Coral, LinearTransport, SubspaceAlignment, ZScore
from omicstl._core.alignment import Cdan, Dann, DeepCoral, Mmd, SlicedWasserstein
from omicstl._core.response import ResponseRidge
from omicstl._core.response_network import ResponseNetwork
from omicstl._core.training import Training

from ._adapt import adapt
from ._assess import assess
from ._attributions import attributions
from ._deepprofile import deepprofile
from ._enrich import enrich
from ._plier import plier
from ._predict import predict
from ._project import project
from ._rank_factors_groups import rank_factors_groups
from ._scdeal import scdeal
from ._stability import stability
from ._vae import vae

__all__ = [
    "Cdan",
    "Coral",
    "Dann",
    "DeepCoral",
    "LinearTransport",
    "Mmd",
    "ResponseNetwork",
    "ResponseRidge",
    "SlicedWasserstein",
    "SubspaceAlignment",
    "Training",
    "ZScore",
    "adapt",
    "assess",
    "attributions",
    "deepprofile",
    "enrich",
    "plier",
    "predict",
    "project",
    "rank_factors_groups",
    "scdeal",
    "stability",
    "vae",
]
