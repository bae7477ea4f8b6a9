"""Does the term over the graph of cells help a response network, or does it erase what differs within clones?

    python benchmarks/cell_graph.py [--draws 3]

`datasets.simulate_drug_response` with 400 lines, 1,500 genes and 1,000 cells at 1,500 counts, seeds from 300 (none was used in
development): cells that are sensitive each by itself ("state"), and clones of a sensitive and a resistant part ("subclone").
`ResponseNetwork(term=None, smoothness=w)` for w of 0, 0.1 and 1, no smoothing after training. AUROC within clones (mean over
clones) and over all cells; differences from weight 0 are paired, with 95 % t intervals over draws.
Results go to `benchmarks/results/cell_graph.json`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from bench_plier import machine
from subclones import areas, interval, simulated

import omicstl as otl
from omicstl._core.random import Streams
from omicstl.models.response import network

FIRST_SEED = 300
WEIGHTS = (0.0, 0.1, 1.0)


def draw(kind: str, seed: int) -> dict[str, float]:
    cells, read = simulated(kind, 1500.0, seed)
    row = {}
    for weight in WEIGHTS:
        options = otl.tl.ResponseNetwork(term=None, smoothness=weight)
        score = network.fit(read.lines, read.target.cells, options, Streams(0)).score[:, 0]
        row[f"within, {weight:g}"], row[f"all, {weight:g}"] = areas(score, cells)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=3)
    draws = parser.parse_args().draws
    results = {}
    for kind in ("state", "subclone"):
        rows = [draw(kind, FIRST_SEED + i) for i in range(draws)]
        columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
        found = {name: interval(values) for name, values in columns.items()}
        for place in ("within", "all"):
            for weight in WEIGHTS[1:]:
                gap = columns[f"{place}, {weight:g}"] - columns[f"{place}, 0"]
                found[f"{place}, {weight:g} less 0"] = interval(gap)
        results[kind] = found
        print(f"\n{kind}")
        for name, row in found.items():
            print(f"  {name:20s} {row['mean']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]", flush=True)
    path = Path(__file__).parent / "results" / "cell_graph.json"
    path.write_text(json.dumps({"machine": machine(), "draws": draws, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
