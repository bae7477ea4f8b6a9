"""Covariates of the observations, as the numbers that a model was trained with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from omicstl._core.checks import listed
from omicstl._core.log import TransferWarning, warn
from omicstl._data.columns import Column, read_column

if TYPE_CHECKING:
    from anndata import AnnData


class Codes(NamedTuple):
    """Names of the columns of `obs`, and their numbers (n, c) float32; 0 is the average of the training data."""

    names: np.ndarray
    matrix: np.ndarray


def codes_of(adata: AnnData, model: Any) -> Codes | None:
    """Numbers for the model's covariates; what it has not seen, or what is missing, is its average, with a warning."""
    how = getattr(model, "covariate_codes", None)
    if how is None or not how.column.size:
        return None
    values: dict[str, np.ndarray] = {}
    doubts = []
    for name, levels in how.levels.items():
        if name not in adata.obs.columns.astype(str):
            doubts.append(f"obs has no column {name!r}")
            continue
        column = read_column(adata, name)
        given, doubt = _known(column, levels) if levels.size else _numbers(column)
        if given is not None:
            values[name] = given
        if doubt:
            doubts.append(f"obs[{name!r}] {doubt}")
    if doubts:
        warn(
            f"Covariates of the reference are not all known here: {'; '.join(doubts)}. There its average is used, so what a batch "
            "of its own adds to these data stays in their scores.",
            TransferWarning,
        )
    return Codes(np.array(list(how.levels), dtype=object), how.matrix(values, adata.n_obs))


def _known(column: Column, levels: np.ndarray) -> tuple[np.ndarray, str]:
    """Levels as text, "" where missing, and what is wrong with them."""
    text = column.named_as(levels)
    unseen = ~np.isin(text.astype(str), levels.astype(str))
    if not unseen.any():
        return text, ""
    found = [level or "(missing)" for level in dict.fromkeys(text[unseen])]
    return text, f"has levels that it does not know ({listed(found)}; it knows {listed(levels)}) in {_of(unseen)}"


def _numbers(column: Column) -> tuple[np.ndarray | None, str]:
    if not column.is_number:
        return None, f"is no number (dtype {column.dtype})"
    return column.numbers, f"is missing in {_of(column.absent)}" if column.absent.any() else ""


def _of(which: np.ndarray) -> str:
    return f"{int(which.sum())} of {which.size} observations"
