"""Row sources: one way to read rows in blocks, whatever holds the matrix. None densifies more than a block."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

import h5py
import numpy as np
import scipy.sparse as sp
from anndata.abc import CSCDataset, CSRDataset

from omicstl._core.settings import settings

_COLUMN_BATCH = 512


@runtime_checkable
class RowSource(Protocol):
    """Rows of a matrix of real numbers, read in dense blocks.

    Blocks are 2-D, C-ordered, float64 if the matrix is float64 and float32 otherwise. They may be read-only windows on
    the user's data. `size` is the most rows a block may have; `None` follows ``settings.block_bytes``.
    """

    n_rows: int
    n_cols: int
    dtype: np.dtype

    def blocks(self, size: int | None = None) -> Iterator[np.ndarray]:
        """Iterate over all rows in order."""
        ...

    def take(self, index: np.ndarray) -> np.ndarray:
        """Return the rows at `index`, dense, in its order."""
        ...

    def select(self, columns: np.ndarray) -> RowSource:
        """Return a source of some columns, in the order given."""
        ...


def block_rows(n_cols: int) -> int:
    """Return how many rows of `n_cols` columns fit ``settings.block_bytes`` at 8 bytes a value, at least one."""
    return max(1, settings.block_bytes // (8 * max(1, n_cols)))


def _checked_size(n_cols: int, size: int | None) -> int:
    if size is not None and size < 1:
        msg = f"`size` must be >= 1, got {size}."
        raise ValueError(msg)
    return block_rows(n_cols) if size is None else size


def _target(dtype: np.dtype) -> np.dtype:
    return np.dtype(np.float64 if dtype.kind == "f" and dtype.itemsize >= 8 else np.float32)


def _positions(index: Any, length: int, what: str) -> np.ndarray:
    array = np.asarray(index)
    if array.dtype == bool and array.shape == (length,):
        return np.flatnonzero(array)
    if array.size == 0:
        return np.zeros(0, dtype=np.intp)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        msg = f"{what} must be given as one array of positions, got {array.dtype} of shape {array.shape}."
        raise TypeError(msg)
    if array.min() < 0 or array.max() >= length:
        msg = f"{what} must be between 0 and {length - 1}, got {array.min()} to {array.max()}."
        raise IndexError(msg)
    return array.astype(np.intp)


class _Rows:
    """What all sources share: `_read` gives stored columns of a row range, `_pick` those of sorted, unique rows."""

    def __init__(self, shape: tuple[int, int], dtype: np.dtype, columns: np.ndarray | None) -> None:
        self._width = int(shape[1])
        self._columns = columns
        self.n_rows = int(shape[0])
        self.n_cols = self._width if columns is None else len(columns)
        self.dtype = _target(np.dtype(dtype))

    def _read(self, start: int, stop: int) -> Any:
        raise NotImplementedError

    def _pick(self, rows: np.ndarray) -> Any:
        raise NotImplementedError

    def _with(self, columns: np.ndarray) -> RowSource:
        raise NotImplementedError

    def _dense(self, part: Any) -> np.ndarray:
        if sp.issparse(part):
            part = part if self._columns is None else part[:, self._columns]
            return np.ascontiguousarray(part.astype(self.dtype).toarray())
        part = np.asarray(part)
        if self._columns is not None:
            part = np.take(part, self._columns, axis=1)
        return np.ascontiguousarray(part, dtype=self.dtype)

    def _bounds(self, size: int) -> Iterator[tuple[int, int]]:
        for start in range(0, self.n_rows, size):
            yield start, min(start + size, self.n_rows)

    def blocks(self, size: int | None = None) -> Iterator[np.ndarray]:
        """Iterate over all rows in order."""
        # The rows as stored are read before columns are chosen, so their width sets the memory.
        for start, stop in self._bounds(_checked_size(self._width, size)):
            block = self._dense(self._read(start, stop))
            block.flags.writeable = False
            yield block

    def take(self, index: np.ndarray) -> np.ndarray:
        """Return the rows at `index`, dense, in its order."""
        positions = _positions(index, self.n_rows, "rows")
        unique, inverse = np.unique(positions, return_inverse=True)
        if unique.size == 0:
            return np.zeros((0, self.n_cols), dtype=self.dtype)
        dense = self._dense(self._pick(unique))
        if unique.size == positions.size and np.array_equal(unique, positions):
            return dense if dense.base is None and dense.flags.writeable else dense.copy()
        return dense[inverse]

    def select(self, columns: np.ndarray) -> RowSource:
        """Return a source of some columns, in the order given."""
        positions = _positions(columns, self.n_cols, "columns")
        return self._with(positions if self._columns is None else self._columns[positions])


class ArrayRows(_Rows):
    """Rows of something that is sliced like an array: NumPy, HDF5 dataset, zarr array, CSR, backed CSR."""

    def __init__(self, x: Any, columns: np.ndarray | None = None) -> None:
        super().__init__(x.shape, x.dtype, columns)
        self._x = x

    def _read(self, start: int, stop: int) -> Any:
        return self._x[start:stop]

    def _pick(self, rows: np.ndarray) -> Any:
        if isinstance(self._x, CSRDataset):  # a mask along the major axis is read in runs
            mask = np.zeros(self.n_rows, dtype=bool)
            mask[rows] = True
            return self._x[mask]
        if type(self._x).__module__.partition(".")[0] == "zarr":
            return self._x.oindex[rows]
        if isinstance(self._x, h5py.Dataset):  # positions are slow in HDF5: read the range where it is dense enough
            first, last = int(rows[0]), int(rows[-1]) + 1
            return self._x[first:last][rows - first] if last - first <= 2 * rows.size else self._x[rows]
        return self._x[rows]

    def _with(self, columns: np.ndarray) -> RowSource:
        return ArrayRows(self._x, columns)


class ColumnRows(_Rows):
    """Rows of a CSC matrix, in memory or backed: columns first, then one conversion to CSR, on first use."""

    def __init__(self, x: Any, columns: np.ndarray | None = None) -> None:
        super().__init__(x.shape, x.dtype, columns)
        self._width = self.n_cols
        self._x = x
        self._csr: Any = None

    def _rows(self) -> Any:
        if self._csr is None:
            self._csr = self._chosen().tocsr()
        return self._csr

    def _chosen(self) -> Any:
        if not isinstance(self._x, CSCDataset):
            return self._x if self._columns is None else self._x[:, self._columns]
        if self._columns is None:
            return self._x.to_memory()
        unique, inverse = np.unique(self._columns, return_inverse=True)
        parts = [sp.csc_matrix((self.n_rows, 0), dtype=self._x.dtype)]
        for start in range(0, self._x.shape[1], _COLUMN_BATCH):
            stop = min(start + _COLUMN_BATCH, self._x.shape[1])
            here = unique[np.searchsorted(unique, start) : np.searchsorted(unique, stop)]
            if here.size:
                first, last = int(here[0]), int(here[-1]) + 1
                parts.append(self._x[:, first:last][:, here - first])
        chosen = sp.hstack(parts, format="csc")
        return chosen if np.array_equal(inverse, np.arange(unique.size)) else chosen[:, inverse]

    def _dense(self, part: Any) -> np.ndarray:
        return np.ascontiguousarray(part.astype(self.dtype).toarray())

    def _read(self, start: int, stop: int) -> Any:
        return self._rows()[start:stop]

    def _pick(self, rows: np.ndarray) -> Any:
        return self._rows()[rows]

    def _with(self, columns: np.ndarray) -> RowSource:
        return ColumnRows(self._x, columns)


class DaskRows(_Rows):
    """Rows of a dask array: chunks of rows are computed one group after another, never all at once."""

    def __init__(self, x: Any, columns: np.ndarray | None = None) -> None:
        super().__init__(x.shape, x.dtype, columns)
        self._x = x

    def _bounds(self, size: int) -> Iterator[tuple[int, int]]:
        edges = np.concatenate([[0], np.cumsum(self._x.chunks[0])]).astype(int)
        start = 0
        while start < self.n_rows:  # as many whole chunks as fit, else a part of one
            reach = int(edges[np.searchsorted(edges, start + size, side="right") - 1])
            stop = (
                reach if reach > start else min(start + size, int(edges[np.searchsorted(edges, start, side="right")]))
            )
            yield start, stop
            start = stop

    def _read(self, start: int, stop: int) -> Any:
        return self._x[start:stop].compute()

    def _pick(self, rows: np.ndarray) -> Any:
        return self._x[rows].compute()

    def _with(self, columns: np.ndarray) -> RowSource:
        return DaskRows(self._x, columns)


class SubsetRows:
    """Some rows of another source, in a given order (a view of a backed object)."""

    def __init__(self, source: RowSource, index: np.ndarray) -> None:
        self._source = source
        self._index = _positions(index, source.n_rows, "rows")
        self.n_rows = len(self._index)
        self.n_cols = source.n_cols
        self.dtype = source.dtype

    def blocks(self, size: int | None = None) -> Iterator[np.ndarray]:
        """Iterate over all rows in order."""
        rows = _checked_size(self.n_cols, size)
        for start in range(0, self.n_rows, rows):
            block = self._source.take(self._index[start : start + rows])
            block.flags.writeable = False
            yield block

    def take(self, index: np.ndarray) -> np.ndarray:
        """Return the rows at `index`, dense, in its order."""
        return self._source.take(self._index[_positions(index, self.n_rows, "rows")])

    def select(self, columns: np.ndarray) -> RowSource:
        """Return a source of some columns, in the order given."""
        return SubsetRows(self._source.select(columns), self._index)


def _is_dask(x: object) -> bool:
    module = sys.modules.get("dask.array")
    return module is not None and isinstance(x, module.Array)


def _is_zarr(x: object) -> bool:
    module = sys.modules.get("zarr")
    return module is not None and isinstance(x, module.Array)


def row_source(x: Any) -> RowSource:
    """Return the rows of `x`: NumPy, CSR, CSC, backed (HDF5 or zarr; dense, CSR, CSC), dask or JAX array."""
    if isinstance(x, (_Rows, SubsetRows)):
        return x
    if isinstance(x, np.ma.MaskedArray):
        msg = "masked arrays are not supported. Fill the masked values first: x.filled(...)."
        raise NotImplementedError(msg)
    if isinstance(x, np.ndarray) or type(x).__module__.partition(".")[0] in {"jax", "jaxlib"}:
        x = np.asarray(x)
    if len(getattr(x, "shape", (0, 0))) != 2:
        msg = f"a matrix of two dimensions is needed, got shape {tuple(x.shape)}."
        raise ValueError(msg)
    if isinstance(x, CSCDataset) or (sp.issparse(x) and x.format == "csc"):
        return ColumnRows(x)
    if _is_dask(x):
        return DaskRows(x)
    if isinstance(x, (np.ndarray, h5py.Dataset, CSRDataset)) or _is_zarr(x) or (sp.issparse(x) and x.format == "csr"):
        return ArrayRows(x)
    kind = f"{type(x).__module__}.{type(x).__qualname__}"
    way_out = "x.tocsr()" if sp.issparse(x) else "numpy.asarray(x) or scipy.sparse.csr_matrix(x)"
    msg = (
        f"matrices of type {kind} are not supported. Supported are numpy, scipy CSR and CSC, dask, and backed h5ad; "
        f"convert with {way_out}."
    )
    raise NotImplementedError(msg)
