"""Compute and annotate: fit models, carry them to other data, and say how far to trust them."""

from omicstl._core.lazy import attach

__getattr__, __dir__, __all__ = attach(__file__)
