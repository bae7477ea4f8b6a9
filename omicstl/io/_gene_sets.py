"""Read and write gene sets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from omicstl._core.checks import missing_key
from omicstl._core.public import public
from omicstl._data.genesets import gene_lists
from omicstl._data.gmt import GmtSet, dump_gmt, parse_gmt


@public
def read_gmt(path: str | Path) -> dict[str, list[str]]:
    """
    Read gene sets from a GMT file: a name, a description and genes in each line, separated by tabs.

    Parameters
    ----------
    path
        A ``.gmt`` or ``.gmt.gz`` file.

    Returns
    -------
    Name of each set and its genes, in the order of the file. Descriptions are left out.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If a line is malformed or a set occurs twice (the line is named), or the file is not UTF-8 text.

    Notes
    -----
    Only tabs separate: names, descriptions and genes may hold blanks, which `decoupler.pp.read_gmt` (2.1) splits at.
    A gene that a line repeats is kept once. Cost: one pass over the file.

    Examples
    --------
    >>> import tempfile, pathlib, omicstl as otl
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "sets.gmt"
    >>> otl.io.write_gmt(path, {"T cell": ["CD3E", "CD2"]})
    >>> otl.io.read_gmt(path)
    {'T cell': ['CD3E', 'CD2']}
    """
    return {item.name: item.genes for item in parse_gmt(path)}


@public
def write_gmt(
    path: str | Path,
    gene_sets: Mapping[str, Iterable[str]] | pd.DataFrame | str | Path,
    *,
    descriptions: Mapping[str, str] | None = None,
) -> None:
    """
    Write gene sets to a GMT file.

    Parameters
    ----------
    path
        File to write; gzipped when its name ends in ``.gz``. An existing file is replaced, completely or not at all, and hands
        down its mode; of a link, the file that it points to.
    gene_sets
        A dict of set name to genes, a table with columns ``source`` and ``target``, a 0/1 table genes × sets, or
        another GMT file.
    descriptions
        Description of each set; sets that are not named have an empty one.

    Returns
    -------
    `None`; writes `path`.

    Raises
    ------
    KeyError
        If `descriptions` names a set that is not there.
    TypeError, ValueError
        If `gene_sets` is of another form, or a name cannot stand in a GMT file (tabs, line breaks, blanks at its ends).
    FileNotFoundError
        If the folder of `path` does not exist.
    FileExistsError
        If `path` is a device, a pipe or a socket; `IsADirectoryError` if it is a folder.
    OSError
        If the file cannot be written. What stood there is then unchanged.

    Notes
    -----
    Equal sets give equal bytes, gzipped too. What was written reads back equal, except that a gene that a set repeats
    is kept once. Cost: one pass.

    Examples
    --------
    >>> import tempfile, pathlib, omicstl as otl
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "sets.gmt.gz"
    >>> otl.io.write_gmt(path, {"B cell": ["CD19"]}, descriptions={"B cell": "CD19 alone"})
    >>> otl.io.read_gmt(path)
    {'B cell': ['CD19']}
    """
    lists = gene_lists(gene_sets)
    notes = dict(descriptions or {})
    for name in notes:
        if name not in lists:
            raise missing_key(name, "gene_sets", lists)
    dump_gmt(path, [GmtSet(name, notes.get(name, ""), genes) for name, genes in lists.items()])
