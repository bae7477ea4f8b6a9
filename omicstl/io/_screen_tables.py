"""Tables of drug screens and of cell lines: which file it is, and its columns as text."""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from omicstl._core.checks import listed, near_miss

_TABS = (".tsv", ".txt", ".tab")
_EXCEL = (".xlsx", ".xls", ".xlsm")
_GENE = re.compile(r"(?P<symbol>.+) \((?P<id>\d+|ENSG\d+)\)")
#: What tells the files apart that people download together.
_KNOWN = {
    "GDSC's fitted dose response (GDSC2_fitted_dose_response)": {"CELL_LINE_NAME", "DRUG_NAME", "LN_IC50"},
    "GDSC's raw data": {"BARCODE", "SCAN_ID"},
    "GDSC's list of compounds": {"DRUG_ID", "DRUG_NAME", "SYNONYMS"},
    "a table of GDSC's website for chosen drugs": {"Drug Name", "Cell Line Name", "IC50"},
    "DepMap's table of models (Model.csv)": {"ModelID", "StrippedCellLineName"},
    "DepMap's former table of models (sample_info.csv)": {"DepMap_ID", "stripped_cell_line_name"},
    "DepMap's table of profiles": {"ProfileID", "ModelConditionID"},
}


def existing(path: str | Path, name: str) -> Path:
    """Return the path of a file, or say that there is none."""
    found = Path(path).expanduser()
    if found.is_dir():
        msg = f"`{name}` is the folder {str(found)!r}. Pass a file."
        raise ValueError(msg)
    if not found.exists():
        there = [file.name for file in found.parent.iterdir()] if found.parent.is_dir() else []
        msg = f"There is no file {str(found)!r}.{near_miss(found.name, there)}"
        raise FileNotFoundError(msg)
    return found


def separator(path: Path) -> str:
    """Tab for .tsv, .txt and .tab (compressed or not), otherwise a comma."""
    names = [suffix.lower() for suffix in path.suffixes[-2:]]
    return "\t" if any(name in _TABS for name in names) else ","


def parse(path: Path, **options: Any) -> pd.DataFrame:
    """Parse a text table, columns by position; empty where there is nothing to read."""
    try:
        return pd.read_csv(path, sep=separator(path), header=None, encoding="utf-8-sig", **options)
    except pd.errors.EmptyDataError:
        return pd.DataFrame()
    except (ValueError, OSError, EOFError, zlib.error, zipfile.BadZipFile) as error:  # torn, damaged, or no number
        msg = f"{str(path)!r} cannot be read as a table ({error}). Download it again."
        raise ValueError(msg) from error


def header(path: Path) -> list[str]:
    """Read the first line of a text table; a byte order mark is dropped."""
    first = parse(path, nrows=1, dtype=str, keep_default_na=False)
    if first.empty:
        msg = f"{str(path)!r} is empty."
        raise ValueError(msg)
    return [str(name).strip() for name in first.iloc[0]]


def gene(column: str) -> tuple[str, str] | None:
    """Split ``"TP53 (7157)"`` into symbol and number; None for anything else."""
    match = _GENE.fullmatch(column)
    return (match["symbol"], match["id"]) if match else None


def looks_like(columns: Iterable[str]) -> str:
    """Name the file that has such columns, or return an empty string."""
    there = list(columns)
    for name, wanted in _KNOWN.items():
        if wanted <= set(there):
            return name
    genes = sum(gene(column) is not None for column in there)
    return "DepMap's expression" if genes > len(there) / 2 else ""


def wrong_file(path: Path, columns: list[str], wanted: str, missing: Iterable[str]) -> ValueError:
    """Build the error for a file that lacks columns, with what it seems to be."""
    lacks = list(missing)
    seems = looks_like(columns)
    shown = listed(columns, limit=12)
    if seems and seems != wanted:
        return ValueError(f"{str(path)!r} is {seems}. Pass {wanted}. Its columns are {shown}.")
    hints = "".join(near_miss(name, columns) for name in lacks)
    one = len(columns) == 1
    hint = " It has one column only: commas are expected in .csv, and tabs in .tsv and .txt." if one else ""
    return ValueError(f"{str(path)!r} lacks {listed(lacks)}; {wanted} has them.{hints}{hint} Its columns are {shown}.")


def text_columns(path: Path, columns: Iterable[str]) -> pd.DataFrame:
    """Read columns of a text table or of the first sheet of an Excel file, as stripped text."""
    wanted = list(columns)
    if path.suffix.lower() in _EXCEL:
        table = _excel(path)
        table.columns = pd.Index([str(name).strip() for name in table.columns])
        table = table[[name for name in wanted if name in table]]
    else:
        positions = {name: i for i, name in reversed(list(enumerate(header(path)))) if name in wanted}
        places = sorted(positions.values())
        table = parse(path, skiprows=1, usecols=places, dtype=str, keep_default_na=False)
        table = table if len(table) else pd.DataFrame(columns=places, dtype=str)
        table = table.rename(columns={i: name for name, i in positions.items()})
    return table[[name for name in wanted if name in table]].apply(lambda values: values.astype(str).str.strip())


def column_names(path: Path) -> list[str]:
    """Read the names of the columns of a text table or of the first sheet of an Excel file."""
    if path.suffix.lower() in _EXCEL:
        return [str(name).strip() for name in _excel(path, rows=0).columns]
    return header(path)


def _excel(path: Path, rows: int | None = None) -> pd.DataFrame:
    try:
        return pd.read_excel(path, dtype=str, keep_default_na=False, nrows=rows)
    except ImportError as error:
        msg = (
            f"{str(path)!r} is an Excel file, and pandas cannot read it here ({error}). "
            "Install what it needs with: pip install openpyxl. Or save the sheet as .csv."
        )
        raise ImportError(msg) from error
    except (ValueError, OSError, KeyError, zipfile.BadZipFile) as error:  # no workbook, or a damaged one
        msg = f"{str(path)!r} cannot be read as an Excel file ({error}). Download it again."
        raise ValueError(msg) from error


def numbers(table: pd.DataFrame, column: str, path: Path) -> pd.Series:
    """Make a column of text numeric: empty and NA become NaN, anything else is refused."""
    text = table[column].where(~table[column].isin(["", "NA", "NaN", "nan"]))
    values = pd.to_numeric(text, errors="coerce")
    wrong = values.isna() & text.notna()
    if wrong.any():
        example = text[wrong].iloc[0]
        hint = " Use a point for decimals." if "," in example else ""
        msg = (
            f"{column} of {str(path)!r} holds {example!r} and {int(wrong.sum()) - 1:,} more that are no numbers.{hint}"
        )
        raise ValueError(msg)
    infinite = values.abs() == float("inf")
    if infinite.any():
        msg = f"{column} of {str(path)!r} holds {int(infinite.sum()):,} infinite values."
        raise ValueError(msg)
    return values.astype(float)


def stripped(name: str) -> str:
    """Reduce the name of a cell line to capital letters and digits: ``"NCI-H1299"`` is ``"NCIH1299"``."""
    return re.sub(r"[^A-Z0-9]", "", name.upper())
