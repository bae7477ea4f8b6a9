"""What measures against a known truth share: planted factors for the observations at hand."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData

from omicstl._core.checks import listed
from omicstl._data.results import factor_names, score_key
from omicstl.kernels import matching

from . import _domains

LEAST = 10


class Planted(NamedTuple):
    """Scores (n, k) and planted factors (n, m) of the same observations, and the factor of each planted one (-1: none left)."""

    key: str
    scores: np.ndarray
    factors: np.ndarray
    values: np.ndarray
    names: list[str]
    partner: np.ndarray
    correlation: np.ndarray

    @property
    def partners(self) -> np.ndarray:
        """Names of the matched factors, `None` where all are taken."""
        return np.array([self.factors[i] if i >= 0 else None for i in self.partner], dtype=object)


def planted(adata: AnnData, truth: pd.DataFrame | np.ndarray, key: str | None) -> Planted:
    """Bring the truth into the order of the observations, and pair it with factors one to one."""
    key = score_key(adata, key)
    scores = np.asarray(adata.obsm[key], dtype=np.float64)
    values, names = _values(adata, truth)
    if len(values) < LEAST:
        msg = (
            f"adata has {len(values)} observations; at least {LEAST} are needed for a correlation that says something."
        )
        raise ValueError(msg)
    if not (np.isfinite(values).all() and np.isfinite(scores).all()):
        where = "`truth`" if not np.isfinite(values).all() else f"adata.obsm[{key!r}]"
        msg = f"{where} holds NaN or infinite values. Leave out the observations that have them."
        raise ValueError(msg)
    for name, column in zip(names, values.T, strict=True):
        _domains.check_numbers(f"{name!r} of `truth`", column)
    found = matching.match_factors(values, scores)
    return Planted(key, scores, factor_names(adata, key), values, names, found.assignment, found.correlation)


def _values(adata: AnnData, truth: pd.DataFrame | np.ndarray) -> tuple[np.ndarray, list[str]]:
    if isinstance(truth, pd.DataFrame):
        missing = adata.obs_names[~adata.obs_names.isin(truth.index)]
        if len(missing) or not truth.index.is_unique:
            what = (
                f"lacks {len(missing)} of adata's observations: {listed(missing)}"
                if len(missing)
                else "has a name twice"
            )
            msg = f"The index of `truth` {what}. Its rows must be adata.obs_names, in any order."
            raise ValueError(msg)
        return truth.loc[adata.obs_names].to_numpy(dtype=np.float64), [str(name) for name in truth.columns]
    if truth.ndim != 2 or len(truth) != adata.n_obs or not truth.shape[1]:
        msg = f"`truth` must have a row for each of adata's {adata.n_obs} observations and a column for each planted factor, got shape {truth.shape}."
        raise ValueError(msg)
    return truth.astype(np.float64), [f"planted {i + 1}" for i in range(truth.shape[1])]
