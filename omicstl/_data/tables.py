"""THE reader of tables of `obsm` whose columns are read one by one, such as labels or responses of several drugs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from omicstl._core.checks import listed, missing_key

from .columns import Column, read_series

if TYPE_CHECKING:
    from anndata import AnnData


class Table(NamedTuple):
    """Columns by name; `where` is how a user writes the table."""

    where: str
    frame: pd.DataFrame

    @property
    def names(self) -> list[str]:
        """Names of the columns, once each."""
        return list(self.frame.columns)

    def column(self, name: str) -> Column:
        """Read a column, of which values may be missing."""
        return read_series(self.frame[name], f"{self.where}[{name!r}]")


def tables_of(adata: AnnData, name: str = "adata") -> list[str]:
    """Names of the tables of obsm; some versions of anndata give none away while the rows of one are not those of the object."""
    try:
        return [str(key) for key in adata.obsm]
    except ValueError as error:
        msg = (
            f"A table of {name}.obsm has its rows in another order than {name}.obs_names, or other rows, so anndata does not read it. Store the tables anew: "
            f"{name}.obsm = {{'<key>': table.loc[{name}.obs_names]}}."
        )
        raise ValueError(msg) from error


def check_rows(table: pd.DataFrame, adata: AnnData, where: str, name: str = "adata") -> None:
    """Refuse a table whose rows were sorted or renamed after it was stored, which other versions of anndata do not notice."""
    if table.index.astype(str).equals(adata.obs_names.astype(str)):
        return
    msg = (
        f"{where} has its rows in another order than {name}.obs_names, or other rows: {listed(table.index, 3)}, and not {listed(adata.obs_names, 3)}. "
        f"Store it anew: {where} = table.loc[{name}.obs_names]."
    )
    raise ValueError(msg)


def check_once(names: list[str], where: str) -> None:
    """Refuse names that occur more than once."""
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        msg = f"{where} has several columns {listed(twice)}. Keep one of each."
        raise ValueError(msg)


def read_table(adata: AnnData, key: str, *, name: str = "adata", named: bool = True) -> Table:
    """
    Read ``adata.obsm[key]``: a DataFrame, or a matrix of numbers with names in ``uns[key + "_names"]``.

    Without `named`, columns of a matrix without names are called by `key` and their number.
    """
    where = f"{name}.obsm[{key!r}]"
    there = tables_of(adata, name)
    if key not in there:
        raise missing_key(key, f"{name}.obsm", there)
    value: Any = adata.obsm[key]
    if isinstance(value, pd.DataFrame):
        check_rows(value, adata, where, name)
        frame = value.set_axis([str(column) for column in value.columns], axis=1)
    else:
        frame = _named(adata, key, value, where, name, named)
    if not frame.shape[1]:
        msg = f"{where} has no columns. It must have one for each label or drug, and a row for each observation."
        raise ValueError(msg)
    check_once(list(frame.columns), where)
    return Table(where, frame)


def _named(adata: AnnData, key: str, value: Any, where: str, name: str, named: bool) -> pd.DataFrame:
    """Put names to the columns of a matrix."""
    matrix = value.toarray() if hasattr(value, "toarray") else np.asarray(value)
    if matrix.ndim != 2 or matrix.dtype.kind not in "biuf":
        msg = (
            f"{where} must be a matrix of numbers, NaN where a value is not known, got {matrix.dtype} of shape {matrix.shape}. If these are numbers: "
            f"{where} = {where}.astype(float). Store classes as a DataFrame."
        )
        raise TypeError(msg)
    stored = adata.uns.get(f"{key}_names")
    n = None if stored is None else np.size(stored)
    if n == matrix.shape[1]:
        names = [str(column) for column in np.ravel(np.asarray(stored, dtype=object))]
    elif named:
        got = "which is not there" if n is None else f"which has {n} names"
        msg = f"{where} has {matrix.shape[1]} columns, which must be named in {name}.uns[{key + '_names'!r}], {got}. Or store a DataFrame."
        raise ValueError(msg)
    else:
        names = [f"{key}{i + 1}" for i in range(matrix.shape[1])]
    return pd.DataFrame(matrix, columns=names, index=adata.obs_names)
