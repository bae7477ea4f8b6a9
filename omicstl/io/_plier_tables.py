"""A PLIER result as a folder of tables, as ``write.table`` in R leaves them."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pandas as pd

from ._bounded import Bounded

MAX_TABLE = 4 * 2**30  # decompressed bytes of one table
MAX_LINE = 64 * 2**20
MAX_COLUMNS = 1_000_000
#: Before pandas 3 the last digit of a number is exact only on demand; from then on always, and the option is deprecated.
EXACT = {"float_precision": "round_trip"} if int(pd.__version__.split(".")[0]) < 3 else {}
ENDINGS = {".tsv": "\t", ".csv": ",", ".tsv.gz": "\t", ".csv.gz": ","}


def find(folder: Path, name: str) -> Path | None:
    """The file of the table `name`; `None` if there is none."""
    found = [folder / f"{name}{ending}" for ending in ENDINGS if (folder / f"{name}{ending}").is_file()]
    if len(found) > 1:
        msg = f"it has {name} twice: {found[0].name!r} and {found[1].name!r}; keep one"
        raise ValueError(msg)
    return found[0] if found else None


def read_matrix(folder: Path, name: str) -> pd.DataFrame | None:
    """A table of numbers; its first column holds the names of the rows."""
    path = find(folder, name)
    if path is None:
        return None
    header = _header(path)
    if len(header) < 2:
        msg = f"{path.name!r} has {len(header)} column{'s' * (len(header) != 1)}; names of the rows and numbers are expected"
        raise ValueError(msg)
    types = {0: str, **dict.fromkeys(range(1, len(header)), np.float64)}
    table = _read(path, header, types).set_index(0)
    table.index.name, table.columns = None, pd.Index(header[1:], dtype=object)
    return table


def read_texts(folder: Path, name: str) -> pd.DataFrame | None:
    """A table of strings, by the names of its columns."""
    path = find(folder, name)
    if path is None:
        return None
    header = _header(path)
    table = _read(path, header, dict.fromkeys(range(len(header)), str))
    table.columns = pd.Index(header, dtype=object)
    return table


def _separator(path: Path) -> str:
    return ENDINGS[path.name[path.name.index(".") :]]


def _header(path: Path) -> list[str]:
    """Names of the columns; that of the row names, which R leaves out unless ``col.names = NA``, is empty."""
    with io.BufferedReader(Bounded(path, MAX_TABLE)) as stream:
        lines = [stream.readline(MAX_LINE).decode("utf-8-sig") for _ in range(2)]
    if max(line.count(_separator(path)) for line in lines) > MAX_COLUMNS:
        msg = f"{path.name!r} has more than {MAX_COLUMNS:,} columns, the most that are read"
        raise ValueError(msg)
    header, first = (next(csv.reader([line], delimiter=_separator(path)), []) for line in lines)
    if not header or not first:
        msg = f"{path.name!r} is empty or has no line after the names of its columns"
        raise ValueError(msg)
    if len(first) - len(header) not in (0, 1):  # of a longer line pandas would drop the rest
        msg = f"{path.name!r} has {len(header)} names of columns and {len(first)} fields in the line after"
        raise ValueError(msg)
    return [*[""] * (len(header) < len(first)), *header]


def _read(path: Path, header: list[str], types: dict[int, type]) -> pd.DataFrame:
    with io.BufferedReader(Bounded(path, MAX_TABLE)) as stream:
        stream.readline(MAX_LINE)
        try:
            return pd.read_csv(
                stream,
                sep=_separator(path),
                header=None,
                names=list(range(len(header))),
                dtype=types,
                index_col=False,
                na_filter=False,
                **EXACT,  # type: ignore[call-overload]
                encoding="utf-8",
                on_bad_lines="error",
            )
        except ValueError as error:
            msg = f"{path.name!r} cannot be read as a table: {error}"
            raise ValueError(msg) from None
