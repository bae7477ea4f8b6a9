"""Read a drug screen of GDSC."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData

from omicstl._core.checks import listed
from omicstl._core.log import info
from omicstl._core.public import public

from ._screen_tables import column_names, existing, numbers, stripped, text_columns, wrong_file

_KEY = "gdsc"
_WANTED = "GDSC's fitted dose response (GDSC2_fitted_dose_response)"
_NEEDED = ("CELL_LINE_NAME", "DRUG_NAME", "LN_IC50")
_OF_LINES = {"SANGER_MODEL_ID": "sanger_model_id", "COSMIC_ID": "cosmic_id", "TCGA_DESC": "tcga"}
_OF_DRUGS = {"DRUG_ID": "drug_id", "PUTATIVE_TARGET": "target", "PATHWAY_NAME": "pathway", "DATASET": "dataset"}


@public
def read_gdsc(path: str | Path) -> AnnData:
    r"""
    Read the fitted dose responses of GDSC :cite:p:`Yang2013` into a table of cell lines × drugs.

    The file is ``GDSC1_fitted_dose_response`` or ``GDSC2_fitted_dose_response`` of https://www.cancerrxgene.org, which you
    download under its terms. :func:`read_depmap` joins it to expression.

    Parameters
    ----------
    path
        The file, as ``.csv`` or ``.tsv`` (also ``.gz`` or ``.zip``), or as the ``.xlsx`` of the website if openpyxl is
        installed. One row is one drug in one line. ``CELL_LINE_NAME``, ``DRUG_NAME`` and ``LN_IC50`` are needed;
        ``AUC``, ``DRUG_ID``, ``SANGER_MODEL_ID``, ``COSMIC_ID``, ``TCGA_DESC``, ``PUTATIVE_TARGET``, ``PATHWAY_NAME`` and
        ``DATASET`` are used where they are there.

    Returns
    -------
    Cell lines × drugs, ``X`` float64: ln IC50 in ln µM, **low is sensitive**, NaN where a drug was not measured.
    ``layers["auc"]`` holds the area under the curve, low is sensitive too. `obs_names` are the names of the lines,
    ``obs["stripped_name"]`` has their capital letters and digits alone; `var_names` are the drugs as they are written, some
    with ``/``. ``var["n_lines"]`` says in how many lines a drug was measured, and ``uns["gdsc"]`` how much was averaged.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    TypeError
        If `path` is no path.
    ValueError
        If it is another file of GDSC or DepMap, a column is missing, a value is no number, nothing is measured, or one
        name of a line goes with two identifiers.
    ImportError
        If it is an Excel file and openpyxl is not installed.

    Notes
    -----
    A drug can be there under several ``DRUG_ID``, screened twice in a line. Its ln IC50 are averaged (the geometric mean of
    the IC50), and so are its areas; ``var["drug_id"]`` lists the numbers, and ``uns["gdsc"]["n_averaged"]`` counts such pairs of
    a line and a drug. To keep screens apart, read GDSC1 and GDSC2 from their own files. Cost: the whole table is
    held as text once.

    Examples
    --------
    >>> import pathlib
    >>> table = "CELL_LINE_NAME,DRUG_NAME,LN_IC50\nA-375,Erlotinib,2.5\nHT-29,Erlotinib,1.5\nHT-29,VNLG/124,4.0\n"
    >>> _ = pathlib.Path("GDSC2_fitted_dose_response.csv").write_text(table)
    >>> screen = otl.io.read_gdsc("GDSC2_fitted_dose_response.csv")
    >>> screen.to_df()
               Erlotinib  VNLG/124
    A-375            2.5       NaN
    HT-29            1.5       4.0
    >>> screen.obs["stripped_name"].tolist()
    ['A375', 'HT29']
    """
    file = existing(path, "path")
    columns = column_names(file)
    missing = [name for name in _NEEDED if name not in columns]
    if missing:
        raise wrong_file(file, columns, _WANTED, missing)
    table = text_columns(file, [*_NEEDED, "AUC", *_OF_LINES, *_OF_DRUGS])
    for column in ("CELL_LINE_NAME", "DRUG_NAME"):
        empty = int((table[column] == "").sum())
        if empty:
            msg = f"{column} of {str(file)!r} is empty in {empty:,} rows. Remove these rows."
            raise ValueError(msg)
    table["LN_IC50"] = numbers(table, "LN_IC50", file)
    if "AUC" in table:
        table["AUC"] = numbers(table, "AUC", file)
    measured = table[table["LN_IC50"].notna()]
    if measured.empty:
        msg = f"{str(file)!r} holds no measured LN_IC50."
        raise ValueError(msg)

    lines, drugs = np.unique(measured["CELL_LINE_NAME"]), np.unique(measured["DRUG_NAME"])
    values = _pivot(measured, "LN_IC50", lines, drugs)
    per_pair = measured.groupby(["CELL_LINE_NAME", "DRUG_NAME"]).size()
    adata = AnnData(values, obs=_lines(measured, lines, file), var=_drugs(measured, drugs, values))
    if "AUC" in table:
        adata.layers["auc"] = _pivot(measured, "AUC", lines, drugs)
    adata.uns[_KEY] = {
        "kind": _KEY,
        "version": 1,
        "params": {},
        "dataset": _joined(measured["DATASET"]) if "DATASET" in measured else None,
        "n_lines": len(lines),
        "n_drugs": len(drugs),
        "n_measured": len(per_pair),
        "n_averaged": int((per_pair > 1).sum()),
        "n_without_value": int(table["LN_IC50"].isna().sum()),
    }
    entry = adata.uns[_KEY]
    averaged = f"; {entry['n_averaged']:,} measured more than once and averaged" if entry["n_averaged"] else ""
    info(f"GDSC: {len(lines):,} lines x {len(drugs):,} drugs, {len(per_pair):,} pairs measured{averaged}.")
    return adata


def _pivot(table: pd.DataFrame, column: str, lines: np.ndarray, drugs: np.ndarray) -> np.ndarray:
    """Mean of the measurements of each pair, NaN where there is none."""
    rows, columns = np.searchsorted(lines, table["CELL_LINE_NAME"]), np.searchsorted(drugs, table["DRUG_NAME"])
    present = table[column].notna().to_numpy()
    sums, counts = np.zeros((len(lines), len(drugs))), np.zeros((len(lines), len(drugs)))
    np.add.at(sums, (rows[present], columns[present]), table[column].to_numpy()[present])
    np.add.at(counts, (rows[present], columns[present]), 1)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _lines(table: pd.DataFrame, lines: np.ndarray, file: Path) -> pd.DataFrame:
    obs = pd.DataFrame({"stripped_name": [stripped(name) for name in lines]}, index=pd.Index(lines.astype(str)))
    grouped = table.groupby("CELL_LINE_NAME")
    for column, name in _OF_LINES.items():
        if column not in table:
            continue
        found = grouped[column].agg(lambda values: sorted(set(values) - {""}))
        several = found[found.map(len) > 1]
        if len(several) and column != "TCGA_DESC":
            msg = (
                f"{str(file)!r} has several {column} for the line {several.index[0]!r} ({listed(several.iloc[0])}) "
                f"and {len(several) - 1:,} more. Give each line a name of its own."
            )
            raise ValueError(msg)
        obs[name] = found.map("; ".join).reindex(lines).to_numpy(dtype=str)
    return obs


def _drugs(table: pd.DataFrame, drugs: np.ndarray, values: np.ndarray) -> pd.DataFrame:
    var = pd.DataFrame({"n_lines": np.isfinite(values).sum(axis=0)}, index=pd.Index(drugs.astype(str)))
    grouped = table.groupby("DRUG_NAME")
    for column, name in _OF_DRUGS.items():
        if column in table:
            var[name] = grouped[column].agg(_joined).reindex(drugs).to_numpy(dtype=str)
    return var


def _joined(values: pd.Series) -> str:
    return "; ".join(sorted(set(values) - {""}))
