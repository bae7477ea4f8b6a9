"""Values of arguments, by a name that can be written down: every kind, and the edges of the right one."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import fractions
import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

import omicstl as otl

from .subjects import Subject


class _Word(str):
    """A text of a kind of its own."""


class _Number(enum.IntEnum):
    TWO = 2


class _Broken:
    """An object that cannot be compared or asked for a length."""

    def __len__(self) -> int:
        msg = "no length"
        raise RuntimeError(msg)

    def __eq__(self, other: object) -> bool:
        msg = "no comparison"
        raise RuntimeError(msg)

    __hash__ = object.__hash__


def _letters() -> Iterator[str]:
    yield from ("a", "b")


def _tiny() -> AnnData:
    names = {"obs": pd.DataFrame(index=["o0", "o1"]), "var": pd.DataFrame(index=["g0", "g1"])}
    return AnnData(np.ones((2, 2), np.float32), **names)


def _jax() -> Any:
    import jax.numpy as jnp

    return jnp.ones(2)


_PLAIN = (
    None, True, False, 0, 1, -1, 2, 3, 10**9, -(10**9), 2**63, 0.0, 0.5, 1.0, -1.0, 2.5, float("nan"), float("inf"),
    float("-inf"), 1e-300, 1e300, "", "junk", "a/b", " ", "\0", "ä", "$x^", "None", "../up", "x" * 300, b"x", 1j, (), (0.5,), (1, 2),
    ("a", "b"), ("a", "a"), Ellipsis,
)  # fmt: skip
VALUES: dict[str, Callable[[], Any]] = {repr(value)[:40]: (lambda value=value: value) for value in _PLAIN}
VALUES |= {
    "[]": list,
    "{}": dict,
    "set()": set,
    "['a']": lambda: ["a"],
    "['a', 'a']": lambda: ["a", "a"],
    "['']": lambda: [""],
    "[1]": lambda: [1],
    "[None]": lambda: [None],
    "[nan]": lambda: [float("nan")],
    "[0.5, 0.5]": lambda: [0.5, 0.5],
    "[['a']]": lambda: [["a"]],
    "{'a'}": lambda: {"a"},
    "{'a': 1}": lambda: {"a": 1},
    "{'a': ['x']}": lambda: {"a": ["x"]},
    "{'a': 'x'}": lambda: {"a": "x"},
    "{1: ['x']}": lambda: {1: ["x"]},
    "{'a': [None]}": lambda: {"a": [None]},
    "{'': []}": lambda: {"": []},
    "generator": _letters,
    "range(3)": lambda: range(3),
    "slice(1)": lambda: slice(1),
    "object": object,
    "broken object": _Broken,
    "function": lambda: print,
    "class": lambda: AnnData,
    "module": lambda: np,
    "str subclass": lambda: _Word("junk"),
    "IntEnum": lambda: _Number.TWO,
    "Decimal": lambda: decimal.Decimal("0.5"),
    "Fraction": lambda: fractions.Fraction(1, 2),
    "date": lambda: dt.date(2020, 1, 1),
    "Path": lambda: Path("missing"),
    "Path of the folder": lambda: Path(),
    "StringIO": lambda: io.StringIO("a"),
    "np.int64": lambda: np.int64(2),
    "np.uint8": lambda: np.uint8(2),
    "np.float32": lambda: np.float32(0.5),
    "np.float64 nan": lambda: np.float64("nan"),
    "np.bool": lambda: np.bool_(True),
    "np.str": lambda: np.str_("junk"),
    "np.datetime64": lambda: np.datetime64("2020-01-01"),
    "array 0-d": lambda: np.array(1),
    "array 0-d str": lambda: np.array("junk"),
    "array int": lambda: np.array([1, 2]),
    "array float": lambda: np.array([0.5, np.nan]),
    "array str": lambda: np.array(["a", "b"]),
    "array object": lambda: np.array(["a", None, 1], dtype=object),
    "array empty": lambda: np.array([]),
    "array 2-d": lambda: np.ones((2, 2)),
    "array 40x2": lambda: np.ones((40, 2)),
    "array 40x2 nan": lambda: np.full((40, 2), np.nan),
    "array 40x2 str": lambda: np.full((40, 2), "a"),
    "array 3-d": lambda: np.ones((2, 2, 2)),
    "array bool": lambda: np.array([True, False]),
    "structured": lambda: np.zeros(2, dtype=[("a", float)]),
    "masked array": lambda: np.ma.masked_array([1.0, 2.0], [True, False]),
    "jax array": _jax,
    "sparse": lambda: sp.csr_matrix(np.eye(2)),
    "Series": lambda: pd.Series([1.0, 2.0]),
    "Series str": lambda: pd.Series(["a", "b"]),
    "Series empty": lambda: pd.Series(dtype=float),
    "DataFrame": lambda: pd.DataFrame({"a": [1.0], "b": ["x"]}),
    "DataFrame empty": pd.DataFrame,
    "DataFrame nan": lambda: pd.DataFrame({"a": [np.nan], "b": [None]}),
    "DataFrame duplicated": lambda: pd.DataFrame([[1.0, 2.0]], columns=["a", "a"]),
    "Index": lambda: pd.Index(["a", "b"]),
    "MultiIndex": lambda: pd.MultiIndex.from_tuples([("a", 1)]),
    "Categorical": lambda: pd.Categorical(["a", None]),
    "NA": lambda: pd.NA,
    "NaT": lambda: pd.NaT,
    "Timestamp": lambda: pd.Timestamp("2020-01-01"),
    "AnnData": _tiny,
    "AnnData empty": AnnData,
    "RandomState": lambda: np.random.RandomState(0),
    "Generator": lambda: np.random.default_rng(0),
    "SeedSequence": lambda: np.random.SeedSequence(0),
    "Training": lambda: otl.tl.Training(epochs=1),
    "Training large batch": lambda: otl.tl.Training(epochs=1, batch_size=10**6),
    "Training validation": lambda: otl.tl.Training(epochs=2, validation=0.5, patience=1),
    "Training fast": lambda: otl.tl.Training(epochs=2, learning_rate=1.0),
    "Coral": otl.tl.Coral,
    "ZScore": otl.tl.ZScore,
    "SubspaceAlignment 10**9": lambda: otl.tl.SubspaceAlignment(n_comps=10**9),
    "Coral class": lambda: otl.tl.Coral,
    "ResponseRidge": lambda: otl.tl.ResponseRidge(n_members=2, n_comps=3),
}
_INT = ("0", "1", "-1", "2", "3", "np.int64", "np.uint8", "1000000000", "-1000000000", "9223372036854775808")
_FLOAT = ("0.0", "0.5", "1.0", "-1.0", "2.5", "nan", "inf", "-inf", "1e-300", "1e+300", "0", "1", "np.float32")
_TEXT = (
    "''",
    "'junk'",
    "'a/b'",
    "' '",
    "'ä'",
    "'$x^'",
    "'../up'",
    "np.str",
    "str subclass",
    repr("\0"),
    repr("x" * 300)[:40],
)
#: Values of the right kind by a word of the annotation.
EDGES = {
    "int": _INT,
    "float": _FLOAT,
    "bool": ("True", "False", "np.bool"),
    "str": _TEXT,
    "Sequence[str]": ("[]", "()", "['a']", "['a', 'a']", "['']", "array str", "Index", "Series str", "array empty"),
    "Sequence[int]": ("[]", "(1, 2)", "[1]", "array int", "range(3)"),
    "Sequence[float]": ("[]", "(0.5,)", "[0.5, 0.5]", "[nan]", "[1]", "array float"),
    "Iterable[str]": ("[]", "['a', 'a']", "generator", "{'a'}", "array str"),
    "SeedLike": ("0", "-1", "1", "None", "np.int64", "Generator", "SeedSequence", "9223372036854775808"),
    "Training": ("Training", "Training large batch", "Training validation", "Training fast", "None"),
    "Alignment": ("Coral", "ZScore", "SubspaceAlignment 10**9", "Coral class", "ResponseRidge"),
    "ResponseRidge": ("ResponseRidge", "Coral", "Coral class"),
    "DataFrame": ("DataFrame", "DataFrame empty", "DataFrame nan", "DataFrame duplicated"),
    "ndarray": ("array 2-d", "array 40x2", "array 40x2 nan", "array 40x2 str", "array 3-d", "array empty", "masked array"),
    "dict": ("{}", "{'a': ['x']}", "{'a': 'x'}", "{1: ['x']}", "{'a': [None]}", "{'': []}", "{'a': 1}"),
    "Mapping": ("{}", "{'a': ['x']}", "{'a': 'x'}", "{'a': 1}", "{'': []}"),
    "AnnData": ("AnnData", "AnnData empty"),
    "None": ("None",),
}  # fmt: skip
#: Values that ask for work without an end: a call that is still at work is stopped by Ctrl-C, and that is an answer too.
ENDLESS = ("1000000000", "9223372036854775808")


def edges(subject: Subject, parameter: str) -> list[str]:
    """Names of values of the right kind, and of valid choices named by the docstring as ``=choice``."""
    annotation = str(subject.parameters[parameter].annotation)
    found = [
        name
        for word, names in EDGES.items()
        if re.search(rf"(?<!\w){re.escape(word)}(?!\w)", annotation)
        for name in names
    ]
    return list(dict.fromkeys([*found, *(f"={word}" for word in choices(subject, parameter))]))


def choices(subject: Subject, parameter: str) -> list[str]:
    """Words in quotes in the paragraph of a parameter."""
    text = subject.function.__doc__ or ""
    paragraph = re.search(rf"^\s*{parameter}\n((?:\s{{8,}}\S.*\n|\n)+)", text, re.MULTILINE)
    return list(dict.fromkeys(re.findall(r"``\"([^\"`]+)\"``", paragraph[1]))) if paragraph else []


def value(name: str) -> Any:
    """The value of a name; ``=text`` is the text itself."""
    return name[1:] if name.startswith("=") else VALUES[name]()
