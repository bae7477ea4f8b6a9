"""What measures of two domains share: the rows of each, in few columns, and their labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from anndata import AnnData

from omicstl._core.checks import check_number, listed
from omicstl._core.log import TransferWarning
from omicstl._data import adata as reader, classes, columns
from omicstl._data.obsm import read_obsm
from omicstl.models.shift.space import MOST, learn

LEAST = 10
LARGEST = 1e15  # squares of larger values, and their sums, leave the range of float32
SMALLEST = 1e-70  # products of squares of smaller values leave the range of float64
check_adata = reader.check_adata


class Domains(NamedTuple):
    """Positions of rows and their coordinates: those drawn for a measure, and of the source those that weights are for."""

    source: str
    target: str
    source_rows: np.ndarray
    target_rows: np.ndarray
    x_source: np.ndarray
    x_target: np.ndarray
    all_source: np.ndarray
    x_all_source: np.ndarray


class Choice(NamedTuple):
    """What a measure compares, as its caller wrote it: the arguments of the same names."""

    domain_key: str
    source: Sequence[str] | None
    target: str | None
    obsm: str | None
    layer: str | None
    n_comps: int | None
    max_obs: int


class Labels(NamedTuple):
    """Codes of classes, or numbers, NaN where unknown; `names` are the classes, empty for numbers."""

    y: np.ndarray
    names: list[str]


def sides(
    adata: AnnData, domain_key: str, source: Sequence[str] | None, target: str | None
) -> tuple[str, str, np.ndarray, np.ndarray]:
    """Names and row positions of the source, whose levels count as one, and of the target."""
    reader.check_adata(adata)
    column = columns.groups(adata, domain_key, argument="domain_key", category=TransferWarning)
    names, where = column.levels, column.where
    source = None if source is None else [classes.check_domain(name, column) for name in source]
    target = None if target is None else classes.check_domain(target, column)
    if target is None:
        left = [name for name in names if name not in (source or ())]
        if len(names) < 2 or (len(left) != 1 and len(names) != 2):
            msg = f"Two domains are needed, and {where} has {len(names)}: {listed(names)}. Name `source` and `target`."
            raise ValueError(msg)
        target = left[-1]
    wanted = [name for name in names if name != target] if source is None else list(dict.fromkeys(source))
    if not wanted or target in wanted:
        msg = f"`source` must name at least one domain other than the target {target!r}, got {wanted!r}."
        raise ValueError(msg)
    rows = tuple(
        np.flatnonzero(np.isin(column.codes, [names.index(name) for name in side])) for side in (wanted, [target])
    )
    for what, found in (("source", rows[0]), ("target", rows[1])):
        if found.size < LEAST:
            msg = f"The {what} has {found.size} observation{'' if found.size == 1 else 's'} in {where}; at least {LEAST} are needed."
            raise ValueError(msg)
    return " + ".join(wanted), target, rows[0], rows[1]


def read_matrix(adata: AnnData, obsm: str | None, layer: str | None) -> reader.Expression:
    """Read the matrix that is compared."""
    if obsm is not None and layer is not None:
        msg = f"`layer` ({layer!r}) and `obsm` ({obsm!r}) were both given. Leave one of them out."
        raise ValueError(msg)
    return reader.read(adata, layer=layer) if obsm is None else read_obsm(adata, obsm)


def read(
    adata: AnnData,
    choice: Choice,
    generator: np.random.Generator,
    *,
    keep: np.ndarray | None = None,
    blind: bool = False,
    whole_source: bool = False,
    scaled: bool = False,
) -> Domains:
    """
    Read both domains in few columns: those of `obsm` as they are, or principal components of both domains together.

    Of more than `max_obs` rows in a domain as many are drawn; rows that `keep` marks are drawn first, in the target not if `blind`. `whole_source` also gives the
    coordinates of every source row, in blocks. `scaled` makes components of `obsm` as well. Up to 20 columns are all kept.
    """
    domain_key, source, target, obsm, layer, n_comps, max_obs = choice
    check_number("max_obs", max_obs, low=LEAST, integer=True)
    if n_comps is not None:
        check_number("n_comps", n_comps, low=1, integer=True)
    expression = read_matrix(adata, obsm, layer)
    names = sides(adata, domain_key, source, target)
    kept = keep, None if blind else keep
    drawn = [_drawn(rows, max_obs, generator, first) for rows, first in zip(names[2:], kept, strict=True)]
    x = [finite(expression, rows) for rows in drawn]
    reduce = obsm is None or n_comps is not None or scaled
    if n_comps is None and expression.rows.n_cols <= MOST:
        n_comps = expression.rows.n_cols
    space = learn(*x, n_comps=n_comps) if reduce else None
    at = (lambda block: block.astype(np.float64)) if space is None else space.transform
    x_source, x_target = at(x[0]), at(x[1])
    every = x_source
    if whole_source:
        rows = names[2]
        size = max(1, 4_000_000 // max(expression.rows.n_cols, 1))
        every = np.concatenate([at(finite(expression, rows[i : i + size])) for i in range(0, rows.size, size)])
    return Domains(names[0], names[1], drawn[0], drawn[1], x_source, x_target, names[2], every)


def read_labelled(
    adata: AnnData, choice: Choice, label: Labels, generator: np.random.Generator, *, blind: bool = False
) -> tuple[Domains, np.ndarray, np.ndarray]:
    """Both domains as components, labelled rows drawn first (`blind`: of the source alone), and the labels of their rows, NaN where unknown."""
    found = read(adata, choice, generator, keep=np.isfinite(label.y), blind=blind, scaled=True)
    return found, label.y[found.source_rows], label.y[found.target_rows]


def _drawn(rows: np.ndarray, most: int, generator: np.random.Generator, keep: np.ndarray | None) -> np.ndarray:
    if rows.size <= most:
        return rows
    order = generator.permutation(rows)
    if keep is not None:
        order = np.concatenate([order[keep[order]], order[~keep[order]]])
    return np.sort(order[:most])


def finite(expression: reader.Expression, rows: np.ndarray) -> np.ndarray:
    """Dense rows, refused if a value is not finite or too large to be squared."""
    x = np.asarray(expression.rows.take(rows))
    bad = ~np.isfinite(x).all(axis=1)
    if bad.any():
        msg = f"{expression.where} has NaN or infinite values in {int(bad.sum())} rows, first {str(expression.obs_names[rows[bad][0]])!r}. Leave these out."
        raise ValueError(msg)
    largest = check_size(expression.where, x)
    if 0 < largest < SMALLEST:
        msg = f"{expression.where} has no value above {largest:.3g}; less than {SMALLEST:g} cannot be computed with. Multiply by a constant."
        raise ValueError(msg)
    return x


def check_size(where: str, values: np.ndarray) -> float:
    """Refuse values too large to be squared; the largest without its sign."""
    largest = max(float(values.max(initial=0.0)), -float(values.min(initial=0.0)))
    if largest > LARGEST:
        msg = f"{where} has values up to {largest:.3g}; more than {LARGEST:g} cannot be computed with. Divide by a constant."
        raise ValueError(msg)
    return largest


def check_numbers(where: str, values: np.ndarray) -> None:
    """Refuse numbers, NaN where missing, too large to be squared, or that vary by too little to be."""
    known = values[np.isfinite(values)]
    check_size(where, known)
    spread = float(np.ptp(known)) if known.size else 0.0
    if 0 < spread < SMALLEST:
        msg = f"{where} spans {spread:.3g}; less than {SMALLEST:g} cannot be computed with. Multiply by a constant."
        raise ValueError(msg)


def labels(adata: AnnData, label_key: str) -> Labels:
    """Read labels of all rows: a column of numbers with more than two values is numeric, all else is classes."""
    reader.check_adata(adata)
    column = columns.check_any(columns.read_column(adata, label_key, argument="label_key"), "labels are needed")
    if column.is_number:
        check_size(column.where, column.known)
    if column.is_measured:
        check_numbers(column.where, column.known)
        return Labels(np.asarray(column.numbers), [])
    classes.check_classes(column)
    columns.doubt_levels(column, TransferWarning)
    return Labels(np.where(column.absent, np.nan, column.codes), list(column.levels))
