"""The response of lines to drugs as the user has it, turned so that larger is more sensitive."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from omicstl._core.checks import check_text, listed, missing_key, near_miss
from omicstl._core.log import TransferWarning, warn

from .labels import check_rows, read_column, tables_of

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
    if isinstance(sensitive, bool | int | float | np.generic) and not isinstance(sensitive, str):
        msg = f"`sensitive` must be text, got {sensitive!r} of type {type(sensitive).__name__}. Write 'high' where 1 or True is sensitive, 'low' where 0 or False is."
        raise TypeError(msg)
    check_text("sensitive", sensitive, optional=True)
    names = _names(drugs)
    if response_key is None:
        if names is None:
            tables = tables_of(reference, "reference")
            msg = f"Say which responses to learn: drugs=['<column of reference.obs>'], or response_key='<table of reference.obsm>', of {listed(tables) or 'which there is none'}."
            raise ValueError(msg)
        where = "reference.obs"
        there = [str(name) for name in reference.obs.columns]
        _check_there(names, there, adata.obs.columns, where, "adata.obs")
        _check_once([name for name in there if name in names], where)
        columns = {name: reference.obs.iloc[:, there.index(name)] for name in names}
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
    if not isinstance(drugs, str) and not np.iterable(drugs):
        msg = f"`drugs` must be a list of names, or None for all of the table, got {drugs!r} of type {type(drugs).__name__}."
        raise TypeError(msg)
    names = [drugs] if isinstance(drugs, str) else list(drugs)
    wrong = [name for name in names if not isinstance(name, str)]
    if wrong:
        way_out = (
            f" Write {[str(name) for name in names[:3]]}."
            if all(isinstance(name, int | np.integer) for name in wrong)
            else ""
        )
        msg = f"`drugs` must be names as text, got {listed(wrong)} of type {type(wrong[0]).__name__}.{way_out}"
        raise TypeError(msg)
    if not names:
        msg = "`drugs` is empty. Name at least one, or pass None for all of the table."
        raise ValueError(msg)
    _check_once(names, "`drugs`", "names")
    return [str(name) for name in names]


def _check_once(names: list[str], where: str, verb: str = "has a column") -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        msg = f"{where} {verb} {listed(twice)} more than once. Keep one of each."
        raise ValueError(msg)


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
    tables_of(reference, "reference")
    if key not in reference.obsm:
        if key in adata.obsm:
            msg = (
                f"{key!r} is in adata.obsm, not in reference.obsm: these are labels of the cells, which are never learnt from. The response "
                "must be that of the lines."
            )
            raise KeyError(msg)
        raise missing_key(key, "reference.obsm", reference.obsm)
    value = reference.obsm[key]
    table = value if isinstance(value, pd.DataFrame) else _named(reference, key, value, where)
    check_rows(table, reference, key, "reference")
    columns = [str(name) for name in table.columns]
    _check_once(columns, where)
    if not columns:
        msg = f"{where} has no columns. It must have one for each drug, and a row for each line."
        raise ValueError(msg)
    if names is not None:
        target = adata.obsm[key].columns if key in adata.obsm and hasattr(adata.obsm[key], "columns") else ()
        _check_there(names, columns, target, f"the columns of {where}", f"adata.obsm[{key!r}]")
    wanted = columns if names is None else names
    return {name: table.iloc[:, columns.index(name)] for name in wanted}, where


def _named(reference: AnnData, key: str, value: Any, where: str) -> pd.DataFrame:
    """Put the names of drugs to an array."""
    if not isinstance(value, np.ndarray) or value.ndim != 2:
        msg = f"{where} must be a DataFrame or an array of lines by drugs, NaN where not measured, got {type(value).__name__}. Store a DataFrame."
        raise TypeError(msg)
    stored = reference.uns.get(f"{key}_names")
    n = None if stored is None else np.size(stored)
    if n != value.shape[1]:
        got = "which is not there" if n is None else f"which has {n} names"
        msg = (
            f"{where} is an array of {value.shape[1]} columns; their drugs must be named in reference.uns[{key + '_names'!r}], {got}. "
            "Or store a DataFrame."
        )
        raise ValueError(msg)
    if value.dtype.kind not in "biuf":
        msg = f"{where} has dtype {value.dtype}, and numbers are needed, NaN where not measured: {where} = {where}.astype(float). Store classes as a DataFrame."
        raise TypeError(msg)
    return pd.DataFrame(value, columns=[str(name) for name in np.ravel(stored)], index=reference.obs_names)


def _turned(name: str, column: pd.Series, sensitive: str | None, where: str) -> tuple[np.ndarray, bool]:
    """Numbers turned so that larger is more sensitive, or classes as 0 and 1; and whether these are classes."""
    place = f"{where}[{name!r}]"
    found = read_column(column, place)
    if found.numbers is None:
        return _classes(found.text, found.levels, sensitive, place), True
    values = found.numbers
    known = values[np.isfinite(values)]
    if not known.size:
        return values, False
    binary = bool(np.isin(known, (0, 1)).all())
    if sensitive not in ENDS:
        raise _no_end(sensitive, place, binary, found.boolean)
    if binary:
        return (values if sensitive == "high" else 1 - values), True
    return (values if sensitive == "high" else -values), False


def _no_end(sensitive: str | None, place: str, binary: bool, boolean: bool) -> ValueError:
    """Say which ends there are."""
    one, nought = ("True", "False") if boolean else ("1", "0")
    holds = f"{nought} and {one} alone" if binary else "numbers"
    ends = (
        f"sensitive='high' makes {one} the sensitive class, sensitive='low' makes it {nought}"
        if binary
        else "sensitive='low' for IC50, AUC or viability, sensitive='high' for a score of sensitivity"
    )
    if sensitive is None:
        return ValueError(f"{place} holds {holds}: say which end is sensitive, {ends}.")
    return ValueError(
        f"`sensitive` must be one of 'low', 'high' for {place}, which holds {holds}, got {sensitive!r}.{near_miss(sensitive, ENDS)} Here {ends}."
    )


def _classes(text: Any, levels: tuple[str, ...], sensitive: str | None, place: str) -> np.ndarray:
    if len(levels) > 2:
        msg = (
            f"{place} has {len(levels)} classes: {listed(levels)}. Two are needed: set the others to missing, or leave the column out "
            "by naming the drugs."
        )
        raise ValueError(msg)
    if len(levels) == 1:
        msg = f"{place} has one class, {levels[0]!r}. Both sensitive and resistant lines are needed."
        raise ValueError(msg)
    if levels and sensitive not in levels:
        msg = f"Say which class of {place} is the sensitive one: `sensitive` must be {' or '.join(map(repr, levels))}, got {sensitive!r}.{near_miss(sensitive, levels)}"
        raise ValueError(msg)
    return np.where(text == "", np.nan, np.where(text == sensitive, 1.0, 0.0))


def settle(response: Response, keep: np.ndarray) -> Response:
    """The lines that are kept, and the drugs with enough of them; one that was asked for by name must have."""
    y = response.y[keep]
    reasons = [_unusable(y[:, i], bool(response.binary[i])) for i in range(y.shape[1])]
    bad = [i for i, reason in enumerate(reasons) if reason]
    if bad and (response.asked or len(bad) == len(reasons)):
        before = _unusable(response.y[:, bad[0]], bool(response.binary[bad[0]]))
        left = f"once `exclude_lines` are left out, {reasons[bad[0]]}" if before != reasons[bad[0]] else before
        msg = f"{str(response.drugs[bad[0]])!r} in {response.where} cannot be learnt: {left}."
        raise ValueError(msg)
    if bad:
        names = [str(response.drugs[i]) for i in bad]
        warn(
            f"{len(bad)} of {len(reasons)} drugs in {response.where} are left out, as fewer than {FEWEST} lines, fewer than {FEWEST_OF_CLASS} of a "
            f"class, or all with one value or only two, were measured: {listed(names)}.",
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
    if known.size < FEWEST:
        return f"{known.size} line{'s have' if known.size > 1 else ' has'} a value and at least {FEWEST} are needed"
    if (known == known[0]).all():
        return "all lines are of one class" if binary else "all lines have one value"
    if binary and min((known == 0).sum(), (known == 1).sum()) < FEWEST_OF_CLASS:
        return f"a class has fewer than {FEWEST_OF_CLASS} lines"
    if not binary and np.unique(known).size == 2:
        return "its numbers are two alone; write classes as 0 and 1, or as two names"
    return ""
