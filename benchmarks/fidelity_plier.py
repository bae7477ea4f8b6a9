"""PLIER and MultiPLIER against their originals, and traps of transfer on real data.

    python benchmarks/fidelity_plier.py --data FOLDER

FOLDER holds `golden_wholeblood.npz`, `wholeblood.h5ad` (GSE130824), `golden_sle.npz` and the cohorts' set genes; material with
terms of its own that is not part of the package. Results go to `benchmarks/results/fidelity_plier.json`.
"""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from bench_plier import golden_table, machine
from scipy.stats import spearmanr

import omicstl as otl

BARS = {"wholeblood": (1e-3, 1e-3, 1e-2), "sle": (5e-3, 5e-3, 1e-2)}


def relative(found, expected) -> float:
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


def golden(folder: Path, name: str, adata: ad.AnnData) -> dict:
    """Fit from the original's hold-outs and start; compare everything it gave."""
    expected = dict(np.load(folder / f"golden_{name}.npz", allow_pickle=False))
    adata = adata[list(expected["samples"])].copy()
    k = int(expected["k"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", otl.ConvergenceWarning)
        otl.tl.plier(
            adata,
            golden_table(expected, "prior_packed"),
            n_factors=k,
            holdout_prior=golden_table(expected, "C_packed"),
            init_scores=(expected["svd_v"][:, :k] * expected["svd_d"][:k]).T,
        )
    entry, model = adata.uns["plier"], otl.get.model(adata)
    genes = pd.Index(model.features).get_indexer(expected["genes"])
    sets = pd.Index(model.sets).get_indexer(expected["pathways"])
    weights = np.where(sets[:, None] >= 0, model.weights[np.maximum(sets, 0)], 0)
    summary = entry["summary"]
    number = summary["factor"].str.split().str[0].str[2:].astype(int)
    found = summary.assign(number=number).set_index(["set", "number"]).sort_index()
    names = ("pathway", "lv", "auc", "pvalue", "fdr")
    tests = pd.DataFrame({n: expected[f"summary_{n}"] for n in names}).set_index(["pathway", "lv"]).sort_index()
    z, b, u = BARS[name]
    out = {
        "n_iter": int(entry["n_iter"]),
        "n_iter_original": int(expected["n_iter"]),
        "stopped": entry["stopped"],
        "loadings": relative(model.loadings[genes], expected["Z"]),
        "scores": relative(adata.obsm["plier"].T, expected["B"]),
        "weights": relative(weights, expected["U"]),
        "supports_that_differ": int(((weights > 0) != (expected["U"] > 0)).sum()),
        "set_penalty_path": float(np.abs(entry["penalty_path"] / expected["L3_path"] - 1).max()),
        "same_pairs_tested": bool(found.index.equals(tests.index)),
        "auc": float(np.abs(found["auc"] - tests["auc"]).max()),
        "p": float(np.abs(found["p_nominal"] - tests["pvalue"]).max()),
        "fdr": float(np.abs(found["fdr_nominal"] - tests["fdr"]).max()),
        "same_calls_at_fdr_5": bool(((found["fdr_nominal"] < 0.05) == (tests["fdr"] < 0.05)).all()),
    }
    out["within_bars"] = bool(
        out["loadings"] < z
        and out["scores"] < b
        and out["weights"] < u
        and out["supports_that_differ"] == 0
        and out["n_iter"] == out["n_iter_original"]
        and out["set_penalty_path"] < 1e-9
    )
    return out


def multiplier(reference: ad.AnnData, query: ad.AnnData) -> dict:
    """`GetNewDataB` in plain numpy against `standardize="query", missing="mean"`."""
    model = otl.get.model(reference)
    table = pd.DataFrame(query.X.T, index=query.var_names).astype(float)
    table = table.sub(table.mean(1), axis=0).div(table.std(1, ddof=1), axis=0)
    table = table.reindex(model.features).fillna(0).to_numpy()
    z = model.loadings.astype(float)
    expected = np.linalg.solve(z.T @ z + model.score_penalty * np.eye(z.shape[1]), z.T @ table).T
    done = quiet(query, reference, standardize="query", missing="mean", key_added="multiplier")
    return {"relative_error": relative(done.obsm["multiplier"], expected)}


def quiet(query: ad.AnnData, reference: ad.AnnData, **options) -> ad.AnnData:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return otl.tl.project(query, reference, copy=True, **options)


CELLS = {
    "Neutrophil": "prop_Neutrophil",
    "B cell": "prop_B_cell",
    "Plasma cell": "prop_Plasma_cell",
    "Monocyte": "prop_Monocyte",
    "NK cell": "prop_NK_cell",
}


def explained(query: ad.AnnData, reference: ad.AnnData, how: str) -> float:
    """Share of the sum of squares that the factors fit, no mean removed: what flatters a shifted platform."""
    model = otl.get.model(reference)
    shared = pd.Index(model.features).intersection(query.var_names)
    rows = pd.Index(model.features).get_indexer(shared)
    x = np.asarray(query[:, shared].X, dtype=float)
    mean, scale = (x.mean(0), x.std(0, ddof=1)) if how == "query" else (model.mean[rows], model.scale[rows])
    used = scale > 0
    y, z = ((x - mean) / np.where(used, scale, 1))[:, used], model.loadings[rows][used].astype(float)
    fitted = y @ z @ np.linalg.inv(z.T @ z + model.score_penalty * np.eye(z.shape[1])) @ z.T
    return float(1 - np.sum((y - fitted) ** 2) / np.sum(y**2))


def other_platform(reference: ad.AnnData, blood: ad.AnnData) -> dict:
    """Whole blood of another platform: the reference's own statistics must warn and must not do better than the query's."""
    out: dict = {}
    for how in ("query", "reference"):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            done = otl.tl.project(blood, reference, standardize=how, force=True, key_added="p", copy=True)
        quality = done.uns["p"]["quality"]
        names = pd.Series(done.uns["p"]["names"])
        rho = {}
        for cell, column in CELLS.items():
            hits = names.index[names.str.split(" ", n=1).str[-1] == cell]
            value = done.obs[column].to_numpy()
            known = np.isfinite(value)
            rho[cell] = [float(spearmanr(done.obsm["p"][known, j], value[known])[0]) for j in hits]
        out[how] = {
            "plain_explained_variance": explained(blood, reference, how),
            "warnings": [str(w.message)[:120] for w in caught if issubclass(w.category, otl.TransferWarning)],
            "median_offset": quality["median_offset"],
            "r2": quality["r2"],
            "r2_null": quality["r2_null"],
            "verdict": quality["verdict"],
            "mean_shift_of_factors": float(
                np.median(np.abs(done.obsm["p"].mean(0)) / np.sqrt(np.diag(otl.get.model(reference).score_cov)))
            ),
            "spearman_of_named_factors": rho,
        }
    try:
        otl.tl.project(blood, reference, standardize="reference", copy=True)
        out["refused_without_force"] = False
    except ValueError as error:
        out["refused_without_force"] = str(error)[:120]
    out["reference_is_not_better"] = bool(out["reference"]["r2"] <= out["query"]["r2"] + 1e-6)
    return out


def missing_genes(reference: ad.AnnData, query: ad.AnnData) -> dict:
    """Half of the genes gone: solving on the rest against filling in zeros, measured against the whole and as predicted."""
    rng = np.random.default_rng(0)
    part = query[:, rng.permutation(query.n_vars)[: query.n_vars // 2]].copy()
    whole = quiet(query, reference, key_added="p").obsm["p"]
    out = {}
    for how in ("model", "mean"):
        done = quiet(part, reference, missing=how, key_added="p")
        r = [np.corrcoef(whole[:, i], done.obsm["p"][:, i])[0, 1] for i in range(whole.shape[1])]
        slope = [np.polyfit(whole[:, i], done.obsm["p"][:, i], 1)[0] for i in range(whole.shape[1])]
        table = done.uns["p"]["quality"]["factors"]
        out[how] = {
            "r": float(np.median(r)),
            "slope": float(np.median(slope)),
            "expected_r": float(table["expected_r"].median()),
            "expected_slope": float(table["expected_slope"].median()),
            "r_of_expected_and_measured_r": float(np.corrcoef(table["expected_r"], r)[0, 1]),
        }
    return out


def random_sets(draws: int = 8) -> dict:
    """Sets of random genes, so that every finding is false: how many pairs do both p-values call at 5 %?"""
    nominal, permuted, named, factors = [], [], 0, 0
    for seed in range(draws):
        rng = np.random.default_rng(seed)
        adata, _ = otl.datasets.simulate_pathways(60, 600, n_sets=30, n_factors=6, rng=seed)
        sets = {f"random {i}": list(rng.choice(adata.var_names, 60, replace=False)) for i in range(60)}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            otl.tl.plier(adata, sets, n_factors=12)
        entry = adata.uns["plier"]
        nominal += list(entry["summary"]["p_nominal"].dropna())
        permuted += list(entry["summary"]["p_permutation"].dropna())
        named += sum(" " in name for name in entry["names"])
        factors += len(entry["names"])
    return {
        "pairs": len(permuted),
        "nominal_below_5_percent": float(np.mean(np.array(nominal) < 0.05)),
        "permutation_below_5_percent": float(np.mean(np.array(permuted) < 0.05)),
        "named_factors": named,
        "factors": factors,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    folder = parser.parse_args().data
    blood = ad.read_h5ad(folder / "wholeblood.h5ad")
    cohort, reference = otl.datasets.sle_adult(), otl.datasets.sle_pediatric()
    result = {
        "machine": machine(),
        "wholeblood": golden(folder, "wholeblood", blood),
        "sle": golden(folder, "sle", cohort),
    }
    otl.tl.plier(reference, otl.datasets.gene_sets("blood", "reactome", "pid"))
    result["multiplier_arithmetic"] = multiplier(reference, cohort)
    result["other_platform"] = other_platform(reference, blood)
    result["random_sets"] = random_sets()
    result["missing_genes"] = missing_genes(reference, cohort)
    text = json.dumps(result, indent=1)
    print(text)
    (Path(__file__).parent / "results").mkdir(exist_ok=True)
    (Path(__file__).parent / "results" / "fidelity_plier.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
