"""The methods of `tl.adapt` by name: closed forms, and networks with a term of `omicstl.nn.terms`; each is a file of its package."""

from __future__ import annotations

from typing import Any

from omicstl._core.discovery import methods
from omicstl._core.options.adaptation import Adaptation
from omicstl._core.options.alignment import Alignment
from omicstl.nn import terms

from . import closed_forms
from .problem import Method

KINDS = (Adaptation, Alignment)


def named() -> dict[str, Any]:
    """Classes of records by name: closed forms from nothing to most, then networks."""
    solved = sorted(methods(closed_forms).items(), key=lambda item: (item[1].rank is None, item[1].rank))
    return {**dict(solved), **methods(terms)}


def method_of(options: Any) -> Method:
    """What prepares and fits; networks, and with them jax, are loaded for a term alone."""
    if not isinstance(options, Alignment):
        return options
    from .networks import NetworkMethod

    return NetworkMethod(options)
