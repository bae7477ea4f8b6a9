"""Domains of one object: which rows are sources and target, their labels, and the matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from omicstl._core.checks import check_choice, listed, missing_key
from omicstl._core.log import TransferWarning
from omicstl._data import adata as reader, classes, columns as columns_of, tables
from omicstl._data.obsm import read_obsm
from omicstl.models.transfer.heads import BINARY, MULTILABEL, MULTINOMIAL, REGRESSION, Task, labelled

if TYPE_CHECKING:
    from anndata import AnnData

CLASSIFICATION, AUTO = "classification", "auto"
LEAST_TARGET, LEAST_SOURCE = 3, 10  # rows; labelled rows
MOST_CLASSES = 100


LARGEST = 1e30  # of numbers, which are predicted in float32
LEAST_SPREAD = 1e-5  # of the largest number, about a hundred steps of float32


class Labels(NamedTuple):
    """Labels (n, t) of all rows, NaN where unknown, and what they are."""

    y: np.ndarray
    task: Task
    where: str


class Rows(NamedTuple):
    """Positions of the rows of every source, and of the target."""

    names: tuple[str, ...]
    sources: tuple[np.ndarray, ...]
    target_name: str
    target: np.ndarray


def labels(adata: AnnData, key: str, task: str) -> Labels:
    """Read labels from a column of `obs`, or several from a matrix of `obsm`."""
    check_choice("task", task, (AUTO, CLASSIFICATION, REGRESSION, MULTILABEL))
    if key in adata.obs.columns.astype(str):
        return _one(adata, key, task)
    if key in adata.obsm:
        return _many(adata, key, task)
    there = [str(name) for name in (*adata.obs.columns, *adata.obsm)]
    raise missing_key(key, "adata.obs or adata.obsm", there)


def _one(adata: AnnData, key: str, task: str) -> Labels:
    where = f"adata.obs[{key!r}]"
    if task == MULTILABEL:
        msg = f"task='multilabel' needs a matrix of 0 and 1 in adata.obsm, and {where} is one column. Use task='classification'."
        raise ValueError(msg)
    column = columns_of.check_any(columns_of.read_column(adata, key, argument="label_key"), "the sources need labels")
    if column.is_number and (task == REGRESSION or (task == AUTO and column.is_measured)):
        y = np.asarray(column.numbers)[:, None].copy()
        _check_size(y, where)
        return Labels(y, Task(REGRESSION, np.array([key], dtype=object)), where)
    if task == REGRESSION:
        stored = classes.stored_numbers(column)
        if stored:
            raise TypeError(stored)
        msg = f"task='regression' needs numbers, and {where} holds {column.kind} (dtype {column.dtype}). Use task='classification'."
        raise ValueError(msg)
    names = column.levels
    if len(names) > MOST_CLASSES:
        msg = f"{where} has {len(names)} classes: {listed(names)}. At most {MOST_CLASSES} can be told apart. Is it a column of names?"
        raise ValueError(msg)
    other = "; task='regression' takes numbers." if column.is_number else ". Is it a column of names?"
    classes.check_classes(column, advice=other)
    columns_of.doubt_levels(column, TransferWarning)
    y = np.where(column.absent, np.nan, column.codes)[:, None]
    kind = BINARY if len(names) == 2 else MULTINOMIAL
    return Labels(y, Task(kind, np.array(names, dtype=object)), where)


def _check_size(y: np.ndarray, where: str) -> None:
    for column in y.T:
        known = column[np.isfinite(column)]
        largest = float(np.abs(known).max(initial=0.0))
        spread = 0.0 if largest > LARGEST or not known.size else float(np.ptp(known))
        if largest > LARGEST or 0 < spread < 1 / LARGEST:
            msg = (
                f"{where} holds numbers from {known.min():g} to {known.max():g}, beyond what can be squared. Bring them to another scale: their "
                f"size must be up to {LARGEST:g}, and what they span at least {1 / LARGEST:g}."
            )
            raise ValueError(msg)
        if 0 < spread < LEAST_SPREAD * largest:
            msg = (
                f"{where} holds numbers that span {spread:.3g} at a size of {largest:.9g}, which predictions in float32 cannot tell apart; at least "
                f"{LEAST_SPREAD * largest:.3g} is needed. Subtract a constant: {where} -= {known.min():.9g}."
            )
            raise ValueError(msg)


def _many(adata: AnnData, key: str, task: str) -> Labels:
    where = f"adata.obsm[{key!r}]"
    table = tables.read_table(adata, key, named=False)
    read = [table.column(name) for name in table.names]
    wrong = [column for column in read if column.numbers is None and not column.absent.all()]
    if wrong:
        msg = f"{where} must be a matrix of numbers, NaN where a label is not known, got {wrong[0].kind} in {wrong[0].where}."
        raise TypeError(msg)
    y = np.column_stack([np.full(adata.n_obs, np.nan) if c.numbers is None else c.numbers for c in read])
    _check_size(y, where)
    if task == CLASSIFICATION:
        msg = f"task='classification' needs one column of classes in adata.obs, and {where} is a matrix. Use task='multilabel'."
        raise ValueError(msg)
    binary = bool(np.isin(y[np.isfinite(y)], (0, 1)).all())
    if task == MULTILABEL and not binary:
        msg = f"task='multilabel' needs 0, 1 and NaN, and {where} has other values. Use task='regression'."
        raise ValueError(msg)
    kind = MULTILABEL if binary and task in (AUTO, MULTILABEL) else REGRESSION
    return Labels(y, Task(kind, np.array(table.names, dtype=object)), where)


def rows(adata: AnnData, domain_key: str, source: str | Sequence[str] | None, target: str | None, y: Labels) -> Rows:
    """Which rows are of which source and of the target."""
    column = columns_of.groups(adata, domain_key, argument="domain_key", category=TransferWarning)
    names, codes = list(column.levels), column.codes
    if len(names) < 2:
        msg = f"adata.obs[{domain_key!r}] has one domain, {names[0]!r}; a source and a target are needed."
        raise ValueError(msg)
    known = labelled(y.y)
    if target is None:
        target = _unlabelled_domain(names, codes, known)
    source = [source] if isinstance(source, str) else source
    target = classes.check_domain(target, column)
    if source is None:
        wanted = [name for name in names if name != target]
    else:
        given = columns_of.check_names("source", source, names[0])
        wanted = list(dict.fromkeys(classes.check_domain(name, column) for name in given))
    if not wanted or target in wanted:
        msg = f"`source` must name at least one domain that is not the target {target!r}, got {wanted!r}."
        raise ValueError(msg)
    places = {name: np.flatnonzero(codes == names.index(name)) for name in (target, *wanted)}
    if places[target].size < LEAST_TARGET:
        msg = (
            f"The target {target!r} has {places[target].size} observation{'s' if places[target].size > 1 else ''}; its mean and spread need at "
            f"least {LEAST_TARGET}. Predict single ones with a model of a larger target: otl.tl.predict."
        )
        raise ValueError(msg)
    few = {name: int(known[places[name]].sum()) for name in wanted if known[places[name]].sum() < LEAST_SOURCE}
    if few:
        shown = ", ".join(f"{name!r} ({n})" for name, n in few.items())
        left = [name for name in wanted if name not in few]
        advice = (
            f"Name the sources that have them: source={left!r}."
            if left
            else f"Label more, or is {target!r} not the target?"
        )
        msg = f"A source needs at least {LEAST_SOURCE} labels in {y.where}; too few in {shown}. {advice}"
        raise ValueError(msg)
    return Rows(tuple(wanted), tuple(places[name] for name in wanted), target, places[target])


def _unlabelled_domain(names: list[str], codes: np.ndarray, known: np.ndarray) -> str:
    share = np.array([known[codes == i].mean() for i in range(len(names))])
    for found in (np.flatnonzero(share == 0), np.flatnonzero(share < 1)):
        if found.size == 1:
            return names[int(found[0])]
    where = "no domain lacks labels" if (share == 1).all() else "several domains lack labels"
    hint = " A label that is missing must be NaN or None, not a word such as 'unknown'." if (share == 1).all() else ""
    msg = f"`target` cannot be guessed: {where}. Name it, one of {listed(names, limit=20)}, e.g. target={names[-1]!r}.{hint}"
    raise ValueError(msg)


def read(adata: AnnData, layer: str | None, obsm: str | None) -> reader.Expression:
    """The matrix to adapt."""
    if obsm is not None and layer is not None:
        msg = f"`layer` ({layer!r}) and `obsm` ({obsm!r}) were both given. Leave one of them out."
        raise ValueError(msg)
    return reader.read(adata, layer=layer) if obsm is None else read_obsm(adata, obsm)
