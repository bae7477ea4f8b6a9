"""An example is a list of changes, plain data that can be written down; here they are made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from anndata import AnnData

import omicstl as otl

from . import frames, matrices, paths, slots, values

Change = list[Any]
Arguments = dict[str, Any]
SETTINGS: dict[str, tuple[str, Any]] = {
    "small blocks": ("block_bytes", 1024),
    "no model in uns": ("model_in_adata", 0),
    "silent": ("verbosity", 0),
    "talkative": ("verbosity", 3),
    "bars": ("progress", True),
}
#: Changes that leave all values as they are: the answer is that of the plain path.
SAME = ("layout", "layout through")
_EXTRA: dict[str, Callable[[AnnData], Any]] = {
    "raw": lambda a: setattr(a, "raw", a.copy()),
    "no X": lambda a: setattr(a, "X", None),
    "obsp": lambda a: a.obsp.update(fuzz=np.ones((a.n_obs, a.n_obs))),
    "layer": lambda a: a.layers.update(other=np.full(a.shape, np.nan)),
    "no uns": lambda a: a.uns.clear(),
    "no varm": lambda a: a.varm.clear(),
    "no obsm": lambda a: a.obsm.clear(),
    "no obs": lambda a: [a.obs.pop(name) for name in list(a.obs)] and None,
}
EXTRA = tuple(_EXTRA)


def _argument(arguments: Arguments, name: str, value: str) -> None:
    arguments[name] = values.value(value)


def _layout(arguments: Arguments, name: str, slot: str, container: str, dtype: str, plain: bool) -> None:
    arguments[name] = matrices.layout(arguments[name], slot, container, dtype, plain=plain)


def _through(arguments: Arguments, name: str, option: str, container: str, dtype: str, plain: bool) -> None:
    adata: AnnData = arguments[name]
    slot = f"{matrices.SLOT_OF[option]}/{matrices.NAME}"
    matrices.put(adata, slot, np.array(matrices.dense(adata.X)))
    adata.X = np.zeros(adata.shape, np.float32)  # who reads X finds nothing
    arguments[name] = matrices.layout(adata, slot, container, dtype, plain=plain)
    arguments[option] = matrices.NAME


def _extra(arguments: Arguments, name: str, what: str) -> None:
    _EXTRA[what](arguments[name])


def _model_file(arguments: Arguments, name: str, path: str, what: str) -> None:
    given = arguments[name]
    tree = (given if hasattr(given, "to_dict") else otl.get.model(given)).to_dict()
    arguments[name] = slots.model_file(tree, path, what)


def _on(function: Callable[..., Any]) -> Callable[..., None]:
    def made(arguments: Arguments, name: str, *details: Any) -> None:
        arguments[name] = function(arguments[name], *details)

    return made


def _at(function: Callable[..., None]) -> Callable[..., None]:
    return lambda arguments, name, *details: function(Path(arguments[name]), *details)


#: In the order in which they are made.
MADE: dict[str, Callable[..., None]] = {
    "values": _on(matrices.values),
    "column": _on(frames.column),
    "slot": _on(slots.damage),
    "slot of a file": _on(slots.damage_in_file),
    "stored model": _on(slots.stored_model),
    "foreign": _on(slots.foreign),
    "extra": _extra,
    "names": _on(frames.names),
    "shape": _on(lambda adata, what: matrices.SHAPES[what](adata)),
    "layout": _layout,
    "layout through": _through,
    "through file": _on(slots.through_file),
    "model file": _model_file,
    "file": _at(paths.change),
    "data set": _at(paths.data_set),
    "obstacle": _at(paths.obstacle),
    "argument": _argument,
}


def made(arguments: Arguments, changes: list[Change], *, plain: bool = False) -> Arguments:
    """Make all changes of an example; `plain`: without the layouts."""
    for kind, *details in sorted(changes, key=lambda change: list(MADE).index(change[0]) if change[0] in MADE else -1):
        if kind in SAME:
            MADE[kind](arguments, *details, plain)
        elif kind != "setting":
            MADE[kind](arguments, *details)
    return arguments


def settings_of(changes: list[Change]) -> dict[str, Any]:
    return dict(SETTINGS[details[0]] for kind, *details in changes if kind == "setting")


def only_layouts(changes: list[Change]) -> bool:
    """Whether the answer must be that of the plain path."""
    return any(kind in SAME for kind, *_ in changes)


def endless(changes: list[Change]) -> bool:
    """Whether an argument asks for work without an end."""
    return any(kind == "argument" and details[1] in values.ENDLESS for kind, *details in changes)
