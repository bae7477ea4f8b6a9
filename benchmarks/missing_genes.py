"""What a network's scores lose when genes are missing: zeros against genes that are filled in, and the loss that is foretold.

    python benchmarks/missing_genes.py [--members 2]

`tl.deepprofile` learns on the bundled paediatric lupus blood; the adult cohort, another platform, is projected with all shared genes
and with random parts of them (three draws each). Results go to `benchmarks/results/missing_genes.json`.
"""

from __future__ import annotations

import argparse
import json
import warnings
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from bench_plier import machine

import omicstl as otl
from omicstl.models.factors import encoder_projection

SHARES, DRAWS = (0.7, 0.4, 0.15, 0.05), 3
EXACT = 10**9  # observations of a reference whose variances are taken as they are


def filled(model, z: np.ndarray, present: np.ndarray) -> float:
    """Share of the variance of the missing genes that filling them in explains."""
    source = encoder_projection.gaussian(model)
    how = encoder_projection.completion(source, present, encoder_projection.panel(source, present), "model")
    rows, absent = encoder_projection.complete(z[:, present], how), how.absent
    return float(1 - np.sum((z - rows)[:, absent] ** 2) / np.sum(z[:, absent] ** 2))


def projected(adata, reference, missing: str):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", otl.TransferWarning)
        return otl.tl.project(adata, reference, standardize="query", missing=missing, key_added="net", copy=True)


def correlations(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    return np.sum(a * b, axis=0) / np.sqrt(np.sum(a**2, axis=0) * np.sum(b**2, axis=0))


def slopes(full: np.ndarray, part: np.ndarray) -> np.ndarray:
    full = full - full.mean(axis=0)
    return np.sum(full * (part - part.mean(axis=0)), axis=0) / np.sum(full**2, axis=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--members", type=int, default=2)
    arguments = parser.parse_args()
    reference, cohort = otl.datasets.sle_pediatric(), otl.datasets.sle_adult()
    shared = [gene for gene in reference.var_names if gene in set(cohort.var_names)]
    reference, cohort = reference[:, shared].copy(), cohort[:, shared].copy()
    otl.tl.deepprofile(reference, latent_sizes=(10, 25), n_members=arguments.members, n_clusters=40)
    model = otl.get.model(reference)
    whole = projected(cohort, reference, "model")
    full = whole.obsm["net"]
    x = np.asarray(cohort.X.todense() if hasattr(cohort.X, "todense") else cohort.X, dtype=np.float64)
    sd = x.std(axis=0, ddof=1)
    position = {gene: i for i, gene in enumerate(cohort.var_names)}
    order = [position[gene] for gene in model.features]
    z = ((x - x.mean(axis=0)) / np.where(sd > 0, sd, 1))[:, order]
    plain = replace(model, n_obs=EXACT)
    rows = []
    for share in SHARES:
        for draw in range(DRAWS):
            rng = np.random.default_rng([draw, int(1000 * share)])
            present = np.sort(rng.permutation(len(order))[: int(share * len(order))])
            part = cohort[:, [order[j] for j in present]].copy()
            row = {"share": share, "lasting": filled(model, z, present), "as_stored_50": filled(plain, z, present)}
            encoder_projection.RANK, rank = model.variance.size, encoder_projection.RANK
            row["as_stored_all"] = filled(plain, z, present)
            encoder_projection.RANK = rank
            for missing in ("model", "mean"):
                found = projected(part, reference, missing)
                table = found.uns["net"]["quality"]["factors"]
                r = correlations(full, found.obsm["net"])
                row[missing] = {
                    "r": float(np.median(r)),
                    "lowest_r": float(r.min()),
                    "slope": float(np.median(slopes(full, found.obsm["net"]))),
                    "expected_r": float(table["expected_r"].median()),
                    "expected_slope": float(table["expected_slope"].median()),
                    "difference_of_r": float(np.median(np.abs(table["expected_r"] - r))),
                    "judged_alike_at_.8": float(np.mean((table["expected_r"] >= 0.8) == (r >= 0.8))),
                }
            rows.append(row)
    means = {}
    for share in SHARES:
        own = [row for row in rows if row["share"] == share]
        means[f"{share:.0%}"] = {
            **{
                name: float(np.mean([row[name] for row in own]))
                for name in ("lasting", "as_stored_50", "as_stored_all")
            },
            **{
                missing: {name: float(np.mean([row[missing][name] for row in own])) for name in own[0][missing]}
                for missing in ("model", "mean")
            },
        }
    quality = SimpleNamespace(**whole.uns["net"]["quality"])
    out = {
        "machine": machine(),
        "reference": {"n_obs": reference.n_obs, "genes": len(shared), "components": int(model.variance.size)},
        "all_genes": {"verdict": quality.verdict, "r2": quality.r2, "r2_expected": quality.r2_expected},
        "genes_at_hand": means,
    }
    path = Path(__file__).parent / "results" / "missing_genes.json"
    path.write_text(json.dumps(out, indent=1) + "\n")
    print(json.dumps(out, indent=1))


if __name__ == "__main__":
    main()
