"""The response of lines to drugs as the user has it, turned so that larger is more sensitive."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from omicstl._core.checks import check_choice, check_text, listed, missing_key, near_miss
from omicstl._core.log import TransferWarning, warn

if TYPE_CHECKING:
    from anndata import AnnData

FEWEST, FEWEST_OF_CLASS = 10, 3
ENDS = ("low", "high")


class Response(NamedTuple):
    """n lines, d drugs."""

    y: np.ndarray  # (n, d) float64, larger is more sensitive; classes are 0 and 1; NaN where not measured
    drugs: np.ndarray
    binary: np.ndarray
    asked: bool  # drugs were named one by one
    where: str


def read(
    adata: AnnData, reference: AnnData, drugs: Sequence[str] | None, response_key: str | None, sensitive: str | None
) -> Response:
    """Read and turn the response; labels of the cells are never looked at."""
    check_text("response_key", response_key, optional=True)
    check_text("sensitive", sensitive, optional=True)
    names = _names(drugs)
    if response_key is None:
        if names is None:
            tables = [str(name) for name in reference.obsm]
            msg = f"Say which responses to learn: drugs=['<column of reference.obs>'], or response_key='<table of reference.obsm>', of {listed(tables) or 'which there is none'}."
            raise ValueError(msg)
        _check_there(names, reference.obs.columns, adata.obs.columns, "reference.obs", "adata.obs")
        columns, where = {name: reference.obs[name] for name in names}, "reference.obs"
    else:
        columns, where = _table(adata, reference, response_key, names)
    turned = [_turned(name, column, sensitive, where) for name, column in columns.items()]
    return Response(
        y=np.column_stack([y for y, _ in turned]),
        drugs=np.array(list(columns), dtype=object),
        binary=np.array([binary for _, binary in turned]),
        asked=names is not None,
        where=where,
    )


def _names(drugs: Any) -> list[str] | None:
    if drugs is None:
        return None
    names = [drugs] if isinstance(drugs, str) else list(drugs)
    wrong = [name for name in names if not isinstance(name, str)]
    if wrong:
        msg = f"`drugs` must be names, got {listed(wrong)}."
        raise TypeError(msg)
    twice = sorted({name for name in names if names.count(name) > 1})
    if not names or twice:
        msg = (
            f"`drugs` names {listed(twice)} more than once."
            if twice
            else "`drugs` is empty. None takes all of the table."
        )
        raise ValueError(msg)
    return names


def _check_there(names: list[str], there: Any, target: Any, where: str, target_where: str) -> None:
    known = {str(name) for name in there}
    for name in names:
        if name in known:
            continue
        if name in {str(column) for column in target}:
            msg = (
                f"{name!r} is in {target_where}, not in {where}: these are labels of the cells, which are never learnt from. The response "
                "must be that of the lines; to compare the finished scores with these labels pass eval_key=."
            )
            raise KeyError(msg)
        raise missing_key(name, where, [str(column) for column in there])


def _table(adata: AnnData, reference: AnnData, key: str, names: list[str] | None) -> tuple[dict[str, pd.Series], str]:
    where = f"reference.obsm[{key!r}]"
    if key not in reference.obsm:
        if key in adata.obsm:
            msg = (
                f"{key!r} is in adata.obsm, not in reference.obsm: these are labels of the cells, which are never learnt from. The response "
                "must be that of the lines."
            )
            raise KeyError(msg)
        raise missing_key(key, "reference.obsm", reference.obsm)
    value = reference.obsm[key]
    if isinstance(value, pd.DataFrame):
        table = value
    else:
        stored = reference.uns.get(f"{key}_names")
        if stored is None or len(stored) != value.shape[1]:
            msg = f"{where} is an array of {value.shape[1]} columns; their drugs must be named in reference.uns[{key + '_names'!r}]. Or store a DataFrame."
            raise ValueError(msg)
        table = pd.DataFrame(np.asarray(value), columns=[str(name) for name in stored], index=reference.obs_names)
    columns = [str(name) for name in table.columns]
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        msg = f"{where} has several columns called {listed(twice)}. Keep one of each."
        raise ValueError(msg)
    if names is not None:
        target = adata.obsm[key].columns if key in adata.obsm and hasattr(adata.obsm[key], "columns") else ()
        _check_there(names, columns, target, f"the columns of {where}", f"adata.obsm[{key!r}]")
    wanted = columns if names is None else names
    return {name: table.iloc[:, columns.index(name)] for name in wanted}, where


def _turned(name: str, column: pd.Series, sensitive: str | None, where: str) -> tuple[np.ndarray, bool]:
    """Numbers turned so that larger is more sensitive, or classes as 0 and 1; and whether these are classes."""
    if isinstance(column.dtype, pd.CategoricalDtype) or column.dtype.kind not in "biuf":
        return _classes(name, column, sensitive, where), True
    values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    if np.isinf(values).any():
        msg = f"{name!r} in {where} has {int(np.isinf(values).sum())} infinite values. Write NaN where nothing was measured."
        raise ValueError(msg)
    if sensitive is None:
        msg = f"{name!r} in {where} holds numbers: say which end is sensitive, sensitive='low' (IC50, AUC, viability) or sensitive='high' (a sensitivity score, 1 for sensitive)."
        raise ValueError(msg)
    check_choice("sensitive", sensitive, ENDS)
    known = values[np.isfinite(values)]
    binary = bool(known.size) and bool(np.isin(known, (0, 1)).all())
    if binary:
        return (values if sensitive == "high" else 1 - values), True
    return (values if sensitive == "high" else -values), False


def _classes(name: str, column: pd.Series, sensitive: str | None, where: str) -> np.ndarray:
    text = column.astype(object)
    missing = text.isna() | (text == "")
    known = text[~missing]
    numbers = pd.to_numeric(known, errors="coerce")
    if len(known) and numbers.notna().all() and not isinstance(column.dtype, pd.CategoricalDtype):
        turned, _ = _turned(name, pd.to_numeric(text.where(~missing), errors="coerce"), sensitive, where)
        return turned
    levels = sorted({str(value) for value in known})
    if len(levels) > 2:
        msg = f"{name!r} in {where} has {len(levels)} classes: {listed(levels)}. Two are needed; set the others to missing."
        raise ValueError(msg)
    if len(levels) == 1:
        msg = f"{name!r} in {where} has one class, {levels[0]!r}. Both sensitive and resistant lines are needed."
        raise ValueError(msg)
    if levels and (sensitive is None or sensitive not in levels):
        msg = f"Say which class of {name!r} is the sensitive one: `sensitive` must be {' or '.join(map(repr, levels))}, got {sensitive!r}.{near_miss(sensitive, levels)}"
        raise ValueError(msg)
    values = np.where(missing, np.nan, 0.0)
    values[(text.astype(str) == sensitive).to_numpy() & ~missing.to_numpy()] = 1.0
    return values


def settle(response: Response, keep: np.ndarray) -> Response:
    """The lines that are kept, and the drugs with enough of them; one that was asked for by name must have."""
    y = response.y[keep]
    reasons = [_unusable(y[:, i], bool(response.binary[i])) for i in range(y.shape[1])]
    bad = [i for i, reason in enumerate(reasons) if reason]
    if bad and (response.asked or len(bad) == len(reasons)):
        msg = f"{str(response.drugs[bad[0]])!r} in {response.where} cannot be learnt: {reasons[bad[0]]}."
        raise ValueError(msg)
    if bad:
        names = [str(response.drugs[i]) for i in bad]
        warn(
            f"{len(bad)} of {len(reasons)} drugs in {response.where} are left out, as fewer than {FEWEST} lines, fewer than {FEWEST_OF_CLASS} of a "
            f"class, or all with one value, were measured: {listed(names)}.",
            TransferWarning,
        )
    used = np.array([not reason for reason in reasons])
    return response._replace(
        y=np.ascontiguousarray(y[:, used]), drugs=response.drugs[used], binary=response.binary[used]
    )


def _unusable(y: np.ndarray, binary: bool) -> str:
    known = y[np.isfinite(y)]
    if not known.size:
        return "no line has a value"
    if (known == known[0]).all():
        return "all lines are of one class" if binary else "all lines have one value"
    if known.size < FEWEST:
        return f"{known.size} lines have a value and at least {FEWEST} are needed"
    if binary and min((known == 0).sum(), (known == 1).sum()) < FEWEST_OF_CLASS:
        return f"a class has fewer than {FEWEST_OF_CLASS} lines"
    return ""
