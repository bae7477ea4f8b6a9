"""Gene modules of the bundled compendium: cost beside scikit-learn, how reproducible they are, and what they keep.

    OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 python benchmarks/bench_gene_modules.py [--peers]

`pp.gene_modules` with 300 modules on the 972 children with lupus (4,470 genes). Cost: seconds of CPU, in a process of its own
that has imported everything; with --peers (some minutes) k-means of scikit-learn on the same z-scores, one start, and both
on data of the size of DeepProfile's first version (5,400 genes, 6,500 observations, 300 random factors with noise). Share of
the variance between modules. Borders: adjusted Rand index between seeds, and between modules of two halves of the patients; the
scores of the halves' modules on all children, each with its best match. Transfer: mean correlation within modules in the 177
adults, beside modules of random genes of the same sizes. Smaller panels: scores from a random part of the genes against scores
from all, beside what `tl.project` expects. Prediction: ridge regression of blood counts, five folds by patient, from modules and from
principal components. Results go to `benchmarks/results/gene_modules.json`.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import subprocess
import sys
import time
import warnings
from pathlib import Path

import anndata as ad
import numpy as np

import omicstl as otl

KEY, N_MODULES = "gene_modules", 300
OUT = Path(__file__).parent / "results" / "gene_modules.json"


def fit(rows=None, rng: int = 0):
    adata = otl.datasets.sle_pediatric()
    adata = adata if rows is None else adata[rows].copy()
    otl.pp.gene_modules(adata, n_modules=N_MODULES, rng=rng)
    return adata


def zscores(x: np.ndarray) -> np.ndarray:
    return (x - x.mean(axis=0)) / x.std(axis=0, ddof=1)


def paired(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Correlation of each column with its partner; NaN for a column of zeros."""
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    with np.errstate(invalid="ignore"):
        return (a * b).sum(axis=0) / np.sqrt((a * a).sum(axis=0) * (b * b).sum(axis=0))


def large():
    """Data of the size of the paper's, log expression of 300 factors."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((6500, 300), np.float32) @ rng.standard_normal((300, 5400), np.float32)
    x *= rng.gamma(2, 0.02, 5400).astype(np.float32)
    x += rng.standard_normal(x.shape, np.float32)
    x += 8
    return ad.AnnData(x)


DATA = {"bundled": otl.datasets.sle_pediatric, "large": large}


def cost(data: str) -> dict:
    import scipy.stats  # noqa: F401 loaded before the clock starts

    from omicstl.models.factors import gene_modules  # noqa: F401

    adata = DATA[data]()
    before = resident()
    wall, cpu = time.perf_counter(), time.process_time()
    otl.pp.gene_modules(adata, n_modules=N_MODULES)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    more = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before
    return {"wall_s": wall, "cpu_s": cpu, "more_memory_mb": more, "explained": adata.uns[KEY]["explained"]}


def resident() -> float:
    """Memory in use, MB (Linux)."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def peer(name: str, data: str) -> dict:
    from sklearn import cluster

    z = np.ascontiguousarray(zscores(DATA[data]().X.astype(np.float32)).T)
    model = getattr(cluster, name)(N_MODULES, n_init=1, random_state=0)
    wall, cpu = time.perf_counter(), time.process_time()
    labels = model.fit(z).labels_
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    sums = np.zeros((N_MODULES, z.shape[1]))
    np.add.at(sums, labels, z)
    sizes = np.maximum(np.bincount(labels, minlength=N_MODULES), 1)
    between = float(np.sum(sums**2 / sizes[:, None]) / np.sum(z.astype(np.float64) ** 2))
    return {"wall_s": wall, "cpu_s": cpu, "explained": between, "single_genes": int(np.sum(np.bincount(labels) == 1))}


def alone(what: str, data: str = "bundled") -> dict:
    done = subprocess.run(
        [sys.executable, __file__, "--only", what, "--data", data], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def borders(adata) -> dict:
    from sklearn.metrics import adjusted_rand_score

    def labels(other):
        return otl.get.model(other).labels

    subject = adata.obs["subject"].to_numpy()
    patients = np.unique(subject)
    half = np.isin(subject, np.random.default_rng(0).permutation(patients)[: patients.size // 2])
    halves, again = [fit(half), fit(~half)], [fit(rng=seed) for seed in (1, 2)]
    scores = []
    for other in halves:
        target = otl.datasets.sle_pediatric()
        otl.tl.project(target, other)
        scores.append(zscores(target.obsm[KEY]))
    r = np.abs(scores[0].T @ scores[1]) / (len(scores[0]) - 1)
    large = halves[0].uns[KEY]["factors"]["n_genes"].to_numpy() >= 10
    return {
        "rand_index_seeds": [float(adjusted_rand_score(labels(adata), labels(other))) for other in again],
        "rand_index_halves": float(adjusted_rand_score(labels(halves[0]), labels(halves[1]))),
        "best_match_halves_median_r": float(np.median(r.max(axis=1))),
        "best_match_halves_median_r_10_genes": float(np.median(r.max(axis=1)[large])),
    }


def transfer(adata) -> dict:
    model, adult = otl.get.model(adata), otl.datasets.sle_adult()
    have = adult.var_names.get_indexer(model.features)
    z, labels = zscores(adult.X[:, have[have >= 0]].astype(np.float64)), model.labels[have >= 0]

    def within(labels):
        sums = np.zeros((N_MODULES, len(z)))
        np.add.at(sums, labels, z.T)
        n = np.bincount(labels, minlength=N_MODULES)
        return (np.sum(sums**2, axis=1) / (len(z) - 1) - n) / np.maximum(n * (n - 1), 1)

    large = np.bincount(labels, minlength=N_MODULES) >= 10
    random = within(np.random.default_rng(0).permutation(labels))
    otl.tl.project(adult, adata)
    return {
        "modules": int(large.sum()),
        "within_r_children": float(np.median(model.within[large])),
        "within_r_adults": float(np.median(within(labels)[large])),
        "within_r_random": float(np.median(random[large])),
        "share_above_random_99": float(np.mean(within(labels)[large] > np.quantile(random[large], 0.99))),
        "r2": adult.uns[KEY]["quality"]["r2"],
        "r2_expected": adult.uns[KEY]["quality"]["r2_expected"],
    }


def panels(adata) -> list[dict]:
    found = []
    for share in (0.9, 0.7, 0.5, 0.3):
        part = otl.datasets.sle_pediatric()
        part = part[:, np.random.default_rng(0).random(part.n_vars) < share].copy()
        otl.tl.project(part, adata)
        table = part.uns[KEY]["quality"]["factors"]
        expected = table["expected_r"].to_numpy()
        r, some = paired(part.obsm[KEY], adata.obsm[KEY]), expected > 0
        found.append(
            {
                "genes": share,
                "without_a_gene": int((~some).sum()),
                "r": float(r[some].mean()),
                "expected_r": float(expected[some].mean()),
                "mean_difference": float(np.abs(r - expected)[some].mean()),
                "interpretable": float(table["interpretable"].mean()),
            }
        )
    return found


def prediction(adata) -> dict:
    from sklearn.linear_model import RidgeCV
    from sklearn.model_selection import GroupKFold, cross_val_predict

    left, values, _ = np.linalg.svd(zscores(adata.X.astype(np.float64)), full_matrices=False)
    inputs = {"modules": adata.obsm[KEY], "pca_50": left[:, :50] * values[:50], "pca_300": left[:, :300] * values[:300]}
    found: dict = {"variance_pca_300": float(np.sum(values[:300] ** 2) / np.sum(values**2))}
    for column in ("neutrophil_percent", "lymphocyte_percent", "sledai"):
        y = adata.obs[column].to_numpy(dtype=float)
        there = np.isfinite(y)
        groups = adata.obs["subject"].to_numpy()[there]
        for name, x in inputs.items():
            guess = cross_val_predict(
                RidgeCV(np.logspace(0, 5, 11)), x[there], y[there], groups=groups, cv=GroupKFold(5)
            )
            found[f"{column}_{name}"] = float(np.corrcoef(guess, y[there])[0, 1])
    return found


def peers() -> dict:
    found = {name: alone(name) for name in ("KMeans", "MiniBatchKMeans")}
    return found | {"large": {name: alone(name, "large") for name in ("cost", "KMeans", "MiniBatchKMeans")}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--only", choices=("cost", "KMeans", "MiniBatchKMeans"))
    parser.add_argument("--data", choices=DATA, default="bundled")
    given = parser.parse_args()
    if given.only:
        print(json.dumps(cost(given.data) if given.only == "cost" else peer(given.only, given.data)))
        return
    warnings.simplefilter("ignore", otl.TransferWarning)
    old = json.loads(OUT.read_text()) if OUT.exists() else {}
    adata = fit()
    table = adata.uns[KEY]["factors"]
    found = {
        "machine": {"python": platform.python_version(), "processor": platform.machine(), "numpy": np.__version__},
        "cost": alone("cost"),
        "peers": peers() if given.peers else old.get("peers"),
        "modules": {
            "sizes": table["n_genes"].quantile([0, 0.25, 0.5, 0.75, 1]).tolist(),
            "single_genes": int((table["n_genes"] == 1).sum()),
            "within_r": table["within_r"].quantile([0.25, 0.5, 0.75]).tolist(),
        },
        "borders": borders(adata),
        "transfer": transfer(adata),
        "panels": panels(adata),
        "prediction": prediction(adata),
    }
    OUT.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
