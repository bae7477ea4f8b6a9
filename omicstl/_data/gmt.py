"""GMT files: one gene set a line, its name, a description and its genes, separated by tabs only."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from .files import What, replacing

_WRITTEN = What("path", "the gene sets", "sets.gmt")


class GmtSet(NamedTuple):
    """One line of a GMT file."""

    name: str
    description: str
    genes: list[str]


def parse_gmt(path: str | Path) -> list[GmtSet]:
    """
    Read the lines of a GMT file: name, description, genes, separated by tabs.

    Parameters
    ----------
    path
        A ``.gmt`` file, plain or gzipped (known by its first bytes, not by its name).

    Returns
    -------
    The sets in the order of the file; a gene that a line repeats is kept once.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If a line has fewer than three fields or a set occurs twice (the line is named), or the file is not text.

    Notes
    -----
    Only tabs separate, so that descriptions and names may hold blanks. Blank lines and empty fields are skipped.
    """
    path = Path(path)
    if not path.is_file():
        msg = (
            f"There is no file {str(path)!r}. Gene sets that come with the package: otl.datasets.gene_sets('reactome')."
        )
        raise FileNotFoundError(msg)
    raw = path.read_bytes()
    try:
        text = (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode("utf-8-sig")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        msg = (
            f"{path.name} is not a readable GMT file ({error}). Expected UTF-8 text, plain or gzipped: fetch it again."
        )
        raise ValueError(msg) from error
    sets: list[GmtSet] = []
    seen: dict[str, int] = {}
    for number, line in enumerate(io.StringIO(text, newline=None), start=1):
        if not line.strip():
            continue
        fields = [field.strip() for field in line.rstrip("\n").split("\t")]
        name = fields[0]
        if len(fields) < 3 or not name:
            shown = line.rstrip("\n")
            shown = shown if len(shown) <= 40 else shown[:40] + "…"
            msg = (
                f"{path.name}, line {number}: expected a set name, a description and genes separated by tabs, "
                f"got {shown!r} ({len(fields)} field(s)). The description may be empty, the tabs may not be blanks."
            )
            raise ValueError(msg)
        if name in seen:
            msg = (
                f"{path.name}, line {number}: the set {name!r} stands on line {seen[name]} already. "
                "Rename or delete one of them."
            )
            raise ValueError(msg)
        seen[name] = number
        sets.append(GmtSet(name, fields[1], list(dict.fromkeys(gene for gene in fields[2:] if gene))))
    return sets


def dump_gmt(path: str | Path, sets: Iterable[GmtSet]) -> None:
    """
    Write a GMT file, gzipped when the name ends in ``.gz`` (without a time stamp: equal sets give equal bytes).

    Parameters
    ----------
    path
        File to write.
    sets
        Name, description and genes of each set.

    Raises
    ------
    ValueError
        If a name, description or gene holds a tab or a line break, or blanks at its ends, so that it would not come
        back as it was, or if a set occurs twice.
    OSError
        If the file cannot be written; what stood there is then unchanged.
    """
    lines = []
    names: set[str] = set()
    for item in sets:
        for field, what in [(item.name, "name"), (item.description, "description"), *((g, "gene") for g in item.genes)]:
            if (
                field != field.strip()
                or any(c in field for c in "\t\r\n\ufeff")
                or (not field and what != "description")
            ):
                msg = (
                    f"The {what} {field!r} of set {item.name!r} cannot stand in a GMT file: it must not be empty, hold "
                    "tabs or line breaks, or begin or end with a blank. Rename it."
                )
                raise ValueError(msg)
        if item.name in names:
            msg = f"The set {item.name!r} occurs twice. Rename or delete one of them."
            raise ValueError(msg)
        names.add(item.name)
        lines.append("\t".join([item.name, item.description, *(item.genes or [""])]) + "\n")
    data = "".join(lines).encode()
    with replacing(path, _WRITTEN) as new:
        new.write_bytes(gzip.compress(data, 9, mtime=0) if str(path).endswith(".gz") else data)
