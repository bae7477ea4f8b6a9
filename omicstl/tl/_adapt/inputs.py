"""What `tl.adapt` is given, checked and brought into the form of a problem."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from omicstl._core.checks import check_choice, check_number, listed
from omicstl._core.log import TransferWarning, warn
from omicstl._core.options.training import Training
from omicstl._data import adata as reader, columns as columns_of
from omicstl._data.run import Run
from omicstl.models.adapt import methods
from omicstl.models.adapt.closed_forms.base import LATENT
from omicstl.models.adapt.problem import Domain, Problem
from omicstl.models.transfer.heads import BINARY, MULTINOMIAL, REGRESSION, Task, labelled
from omicstl.tl._shared.domains import AUTO, Labels, Rows

if TYPE_CHECKING:
    from anndata import AnnData


def method(value: object, training: Training | None, n_members: int | None, focus: float) -> Any:
    """The record of a method; `None` for ``"auto"``."""
    known = methods.named()
    if isinstance(value, str):
        check_choice("method", value, (AUTO, *known))
        options = None if value == AUTO else known[value]()
    else:
        if not isinstance(getattr(value, "name", None), str):
            msg = f"A record needs a name, and {type(value).__name__} has none. Give its class one: name: ClassVar[str] = 'mine'."
            raise TypeError(msg)
        options = value
    if n_members is not None:
        check_number("n_members", n_members, low=1, high=10_000, integer=True)
    check_number("focus", focus, low=0)
    closed = options is None or methods.method_of(options).closed
    for name, given in (("training", training), ("n_members", n_members), ("focus", focus or None)):
        if closed and given is not None:
            what = AUTO if options is None else options.name
            msg = f"`{name}` is for networks; method={what!r} is solved in closed form. Leave it out."
            raise ValueError(msg)
    return options


def places(domain_key: str, label_key: str, block: str | None, obsm: str | None) -> dict[str, list[Any]]:
    """Slots that are read, by the argument that names them."""
    return {
        "domain_key": [("obs", domain_key)],
        "label_key": [("obs", label_key), ("obsm", label_key)],
        "block": [("obs", block)],
        "obsm": [("obsm", obsm)],
    }


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


def check_size(run: Run, expression: reader.Expression, task: Task) -> None:
    """Refuse a model that could not travel in the AnnData, before the fit."""
    p = expression.var_names.size
    run.check_size(
        p * (8 * task.n_out + 4 * LATENT), f"{p} variables, {task.n_out} outputs", "fewer variables", file=False
    )


def check_classes(class_weight: str | None, focus: float, task: Task) -> None:
    """Refuse options for classes where there are none."""
    if class_weight is not None:
        check_choice("class_weight", class_weight, ("balanced",))
        if task.kind == REGRESSION:
            msg = "class_weight='balanced' is for classes, and the labels are numbers. Leave it out."
            raise ValueError(msg)
    if focus and task.kind == REGRESSION:
        msg = f"focus={focus:g} is for classes, and the labels are numbers. Leave it out."
        raise ValueError(msg)


def matrix(expression: reader.Expression) -> np.ndarray:
    """The whole matrix, checked."""
    summary = reader.summarise(expression)
    reader.check_scale(expression, summary, expected="any")
    x = np.concatenate(list(expression.rows.blocks()))
    if not (summary.low < summary.high).any():
        msg = f"All {x.shape[1]} variables of {expression.where} have one value in every observation; there is nothing to learn."
        raise ValueError(msg)
    return x


def problem(x: np.ndarray, features: np.ndarray, y: Labels, where: Rows, block: np.ndarray | None) -> Problem:
    """Rows of all sources and of the target, in float64, with their labels; without options."""
    parts = [
        Domain(name, x[index].astype(np.float64), y.y[index], None if block is None else block[index])
        for name, index in zip((*where.names, where.target_name), (*where.sources, where.target), strict=True)
    ]
    return Problem(tuple(parts[:-1]), parts[-1], y.task, features.astype(object))


def blocks(adata: AnnData, block: str | None) -> np.ndarray | None:
    """Codes of what is left out together."""
    if block is None:
        return None
    return columns_of.groups(adata, block, argument="block", category=TransferWarning).codes
