"""Covariates of the observations, as the numbers that a model was trained with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from omicstl._core.checks import listed
from omicstl._core.log import TransferWarning, warn
from omicstl.tl._rank_factors_groups import design as columns_of

if TYPE_CHECKING:
    import pandas as pd
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
        if name not in adata.obs:
            doubts.append(f"obs has no column {name!r}")
            continue
        column = columns_of.column(adata.obs, name)
        given, doubt = _known(column, [str(level) for level in levels]) if levels.size else _numbers(column)
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


def _known(column: pd.Series, levels: list[str]) -> tuple[np.ndarray, str]:
    """Levels as text, "" where missing, and what is wrong with them."""
    text = np.array([str(value) for value in column], dtype=object)
    text[columns_of.absent(column)] = ""
    unseen = ~np.isin(text, np.array(levels, dtype=object))
    if not unseen.any():
        return text, ""
    found = [level or "(missing)" for level in dict.fromkeys(text[unseen])]
    return text, f"has levels that it does not know ({listed(found)}; it knows {listed(levels)}) in {_of(unseen)}"


def _numbers(column: pd.Series) -> tuple[np.ndarray | None, str]:
    if not columns_of.is_number(column):
        return None, f"is no number (dtype {column.dtype})"
    found = column.to_numpy(dtype=np.float64, na_value=np.nan)
    lost = ~np.isfinite(found)
    return found, f"is missing in {_of(lost)}" if lost.any() else ""


def _of(which: np.ndarray) -> str:
    return f"{int(which.sum())} of {which.size} observations"
