"""What `tl.adapt` is given, checked and brought into the form of a problem."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from omicstl._core.checks import check_choice, check_number, check_text, listed, missing_key
from omicstl._core.log import TransferWarning, warn
from omicstl._core.options.training import Training
from omicstl._core.settings import settings
from omicstl._data import adata as reader, classes, columns as columns_of, tables
from omicstl._data.obsm import read_obsm
from omicstl.models.adapt import closed_forms
from omicstl.models.adapt.closed_forms import LATENT, Domain, Problem
from omicstl.models.transfer.heads import BINARY, MULTILABEL, MULTINOMIAL, REGRESSION, Task, labelled

if TYPE_CHECKING:
    from anndata import AnnData

CLASSIFICATION, AUTO = "classification", "auto"
LEAST_TARGET, LEAST_SOURCE = 3, 10  # rows; labelled rows
MOST_CLASSES = 100
LARGEST = 1e100  # of numbers, whose squares are added up


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


def method(value: object, training: Training | None, n_members: int | None, focus: float) -> Any:
    """The record of a method; `None` for ``"auto"``."""
    if isinstance(value, str):
        check_choice("method", value, (AUTO, *closed_forms.NAMES))
        options = None if value == AUTO else closed_forms.NAMES[value]()
    elif isinstance(value, type) and value in closed_forms.METHODS:
        msg = f"`method` must be a record, got the class {value.__name__}. Write method=otl.tl.{value.__name__}()."
        raise TypeError(msg)
    elif type(value) in closed_forms.METHODS:
        options = value
    else:
        msg = (
            f"`method` must be a name or a record such as otl.tl.Coral(), got {value!r} of type {type(value).__name__}. Names: "
            f"{listed([AUTO, *closed_forms.NAMES], limit=20)}."
        )
        raise TypeError(msg)
    if training is not None and not isinstance(training, Training):
        msg = f"`training` must be an otl.tl.Training or None, got {training!r}. Write training=otl.tl.Training(epochs=100)."
        raise TypeError(msg)
    if n_members is not None:
        check_number("n_members", n_members, low=1, integer=True)
    check_number("focus", focus, low=0)
    closed = options is None or closed_forms.METHODS[type(options)].closed
    for name, given in (("training", training), ("n_members", n_members), ("focus", focus or None)):
        if closed and given is not None:
            what = AUTO if options is None else closed_forms.name_of(options)
            msg = f"`{name}` is for networks; method={what!r} is solved in closed form. Leave it out."
            raise ValueError(msg)
    return options


def labels(adata: AnnData, key: str, task: str) -> Labels:
    """Read labels from a column of `obs`, or several from a matrix of `obsm`."""
    check_text("label_key", key)
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
        if known.size and (np.abs(known).max() > LARGEST or 0 < np.ptp(known) < 1 / LARGEST):
            msg = f"{where} holds numbers from {known.min():g} to {known.max():g}, beyond what can be squared. Bring them to another scale."
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
    if not isinstance(target, str):
        msg = f"`target` must be the name of a domain as text, got {target!r} of type {type(target).__name__}. Domains: {listed(names, limit=20)}."
        raise TypeError(msg)
    if source is not None and not isinstance(source, Iterable):
        msg = f"`source` must be the name of a domain, or a list of names, got {source!r} of type {type(source).__name__}. Domains: {listed(names, limit=20)}."
        raise TypeError(msg)
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


def check_labels(y: Labels, where: Rows) -> None:
    """Refuse sources that show one class alone, or numbers that do not vary."""
    pooled = y.y[np.concatenate(where.sources)]
    bare = [str(name) for name, column in zip(y.task.names, pooled.T, strict=False) if not np.isfinite(column).any()]
    if bare and pooled.shape[1] > 1:
        msg = f"No observation of the sources {listed(where.names)} has a value of {listed(bare)} in {y.where}; these cannot be learnt. Leave these columns out."
        raise ValueError(msg)
    varies = [np.unique(column[np.isfinite(column)]).size > 1 for column in pooled.T]
    if not any(varies):
        known = pooled[np.isfinite(pooled)]
        what = y.task.names[int(known[0])] if y.task.kind in (BINARY, MULTINOMIAL) else f"{known[0]:g}"
        msg = f"All labels of the sources {listed(where.names)} in {y.where} are {str(what)!r}; there is nothing to learn."
        raise ValueError(msg)
    if y.task.kind not in (BINARY, MULTINOMIAL):
        return
    if len(y.task.names) < 2:
        msg = f"{y.where} has one class, {y.task.names[0]!r}; two are needed."
        raise ValueError(msg)
    own = [np.unique(y.y[rows][labelled(y.y[rows]), 0]) for rows in where.sources]
    alone = [name for name, codes in zip(where.names, own, strict=True) if codes.size == 1]
    if alone:
        warn(
            f"All labels of {listed(alone)} are of one class, so that this class and the domain cannot be told apart. "
            "Consider to leave it out of `source`.",
            TransferWarning,
        )
    there = y.y[where.target]
    extra = np.setdiff1d(there[labelled(there), 0], np.concatenate(own)).astype(int)
    if extra.size:
        counts = ", ".join(f"{str(y.task.names[code])!r} ({int((there[:, 0] == code).sum())})" for code in extra)
        warn(
            f"No source has labels of {counts}; what is said of it comes from the target {where.target_name!r} alone. If it stands for a label that "
            "is missing, make it None.",
            TransferWarning,
        )


def read(adata: AnnData, layer: str | None, obsm: str | None) -> reader.Expression:
    """The matrix to adapt."""
    if obsm is not None and layer is not None:
        msg = f"`layer` ({layer!r}) and `obsm` ({obsm!r}) were both given. Leave one of them out."
        raise ValueError(msg)
    return reader.read(adata, layer=layer) if obsm is None else read_obsm(adata, obsm)


def check_size(expression: reader.Expression, task: Task) -> None:
    """Refuse a model that could not travel in the AnnData, before the fit."""
    p = expression.var_names.size
    size = p * (8 * task.n_out + 4 * LATENT)
    if size > settings.model_in_adata:
        msg = (
            f"The model would take {size / 2**20:.0f} MB ({p} variables, {task.n_out} outputs), above the "
            f"{settings.model_in_adata / 2**20:.0f} MB that may travel in an AnnData. Use fewer variables, or raise "
            "otl.settings.model_in_adata."
        )
        raise ValueError(msg)


def problem(
    adata: AnnData,
    expression: reader.Expression,
    y: Labels,
    where: Rows,
    block: str | None,
    class_weight: str | None,
    training: Training | None,
    n_members: int | None,
    focus: float,
) -> tuple[Problem, np.ndarray]:
    """All domains in float64, and the whole matrix as it was read."""
    check_text("class_weight", class_weight, optional=True)
    if class_weight is not None:
        check_choice("class_weight", class_weight, ("balanced",))
        if y.task.kind == REGRESSION:
            msg = "class_weight='balanced' is for classes, and the labels are numbers. Leave it out."
            raise ValueError(msg)
    if focus and y.task.kind == REGRESSION:
        msg = f"focus={focus:g} is for classes, and the labels are numbers. Leave it out."
        raise ValueError(msg)
    blocks = (
        None if block is None else columns_of.groups(adata, block, argument="block", category=TransferWarning).codes
    )
    summary = reader.summarise(expression)
    reader.check_scale(expression, summary, expected="any")
    x = np.concatenate(list(expression.rows.blocks()))
    if not (summary.low < summary.high).any():
        msg = f"All {x.shape[1]} variables of {expression.where} have one value in every observation; there is nothing to learn."
        raise ValueError(msg)

    def domain(name: str, index: np.ndarray) -> Domain:
        return Domain(name, x[index].astype(np.float64), y.y[index], None if blocks is None else blocks[index])

    return (
        Problem(
            tuple(domain(name, index) for name, index in zip(where.names, where.sources, strict=True)),
            domain(where.target_name, where.target),
            y.task,
            expression.var_names.astype(object),
            balanced=class_weight == "balanced",
            training=training,
            n_members=n_members,
            focus=float(focus),
        ),
        x,
    )


def params(values: dict[str, Any], options: Any, where: Rows, given: Problem) -> dict[str, Any]:
    """What was used, in a form that files can hold."""
    return values | {
        "source": np.array(where.names, dtype=object),
        "options": asdict(options),
        "n_obs": sum(len(d.x) for d in given.sources) + len(given.target.x),
        "n_labelled": int(sum(labelled(d.y).sum() for d in given.sources)),
        "n_labelled_target": int(labelled(given.target.y).sum()),
        "n_sources": len(where.names),
        "n_genes": int(given.features.size),
    }
