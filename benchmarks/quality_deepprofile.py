"""What is an embedding of blood worth? Cells and disease activity are read from it, within a cohort and in another one.

    python benchmarks/quality_deepprofile.py [--data FOLDER] [--boot 2000] [--seeds 3]
    python benchmarks/quality_deepprofile.py --score E_REF.npy E_QUERY.npy [--data FOLDER]

Two cohorts of lupus blood from two laboratories (`datasets.sle_pediatric`, `datasets.sle_adult`; with FOLDER the same arrays
with 7,000 variable genes from `FOLDER/deepprofile`, 8 % of which the second laboratory lacks). Technical replicates are out,
and two adult samples with more neutrophils than leukocytes. Everything is counted by patient.

*Within*: ridge regression of a measurement on the embedding of the paediatric cohort, five folds of patients, five times over;
Pearson r of all left-out predictions, mean of the five times. The embedding has seen all arrays of the cohort but none of the
measurements; that holds for every method. *Across*: fitted on all paediatric samples, applied to the adult cohort as `tl.project`
brings it in (genes standardised by the cohort's own mean and deviation). Penalties, and the number of components of PCA (20, 50
or 150), are chosen by folds of patients inside the training samples. Columns are standardised before the ridge; "raw" is without
that, "chosen" lets the inner folds decide between both. Intervals: 95 %, patients drawn again; differences are paired.

*Batch*: the paediatric arrays were made in two batches. Area under the ROC curve of reading the batch from the embedding, by
logistic regression (penalty from inner folds) and by a random forest, in folds of patients; in all samples, and in patients
only, since batches differ in their shares of healthy children. With `batch_key`, and beside it PCA of genes
standardised within batches. An area below a half is no miracle: where the means of batches are equal over all samples, those of the
patients left out differ in the opposite direction to those of the others. The forest is less easily led astray.

`--score` does this for embeddings that are saved as arrays: rows are the samples of the cohort in file order (996 with technical
replicates or 972 without; 177 adults), nothing filtered. It takes half a minute.
Results go to `benchmarks/results/quality_deepprofile.json`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from embedding_scores import SCALINGS, areas, correlations, evaluate_across, evaluate_within, interval, read_batch

TARGETS = ("neutrophil_percent", "lymphocyte_percent", "sledai")
IMPOSSIBLE = ("GSM1199410", "GSM1199443")
COMPONENTS = (20, 50, 150)


# --- the two cohorts -----------------------------------------------------------------------------------------------------------


def cohorts(folder: Path | None):
    """Both cohorts without technical replicates and with impossible rows unmeasured; and which rows of the file remain."""
    import omicstl as otl

    reference, query = otl.datasets.sle_pediatric(), otl.datasets.sle_adult()
    kept = np.ones(reference.n_obs, dtype=bool)
    if folder is not None:
        import anndata as ad

        wide = [ad.read_h5ad(folder / "deepprofile" / f"sle_wb_e_geod_{name}.h5ad") for name in (65391, 49454)]
        kept = wide[0].obs_names.isin(reference.obs_names)
        wide = [x[small.obs_names].copy() for x, small in zip(wide, (reference, query), strict=True)]
        for x, small in zip(wide, (reference, query), strict=True):
            x.obs = small.obs.copy()
            x.uns = {}
        reference, query = wide
    query.obs.loc[list(IMPOSSIBLE), list(TARGETS)] = np.nan
    return reference, query, kept


def measurements(cohort) -> dict[str, np.ndarray]:
    return {name: cohort.obs[name].to_numpy(dtype=np.float64) for name in TARGETS}


def patients(cohort) -> np.ndarray:
    return np.unique(cohort.obs["subject"].astype(str).to_numpy(), return_inverse=True)[1]


def rows_of(embedding, new, reference, query, scaling: str, n_boot: int) -> dict[tuple[str, str], np.ndarray]:
    """For (question, target) the correlation and its draws."""
    y, subjects = measurements(reference), patients(reference)
    within = evaluate_within(embedding, y, subjects, scaling)
    across = evaluate_across(embedding, new, y, subjects, scaling)
    other, others = measurements(query), patients(query)
    out = {("within", t): correlations(y[t], within[t], subjects, n_boot) for t in TARGETS}
    return out | {("across", t): correlations(other[t], across[t], others, n_boot) for t in TARGETS}


# --- embeddings: (reference, query) -> their arrays, or lists of which the inner folds choose ------------------------------------


def standardised(reference, query) -> tuple[np.ndarray, np.ndarray]:
    """Both cohorts by their own means and deviations; genes that the query lacks by their conditional mean given the others."""
    x = np.asarray(reference.X, dtype=np.float64)
    z = (x - x.mean(0)) / x.std(0, ddof=1)
    at = query.var_names.get_indexer(reference.var_names)
    there = at >= 0
    q = np.zeros((query.n_obs, reference.n_vars))
    q[:, there] = np.asarray(query.X, dtype=np.float64)[:, at[there]]
    q[:, there] = (q[:, there] - q[:, there].mean(0)) / q[:, there].std(0, ddof=1)
    if not there.all():
        loadings, variance = components_of(z, max(COMPONENTS))
        noise = np.maximum(1 - (loadings**2 * variance).sum(1), 0.05)[there, None]
        precision = (loadings[there] / noise).T @ loadings[there] + np.diag(1 / variance)
        scores = np.linalg.solve(precision, (loadings[there] / noise).T @ q[:, there].T).T
        q[:, ~there] = scores @ loadings[~there].T
    return z, q


def components_of(z: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Leading principal axes (genes, k) and the variances along them."""
    values, vectors = np.linalg.eigh(z @ z.T)
    values, vectors = values[::-1][:k], vectors[:, ::-1][:, :k]
    return z.T @ vectors / np.sqrt(values), values / (len(z) - 1)


def pca(reference, query, batch_key: str | None = None) -> tuple[list, list]:
    """20, 50 and 150 components; with `batch_key` genes are standardised within batches, as `tl.deepprofile` does."""
    z, q = standardised(reference, query)
    if batch_key is not None:
        for batch in reference.obs[batch_key].unique():
            rows = (reference.obs[batch_key] == batch).to_numpy()
            z[rows] = (z[rows] - z[rows].mean(0)) / z[rows].std(0, ddof=1)
    loadings, _ = components_of(z, max(COMPONENTS))
    return [(z @ loadings)[:, :k] for k in COMPONENTS], [(q @ loadings)[:, :k] for k in COMPONENTS]


def fit_and_project(reference, query, **options):
    """`tl.deepprofile` with its defaults but for `options`, and `tl.project`."""
    import omicstl as otl

    fitted, other = reference.copy(), query.copy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", otl.TransferWarning)  # another laboratory: that is the question
        otl.tl.deepprofile(fitted, progress=False, **options)
        otl.tl.project(other, fitted, key_added="deepprofile")
    return fitted, other


def deepprofile(reference, query, **options) -> tuple[np.ndarray, np.ndarray]:
    """The verb's own output, and the projection's."""
    fitted, other = fit_and_project(reference, query, **options)
    return fitted.obsm["deepprofile"], other.obsm["deepprofile"]


def joined(reference, query, **options) -> tuple[np.ndarray, np.ndarray]:
    """The latent units of all networks side by side, without clusters."""
    import omicstl as otl

    model = otl.get.model(fit_and_project(reference, query, **options)[0])
    z, q = (model.nodes(model.reduce(z))[0] for z in standardised(reference, query))
    return z, q


# --- figures in words ------------------------------------------------------------------------------------------------------------


def show(name: str, scaling: str, rows: dict, against: dict | None = None, peer: str = "pca") -> dict:
    """Print one line for each method and scaling, with the paired difference where there is something to compare with."""
    out: dict = {}
    parts = []
    for (question, target), values in rows.items():
        found = {"r": interval(values)}
        if against is not None:
            found[f"minus_{peer}"] = interval(values - against[question, target])
        out.setdefault(question, {})[target] = found
        r = found["r"]
        parts.append(
            f"{r[0]:.3f} [{r[1]:.3f}, {r[2]:.3f}]"
            + "".join(_signed(d, peer) for d in [found.get(f"minus_{peer}")] if d)
        )
    head = [f"{q} {t.partition('_')[0][:10]}" for q, t in rows]
    print(f"{name} ({scaling})\n" + "\n".join(f"   {h:18} {p}" for h, p in zip(head, parts, strict=True)), flush=True)
    return out


def _signed(d: list[float], peer: str) -> str:
    verdict = "better" if d[1] > 0 else "worse" if d[2] < 0 else ""
    return f"   minus {peer} {d[0]:+.3f} [{d[1]:+.3f}, {d[2]:+.3f}] {'' if d[0] >= -0.01 else 'BELOW -.01 '}{verdict}"


# --- the batch -----------------------------------------------------------------------------------------------------------------------


def batch_figures(name: str, embedding, reference, n_boot: int) -> dict:
    """How well the batch can be read; of a list of embeddings the last, with all components."""
    x = np.asarray(embedding[-1] if isinstance(embedding, list) else embedding, dtype=np.float64)
    batch = np.unique(reference.obs["batch"].astype(str), return_inverse=True)[1]
    ill, subjects = (reference.obs["disease_state"] == "SLE").to_numpy(), patients(reference)
    out = {}
    for reader in ("logistic", "forest"):
        for who, rows in (("all", np.ones(len(x), dtype=bool)), ("patients", ill)):
            scores = read_batch(x[rows], batch[rows], subjects[rows], reader)
            out[f"{reader}, {who}"] = interval(areas(scores, batch[rows], subjects[rows], n_boot))
    print(f"{name}: area of the batch " + "  ".join(f"{k} {v[0]:.3f} [{v[1]:.3f}, {v[2]:.3f}]" for k, v in out.items()))
    return out


def score(files: list[Path], folder: Path | None, n_boot: int, scalings: list[str]) -> None:
    reference, query, kept = cohorts(folder)
    embedding, new = (np.load(f) for f in files)
    if len(embedding) == len(kept):
        embedding = embedding[kept]
    if (len(embedding), len(new)) != (reference.n_obs, query.n_obs):
        msg = f"Rows: {len(embedding)} and {len(new)}; expected {reference.n_obs} (or {len(kept)}) and {query.n_obs}."
        raise SystemExit(msg)
    if not (np.isfinite(embedding).all() and np.isfinite(new).all()):
        msg = "The embedding has values that are not finite."
        raise SystemExit(msg)
    peer = pca(reference, query)
    for scaling in scalings:
        base = rows_of(*peer, reference, query, scaling, n_boot)
        show("PCA, best of 20, 50, 150", scaling, base)
        show(files[0].name, scaling, rows_of(embedding, new, reference, query, scaling, n_boot), base)


def bars(found: dict) -> dict[str, bool]:
    """No figure more than .01 below PCA, and the floors across cohorts."""
    out = {f"{q} {t}": row["minus_pca"][0] >= -0.01 for q, rows in found.items() for t, row in rows.items()}
    floors = (("neutrophil_percent", 0.82), ("lymphocyte_percent", 0.84))
    return out | {f"across {t} at least {floor}": found["across"][t]["r"][0] >= floor for t, floor in floors}


def study(folder: Path | None, n_boot: int, seeds: int) -> dict:
    """All embeddings of one version of the data."""
    reference, query, _ = cohorts(folder)
    out: dict = {"n_genes": reference.n_vars, "n_missing": int((~reference.var_names.isin(query.var_names)).sum())}
    print(f"\n{out['n_genes']} genes, {out['n_missing']} of them unknown to the second cohort", flush=True)
    components = pca(reference, query)
    out["pca_fixed"] = {}
    for scaling in ("standardised", "raw"):
        for i, k in enumerate(COMPONENTS):
            rows = rows_of(components[0][i], components[1][i], reference, query, scaling, n_boot)
            out["pca_fixed"][f"{k}, {scaling}"] = show(f"PCA, {k} components", scaling, rows)
    with tempfile.TemporaryDirectory() as kept:
        options = {"checkpoint": kept}  # the networks are trained once, for all ways to cluster them
        start = time.perf_counter(), time.process_time()
        embeddings = {"deepprofile": deepprofile(reference, query, **options)}
        out["fit_wall"], out["fit_cpu"] = time.perf_counter() - start[0], time.process_time() - start[1]
        embeddings["published clusters"] = deepprofile(reference, query, clustering="published", **options)
        embeddings["all units joined"] = joined(reference, query, **options)
    for seed in range(1, seeds):
        embeddings[f"deepprofile, rng={seed}"] = deepprofile(reference, query, rng=seed)
    out["figures"] = {}
    for scaling in SCALINGS:
        base = rows_of(*components, reference, query, scaling, n_boot)
        figures = {"pca": show("PCA, best of 20, 50, 150", scaling, base)}
        for name, pair in embeddings.items():
            if name == "all units joined" and scaling != "standardised":
                continue  # 2,120 columns: minutes
            figures[name] = show(name, scaling, rows_of(*pair, reference, query, scaling, n_boot), base)
            if name.startswith("deepprofile"):
                figures[name]["met"] = bars(figures[name])
                failed = [bar for bar, met in figures[name]["met"].items() if not met]
                print("   NOT MET: " + ", ".join(failed) if failed else "   all met")
        out["figures"][scaling] = figures
    out["batch"] = batch_study(components, embeddings["deepprofile"], reference, query, n_boot)
    return out


def batch_study(components, plain, reference, query, n_boot: int) -> dict:
    """The batch in all embeddings, and what is left of cells and activity where it was taken out."""
    import omicstl as otl

    own = reference.copy()
    otl.tl.deepprofile(own, batch_key="batch", progress=False)
    pairs = {
        "pca": components[0],
        "pca, by batch": pca(reference, query, "batch")[0],
        "deepprofile": plain[0],
        "deepprofile, batch_key": own.obsm["deepprofile"],
    }
    y, subjects, out, r = measurements(reference), patients(reference), {}, {}
    for name, embedding in pairs.items():
        out[name] = {"area": batch_figures(name, embedding, reference, n_boot), "within": {}}
        for scaling in ("standardised", "raw"):
            predictions = evaluate_within(embedding, y, subjects, scaling)
            for t in TARGETS:
                r[name, scaling, t] = correlations(y[t], predictions[t], subjects, n_boot)
            rows = {("within", t): r[name, scaling, t] for t in TARGETS}
            without = name.partition(",")[0]
            base = None if without == name else {("within", t): r[without, scaling, t] for t in TARGETS}
            out[name]["within"][scaling] = show(name, scaling, rows, base, "without")
    drop = out["deepprofile, batch_key"]["within"]["standardised"]["within"]["neutrophil_percent"]["minus_without"][0]
    read = {name: out[name]["area"]["logistic, all"][0] for name in out}
    out["met"] = {
        "read without batch_key, at least .98": read["deepprofile"] >= 0.98,
        "read with batch_key, at most .75": read["deepprofile, batch_key"] <= 0.75,
        "neutrophil drops by at most .01": drop >= -0.01,
    }
    print(out["met"], flush=True)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--boot", type=int, default=2000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--score", type=Path, nargs=2, metavar=("E_REF", "E_QUERY"))
    parser.add_argument("--scaling", choices=list(SCALINGS), nargs="*", default=list(SCALINGS))
    arguments = parser.parse_args()
    if arguments.score:
        score(arguments.score, arguments.data, arguments.boot, arguments.scaling)
        return
    from bench_plier import machine

    results = {"pathway genes": study(None, arguments.boot, arguments.seeds)}
    if arguments.data is not None:
        results["variable genes"] = study(arguments.data, arguments.boot, arguments.seeds)
    path = Path(__file__).parent / "results" / "quality_deepprofile.json"
    path.write_text(json.dumps({"machine": machine(), "n_boot": arguments.boot, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
