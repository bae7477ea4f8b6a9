"""The table of methods: one record each, read by the docs, by `cite` and by the contract tests."""

from __future__ import annotations

import importlib
import pkgutil
import re
import string
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from .checks import missing_key

SCALES = ("counts", "log", "zscore", "any")
LAYOUTS = ("dense", "csr", "csc", "backed", "dask")
TRANSFERS = ("instances", "features", "parameters", "relations")
SETTINGS = ("transductive", "inductive", "unsupervised")
DOORS = ("pp", "tl", "metrics", "get", "io", "datasets", "pl")
_SLOT = re.compile(r"(obs|var|obsm|varm|layers|uns)/\{key\}(_[a-z0-9_]+)?")
_VERB = re.compile(rf"({'|'.join(DOORS)})\.[a-z][a-z0-9_]*")
_OPTIONAL = re.compile(r"\[\[(.*?)\]\]", re.DOTALL)


@dataclass(frozen=True)
class Record:
    """A row of the table of methods."""

    name: str
    """The family's name: the file, the default key, the kind."""
    verb: str
    """The public function, e.g. ``tl.plier``."""
    title: str
    summary: str
    """One sentence: what question it answers."""
    writes: tuple[str, ...]
    """Slots that every run writes, e.g. ``obsm/{key}`` and ``obs/{key}_r2``."""
    scale: str
    """The scale of the data that is expected, one of `SCALES`."""
    layouts: tuple[str, ...]
    """Layouts of the matrix that are read, out of `LAYOUTS`."""
    transfers: tuple[str, ...]
    """What is transferred, out of `TRANSFERS`."""
    setting: tuple[str, ...]
    """The setting of transfer learning, out of `SETTINGS`."""
    citations: tuple[str, ...]
    """Keys of ``references.bib``."""
    paragraph: str
    """A sentence for the methods section; a part in ``[[ ]]`` is dropped if a value of it is not known."""
    sometimes: tuple[str, ...] = ()
    """Slots that some options or data write."""
    kind: str = ""
    """What ``uns[key]["kind"]`` says; the name of the record where nothing else is given."""
    behind: str = ""
    """Of a result about scores under another key, which ``params["key"]`` names: what stands behind that key in its own, as in
    ``plier_test``. It goes when the scores are made anew."""
    amends: bool = False
    """It adds to an entry of `uns` that another method has written."""
    guards: bool = False
    """It refuses to replace what others have written under its names; the rest replaces it, as scanpy does."""
    models: tuple[tuple[str, str], ...] = ()
    """Kinds of its models, and the class of each below ``omicstl.models``."""

    def __post_init__(self) -> None:
        problems = []
        if not re.fullmatch(r"[a-z][a-z0-9_]*", self.name):
            problems.append(f"name {self.name!r} is no lower-case word")
        if not _VERB.fullmatch(self.verb):
            problems.append(f"verb {self.verb!r} is no door and function such as 'tl.plier'")
        problems += [
            f"slot {slot!r} is not of the form 'obsm/{{key}}'" for slot in self.slots if not _SLOT.fullmatch(slot)
        ]
        for field, allowed in (("layouts", LAYOUTS), ("transfers", TRANSFERS), ("setting", SETTINGS)):
            given = getattr(self, field)
            if not given or len(set(given)) != len(given) or not set(given) <= set(allowed):
                problems.append(f"{field} {given!r} is no selection of {allowed!r}")
        if self.scale not in SCALES:
            problems.append(f"scale {self.scale!r} is not one of {SCALES!r}")
        problems += [
            f"{field} is empty" for field in ("title", "summary", "citations", "paragraph") if not getattr(self, field)
        ]
        if problems:
            msg = f"The record {self.name!r} is not valid: {'; '.join(problems)}."
            raise ValueError(msg)

    @property
    def slots(self) -> tuple[str, ...]:
        """All that a run may write."""
        return self.writes + self.sometimes

    def describe(self, values: Mapping[str, object]) -> str:
        """Fill the paragraph with `values`; what is not known is left out or called "not recorded"."""
        return fill(self.paragraph, values)


class _Known(dict[str, object]):
    def __missing__(self, name: str) -> str:
        return "(not recorded)"


def fill(template: str, values: Mapping[str, object]) -> str:
    """Fill ``{field}`` of a template; ``[[...]]`` disappears if one of its fields is missing or `None`."""
    known = _Known({name: _shown(value) for name, value in values.items() if value is not None})

    def optional(match: re.Match[str]) -> str:
        fields = [field for _, field, _, _ in string.Formatter().parse(match[1]) if field]
        return match[1] if all(field in known for field in fields) else ""

    return re.sub(r"\s+", " ", _OPTIONAL.sub(optional, template).format_map(known)).strip()


def _shown(value: object) -> object:
    return f"{value:.4g}" if isinstance(value, float) else value


@cache
def _collect() -> MappingProxyType[str, Record]:
    package = importlib.import_module("omicstl._core.records")
    found = {}
    for module in sorted(pkgutil.iter_modules(package.__path__), key=lambda m: m.name):
        row = getattr(importlib.import_module(f"{package.__name__}.{module.name}"), "RECORD", None)
        if not isinstance(row, Record) or row.name != module.name:
            msg = f"records/{module.name}.py must define RECORD, a Record of the name {module.name!r}."
            raise TypeError(msg)
        found[row.name] = row
    return MappingProxyType(found)


def records() -> dict[str, Record]:
    """Return the records of all methods by name."""
    return dict(_collect())


def record_of_kind(kind: object) -> Record | None:
    """Return the record whose results say `kind` in `uns`; `None` if there is none."""
    if not isinstance(kind, str):
        return None
    return next((row for row in _collect().values() if kind == (row.kind or row.name) and not row.amends), None)


def record(name: str) -> Record:
    """Return the record of one method."""
    table = _collect()
    if name not in table:
        raise missing_key(name, "the table of methods", table)
    return table[name]
