"""What every verb does around its fit, once, driven by its record.

Before any work the target is checked; after it the model is stored, one `Result` is written, and what an earlier result under the
same key has left, or what was computed from it, goes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from omicstl._core.log import info, warn
from omicstl._core.registry import Record, record
from omicstl._core.settings import settings
from omicstl._data import store
from omicstl._data.commit import Result, check_target, commit
from omicstl._data.files import ModelFileError, What, check_space, try_file
from omicstl._data.slots import Slot, names_of, of_another, places_of, shown, stale, written_under

if TYPE_CHECKING:
    from anndata import AnnData

OTHER_FILES = (".h5ad", ".zarr", ".rds")


class Storable(Protocol):
    """A fitted model, as far as it is written."""

    @property
    def kind(self) -> str:
        """Names the class."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """Stored form."""
        ...


@dataclass
class Run:
    """One call of a verb: made by `start` before any work, asked to write after it."""

    record: Record
    adata: AnnData
    key: str
    copy: bool
    model_path: Path | None
    written: list[Slot] = field(default_factory=list)
    """What `commit` has written."""

    def check_size(self, n_bytes: int, what: str, fewer: str, *, file: bool = True) -> None:
        """
        Refuse, before the fit, a model that is too large to travel in the AnnData.

        `what` says of what size it is, `fewer` what can be asked for instead, `file` whether the verb has a `model_path`.
        """
        if self.model_path is not None:
            check_space(self.model_path, n_bytes, _written(self.record.name))
        if self.model_path is not None or n_bytes <= settings.model_in_adata:
            return
        ways = f"Pass model_path='{self.record.name}.npz' to keep it in a file, {fewer}" if file else f"Take {fewer}"
        msg = (
            f"The model would take {n_bytes / 2**20:.0f} MB ({what}), above the {settings.model_in_adata / 2**20:.0f} MB that may "
            f"travel in an AnnData. {ways}, or raise otl.settings.model_in_adata."
        )
        raise ValueError(msg)

    def there(self) -> list[Slot]:
        """Slots that the record names and that exist, but the entry of the key."""
        return [place for place in places_of(self.adata, self.record.slots, self.key) if place != ("uns", self.key)]

    def guard(self) -> None:
        """Refuse to replace what no run under this key has written."""
        mine = set(stale(self.adata, self.record, self.key))
        found = [place for place in self.there() if place not in mine]
        if found:
            msg = f"{shown(found)} would be replaced and were not written by a run under the key {self.key!r}. Choose another `key_added`."
            raise ValueError(msg)

    def check_beside(self, *slots: str) -> None:
        """Refuse to leave beside the new result what stands in `slots`, which it does not write, and is not of a run under the key."""
        mine = set(written_under(self.adata, self.key))
        left = [place for place in places_of(self.adata, slots, self.key) if place not in mine]
        if left:
            msg = (
                f"{shown(left)} would stay beside the new scores of {self.key!r} and belong to others. Choose another `key_added`, "
                f"or delete them: del {shown(left[:1])}."
            )
            raise ValueError(msg)

    def commit(
        self,
        about: Mapping[str, Any],
        *,
        params: Mapping[str, Any],
        model: Storable | None = None,
        names: np.ndarray | None = None,
        obs: Mapping[str, Any] | None = None,
        var: Mapping[str, Any] | None = None,
        obsm: Mapping[str, Any] | None = None,
        varm: Mapping[str, Any] | None = None,
        more: Mapping[str, Mapping[str, Any]] | None = None,
        own: bool = False,
    ) -> AnnData | None:
        """
        Write a result, or a copy with it.

        `about` are entries of ``uns[key]`` beside `params`, `names` and the `model`; `more` are further entries of `uns`. Names in slots are what
        stands behind the key: ``""`` for the key itself, ``"_sd"``. `own`: ``obsm[key]`` belongs to nobody else and need not be copied.
        """
        uns: dict[str, Any] = {"kind": self.record.kind or self.record.name, "version": 1, "params": dict(params)}
        if names is not None:
            uns["names"] = names
        tree = None if model is None else model.to_dict()
        uns |= {**about, **({} if tree is None else self._stored(tree))}
        columns = {"obs": obs or {}, "var": var or {}, "obsm": obsm or {}, "varm": varm or {}}
        entries = {f"{self.key}{end}": entry for end, entry in (more or {}).items()}
        slots = [f"{room}/{{key}}{end}" for room, new in columns.items() for end in new]
        slots += ["uns/{key}", *(f"uns/{{key}}{end}" for end in more or {})]
        uns["slots"] = np.array(slots, dtype=object)
        unnamed = sorted(set(slots) - set(self.record.slots))
        if unnamed:
            msg = f"The record of {self.record.verb} does not name {', '.join(unnamed)}."
            raise RuntimeError(msg)
        named = {room: {f"{self.key}{end}": value for end, value in new.items()} for room, new in columns.items()}
        drop, own_slots = stale(self.adata, self.record, self.key), (self.key,) if own else ()
        result = Result(self.key, **named, uns=uns, more=entries, drop=drop, own=own_slots)
        if model is None or tree is None or self.model_path is None:
            changed = commit(self.adata, result, copy=self.copy)
        else:
            changed = self._commit_with_file(result, model, tree, self.model_path)
        self.written = names_of(slots, self.key)
        gone = [place for place in drop if place[0] == "uns" and place not in self.written]
        if gone:
            info(f"Removed, as it was computed from the earlier scores of {self.key!r}: {shown(gone)}.")
        return changed

    def _commit_with_file(self, result: Result, model: Storable, tree: dict[str, Any], path: Path) -> AnnData | None:
        """Write the model to its file, then the rest; if the file fails, keep the model in the AnnData, or give it to the user."""

        def keep() -> None:
            try:
                store.write_model(path, tree, _written(self.record.name))
            except OSError as error:
                way_out = (
                    f"The fit is not lost: make room or choose a place, and call otl.io.write_model({str(path)!r}, error.model), where "
                    "`error` is this exception (sys.last_value in a console). `adata` is unchanged."
                )
                lost = ModelFileError(f"{error} {way_out}", model)
                lost.errno = error.errno
                raise lost from error

        try:
            return commit(self.adata, result, copy=self.copy, before=keep)
        except ModelFileError as error:
            if store.n_bytes(tree) > settings.model_in_adata:
                raise
            warn(
                f"{error.__cause__} The model is kept in adata.uns[{self.key!r}]['model'] instead. To write it later: "
                f"otl.io.write_model({str(path)!r}, otl.get.model(adata, {self.key!r}))."
            )
        return commit(self.adata, replace(result, uns={**(result.uns or {}), "model": tree}), copy=self.copy)

    def amend(self, about: Mapping[str, Any]) -> AnnData | None:
        """Add to the entry under the key what this verb has found out about it; all else stays."""
        return commit(self.adata, Result(self.key, uns={**self.adata.uns[self.key], **about}), copy=self.copy)

    def tell(self, *sentences: str) -> None:
        """Say what was done, and where it stands."""
        for sentence in sentences[:-1]:
            info(sentence)
        rooms = dict.fromkeys(room for room, _ in self.written if room != "uns")
        where = f"{', '.join(rooms)} and " if rooms else ""
        info(f"{sentences[-1]} Written to {where}uns[{self.key!r}].")

    def _stored(self, tree: dict[str, Any]) -> dict[str, Any]:
        """The model, or where it is going to be, with its version and digest."""
        digest = store.digest(tree)
        stored: dict[str, Any] = tree
        if self.model_path is not None:
            place, size = str(self.model_path), store.n_bytes(tree)
            stored = {"kind": tree["kind"], "path": place, "digest": digest, "n_bytes": size}
        return {"version": tree["version"], "digest": digest, "model": stored}


def start(
    name: str,
    adata: AnnData,
    key: str,
    *,
    copy: bool,
    model_path: str | Path | None = None,
    reads: Mapping[str, Sequence[tuple[str, str | None]]] | None = None,
) -> Run:
    """
    Check, before any work is done, what the verb of the record `name` is going to write to.

    Parameters
    ----------
    name
        Name of the record.
    adata
        Receives the result.
    key
        Name of everything that is written.
    copy
        Whether a copy receives it instead.
    model_path
        File for the model.
    reads
        Slots that the verb reads, by the argument that named them: they must not be replaced by what it writes.

    Returns
    -------
    What writes the result.

    Raises
    ------
    TypeError
        If `adata` is no AnnData, or an argument is of another type.
    ValueError
        If something that is there, and not of an earlier run under the key, would be replaced.
    FileNotFoundError
        If the folder of `model_path` does not exist.
    IsADirectoryError
        If `model_path` is a folder.
    FileExistsError
        If `model_path` is a device, a pipe or a socket.
    OSError
        If no file can be written there.
    NotImplementedError
        If `adata` is backed and would have to be copied.
    """
    row = record(name)
    path = None if model_path is None else _checked_path(model_path, name)
    kind = row.kind or name
    check_target(adata, key, kind=None if row.behind or row.amends else kind, copy=copy)
    there = adata.uns.get(key)
    if row.behind and there is not None and not (isinstance(there, Mapping) and there.get("kind") == kind):
        msg = f"adata.uns[{key!r}] holds something else than a result of {row.verb}. Choose another name: key_added='{key}_{row.behind}'."
        raise ValueError(msg)
    run = Run(row, adata, key, copy, path)
    taken = [place for place in run.there() if of_another(adata, place[1], key)]
    if taken:
        msg = f"{shown(taken)} would be replaced, and is of the result under the key {taken[0][1]!r}. Choose another `key_added`."
        raise ValueError(msg)
    _check_reads(run, reads or {})
    if row.guards:
        run.guard()
    return run


def _check_reads(run: Run, reads: Mapping[str, Sequence[tuple[str, str | None]]]) -> None:
    """Refuse to write over what is read."""
    there = run.there()
    for argument, places in reads.items():
        taken = [place for place in there if place in places]
        if taken:
            msg = f"`{argument}` is {shown(taken)}, which the result would replace. Choose another `key_added`, not {run.key!r}."
            raise ValueError(msg)


def reference_of(model: Storable, key: str | None) -> dict[str, Any]:
    """What a result says of the model that it was made with, and of its key in the reference (`None` outside of an AnnData)."""
    return {"kind": model.kind, "digest": store.digest(model.to_dict()), "key": key}


def spread_out(adata: AnnData, columns: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Values of some variables (p, k) at their places among all of them (n_vars, k) float32, zero elsewhere."""
    out = np.zeros((adata.n_vars, values.shape[1]), dtype=np.float32)
    out[columns] = values
    return out


def _checked_path(model_path: str | Path, name: str) -> Path:
    """Refuse a place that no model can be written to, before the fit and not after it."""
    path = Path(model_path)
    if path.suffix.lower() in OTHER_FILES:
        msg = f"`model_path` is for the model alone, and {path.name!r} is the name of another kind of file. Use {path.stem + '.npz'!r}."
        raise ValueError(msg)
    try_file(path, _written(name))
    return path


def _written(name: str) -> What:
    return What("model_path", "the model", f"{name}.npz")
