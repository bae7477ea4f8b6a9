"""Measures of fits and transfers: they return values and write nothing."""

from omicstl.metrics._coverage import coverage
from omicstl.metrics._match_factors import match_factors
from omicstl.metrics._reconstruction import reconstruction

__all__ = ["coverage", "match_factors", "reconstruction"]
