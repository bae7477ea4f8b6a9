"""Which factors of two fits are the same."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData

from omicstl._core.checks import check_choice
from omicstl._core.public import public
from omicstl._data.features import match_features, no_overlap_message
from omicstl._data.results import factor_names, score_key
from omicstl.kernels import matching
from omicstl.models.base import Model

from ._models import resolve


class _Side(NamedTuple):
    rows: np.ndarray
    names: np.ndarray
    values: np.ndarray


@public
def match_factors(
    a: AnnData | Model | str | Path,
    b: AnnData | Model | str | Path,
    *,
    by: str = "loadings",
    key: str | None = None,
    other_key: str | None = None,
) -> pd.DataFrame:
    """
    Pair the factors of two fits, each with at most one partner.

    Which factors of one cohort are found again in another (by loadings), or do two references say the same about the
    same samples (by scores)?

    Parameters
    ----------
    a, b
        An AnnData with a fit, a fitted model, or the path of one. For ``by="scores"`` an AnnData, fitted or projected.
    by
        ``"loadings"`` correlates over the genes that both models have, ``"scores"`` over the observations with the same
        name in both.
    key
        Key in `a`. `None`: the only one there.
    other_key
        Key in `b`. `None`: the only one there.

    Returns
    -------
    A table with one row for each factor of `a`: ``factor``, ``partner`` (in `b`; `None` if all are taken) and
    ``correlation``, signed.

    Raises
    ------
    KeyError
        If there is no result under a key, or several and no key is given.
    TypeError
        If `a` or `b` is of another type.
    ValueError
        If fewer than three genes or observations are shared.

    Notes
    -----
    The pairing has the largest sum of absolute correlations (Hungarian algorithm, :func:`scipy.optimize.linear_sum_assignment`).
    A partner is not yet the same factor: look at the correlation. Cost: O(shared rows · k_a · k_b + k^3).

    Examples
    --------
    >>> import omicstl as otl
    >>> adata, truth = otl.datasets.simulate_pathways(rng=0)
    >>> otl.tl.plier(adata, truth.gene_sets, n_factors=8, progress=False)
    >>> pairs = otl.metrics.match_factors(adata, adata)
    >>> bool((pairs["factor"] == pairs["partner"]).all())
    True
    """
    check_choice("by", by, ("loadings", "scores"))
    side = _loadings if by == "loadings" else _scores
    first, second = side(a, key, "a"), side(b, other_key, "b")
    shared = match_features(first.rows, second.rows)
    what = "genes" if by == "loadings" else "observations"
    if shared.have_index.size < 3:
        msg = f"`a` and `b` share {shared.have_index.size} {what}; at least 3 are needed for a correlation."
        if by == "loadings" and not shared.have_index.size:
            msg = no_overlap_message(first.rows, second.rows, "a", "b")
        raise ValueError(msg)
    found = matching.match_factors(first.values[shared.have_index], second.values[shared.want_index])
    partner = pd.Series(np.where(found.assignment >= 0, second.names[found.assignment], None), dtype=object)
    return pd.DataFrame({"factor": first.names, "partner": partner, "correlation": found.correlation})


def _loadings(source: AnnData | Model | str | Path, key: str | None, name: str) -> _Side:
    model = resolve(source, key, name)
    return _Side(
        np.asarray(model.features).astype(str), np.asarray(model.names, dtype=object), np.asarray(model.loadings)
    )


def _scores(source: AnnData | Model | str | Path, key: str | None, name: str) -> _Side:
    if not isinstance(source, AnnData):
        msg = f"`{name}` must be an AnnData for by='scores', got {type(source).__name__}. Use by='loadings' for models."
        raise TypeError(msg)
    key = score_key(source, key, name)
    return _Side(np.asarray(source.obs_names).astype(str), factor_names(source, key), np.asarray(source.obsm[key]))
