"""The one way in which files are written: completely or not at all, and only where a file may stand."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

FULL = {errno.ENOSPC, errno.EDQUOT}
_NAME_BYTES = 255  # of a file name, on most file systems
_KINDS = ((stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"))


class ModelFileError(OSError):
    """A fit whose file could not be written. It is not lost: `model` is what was fitted."""

    def __init__(self, message: str, model: Any = None) -> None:
        super().__init__(message)
        self.model = model


class What(NamedTuple):
    """What is written, as messages call it."""

    argument: str
    """That names the file."""
    what: str = "the file"
    example: str = "model.npz"
    """A name for it."""


@contextmanager
def replacing(path: str | os.PathLike[str], what: What) -> Iterator[Path]:
    """
    Hand out the name of an empty file, which takes the place of `path` when the block ends; if it fails, nothing has changed.

    Of a link, the file that it points to is replaced. A file that is replaced hands down its mode, and its owner where that is
    allowed. Until then nobody else may read the new one.
    """
    target = check_file(path, what)
    temporary = _beside(target)
    try:
        there = _status(target)
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666 if there is None else 0o600))
        yield temporary
        with open(temporary, "r+b") as file:
            os.fsync(file.fileno())
        if there is not None:
            _hand_down(there, temporary)
        os.replace(temporary, target)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise refusal(error, path, what) from error
        raise
    _sync(target.parent)


def check_file(path: str | os.PathLike[str], what: What) -> Path:
    """Refuse what is no regular file and no new name in a folder; return the file to write, which is what a link points to."""
    given = Path(path)
    try:
        there = _status(given)
    except OSError as error:
        raise refusal(error, path, what) from error
    target = Path(os.path.realpath(given)) if given.is_symlink() else given
    check_folder(target, what)
    if there is None:
        return target
    if stat.S_ISDIR(there.st_mode):
        msg = f"`{what.argument}` must be a file, got the folder {str(given)!r}. Give it a name: {str(given / what.example)!r}."
        raise IsADirectoryError(msg)
    if not stat.S_ISREG(there.st_mode):
        msg = f"`{what.argument}` must be a file or a new name, got {kind(given)} {str(given)!r}. Name a file: {what.example!r}."
        raise FileExistsError(msg)
    if not os.access(target, os.W_OK):
        msg = f"{str(given)!r} of `{what.argument}` is protected from writing. Change its mode, or choose another name."
        raise PermissionError(msg)
    return target


def check_folder(target: Path, what: What) -> None:
    """Refuse a place whose folder is none."""
    folder = target.parent
    if folder.is_dir():
        return
    before = f"before writing {what.what} {target.name!r}."
    if folder.exists():
        msg = f"{str(folder)!r} of `{what.argument}` is {kind(folder)}, not a folder; choose another one {before}"
        raise NotADirectoryError(msg)
    msg = f"The folder {str(folder)!r} of `{what.argument}` does not exist; create it {before}"
    raise FileNotFoundError(msg)


def try_file(path: str | os.PathLike[str], what: What) -> None:
    """Find out, before any work, what would keep a file from being written after it; leaves nothing there."""
    temporary = _beside(check_file(path, what))
    try:
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except OSError as error:
        raise refusal(error, path, what) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def check_space(path: str | os.PathLike[str], n_bytes: int, what: What) -> None:
    """Refuse, before any work, a file that the disk has no room for; a disk that does not say is believed to have it."""
    try:
        disk = shutil.disk_usage(Path(os.path.realpath(path)).parent)
    except OSError:
        return
    if disk.total and disk.free < n_bytes:
        lack = f"{os.strerror(errno.ENOSPC)} ({n_bytes / 2**20:.0f} MB are needed, {disk.free / 2**20:.0f} MB are free)"
        raise refusal(OSError(errno.ENOSPC, lack), path, what)


def kind(path: Path) -> str:
    """What stands at a path, in words."""
    mode = path.stat().st_mode
    return "a file" if stat.S_ISREG(mode) else next((name for is_kind, name in _KINDS if is_kind(mode)), "a device")


def refusal(error: OSError, path: str | os.PathLike[str], what: What) -> OSError:
    """The same error, in words for the user, who did not choose the temporary name."""
    if error.errno in FULL:
        way_out = "Free some space there, or choose another place."
    elif error.errno == errno.ENAMETOOLONG:
        way_out = "Choose a shorter name."
    elif error.errno == errno.EFBIG:
        way_out = "Choose a place for larger files, or raise the limit."
    else:
        way_out = "Make the place writable, or choose another one."
    msg = f"Cannot write {what.what} to {os.fspath(path)!r}: {error.strerror or error}. {way_out}"
    told = type(OSError(error.errno or 0, ""))(msg)  # of the class that belongs to the number
    told.errno = error.errno
    return told


def _status(path: Path) -> os.stat_result | None:
    """Of what a path leads to, `None` if nothing is there."""
    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _beside(target: Path) -> Path:
    """A name of its own in the same folder, hidden, and not too long where that of the target is not."""
    end = f".{secrets.token_hex(6)}.tmp"
    name = target.name if len(os.fsencode(target.name)) + len(end) < _NAME_BYTES else target.name[:50]
    return target.with_name(f".{name}{end}")


def _hand_down(there: os.stat_result, temporary: Path) -> None:
    """Give a file the group, owner and mode of the one that it replaces, as far as that is allowed."""
    if hasattr(os, "chown"):
        with suppress(OSError):
            os.chown(temporary, -1, there.st_gid)
        with suppress(OSError):
            os.chown(temporary, there.st_uid, -1)
    with suppress(OSError):
        os.chmod(temporary, stat.S_IMODE(there.st_mode))


def _sync(folder: Path) -> None:
    """Make a new name survive a power cut; not all file systems can, and the file is there either way."""
    if os.name != "posix":
        return
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
