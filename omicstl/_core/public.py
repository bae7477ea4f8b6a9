"""What every public function does around its work: kinds of arguments are checked, and a reached limit of memory is said."""

from __future__ import annotations

import inspect
import numbers
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from itertools import zip_longest
from typing import Any, NamedTuple, TypeVar

import numpy as np

from .checks import listed, near_miss
from .memory import SIGNS, check_room, out_of_memory

F = TypeVar("F", bound=Callable[..., Any])
_SHOWN = (str, bytes, numbers.Number, type(None), list, tuple, dict, set, frozenset)


class Kind(NamedTuple):
    """A kind of argument: how an error names it, and whether a value is of it."""

    words: str
    holds: Callable[[Any], bool]


def _is_truth(value: Any) -> bool:
    return isinstance(value, bool | np.bool_)


def _is_whole(value: Any) -> bool:
    return isinstance(value, numbers.Integral) and not _is_truth(value)


def _is_real(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not _is_truth(value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _comes_from(*classes: str) -> Callable[[Any], bool]:
    """Whether a value is of one of `classes`, ``"package.Name"``; nothing is imported for it."""
    wanted = {tuple(name.split(".")) for name in classes}
    return lambda value: any(
        (base.__module__.partition(".")[0], base.__name__) in wanted for base in type(value).__mro__
    )


_is_column = _comes_from("pandas.Index", "pandas.Series", "numpy.ndarray")


def _is_row(value: Any) -> bool:
    """Values in a row, of which one can ask the length: no text and no table."""
    if isinstance(value, str | bytes | bytearray | memoryview):
        return False
    return isinstance(value, Sequence) or (_is_column(value) and value.ndim == 1)


def _row_of(holds: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: _is_row(value) and all(holds(item) for item in value)


def _is_model(value: Any) -> bool:
    return not isinstance(value, type) and all(hasattr(value, name) for name in ("kind", "version", "to_dict"))


_MAPPING = Kind("a dict", lambda value: isinstance(value, Mapping))
_MODEL = Kind("a fitted model", _is_model)
#: What annotations are made of. Other names are those of records in `tl`.
KINDS: dict[str, Kind] = {
    "str": Kind("a string", _is_text),
    "int": Kind("an integer", _is_whole),
    "float": Kind("a number", _is_real),
    "bool": Kind("True or False", _is_truth),
    "None": Kind("None", lambda value: value is None),
    "Path": Kind("a path", lambda value: isinstance(value, os.PathLike)),
    "AnnData": Kind("an AnnData", _comes_from("anndata.AnnData")),
    "Axes": Kind("Axes of matplotlib", _comes_from("matplotlib.Axes")),
    "pd.DataFrame": Kind("a pandas.DataFrame", _comes_from("pandas.DataFrame")),
    "np.ndarray": Kind("a numpy array", _comes_from("numpy.ndarray")),
    "Model": _MODEL,
    "base.Model": _MODEL,
    "Sequence[str]": Kind("a list of names", _row_of(_is_text)),
    "Sequence[int]": Kind("a list of integers", _row_of(_is_whole)),
    "Sequence[float]": Kind("a list of numbers", _row_of(_is_real)),
    "Iterable[str]": Kind(
        "a list of names", lambda value: isinstance(value, Iterable) and not isinstance(value, str | bytes)
    ),
    "tuple[int, ...]": Kind(
        "a tuple of integers", lambda value: isinstance(value, tuple) and all(map(_is_whole, value))
    ),
    "tuple[float, ...]": Kind(
        "a tuple of numbers", lambda value: isinstance(value, tuple) and all(map(_is_real, value))
    ),
    "dict[str, list[str]]": _MAPPING,
    "Mapping[str, Iterable[str]]": _MAPPING,
    "Mapping[str, str]": _MAPPING,
    "SeedLike": Kind(
        "an integer, a numpy.random.Generator or SeedSequence, or None",
        lambda value: (
            value is None or _is_whole(value) or isinstance(value, np.random.Generator | np.random.SeedSequence)
        ),
    ),
    "Any": Kind("anything", lambda value: True),
    "Adaptation": Kind("a record such as otl.tl.Coral()", _comes_from("omicstl.Adaptation")),
    "Alignment": Kind("a record such as otl.tl.Mmd()", _comes_from("omicstl.Alignment")),
}
_RECORD = "otl.tl."


def kinds_of(annotation: str) -> list[Kind]:
    """The kinds that an annotation allows: ``"str | None"`` is a string or `None`."""
    parts = annotation.split(" | ")
    return [
        KINDS[part] if part in KINDS else Kind(f"an {_RECORD}{part}", _comes_from(f"omicstl.{part}")) for part in parts
    ]


def _wrong(name: str, value: Any, kinds: list[Kind]) -> TypeError:
    """What, got, allowed, and the way out."""
    words = [kind.words for kind in kinds]
    if "a path" in words and "a string" in words:
        words.remove("a string")
    allowed = " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))
    kind = type(value).__name__
    shown = repr(value) if isinstance(value, _SHOWN) else ""
    got = f"{shown} of type {kind}" if 0 < len(shown) <= 200 else kind
    return TypeError(f"`{name}` must be {allowed}, got {got}.{_way_out(name, value, kinds)}")


def _way_out(name: str, value: Any, kinds: list[Kind]) -> str:
    """What to write instead, where it can be said."""
    if isinstance(value, type) and any(_RECORD in kind.words for kind in kinds):
        door = _RECORD if value.__module__.startswith("omicstl.") else ""
        return f" Write {name}={door}{value.__name__}(), a record and not its class."
    wanted = {kind.words for kind in kinds}
    rows = "a list of names" in wanted
    if "an AnnData" in wanted and type(value).__name__ == "MuData":
        return " Pass one modality, e.g. mdata['rna']."
    if wanted <= {"an AnnData", "None"}:
        return " Make one with anndata.AnnData(X, obs, var)."
    scalar = _is_text(value) if rows else _is_real(value) and wanted & {"a list of integers", "a list of numbers"}
    if scalar:
        return f" Write {name}=[{listed([value])}]."
    if rows and isinstance(value, list | tuple) and value and all(map(_is_real, value)):
        return f" Write {name}=[{listed(map(str, value))}]."
    if "a string" in wanted <= {"a string", "None"} and _is_real(value):
        return f" Write {name}={str(value)!r}."
    if "a fitted model" in wanted and hasattr(value, "uns"):
        return " Take it out first: otl.get.model(adata)."
    if "a numpy array" in wanted and isinstance(value, list | tuple):
        return f" Write {name}=numpy.asarray(...)."
    return ""


def _called(function: Callable[..., Any]) -> str:
    """Name that users write: ``otl.tl.project``; records of options are all in `tl`."""
    if function.__name__ == "__init__":
        return f"{_RECORD}{function.__qualname__.removesuffix('.__init__')}"
    parts = function.__module__.split(".")
    door = f"{parts[1]}." if len(parts) > 1 and not parts[1].startswith("_") else ""
    return f"otl.{door}{function.__qualname__}"


def public(function: F) -> F:
    """
    Check the kind of every argument of `function`, a function or a class, before it is called.

    What an annotation allows is in `KINDS`. Values are checked by the function itself, where what is allowed is known.

    Raises
    ------
    TypeError
        If an argument is of another kind than its annotation says, is not known, or is missing.
    MemoryError
        If a limit of memory is reached; it says what the function needs, and what makes it less.
    """
    if isinstance(function, type):
        function.__init__ = public(function.__init__)  # type: ignore[misc]
        return function
    parameters = inspect.signature(function).parameters
    names = [name for name, one in parameters.items() if one.kind is not one.KEYWORD_ONLY]
    rest = next((name for name, one in parameters.items() if one.kind is one.VAR_POSITIONAL), None)
    needed = [name for name, one in parameters.items() if one.default is one.empty and name != rest]
    kinds = {name: kinds_of(str(one.annotation)) for name, one in parameters.items() if name != "self"}
    called = _called(function)

    @wraps(function)
    def checked(*args: Any, **kwargs: Any) -> Any:
        given = [*zip_longest(names[: len(args)], args, fillvalue=rest), *kwargs.items()]
        for name, value in given:
            if name is None:  # too many by position: python says it well
                break
            if name not in parameters:
                msg = f"{called} has no argument {name!r}.{near_miss(name, kinds)} It has {listed(kinds, limit=40)}."
                raise TypeError(msg)
            if name in kinds and not any(kind.holds(value) for kind in kinds[name]):
                raise _wrong(name, value, kinds[name])
        missing = [name for name in needed if name not in dict(given)]
        if missing:
            msg = f"{called} needs {listed(missing)}."
            raise TypeError(msg)
        try:
            check_room()
            return function(*args, **kwargs)
        except SIGNS as error:
            short = out_of_memory(error, called.removeprefix("otl."), kinds)
            if short is None:
                raise
            raise short from error

    return checked  # type: ignore[return-value]
