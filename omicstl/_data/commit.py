"""The one writer: everything is validated, then everything is assigned, or nothing."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import chain, starmap
from operator import delitem, setitem
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from omicstl._core.checks import check_key_name

from .adata import check_adata

_ABSENT = object()
_MAX_COLUMNS = 64
#: Kinds of results of a model that was fitted on other data, and what to add to a key for them.
OF_OTHERS = {"projection": "projected", "prediction": "predicted"}


@dataclass(frozen=True)
class Result:
    """What a verb found out. `uns` is the value of ``adata.uns[key]``; other names are ``key`` or ``key_<what>``.

    `drop` names slots and what goes from them, where it is not written anew.
    """

    key: str
    obs: Mapping[str, Any] = field(default_factory=dict)
    var: Mapping[str, Any] = field(default_factory=dict)
    obsm: Mapping[str, Any] = field(default_factory=dict)
    varm: Mapping[str, Any] = field(default_factory=dict)
    layers: Mapping[str, Any] = field(default_factory=dict)
    uns: Mapping[str, Any] | None = None
    more: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Further entries of `uns`, by their names."""
    drop: tuple[tuple[str, str], ...] = ()
    own: tuple[str, ...] = ()
    """Names in `obsm` of large arrays that nobody else holds: they are written as they are, not copied."""


def check_target(adata: AnnData, key: str, *, kind: str | None = None, copy: bool = False) -> None:
    """Refuse, before any work is done, a target that the result of `kind` could not be written to."""
    check_adata(adata, lazy=True)
    check_key_name("key_added", key)
    if adata.isbacked and (copy or adata.is_view):
        what = "copied" if copy else "written to while it is a view"
        msg = f"A backed AnnData cannot be {what}. Load it first: adata = adata.to_memory()."
        raise NotImplementedError(msg)
    there = adata.uns.get(key)
    if kind in OF_OTHERS and isinstance(there, Mapping) and "model" in there:
        msg = (
            f"adata.uns[{key!r}] holds a fitted model (kind {there.get('kind')!r}), which a {kind} must not replace. "
            f"Choose another name: key_added='{key}_{OF_OTHERS[kind]}'."
        )
        raise ValueError(msg)
    if kind not in (None, *OF_OTHERS) and isinstance(there, Mapping) and there.get("kind") == "projection":
        msg = (
            f"adata.uns[{key!r}] holds a projection, whose columns of obs a fit would leave behind. Choose another name: "
            f"key_added='{key}_own'."
        )
        raise ValueError(msg)


def commit(
    adata: AnnData, result: Result, *, copy: bool = False, before: Callable[[], object] | None = None
) -> AnnData | None:
    """
    Write `result` into `adata`, or into a copy that is returned. On any failure `adata` is as it was.

    `before` is called once all is validated and nothing is written, to put a file in its place.
    """
    kind = None if result.uns is None else result.uns.get("kind")
    check_target(adata, result.key, kind=kind if isinstance(kind, str) else None, copy=copy)
    values = _validated(adata, result)
    if before is not None:
        before()
    if copy or adata.is_view:
        made = adata.copy()
        _assign(made, values)
        if copy:
            return made
        _become(adata, made)  # a view becomes an object of its own, as in scanpy
        return None
    _assign(adata, values)
    return None


def _assign(adata: AnnData, values: list[tuple[str, str, Any]]) -> None:
    """
    Assign and delete all, or nothing.

    What is assigned is made ready first. Then one loop that is written in C goes over dictionaries: Python looks for Ctrl-C between its
    own steps, and there is none in it.
    """
    sets: list[tuple[Any, str, Any]] = []
    pops: list[tuple[Any, str]] = []
    for slot in dict.fromkeys(slot for slot, _, _ in values):
        store = getattr(adata, slot)
        new = {name: value for of, name, value in values if of == slot and value is not _ABSENT}
        gone = [name for of, name, value in values if of == slot and value is _ABSENT and name in store]
        if isinstance(store, pd.DataFrame):
            sets += _columns_of(store, new, gone)
            continue
        there = store if slot == "uns" else getattr(adata, f"_{slot}")
        sets += [(there, name, value) for name, value in new.items()]
        pops += [(there, name) for name in gone]
    places: list[tuple[Any, str]] = [(there, name) for there, name, _ in sets] + pops
    # Kept until the loop has ended: nothing is destroyed within it.
    kept = [(there, name, there.get(name, _ABSENT)) for there, name in places]
    try:
        deque(chain(starmap(setitem, sets), starmap(delitem, pops)), maxlen=0)
    except BaseException:  # of a mapping of the user's own, which is no dict
        back = [(there, name, value) for there, name, value in kept if value is not _ABSENT]
        new_ones = [(there, name) for there, name, value in kept if value is _ABSENT and name in there]
        deque(chain(starmap(dict.__setitem__, back), starmap(dict.__delitem__, new_ones)), maxlen=0)
        raise


def _columns_of(frame: pd.DataFrame, new: Mapping[str, Any], gone: list[str]) -> list[tuple[Any, str, Any]]:
    """What gives a table other columns and leaves it the same object."""
    made = frame.copy(deep=False).drop(columns=gone)
    for name, value in new.items():
        made[name] = value
    inside = vars(frame)
    cache: list[tuple[Any, str, Any]] = [(inside, "_item_cache", {})] if "_item_cache" in inside else []
    return [*cache, (inside, "_mgr", made._mgr)]


def _become(adata: AnnData, made: AnnData) -> None:
    """Make `adata` what `made` is, in one step of C."""
    made.file._adata_ref = weakref.ref(adata)
    if made.raw is not None:
        made.raw._adata = adata
    before = dict(vars(adata))  # kept until all is in place: nothing is destroyed on the way
    vars(adata).update(vars(made))
    del before


def _validated(adata: AnnData, result: Result) -> list[tuple[str, str, Any]]:
    rows: dict[str, tuple[Callable[[Any, str, tuple[int, ...]], Any], tuple[int, ...]]] = {
        "obs": (_column, (adata.n_obs,)),
        "var": (_column, (adata.n_vars,)),
        "obsm": (_matrix, (adata.n_obs,)),
        "varm": (_matrix, (adata.n_vars,)),
        "layers": (_layer, (adata.n_obs, adata.n_vars)),
    }
    values: list[tuple[str, str, Any]] = []
    for slot, (convert, shape) in rows.items():
        for name, value in getattr(result, slot).items():
            check_key_name(f"a name in {slot}", name)
            if name != result.key and not name.startswith(f"{result.key}_"):
                msg = f"{slot}[{name!r}] does not belong to the key {result.key!r}: it must be called '{result.key}_<what>'."
                raise ValueError(msg)
            where = f"{slot}[{name!r}]"
            own = slot == "obsm" and name in result.own
            values.append((slot, name, _matrix(value, where, shape, own=True) if own else convert(value, where, shape)))
    if result.uns is not None:
        values.append(("uns", result.key, owned(result.uns, f"uns[{result.key!r}]")))
    for name, entry in result.more.items():
        check_key_name("a name in uns", name)
        values.append(("uns", name, owned(entry, f"uns[{name!r}]")))
    written = {(slot, name) for slot, name, _ in values}
    values += [(slot, name, _ABSENT) for slot, name in result.drop if (slot, name) not in written]
    return values


def _shape_error(where: str, got: tuple[int, ...], wanted: str) -> ValueError:
    return ValueError(f"{where} must have shape {wanted}, got {got}.")


def _column(value: Any, where: str, shape: tuple[int, ...]) -> Any:
    if isinstance(value, pd.Categorical):
        if len(value) != shape[0]:
            raise _shape_error(where, (len(value),), str(shape))
        return value.copy()
    array = _array(value, where)
    if array.shape != shape:
        raise _shape_error(where, array.shape, str(shape))
    return array


def _matrix(value: Any, where: str, shape: tuple[int, ...], *, own: bool = False) -> np.ndarray:
    array = value if own and value.flags.owndata and value.flags.c_contiguous else _array(value, where)
    if array.ndim != 2 or array.shape[0] != shape[0]:
        raise _shape_error(where, array.shape, f"({shape[0]}, k)")
    if array.dtype.kind not in "iuf" or not all(
        np.isfinite(array[i : i + 4096]).all() for i in range(0, len(array), 4096)
    ):
        msg = f"{where} must hold finite numbers only, got dtype {array.dtype} with values that are not."
        raise ValueError(msg)
    return array


def _layer(value: Any, where: str, shape: tuple[int, ...]) -> Any:
    matrix = value.copy() if sp.issparse(value) else _array(value, where)
    if matrix.shape != shape:
        raise _shape_error(where, matrix.shape, str(shape))
    return matrix


def _array(value: Any, where: str) -> np.ndarray:
    """Return an owned, writeable, C-ordered NumPy array of numbers, or of strings (as object, as files give them)."""
    if isinstance(value, np.ma.MaskedArray):
        msg = f"{where} is a masked array; fill the masked values first."
        raise TypeError(msg)
    array = np.array(value, order="C", subok=False)
    if array.dtype.kind in "biuf" and array.dtype.isnative:
        return array
    text = array.astype(object) if array.dtype.kind in "UT" else array
    if text.dtype == object and text.ndim == 1 and all(isinstance(item, str) for item in text):
        return text
    msg = f"{where} must be numbers, or one dimension of strings, got dtype {array.dtype} of shape {array.shape}."
    raise TypeError(msg)


def owned(value: Any, where: str) -> Any:
    """Return a copy of a value for `uns` that files can hold; `TypeError` or `ValueError` says where it is not one."""
    if value is None or isinstance(value, (bool, str, float)):
        return value if not isinstance(value, np.generic) else value.item()
    if isinstance(value, np.generic):
        return owned(value.item(), where)
    if isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            msg = f"{where} must fit 64 bits, got {value}."
            raise ValueError(msg)
        return value
    if isinstance(value, Mapping):
        for name in value:
            check_key_name(f"a key of {where}", name)
        return {name: owned(item, f"{where}[{name!r}]") for name, item in value.items()}
    if isinstance(value, pd.DataFrame):
        return _table(value, where)
    if hasattr(value, "__array__") and hasattr(value, "dtype") and not isinstance(value, (pd.Series, pd.Index)):
        return _array(value, where)
    msg = (
        f"{where} is of type {type(value).__name__}, which files cannot hold. Allowed are None, bool, int, float, str, "
        "dict, arrays of numbers, one-dimensional arrays of strings, and DataFrames."
    )
    raise TypeError(msg)


def _table(table: pd.DataFrame, where: str) -> pd.DataFrame:
    if table.shape[1] > _MAX_COLUMNS:
        msg = f"{where} has {table.shape[1]} columns, at most {_MAX_COLUMNS} are allowed. Store a matrix and two name arrays."
        raise ValueError(msg)
    if not table.columns.is_unique or table.index.nlevels > 1 or table.columns.nlevels > 1:
        msg = f"{where} must have unique column names and a simple index."
        raise ValueError(msg)
    copied = table.copy()
    for name in copied.columns:
        check_key_name(f"a column of {where}", name)
        column = copied[name]
        if isinstance(column.dtype, pd.CategoricalDtype) or column.dtype.kind in "biuf":
            continue
        if not all(isinstance(item, str) for item in column):
            msg = f"{where}[{name!r}] must hold numbers or strings only, got dtype {column.dtype}."
            raise TypeError(msg)
        copied[name] = column.astype(object)
    # A string index without a name: what files give back unchanged.
    copied.index = pd.Index([str(label) for label in copied.index], dtype=object)
    return copied


def keep_variables(adata: AnnData, index: np.ndarray, *, copy: bool = False) -> AnnData | None:
    """Keep the variables at `index`, in that order, with all that belongs to them; in place, or in a copy."""
    check_adata(adata, lazy=True)
    check_in_memory(adata)
    kept = adata[:, index].copy()
    if copy:
        return kept
    _become(adata, kept)
    return None


def replace_variables(
    adata: AnnData,
    result: Result,
    index: np.ndarray,
    names: np.ndarray,
    *,
    matrices: Mapping[str | None, Any] | None = None,
    copy: bool = False,
) -> AnnData | None:
    """
    Make the variables at `index`, under new `names`, those of `adata`, and write `result`; in place, or in a copy.

    `matrices` are X (under `None`) and all layers, n_obs × ``len(index)``, where they were computed anew; `varm` and `varp`
    are left out then. `raw` is left out in any case.
    """
    check_in_memory(adata)
    check_target(adata, result.key, kind="map_features", copy=copy)
    if matrices is None:
        made = adata[:, index].copy()
        del made.raw
        made.var_names = pd.Index(names, dtype=object)
    else:
        shell = adata[:, :0].copy()
        layers = {name: matrix for name, matrix in matrices.items() if name is not None}
        var = pd.DataFrame(adata.var.iloc[index]).set_axis(pd.Index(names, dtype=object))
        slots = {"obsm": dict(shell.obsm), "obsp": dict(shell.obsp), "layers": layers, "uns": shell.uns}
        made = AnnData(matrices.get(None), obs=shell.obs, var=var, **slots)
    made.var.index.name = None
    _assign(made, _validated(made, result))
    if copy:
        return made
    _become(adata, made)
    return None


def check_in_memory(adata: AnnData) -> None:
    if adata.isbacked:
        msg = "The variables of a backed AnnData cannot be changed in place. Load it first: adata = adata.to_memory()."
        raise NotImplementedError(msg)
