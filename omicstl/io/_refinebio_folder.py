"""The folder of a refine.bio download: its tables, its description, and how one table is read."""

from __future__ import annotations

import csv
import json
import os
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from omicstl._core.checks import listed

DESCRIPTION = "aggregated_metadata.json"
SAMPLE = "refinebio_accession_code"
_CELLS = 50_000_000  # values of a table that are parsed at once


class Table(NamedTuple):
    """An expression table and what describes its samples."""

    name: str
    expression: Path
    metadata: Path


class Values(NamedTuple):
    """What was read of an expression table, genes × samples."""

    genes: np.ndarray
    samples: list[str]
    values: np.ndarray


def description(folder: Path) -> dict[str, Any]:
    """Read what the portal says of the download; empty if the file is not there."""
    path = folder / DESCRIPTION
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # broken text or broken JSON
        msg = f"{str(path)!r} is no valid JSON ({error}). Unpack the download again."
        raise ValueError(msg) from error
    if not isinstance(found, dict):
        msg = f"{str(path)!r} must hold a JSON object, got {type(found).__name__}. Unpack the download again."
        raise ValueError(msg)
    return found


def tables(folder: Path) -> tuple[list[Table], list[str]]:
    """Find every ``NAME.tsv`` with its ``metadata_NAME.tsv``, and the names whose samples were all filtered out."""
    found, empty, alone = [], [], []
    for place in [folder, *sorted(p for p in folder.iterdir() if p.is_dir())]:
        files = {path.name: path for path in sorted(place.glob("*.tsv"))}
        names = {n.removeprefix("metadata_").removesuffix(".tsv") for n in files if n.startswith("metadata_")}
        for name in sorted(names):
            metadata, expression = files[f"metadata_{name}.tsv"], files.get(f"{name}.tsv")
            if expression is not None:
                found.append(Table(name, expression, metadata))
            elif _has_rows(metadata):
                alone.append(f"{metadata} has no {name}.tsv beside it")
            else:
                empty.append(name)
        alone += [
            f"{path} has no metadata_{name} beside it"
            for name, path in files.items()
            if not name.startswith(("metadata_", "filtered_samples")) and f"metadata_{name}" not in files
        ]
    if alone:
        msg = f"The download is incomplete: {'; '.join(alone[:3])}. Unpack it again, all files together."
        raise ValueError(msg)
    if not found:
        raise ValueError(_nothing(folder, empty))
    return found, empty


def _nothing(folder: Path, empty: list[str]) -> str:
    if empty:
        return f"{str(folder)!r} holds experiments without samples only: {listed(empty)}."
    if next(folder.rglob("*quant.sf"), None) is not None:
        return (
            f"{str(folder)!r} is an RNA-seq sample compendium (quant.sf files). Download the normalized compendium, or a "
            "dataset that is aggregated by experiment or by species."
        )
    zips = sorted(path.name for path in folder.glob("*.zip"))
    hint = f" Unpack {zips[0]!r} first." if zips else ""
    return (
        f"{str(folder)!r} holds no refine.bio tables: folders with NAME.tsv and metadata_NAME.tsv are expected, such as "
        f"GSE11111/GSE11111.tsv or HOMO_SAPIENS/HOMO_SAPIENS.tsv.{hint}"
    )


def _has_rows(path: Path) -> bool:
    with path.open(encoding="utf-8", errors="replace") as file:
        file.readline()
        return bool(file.readline().strip())


def check_complete(path: Path) -> None:
    """Refuse a text whose last line does not end: the portal writes no such file, but an early end leaves one."""
    with path.open("rb") as file:
        if file.seek(0, os.SEEK_END) == 0:
            msg = f"{str(path)!r} is empty. Unpack the download again."
            raise ValueError(msg)
        file.seek(-1, os.SEEK_END)
        if file.read(1) not in b"\r\n":
            msg = f"{str(path)!r} is cut off: its last line does not end. Unpack the download again."
            raise ValueError(msg)


def read_metadata(table: Table, wanted: set[str] | None, *, annotations: bool) -> pd.DataFrame:
    """Read the description of the samples of a table as text, indexed by sample; only `wanted` ones."""
    check_complete(table.metadata)
    header = _header(table.metadata)
    if SAMPLE not in header:
        msg = f"{str(table.metadata)!r} has no column {SAMPLE!r}, but {listed(header)}. It is no table of refine.bio."
        raise ValueError(msg)
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        msg = f"{str(table.metadata)!r} has columns of the same name: {listed(twice)}."
        raise ValueError(msg)
    columns = [
        i
        for i, name in enumerate(header)
        if name != "refinebio_annotations"
        and (annotations or name == "experiment_accession" or name.startswith("refinebio_"))
    ]
    sample = header.index(SAMPLE)
    rows = []
    try:
        with table.metadata.open(encoding="utf-8", newline="") as file:
            lines = csv.reader(file, delimiter="\t")
            next(lines)
            for row in lines:
                if row and len(row) != len(header):
                    raise _ragged(table.metadata, lines.line_num, len(row), len(header))
                if row and (wanted is None or row[sample] in wanted):
                    rows.append([row[i] for i in columns])
    except (csv.Error, UnicodeDecodeError) as error:
        msg = f"{str(table.metadata)!r} cannot be read as a table: {error}. Unpack the download again."
        raise ValueError(msg) from error
    found = pd.DataFrame(rows, columns=[header[i] for i in columns], dtype=str).set_index(SAMPLE)
    repeated = found.index[found.index.duplicated()].unique()
    if len(repeated):
        msg = f"{str(table.metadata)!r} describes {listed(repeated)} more than once."
        raise ValueError(msg)
    return found


def read_values(table: Table, wanted: set[str] | None) -> Values:
    """Read an expression table, float32; only `wanted` samples."""
    check_complete(table.expression)
    header = _header(table.expression)
    samples = [name for name in header[1:] if wanted is None or name in wanted]
    if len(set(header[1:])) < len(header) - 1:
        twice = sorted({name for name in header[1:] if header[1:].count(name) > 1})
        msg = f"{str(table.expression)!r} holds samples more than once: {listed(twice)}."
        raise ValueError(msg)
    if not samples:
        return Values(np.zeros(0, dtype=str), [], np.zeros((0, 0), dtype=np.float32))
    places = [0, *(i for i, name in enumerate(header) if i and (wanted is None or name in wanted))]
    genes: list[str] = []
    parts = [np.zeros((0, len(samples)), dtype=np.float32)]
    with table.expression.open("rb") as file:
        file.readline()
        line = 2
        while lines := list(islice(file, max(1, _CELLS // len(header)))):
            for i, text in enumerate(lines):  # pandas fills short lines up with missing values and cuts long ones
                if text.count(b"\t") != len(header) - 1:
                    raise _ragged(table.expression, line + i, text.count(b"\t") + 1, len(header))
            part = _numbers(table.expression, b"".join(lines), places)
            if part[0].isna().any():
                msg = f"{str(table.expression)!r} holds a line without a gene. Unpack the download again."
                raise ValueError(msg)
            genes += part[0].astype(str).tolist()
            parts.append(part.iloc[:, 1:].to_numpy(dtype=np.float32))
            line += len(lines)
    names = np.array(genes, dtype=str)
    twice = pd.Index(names)[pd.Index(names).duplicated()].unique()
    if len(twice) or not len(names):
        what = f"holds genes more than once: {listed(twice)}" if len(names) else "holds no genes"
        msg = f"{str(table.expression)!r} {what}. It is not as refine.bio wrote it: unpack the download again."
        raise ValueError(msg)
    return Values(names, samples, np.concatenate(parts))


def _numbers(path: Path, text: bytes, places: list[int]) -> pd.DataFrame:
    try:
        return pd.read_csv(
            BytesIO(text),
            sep="\t",
            header=None,
            usecols=places,
            dtype={0: str} | dict.fromkeys(places[1:], np.float32),
            na_values=["NA", "NaN", "nan", ""],
            keep_default_na=False,
            quoting=csv.QUOTE_NONE,
        )
    except (ValueError, UnicodeDecodeError) as error:
        msg = f"{str(path)!r} is no table of numbers, genes × samples: {error}. Unpack the download again."
        raise ValueError(msg) from error


def _ragged(path: Path, line: int, found: int, expected: int) -> ValueError:
    return ValueError(
        f"{str(path)!r} is damaged: line {line:,} has {found:,} fields, its header {expected:,}. Unpack the download again."
    )


def _header(path: Path) -> list[str]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return next(csv.reader([file.readline().rstrip("\r\n")], delimiter="\t"), [])
    except UnicodeDecodeError as error:
        msg = f"{str(path)!r} is no UTF-8 text ({error}). Unpack the download again."
        raise ValueError(msg) from error
