"""MultiPLIER on real cohorts: do the named factors of a compendium follow cells that were counted elsewhere?

    python benchmarks/fidelity_multiplier.py [--data FOLDER] [--boot 2000]

Factors are learnt on paediatric lupus blood with every default, and projected on two cohorts with cytometry: adult lupus blood
(another laboratory) and, with FOLDER, whole blood of another platform (`wholeblood.h5ad`, GSE130824). FOLDER/genesets holds
MultiPLIER's own collection of gene sets, FOLDER/multiplier its published tables; both have terms of their own and are no part of the
package. Which factor stands for a cell type is decided on the compendium alone: of the factors that are named after one of
its sets, the one with the largest weight on such a set. Beside it the mean of the z-scored markers, and the first component
of the cohort. Intervals: 95 %, bootstrap of patients. Results go to `benchmarks/results/fidelity_multiplier.json`.
"""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from bench_plier import machine
from scipy.stats import rankdata

import omicstl as otl

BLOOD = {
    name: [name] for name in ("Neutrophil", "B cell", "T cell", "NK cell", "Monocyte", "Plasma cell")
}  # bundled sets carry the cell's name
MULTIPLIER = {
    "Neutrophil": ["IRIS_Neutrophil-Resting", "SVM Neutrophils", "DMAP_GRAN3"],
    "B cell": [
        "IRIS_Bcell-naive",
        "IRIS_Bcell-Memory_IgG_IgA",
        "IRIS_Bcell-Memory_IgM",
        "SVM B cells naive",
        "SVM B cells memory",
    ],
    "T cell": [
        "IRIS_CD4Tcell-N0",
        "IRIS_CD8Tcell-N0",
        "IRIS_MemoryTcell-RO-unactivated",
        "SVM T cells CD8",
        "SVM T cells CD4 naive",
    ]
    + ["SVM T cells CD4 memory resting", "DMAP_TCELLA1", "DMAP_TCELLA2", "DMAP_TCELLA3", "DMAP_TCELLA4"],
    "NK cell": ["IRIS_NKcell-control", "SVM NK cells resting", "DMAP_NKA1", "DMAP_NKA2", "DMAP_NKA3", "DMAP_NKA4"],
    "Monocyte": ["IRIS_Monocyte-Day0", "IRIS_Monocyte-Day1", "SVM Monocytes", "DMAP_MONO1", "DMAP_MONO2"],
    "Plasma cell": ["SVM Plasma cells", "IRIS_PlasmaCell-FromPBMC", "IRIS_PlasmaCell-FromBoneMarrow"],
}
BARS = {
    "whole blood": {"Neutrophil": 0.50, "B cell": 0.75, "Plasma cell": 0.75, "Monocyte": 0.65, "NK cell": 0.50},
    "adult lupus": {"Neutrophil": 0.65, "B cell": 0.85, "T cell": 0.65, "NK cell": 0.55},
}


def adult() -> ad.AnnData:
    """The adult cohort; cells as shares of leukocytes, as expression is of RNA, and as counts beside them."""
    cohort = otl.datasets.sle_adult()
    obs = cohort.obs
    counts = {"B cell": obs["b_cells"], "T cell": obs["cd4_t_cells"] + obs["cd8_t_cells"], "NK cell": obs["nk_cells"]}
    cohort.obsm["measured"] = pd.DataFrame(
        {"Neutrophil": obs["neutrophil_percent"], **{cell: n / obs["wbc"] for cell, n in counts.items()}}
    )
    cohort.obsm["counted"] = pd.DataFrame({"Neutrophil": obs["neutrophil_count"], **counts})
    return cohort


def whole_blood(folder: Path) -> ad.AnnData:
    cohort = ad.read_h5ad(folder / "wholeblood.h5ad")
    cohort.obs["subject"] = cohort.obs_names.astype(str)
    cohort.obsm["measured"] = pd.DataFrame(
        {
            "Neutrophil": cohort.obs["prop_Neutrophil"],
            "B cell": cohort.obs["prop_B_cell"],
            "T cell": cohort.obs["prop_CD4_Tcell"] + cohort.obs["prop_CD8_Tcell"],
            "NK cell": cohort.obs["prop_NK_cell"],
            "Monocyte": cohort.obs["prop_Monocyte"],
            "Plasma cell": cohort.obs["prop_Plasma_cell"],
        }
    )
    return cohort


def stands_for(summary: pd.DataFrame, sets: list[str]) -> str | None:
    """The factor named after one of the sets, with the largest weight on one; None if there is none."""
    named = summary[summary["set"].isin(sets) & (summary["factor"].str.partition(" ")[2] == summary["set"])]
    return None if named.empty else str(named.loc[named["coefficient"].idxmax(), "factor"])


def z_scores(cohort: ad.AnnData) -> pd.DataFrame:
    x = pd.DataFrame(np.asarray(cohort.X, dtype=np.float64), index=cohort.obs_names, columns=cohort.var_names)
    return ((x - x.mean()) / x.std()).dropna(axis=1)


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(rankdata(a), rankdata(b))[0, 1])


def boot(values: dict[str, np.ndarray], measured: np.ndarray, subject: np.ndarray, n_boot: int, statistic) -> dict:
    """The statistic of each predictor with the measurement, and its interval when patients are drawn again."""
    keep = np.isfinite(measured)
    codes = pd.factorize(subject[keep])[0]
    members = [np.flatnonzero(codes == i) for i in range(codes.max() + 1)]
    draws = np.random.default_rng(0).integers(len(members), size=(n_boot, len(members)))
    rows = [np.concatenate([members[i] for i in draw]) for draw in draws]
    y = measured[keep]
    out: dict = {"n_samples": int(keep.sum()), "n_patients": len(members)}
    for name, x in values.items():
        x = x[keep]
        low, high = np.quantile([statistic(x[row], y[row]) for row in rows], [0.025, 0.975])
        out[name] = [round(float(v), 3) for v in (statistic(x, y), low, high)]
    return out


def external(name: str, cohort: ad.AnnData, compendium: ad.AnnData, cells: dict, n_boot: int) -> list[dict]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", otl.TransferWarning)  # another platform: that is the question
        otl.tl.project(cohort, compendium)
    scores = otl.get.factors(cohort).to_df()
    summary, z = otl.get.summary(cohort), z_scores(cohort)
    markers = otl.datasets.gene_sets("blood")
    first = np.linalg.svd(z - z.mean(), full_matrices=False)[0][:, 0]
    rows = []
    for slot in ("measured", "counted"):
        for cell in cohort.obsm.get(slot, ()):
            y = cohort.obsm[slot][cell].to_numpy(dtype=np.float64)
            factor = stands_for(summary, cells[cell])
            values = {"marker mean": z[z.columns.intersection(markers[cell])].mean(axis=1).to_numpy()}
            values["first component"] = first * np.sign(spearman(first[np.isfinite(y)], y[np.isfinite(y)]))
            if factor is not None:
                values["factor"] = scores[factor].to_numpy()
            found = boot(values, y, cohort.obs["subject"].astype(str).to_numpy(), n_boot, spearman)
            bar = BARS[name].get(cell) if slot == "measured" else None
            met = bar is None or (factor is not None and found["factor"][0] >= bar)
            unit = "share of leukocytes" if slot == "measured" else "cells per microlitre"
            rows.append({"cohort": name, "cell": cell, "unit": unit, "named": factor, **found, "bar": bar, "met": met})
            print(
                f"  {name:12} {cell:12} {unit:20} {factor or '(none is named)':36} "
                + "  ".join(f"{k} {found[k][0]:.2f} [{found[k][1]:.2f}, {found[k][2]:.2f}]" for k in values)
                + ("" if bar is None else f"  bar {bar:.2f} {'met' if met else 'NOT MET'}"),
                flush=True,
            )
    return rows


def published(compendium: ad.AnnData, cells: dict, n_boot: int) -> dict:
    """Our neutrophil factor beside LV603 of the recount2 model, sample by sample."""
    scores = otl.get.factors(compendium).to_df()
    table = otl.datasets.multiplier_scores()["LV603"].dropna()
    cohort = compendium[table.index]
    factor = stands_for(otl.get.summary(compendium), cells["Neutrophil"])
    agreement = scores.loc[table.index].corrwith(table).abs()
    z = z_scores(compendium)
    first = pd.Series(np.linalg.svd(z, full_matrices=False)[0][:, 0], index=z.index)
    marker = z[z.columns.intersection(otl.datasets.gene_sets("blood")["Neutrophil"])].mean(axis=1)
    values = {
        "factor": scores[factor],
        "LV603": table,
        "first component": first,
        "marker mean": marker,
    }
    subject = cohort.obs["subject"].astype(str).to_numpy()
    r2 = boot(
        {name: v.loc[table.index].to_numpy() for name, v in values.items()},
        cohort.obs["neutrophil_percent"].to_numpy(dtype=np.float64),
        subject,
        n_boot,
        lambda a, b: float(np.corrcoef(a, b)[0, 1] ** 2),
    )
    same = boot(
        {"factor": scores.loc[table.index, factor].to_numpy()},
        table.to_numpy(),
        subject,
        n_boot,
        lambda a, b: abs(float(np.corrcoef(a, b)[0, 1])),
    )
    out = {
        "factor": factor,
        "r_with_LV603": same["factor"],
        "best_factor": str(agreement.idxmax()),
        "best_r_with_LV603": round(float(agreement.max()), 3),
        "r2_with_neutrophil_percent": r2,
        "bars": {"r": 0.90, "r2": 0.55},
        "met": bool(agreement.max() >= 0.90 and r2["factor"][0] >= 0.55),
    }
    print(
        f"  published    |r| with LV603: {factor} {same['factor']}, best {out['best_factor'][:30]} {out['best_r_with_LV603']}\n"
        f"               R² with neutrophil %: {r2}",
        flush=True,
    )
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--boot", type=int, default=2000)
    arguments = parser.parse_args()
    collections = {
        "blood, reactome": (otl.datasets.gene_sets("blood", "reactome"), BLOOD),
        "blood, reactome, pid": (otl.datasets.gene_sets("blood", "reactome", "pid"), BLOOD),
    }
    if arguments.data is not None:
        sets: dict[str, list[str]] = {}
        for name in ("bloodCellMarkersIRISDMAP", "svmMarkers", "canonicalPathways"):
            sets |= otl.io.read_gmt(arguments.data / "genesets" / f"{name}.gmt.gz")
        collections = {"MultiPLIER's": (sets, MULTIPLIER), **collections}
    results = {}
    for title, (sets, cells) in collections.items():
        compendium = otl.datasets.sle_pediatric()
        otl.tl.plier(compendium, sets, progress=False)
        names = compendium.uns["plier"]["names"]
        print(f"{title}: {len(names)} factors, {sum(' ' in n for n in names)} named", flush=True)
        rows = external("adult lupus", adult(), compendium, cells, arguments.boot)
        if arguments.data is not None:
            rows += external("whole blood", whole_blood(arguments.data), compendium, cells, arguments.boot)
        results[title] = {
            "n_factors": len(names),
            "external": rows,
            "published": published(compendium, cells, arguments.boot),
        }
    path = Path(__file__).parent / "results" / "fidelity_multiplier.json"
    path.write_text(json.dumps({"machine": machine(), "n_boot": arguments.boot, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
