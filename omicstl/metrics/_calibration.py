"""Do a network's intervals hold the truth as often as they say?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.special import ndtri

from omicstl._core.checks import check_number
from omicstl._core.public import public
from omicstl.kernels import similarity

from ._truth import planted


@public
def calibration(
    adata: AnnData,
    truth: pd.DataFrame | np.ndarray,
    *,
    key: str | None = None,
    levels: Sequence[float] = (0.5, 0.8, 0.9, 0.95),
) -> pd.DataFrame:
    r"""
    Count how often a network's intervals hold a planted factor: are the uncertainties of the right size?

    For simulated data, where the truth is known without error.

    Parameters
    ----------
    adata
        Data with scores that have an uncertainty, ``obsm[f"{key}_sd"]``: of `omicstl.tl.vae` or `omicstl.tl.deepprofile`,
        fitted or projected.
    truth
        Planted factors, shape (n_obs, n_planted): a DataFrame indexed by ``adata.obs_names`` in any order, or an array in the order of
        `adata`.
    key
        Key of the scores. `None`: the only ones there.
    levels
        Nominal probabilities of the intervals, between 0 and 1.

    Returns
    -------
    A table with one row for each planted factor and level: ``planted``, ``r2`` (of predicting it from the scores, as in
    `omicstl.metrics.factor_recovery`), ``level``, and ``covered``, the share of observations whose truth is inside; NaN if there are not
    more observations than factors.

    Raises
    ------
    KeyError
        If there are no scores under `key`, or several and no `key`, or they have no uncertainty.
    TypeError
        If `adata` is no AnnData, `truth` neither array nor DataFrame, or `levels` no numbers.
    ValueError
        If `truth` lacks observations or has another shape, values are not finite, beyond 1e15 or too small to be squared, there are fewer than 10 observations, or a level is
        not between 0 and 1.

    Notes
    -----
    Factors of a network have no axes and scales of their own, so the truth is predicted from all scores by least squares,
    :math:`\hat t = \alpha + \sum_c \beta_c s_c`, each observation from the others. An observation is inside if
    :math:`|t - \hat t| \le z \sqrt{\sum_c \beta_c^2 \sigma_c^2}`, with z the normal quantile of the level: what the posterior, in which factors
    are independent given the observation, says of such a sum. It is thus the width that is tested, not the centre, and what is not
    linear in the scores counts against it. For an ensemble the independence is an assumption, and its uncertainty is that of one unit drawn at
    random, wider than that of their mean. A measured quantity has errors of its own and is covered too little. Look at ``r2``
    first: a factor that is not there is covered by nothing. Cost: one singular value decomposition of the scores.

    Examples
    --------
    >>> import omicstl as otl
    >>> adata, truth = otl.datasets.simulate_pathways(rng=0)
    >>> otl.tl.vae(adata, n_factors=3, training=otl.tl.Training(epochs=5))
    >>> found = otl.metrics.calibration(adata, truth.scores, levels=[0.9])
    >>> found.columns.tolist()
    ['planted', 'r2', 'level', 'covered']
    """
    for level in levels:
        check_number("levels", level, low=0, high=1, low_open=True, high_open=True)
    found = planted(adata, truth, key)
    if f"{found.key}_sd" not in adata.obsm:
        msg = (
            f"The scores {found.key!r} (kind {adata.uns[found.key]['kind']!r}) have no uncertainty: adata.obsm[{found.key + '_sd'!r}] is not "
            "there. Those of otl.tl.deepprofile and otl.tl.vae have one."
        )
        raise KeyError(msg)
    sd = np.asarray(adata.obsm[f"{found.key}_sd"], dtype=np.float64)
    left_out = similarity.left_out(found.scores, found.values)
    width = np.sqrt(sd**2 @ left_out.coefficients**2)
    known = np.isfinite(left_out.r2)
    parts = [
        pd.DataFrame(
            {
                "planted": found.names,
                "r2": left_out.r2,
                "level": float(level),
                "covered": np.where(
                    known, np.mean(np.abs(left_out.errors) <= ndtri(0.5 + level / 2) * width, axis=0), np.nan
                ),
            }
        )
        for level in levels
    ]
    return pd.concat(parts, ignore_index=True)
