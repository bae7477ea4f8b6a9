"""Lines and cells of the benchmarks of drug response, and ridge regression on the genes that both have.

FOLDER holds the files that the README of the benchmarks names: cell lines of CCLE with ln(IC50) of GDSC, three sets of real cells whose
response is known, and cells made from lines that were held out. None of them comes with the package.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

LINES = "bulk_ccle_gdsc_tgsa.h5ad"
A375 = "ACH-000219"  # A-375 in the model table of DepMap
PENALTIES = np.logspace(-1, 5, 13)  # of the squared weights, genes z-scored


class Task(NamedTuple):
    """Cells whose response to a drug is known, by that drug's name in the lines."""

    file: str
    column: str
    drug: str
    own: str | None = None  # the cells' own line, if it is among the lines
    tissue: str = ""  # of the cells, as the lines call it

    @property
    def name(self) -> str:
        return f"{self.file.removeprefix('sc_scad_').removesuffix('.h5ad')} {self.drug}"


SKIN, HEAD = "skin", "upper_aerodigestive_tract"
TASKS = (
    Task("sc_scad_a375.h5ad", "response_PLX4720", "PLX-4720", A375, SKIN),
    Task("sc_scad_jhu006.h5ad", "response_Gefitinib", "Gefitinib", None, HEAD),
    Task("sc_scad_jhu006.h5ad", "response_Vorinostat", "Vorinostat", None, HEAD),
    Task("sc_scad_scc47.h5ad", "response_Afatinib", "Afatinib", None, HEAD),
    Task("sc_scad_scc47.h5ad", "response_Sorafenib", "Sorafenib", None, HEAD),
)
PSEUDO = "sc_pseudo_from_heldout_lines.h5ad"
PSEUDO_DRUGS = ("Erlotinib", "Dabrafenib", "Docetaxel", "Vorinostat")


def read(folder: Path, file: str):
    """One file, its matrix dense float32."""
    import anndata as ad

    adata = ad.read_h5ad(folder / file)
    adata.X = np.asarray(adata.X.todense() if hasattr(adata.X, "todense") else adata.X, dtype=np.float32)
    return adata


def response(lines, drug: str) -> np.ndarray:
    """-ln(IC50) of each line: larger is more sensitive; NaN where it was not screened."""
    return -lines.obsm["ln_ic50"][drug].to_numpy(dtype=float)


def tissue(lines) -> np.ndarray:
    return lines.obs["tissue"].astype(str).to_numpy(dtype=object)


def shared(lines, cells) -> tuple[np.ndarray, np.ndarray]:
    """Both on the genes that both have, in the order of the lines; cells as they are in the file."""
    genes = lines.var_names[lines.var_names.isin(cells.var_names)]
    return np.asarray(lines[:, genes].X, float), np.asarray(cells[:, genes].X, float)


def log_counts(counts: np.ndarray) -> np.ndarray:
    """log1p of counts per 10,000."""
    return np.log1p(1e4 * counts / counts.sum(1, keepdims=True))


def z_scored(x: np.ndarray) -> np.ndarray:
    scale = x.std(0)
    return (x - x.mean(0)) / np.where(scale > 0, scale, 1)


def recoloured(x: np.ndarray, cells: np.ndarray, shrink: float = 0.1) -> np.ndarray:
    """Lines with the covariance of the cells (CORAL); both covariances are drawn towards their diagonals."""

    def root(z: np.ndarray, power: float) -> np.ndarray:
        c = z.T @ z / len(z)
        c = (1 - shrink) * c + shrink * np.diag(np.diag(c) + 1e-3)
        value, vector = np.linalg.eigh(c)
        return (vector * np.maximum(value, 1e-6) ** power) @ vector.T

    return x @ root(x, -0.5) @ root(cells, 0.5)


class Ridge:
    """Ridge regression at every penalty at once, with an offset."""

    def __init__(self, x: np.ndarray, y: np.ndarray, penalties: np.ndarray = PENALTIES) -> None:
        self.mean, level = x.mean(0), y.mean()
        z = x - self.mean
        gram = z @ z.T if len(z) < z.shape[1] else z.T @ z  # the smaller one; symmetric, so that it always converges
        value, vector = np.linalg.eigh(gram)
        shrunk = 1 / (np.maximum(value, 0)[:, None] + penalties)
        if len(z) < z.shape[1]:
            self.weights = z.T @ (vector @ (shrunk * (vector.T @ (y - level))[:, None]))
        else:
            self.weights = vector @ (shrunk * (vector.T @ (z.T @ (y - level)))[:, None])
        self.level = level

    def predict(self, x: np.ndarray) -> np.ndarray:
        """(rows, penalties)."""
        return self.level + (x - self.mean) @ self.weights


def chosen_penalty(x: np.ndarray, y: np.ndarray, groups: np.ndarray) -> int:
    """Number of the penalty with the least error in lines of tissues left out (five folds of whole tissues)."""
    from sklearn.model_selection import GroupKFold

    error = np.zeros(len(PENALTIES))
    for a, b in GroupKFold(min(5, len(set(groups)))).split(x, y, groups):
        error += ((Ridge(x[a], y[a]).predict(x[b]) - y[b][:, None]) ** 2).sum(0)
    return int(np.argmin(error))


def area(labels: np.ndarray, score: np.ndarray) -> float:
    """Area under the ROC curve, ties count half."""
    from scipy.stats import rankdata

    labels = np.asarray(labels, bool)
    n1, n0 = labels.sum(), (~labels).sum()
    return float((rankdata(score)[labels].sum() - n1 * (n1 + 1) / 2) / (n1 * n0))


def spread(values) -> dict[str, float]:
    """Median, and where 95 % of the values lie."""
    values = np.asarray(values, float)
    low, middle, high = np.quantile(values, [0.025, 0.5, 0.975])
    return {"median": middle, "low": low, "high": high, "n": len(values)}


def rounded(value, digits: int = 3):
    if isinstance(value, dict):
        return {str(k): rounded(v, digits) for k, v in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [rounded(v, digits) for v in value]
    if isinstance(value, (bool, np.bool_, str)) or value is None:
        return value if not isinstance(value, np.bool_) else bool(value)
    return int(value) if float(value).is_integer() and not isinstance(value, float) else float(f"{value:.{digits}g}")
