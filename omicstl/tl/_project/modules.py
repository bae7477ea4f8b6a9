"""Projection onto modules of genes: the means of their genes in other data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from omicstl._core.checks import listed
from omicstl._core.log import TransferWarning, warn
from omicstl.models.factors import gene_modules

from .found import Found
from .rows import Matched

if TYPE_CHECKING:
    from omicstl.models.factors.gene_modules import GeneModules


def score(model: GeneModules, matched: Matched, missing: str) -> Found:
    """Average the genes at hand of each module.

    Parameters
    ----------
    model
        Modules of genes.
    matched
        Rows of the genes that the data have, and the statistics that standardise them.
    missing
        ``"model"`` leaves missing genes out of the mean; ``"mean"`` counts them as 0, their mean.

    Returns
    -------
    Scores (n_obs, n_modules), 0 for a module without a gene in the data, and their quality: the genes of each module that were
    there are ``quality["genes_present"]``.

    Warns
    -----
    TransferWarning
        If modules have none of their genes in the data.
    """
    part = gene_modules.panel(model, matched.present, missing)
    empty = model.names[part.counts == 0]
    if empty.size:
        warn(
            f"{empty.size} of {model.names.size} modules have none of their genes in the data, and a score of 0 for every "
            f"observation: {listed(empty)}.",
            TransferWarning,
        )
    scored = gene_modules.score_rows(model, matched.standardised(), part, matched.orders())
    return Found(
        scored=scored,
        factor=gene_modules.factor_quality(model, part),
        expected_r2=gene_modules.expected_r2(model, part),
        scored_by="the means of their genes",
        sd=None,
        loadings=model.loadings[matched.present],
        quality={"genes_present": part.counts},
        params={},
    )
