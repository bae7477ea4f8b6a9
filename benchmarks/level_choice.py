"""Does ``tl.scdeal(level="select")`` take a network where one is better, and only there?

    python benchmarks/level_choice.py [--draws 3]

`datasets.simulate_drug_response`, 1,000 lines, 500 cells, 2,100 genes. "straight": the response of the simulation. "bent": high where either
of two programmes is far from its middle, in both directions, which no linear model can follow. For each draw the level that was taken, the table of the
comparison, and the rank correlation of the score with the true value over cells, which nothing has seen, beside that of the linear level.
Results go to `benchmarks/results/level_choice.json`. About 6 CPU minutes.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr


def problem(kind: str, seed: int) -> tuple:
    """Cells, lines with the column "asked" (0 and 1), and the true value of each cell."""
    import omicstl as otl

    cells, lines, truth = otl.datasets.simulate_drug_response(1000, 500, 2100, rng=seed)
    if kind == "straight":
        lines.obs["asked"] = (lines.obs["response"] == "sensitive").astype(float)
        return cells, lines, cells.obs["sensitive"].to_numpy(float)
    bent = [np.abs(z[:, :2]).sum(axis=1) for z in (truth.line_programmes, truth.cell_programmes)]
    noisy = bent[0] + 0.3 * np.random.default_rng(seed).normal(size=len(bent[0]))
    lines.obs["asked"] = (noisy > np.median(noisy)).astype(float)
    return cells, lines, bent[1]


def run(kind: str, seed: int) -> dict:
    import omicstl as otl

    cells, lines, value = problem(kind, seed)
    out, said = {}, {}
    for level in ("linear", "select"):
        start = time.process_time()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            otl.tl.scdeal(
                cells,
                lines,
                drugs=["asked"],
                sensitive="high",
                lineage_key="tissue",
                study_key="laboratory",
                level=level,
            )
        score = cells.obs["scdeal_score"].to_numpy()
        said[level] = (
            float(spearmanr(score, value).statistic) if np.ptp(score) > 0 else 0.0
        )  # no signal: one value for all
        out[f"{level} cpu_s"] = round(time.process_time() - start, 1)
    table = cells.uns["scdeal"]["levels"].set_index("level")
    columns = ("pseudo_cell_rho", "line_rho", "pseudo_cell_gain_low", "pseudo_cell_gain_high", "n_folds")
    compared = {level: {c: round(float(table.loc[level, c]), 3) for c in columns} for level in table.index}
    taken = str(table.index[table["taken"].astype(bool)][0])
    return out | {"taken": taken, "compared": compared, "rho over cells": {k: round(v, 3) for k, v in said.items()}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=3)
    arguments = parser.parse_args()
    from bench_plier import machine

    results: dict[str, list] = {"straight": [], "bent": []}
    for kind, found in results.items():
        for seed in range(arguments.draws):
            found.append(run(kind, 100 + seed))
            print(kind, seed, json.dumps(found[-1]), flush=True)
    path = Path(__file__).parent / "results" / "level_choice.json"
    path.write_text(json.dumps({"machine": machine(), "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
