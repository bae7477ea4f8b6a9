"""What verbs have left in an AnnData: which key holds factor scores or tests, what they are called, which are reliable."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from omicstl._core.checks import listed, missing_key

from .adata import check_adata

if TYPE_CHECKING:
    from anndata import AnnData

RELIABLE = 0.8  # correlation that a factor's score must be expected to have with what all genes, or a refit, would give
TEST_KIND = "rank_factors_groups"


def score_key(adata: AnnData, key: str | None = None, where: str = "adata") -> str:
    """
    Return the key of factor scores: ``obsm[key]`` with ``uns[key]["names"]``, written by a fit or a projection.

    Parameters
    ----------
    adata
        Data.
    key
        Name to look for. `None` takes the only one there.
    where
        How the object is called in messages.

    Returns
    -------
    The key.

    Raises
    ------
    KeyError
        If there are no scores under `key`, or none at all, or several and no `key`.
    TypeError
        If `adata` is no AnnData.
    """
    check_adata(adata)
    there = [name for name in adata.obsm if _is_scored(adata, name)]
    if key is not None:
        if key not in there:
            raise missing_key(key, f"factor scores of {where}", there)
        return key
    if not there:
        msg = f"{where} holds no factor scores. Run otl.tl.project(adata, reference), or otl.tl.plier, first."
        raise KeyError(msg)
    if len(there) > 1:
        msg = f"{where} holds {len(there)} sets of factor scores: {listed(sorted(there))}. Say which one: key={sorted(there)[0]!r}."
        raise KeyError(msg)
    return str(there[0])


def _is_scored(adata: AnnData, key: str) -> bool:
    entry = adata.uns.get(key)
    if not isinstance(entry, Mapping) or "kind" not in entry or "names" not in entry:
        return False
    return bool(adata.obsm[key].ndim == 2 and adata.obsm[key].shape[1] == len(entry["names"]))


def factor_names(adata: AnnData, key: str) -> np.ndarray:
    """Names of the factors under a key that `score_key` has returned."""
    return np.array([str(name) for name in adata.uns[key]["names"]], dtype=object)


def stability_of(entry: Mapping[str, Any], n_factors: int) -> np.ndarray:
    """Median |r| of each factor over refits, or over networks, from the entry of a fit or a projection; NaN where not measured."""
    if isinstance(entry.get("stability"), Mapping):  # a fit after `tl.stability`
        return np.asarray(entry["stability"]["factors"]["median_r"], dtype=np.float64)
    if isinstance(
        entry.get("clusters"), pd.DataFrame
    ):  # an ensemble, which is its own refits; its components have none
        table = entry["clusters"]
        known = dict(zip(table["factor"].astype(str), table["stability"].astype(float), strict=True))
        return np.array([known.get(str(name), np.nan) for name in entry["names"]])
    if "factors" in entry:  # a projection, which carries its reference's
        return np.asarray(entry["factors"]["stability"], dtype=np.float64)
    return np.full(n_factors, np.nan)


def reliable(adata: AnnData, key: str) -> np.ndarray:
    """Which factors may be interpreted: their genes are there and refits find them again, each where it was measured."""
    entry = adata.uns[key]
    n_factors = len(entry["names"])
    good = np.ones(n_factors, dtype=bool)
    # A mean of many networks is steadier than the match of single ones, which is what is known of an ensemble.
    kind = entry["reference"]["kind"] if isinstance(entry.get("reference"), Mapping) else entry.get("kind")
    if kind != "deepprofile":
        good &= ~(stability_of(entry, n_factors) < RELIABLE)
    if isinstance(entry.get("quality"), Mapping):
        good &= np.asarray(entry["quality"]["factors"]["interpretable"], dtype=bool)
    return good


def key_of_test(adata: AnnData, test: str | None = None, where: str = "adata", argument: str = "test") -> str:
    """Return the key of a test over factors (written by `tl.rank_factors_groups`).

    `None` takes the only one there, or of several the one under its default name, that of the scores with ``_test``.
    """
    check_adata(adata)
    there = sorted(
        name for name, entry in adata.uns.items() if isinstance(entry, Mapping) and entry.get("kind") == TEST_KIND
    )
    if test is not None:
        if test not in there:
            raise missing_key(test, f"tests over factors of {where}", there)
        return test
    if not there:
        msg = f"{where} holds no test over factors. Run otl.tl.rank_factors_groups(adata, phenotype) first."
        raise KeyError(msg)
    default = [name for name in there if name == f"{adata.uns[name]['params']['key']}_test"]
    if len(there) > 1 and len(default) != 1:
        msg = f"{where} holds {len(there)} tests over factors: {listed(there)}. Say which one: {argument}={there[0]!r}."
        raise KeyError(msg)
    return there[0] if len(there) == 1 else default[0]
