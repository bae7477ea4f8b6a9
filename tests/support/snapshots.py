"""Everything that a user can see of an AnnData, as a flat dict that can be compared."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

SLOTS = ("obsm", "varm", "obsp", "varp", "layers")


def _value(path: str, value: Any, out: dict[str, Any]) -> None:
    if isinstance(value, Mapping):
        out[path] = "dict"
        for name, item in value.items():
            _value(f"{path}/{name}", item, out)
    elif isinstance(value, pd.DataFrame):
        out[path] = f"DataFrame {list(value.columns)}"
        _value(f"{path}/(index)", value.index.to_numpy(), out)
        for name in value.columns:
            _value(f"{path}/{name}", value[name].to_numpy(), out)
    elif sp.issparse(value):
        out[path] = f"{value.format} {value.shape}"
        for name in ("data", "indices", "indptr"):
            _value(f"{path}/{name}", getattr(value, name), out)
    elif isinstance(value, np.ndarray):
        text = value.dtype.kind in "OTU"
        array = np.array(value.tolist(), dtype=str) if text else np.ascontiguousarray(value)
        kind = "text" if text else str(array.dtype)
        content = repr(array.tolist()).encode() if kind == "text" else array.tobytes()
        out[path] = f"{kind} {array.shape} {hashlib.sha256(content).hexdigest()[:16]}"
    elif hasattr(value, "compute"):
        _value(path, value.compute(), out)
    elif hasattr(value, "to_memory"):
        _value(path, value.to_memory(), out)
    elif type(value).__module__.startswith("h5py"):
        _value(path, value[()], out)
    elif hasattr(value, "__array__"):
        _value(path, np.asarray(value), out)
    else:
        out[path] = f"{type(value).__name__} {value!r}"


def snapshot(adata: AnnData) -> dict[str, Any]:
    """Paths and contents of all slots; two equal snapshots are bit for bit the same object to a user."""
    out: dict[str, Any] = {"shape": adata.shape, "view": adata.is_view, "backed": adata.isbacked}
    _value("X", adata.X, out)
    _value("obs", adata.obs, out)
    _value("var", adata.var, out)
    for slot in SLOTS:
        for name, value in getattr(adata, slot).items():
            _value(f"{slot}/{name}", value, out)
    _value("uns", adata.uns, out)
    return out


def changes(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Paths that differ."""
    return sorted(path for path in {*before, *after} if before.get(path) != after.get(path))


def leaves(value: Any, path: str = "") -> dict[str, Any]:
    """Arrays and scalars under a value of `uns`, a table's columns too, by path."""
    out: dict[str, Any] = {}
    if isinstance(value, pd.DataFrame):
        value = {str(name): value[name].to_numpy() for name in value.columns}
    if isinstance(value, Mapping):
        for name, item in value.items():
            out |= leaves(item, f"{path}/{name}")
        return out
    return {path: value}
