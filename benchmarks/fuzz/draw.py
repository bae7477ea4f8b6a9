"""hypothesis draws the examples: a batch from a seed of its own, so that any of them can be drawn again alone."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from anndata import AnnData
from hypothesis import HealthCheck, Phase, given, seed as seeded, settings, strategies as st

import omicstl as otl

from . import frames, matrices, paths, slots, values
from .changes import EXTRA, SETTINGS, Change
from .subjects import Subject, subjects

BATCH = 100
#: Families that are drawn more often than others.
_OFTEN = (
    "values",
    "column",
    "names",
    "layout",
    "layout",
    "layout through",
    "slot",
    "slot",
    "stored model",
    "model file",
    "file",
    "file",
)


def _each(*parts: Any) -> st.SearchStrategy[Change]:
    """A list of a fixed word or a drawn one at each place."""
    chosen = [part if isinstance(part, st.SearchStrategy) else st.just(part) for part in parts]
    return st.tuples(*chosen).map(list)


def _any(options: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from(list(options))


def _of_adata(name: str, adata: AnnData, subject: Subject, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Families of changes of an AnnData."""
    kept = [*(f"layers/{key}" for key in adata.layers), *(f"obsm/{key}" for key in adata.obsm)]
    slots_here = _any(["X", "X", *kept])
    used = [v for v in arguments.values() if isinstance(v, str)]
    columns = [("obs", c) for c in adata.obs for _ in range(9 if c in used else 1)] + [("var", c) for c in adata.var]
    rooms = [(room, path) for room in slots.ROOMS for path in slots.paths(getattr(adata, room))]
    models = [
        key
        for key, entry in adata.uns.items()
        if isinstance(entry, Mapping) and isinstance(entry.get("model"), Mapping)
    ]
    dtypes, containers = _any(matrices.DTYPES), _any(matrices.CONTAINERS)
    options = [option for option in ("layer", "obsm") if option in subject.parameters and name == "adata"]
    found: dict[str, Any] = {
        "values": _each("values", name, slots_here, _any(matrices.WHAT), _any(matrices.WHERE)),
        "names": _each("names", name, _any(("obs", "var")), _any(frames.NAMES)),
        "shape": _each("shape", name, _any(matrices.SHAPES)),
        "extra": _each("extra", name, _any(EXTRA)),
        "layout": st.one_of(
            _each("layout", name, slots_here, containers, dtypes),
            _each("layout", name, "X", _any(matrices.WHOLE), dtypes),
        ),
        "through file": _each("through file", name, _any(("again", "path"))),
        "foreign": st.one_of(
            _each("foreign", name, "uns", _any((*subject.keys, "other", 7, "a/b")), _any(slots.FOREIGN)),
            _each("foreign", name, _any(("obsm", "varm")), _any((*subject.keys, "other")), _any(("table", "array"))),
        ),
    }
    if options:
        found["layout through"] = _each("layout through", name, _any(options), containers, dtypes)
    if columns:
        kinds = _any((*frames.COLUMNS, *frames.WHOLE))
        found["column"] = st.tuples(_any(columns), kinds).map(lambda both: ["column", name, *both[0], both[1]])
    if rooms:
        kinds = _any((*slots.DAMAGE, *slots.WHOLE, "missing", "missing", "missing"))
        for kind in ("slot", "slot of a file"):
            found[kind] = st.tuples(_any(rooms), kinds).map(lambda both, kind=kind: [kind, name, *both[0], both[1]])
    if models:
        leaves = [(key, path) for key in models for path in slots.paths(adata.uns[key]["model"])]
        kinds = _any((*slots.DAMAGE, *slots.WHOLE))
        found["stored model"] = st.tuples(_any(leaves), kinds).map(
            lambda both: ["stored model", name, *both[0], both[1]]
        )
    return found


def _of_path(name: str, start: Path) -> dict[str, Any]:
    if not start.exists():
        return {}
    found = {"file": _each("file", name, _any(paths.files(start)), _any(paths.FILES))}
    if start.suffix == ".h5":
        found["data set"] = _each("data set", name, _any(paths.data_sets(start)), _any(paths.SETS))
    return found


def _families(subject: Subject) -> dict[str, list[Any]]:
    """Strategies by the name of their family; functions without arguments still have settings."""
    arguments, found = subject.make(), {"setting": [_each("setting", _any(SETTINGS))]}

    def add(more: Mapping[str, Any]) -> None:
        for family, strategy in more.items():
            found.setdefault(family, []).append(strategy)

    every = _any(values.VALUES)
    for name in subject.parameters:
        add({"argument": _each("argument", name, every)})
        if right := values.edges(subject, name):
            add({"edge": _each("argument", name, _any(right))})
    texts = [name for name, p in subject.parameters.items() if "str" in str(p.annotation)]
    words = _words(arguments)
    if texts and words:
        add({"word": _each("argument", _any(texts), _any(words))})
    for name, value in arguments.items():
        if isinstance(value, AnnData):
            add(_of_adata(name, value, subject, arguments))
        elif isinstance(value, Path):
            add(_of_path(name, value))
        takes_model = "Model" in str(subject.parameters[name].annotation)
        tree = _model_tree(value) if takes_model or subject.name == "io.read_model" else None
        if tree:
            add(
                {
                    "model file": _each(
                        "model file", name, _any(list(slots.paths(tree))), _any((*slots.DAMAGE, *slots.WHOLE))
                    )
                }
            )
    for name in subject.files:
        add({"obstacle": _each("obstacle", name, _any(paths.OBSTACLES))} if name in arguments else {})
    return found


def _model_tree(value: Any) -> dict[str, Any] | None:
    if isinstance(value, Path):
        return otl.io.read_model(value).to_dict()
    if hasattr(value, "to_dict"):
        return value.to_dict()
    fitted = isinstance(value, AnnData) and any(isinstance(e, Mapping) and "model" in e for e in value.uns.values())
    return otl.get.model(value).to_dict() if fitted else None


def _words(arguments: Mapping[str, Any]) -> list[str]:
    """Names that stand somewhere in the AnnData objects: of columns, slots, variables and factors."""
    found: list[str] = []
    for value in arguments.values():
        if isinstance(value, AnnData):
            found += [*value.obs, *value.var, *value.obsm, *value.varm, *value.uns, *value.layers, *value.var_names[:2]]
            found += [
                str(name)
                for entry in value.uns.values()
                if isinstance(entry, Mapping)
                for name in list(entry.get("names", ()))[:2]
            ]
    return [f"={word}" for word in dict.fromkeys(map(str, found))]


@lru_cache(maxsize=4)
def strategy(name: str) -> st.SearchStrategy[list[Change]]:
    """One or two changes of a valid call."""
    families = _families(subjects()[name])
    weights = [
        *families,
        *(family for family in _OFTEN if family in families),
        *["argument", "edge"] * 2 * ("edge" in families),
    ]

    @st.composite
    def change(draw: Any) -> Change:
        return draw(_any(families[draw(_any(weights))]).flatmap(lambda one: one))

    return st.lists(change(), min_size=1, max_size=2, unique_by=_target)


def _target(change: Change) -> tuple[Any, ...]:
    """What a change is made to; two of an example are made to two things."""
    return tuple(change[: 2 if change[0] in ("argument", "shape", "extra", "through file", "model file") else 3])


@lru_cache(maxsize=8)
def batch(name: str, number: int, seed: int) -> list[list[Change]]:
    """The examples ``number * BATCH`` and following of a function; where there are fewer than that, they come again."""
    found: list[list[Change]] = []
    own = hashlib.sha256(f"{name} {number} {seed}".encode()).digest()

    @seeded(int.from_bytes(own[:6], "big"))
    @settings(
        max_examples=BATCH,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy(name))
    def collect(changes: list[Change]) -> None:
        found.append(changes)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        collect()
    return (found * BATCH)[:BATCH]


def example(name: str, number: int, seed: int) -> list[Change]:
    """The changes of one example."""
    return batch(name, number // BATCH, seed)[number % BATCH]
