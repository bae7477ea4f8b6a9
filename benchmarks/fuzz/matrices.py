"""Changes of the matrices of an AnnData: how they are laid out, what they hold, and their shape."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import scipy.sparse as sp
from anndata import AnnData

SLOT_OF = {"layer": "layers", "obsm": "obsm"}
NAME = "fuzz"
DTYPES = ("float64", "float32", "float16", "int64", "int32", "uint8", "bool")


def dense(x: Any) -> np.ndarray:
    return x.toarray() if sp.issparse(x) else np.asarray(x)


def rounded(x: np.ndarray, dtype: str) -> np.ndarray:
    """The values as `dtype` holds them, in float64."""
    x = x.astype(np.float64)
    if dtype == "bool":
        return (x > np.median(x)).astype(float)
    if dtype == "uint8":
        x = np.clip(np.round(10 * np.abs(x)), 0, 255)
    elif dtype.startswith("int"):
        x = np.round(10 * x)
    return x.astype(dtype).astype(np.float64)


def _explicit_zeros(x: np.ndarray) -> Any:
    full = sp.csr_matrix(np.ones_like(x))
    full.data = x.ravel().copy()
    return full


def _unsorted(x: np.ndarray) -> Any:
    found = sp.csr_matrix(x)
    for begin, end in zip(found.indptr[:-1], found.indptr[1:], strict=True):
        found.indices[begin:end] = found.indices[begin:end][::-1].copy()
        found.data[begin:end] = found.data[begin:end][::-1].copy()
    found.has_sorted_indices = False
    return found


def _read_only(x: np.ndarray) -> np.ndarray:
    x = x.copy()
    x.flags.writeable = False
    return x


def _strided(x: np.ndarray) -> np.ndarray:
    wide = np.zeros((x.shape[0], 2 * x.shape[1]), x.dtype)
    wide[:, ::2] = x
    return wide[:, ::2]


def _dask(x: np.ndarray) -> Any:
    import dask.array as da

    return da.from_array(x, chunks=(7, x.shape[1]))


def _dask_sparse(x: np.ndarray) -> Any:
    return _dask(x).map_blocks(sp.csr_matrix, dtype=x.dtype, meta=sp.csr_matrix((0, 0), dtype=x.dtype))


CONTAINERS: dict[str, Callable[[np.ndarray], Any]] = {
    "C": lambda x: np.array(x, order="C"),
    "F": lambda x: np.array(x, order="F"),
    "csr": sp.csr_matrix,
    "csc": sp.csc_matrix,
    "csr_array": sp.csr_array,
    "csc_array": sp.csc_array,
    "big endian": lambda x: x.astype(x.dtype.newbyteorder(">")),
    "explicit zeros": _explicit_zeros,
    "unsorted": _unsorted,
    "read only": _read_only,
    "strided": _strided,
    "masked": lambda x: np.ma.masked_array(x, np.zeros(x.shape, bool)),
    "dask": _dask,
    "dask sparse": _dask_sparse,
}
#: Layouts of the whole object.
WHOLE = ("view", "backed", "backed csr")


def put(adata: AnnData, slot: str, x: Any) -> None:
    """Set X, or ``layers/name`` or ``obsm/name``."""
    if slot == "X":
        adata.X = x
    else:
        room, name = slot.split("/", 1)
        getattr(adata, room)[name] = x


def get(adata: AnnData, slot: str) -> Any:
    if slot == "X":
        return adata.X
    room, name = slot.split("/", 1)
    return getattr(adata, room)[name]


def layout(adata: AnnData, slot: str, container: str, dtype: str, *, plain: bool) -> AnnData:
    """The same values in another layout; `plain`: as dense float64 in C order."""
    values = rounded(dense(get(adata, slot)), dtype)
    if plain:
        put(adata, slot, np.ascontiguousarray(values))
        return adata
    if container == "view":
        adata.X = values.astype(dtype)
        names = adata.obs_names
        more = ad.concat([adata, adata[:2]], merge="same", uns_merge="same", index_unique="-")
        more.obs_names = [*names, "more1", "more2"]
        return more[: adata.n_obs]
    if container.startswith("backed"):
        adata.X = sp.csr_matrix(values.astype(dtype)) if "csr" in container else values.astype(dtype)
        path = Path("backed.h5ad")
        adata.write_h5ad(path)
        return ad.read_h5ad(path, backed="r")
    put(adata, slot, CONTAINERS[container](values.astype(dtype)))
    return adata


_NUMBERS = {
    "nan": np.nan,
    "inf": np.inf,
    "-inf": -np.inf,
    "1e300": 1e300,
    "-1e300": -1e300,
    "1e38": 3e38,
    "denormal": 5e-324,
    "-1": -1.0,
    "0": 0.0,
    "7": 7.0,
}
_WHOLE_MATRIX: dict[str, Callable[[np.ndarray], Any]] = {
    "complex": lambda x: x + 1j,
    "object": lambda x: x.astype(object),
    "text": lambda x: x.astype(str),
    "object text": lambda x: x.astype(str).astype(object),
    "huge offset": lambda x: x + 1e9,
    "tiny": lambda x: x * 1e-300,
    "large": lambda x: x * 1e30,
    "longdouble": lambda x: x.astype(np.longdouble),
    "int64 large": lambda x: (x * 1e15).astype(np.int64),
    "datetime": lambda x: np.abs(x).astype("datetime64[s]"),
    "None": lambda x: None,
}
WHAT = (*_NUMBERS, *_WHOLE_MATRIX)
WHERE = ("cell", "row", "column", "all")


def values(adata: AnnData, slot: str, what: str, where: str) -> AnnData:
    """Other values in a cell, a row, a column, or everywhere."""
    x = dense(get(adata, slot)).astype(np.float64)
    if what in _WHOLE_MATRIX:
        put(adata, slot, _WHOLE_MATRIX[what](x))
        return adata
    row, column = (min(3, n - 1) for n in x.shape)
    place = {"cell": (row, column), "row": row, "column": (slice(None), column), "all": slice(None)}[where]
    x[place] = _NUMBERS[what]
    put(adata, slot, x)
    return adata


SHAPES: dict[str, Callable[[AnnData], AnnData]] = {
    "no rows": lambda a: a[:0].copy(),
    "one row": lambda a: a[:1].copy(),
    "two rows": lambda a: a[:2].copy(),
    "no columns": lambda a: a[:, :0].copy(),
    "one column": lambda a: a[:, :1].copy(),
    "two columns": lambda a: a[:, :2].copy(),
    "reversed rows": lambda a: a[::-1].copy(),
    "repeated rows": lambda a: a[np.zeros(a.n_obs, int)].copy(),
    "view of no rows": lambda a: a[:0],
    "view of one column": lambda a: a[:, :1],
}
