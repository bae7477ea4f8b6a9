"""Checks of arguments, all with the same kind of message: what, got, allowed, and the way out."""

from __future__ import annotations

import difflib
import math
import numbers
import re
from collections.abc import Iterable

import numpy as np

_KEY = re.compile(r"[A-Za-z0-9_]+")
MOST_ROUNDS = 100_000
"""Most permutations, resamples, iterations or epochs; permutations of so many give p-values down to 1e-5."""


def near_miss(value: object, options: Iterable[object]) -> str:
    """Return ``" Did you mean 'x'?"`` for the closest option, or an empty string."""
    if not isinstance(value, str):
        return ""
    names = [option for option in options if isinstance(option, str)]
    begun = [name for name in names if name.partition(" ")[0].lower() == value.lower()]  # "LV4" for "LV4 Neutrophil"
    if len(begun) == 1:
        return f" Did you mean {begun[0]!r}?"
    lowered = {name.lower(): name for name in reversed(names)}
    close = difflib.get_close_matches(value.lower(), lowered, n=1, cutoff=0.6)
    return f" Did you mean {lowered[close[0]]!r}?" if close else ""


def listed(values: Iterable[object], limit: int = 5) -> str:
    """Return a readable enumeration: ``"'A', 'B', 'C' and 12 more"``."""
    items = [value.item() if isinstance(value, np.generic) else value for value in values]
    shown = ", ".join(repr(item) for item in items[:limit])
    rest = len(items) - limit
    return f"{shown} and {rest:,} more" if rest > 0 else shown


def check_choice(name: str, value: object, allowed: Iterable[object]) -> None:
    """Refuse a `value` that is not one of `allowed`."""
    options = list(allowed)
    if any(type(value) is type(option) and value == option for option in options):
        return
    allowed_text = ", ".join(repr(option) for option in options)
    msg = f"`{name}` must be one of {allowed_text}, got {value!r}.{near_miss(value, options)}"
    raise ValueError(msg)


def _range_text(low: float | None, high: float | None, *, low_open: bool, high_open: bool) -> str:
    parts = []
    if low is not None:
        parts.append(f"{'>' if low_open else '>='} {low:g}")
    if high is not None:
        parts.append(f"{'<' if high_open else '<='} {high:g}")
    return " and ".join(parts)


def check_number(
    name: str,
    value: object,
    *,
    low: float | None = None,
    high: float | None = None,
    low_open: bool = False,
    high_open: bool = False,
    integer: bool = False,
    advice: str = "",
) -> None:
    """Refuse a `value` that is no finite number (`TypeError`) or lies outside the range (`ValueError`)."""
    ending = f" {advice}" if advice else ""
    wanted = numbers.Integral if integer else numbers.Real
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, wanted):
        kind = "an integer" if integer else "a number"
        msg = f"`{name}` must be {kind}, got {value!r} of type {type(value).__name__}.{ending}"
        raise TypeError(msg)
    number = float(value)
    allowed = _range_text(low, high, low_open=low_open, high_open=high_open)
    too_low = low is not None and (number <= low if low_open else number < low)
    too_high = high is not None and (number >= high if high_open else number > high)
    if too_low or too_high or not math.isfinite(number):
        msg = f"`{name}` must be {allowed or 'finite'}, got {listed([value])}.{ending}"
        raise ValueError(msg)


def check_flag(name: str, value: object) -> None:
    """Refuse a `value` that is not `True` or `False`."""
    if not isinstance(value, (bool, np.bool_)):
        msg = f"`{name}` must be True or False, got {value!r} of type {type(value).__name__}."
        raise TypeError(msg)


def check_text(name: str, value: object, *, optional: bool = False) -> None:
    """Refuse a `value` that is not a string (nor `None`, if `optional`)."""
    if isinstance(value, str) or (optional and value is None):
        return
    allowed = "a string or None" if optional else "a string"
    msg = f"`{name}` must be {allowed}, got {value!r} of type {type(value).__name__}."
    raise TypeError(msg)


def check_key_name(name: str, value: object) -> None:
    """Refuse a slot name that AnnData files cannot hold: letters, digits and underscores only."""
    check_text(name, value)
    if not _KEY.fullmatch(str(value)):
        better = re.sub(r"[^A-Za-z0-9_]+", "_", str(value)).strip("_")
        hint = f" Use {better!r}." if better else ""
        msg = f"`{name}` must consist of letters, digits and underscores, got {value!r}.{hint}"
        raise ValueError(msg)


def missing_key(key: object, where: str, available: Iterable[object]) -> KeyError:
    """Build the `KeyError` for a slot that is not there, with the near miss and what there is."""
    options = [option for option in available if option is not None]
    there = f"Available: {_bracketed(options)}." if options else f"{where} is empty."
    return KeyError(f"{key!r} not found in {where}.{near_miss(key, options)} {there}")


def _bracketed(options: list[object]) -> str:
    return f"[{listed(options, limit=20)}]"
