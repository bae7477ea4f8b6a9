"""Gene sets: GMT file, dict or table in, one sparse membership matrix out; exact matching to the genes of the data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import sparse

from omicstl._core.checks import check_number, listed

from .features import match_features, no_overlap_message
from .gmt import parse_gmt

_KINDS = (
    "the path of a .gmt or .gmt.gz file, a dict of set name to genes, a DataFrame with columns 'source' and 'target', "
    "or a 0/1 DataFrame of genes × sets"
)


class GeneSets(NamedTuple):
    """A collection of gene sets: ``membership[i, j]`` is 1 where gene i belongs to set j (float32, genes × sets)."""

    genes: np.ndarray
    names: np.ndarray
    membership: sparse.csc_array


class MatchedSets(NamedTuple):
    """
    Gene sets over the genes that the data have.

    `columns` are positions in the data, rising, of every gene that the collection knows (also of genes in no kept set);
    `membership` is float32, ``len(columns)`` × kept sets. `lost_genes` are genes of the collection without data,
    `lost_sets` pairs (name, number of genes in the data) of the sets that were dropped.
    """

    columns: np.ndarray
    genes: np.ndarray
    names: np.ndarray
    membership: sparse.csc_array
    lost_genes: np.ndarray
    lost_sets: list[tuple[str, int]]


def read_gene_sets(source: object, *, argument: str = "gene_sets") -> GeneSets:
    """
    Bring any accepted form of gene sets into one membership matrix.

    Parameters
    ----------
    source
        A GMT path (``.gmt``, ``.gmt.gz``); a dict of set name to genes; a tidy table with columns ``source`` (set) and
        ``target`` (gene), whose other columns are not used; a table genes × sets of 0 and 1, whose index may name genes
        of no set (they are kept); or a `GeneSets`.
    argument
        Name of the argument in messages.

    Returns
    -------
    Genes in order of first appearance (for a table genes × sets, in its own order), sets in their own order.

    Raises
    ------
    TypeError
        If `source` is of another type, or a name of a set or gene is not a string.
    ValueError
        If the collection is empty, a line, table or value is malformed, or names are duplicated.
    FileNotFoundError
        If there is no file at the path.

    Notes
    -----
    A gene repeated within a set counts once. Cost: one pass over the memberships.

    Examples
    --------
    >>> sets = read_gene_sets({"T cell": ["CD3E", "CD2"], "B cell": ["CD19", "CD2"]})
    >>> sets.genes.tolist(), sets.membership.toarray().sum(axis=0).tolist()
    (['CD3E', 'CD2', 'CD19'], [2.0, 2.0])
    """
    if isinstance(source, GeneSets):
        sets = source
        if sets.membership.shape != (len(sets.genes), len(sets.names)):
            wanted = f"{len(sets.genes)} × {len(sets.names)}"
            msg = f"`{argument}`: membership must be genes × sets, {wanted}, got {sets.membership.shape}."
            raise ValueError(msg)
    elif isinstance(source, str | Path):
        if not str(source).lower().endswith((".gmt", ".gmt.gz")):
            msg = (
                f"`{argument}` must be {_KINDS}; got the string {str(source)!r}. "
                "Collections that come with the package: otl.datasets.gene_sets('reactome'), 'pid' or 'blood'."
            )
            raise ValueError(msg)
        sets = _from_lists({item.name: item.genes for item in parse_gmt(source)})
    elif isinstance(source, Mapping):
        sets = _from_lists(_checked_lists(source, argument))
    elif isinstance(source, pd.DataFrame):
        sets = (
            _from_tidy(source, argument)
            if {"source", "target"} <= set(source.columns)
            else _from_binary(source, argument)
        )
    else:
        msg = f"`{argument}` must be {_KINDS}; got {type(source).__name__}."
        raise TypeError(msg)
    if sets.membership.shape[1] == 0 or sets.membership.nnz == 0:
        msg = f"`{argument}` is empty: {len(sets.names)} sets, no gene in any. Give at least one set with genes."
        raise ValueError(msg)
    return sets


def gene_lists(source: object, *, argument: str = "gene_sets") -> dict[str, list[str]]:
    """Return the sets as lists; those of a dict keep their order, each gene once."""
    if isinstance(source, Mapping):
        return {name: list(dict.fromkeys(genes)) for name, genes in _checked_lists(source, argument).items()}
    sets = read_gene_sets(source, argument=argument)
    bounds, rows = sets.membership.indptr, sets.membership.indices
    names = sets.names.tolist()
    return {name: sets.genes[rows[bounds[j] : bounds[j + 1]]].tolist() for j, name in enumerate(names)}


def match(
    sets: GeneSets,
    var_names: np.ndarray | pd.Index | list[str],
    *,
    min_genes: int = 10,
    argument: str = "gene_sets",
    label: str = "adata.var_names",
) -> MatchedSets:
    """
    Restrict gene sets to the genes of the data, by exact names, and drop sets that are then too small.

    Parameters
    ----------
    sets
        What `read_gene_sets` returned.
    var_names
        Unique names of the genes of the data.
    min_genes
        Sets with fewer genes in the data are dropped.
    argument, label
        How the sets and the names of the data are called in messages.

    Returns
    -------
    Positions of the known genes in the data, in the order of the data, their memberships in the kept sets, and what was
    lost.

    Raises
    ------
    ValueError
        If no gene is shared (both kinds of identifiers are named), or no set keeps enough genes.

    Notes
    -----
    Exact matching: the original lets a gene inherit the sets of any gene whose name begins with its own (`PTPRC` those
    of `PTPRCAP`), 164 false memberships in its own example :cite:p:`Mao2019`.

    Examples
    --------
    >>> sets = read_gene_sets({"A": ["PTPRCAP", "CD2"], "B": ["PTPRC"]})
    >>> matched = match(sets, ["CD2", "PTPRC"], min_genes=1)
    >>> matched.genes.tolist(), matched.membership.toarray().tolist(), matched.lost_genes.tolist()
    (['CD2', 'PTPRC'], [[1.0, 0.0], [0.0, 1.0]], ['PTPRCAP'])
    """
    check_number("min_genes", min_genes, low=1, integer=True)
    found = match_features(var_names, sets.genes)
    if len(found.have_index) == 0:
        raise ValueError(no_overlap_message(var_names, sets.genes, label, f"`{argument}`"))
    order = np.argsort(found.have_index, kind="stable")
    columns, rows = found.have_index[order], found.want_index[order]
    membership = sparse.csc_array(sparse.csr_array(sets.membership)[rows])
    sizes = np.diff(membership.indptr)
    keep = sizes >= min_genes
    if not keep.any():
        raise ValueError(_no_set_message(sets.names, sizes, len(columns), min_genes, argument, label))
    lost = [(str(name), int(size)) for name, size in zip(sets.names[~keep], sizes[~keep], strict=True)]
    kept = _binary_csc(membership[:, np.flatnonzero(keep)])
    return MatchedSets(columns, sets.genes[rows], sets.names[keep], kept, found.missing, lost)


def _no_set_message(names: np.ndarray, sizes: np.ndarray, n_shared: int, low: int, argument: str, label: str) -> str:
    largest = int(np.argmax(sizes))
    return (
        f"None of the {len(names)} sets of `{argument}` has at least min_genes={low} of its genes in {label}, which shares "
        f"{n_shared} genes with them; the largest, {str(names[largest])!r}, has {int(sizes[largest])}. Lower min_genes to at "
        f"most {int(sizes[largest])}, or give more sets or genes."
    )


def _binary_csc(matrix: sparse.sparray) -> sparse.csc_array:
    """Canonical float32 CSC with every stored value 1."""
    out = sparse.csc_array(matrix, dtype=np.float32)
    out.sum_duplicates()
    out.eliminate_zeros()
    out.data[:] = 1.0
    out.sort_indices()
    return out


def _from_lists(lists: Mapping[str, list[str]]) -> GeneSets:
    flat = [gene for genes in lists.values() for gene in genes]
    codes, genes = pd.factorize(np.asarray(flat, dtype=object))
    sizes = [len(genes_of) for genes_of in lists.values()]
    columns = np.repeat(np.arange(len(sizes)), sizes)
    shape = (len(genes), len(sizes))
    membership = sparse.coo_array((np.ones(len(flat), np.float32), (codes, columns)), shape=shape)
    return GeneSets(np.asarray(genes, dtype=str), np.asarray(list(lists), dtype=str), _binary_csc(membership))


def _checked_lists(source: Mapping[object, object], argument: str) -> dict[str, list[str]]:
    lists: dict[str, list[str]] = {}
    for name, genes in source.items():
        if not isinstance(name, str) or not name:
            msg = f"`{argument}`: names of sets must be non-empty strings, got {name!r} ({type(name).__name__})."
            raise TypeError(msg)
        if isinstance(genes, str | bytes | Mapping) or not isinstance(genes, Iterable):
            kind = type(genes).__name__
            msg = f"`{argument}`: the genes of set {name!r} must be a list of names, got {kind}. Write ['CD2', 'CD3E']."
            raise TypeError(msg)
        members = list(genes)
        wrong = [gene for gene in members if not isinstance(gene, str) or not gene]
        if wrong:
            kind = type(wrong[0]).__name__
            msg = f"`{argument}`: gene names must be non-empty strings, set {name!r} holds {wrong[0]!r} ({kind})."
            raise TypeError(msg)
        lists[name] = [str(gene) for gene in (sorted(members) if isinstance(genes, set | frozenset) else members)]
    return lists


def _from_tidy(table: pd.DataFrame, argument: str) -> GeneSets:
    pair = table[["source", "target"]]
    n_missing = int(pair.isna().any(axis=1).sum())
    if n_missing:
        msg = (
            f"`{argument}`: {n_missing} row(s) of the table have no source or no target. "
            "Drop them: table.dropna(subset=['source', 'target'])."
        )
        raise ValueError(msg)
    lists: dict[object, list[object]] = {}
    for name, gene in zip(pair["source"].tolist(), pair["target"].tolist(), strict=True):
        lists.setdefault(name, []).append(gene)
    return _from_lists(_checked_lists(lists, argument))


def _from_binary(table: pd.DataFrame, argument: str) -> GeneSets:
    wrong = [
        str(column)
        for column, dtype in table.dtypes.items()
        if not (dtype.kind in "biuf" or isinstance(dtype, pd.SparseDtype))
    ]
    if wrong:
        msg = (
            f"`{argument}`: a table must have the columns 'source' and 'target', or hold only 0 and 1 (genes × sets); "
            f"column(s) {listed(wrong)} hold neither. Columns: {listed([str(c) for c in table.columns])}."
        )
        raise ValueError(msg)
    for axis, names in (("index (genes)", table.index), ("columns (sets)", table.columns)):
        if not all(isinstance(name, str) and name for name in names):
            msg = (
                f"`{argument}`: the {axis} of a 0/1 table must be non-empty strings, got {names[0]!r}. "
                "Genes are rows, sets are columns."
            )
            raise TypeError(msg)
        if not names.is_unique:
            twice = [str(name) for name in dict.fromkeys(names[names.duplicated()])]
            msg = f"`{argument}`: the {axis} of a 0/1 table must be unique, got {listed(twice)} more than once."
            raise ValueError(msg)
    values = table.to_numpy(dtype=np.float64)
    odd = ~((values == 0) | (values == 1))
    if odd.any():
        row, column = (int(i) for i in np.argwhere(odd)[0])
        msg = (
            f"`{argument}`: a table genes × sets must hold only 0 and 1, got {values[row, column]!s} for gene "
            f"{table.index[row]!r} in set {table.columns[column]!r} and {int(odd.sum())} such value(s) in all. "
            "Weights are not used: write (table != 0)."
        )
        raise ValueError(msg)
    return GeneSets(
        np.asarray(table.index, dtype=str), np.asarray(table.columns, dtype=str), _binary_csc(sparse.csc_array(values))
    )


def lost_table(lost: list[tuple[str, int]]) -> pd.DataFrame:
    """Gene sets that were left out, and how many of their genes the data have."""
    names, sizes = [name for name, _ in lost], [size for _, size in lost]
    return pd.DataFrame({"set": np.array(names, dtype=object), "n_genes": np.array(sizes, dtype=np.int64)})
