"""A matrix of `obsm` as data to fit on: rows, and names for its columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from omicstl._core.checks import missing_key

from . import adata as reader
from .blocks import row_source
from .tables import check_rows

if TYPE_CHECKING:
    from anndata import AnnData


def read_obsm(adata: AnnData, key: str) -> reader.Expression:
    """
    Read ``adata.obsm[key]``, which has the kind of numbers that a matrix needs.

    Columns are called by the names of a DataFrame, else by ``uns[key]["names"]`` where these are as many, else by `key` and
    their number. `KeyError` if there is no such matrix, `TypeError` or `ValueError` if it is none.
    """
    reader.check_adata(adata, lazy=True)
    if key not in adata.obsm:
        raise missing_key(key, "adata.obsm", [str(name) for name in adata.obsm])
    where = f"adata.obsm[{key!r}]"
    value: Any = adata.obsm[key]
    frame = value if isinstance(value, pd.DataFrame) else None
    if frame is not None:
        check_rows(frame, adata, where)
    matrix = value if frame is None else frame.to_numpy()
    if not hasattr(matrix, "dtype") or matrix.dtype.kind not in "iuf" or len(matrix.shape) != 2 or 0 in matrix.shape:
        msg = (
            f"{where} must be a matrix of real numbers with at least one row and column, got "
            f"{getattr(matrix, 'dtype', type(value).__name__)} of shape {getattr(matrix, 'shape', '(unknown)')}."
        )
        raise TypeError(msg)
    names = _names(adata, key, matrix.shape[1]) if frame is None else frame.columns.astype(str).to_numpy()
    if len(set(names.tolist())) < names.size:
        msg = f"The columns of {where} have names that occur more than once. Rename them."
        raise ValueError(msg)
    return reader.Expression(row_source(matrix), np.asarray(adata.obs_names).astype(str), names.astype(str), where)


def _names(adata: AnnData, key: str, n: int) -> np.ndarray:
    entry = adata.uns.get(key)
    if isinstance(entry, Mapping) and len(entry.get("names", ())) == n:
        return np.array([str(name) for name in entry["names"]])
    return np.array([f"{key}{i + 1}" for i in range(n)])
