"""Plots: each draws into the Axes that it is given, returns them, and neither shows nor saves."""

from ._loadings import loadings
from ._projection_quality import projection_quality
from ._transfer import transfer

__all__ = ["loadings", "projection_quality", "transfer"]
