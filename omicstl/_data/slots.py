"""Which slots belong to which result: what one has written, what rests on it, and what goes with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from omicstl._core.registry import Record, record_of_kind

if TYPE_CHECKING:
    from anndata import AnnData

Slot = tuple[str, str]  # a slot, and the name in it


def written_under(adata: AnnData, key: str) -> list[Slot]:
    """
    What the result under `key` has written and is still there: what its entry says, or of older ones what the record of its kind says.

    What is itself a result under a key of its own is not meant, unless it is about this one.
    """
    entry = adata.uns.get(key)
    row = _record_of(entry)
    if row is None or not isinstance(entry, Mapping):
        return []
    slots = tuple(str(slot) for slot in np.ravel(entry["slots"])) if "slots" in entry else row.slots
    found = places_of(adata, tuple(slot for slot in slots if slot in row.slots), key)
    return [place for place in found if not of_another(adata, place[1], key)]


def of_another(adata: AnnData, name: str, key: str) -> bool:
    """Whether `name` is the key of another result, which is not about the scores under `key`."""
    if name == key or _record_of(adata.uns.get(name)) is None:
        return False
    return not _is_about(adata.uns[name], key)


def _record_of(entry: object) -> Record | None:
    """The record of a result of ours."""
    if not isinstance(entry, Mapping) or not isinstance(entry.get("version"), int | np.integer):
        return None
    return record_of_kind(entry.get("kind"))


def _is_about(entry: object, key: str) -> bool:
    """Whether a result was computed from the scores under `key`."""
    row = _record_of(entry)
    params = entry.get("params") if isinstance(entry, Mapping) else None
    of = params.get("key") if isinstance(params, Mapping) else None
    return row is not None and bool(row.behind) and isinstance(of, str) and of == key


def stale(adata: AnnData, row: Record, key: str) -> tuple[Slot, ...]:
    """What goes when a result of `row` is written: that of the earlier one, and what was computed from its scores or weights."""
    found = dict.fromkeys(written_under(adata, key))
    for name, entry in adata.uns.items():
        about = _is_about(entry, key) if not row.behind else _rests_on(entry, row, adata.uns.get(key))
        if about and name != key:
            found |= dict.fromkeys(written_under(adata, name))
    return tuple(found)


def _rests_on(entry: object, row: Record, earlier: object) -> bool:
    """Whether a result looked at the weights, such as attributions, that an `earlier` result of `row` has written."""
    if not isinstance(earlier, Mapping) or not isinstance(earlier.get("params"), Mapping):
        return False
    of = earlier["params"].get("key")
    return isinstance(of, str) and _is_about(entry, of) and entry["params"].get("weights") == row.name  # type: ignore[index]


def names_of(slots: Iterable[str], key: str) -> list[Slot]:
    """Slots as records write them, such as ``obsm/{key}_sd``, under a key."""
    pairs = (slot.format(key=key).split("/", 1) for slot in slots)
    return [(room, name) for room, name in pairs]


def places_of(adata: AnnData, slots: Iterable[str], key: str) -> list[Slot]:
    """Those that are there."""
    return [(room, name) for room, name in names_of(slots, key) if name in getattr(adata, room)]


def shown(places: list[Slot]) -> str:
    """As a user writes them."""
    return " and ".join(f"adata.{room}[{name!r}]" for room, name in places)
