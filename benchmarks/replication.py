"""Does lupus in children's blood replicate in adults', and are the intervals of `metrics.replication` right where nothing does?

    python benchmarks/replication.py [--permutations 500]

Both cohorts in the factors of the paediatric one, with every default. `observed`: lupus against healthy and disease activity
(SLEDAI), in both directions, patients as blocks. `null`: the labels of one cohort are permuted over its patients, and the findings
of the other are looked for in it; how often the intervals hold 0 (correlation) and one half (signs), beside intervals that take
factors as independent. `separation` and `collection`: what the compendium tells apart, and how much of an unseen collection it knows.
Results go to `benchmarks/results/replication.json`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import anndata as ad
import numpy as np
from bench_plier import machine

import omicstl as otl
from omicstl.kernels import replicability

PAIRS = {"neutrophil and monocyte": (["Neutrophil"], ["Monocyte"])}
PAIRS["interferon alpha/beta and gamma"] = tuple(
    [f"REACTOME_INTERFERON_{name}_SIGNALING"] for name in ("ALPHA_BETA", "GAMMA")
)


def scores_only(cohort: ad.AnnData) -> ad.AnnData:
    """The cohort without its genes; both with the same names of groups."""
    small = ad.AnnData(np.zeros((cohort.n_obs, 1), np.float32), obs=cohort.obs.copy())
    small.obsm["plier"], small.uns["plier"] = cohort.obsm["plier"], cohort.uns["plier"]
    lupus = small.obs["disease_state"].astype(str) == "SLE"
    small.obs["state"] = np.where(lupus, "SLE", "Healthy")
    return small


def with_test(cohort: ad.AnnData, phenotype: str = "state") -> ad.AnnData:
    group = "Healthy" if phenotype == "state" else None
    otl.tl.rank_factors_groups(
        cohort, phenotype, block="subject", reference_group=group, factors="all", key_added="test"
    )
    return cohort


def observed(a: ad.AnnData, b: ad.AnnData) -> dict:
    found = {}
    for phenotype in ("state", "sledai"):
        answer = otl.metrics.replication(with_test(a, phenotype), with_test(b, phenotype))
        top = answer.factors.head(5)[["factor", "effect_a", "effect_b", "fdr_a", "fdr_replication", "p_heterogeneity"]]
        found[phenotype] = {"contrast": answer.summary.name} | answer.summary.round(4).to_dict()
        found[phenotype]["first_factors"] = [
            {name: value if isinstance(value, str) else float(f"{value:.3g}") for name, value in row.items()}
            for row in top.to_dict("records")
        ]
    return found


def null(a: ad.AnnData, b: ad.AnnData, n: int) -> dict:
    """Findings of a in b with labels permuted over patients."""
    with_test(a)
    b = b.copy()
    subject, rng, rows = b.obs["subject"].astype(str), np.random.default_rng(0), []
    state = b.obs.groupby(subject)["state"].first()
    for _ in range(n):
        b.obs["state"] = subject.map(dict(zip(state.index, rng.permutation(state.to_numpy()), strict=True)))
        s = otl.metrics.replication(a, with_test(b)).summary
        row = {"any_replicated": s["n_replicated"] > 0}
        for name, truth, size in (
            ("effect_correlation", 0, s["n_tested"]),
            ("effect_correlation_findings", 0, s["n_findings"]),
            ("sign_agreement", 0.5, s["n_findings"]),
        ):
            interval = replicability.share_interval if name == "sign_agreement" else replicability.correlation_interval
            low, high = interval(s[name], size)
            row |= {name: s[f"{name}_low"] <= truth <= s[f"{name}_high"], f"{name}_independent": low <= truth <= high}
        rows.append(row)
    found = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
    return {"n": n} | {k: [v, *np.round(replicability.share_interval(v, float(n)), 4)] for k, v in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--permutations", type=int, default=500)
    n = parser.parse_args().permutations
    otl.settings.verbosity = 0
    compendium, cohort = otl.datasets.sle_pediatric(), otl.datasets.sle_adult()
    otl.tl.plier(compendium, otl.datasets.gene_sets("blood", "reactome"), rng=0, progress=False)
    otl.tl.project(cohort, compendium)
    pid = otl.metrics.collection_auc(compendium, otl.datasets.gene_sets("pid"))
    captured = (pid["fdr_nominal"] < 0.05).groupby(pid["set"]).any()
    children, adults = scores_only(compendium), scores_only(cohort)
    result = {
        "machine": machine(),
        "separation": {k: otl.metrics.separation(compendium, *v)._asdict() for k, v in PAIRS.items()},
        "collection": {"name": "pid", "n_sets": captured.size, "share_captured": round(float(captured.mean()), 4)},
        "observed": {
            "children in adults": observed(children, adults),
            "adults in children": observed(adults, children),
        },
        "null": {
            "children in permuted adults": null(children, adults, n),
            "adults in permuted children": null(adults, children, n),
        },
    }
    text = json.dumps(result, indent=1)
    print(text)
    (Path(__file__).parent / "results" / "replication.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
