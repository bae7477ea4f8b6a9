"""One VAE on 400 blood cells whose surface proteins were counted too: likelihoods, decoders and the batch, beside PCA.

    python benchmarks/vae_cells.py --data FOLDER [--seeds 3]

FOLDER holds `pbmc_citeseq_counts_2batch.h5ad` (10x Genomics, two runs of 200 cells). The 2,000 most variable genes; ten factors or
components, and twenty. Measured: the loss on a tenth of the cells at the epoch that is best for them (negative bound, the mean of the
posterior decoded; of counts only, whose likelihoods are of the same data); correlation of 14 antibody counts (log1p) with what a
ridge reads of them from the scores, cells left out in five folds, over all cells and within runs; how well a logistic regression tells the
runs apart (AUC, five folds); CPU seconds of a call (the first of a kind compiles). Means over seeds; seeds also draw the folds.
Results go to `benchmarks/results/vae_cells.json`.
"""

from __future__ import annotations

import argparse
import json
import resource
import warnings
from pathlib import Path

import anndata as ad
import numpy as np
import scanpy as sc
from bench_plier import machine
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.preprocessing import StandardScaler

import omicstl as otl

GENES = 2000
FITS = {
    "poisson": {"likelihood": "poisson"},
    "nb": {"likelihood": "nb"},
    "zinb": {"likelihood": "zinb"},
    "nb, warm-up of 50 epochs": {"likelihood": "nb", "kl_warmup": 50},
    "nb, linear": {"likelihood": "nb", "decoder": "linear"},
    "nb, linear, 20 factors": {"likelihood": "nb", "decoder": "linear", "n_factors": 20},
    "nb, layer of 32, 20 factors": {"likelihood": "nb", "hidden": (32,), "n_factors": 20},
    "nb, linear, layer of 32, 20 factors": {"likelihood": "nb", "decoder": "linear", "hidden": (32,), "n_factors": 20},
    "nb, batch": {"likelihood": "nb", "batch_key": "batch"},
    "nb, linear, batch": {"likelihood": "nb", "decoder": "linear", "batch_key": "batch"},
    "gaussian": {"layer": "log"},
    "gaussian, batch": {"layer": "log", "batch_key": "batch"},
}


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def read(folder: Path) -> ad.AnnData:
    adata = ad.read_h5ad(folder / "pbmc_citeseq_counts_2batch.h5ad")
    logs = adata.copy()
    sc.pp.normalize_total(logs, target_sum=1e4)
    sc.pp.log1p(logs)
    sc.pp.highly_variable_genes(logs, n_top_genes=GENES)
    chosen = logs.var["highly_variable"].to_numpy()
    adata = adata[:, chosen].copy()
    adata.layers["log"] = logs[:, chosen].X.toarray()
    return adata


def centred(values: np.ndarray, batch: np.ndarray) -> np.ndarray:
    return values - np.stack([values[batch == own].mean(axis=0) for own in (0, 1)])[batch]


def scores_of(embedding: np.ndarray, proteins: np.ndarray, batch: np.ndarray, seed: int) -> dict[str, float]:
    x = StandardScaler().fit_transform(embedding)
    folds = list(StratifiedKFold(5, shuffle=True, random_state=seed).split(x, batch))
    ridge = RidgeCV(np.logspace(-3, 5, 17))
    found = cross_val_predict(ridge, x, proteins, cv=folds)
    within = cross_val_predict(ridge, centred(x, batch), centred(proteins, batch), cv=folds)
    r = lambda a, b: float(np.mean([np.corrcoef(a[:, j], b[:, j])[0, 1] for j in range(a.shape[1])]))
    told = cross_val_predict(LogisticRegression(max_iter=1000), x, batch, cv=folds, method="predict_proba")[:, 1]
    return {
        "protein_r": r(found, proteins),
        "protein_r_within_runs": r(within, centred(proteins, batch)),
        "run_auc": float(roc_auc_score(batch, told)),
    }


def fitted(adata: ad.AnnData, options: dict, seed: int, proteins: np.ndarray, batch: np.ndarray) -> dict[str, float]:
    before = cpu()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", otl.ConvergenceWarning)
        otl.tl.vae(adata, **options, rng=seed)
    seconds, entry = cpu() - before, adata.uns["vae"]
    row = {"cpu_s": seconds, "epochs": float(entry["n_iter"]), "active": float(entry["units"]["active"].sum())}
    row["kl"] = float(entry["units"]["kl"].sum())
    if "layer" not in options:
        row["loss_held_out"] = float(entry["history"]["validation"].min())
    return row | scores_of(adata.obsm["vae"], proteins, batch, seed)


def mean(rows: list[dict[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    adata, seeds = read(arguments.data), range(arguments.seeds)
    proteins = np.log1p(np.asarray(adata.obsm["protein_expression"], dtype=np.float64))
    batch = adata.obs["batch"].astype("category").cat.codes.to_numpy().astype(int)
    logs = adata.layers["log"] - adata.layers["log"].mean(axis=0)
    table = {}
    for name, x in (
        ("pca", logs),
        ("pca of z-scores", logs / logs.std(axis=0)),
        ("pca, runs centred", centred(logs, batch)),
    ):
        u, s, _ = np.linalg.svd(x, full_matrices=False)
        for d in (10, 20):
            table[f"{name}, {d}"] = mean([scores_of(u[:, :d] * s[:d], proteins, batch, seed) for seed in seeds])
    for name, options in FITS.items():
        table[name] = mean([fitted(adata, options, seed, proteins, batch) for seed in seeds])
        print(name, {key: round(value, 3) for key, value in table[name].items()}, flush=True)
    out = {"machine": machine(), "cells": adata.n_obs, "genes": adata.n_vars, "seeds": len(seeds), "results": table}
    path = Path(__file__).parent / "results" / "vae_cells.json"
    path.write_text(json.dumps(out, indent=1) + "\n")
    for name in list(table)[:6]:
        print(name, {key: round(value, 3) for key, value in table[name].items()})


if __name__ == "__main__":
    main()
