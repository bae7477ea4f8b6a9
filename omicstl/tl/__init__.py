"""Compute and annotate: fit models, carry them to other data, and say how far to trust them."""

from omicstl._core.options.adaptation import Coral, LinearTransport, SubspaceAlignment, ZScore
from omicstl._core.options.alignment import Cdan, Dann, DeepCoral, Mmd, SlicedWasserstein
from omicstl._core.options.response import ResponseRidge
from omicstl._core.options.response_network import ResponseNetwork
from omicstl._core.options.training import Training

from ._adapt.verb import adapt
from ._assess.verb import assess
from ._attributions.verb import attributions
from ._deepprofile.verb import deepprofile
from ._enrich import enrich
from ._plier.verb import plier
from ._predict.verb import predict
from ._project.verb import project
from ._rank_factors_groups.verb import rank_factors_groups
from ._scdeal.verb import scdeal
from ._stability import stability
from ._vae.verb import vae

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
