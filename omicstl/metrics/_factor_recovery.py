"""Does a fit find the factors that data were made from?"""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData

from omicstl._core.public import public
from omicstl.kernels import similarity

from ._truth import planted


@public
def factor_recovery(adata: AnnData, truth: pd.DataFrame | np.ndarray, *, key: str | None = None) -> pd.DataFrame:
    """
    Score how well a fit has recovered planted factors: each by a factor of its own, and by all factors together.

    For simulated data, or for quantities that were measured beside expression, such as counted cells.

    Parameters
    ----------
    adata
        Data with scores of a fit or a projection.
    truth
        Planted factors, shape (n_obs, n_planted): a DataFrame indexed by ``adata.obs_names`` in any order, or an array in the order of
        `adata`.
    key
        Key of the scores. `None`: the only ones there.

    Returns
    -------
    A table with one row for each planted factor: ``planted`` (its name, or number from 1), ``factor`` (its partner; `None` if all are
    taken), ``correlation`` (signed), and ``r2`` (of predicting it from all factors by least squares, each observation from the others; NaN
    if there are not more observations than factors). The mean of the absolute correlations is the mean correlation
    coefficient (MCC) of the literature on identifiability :cite:p:`Khemakhem2020`.

    Raises
    ------
    KeyError
        If there are no scores under `key`, or several and no `key`.
    TypeError
        If `adata` is no AnnData, or `truth` neither array nor DataFrame.
    ValueError
        If `truth` lacks observations or has another shape, values are not finite, beyond 1e15 or too small to be squared, or there are fewer than 10 observations.

    Notes
    -----
    Pairs have the largest sum of absolute correlations (Hungarian algorithm), as in `omicstl.metrics.match_factors`, which compares two
    fits. A high ``r2`` with a low correlation is a factor that is there but spread over several: a rotation, which a linear model or
    a classifier on the scores does not mind, and an interpretation does. ``r2`` may be below 0. Cost: one singular value decomposition of the scores.

    Examples
    --------
    >>> import omicstl as otl
    >>> adata, truth = otl.datasets.simulate_pathways(rng=0)
    >>> otl.tl.plier(adata, truth.gene_sets, n_factors=8, progress=False)
    >>> found = otl.metrics.factor_recovery(adata, truth.scores)
    >>> bool((found["r2"] > 0.9).all())
    True
    """
    found = planted(adata, truth, key)
    return pd.DataFrame(
        {
            "planted": found.names,
            "factor": pd.Series(found.partners, dtype=object),
            "correlation": found.correlation,
            "r2": similarity.left_out(found.scores, found.values).r2,
        }
    )
