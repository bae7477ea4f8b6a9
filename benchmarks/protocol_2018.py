"""The protocol of DeepProfile's first version, on cell lines: drug response from eight numbers, learnt without labels.

    python benchmarks/protocol_2018.py --data FOLDER [--draws 20] [--raw-draws 2]

The screen of leukaemia patients in the paper is not public. Instead: `FOLDER/scdeal/bulk_ccle_gdsc_tgsa.h5ad`, 580 cell lines
(CCLE), 706 cancer genes, ln(IC50) of GDSC, the 151 drugs that were screened in at least 300 lines.

A draw splits the lines anew: 450 without labels, 30 with, 100 to test. On the 450, and nothing else: `pp.gene_modules` with 300
modules, then `tl.vae` on their means with 8 latent units, hidden layers of 250 and 100 and the paper's training (50 epochs, batches of
50, learning rate 5e-4). The other 130 come in by `tl.project`, with the means and deviations of the 450. Nothing was tuned.
Two caveats: the file's genes were z-scored over all 580 lines before we had it, and not every drug was screened in all 130 lines: then the
first 30 that were screened are the labelled ones, and the rest, up to 100, the test.

*Response*: lasso with 30 penalties, of which five folds among the 30 labelled lines choose, on columns scaled by the 450. Raw genes with
scikit-learn's `LassoCV`; the rest by the same arithmetic for all drugs at once, compared with `LassoCV` on 20 drugs ("check"). Pearson r over
test lines, 0 where the lasso keeps nothing; squared error over the variance of the test lines' response (the mean of the 30 is "constant").
Beside it, from the same 450: the first 8 components of genes (PCA) and of the same 300 module means, 8 modules (k-means), and all 706 genes,
for the first two draws only since they cost most of the time. Means over drugs and draws; intervals, 95 %, draw both again,
drugs and draws. Draws share lines, so that intervals are for these 580 lines. Differences are paired by drug and draw.

*Reconstruction*: linear regression from the 8 numbers to modules and to genes on the 450; share of the variance of the 130, about the means
of the 450. PCA is the best linear answer for the 450 by construction.
*Gene groups*: Reactome and PID (10 genes or more) by `tl.enrich` on the correlation of each gene with each dimension in the 450, for every method
alike; beside them 8 random directions, since any direction through correlated genes is enriched.

Results go to `benchmarks/results/protocol_2018.json`. About two minutes of CPU.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path

import numpy as np
from bench_plier import machine

K, MODULES, N_UNLABELLED, N_LABELLED, N_TEST, FEWEST = 8, 300, 450, 30, 100, 300
N_PENALTIES, FOLDS = 30, 5
METHODS = ("vae_8", "pca_8", "pca_8_of_modules", "kmeans_8")


def read(folder: Path):
    """Cell lines with gene symbols, and the responses (lines, drugs)."""
    import anndata as ad

    lines = ad.read_h5ad(folder / "scdeal" / "bulk_ccle_gdsc_tgsa.h5ad")
    response = lines.obsm["ln_ic50"]
    response = response.loc[:, response.notna().sum() >= FEWEST]
    adata = ad.AnnData(np.asarray(lines.X, dtype=np.float32), obs=lines.obs[["tissue"]])
    adata.var_names = lines.var["symbol"].astype(str).to_numpy()
    adata.var_names_make_unique()
    return adata, response.to_numpy(dtype=np.float64)


# --- embeddings: (450, k) and (130, k) ---------------------------------------------------------------------------------------------


def components(known: np.ndarray, new: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first 8 components, of columns standardised by the 450."""
    mean, scale = known.mean(axis=0), known.std(axis=0, ddof=1)
    z, q = (known - mean) / scale, (new - mean) / scale
    axes = np.linalg.svd(z, full_matrices=False)[2][:K].T
    return z @ axes, q @ axes


def embed(adata, known: np.ndarray, new: np.ndarray, seed: int):
    """All embeddings of a draw, and what is to be said about the network."""
    import omicstl as otl

    a, b = adata[known].copy(), adata[new].copy()
    paper = {"n_factors": K, "hidden": (250, 100), "training": otl.tl.Training()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # z-scores where log expression is expected
        for name, n in (("gene_modules", MODULES), ("kmeans_8", K)):
            otl.pp.gene_modules(a, n_modules=n, key_added=name, rng=seed)
            otl.tl.project(b, a, key=name, standardize="reference")
        start = time.process_time()
        otl.tl.vae(a, obsm="gene_modules", key_added="vae_8", rng=seed, progress=False, **paper)
        cpu = time.process_time() - start
        otl.tl.project(b, a, key="vae_8", obsm="gene_modules", standardize="reference")
    genes, modules = (a.X, b.X), (a.obsm["gene_modules"], b.obsm["gene_modules"])
    found = {name: (a.obsm[name], b.obsm[name]) for name in ("vae_8", "kmeans_8")}
    found["pca_8"], found["pca_8_of_modules"] = components(*genes), components(*modules)
    history = a.uns["vae_8"]["history"]
    about = {
        "active_units": int(a.uns["vae_8"]["units"]["active"].sum()),
        "kl": float(a.uns["vae_8"]["units"]["kl"].sum()),
        "first_loss": float(history["loss"].iloc[0]),
        "last_loss": float(history["loss"].iloc[-1]),
        "cpu_seconds": cpu,
        "explained_by_modules": float(a.uns["gene_modules"]["explained"]),
    }
    return (
        {name: tuple(np.asarray(x, dtype=np.float64) for x in found[name]) for name in METHODS},
        genes,
        modules,
        about,
    )


# --- three questions ---------------------------------------------------------------------------------------------------------------


def rows_of(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labelled and test lines of a drug: the first ones that were screened."""
    screened = np.flatnonzero(np.isfinite(y))
    return screened[:N_LABELLED], screened[N_LABELLED : N_LABELLED + N_TEST]


def paths(gram: np.ndarray, xy: np.ndarray, penalties: np.ndarray) -> np.ndarray:
    """Lasso paths of many small problems at once, (problems, penalties, columns), by cyclic coordinate descent."""
    w, out = np.zeros_like(xy), np.empty((*penalties.shape, xy.shape[1]))
    tolerance = 1e-5 * penalties[:, :1] / gram.diagonal(axis1=1, axis2=2).max(axis=1, keepdims=True)
    for step in range(penalties.shape[1]):
        for _ in range(300):
            before = w.copy()
            for j in range(w.shape[1]):
                rho = xy[:, j] - (gram[:, j] * w).sum(axis=1) + gram[:, j, j] * w[:, j]
                w[:, j] = np.sign(rho) * np.maximum(np.abs(rho) - penalties[:, step], 0) / gram[:, j, j]
            if (np.abs(w - before) <= tolerance).all():
                break
        out[:, step] = w
    return out


def lasso_all(x: np.ndarray, y: np.ndarray) -> list[tuple[np.ndarray, float]]:
    """What `LassoCV(alphas=30, cv=5)` finds for every drug: coefficients and intercept. For few columns."""
    own = np.array([rows_of(column)[0] for column in y.T])
    xs, ys = x[own], np.take_along_axis(y.T, own, axis=1)
    folds = np.arange(N_LABELLED) * FOLDS // N_LABELLED
    keeps = [folds != f for f in range(FOLDS)] + [np.ones(N_LABELLED, dtype=bool)]
    parts = []
    for keep in keeps:
        cx, cy = (
            xs[:, keep] - xs[:, keep].mean(axis=1, keepdims=True),
            ys[:, keep] - ys[:, keep].mean(axis=1, keepdims=True),
        )
        parts.append((cx.transpose(0, 2, 1) @ cx / keep.sum(), np.einsum("dnp,dn->dp", cx, cy) / keep.sum()))
    penalties = np.abs(parts[-1][1]).max(axis=1)[:, None] * np.geomspace(1, 1e-3, N_PENALTIES)
    gram, xy = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
    weights = paths(gram, xy, np.tile(penalties, (len(keeps), 1))).reshape(len(keeps), *penalties.shape, -1)
    error = 0.0
    for f, keep in enumerate(keeps[:-1]):
        centre = ys[:, keep].mean(axis=1) - np.einsum("dap,dp->ad", weights[f], xs[:, keep].mean(axis=1))
        predicted = np.einsum("dnp,dap->dan", xs[:, ~keep], weights[f]) + centre.T[:, :, None]
        error = error + ((predicted - ys[:, None, ~keep]) ** 2).mean(axis=2)
    chosen = weights[-1][np.arange(len(own)), np.argmin(error, axis=1)]
    return list(zip(chosen, ys.mean(axis=1) - (xs.mean(axis=1) * chosen).sum(axis=1), strict=True))


def lasso_one(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, float]:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LassoCV

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = LassoCV(alphas=N_PENALTIES, cv=FOLDS, max_iter=2000).fit(x, y)
    return model.coef_, model.intercept_


def responses(x: np.ndarray, y: np.ndarray, *, reference: bool = False) -> np.ndarray:
    """r, squared error over variance, the same of a constant, number of test lines and of columns kept; (drugs, 5)."""
    if reference or x.shape[1] > K:
        models = [lasso_one(x[rows_of(column)[0]], column[rows_of(column)[0]]) for column in y.T]
    else:
        models = lasso_all(x, y)
    out = np.empty((y.shape[1], 5))
    for d, (weights, intercept) in enumerate(models):
        own, test = rows_of(y[:, d])
        predicted, truth = x[test] @ weights + intercept, y[test, d]
        r = np.corrcoef(predicted, truth)[0, 1] if weights.any() else 0.0
        errors = [np.mean((truth - p) ** 2) / truth.var() for p in (predicted, y[own, d].mean())]
        out[d] = r, *errors, test.size, np.count_nonzero(weights)
    return out


def explained(source: tuple[np.ndarray, np.ndarray], target: tuple[np.ndarray, np.ndarray]) -> float:
    """Share of the variance of the held-out lines that a linear regression on the 450 predicts; columns in their units of the 450."""
    mean, scale = target[0].mean(axis=0), target[0].std(axis=0, ddof=1)
    y, new = ((np.asarray(t, dtype=np.float64) - mean) / scale for t in target)
    centre = source[0].mean(axis=0)
    weights = np.linalg.lstsq(source[0] - centre, y, rcond=None)[0]
    return float(1 - np.sum((new - (source[1] - centre) @ weights) ** 2) / np.sum(new**2))


def enriched(adata, embedding: np.ndarray, known: np.ndarray, sets: dict) -> dict:
    """Gene sets that the genes which follow a dimension belong to."""
    import anndata as ad

    import omicstl as otl

    x, e = ((m - m.mean(axis=0)) / m.std(axis=0) for m in (np.asarray(adata.X[known], dtype=np.float64), embedding))
    view = ad.AnnData(np.zeros((len(e), adata.n_vars), dtype=np.float32))
    view.var_names = adata.var_names
    view.obsm["e"], view.varm["e"] = e, x.T @ e / len(e)
    view.uns["e"] = {"kind": "embedding", "names": np.array([f"{i + 1}" for i in range(e.shape[1])], dtype=object)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        otl.tl.enrich(view, sets, key="e")
    found = view.uns["e_enrichment"]
    table = found["table"]
    return {
        "pairs": len(table),
        "sets": int(table["set"].nunique()),
        "dimensions": int(table["factor"].nunique()),
        "n_sets": int(found["params"]["n_sets"]),
        "n_top": int(found["params"]["n_top"]),
    }


# --- figures -------------------------------------------------------------------------------------------------------------------------


def interval(values: np.ndarray, n_boot: int = 2000) -> list[float]:
    """Mean of (drugs, draws) and its interval, both drawn again."""
    random = np.random.default_rng(0)
    drugs, draws = values.shape
    means = [
        values[random.integers(drugs, size=drugs)][:, random.integers(draws, size=draws)].mean() for _ in range(n_boot)
    ]
    return [round(float(v), 4) for v in (values.mean(), *np.percentile(means, [2.5, 97.5]))]


def wins(difference: np.ndarray, n_boot: int = 2000) -> list[float]:
    """Share of drugs whose mean over draws is above zero, and its interval."""
    random = np.random.default_rng(0)
    drugs, draws = difference.shape
    shares = [
        (difference[random.integers(drugs, size=drugs)][:, random.integers(draws, size=draws)].mean(axis=1) > 0).mean()
        for _ in range(n_boot)
    ]
    return [round(float(v), 4) for v in ((difference.mean(axis=1) > 0).mean(), *np.percentile(shares, [2.5, 97.5]))]


def spread(values: list[float]) -> list[float]:
    """Mean, smallest and largest of the draws."""
    return [round(float(f(values)), 4) for f in (np.mean, np.min, np.max)]


def summary(found: dict[str, np.ndarray]) -> dict:
    """Figures of each method over (draws, drugs, 5), and the network's less each other's."""
    out: dict = {}
    for name, values in found.items():
        r, error = values[:, :, 0].T, values[:, :, 1].T
        out[name] = {
            "draws": len(values),
            "r": interval(r),
            "r_of_drugs_10_50_90": np.percentile(r.mean(axis=1), [10, 50, 90]).round(4).tolist(),
            "error_over_variance": interval(error),
            "median_error_over_variance": round(float(np.median(error)), 4),
            "keeps_nothing": round(float((values[:, :, 4] == 0).mean()), 4),
        }
        if name != "vae_8":
            own = found["vae_8"][: len(values)]
            out[name]["vae_8_minus_this"] = {
                "r": interval(own[:, :, 0].T - r),
                "error_over_variance": interval(own[:, :, 1].T - error),
                "share_of_drugs_where_vae_8_has_larger_r": wins(own[:, :, 0].T - r),
            }
    out["constant"] = {"error_over_variance": interval(found["vae_8"][:, :, 2].T)}
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--raw-draws", type=int, default=2)
    arguments = parser.parse_args()
    import sklearn

    import omicstl as otl

    adata, response = read(arguments.data)
    sets = otl.datasets.gene_sets("reactome", "pid")
    work, network, rebuilt, groups = [], [], {}, {}
    for draw in range(arguments.draws):
        random = np.random.default_rng([2018, draw])
        order = random.permutation(adata.n_obs)
        known, new = order[:N_UNLABELLED], order[N_UNLABELLED:]
        embeddings, genes, modules, about = embed(adata, known, new, draw)
        network.append(about)
        directions = {
            **{n: e[0] for n, e in embeddings.items()},
            "random_8": genes[0] @ random.normal(size=(adata.n_vars, K)),
        }
        for name, values in directions.items():
            groups.setdefault(name, []).append(enriched(adata, values, known, sets))
        embeddings = embeddings | ({"raw_genes": genes} if draw < arguments.raw_draws else {})
        for name, pair in embeddings.items():
            if name != "raw_genes":
                rows = rebuilt.setdefault(name, {"modules": [], "genes": []})
                rows["modules"].append(explained(pair, modules))
                rows["genes"].append(explained(pair, genes))
            x = (pair[1] - pair[0].mean(axis=0)) / pair[0].std(axis=0, ddof=1)
            work.append((name, draw, np.asarray(x, dtype=np.float64)))
        print(f"draw {draw + 1}: {about}", flush=True)
    splits = [
        response[np.random.default_rng([2018, draw]).permutation(adata.n_obs)[N_UNLABELLED:]]
        for draw in range(arguments.draws)
    ]
    scored = [responses(x, splits[draw]) for _, draw, x in work]
    tables: dict[str, list] = {}
    for (name, _, _), values in zip(work, scored, strict=True):
        tables.setdefault(name, []).append(values)
    found = {name: np.stack(values) for name, values in tables.items()}
    _, draw, x = work[0]
    few = splits[draw][:, :20]
    apart = np.abs(responses(x, few) - responses(x, few, reference=True))
    n_test = found["vae_8"][:, :, 3]
    out = {
        "machine": machine() | {"scikit_learn": sklearn.__version__},
        "data": {
            "lines": adata.n_obs,
            "genes": adata.n_vars,
            "drugs": response.shape[1],
            "test_lines": [int(n_test.min()), float(np.median(n_test)), int(n_test.max())],
        },
        "network": {key: spread([row[key] for row in network]) for key in network[0]},
        "check": {"largest_difference_of_r": float(apart[:, 0].max()), "of_error": float(apart[:, 1].max())},
        "response": summary(found),
        "reconstruction": {n: {what: spread(v) for what, v in rows.items()} for n, rows in rebuilt.items()},
        "gene_groups": {n: {key: spread([row[key] for row in rows]) for key in rows[0]} for n, rows in groups.items()},
    }
    path = Path(__file__).parent / "results" / "protocol_2018.json"
    path.write_text(json.dumps(out, indent=1) + "\n")
    print(json.dumps(out, indent=1))


if __name__ == "__main__":
    main()
