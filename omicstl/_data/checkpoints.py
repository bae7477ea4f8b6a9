"""Members of a run that takes long, kept in a folder as they end, so that a run that was cut off goes on."""

from __future__ import annotations

import hashlib
import math
import os
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from omicstl._core.checks import check_key_name
from omicstl._core.log import warn

from .blocks import row_source
from .files import FULL, What, check_folder, kind, refusal
from .store import digest, read_model, write_model
from .tree import flatten, raw_bytes

_MANIFEST = "checkpoint.npz"
_MEMBER, _RUNNING = "member_{}.npz", "running_{}.npz"
_OURS = re.compile(r"(checkpoint|(member|running)_[A-Za-z0-9_]+)\.npz")
_LEFT_OVER = re.compile(r"\.(checkpoint|(member|running)_[A-Za-z0-9_]+)\.npz\.[0-9a-f]{12}\.tmp")
_LEFT_OVER_AGE = 3600.0  # seconds; a younger one may belong to a run that is still at work
_WRITTEN = What("checkpoint", "the checkpoint", "run")
_VERSION = 1


class Checkpoints:
    """A folder with the finished members of one run, and the state of those under way.

    Parameters
    ----------
    folder
        Made if it is not there, in a folder that is. A folder of another run is refused, and so is one with other files.
    settings
        Everything that decides the members, as scalars or nested dicts of scalars: options, seed, and the digest of the data
        (`rows_digest`).

    Raises
    ------
    ValueError
        If the folder belongs to a run of other data or other settings (each difference is named), or holds other files.
    FileNotFoundError
        If the folder that it is to be made in does not exist.
    NotADirectoryError
        If it is a file.
    OSError
        If it cannot be made or written.

    Notes
    -----
    Files are written completely or not at all and checked in full when they are read. A member's file names the settings it was
    made with, so that one copied from elsewhere does not count. A failure to write does not end the run: it is warned about
    once, what was saved before stays, and the next save tries again.
    """

    def __init__(self, folder: str | os.PathLike[str], settings: Mapping[str, Any]) -> None:
        self.folder = Path(folder).expanduser()
        self._warned = False
        here: dict[str, Any] = {"kind": "checkpoint", "version": _VERSION, "settings": dict(settings)}
        names = self._names()
        foreign = [name for name in names if not name.startswith(".") and not _OURS.fullmatch(name)]
        if foreign:
            msg = (
                f"The folder {str(self.folder)!r} holds other files ({foreign[0]!r}"
                f"{f' and {len(foreign) - 1} more' if len(foreign) > 1 else ''}). Name a new or an empty folder."
            )
            raise ValueError(msg)
        self._remove_left_over(names)
        there = self._manifest() if _MANIFEST in names else None
        if there is None:
            write_model(self.folder / _MANIFEST, here, _WRITTEN)
            there = here
        self._compare(there["settings"], here["settings"])
        self._run = digest(there)

    def _names(self) -> list[str]:
        """Names in the folder, which is made if it is not there."""
        if self.folder.exists() and not self.folder.is_dir():
            msg = f"{str(self.folder)!r} is {kind(self.folder)}; a folder is needed for the members of the run."
            raise NotADirectoryError(msg)
        place = Path(os.path.realpath(self.folder))  # of a link, what it points to
        check_folder(place, _WRITTEN)
        try:
            place.mkdir(exist_ok=True)
            return sorted(entry.name for entry in place.iterdir())
        except OSError as error:
            raise refusal(error, self.folder, _WRITTEN) from error

    def _manifest(self) -> dict[str, Any] | None:
        try:
            there = read_model(self.folder / _MANIFEST)
        except ValueError as error:  # members say for themselves what they belong to
            warn(f"{error} It is written again; members of other settings are trained again.")
            return None
        if there.get("kind") != "checkpoint" or there.get("version") != _VERSION or "settings" not in there:
            msg = (
                f"The folder {str(self.folder)!r} was written by another version of omicstl. "
                "Go on with that version, or name another folder."
            )
            raise ValueError(msg)
        return there

    def _compare(self, there: Mapping[str, Any], here: Mapping[str, Any]) -> None:
        was, now = (_scalars(settings) for settings in (there, here))
        differ = [name for name in sorted({*was, *now}) if not _equal(was.get(name, _unset), now.get(name, _unset))]
        if differ:
            named = [f"`{name}` was {was.get(name, _unset)!r}, is {now.get(name, _unset)!r}" for name in differ]
            msg = (
                f"The folder {str(self.folder)!r} holds a run of other data or settings: {'; '.join(named)}. "
                "Pass what it was begun with to go on, or name another folder."
            )
            raise ValueError(msg)

    def _remove_left_over(self, names: list[str]) -> None:
        for name in names:
            path = self.folder / name
            with suppress(OSError):  # another process may have removed it
                if _LEFT_OVER.fullmatch(name) and time.time() - path.stat().st_mtime > _LEFT_OVER_AGE:
                    path.unlink()

    def finished(self) -> list[str]:
        """Names of the members that have ended and whose files are sound; damaged ones are warned about and left out."""
        names = [path.name[len("member_") : -len(".npz")] for path in self.folder.glob(_MEMBER.format("*"))]
        return [name for name in sorted(names) if self._read(_MEMBER, name) is not None]

    def load(self, name: str) -> dict[str, Any]:
        """Return a finished member."""
        content = self._read(_MEMBER, name)
        if content is None:
            msg = f"There is no sound file of member {name!r} in {str(self.folder)!r}."
            raise KeyError(msg)
        return content

    def save(self, name: str, tree: Mapping[str, Any]) -> bool:
        """Keep a finished member, a nested dict of scalars and arrays; its state under way is dropped.

        Returns whether that worked.
        """
        kept = self._write(_MEMBER, name, tree)
        if kept:
            self.drop_running(name)
        return kept

    def load_running(self, name: str) -> dict[str, Any] | None:
        """Return the last state of a member under way, or `None` if there is none that is sound."""
        return self._read(_RUNNING, name) if (self.folder / _RUNNING.format(name)).exists() else None

    def save_running(self, name: str, tree: Mapping[str, Any]) -> bool:
        """Keep the state of a member under way in place of the one before; may be called from several threads."""
        return self._write(_RUNNING, name, tree)

    def drop_running(self, name: str) -> None:
        """Forget the state of a member under way."""
        (self.folder / _RUNNING.format(name)).unlink(missing_ok=True)

    def _write(self, pattern: str, name: str, tree: Mapping[str, Any]) -> bool:
        check_key_name("the name of a member", name)
        content = {"kind": "checkpoint_member", "version": _VERSION, "run": self._run, "name": name}
        try:
            write_model(self.folder / pattern.format(name), {**content, "content": dict(tree)}, _WRITTEN)
        except OSError as error:
            self._failed(error)
            return False
        return True

    def _failed(self, error: OSError) -> None:
        if self._warned:
            return
        self._warned = True
        reason = os.strerror(error.errno) if error.errno else error
        warn(
            f"A member could not be saved in {str(self.folder)!r} ({reason}). Training goes on, and what was "
            f"saved before is still good. {'Free some space there' if error.errno in FULL else 'Make the folder writable again'}: the next save "
            "tries again. What could not be saved is trained again if the run is cut off."
        )

    def _read(self, pattern: str, name: str) -> dict[str, Any] | None:
        path = self.folder / pattern.format(name)
        try:
            there = read_model(path)
            sound = there.get("run") == self._run and there.get("name") == name and isinstance(there["content"], dict)
            reason = "" if sound else f"{str(path)!r} belongs to another run or member."
        except (FileNotFoundError, KeyError):
            reason = f"{str(path)!r} is missing or holds no member."
        except ValueError as error:
            reason = str(error).replace(" Get or write the file again.", "")
        if not reason:
            return there["content"]
        again = "the member is trained again" if pattern == _MEMBER else "the member is trained from its start"
        warn(f"{reason} It is left aside, and {again}.")
        return None


class _Unset:
    def __repr__(self) -> str:
        return "not set"


_unset = _Unset()


def _scalars(settings: Mapping[str, Any]) -> dict[str, Any]:
    flat = flatten({"kind": "", "version": 0, "settings": dict(settings)})
    found = {name.removeprefix("settings."): value for name, value in flat.items() if name.startswith("settings")}
    for name, value in found.items():
        if not isinstance(value, (type(None), bool, int, float, str, dict)):
            msg = f"setting {name!r} must be a scalar, got {type(value).__name__}."
            raise TypeError(msg)
    return found


def _equal(a: Any, b: Any) -> bool:
    both_nan = isinstance(a, float) and isinstance(b, float) and math.isnan(a) and math.isnan(b)
    return both_nan or (isinstance(a, bool) == isinstance(b, bool) and a == b)


def rows_digest(x: Any) -> str:
    """Return a SHA-256 of the shape and the values of a matrix or row source, the same for every layout of it.

    Rows that are computed from others as they are read have ``blocks`` too; they are float32.
    """
    source: Any = x if hasattr(x, "blocks") and hasattr(x, "n_rows") else row_source(x)
    dtype = np.dtype(getattr(source, "dtype", np.float32))
    total = hashlib.sha256(f"{dtype.str} {source.n_rows} {source.n_cols}".encode())
    for block in source.blocks():
        total.update(raw_bytes(block))
    return total.hexdigest()
