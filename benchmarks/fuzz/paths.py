"""Changes of files that are read: cut off, empty, of another format, a folder in their place."""

from __future__ import annotations

import gzip
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np


def _bytes(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(change(path.read_bytes())) and None


def _flip(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes(255 - b for b in content[middle : middle + 1]) + content[middle + 1 :]


def _h5(path: Path) -> None:
    path.unlink()
    with h5py.File(path, "w") as file:
        file["junk"] = np.arange(3)


def _zip(path: Path) -> None:
    path.unlink()
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("junk.npy", b"junk")


def _npz(path: Path) -> None:
    with path.open("wb") as stream:
        np.savez(stream, junk=np.arange(3))


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def _lines(change: Callable[[list[str]], list[str]]) -> Callable[[Path], None]:
    return lambda path: path.write_text("\n".join(change(path.read_text().splitlines())) + "\n") and None


FILES: dict[str, Callable[[Path], None]] = {
    "missing": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b"") and None,
    "half": _bytes(lambda c: c[: len(c) // 2]),
    "last byte": _bytes(lambda c: c[:-1]),
    "ten bytes": _bytes(lambda c: c[:10]),
    "longer": _bytes(lambda c: c + b"junk"),
    "bit": _bytes(_flip),
    "zeros": _bytes(lambda c: bytes(len(c))),
    "nul": _bytes(lambda c: c[:20] + b"\0" + c[20:]),
    "latin": _bytes(lambda c: c.replace(b"e", b"\xe9", 1)),
    "byte order mark": _bytes(lambda c: b"\xef\xbb\xbf" + c),
    "utf-16": _bytes(lambda c: c.decode("latin-1").encode("utf-16")),
    "carriage returns": _bytes(lambda c: c.replace(b"\n", b"\r\n")),
    "old line ends": _bytes(lambda c: c.replace(b"\n", b"\r")),
    "gzip": _bytes(gzip.compress),
    "gzip cut": _bytes(lambda c: gzip.compress(c)[:-5]),
    "junk": lambda path: path.write_text("junk\n") and None,
    "html": lambda path: path.write_text("<html><body>Not found</body></html>") and None,
    "json": lambda path: path.write_text("[1, {}]") and None,
    "h5": _h5,
    "zip": _zip,
    "npz": _npz,
    "folder": _folder,
    "loop": _loop,
    "no header": _lines(lambda lines: lines[1:]),
    "header alone": _lines(lambda lines: lines[:1]),
    "line twice": _lines(lambda lines: [*lines, *lines[-1:]]),
    "line short": _lines(lambda lines: [*lines[:-1], lines[-1][: len(lines[-1]) // 2]]),
    "line long": _lines(lambda lines: [*lines[:-1], lines[-1] + ",\t1,\t2"]),
    "blank lines": _lines(lambda lines: [line for one in lines for line in (one, "")]),
    "semicolons": _bytes(lambda c: c.replace(b",", b";").replace(b"\t", b";")),
    "text for numbers": _bytes(lambda c: c.replace(b"1.5", b"junk").replace(b"0.5", b"junk")),
    "infinite": _bytes(lambda c: c.replace(b"1.5", b"inf").replace(b"0.5", b"-inf").replace(b"2.0", b"nan")),
    "huge": _bytes(lambda c: c.replace(b"1.5", b"1e999").replace(b"0.5", b"1e300").replace(b"2.0", b"1e300")),
    "names empty": _bytes(lambda c: c.replace(b"CD19", b"").replace(b"GSM1", b"").replace(b"A-375", b"")),
    "names the same": _bytes(lambda c: c.replace(b"CD3E", b"CD19").replace(b"GSM2", b"GSM1").replace(b"HT", b"A")),
    "quotes": _bytes(lambda c: c.replace(b"\n", b'\n"', 1)),
}
#: Changes of a data set of an HDF5 file.
SETS: dict[str, Callable[[np.ndarray], object]] = {
    "missing": lambda x: None,
    "text": lambda x: "junk",
    "number": lambda x: 3,
    "shorter": lambda x: x[:-1],
    "transposed": lambda x: x.T,
    "negative": lambda x: -1.0 * x,
    "nan": lambda x: x * np.nan,
    "float": lambda x: x + 0.5,
    "numbers": lambda x: np.arange(len(x)),
    "bytes": lambda x: np.array([b"\xff"] * len(x)),
    "the same": lambda x: np.repeat(x[:1], len(x), axis=0),
    "group": lambda x: {},
}


def files(start: Path) -> list[str]:
    """Files of a path by their name below it; that of a file is empty."""
    return sorted(str(p.relative_to(start)) for p in start.rglob("*") if p.is_file()) if start.is_dir() else [""]


def change(start: Path, name: str, what: str) -> None:
    """Change one file of a path."""
    FILES[what](start / name if name else start)


def data_sets(path: Path) -> list[str]:
    found: list[str] = []
    with h5py.File(path) as file:
        file.visititems(lambda name, item: found.append(name) if isinstance(item, h5py.Dataset) else None)
    return found


def data_set(path: Path, name: str, what: str) -> None:
    """Change one data set of an HDF5 file."""
    with h5py.File(path, "r+") as file:
        new = SETS[what](file[name][()])
        del file[name]
        if isinstance(new, dict):
            file.create_group(name)
        elif new is not None:
            file[name] = new


def obstacle(path: Path, what: str) -> None:
    """Put something in the place of a file to write."""
    if what == "folder":
        path.mkdir()
    elif what == "file":
        path.write_text("of others")
    elif what == "full folder":
        path.mkdir()
        (path / "notes.txt").write_text("of others")
    elif what == "loop":
        path.symlink_to(path.name)
    elif what == "dead link":
        path.symlink_to("nowhere/at/all")
    elif what == "link":
        Path("real").write_text("of others")
        path.symlink_to("real")
    else:
        shutil.rmtree(path, ignore_errors=True)


OBSTACLES = ("folder", "file", "full folder", "loop", "dead link", "link")
