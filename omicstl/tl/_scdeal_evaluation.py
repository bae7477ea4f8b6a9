"""Finished scores beside labels of the cells: read apart, compared after the fit, used for nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from omicstl._core.checks import check_text, missing_key

if TYPE_CHECKING:
    from anndata import AnnData


class Truth(NamedTuple):
    """Labels of the cells (m, d), larger or later in order as they are given; the classes where there are two."""

    y: np.ndarray
    classes: tuple[str, str] | None


def read(adata: AnnData, key: str | None, drugs: np.ndarray) -> Truth | None:
    """Read a column of obs for one drug, or a table of obsm for several."""
    check_text("eval_key", key, optional=True)
    if key is None:
        return None
    if key in adata.obs:
        if len(drugs) > 1:
            msg = f"`eval_key` names a column of obs, {key!r}, and {len(drugs)} drugs are predicted. Pass a table of adata.obsm with a column for each drug."
            raise ValueError(msg)
        return _column(adata.obs[key], key)
    if key not in adata.obsm:
        raise missing_key(key, "adata.obs and adata.obsm", [*adata.obs.columns, *adata.obsm])
    table = adata.obsm[key]
    if not isinstance(table, pd.DataFrame):
        msg = f"adata.obsm[{key!r}] must be a DataFrame whose columns are drugs, got {type(table).__name__}."
        raise TypeError(msg)
    columns = {str(name): i for i, name in enumerate(table.columns)}
    if not set(map(str, drugs)) & set(columns):
        msg = f"No column of adata.obsm[{key!r}] is a drug that is predicted."
        raise ValueError(msg)
    y = np.full((adata.n_obs, len(drugs)), np.nan)
    for i, drug in enumerate(drugs):
        if str(drug) in columns:
            y[:, i] = pd.to_numeric(table.iloc[:, columns[str(drug)]], errors="raise").to_numpy(
                np.float64, na_value=np.nan
            )
    return Truth(y, None)


def _column(column: pd.Series, key: str) -> Truth:
    if not isinstance(column.dtype, pd.CategoricalDtype) and column.dtype.kind in "biuf":
        return Truth(column.to_numpy(np.float64, na_value=np.nan)[:, None], None)
    text = column.astype(object)
    levels = sorted({str(v) for v in text if not pd.isna(v)})
    if len(levels) != 2:
        msg = f"adata.obs[{key!r}] (`eval_key`) must hold numbers or two classes, got {len(levels)} classes."
        raise ValueError(msg)
    y = np.array([np.nan if pd.isna(v) else float(str(v) == levels[1]) for v in text])
    return Truth(y[:, None], (levels[0], levels[1]))


def compare(truth: Truth, score: np.ndarray, drugs: np.ndarray, mask: np.ndarray | None) -> pd.DataFrame:
    """Rank correlation, and AUROC where labels are 0 and 1, one row a drug. Of two classes the later one in order is 1."""
    from scipy.stats import rankdata

    rows = []
    for i, drug in enumerate(drugs):
        y, s = truth.y[:, i], score[:, i]
        ok = np.isfinite(y) if mask is None else np.isfinite(y) & mask
        y, s = y[ok], s[ok]
        ranks = rankdata(s)
        rho = auroc = float("nan")
        if y.size > 2 and np.ptp(y) > 0 and np.ptp(s) > 0:
            rho = float(np.corrcoef(rankdata(y), ranks)[0, 1])
        if y.size and np.isin(y, (0, 1)).all() and 0 < y.sum() < y.size:
            n = y.sum()
            auroc = float((ranks[y == 1].sum() - n * (n + 1) / 2) / (n * (y.size - n)))
        rows.append((str(drug), int(y.size), rho, auroc))
    table = pd.DataFrame(rows, columns=["drug", "n_cells", "rho", "auroc"])
    table["label_1"] = np.full(len(table), "" if truth.classes is None else truth.classes[1], dtype=object)
    return table
