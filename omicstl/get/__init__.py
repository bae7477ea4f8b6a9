"""Take results out of an AnnData in a form to work with; nothing is written."""

from omicstl.get._enrichment import enrichment
from omicstl.get._factors import factors
from omicstl.get._loadings import loadings
from omicstl.get._model import fit_key, model
from omicstl.get._rank_factors_groups_df import rank_factors_groups_df
from omicstl.get._response import response
from omicstl.get._summary import summary
from omicstl.models.base import Model

__all__ = ["enrichment", "factors", "loadings", "model", "rank_factors_groups_df", "response", "summary"]
