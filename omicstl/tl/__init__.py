"""Compute and annotate: fit models, carry them to other data, and say how far to trust them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

#: Where each name lives; it is loaded at its first use.
_HOME = {
    "Cdan": "omicstl.nn.terms.cdan",
    "Coral": "omicstl.models.adapt.closed_forms.coral",
    "Dann": "omicstl.nn.terms.dann",
    "DeepCoral": "omicstl.nn.terms.deep_coral",
    "LinearTransport": "omicstl.models.adapt.closed_forms.linear_transport",
    "Mmd": "omicstl.nn.terms.mmd",
    "ResponseNetwork": "omicstl.models.response.network_options",
    "ResponseRidge": "omicstl._core.options.response",
    "SlicedWasserstein": "omicstl.nn.terms.sliced_wasserstein",
    "SubspaceAlignment": "omicstl.models.adapt.closed_forms.subspace_alignment",
    "Training": "omicstl._core.options.training",
    "ZScore": "omicstl.models.adapt.closed_forms.zscore",
    "adapt": "omicstl.tl._adapt.verb",
    "assess": "omicstl.tl._assess.verb",
    "attributions": "omicstl.tl._attributions.verb",
    "deepprofile": "omicstl.tl._deepprofile.verb",
    "enrich": "omicstl.tl._enrich",
    "plier": "omicstl.tl._plier.verb",
    "predict": "omicstl.tl._predict.verb",
    "project": "omicstl.tl._project.verb",
    "rank_factors_groups": "omicstl.tl._rank_factors_groups.verb",
    "scdeal": "omicstl.tl._scdeal.verb",
    "stability": "omicstl.tl._stability",
    "vae": "omicstl.tl._vae.verb",
}
__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        msg = f"module 'omicstl.tl' has no attribute {name!r}. Available: {__all__}."
        raise AttributeError(msg)
    value = globals()[name] = getattr(import_module(_HOME[name]), name)
    return value


def __dir__() -> list[str]:
    return __all__
