"""Do tests over factors keep their promise on real cohorts? Labels are permuted between patients; every finding is false.

    python benchmarks/null_calibration.py [--permutations 500] [--studies 400]

Two bundled cohorts in which patients were seen up to 25 times; factors are learnt on the larger one and carried to the smaller.
A permutation hands the labels of whole patients to other patients, so visits stay together and nothing is left to find. For
every way of testing: the share of p < .05 over factors and permutations with a 95 % interval (permutations are the sample),
the share of p < .01, and the highest share of a single factor beside what chance gives in the worst of so many factors.
Then the real labels: what is found with and without `block`, with batch and cell composition adjusted for, and the traps.
Last, small designs: simulated studies of few patients without any effect, tested as the package does (Kenward and Roger) and
with Satterthwaite's degrees of freedom alone, and patients whose visits are correlated negatively.
Results go to `benchmarks/results/null_calibration.json`.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from bench_plier import machine
from scipy import stats

import omicstl as otl
from omicstl.kernels import mixed, moderated

HEALTHY = {"pediatric": "Healthy", "adult": "Healthy control of SLE"}


def bare(adata: ad.AnnData) -> ad.AnnData:
    """Scores and what the test reads of them, without genes, so that copies are cheap."""
    small = ad.AnnData(
        np.zeros((adata.n_obs, 1), np.float32), obs=adata.obs[["subject", "visit", "disease_state", "sledai"]]
    )
    if "batch" in adata.obs:
        small.obs["batch"] = adata.obs["batch"]
    small.obsm["plier"] = adata.obsm["plier"]
    entry = adata.uns["plier"]
    small.uns["plier"] = {name: entry[name] for name in ("kind", "version", "names", "quality") if name in entry}
    return small


def verb(adata: ad.AnnData, label: np.ndarray, **options) -> np.ndarray:
    adata.obs["label"] = label
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        otl.tl.rank_factors_groups(adata, "label", factors="all", **options)
    return adata.uns["plier_test"]["table"]["p"].to_numpy()


def design(adata: ad.AnnData, label: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    x = np.column_stack(
        [np.ones(len(label)), pd.factorize(label, sort=True)[0] if label.dtype.kind in "OUb" else label]
    )
    return x.astype(float), adata.obsm["plier"].astype(float), pd.factorize(adata.obs["subject"])[0]


def one_correlation(adata: ad.AnnData, label: np.ndarray) -> np.ndarray:
    """limma's way: one correlation for all factors (trimmed mean of atanh), then least squares on whitened data."""
    x, y, block = design(adata, label)
    each = mixed.random_intercept(x, y, block).correlation
    rho = np.tanh(stats.trim_mean(np.arctanh(each), 0.15))
    size = np.bincount(block)
    shrink = (1 - np.sqrt((1 - rho) / (1 + (size - 1) * rho))) / size

    def whiten(values: np.ndarray) -> np.ndarray:
        total = np.zeros((size.size, values.shape[1]))
        np.add.at(total, block, values)
        return values - (shrink[:, None] * total)[block]

    fit = mixed.least_squares(whiten(x), whiten(y), len(x) - 2)
    return moderated.t_test(fit.beta[:, 1], fit.covariance[:, 1, 1], mixed.contrast_df(fit, np.array([0.0, 1.0]))).p


def patient_means(adata: ad.AnnData, label: np.ndarray) -> np.ndarray:
    """One average for each patient, then a test of patients."""
    x, y, block = design(adata, label)
    size = np.bincount(block)[:, None]
    x, y = (np.stack([np.bincount(block, weights=c) for c in v.T], axis=1) / size for v in (x, y))
    fit = mixed.least_squares(x, y, len(x) - 2)
    return moderated.t_test(fit.beta[:, 1], fit.covariance[:, 1, 1], mixed.contrast_df(fit, np.array([0.0, 1.0]))).p


def between_patients(adata: ad.AnnData, values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The value of a patient (that of the first visit) goes to another patient."""
    block = pd.factorize(adata.obs["subject"])[0]
    first = np.array([values[np.flatnonzero(block == b)[0]] for b in range(block.max() + 1)])
    return rng.permutation(first)[block]


def halves(adata: ad.AnnData, rng: np.random.Generator) -> np.ndarray:
    block = pd.factorize(adata.obs["subject"])[0]
    return np.array(["a", "b"])[rng.permutation(np.arange(block.max() + 1) % 2)[block]]


def other_course(adata: ad.AnnData, rng: np.random.Generator) -> np.ndarray:
    """Every patient gets the course of another one, in order, from a random visit on: varies within patients."""
    block, value = pd.factorize(adata.obs["subject"])[0], adata.obs["sledai"].to_numpy().astype(float)
    visits = [np.flatnonzero(block == b) for b in range(block.max() + 1)]
    visits = [rows[np.argsort(adata.obs["visit"].to_numpy()[rows], kind="stable")] for rows in visits]
    out, order = np.empty(len(value)), rng.permutation(len(visits))
    for mine, theirs in zip(order, np.roll(order, 1), strict=True):
        start = rng.integers(len(visits[theirs]))
        out[visits[mine]] = np.take(value[visits[theirs]], np.arange(start, start + len(visits[mine])), mode="wrap")
    return out


def calibration(draw: Callable[[np.random.Generator], np.ndarray], ways: dict[str, Callable], n: int) -> dict:
    """All ways on the same permutations."""
    p: dict[str, list[np.ndarray]] = {name: [] for name in ways}
    for i in range(n):
        label = draw(np.random.default_rng(i))
        for name, way in ways.items():
            p[name].append(way(label))
    out = {}
    for name, rows in p.items():
        called = np.array(rows) < 0.05
        share, half = called.mean(), 1.96 * called.mean(axis=1).std(ddof=1) / np.sqrt(n)
        out[name] = {
            "share_below_05": round(float(share), 4),
            "interval_95": [round(float(share - half), 4), round(float(share + half), 4)],
            "share_below_01": round(float((np.array(rows) < 0.01).mean()), 4),
            "worst_factor": round(float(called.mean(axis=0).max()), 4),
            "worst_factor_by_chance": round(float(stats.binom.ppf(0.95 ** (1 / called.shape[1]), n, 0.05) / n), 4),
        }
    return out


def null(adata: ad.AnnData, n: int) -> dict:
    start = time.perf_counter()
    state = adata.obs["disease_state"].astype(str).to_numpy()
    ill = adata[adata.obs["sledai"].notna()].copy()
    activity = ill.obs["sledai"].to_numpy().astype(float)

    def without(a: ad.AnnData) -> Callable:
        return lambda label: verb(a, label)

    def block(a: ad.AnnData, **options) -> Callable:
        return lambda label: verb(a, label, block="subject", **options)

    ways = {
        "no block": without(adata),
        "block": block(adata),
        "one correlation for all factors": lambda label: one_correlation(adata, label),
        "means of patients": lambda label: patient_means(adata, label),
    }
    of_ill = {"no block": without(ill), "block": block(ill)}
    out = {
        "health permuted between patients": calibration(lambda rng: between_patients(adata, state, rng), ways, n),
        "random halves of the patients": calibration(lambda rng: halves(adata, rng), ways, n),
        "sledai of the first visit permuted between patients": calibration(
            lambda rng: between_patients(ill, activity, rng), of_ill, n
        ),
        "the course of sledai of another patient": calibration(
            lambda rng: other_course(ill, rng), {**of_ill, "paired": block(ill, paired=True)}, n
        ),
    }
    return {
        "n_permutations": n,
        "n_factors": int(adata.obsm["plier"].shape[1]),
        **out,
        "seconds": round(time.perf_counter() - start, 1),
    }


def found(adata: ad.AnnData, phenotype: str, **options) -> dict:
    """Findings on the real labels."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        otl.tl.rank_factors_groups(adata, phenotype, factors="all", key_added="found", **options)
    entry = adata.uns["found"]
    table = entry["table"].sort_values("p")
    correlation = entry["overall"]["block_correlation"]
    columns = ("factor", "effect_sd", "effect_sd_low", "effect_sd_high")
    return {
        "factors_with_fdr_below_05": int((table["fdr"] < 0.05).sum()),
        "of": len(table),
        "n_obs": entry["params"]["n_obs"],
        "n_blocks": entry["params"]["n_blocks"],
        "median_df": round(float(table["df"].median()), 1),
        "prior_df": round(float(entry["prior"]["contrasts"]["df"].iloc[0]), 2),
        "block_correlation_10_50_90": None
        if correlation.isna().any()
        else [round(float(v), 2) for v in np.percentile(correlation, [10, 50, 90])],
        "top": [[row[0], *(round(float(v), 2) for v in row[1:])] for row in table[list(columns)].head(5).to_numpy()],
    }


def real(adata: ad.AnnData, healthy: str) -> dict:
    groups = {"reference_group": healthy}
    ill = adata[adata.obs["disease_state"] != healthy].copy()
    names = [str(name) for name in adata.uns["plier"]["names"]]
    cells = [n for n in names if n.split(" ", 1)[-1] in ("Neutrophil", "Monocyte", "B cell", "NK cell", "T cell")]
    out = {
        "health, no block": found(adata, "disease_state", **groups),
        "health, block": found(adata, "disease_state", block="subject", **groups),
        f"health, block, adjusted for {', '.join(cells)}": found(
            adata, "disease_state", block="subject", factor_covariates=cells, **groups
        ),
        "sledai, no block": found(ill, "sledai"),
        "sledai, block": found(ill, "sledai", block="subject"),
        "sledai, block, paired": found(ill, "sledai", block="subject", paired=True),
    }
    if "batch" in adata.obs:
        out["health, block, adjusted for batch"] = found(
            adata, "disease_state", block="subject", covariates=["batch"], **groups
        )
        out["batch among patients, block"] = found(ill, "batch", block="subject")
    return out


def separately(cohort: ad.AnnData, reference: ad.AnnData, healthy: str) -> dict:
    """The trap: patients and controls z-scored each by themselves have the same mean, whatever the disease does."""
    parts = [cohort[(cohort.obs["disease_state"] == healthy) == own].copy() for own in (True, False)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for part in parts:
            otl.tl.project(part, reference, standardize="query")
    whole = bare(parts[0])
    both = ad.concat([bare(part) for part in parts])
    both.uns["plier"] = whole.uns["plier"]
    return found(both, "disease_state", block="subject", reference_group=healthy)


DESIGNS = [
    ("two groups, each visit by chance", "visit", 2, (4, 6, 8, 12, 24)),
    ("three groups, each visit by chance", "visit", 3, (6, 8, 12, 24)),
    ("two groups of patients", "patient", 2, (6, 8, 12)),
]
CORRELATIONS = np.repeat([0.0, 0.2, 0.4, 0.6, 0.8], 20)


def study(
    rng: np.random.Generator, how: str, n_groups: int, n_patients: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Design, scores of 100 factors whose variances and correlations differ, and patients of 1 to 3 visits; no effect."""
    while True:
        block = np.repeat(np.arange(n_patients), rng.integers(1, 4, n_patients))
        code = rng.integers(0, n_groups, block.size)
        if how == "patient":
            code = rng.permutation(np.arange(n_patients) % n_groups)[block]
        x = np.eye(n_groups)[code]
        x[:, 0] = 1
        z = np.eye(n_patients)[block]
        of_both = np.linalg.matrix_rank(np.hstack([x, z]))  # degrees of freedom within patients, and between them
        if np.linalg.matrix_rank(x) == n_groups and n_groups < of_both < block.size:
            break
    k = CORRELATIONS.size
    y = np.sqrt(CORRELATIONS) * rng.normal(size=(n_patients, k))[block]
    y = y + np.sqrt(1 - CORRELATIONS) * rng.normal(size=(block.size, k))
    return x, y * np.sqrt(4 / rng.chisquare(4, k)), block


def small_designs(n: int) -> dict:
    """Share of p < .05 and p < .001 over n studies and all factors: of the first contrast, and of all groups together."""
    out = {}
    for title, how, n_groups, sizes in DESIGNS:
        rows, first = np.eye(n_groups)[1:], np.eye(n_groups)[1]
        for n_patients in sizes:
            p: dict[str, list[np.ndarray]] = {name: [] for name in ("t", "F", "t, Satterthwaite", "F, Satterthwaite")}
            for i in range(n):
                x, y, block = study(np.random.default_rng([i, n_patients, n_groups]), how, n_groups, n_patients)
                fit = mixed.random_intercept(x, y, block)
                effect, df = fit.beta[:, 1], mixed.contrast_df(fit, first)
                p["t"].append(moderated.t_test(effect, fit.adjusted[:, 1, 1], df).p)
                p["t, Satterthwaite"].append(moderated.t_test(effect, fit.covariance[:, 1, 1], df).p)
                together, plain = fit.beta @ rows.T, rows @ fit.covariance @ rows.T
                p["F"].append(moderated.f_test(together, *mixed.joint_test(fit, rows)).p)
                p["F, Satterthwaite"].append(moderated.f_test(together, plain, mixed.joint_df(fit, rows)).p)
            out[f"{title}, {n_patients} patients"] = {
                name: {
                    "share_below_05": round(float((np.array(v) < 0.05).mean()), 4),
                    "half_of_interval_95": round(
                        float(1.96 * (np.array(v) < 0.05).mean(axis=1).std(ddof=1) / n**0.5), 4
                    ),
                    "share_below_001": round(float((np.array(v) < 0.001).mean()), 4),
                    "share_below_05_by_correlation": {
                        f"{rho:g}": round(float((np.array(v)[:, rho == CORRELATIONS] < 0.05).mean()), 4)
                        for rho in np.unique(CORRELATIONS)
                    },
                }
                for name, v in p.items()
            }
    return out


def negative_correlation(n: int) -> dict:
    """Before and after in 12 patients whose two visits are correlated negatively: REML stops at 0."""
    block, x = np.repeat(np.arange(12), 2), np.column_stack([np.ones(24), np.tile([0.0, 1.0], 12)])
    out = {}
    for rho in (-0.2, -0.4, -0.6):
        root = np.linalg.cholesky(np.array([[1, rho], [rho, 1]]))
        y = (np.random.default_rng(0).normal(size=(100 * n, 12, 2)) @ root.T).reshape(100 * n, 24).T
        fit = mixed.random_intercept(x, y, block)
        t = fit.beta[:, 1] / np.sqrt(fit.adjusted[:, 1, 1])
        p = 2 * stats.t.sf(np.abs(t), mixed.contrast_df(fit, np.array([0.0, 1.0])))
        paired = stats.ttest_rel(y[::2], y[1::2]).pvalue
        out[f"correlation {rho}"] = {
            "block": round(float((p < 0.05).mean()), 4),
            "paired": round(float((paired < 0.05).mean()), 4),
        }
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--permutations", type=int, default=500)
    parser.add_argument("--studies", type=int, default=400, help="of each small design")
    asked = parser.parse_args()
    n = asked.permutations
    reference, cohort = otl.datasets.sle_pediatric(), otl.datasets.sle_adult()
    otl.tl.plier(reference, otl.datasets.gene_sets("blood", "reactome"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        otl.tl.project(cohort, reference)
    result: dict = {"machine": machine()}
    for name, adata in (("pediatric", bare(reference)), ("adult", bare(cohort))):
        block = adata.obs["subject"].value_counts()
        result[name] = {
            "n_obs": adata.n_obs,
            "n_patients": len(block),
            "most_visits": int(block.max()),
            "real": real(adata, HEALTHY[name]),
            "null": null(adata, n),
        }
    result["adult"]["patients and controls z-scored separately"] = separately(cohort, reference, HEALTHY["adult"])
    result["small designs"] = {
        "n_studies": asked.studies,
        "n_factors": CORRELATIONS.size,
        **small_designs(asked.studies),
    }
    result["negative correlation"] = negative_correlation(asked.studies)
    text = json.dumps(result, indent=1)
    print(text)
    (Path(__file__).parent / "results" / "null_calibration.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
