"""Variables under other names: which become which, and the columns of a matrix brought together."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import scipy.sparse as sp

from .blocks import _is_dask, block_rows, row_source
from .identifiers import bare_names

RULES = ("sum", "mean", "largest")


class Plan(NamedTuple):
    """
    What becomes of the variables.

    `kept` are positions of variables with a new name, rising, and ``names[group]`` are their new names; `names` are unique,
    in the order of first appearance. `unmapped` and `ambiguous` are names without a partner, and with several. `n_stay`
    counts the variables that had a target name already; `shared` pairs of those which the table would have renamed.
    """

    kept: np.ndarray
    group: np.ndarray
    names: np.ndarray
    unmapped: np.ndarray
    ambiguous: np.ndarray
    n_stay: int
    shared: pd.DataFrame

    @property
    def first(self) -> np.ndarray:
        """Positions of the first variable of each new name."""
        return self.kept[np.unique(self.group, return_index=True)[1]]

    @property
    def sizes(self) -> np.ndarray:
        """How many variables have each new name."""
        return np.bincount(self.group, minlength=len(self.names))


def plan(names: np.ndarray, pairs: pd.DataFrame, keep: pd.Index) -> Plan:
    """
    Decide for each of `names` (they may repeat) what it becomes by `pairs` of distinct source and target.

    Names in `keep` stay as they are.
    """
    names, bare = np.asarray(names, dtype=object), bare_names(names)
    several = pairs["source"].duplicated(keep=False)
    table = pairs[~several].set_index("source")["target"]
    new = pd.Series(bare).map(table).to_numpy(dtype=object)
    ambiguous = np.asarray(pd.Index(bare).isin(pairs["source"][several]))
    whole, cut = (np.asarray(pd.Index(form).isin(keep)) for form in (names, bare))
    stay, here = whole | cut, np.where(whole, names, bare)
    partners = pairs.merge(pd.DataFrame({"source": here[stay], "stays": here[stay]}).drop_duplicates(), on="source")
    shared = partners.loc[partners["target"] != partners["stays"], ["source", "target"]].reset_index(drop=True)
    new = np.where(stay, here, new)
    ambiguous &= ~stay
    found = ~pd.isna(new)
    group, unique = pd.factorize(new[found])
    return Plan(
        np.flatnonzero(found),
        group,
        np.asarray(unique, dtype=object),
        names[~found & ~ambiguous],
        names[ambiguous],
        int(stay.sum()),
        shared,
    )


def is_counts(x: Any) -> bool:
    """Tell whether all values are whole numbers and none is negative."""
    if x.dtype.kind == "u":
        return True
    if _is_dask(x):
        flags = x.map_blocks(
            lambda block: np.array([[is_counts(block)]]), dtype=bool, chunks=(1, 1), meta=np.ones((0, 0))
        )
        return bool(flags.compute().all())
    if x.dtype.kind not in "if":
        return False
    values = x.data if sp.issparse(x) else x
    step = block_rows(int(np.prod(values.shape[1:])))
    return all(_whole(values[low : low + step]) for low in range(0, len(values), step))


def _whole(values: np.ndarray) -> bool:
    if values.dtype.kind == "i":
        return bool((values >= 0).all())
    return bool((np.isfinite(values) & (values >= 0) & (values == np.floor(values))).all())


def check_matrix(x: Any, where: str) -> None:
    """Refuse a matrix whose columns cannot be added up."""
    if getattr(x, "dtype", np.dtype(object)).kind not in "biuf":
        msg = f"{where} has dtype {getattr(x, 'dtype', None)}: it cannot be combined. Convert it or delete it first."
        raise TypeError(msg)
    plain = isinstance(x, np.ndarray) and not isinstance(x, np.ma.MaskedArray)
    if plain or _is_dask(x) or (sp.issparse(x) and x.format in ("csr", "csc")):
        return
    way_out = "x.tocsr()" if sp.issparse(x) else "numpy.asarray(x) or scipy.sparse.csr_matrix(x)"
    kind = f"{type(x).__module__}.{type(x).__qualname__}"
    msg = f"{where} is of type {kind}, whose columns cannot be combined. Convert with {way_out}."
    raise NotImplementedError(msg)


def combine(x: Any, made: Plan, rule: str) -> Any:
    """Return the sums or means of the columns of each new name: ``X M``, M sparse, in the layout of `x`."""
    weights = 1.0 / made.sizes if rule == "mean" else np.ones(len(made.names))
    wide = np.dtype({"u": np.uint64, "i": np.int64}.get(x.dtype.kind, np.float64) if rule == "sum" else np.float64)
    narrow = x.dtype if rule == "sum" or x.dtype == np.float64 else np.dtype(np.float32)
    if x.dtype.kind == "b" or x.dtype == np.float16:
        narrow = np.dtype(np.float32)
    shape = (x.shape[1], len(made.names))
    m = sp.csr_array((weights[made.group].astype(wide), (made.kept, made.group)), shape=shape)
    if _is_dask(x):
        dtype = wide if x.dtype.kind in "iu" and rule == "sum" else narrow
        whole = x.rechunk({1: -1})
        return whole.map_blocks(
            lambda block: _product(block, m, wide).astype(dtype),
            dtype=dtype,
            chunks=(whole.chunks[0], (shape[1],)),
            meta=whole._meta.astype(dtype),
        )
    if sp.issparse(x):
        return _narrowed(_product(x, m, wide), narrow)
    step = block_rows(sum(shape))
    parts = [_narrowed(_product(x[low : low + step], m, wide), narrow) for low in range(0, x.shape[0], step)]
    return np.concatenate(parts) if parts else np.zeros((0, shape[1]), dtype=narrow)


def _product(x: Any, m: sp.csr_array, wide: np.dtype) -> Any:
    if not sp.issparse(x):
        return np.ascontiguousarray(np.asarray(x).astype(wide) @ m)
    out = x.astype(wide) @ (m if isinstance(x, sp.sparray) else sp.csr_matrix(m))
    out.sort_indices()
    return out


def _narrowed(x: Any, dtype: np.dtype) -> Any:
    """Return `x` with its former dtype, unless whole numbers no longer fit."""
    if dtype.kind in "iu" and x.size:
        values = x.data if sp.issparse(x) else x
        limits = np.iinfo(dtype)
        if values.size and (values.max() > limits.max or values.min() < limits.min):
            return x
    return x.astype(dtype)


def largest(x: Any, made: Plan) -> np.ndarray:
    """Return the position of the variable with the largest mean for each new name; the first of equal ones."""
    rows = row_source(x).select(made.kept)
    total = np.zeros(rows.n_cols)
    for block in rows.blocks():
        total += block.sum(axis=0, dtype=np.float64)
    total[np.isnan(total)] = -np.inf
    order = np.lexsort((np.arange(total.size), -total, made.group))
    return made.kept[order[np.unique(made.group[order], return_index=True)[1]]]
