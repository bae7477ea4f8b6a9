"""Changes of what stands in the slots: entries that are missing, foreign or damaged, and models of right checksum and wrong content."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from omicstl._data import store

ROOMS = ("uns", "obsm", "varm", "layers", "obsp", "varp")


def paths(tree: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Every entry of a nested dict, inner ones too, joined by a stroke."""
    for name, item in tree.items():
        yield f"{prefix}{name}"
        if isinstance(item, Mapping):
            yield from paths(item, f"{prefix}{name}|")


def holder(tree: Any, path: str) -> tuple[Any, str]:
    """The innermost mapping of a path and the name in it."""
    *parts, last = path.split("|")
    for part in parts:
        tree = tree[part]
    return tree, last


def _array(value: Any, change: Callable[[np.ndarray], Any]) -> Any:
    if isinstance(value, pd.DataFrame):
        return value.apply(lambda column: change(column.to_numpy()))
    return change(np.asarray(value))


def _set_first(new: Any) -> Callable[[np.ndarray], Any]:
    def change(x: np.ndarray) -> Any:
        if x.dtype.kind not in "biufc":
            x = x.astype(object)
        elif x.dtype.kind != "c":
            x = x.astype(float)
        x = x.copy()
        if x.size:
            x.flat[0] = new
        return x

    return change


def _number(value: Any, of: Callable[[float], Any]) -> Any:
    if isinstance(value, (bool, np.bool_)):
        return not value
    if isinstance(value, (int, float, np.number)):
        return of(value)
    return _array(value, lambda x: of(x) if x.dtype.kind in "iuf" else x[::-1])


#: What becomes of an entry; a change that its content does not allow is no example.
DAMAGE: dict[str, Callable[[Any], Any]] = {
    "None": lambda v: None,
    "text": lambda v: "junk",
    "empty text": lambda v: "",
    "number": lambda v: 3,
    "large number": lambda v: 10**9,
    "negative": lambda v: _number(v, lambda x: -x - 1),
    "zero": lambda v: _number(v, lambda x: x * 0),
    "huge": lambda v: _number(v, lambda x: x * 1e300),
    "nan": lambda v: float("nan"),
    "True": lambda v: True,
    "list": lambda v: list(v) if isinstance(v, (np.ndarray, dict)) else [v],
    "empty list": lambda v: [],
    "dict": lambda v: {"junk": 1},
    "empty dict": lambda v: {},
    "empty array": lambda v: np.array([]),
    "number array": lambda v: np.arange(3.0),
    "2-d array": lambda v: np.ones((2, 2)),
    "object array": lambda v: np.array([None, "a", 1], dtype=object),
    "table": lambda v: pd.DataFrame({"a": [1.0]}),
    "bytes": lambda v: b"junk",
    "sparse": lambda v: sp.csr_matrix(_array(v, np.atleast_2d)),
    "as table": lambda v: pd.DataFrame(np.asarray(v)),
    "as float16": lambda v: _array(v, lambda x: x.astype(np.float16)),
    "as text": lambda v: _array(v, lambda x: x.astype(str)),
    "as objects": lambda v: _array(v, lambda x: x.astype(object)),
    "as complex": lambda v: _array(v, lambda x: x + 1j),
    "big endian": lambda v: _array(v, lambda x: x.astype(x.dtype.newbyteorder(">"))),
    "first nan": lambda v: _array(v, _set_first(np.nan)),
    "first inf": lambda v: _array(v, _set_first(np.inf)),
    "first 1e300": lambda v: _array(v, _set_first(1e300)),
    "first negative": lambda v: _array(v, _set_first(-1)),
    "first None": lambda v: _array(v, _set_first(None)),
    "all nan": lambda v: _array(v, lambda x: np.full(x.shape, np.nan)),
    "shorter": lambda v: v.iloc[:-1] if isinstance(v, pd.DataFrame) else np.asarray(v)[:-1],
    "longer": lambda v: np.concatenate([np.asarray(v), np.asarray(v)[:1]]),
    "narrower": lambda v: v.iloc[:, :-1] if isinstance(v, pd.DataFrame) else np.asarray(v)[:, :-1],
    "transposed": lambda v: np.asarray(v).T,
    "one dimension more": lambda v: np.asarray(v)[..., None],
    "scalar": lambda v: np.asarray(v).ravel()[0],
    "doubled names": lambda v: np.repeat(np.asarray(v)[:1], len(v)),
    "shuffled": lambda v: v.iloc[::-1] if isinstance(v, pd.DataFrame) else np.asarray(v)[::-1],
    "columns renamed": lambda v: v.rename(columns=lambda name: f"{name}x"),
    "index renamed": lambda v: v.rename(index=lambda name: f"{name}x"),
}
WHOLE = ("missing", "added")
FOREIGN: dict[str, Callable[[], Any]] = {
    "None": lambda: None,
    "text": lambda: "junk",
    "list": lambda: [1, "a"],
    "kind alone": lambda: {"kind": "plier"},
    "kind number": lambda: {"kind": 3},
    "kind of others": lambda: {"kind": "junk", "version": 1, "model": {}},
    "model alone": lambda: {"model": {"kind": "plier", "version": 1}},
    "model text": lambda: {"kind": "plier", "model": "junk"},
    "projection": lambda: {"kind": "projection", "reference": None},
    "deep": lambda: {"a": {"b": {"c": np.ones(3)}}},
    "table": lambda: pd.DataFrame({"a": [1.0]}),
    "scanpy": lambda: {"params": {"groupby": "group"}, "names": np.rec.fromarrays([["a"]], names=["x"])},
}


def damage(adata: AnnData, room: str, path: str, what: str) -> AnnData:
    """Remove or change an entry of a slot."""
    model(getattr(adata, room), path, what)
    return adata


def damage_in_file(adata: AnnData, room: str, path: str, what: str) -> AnnData:
    """The same, written to an ``.h5ad`` and read again, as far as that can hold it."""
    return through_file(damage(adata, room, path, what), "again")


def foreign(adata: AnnData, room: str, name: Any, what: str) -> AnnData:
    """Put something of somebody else under a name."""
    if room == "uns":
        adata.uns[name] = FOREIGN[what]()
    else:
        n = adata.n_obs if room == "obsm" else adata.n_vars
        getattr(adata, room)[name] = {
            "table": lambda: pd.DataFrame({"a": ["x"] * n}, index=getattr(adata, f"{room[:3]}_names"))
        }.get(what, lambda: np.ones((n, 2)))()
    return adata


def model(tree: dict[str, Any], path: str, what: str) -> dict[str, Any]:
    """Remove or change an entry of a tree: a model in its stored form."""
    inner, name = holder(tree, path)
    if what == "missing":
        del inner[name]
    elif what == "added":
        inner[f"{name}_junk"] = "junk"
    else:
        inner[name] = DAMAGE[what](inner[name])
    return tree


def copied(tree: Any) -> Any:
    """A deep copy of a nested dict of arrays."""
    if isinstance(tree, Mapping):
        return {name: copied(item) for name, item in tree.items()}
    return tree.copy() if hasattr(tree, "copy") else tree


def stored_model(adata: AnnData, key: str, path: str, what: str) -> AnnData:
    """Damage the model within an AnnData and note the digest of what it is then."""
    entry = adata.uns[key]
    entry["model"] = model(copied(entry["model"]), path, what)
    entry["digest"] = store.digest(entry["model"])
    return adata


def model_file(tree: Mapping[str, Any], path: str, what: str) -> Path:
    """Write a damaged model with the sums of what it holds."""
    file = Path("damaged.npz")
    store.write_model(file, model(copied(tree), path, what))
    return file


def through_file(adata: AnnData, suffix: str) -> Any:
    """The same object after a round trip; ``path`` names the file in its place."""
    file = Path("through.h5ad")
    adata.write_h5ad(file)
    return file if suffix == "path" else ad.read_h5ad(file)
