"""Read the cell lines of DepMap, with a drug screen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData

from omicstl._core.checks import listed
from omicstl._core.log import ScaleWarning, info, warn
from omicstl._core.public import public

from ._depmap_match import Matches, match_lines
from ._screen_tables import column_names, existing, gene, header, parse, stripped, text_columns, wrong_file

UNKNOWN = "unknown"  # a lineage that the table of models does not give: columns of groups have no gaps
_KEY = "depmap"
_EXPRESSION = "DepMap's expression"
_MODELS = "DepMap's table of models (Model.csv)"
_LOG_HIGHEST = 30.0  # of log2(TPM + 1)
#: Names that releases have given to the columns of the models; the first two are needed.
_COLUMNS = {
    "model_id": ("ModelID", "DepMap_ID"),
    "stripped_name": ("StrippedCellLineName", "stripped_cell_line_name"),
    "cell_line_name": ("CellLineName", "cell_line_name"),
    "lineage": ("OncotreeLineage", "lineage"),
    "disease": ("OncotreePrimaryDisease", "primary_disease"),
    "sanger_model_id": ("SangerModelID", "Sanger_Model_ID"),
}


@public
def read_depmap(expression: str | Path, models: str | Path, *, response: AnnData | None = None) -> AnnData:
    r"""
    Read the expression of DepMap's cell lines (CCLE) :cite:p:`Ghandi2019`, with a drug screen of the same lines.

    The result is the source of a transfer of drug response to cells. The files are of https://depmap.org/portal, which you
    download under its terms.

    Parameters
    ----------
    expression
        ``OmicsExpression...TPMLogp1...csv`` or the former ``CCLE_expression.csv``: one row a line, columns ``TP53 (7157)``, log2(TPM +
        1). Lines are named in the first column or in ``ModelID``. Where a line has several profiles, those that
        ``IsDefaultEntryForModel`` does not name are left out.
    models
        ``Model.csv`` with ``ModelID`` and ``StrippedCellLineName``, and where there ``CellLineName``, ``OncotreeLineage``,
        ``OncotreePrimaryDisease`` and ``SangerModelID``; or the former ``sample_info.csv``.
    response
        A screen, from :func:`read_gdsc`. Lines that it has not measured are then left out.

    Returns
    -------
    Lines × genes, ``X`` float32. `obs_names` are the stripped names such as ``A375``; ``obs`` holds ``model_id``,
    ``cell_line_name``, ``lineage`` (categorical, ``"unknown"`` where it is not known), ``disease`` and ``sanger_model_id`` as far as the table of models does. `var_names`
    are gene symbols (``TP53 (7157)`` where a symbol is there twice), and ``var["entrez"]`` or ``var["ensembl"]`` the numbers.
    With `response`, ``obsm["ln_ic50"]``, float64, shape (n_lines, n_drugs), **low is sensitive**, NaN where not
    measured; ``uns["ln_ic50_names"]`` names the drugs; the same for ``auc``; ``obs["matched_by"]`` says how the line was found in the
    screen. ``uns["depmap"]`` counts what was left out.

    Raises
    ------
    FileNotFoundError
        If a file is not there.
    TypeError
        If a path is no path, or `response` is no AnnData.
    ValueError
        If a file is another one, lacks a column, holds what is no number, or names a line twice; or no line of the
        expression is among the models or in the screen.

    Warns
    -----
    ScaleWarning
        If the values are no logarithms of TPM: negative, or above 30.

    Notes
    -----
    Lines are matched by Sanger's identifier where both tables have it, otherwise by name in capital letters and digits. A
    name that stands for several lines (T-T and TT) decides nothing: such lines are left out and counted. Genes
    without a value in some line are left out. Cost: the table of expression is in memory twice while it is read.

    Examples
    --------
    >>> import pathlib
    >>> table = ",TP53 (7157),EGFR (1956)\nACH-1,3.5,0.5\nACH-2,2.5,6.0\n"
    >>> _ = pathlib.Path("expression.csv").write_text(table)
    >>> table = "ModelID,StrippedCellLineName,OncotreeLineage\nACH-1,A375,Skin\nACH-2,HT29,Bowel\n"
    >>> _ = pathlib.Path("Model.csv").write_text(table)
    >>> _ = pathlib.Path("screen.csv").write_text("CELL_LINE_NAME,DRUG_NAME,LN_IC50\nHT-29,Erlotinib,1.5\n")
    >>> lines = otl.io.read_depmap("expression.csv", "Model.csv", response=otl.io.read_gdsc("screen.csv"))
    >>> lines.obs_names.tolist(), lines.obs["lineage"].tolist(), lines.to_df()["EGFR"].tolist()
    (['HT29'], ['Bowel'], [6.0])
    >>> lines.uns["ln_ic50_names"].tolist(), lines.obsm["ln_ic50"].tolist()
    (['Erlotinib'], [[1.5]])
    """
    files, described = existing(expression, "expression"), existing(models, "models")
    known = _models(described)
    x, names, columns = _expression(files)
    there = np.isin(names, known.index)
    if not there.any():
        msg = (
            f"No line of {str(files)!r} ({listed(names[:3])}) is in the table of models "
            f"({listed(known.index[:3])}). Take both files from one release."
        )
        raise ValueError(msg)
    x, obs = x[there], known.loc[names[there]].reset_index()
    entry = {"kind": _KEY, "version": 1, "params": {}, "n_without_model": int((~there).sum())}

    complete = ~np.isnan(x).any(axis=0)
    entry["n_genes_incomplete"] = int((~complete).sum())
    if not complete.any():
        msg = f"Every gene of {str(files)!r} lacks a value in some line."
        raise ValueError(msg)
    matched = None if response is None else _matched(obs, response)
    if matched is not None:
        entry["n_not_measured"] = int((matched.rows < 0).sum())
        entry["n_ambiguous"] = len(matched.ambiguous)
        obs["matched_by"] = matched.by
        kept = matched.rows >= 0
        x, obs = x[kept], obs[kept]
    obs["lineage"] = pd.Categorical(obs["lineage"].replace("", UNKNOWN) if "lineage" in obs else [UNKNOWN] * len(obs))
    obs.index = pd.Index(_unique(obs))
    adata = AnnData(x[:, complete], obs=obs, var=_var([columns[i] for i in np.flatnonzero(complete)]))
    if response is not None and matched is not None:
        _add(adata, response, matched.rows[matched.rows >= 0])
    adata.uns[_KEY] = {**entry, "n_obs": adata.n_obs, "n_genes": adata.n_vars}
    _tell(adata, matched)
    return adata


def _models(path: Path) -> pd.DataFrame:
    """Read the table of models under our names, indexed by ModelID."""
    columns = column_names(path)
    chosen = {ours: next((theirs for theirs in names if theirs in columns), None) for ours, names in _COLUMNS.items()}
    missing = [_COLUMNS[ours][0] for ours in ("model_id", "stripped_name") if chosen[ours] is None]
    if missing:
        raise wrong_file(path, columns, _MODELS, missing)
    table = text_columns(path, [theirs for theirs in chosen.values() if theirs])
    table = table.rename(columns={theirs: ours for ours, theirs in chosen.items() if theirs})
    table = table[table["model_id"] != ""]
    repeated = table["model_id"][table["model_id"].duplicated()]
    if len(repeated):
        msg = f"{str(path)!r} describes {listed(repeated.unique())} more than once. Remove the repeated rows."
        raise ValueError(msg)
    table["stripped_name"] = table["stripped_name"].where(table["stripped_name"] != "", table["model_id"])
    return table.set_index("model_id")


def _expression(path: Path) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Read lines × genes, float32, the identifiers of the lines, and the columns."""
    columns = header(path)
    genes = [i for i, name in enumerate(columns) if gene(name)]
    named = next((columns.index(name) for name in ("ModelID", "DepMap_ID") if name in columns), 0)
    if not genes or len(genes) < len(columns) - 12 or named in genes:
        raise wrong_file(path, columns, f"{_EXPRESSION} (one row a line)", ["columns such as 'TP53 (7157)'"])
    default = columns.index("IsDefaultEntryForModel") if "IsDefaultEntryForModel" in columns else None
    text = [named] if default is None else [named, default]
    kinds: dict[int, type] = dict.fromkeys(genes, np.float32) | dict.fromkeys(text, str)
    table = parse(path, skiprows=1, usecols=sorted(kinds), dtype=kinds, low_memory=False)
    if table.empty:
        msg = f"{str(path)!r} has no rows."
        raise ValueError(msg)
    if default is not None:
        table = table[table[default].str.lower().isin(["yes", "true", "1"])]
    names = table[named].astype(str).str.strip().to_numpy(dtype=str)
    repeated = pd.Index(names)[pd.Index(names).duplicated()].unique()
    if len(repeated):
        msg = f"{str(path)!r} has several rows for {listed(repeated)}. Keep one for each line."
        raise ValueError(msg)
    if names.size == 0:
        msg = f"{str(path)!r} has no row that is the default of its line."
        raise ValueError(msg)
    x = table[genes].to_numpy(dtype=np.float32)
    if np.isinf(x).any():
        msg = f"{str(path)!r} holds infinite values."
        raise ValueError(msg)
    low, high = float(np.nanmin(x, initial=0.0)), float(np.nanmax(x, initial=0.0))
    if low < 0 or high > _LOG_HIGHEST:
        said = f"values from {low:.4g} to {high:.4g} are no log2(TPM + 1). Take the file that ends on TPMLogp1."
        warn(f"{path.name}: {said}", ScaleWarning)
    return x, names, [columns[i] for i in genes]


def _matched(obs: pd.DataFrame, response: AnnData) -> Matches:
    screen = response.obs.copy()
    if "stripped_name" not in screen:
        screen["stripped_name"] = [stripped(str(name)) for name in screen.index]
    found = match_lines(obs, screen)
    if (found.rows < 0).all():
        msg = (
            f"No line of the screen ({listed(screen.index[:3])}) is among the lines of the expression "
            f"({listed(obs['stripped_name'].iloc[:3])}). Names are compared by capital letters and digits."
        )
        raise ValueError(msg)
    return found


def _unique(obs: pd.DataFrame) -> list[str]:
    """Stripped names; what several models share gets the identifier of the model."""
    repeated = obs["stripped_name"].duplicated(keep=False)
    return [
        f"{name}_{model}" if again else name
        for name, model, again in zip(obs["stripped_name"], obs["model_id"], repeated, strict=True)
    ]


def _var(columns: list[str]) -> pd.DataFrame:
    split = pd.DataFrame([gene(name) for name in columns], columns=["symbol", "id"])
    repeated = split["symbol"].duplicated(keep=False)
    names = np.where(repeated, columns, split["symbol"])
    if pd.Index(names).has_duplicates:
        again = pd.Index(names)[pd.Index(names).duplicated()].unique()
        msg = f"The expression has several columns {listed(again)}. Keep one of each."
        raise ValueError(msg)
    kind = "ensembl" if split["id"].str.startswith("ENSG").all() else "entrez"
    return pd.DataFrame({kind: split["id"].to_numpy(dtype=str)}, index=pd.Index(names.astype(str)))


def _add(adata: AnnData, response: AnnData, rows: np.ndarray) -> None:
    """Write the screen's tables, as arrays with the names beside them: names of drugs hold slashes."""
    names = response.var_names.to_numpy(dtype=str)
    tables = {"ln_ic50": response.X} | ({"auc": response.layers["auc"]} if "auc" in response.layers else {})
    for name, values in tables.items():
        dense = values.toarray() if hasattr(values, "toarray") else values
        adata.obsm[name] = np.asarray(dense, dtype=float)[rows]
        adata.uns[f"{name}_names"] = names
    if "gdsc" in response.uns:
        adata.uns["gdsc"] = dict(response.uns["gdsc"])


def _tell(adata: AnnData, matched: Matches | None) -> None:
    entry = adata.uns[_KEY]
    parts = [f"DepMap: {adata.n_obs:,} lines x {adata.n_vars:,} genes"]
    if entry["n_without_model"]:
        parts.append(f"{entry['n_without_model']:,} rows of no known model left out")
    if entry["n_genes_incomplete"]:
        parts.append(f"{entry['n_genes_incomplete']:,} genes that lack values left out")
    if matched is not None:
        parts.append(f"{entry['n_not_measured']:,} lines are not in the screen")
        if matched.ambiguous:
            parts.append(f"{listed(matched.ambiguous)} could be several lines and were left out")
    info("; ".join(parts) + ".")
