"""Settings of the package: validated on assignment, readable from the environment, overridable in a block."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from .checks import check_flag, check_number, near_miss


class _Option(NamedTuple):
    default: Callable[[], Any]
    check: Callable[[str, Any], Any]
    parse: Callable[[str], Any]
    doc: str


def _whole(low: int, high: int | None = None, advice: str = "") -> Callable[[str, Any], int]:
    def check(name: str, value: Any) -> int:
        check_number(name, value, low=low, high=high, integer=True, advice=advice)
        return int(value)

    return check


def _flag(name: str, value: Any) -> bool:
    check_flag(name, value)
    return bool(value)


def _path(name: str, value: Any) -> Path:
    if not isinstance(value, (str, os.PathLike)) or not os.fspath(value):
        msg = f"`{name}` must be a path, got {value!r} of type {type(value).__name__}."
        raise TypeError(msg)
    return Path(os.fspath(value)).expanduser()


def _parse_flag(text: str) -> bool:
    words = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    if text.strip().lower() not in words:
        msg = f"expected one of {', '.join(words)}, got {text!r}."
        raise ValueError(msg)
    return words[text.strip().lower()]


def _default_cache_dir() -> Path:
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "omicstl"
    if os.name == "nt":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "omicstl" / "Cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "omicstl"


_OPTIONS: dict[str, _Option] = {
    "verbosity": _Option(lambda: 1, _whole(0, 3), int, "0 silent, 1 warnings and costs, 2 info, 3 debug"),
    "progress": _Option(lambda: True, _flag, _parse_flag, "progress bars where someone can see them"),
    "model_in_adata": _Option(lambda: 64 * 2**20, _whole(0), int, "largest model kept in `uns`, bytes"),
    "block_bytes": _Option(
        lambda: 128 * 2**20,
        _whole(2**10, advice="128 * 2**20 is a good size."),
        int,
        "memory for a block of rows, bytes",
    ),
    "cache_dir": _Option(_default_cache_dir, _path, str, "folder for what is computed or downloaded once"),
}


class Settings:
    """Settings of omicstl.

    Every option can be assigned (``omicstl.settings.verbosity = 2``), changed in a block (`override`) or set by the
    environment before its first use (``OMICSTL_VERBOSITY=2``, ``OMICSTL_CACHE_DIR=...``).

    Notes
    -----
    ``verbosity`` (1)
        0 silent (the package's own warnings too), 1 warnings and costs that are announced, 2 information, 3 debugging.
    ``progress`` (True)
        Show progress bars where someone can see them: a terminal or a notebook.
    ``model_in_adata`` (64 MiB)
        Largest model kept in ``adata.uns``, in bytes; a larger one needs a file.
    ``block_bytes`` (128 MiB)
        Memory for one dense block of rows, in bytes, counted at 8 bytes a value.
    ``cache_dir`` (the user's cache folder)
        Folder for what is computed once and kept.

    Examples
    --------
    >>> from omicstl._core.settings import settings
    >>> with settings.override(verbosity=2):
    ...     settings.verbosity
    2
    """

    verbosity: int
    progress: bool
    model_in_adata: int
    block_bytes: int
    cache_dir: Path

    _values: dict[str, Any]

    def __init__(self) -> None:
        object.__setattr__(self, "_values", {})

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if name not in _OPTIONS:
            raise AttributeError(_unknown(name))
        if name not in self._values:
            self._values[name] = _initial(name)
        return self._values[name]

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in _OPTIONS:
            raise AttributeError(_unknown(name))
        self._values[name] = _OPTIONS[name].check(f"settings.{name}", value)

    @contextmanager
    def override(self, **values: Any) -> Iterator[Settings]:
        """Change settings for the length of a ``with`` block; nothing is changed if one of `values` is wrong."""
        for name in values:
            if name not in _OPTIONS:
                raise AttributeError(_unknown(name))
        checked = {name: _OPTIONS[name].check(f"settings.{name}", value) for name, value in values.items()}
        before = {name: getattr(self, name) for name in checked}
        self._values.update(checked)
        try:
            yield self
        finally:
            self._values.update(before)

    def __dir__(self) -> list[str]:
        return sorted([*_OPTIONS, "override"])

    def __repr__(self) -> str:
        lines = [f"  {name} = {getattr(self, name)!r}  # {option.doc}" for name, option in _OPTIONS.items()]
        return "\n".join(["omicstl.settings:", *lines])


def _unknown(name: str) -> str:
    return f"omicstl.settings has no option {name!r}.{near_miss(name, _OPTIONS)} Options: {', '.join(_OPTIONS)}."


def _initial(name: str) -> Any:
    option = _OPTIONS[name]
    variable = f"OMICSTL_{name.upper()}"
    text = os.environ.get(variable)
    if not text:
        return option.default()
    try:
        return option.check(variable, option.parse(text))
    except (TypeError, ValueError) as error:
        msg = f"The environment variable {variable}={text!r} is no valid setting ({option.doc}): {error} Correct or unset it."
        raise ValueError(msg) from error


settings = Settings()
