"""What `tl` shows, and where it lives: an export is a line here."""

from omicstl._core.options.response import ResponseRidge as ResponseRidge
from omicstl._core.options.training import Training as Training
from omicstl.models.adapt.closed_forms.coral import Coral as Coral
from omicstl.models.adapt.closed_forms.linear_transport import LinearTransport as LinearTransport
from omicstl.models.adapt.closed_forms.subspace_alignment import SubspaceAlignment as SubspaceAlignment
from omicstl.models.adapt.closed_forms.zscore import ZScore as ZScore
from omicstl.models.response.network_options import ResponseNetwork as ResponseNetwork
from omicstl.nn.terms.cdan import Cdan as Cdan
from omicstl.nn.terms.dann import Dann as Dann
from omicstl.nn.terms.deep_coral import DeepCoral as DeepCoral
from omicstl.nn.terms.mmd import Mmd as Mmd
from omicstl.nn.terms.sliced_wasserstein import SlicedWasserstein as SlicedWasserstein
from omicstl.tl._adapt.verb import adapt as adapt
from omicstl.tl._assess.verb import assess as assess
from omicstl.tl._attributions.verb import attributions as attributions
from omicstl.tl._deepprofile.verb import deepprofile as deepprofile
from omicstl.tl._enrich import enrich as enrich
from omicstl.tl._plier.verb import plier as plier
from omicstl.tl._predict.verb import predict as predict
from omicstl.tl._project.verb import project as project
from omicstl.tl._rank_factors_groups.verb import rank_factors_groups as rank_factors_groups
from omicstl.tl._scdeal.verb import scdeal as scdeal
from omicstl.tl._stability import stability as stability
from omicstl.tl._vae.verb import vae as vae
