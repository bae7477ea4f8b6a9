"""Factor scores in an AnnData: which key holds them, and what they are called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from omicstl._core.checks import listed, missing_key
from omicstl._data.adata import check_adata

if TYPE_CHECKING:
    from anndata import AnnData


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
