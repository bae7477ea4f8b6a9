"""What the measures share: a model out of whatever holds one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from anndata import AnnData

from omicstl import get
from omicstl._core.checks import listed, missing_key
from omicstl.models.base import Model


def resolve(source: AnnData | Model | str | Path, key: str | None, name: str) -> Any:
    """Return the model itself, the one of an AnnData, or the one in a file."""
    if not isinstance(source, (AnnData, Model, str, Path)):
        msg = f"`{name}` must be an AnnData, a fitted model or the path of one, got {type(source).__name__}."
        raise TypeError(msg)
    if key is not None and not isinstance(source, AnnData):
        msg = f"The key {key!r} was given, but `{name}` is no AnnData and has no keys. Leave the key out."
        raise ValueError(msg)
    return get.model(source, key)


def result_keys(adata: AnnData) -> list[str]:
    """Keys that hold scores together with what they are."""
    return [key for key in adata.obsm if isinstance(adata.uns.get(key), Mapping) and "kind" in adata.uns[key]]


def scores(adata: AnnData, key: str | None, name: str) -> tuple[str, np.ndarray]:
    """Return the key and the scores under it; `None` is the only key there."""
    keys = result_keys(adata)
    if key is None:
        if not keys:
            msg = f"{name}.obsm holds no scores. Run otl.tl.plier or otl.tl.project first."
            raise KeyError(msg)
        if len(keys) > 1:
            msg = f"{name}.obsm holds {len(keys)} kinds of scores: {listed(keys)}. Say which one: key={keys[0]!r}."
            raise KeyError(msg)
        key = keys[0]
    if key not in adata.obsm:
        raise missing_key(key, f"{name}.obsm", keys)
    return key, np.asarray(adata.obsm[key])


def factor_names(adata: AnnData, key: str) -> np.ndarray:
    """Names of the factors under a key, or their numbers where none are stored."""
    entry = adata.uns.get(key)
    names = entry.get("names") if isinstance(entry, Mapping) else None
    n_factors = adata.obsm[key].shape[1]
    if names is None or len(names) != n_factors:
        return np.array([str(i + 1) for i in range(n_factors)], dtype=object)
    return np.asarray(names, dtype=object)
