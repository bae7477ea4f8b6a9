"""The response of lines to drugs as the user has it, turned so that larger is more sensitive."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from omicstl._core.checks import listed, missing_key, near_miss
from omicstl._core.log import TransferWarning, warn
from omicstl._data.classes import stored_numbers
from omicstl._data.columns import TRUTH, Column, check_any, doubt_levels, level_name, read_column
from omicstl._data.tables import read_table, tables_of

if TYPE_CHECKING:
    from anndata import AnnData

FEWEST, FEWEST_OF_CLASS = 10, 3
ENDS = ("low", "high")
_HUGE, _TINY = 1e7, 1e-9  # products of four such values fit in single precision


class Response(NamedTuple):
    """n lines, d drugs."""

    y: np.ndarray  # (n, d) float64, larger is more sensitive; classes are 0 and 1; NaN where not measured
    drugs: np.ndarray
    binary: np.ndarray
    asked: bool  # drugs were named one by one
    where: str


def read(
    adata: AnnData,
    reference: AnnData,
    drugs: Sequence[str] | None,
    response_key: str | None,
    sensitive: str | None,
    *,
    doubt: bool = True,
) -> Response:
    """Read and turn the response; labels of the cells are never looked at. `doubt` warns of doubtful classes."""
    names = _names(drugs)
    if response_key is None:
        if names is None:
            tables = tables_of(reference, "reference")
            msg = f"Say which responses to learn: drugs=['<column of reference.obs>'], or response_key='<table of reference.obsm>', of {listed(tables) or 'which there is none'}."
            raise ValueError(msg)
        where = "reference.obs"
        _check_there(names, reference.obs.columns, adata.obs.columns, where, "adata.obs")
        columns = {name: read_column(reference, name, argument="drugs", name="reference") for name in names}
        for column in columns.values():
            check_any(column, "no line has a value")
    else:
        columns, where = _table(adata, reference, response_key, names)
    turned = [_turned(column, sensitive) for column in columns.values()]
    if doubt:
        for column in columns.values():
            doubt_levels(column, TransferWarning)
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
    if not names:
        msg = "`drugs` is empty. Name at least one, or pass None for all of the table."
        raise ValueError(msg)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        msg = f"`drugs` names {listed(twice)} more than once. Keep one of each."
        raise ValueError(msg)
    return [str(name) for name in names]


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


def _table(adata: AnnData, reference: AnnData, key: str, names: list[str] | None) -> tuple[dict[str, Column], str]:
    if key not in tables_of(reference, "reference") and key in adata.obsm:
        msg = (
            f"{key!r} is in adata.obsm, not in reference.obsm: these are labels of the cells, which are never learnt from. The response "
            "must be that of the lines."
        )
        raise KeyError(msg)
    table = read_table(reference, key, name="reference")
    if names is not None:
        target = adata.obsm[key].columns if key in adata.obsm and hasattr(adata.obsm[key], "columns") else ()
        _check_there(names, table.names, target, f"the columns of {table.where}", f"adata.obsm[{key!r}]")
    return {name: table.column(name) for name in (table.names if names is None else names)}, table.where


def checked(column: Column) -> Column:
    """Refuse numbers that single precision cannot hold or that are stored as text."""
    if column.is_number:
        largest = float(np.abs(column.known).max(initial=0.0))
        if largest > _HUGE or 0 < largest < _TINY:
            msg = (
                f"{column.where} has values up to {largest:.3g}, and single precision takes {_TINY:g} to {_HUGE:g}. Take logarithms or another unit, and write "
                "NaN where nothing was measured."
            )
            raise ValueError(msg)
        return column
    stored = stored_numbers(column) if len(column.levels) > 2 else ""
    if stored:
        raise TypeError(stored)
    return column


def _turned(column: Column, sensitive: str | None) -> tuple[np.ndarray, bool]:
    """Numbers turned so that larger is more sensitive, or classes as 0 and 1; and whether these are classes."""
    checked(column)
    if column.numbers is None:
        return _classes(column, sensitive), True
    values = column.numbers
    known = values[~column.absent]
    if not known.size:
        return values, False
    binary = bool(np.isin(known, (0, 1)).all())
    if sensitive not in ENDS:
        raise _no_end(sensitive, column.where, binary, column.kind == TRUTH)
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


def _classes(column: Column, sensitive: str | None) -> np.ndarray:
    levels, place = column.levels, column.where
    sensitive = None if sensitive is None else level_name(sensitive)
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
    return np.where(column.absent, np.nan, np.where(column.text == sensitive, 1.0, 0.0))


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
