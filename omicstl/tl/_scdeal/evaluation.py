"""Finished scores beside labels of the cells: read apart, compared after the fit, used for nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from omicstl._core.checks import listed, missing_key
from omicstl._core.log import TransferWarning, warn
from omicstl._data.columns import TRUTH, Column, check_any, doubt_levels, level_name, read_column
from omicstl._data.tables import read_table
from omicstl.tl._shared.response import checked

if TYPE_CHECKING:
    from anndata import AnnData

FEWEST = 3  # labelled cells
SENSITIVE = "sensitive"  # what calls say
_ONE, _NOUGHT = ("1", "True"), ("0", "False")


class Truth(NamedTuple):
    """Labels of the cells (m, d), larger is more sensitive, NaN where there is none; the class that is 1, or ``""`` for numbers."""

    y: np.ndarray
    positive: tuple[str, ...]


def read(
    adata: AnnData, key: str | None, drugs: np.ndarray, sensitive: str | None, mask: np.ndarray | None
) -> Truth | None:
    """Read a column of obs for one drug, or a table of obsm for several; labels that cannot be compared are refused."""
    if key is None:
        return None
    if len(drugs) == 1 and key in adata.obs.columns.astype(str):
        column = read_column(adata, key, argument="eval_key")
        place = column.where
        y, positive, reason = _labels(check_any(column, "no cell has a label. Leave `eval_key` out"), sensitive, mask)
        if reason:
            msg = f"{place} (`eval_key`) cannot be compared with scores: {reason}. Leave `eval_key` out, or pass other labels."
            raise ValueError(msg)
        return Truth(y[:, None], (positive,))
    if key not in adata.obsm:
        if key in adata.obs:
            msg = f"`eval_key` names a column of obs, {key!r}, and {len(drugs)} drugs are predicted. Pass a table of adata.obsm with a column for each drug."
            raise ValueError(msg)
        raise missing_key(key, "adata.obs and adata.obsm", [*adata.obs.columns, *adata.obsm])
    return _table(adata, key, drugs, sensitive, mask)


def _table(adata: AnnData, key: str, drugs: np.ndarray, sensitive: str | None, mask: np.ndarray | None) -> Truth:
    table = read_table(adata, key)
    place = table.where
    there = [i for i, drug in enumerate(drugs) if str(drug) in table.names]
    if not there:
        msg = f"No column of {place} (`eval_key`) is a drug that is predicted: it has {listed(table.names)}, and predicted are {listed(drugs)}."
        raise ValueError(msg)
    y, positive, bad = np.full((adata.n_obs, len(drugs)), np.nan), [""] * len(drugs), {}
    for i in there:
        name = str(drugs[i])
        y[:, i], positive[i], reason = _labels(table.column(name), sensitive, mask)
        if reason:
            y[:, i], bad[name] = np.nan, reason
    if bad:
        first = next(iter(bad))
        said = f"{place} (`eval_key`) cannot be compared with the scores of {listed(bad)}: for {first!r} {bad[first]}."
        if len(bad) == len(there):
            msg = f"{said} Leave `eval_key` out, or pass other labels."
            raise ValueError(msg)
        warn(f"{said} The evaluation leaves {'it' if len(bad) == 1 else 'them'} out.", TransferWarning)
    return Truth(y, tuple(positive))


def _labels(column: Column, sensitive: str | None, mask: np.ndarray | None) -> tuple[np.ndarray, str, str]:
    """Labels turned so that larger is more sensitive, the class that is 1, and why they cannot be compared (or ``""``)."""
    doubt_levels(checked(column), TransferWarning)
    sensitive = None if sensitive is None else level_name(sensitive)
    y, positive = _numbers(column, sensitive) if column.numbers is not None else _classes(column, sensitive)
    known = y[np.isfinite(y) if mask is None else np.isfinite(y) & mask]
    of = "" if mask is None else " that shapes the fit (`mask_obs`)"
    if not known.size:
        return y, positive, f"no cell{of} has a label"
    if known.size < FEWEST:
        return (
            y,
            positive,
            f"{known.size} cell{'s have' if known.size > 1 else ' has'} a label, and at least {FEWEST} are needed",
        )
    if np.ptp(known) == 0:
        return y, positive, f"each labelled cell{of} has the same label"
    return y, positive, ""


def _numbers(found: Column, sensitive: str | None) -> tuple[np.ndarray, str]:
    y = np.asarray(found.numbers)
    values = np.unique(y[np.isfinite(y)])
    if np.isin(values, (0, 1)).all():
        nought = sensitive in _NOUGHT  # a class of the lines by that name
        return (1 - y if nought else y), str(not nought) if found.kind == TRUTH else str(int(not nought))
    if values.size == 2:
        low, high = (f"{value:g}" for value in values)
        msg = (
            f"{found.where} (`eval_key`) holds {low} and {high} alone, and nothing says which is the sensitive one. Write 1 or True for sensitive cells, "
            f"e.g. {found.where} = {found.where} == {high}."
        )
        raise ValueError(msg)
    return y, ""


def _classes(found: Column, sensitive: str | None) -> tuple[np.ndarray, str]:
    """Classes as 0 and 1. Sensitive is the class that `sensitive` names, else "sensitive" itself, else True or 1."""
    levels, place = found.levels, found.where
    if len(levels) > 2:
        msg = f"{place} (`eval_key`) must hold numbers or two classes, got {len(levels)} classes: {listed(levels)}. Set the others to missing."
        raise ValueError(msg)
    flags = [level for level in levels if level in _ONE] if set(levels) <= {*_ONE, *_NOUGHT} else []
    named = (
        [level for level in levels if level == sensitive] or [level for level in levels if level == SENSITIVE] or flags
    )
    if len(levels) == 2 and not named:
        wanted = " or ".join(
            dict.fromkeys(repr(name) for name in (sensitive, SENSITIVE) if name not in (None, "low", "high"))
        )
        msg = (
            f"{place} (`eval_key`) has the classes {listed(levels)}, and nothing says which is the sensitive one: none "
            f"is called {wanted}. Write True for sensitive cells, e.g. {place} = {place} == {levels[-1]!r}."
        )
        raise ValueError(msg)
    positive = named[0] if named else ""
    return np.where(found.absent, np.nan, np.where(found.text == positive, 1.0, 0.0)), positive


def compare(truth: Truth, score: np.ndarray, drugs: np.ndarray, mask: np.ndarray | None) -> pd.DataFrame:
    """Rank correlation, and AUROC of two classes, one row for each drug that has labels."""
    from scipy.stats import rankdata

    rows = []
    for i, drug in enumerate(drugs):
        y, s = truth.y[:, i], score[:, i]
        ok = np.isfinite(y) if mask is None else np.isfinite(y) & mask
        if not ok.any():
            continue
        y, s = y[ok], s[ok]
        ranks = rankdata(s)
        rho = auroc = float("nan")
        if np.ptp(s) > 0:
            rho = float(np.corrcoef(rankdata(y), ranks)[0, 1])
        if truth.positive[i]:
            n = y.sum()
            auroc = float((ranks[y == 1].sum() - n * (n + 1) / 2) / (n * (y.size - n)))
        rows.append((str(drug), int(y.size), rho, auroc, truth.positive[i]))
    return pd.DataFrame(rows, columns=["drug", "n_cells", "rho", "auroc", "label_1"])
