"""Take results out of an AnnData in a form to work with; nothing is written."""

from omicstl.models.base import Model

from ._enrichment import enrichment
from ._factors import factors
from ._loadings import loadings
from ._model import fit_key, model
from ._rank_factors_groups_df import rank_factors_groups_df
from ._response import response
from ._summary import summary

__all__ = ["enrichment", "factors", "loadings", "model", "rank_factors_groups_df", "response", "summary"]
