"""Tables of names: the bundled one, or the user's own, as pairs of strings."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from omicstl._core.checks import listed, missing_key

from .features import identifier_kind

BUNDLED = {"symbol": "gene_name", "ensembl": "ensembl_id"}
"""Columns of the bundled table by the kind of their names."""
_ENSEMBL = r"^(ENS[A-Z]{0,6}G\d{11})(?:\.\d+)?(?:_PAR_Y)?$"
_SEPARATORS = {".tsv": "\t", ".txt": "\t", ".csv": ","}


def bundled_identifiers() -> pd.DataFrame:
    """Return the bundled pairs of human gene symbol and Ensembl id, 40,247 rows."""
    path = files("omicstl").joinpath("datasets", "data", "gc30M_gene_name_id.tsv.gz")
    with path.open("rb") as file:
        table = pd.read_csv(file, sep="\t", compression="gzip", dtype=str, keep_default_na=False, na_filter=False)
    return table[table["gene_name"] != ""].reset_index(drop=True)


def bare_names(names: np.ndarray | pd.Index) -> np.ndarray:
    """Return the names, Ensembl gene ids without their version and without ``_PAR_Y``."""
    return pd.Series(np.asarray(names, dtype=object)).str.replace(_ENSEMBL, r"\1", regex=True).to_numpy(dtype=object)


def read_table(table: pd.DataFrame | str | Path) -> pd.DataFrame:
    """Return a table of names; files are read as text, and only empty fields are missing."""
    if isinstance(table, pd.DataFrame):
        return table
    path = Path(table)
    ending = Path(path.name.lower().removesuffix(".gz")).suffix
    if ending not in _SEPARATORS:
        msg = (
            f"`table` must end in {listed(_SEPARATORS)}, with or without '.gz', got {path.name!r}. Or pass a DataFrame."
        )
        raise ValueError(msg)
    if not path.is_file():
        msg = f"There is no file {str(path)!r}."
        raise FileNotFoundError(msg)
    with path.open("rb") as file:
        packed = "gzip" if file.read(2) == b"\x1f\x8b" else None
    try:
        return pd.read_csv(
            path, sep=_SEPARATORS[ending], compression=packed, dtype=str, keep_default_na=False, encoding="utf-8-sig"
        )
    except (OSError, EOFError, ValueError) as error:
        msg = f"{path.name} is not a readable table ({error}). Expected UTF-8 text with a line of column names."
        raise ValueError(msg) from error


def choose_columns(
    table: pd.DataFrame, names: np.ndarray, source: str | None, target: str | None, *, own: bool
) -> tuple[str, str]:
    """Return the column to look names up in and the column to take names from."""
    columns = [column for column in table.columns if isinstance(column, str)]
    if own and (source is None or target is None):
        what = "`source`" if source is None else "`target`"
        msg = (
            f"{what} must name a column of `table`: source='<column of the present names>', "
            f"target='<column of the new names>'. Columns: {listed(columns, limit=20)}."
        )
        raise ValueError(msg)
    for argument, column in (("source", source), ("target", target)):
        if column is not None and column not in columns:
            raise missing_key(column, f"the columns of `table` (argument `{argument}`)", columns)
        if column is not None and columns.count(column) > 1:
            msg = f"`table` has {columns.count(column)} columns called {column!r}. Rename all but one of them."
            raise ValueError(msg)
    if not own:
        other = dict(zip(BUNDLED.values(), reversed(BUNDLED.values()), strict=True))
        source = source or (other[target] if target is not None else _bundled_source(names))
        target = target or other[source]
    if source == target:
        msg = f"`source` and `target` must be two columns of `table`, got {source!r} for both."
        raise ValueError(msg)
    return str(source), str(target)


def _bundled_source(names: np.ndarray) -> str:
    kind = identifier_kind(names).removesuffix("_versioned")
    if kind not in BUNDLED:
        msg = (
            f"adata.var_names are neither gene symbols nor Ensembl gene ids (they look like {listed(names, limit=3)}), which "
            "are all that the bundled table knows. Pass a table of your own, such as the platform's annotation: "
            "otl.pp.map_features(adata, table, source='<column of the present names>', target='<column of the new names>')."
        )
        raise ValueError(msg)
    return BUNDLED[kind]


def read_pairs(table: pd.DataFrame, source: str, target: str) -> tuple[pd.DataFrame, pd.Index]:
    """
    Return the distinct pairs of names, and all names of the column `target`, also those of rows without a source.

    The pairs have the columns ``source`` (without versions) and ``target``, both strings.
    """
    pairs = pd.DataFrame(
        {"source": _texts(table[source], source), "target": _texts(table[target], target)}, dtype=object
    )
    pairs = pairs[pairs["target"] != ""]
    targets = pd.Index(pairs["target"].unique())
    pairs = pairs[pairs["source"] != ""]
    if pairs.empty:
        msg = (
            f"`table` has {len(table)} rows, and none with names in both {source!r} and {target!r}. Check the columns."
        )
        raise ValueError(msg)
    return pairs.assign(source=bare_names(pairs["source"].to_numpy())).drop_duplicates(ignore_index=True), targets


def _texts(column: pd.Series, name: str) -> np.ndarray:
    """Return a column as strings without blanks at the ends; what is missing is empty."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(object)
    return np.array([_text(value, name) for value in column.tolist()], dtype=object)


def _text(value: Any, column: str) -> str:
    if isinstance(value, str):
        return value.strip()
    if (
        value is None
        or value is pd.NA
        or value is pd.NaT
        or (isinstance(value, float | np.floating) and np.isnan(value))
    ):
        return ""
    number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if number and np.isfinite(value) and int(value) == value:
        return str(int(value))  # Entrez numbers; they are floats where some are missing
    msg = (
        f"`table`[{column!r}] must hold names, got {value!r} ({type(value).__name__}). "
        f"Read the file as text: pd.read_csv(path, dtype=str)."
    )
    raise TypeError(msg)
