"""The one reader: a matrix out of an AnnData, checked, as a source of rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData

from omicstl._core.checks import check_choice, listed, missing_key
from omicstl._core.log import ScaleWarning, warn
from omicstl._core.optional import need
from omicstl.kernels import stats

from .blocks import RowSource, SubsetRows, row_source

_HUGE = 1e15


class Expression(NamedTuple):
    """A matrix that was read: its rows, its names, and where it came from (for messages)."""

    rows: RowSource
    obs_names: np.ndarray
    var_names: np.ndarray
    where: str

    def select(self, columns: np.ndarray) -> Expression:
        """Return some of the variables, in the order given."""
        return self._replace(rows=self.rows.select(columns), var_names=self.var_names[columns])


def check_adata(adata: object, *, name: str = "adata", lazy: bool = False) -> None:
    """Refuse what is no AnnData and, unless `lazy`, one of which `obs` and `uns` are still in the file."""
    given: Any = adata
    if isinstance(given, AnnData):
        if not lazy:
            check_table(given.obs, name)
        return
    kind = type(given).__name__
    way_out = (
        "Pass one modality, e.g. mdata['rna']." if kind == "MuData" else "Make one with anndata.AnnData(X, obs, var)."
    )
    msg = f"`{name}` must be an AnnData, got {kind}. {way_out}"
    raise TypeError(msg)


def check_table(obs: object, name: str = "adata") -> None:
    """Refuse the `obs` of an AnnData that `anndata.experimental.read_lazy` has read."""
    if not isinstance(obs, pd.DataFrame):
        msg = (
            f"`{name}` was read lazily: its obs is a {type(obs).__name__} and its results are still in the file. Load it, "
            f"{name} = {name}.to_memory(), or leave only X in the file: anndata.read_h5ad(path, backed='r')."
        )
        raise TypeError(msg)


def layer_names(adata: AnnData) -> list[str]:
    """Return the names of the layers (anndata 0.13 lists X there too, under the key None)."""
    return [key for key in adata.layers if key is not None]


def read(adata: AnnData, *, layer: str | None = None, name: str = "adata") -> Expression:
    """Read ``adata.X`` or a layer. Nothing is loaded yet, but shape, kind of numbers and names are checked."""
    check_adata(adata, name=name, lazy=True)
    layers = layer_names(adata)
    if layer is not None and layer not in layers:
        raise missing_key(layer, f"{name}.layers", layers)
    where = f"{name}.X" if layer is None else f"{name}.layers[{layer!r}]"
    if 0 in adata.shape:
        msg = f"{name} has {adata.n_obs} observations and {adata.n_vars} variables; at least one of each is needed."
        raise ValueError(msg)
    var_names = np.asarray(adata.var_names).astype(str)
    _check_unique(var_names, name)
    obs_names = np.asarray(adata.obs_names).astype(str)
    return Expression(_rows(adata, layer, where), obs_names, var_names, where)


def _rows(adata: AnnData, layer: str | None, where: str) -> RowSource:
    if layer is None and adata.is_view and adata.isbacked:
        # anndata would load the matrix of such a view in full: read the parent's, and only the rows of a block.
        parent = adata._adata_ref
        columns = np.arange(parent.n_vars)[adata._vidx]
        whole = _source(parent.X, where)
        chosen = whole if columns.size == parent.n_vars and (np.diff(columns) == 1).all() else whole.select(columns)
        return SubsetRows(chosen, np.arange(parent.n_obs)[adata._oidx])
    x = adata.X if layer is None else adata.layers[layer]
    if x is None:
        layers = layer_names(adata)
        way_out = f"Pass layer=..., one of [{listed(layers)}]." if layers else "It has no layers either."
        msg = f"{where} is None. {way_out}"
        raise ValueError(msg)
    return _source(x, where)


def _source(x: Any, where: str) -> RowSource:
    if hasattr(x, "dtype"):
        _check_dtype(np.dtype(x.dtype), where)
    try:
        return row_source(x)
    except NotImplementedError as error:
        msg = f"{where} cannot be read: {error}"
        raise NotImplementedError(msg) from None


def _check_dtype(dtype: np.dtype, where: str) -> None:
    if dtype.kind in "iuf":
        return
    advice = f"Convert with {where} = {where}.astype('float32')"
    if dtype.kind == "b":
        advice += " if presence and absence is what you mean to analyse"
    elif dtype.kind == "c":
        advice = f"Take the real part: {where} = {where}.real"
    msg = f"{where} has dtype {dtype}; real numbers (integers or floats) are needed. {advice}."
    raise TypeError(msg)


def _check_unique(var_names: np.ndarray, name: str) -> None:
    unique, counts = np.unique(var_names, return_counts=True)
    twice = unique[counts > 1]
    if twice.size:
        msg = (
            f"{name}.var_names are not unique: {listed(twice)} {'occur' if twice.size > 1 else 'occurs'} more than once. Genes are matched by name, so "
            f"aggregate or drop the duplicates, or call {name}.var_names_make_unique() (then only the first is matched)."
        )
        raise ValueError(msg)


def summarise(expression: Expression, *, gram: bool = False) -> stats.Summary:
    """Pass over all rows once and add them up; `ValueError` if any value is not finite."""
    summary = stats.init(expression.rows.n_cols, gram=gram)
    nan = infinite = row = 0
    first: tuple[int, int] | None = None
    for block in expression.rows.blocks() if gram else stats.strips(expression.rows.blocks()):
        finite = np.isfinite(block)
        if not finite.all():
            bad = ~finite
            nan_here = int(np.isnan(block).sum())
            nan += nan_here
            infinite += int(bad.sum()) - nan_here
            if first is None:
                i, j = np.argwhere(bad)[0]
                first = (row + int(i), int(j))
        elif first is None:
            summary = stats.update(summary, block)
        row += block.shape[0]
    if first is not None:
        raise ValueError(_not_finite(expression, nan, infinite, first))
    return summary


def _not_finite(expression: Expression, nan: int, infinite: int, first: tuple[int, int]) -> str:
    counts = [f"{count:,} {what}" for count, what in ((nan, "NaN"), (infinite, "infinite")) if count]
    sample, gene = expression.obs_names[first[0]], expression.var_names[first[1]]
    return (
        f"{expression.where} contains {' and '.join(counts)} value{'s' if nan + infinite > 1 else ''} "
        f"(first at sample {str(sample)!r}, gene {str(gene)!r}). Impute them, or drop the genes or samples that have them."
    )


def check_scale(expression: Expression, summary: stats.Summary, *, expected: str = "log") -> None:
    """Warn (`ScaleWarning`) if the values do not look like the `expected` scale; refuse values that would overflow."""
    check_choice("expected", expected, ("log", "counts", "zscore", "any"))
    low, high = float(summary.low.min()), float(summary.high.max())
    where = expression.where
    if max(abs(low), abs(high)) > _HUGE:
        msg = (
            f"{where} has values up to {max(abs(low), abs(high)):.3g}, which would overflow in float32; at most {_HUGE:g} "
            "is allowed. Is the matrix scaled correctly? Missing values may be coded as huge numbers."
        )
        raise ValueError(msg)
    if expected == "counts" and low < 0:
        msg = (
            f"{where} has negative values (down to {low:.4g}); raw counts are needed. Did you pass log-transformed or "
            "scaled data? Pass the layer that holds the counts, e.g. layer='counts'."
        )
        raise ValueError(msg)
    doubt = _doubt(summary, expected, low, high, where)
    if doubt:
        warn(f"{where} {doubt}", ScaleWarning)


def _to_log(where: str) -> str:
    """Return the two lines of scanpy that bring counts at `where`, such as ``adata.layers['counts']``, to log1p CPM."""
    name, _, slot = where.partition(".")
    layer = f", layer={slot.removeprefix('layers[').removesuffix(']')}" if slot.startswith("layers[") else ""
    return (
        "Normalise and log-transform first:\n"
        f"    sc.pp.normalize_total({name}, target_sum=1e6{layer})\n"
        f"    sc.pp.log1p({name}{layer})"
    )


def _doubt(summary: stats.Summary, expected: str, low: float, high: float, where: str) -> str:
    if expected == "log":
        to_log = _to_log(where)
        if summary.integers and low >= 0 and high > 2:
            return f"looks like raw counts (integers up to {high:g}); log-transformed values are expected. {to_log}"
        if high > 100:
            return f"has values up to {high:.4g}, which is not a logarithmic scale as expected. {to_log}"
    elif expected == "counts" and not summary.integers:
        return f"is not made of integers (up to {high:.4g}); raw counts are expected. Pass the layer that holds them."
    elif expected == "zscore" and summary.n > 2:
        finished = stats.finish(summary._replace(gram=None))
        varying = finished.variance > 0
        scaled = (np.abs(finished.mean) < 0.1) & (np.abs(finished.variance - 1.0) < 0.2)
        if varying.any() and scaled[varying].mean() < 0.5:
            return "is not z-scored by gene (mean 0, variance 1) as expected. Scale it first: sc.pp.scale(adata)."
    return ""


def read_uns(path: str | Path) -> AnnData:
    """Read the ``uns`` of an h5ad file or a zarr folder and nothing else of it."""
    import h5py
    from anndata.io import read_elem

    source = Path(path)
    if not source.exists():
        msg = f"There is no file {str(source)!r}."
        raise FileNotFoundError(msg)
    try:
        if source.suffix == ".zarr":
            return AnnData(uns=read_elem(need("zarr", "dask").open_group(str(source), mode="r")["uns"]))
        with h5py.File(source, "r") as file:
            return AnnData(uns=read_elem(file["uns"]))
    except (OSError, KeyError, ValueError) as error:
        msg = f"{str(source)!r} cannot be read as an AnnData: {error}. Write it again with adata.write_h5ad or write_zarr."
        raise ValueError(msg) from error
