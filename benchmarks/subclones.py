"""Does smoothing over neighbouring cells erase differences between sub-clones? Cells whose response is known, drawn afresh.

    python benchmarks/subclones.py [--draws 10]

`datasets.simulate_drug_response` with 400 lines, 1,500 genes and 1,000 cells, seeds from 100 (none was used in development): cells that are
sensitive each by itself ("state"), and clones of a sensitive and a resistant part ("subclone"), at depths of 1,500 and 4,000 counts.
AUROC within clones (mean over clones) and over all cells, of scores without smoothing, with the strength that `tl.scdeal` chooses
without labels, and with a strength of 4 whatever the cells say. Means over draws; paired differences with 95 % t intervals.
Results go to `benchmarks/results/subclones.json`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from anndata import AnnData
from bench_plier import machine
from scipy.stats import t as student

import omicstl as otl
from omicstl._core.random import Streams
from omicstl.models.response import fit as response_fit, smoothing
from omicstl.models.response.cells import standardised
from omicstl.models.transfer.scores import rank_skill
from omicstl.tl._shared import screen as screens

FIRST_SEED = 100
ALWAYS = 4.0
WAYS = ("none", "chosen", "always 4")


def simulated(kind: str, depth: float, seed: int) -> tuple[AnnData, screens.Read]:
    """Cells whose response is known, and what `tl.scdeal` reads of them and of the lines."""
    cells, lines, _ = otl.datasets.simulate_drug_response(
        400, 1000, 1500, state_separation=1.5, shift=1.0, depth=depth, response_by=kind, rng=seed
    )
    asked = screens.Asked(drugs=["ln_ic50"], sensitive="low", lineage_key="tissue", study_key="laboratory")
    return cells, screens.read(cells, lines, asked)


def areas(score: np.ndarray, cells: AnnData) -> tuple[float, float]:
    """AUROC of the state within clones (mean over clones), and over all cells."""
    truth, clone = cells.obs["sensitive"].to_numpy(), cells.obs["clone"].to_numpy()
    inside = [auroc(score[clone == c], truth[clone == c]) for c in np.unique(clone)]
    return float(np.nanmean(inside)), auroc(score, truth)


def auroc(score: np.ndarray, truth: np.ndarray) -> float:
    return (1 + rank_skill(score, truth).value) / 2


def draw(kind: str, depth: float, seed: int) -> dict[str, float]:
    cells, read = simulated(kind, depth, seed)
    target = read.target.cells
    fit = response_fit.fit(read.lines, target, otl.tl.ResponseRidge(n_members=0), Streams(0), safeguard=True)
    model = fit.model
    plain = model.predict(fit.latent_cells)
    z = standardised(target.rows.take(np.arange(cells.n_obs)), model.mean_cells, model.scale_cells)
    edges = smoothing.graph(z @ model.cell_axes)
    scores = (plain[:, 0], fit.score[:, 0], smoothing.smoothed(edges, plain, np.array([ALWAYS]))[:, 0])
    row = {"strength": float(model.strength[0])}
    for name, score in zip(WAYS, scores, strict=True):
        row[f"within, {name}"], row[f"all, {name}"] = areas(score, cells)
    return row


def interval(values: np.ndarray) -> dict[str, float]:
    half = float(student.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    return {"mean": float(values.mean()), "low": float(values.mean() - half), "high": float(values.mean() + half)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=10)
    draws = parser.parse_args().draws
    results = {}
    for kind in ("state", "subclone"):
        for depth in (1500.0, 4000.0):
            rows = [draw(kind, depth, FIRST_SEED + i) for i in range(draws)]
            columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
            found = {name: interval(values) for name, values in columns.items()}
            for place in ("within", "all"):
                for name in WAYS[1:]:
                    found[f"{place}, {name} less none"] = interval(
                        columns[f"{place}, {name}"] - columns[f"{place}, none"]
                    )
            results[f"{kind}, {depth:.0f} counts"] = found
            print(f"\n{kind}, {depth:.0f} counts; strengths {sorted(columns['strength'].tolist())}")
            for name, row in found.items():
                print(f"  {name:28s} {row['mean']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]", flush=True)
    path = Path(__file__).parent / "results" / "subclones.json"
    path.write_text(json.dumps({"machine": machine(), "draws": draws, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
