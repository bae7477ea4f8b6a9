"""Every public function and record refuses every wrong kind of every argument, in words of its own."""

from __future__ import annotations

import datetime as dt
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import omicstl as otl
from omicstl._core.public import KINDS
from tests.contract._house import public_functions

RECORDS = {f"tl.{name}": getattr(otl.tl, name) for name in otl.tl.__all__ if isinstance(getattr(otl.tl, name), type)}
CALLED: dict[str, Callable[..., Any]] = dict(public_functions()) | RECORDS | {"cite": otl.cite}
#: One value of every kind that python, numpy and pandas users hold, and the annotations that it is right for.
TEXT, WHOLE, REAL, NAMES = {"str"}, {"int", "float", "SeedLike"}, {"float"}, {"Sequence[str]", "Iterable[str]"}
VALUES: list[tuple[Any, set[str]]] = [
    (None, {"None", "SeedLike"}),
    (True, {"bool"}),
    (np.False_, {"bool"}),
    (3, WHOLE),
    (np.int64(3), WHOLE),
    (3.5, REAL),
    (np.float32(3.5), REAL),
    (float("nan"), REAL),
    (1j, set()),
    ("junk", TEXT),
    (b"junk", set()),
    (Path("junk"), {"Path"}),
    (["a"], NAMES),
    (("a", "b"), NAMES),
    (pd.Index(["a"]), NAMES),
    (pd.Series(["a"]), NAMES),
    (np.array(["a"], dtype=object), NAMES | {"np.ndarray"}),
    ([1, 2], {"Sequence[int]", "Sequence[float]", "Iterable[str]"}),
    ((0.5,), {"Sequence[float]", "tuple[float, ...]", "Iterable[str]"}),
    ([None], {"Iterable[str]"}),
    ([["a"]], {"Iterable[str]"}),
    (np.array(3), {"np.ndarray", "Iterable[str]"}),
    (np.ones((2, 2)), {"np.ndarray", "Iterable[str]"}),
    ({"a": ["b"]}, {"dict[str, list[str]]", "Mapping[str, Iterable[str]]", "Mapping[str, str]", "Iterable[str]"}),
    ({"a"}, {"Iterable[str]"}),
    (pd.DataFrame({"a": [1.0]}), {"pd.DataFrame", "Iterable[str]"}),
    (pd.Timestamp("2026-01-01"), set()),
    (dt.date(2026, 1, 1), set()),
    (pd.NA, set()),
    (np.random.default_rng(0), {"SeedLike"}),
    (np.random.RandomState(0), set()),
    (object(), set()),
    (len, set()),
    (int, set()),
    (AnnData(np.ones((2, 2))), {"AnnData"}),
    (otl.tl.Training(), {"Training"}),
    (otl.tl.Coral(), {"Adaptation"}),
    (otl.tl.Mmd(), {"Alignment"}),
]
ARGUMENTS = [
    (name, parameter.name, str(parameter.annotation))
    for name, function in sorted(CALLED.items())
    for parameter in inspect.signature(function).parameters.values()
]


@pytest.mark.parametrize(("name", "argument", "annotation"), ARGUMENTS, ids=lambda value: value)
def test_wrong_kinds_are_refused(name: str, argument: str, annotation: str) -> None:
    allowed = set(annotation.split(" | "))
    wrong = [value for value, right in VALUES if not right & allowed and "Any" not in allowed]
    for value in wrong:
        with pytest.raises(TypeError, match=f"`{argument}` must be ") as caught:
            CALLED[name](**{argument: value})
        assert caught.traceback[-1].path.name == "public.py"
        assert len(str(caught.value)) < 500


@pytest.mark.parametrize("name", sorted(CALLED))
def test_every_annotation_says_a_kind(name: str) -> None:
    """What is no class of this package must be in the table, or a wrong value would pass or a right one be refused."""
    for parameter in inspect.signature(CALLED[name]).parameters.values():
        for part in str(parameter.annotation).split(" | "):
            assert part in KINDS or f"tl.{part}" in RECORDS


@pytest.mark.parametrize("name", sorted(CALLED))
def test_unknown_and_missing_arguments_are_named(name: str) -> None:
    parameters = inspect.signature(CALLED[name]).parameters
    with pytest.raises(TypeError, match="argument 'not_there'"):
        CALLED[name](not_there=1)
    needed = [
        one.name for one in parameters.values() if one.default is one.empty and one.kind is not one.VAR_POSITIONAL
    ]
    if needed:
        with pytest.raises(TypeError, match=rf"^otl\.{name} needs '{needed[0]}'"):
            CALLED[name]()


def test_kinds_stay_what_they_were() -> None:
    """Every value of the table above is right for some annotation, or for none on purpose."""
    for value, right in VALUES:
        found = {name for name, kind in KINDS.items() if kind.holds(value)}
        same = {"base.Model": "Model"}
        assert {same.get(name, name) for name in found} - {"Any", "Model"} == {name for name in right if name in KINDS}
