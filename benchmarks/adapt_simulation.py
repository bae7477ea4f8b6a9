"""Networks, closed forms and logistic regression on simulated screens whose cells' response is known.

    python benchmarks/adapt_simulation.py [--draws 10] [--cases easy hard flip] [--first 0]

Screens of `otl.datasets.simulate_drug_response`: 800 lines, 1,000 cells, 2,000 genes, drawn afresh for each draw. "easy" are its
defaults; "hard": states 1.2 apart, platform shift 1.5, 1,500 counts; "flip": hard, with 80 % of the cells sensitive against 25 %
of the lines. AUROC of the cells' true state, for

- logistic: L2 logistic regression on genes z-scored in each domain, balanced classes, its penalty by lineages left out;
- linear: `ResponseRidge()` with everything chosen without labels of the cells;
- network: `ResponseNetwork()`, likewise: the weight of the alignment is chosen on pseudo-cells of lines that were left out;
- oracle: the cells' programmes along the true response.

No label of a cell is read before the scores are there, and every draw counts. Means with t intervals, and paired differences
from logistic regression. Results go to `benchmarks/results/adapt_simulation.json`.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
from bench_plier import machine
from scipy.stats import rankdata, t as student
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

import omicstl as otl
from omicstl._core.options.response import ResponseRidge
from omicstl._core.random import streams
from omicstl.models.response import cells as response_cells, fit, network as response_network, space
from omicstl.models.response.network_options import ResponseNetwork
from omicstl.models.selection.pseudo_cells import Table
from omicstl.models.transfer.screen import Cells, Lines

HARD = {"state_separation": 1.2, "shift": 1.5, "depth": 1500.0}
CASES: dict[str, dict] = {"easy": {}, "hard": HARD, "flip": HARD | {"target_sensitive": 0.8}}
PENALTIES = 10.0 ** np.arange(-5.0, 0.5)
FIRST_SEED = 20_000


def auroc(score: np.ndarray, positive: np.ndarray) -> float:
    n = int(positive.sum())
    return float((rankdata(score)[positive].sum() - n * (n + 1) / 2) / (n * (positive.size - n)))


def draw(case: str, seed: int) -> tuple[Lines, Cells, np.ndarray, np.ndarray]:
    cells, lines, truth = otl.datasets.simulate_drug_response(**CASES[case], rng=seed)
    counts = cells.X.toarray()
    totals = counts.sum(axis=1)
    source = Lines(
        x=np.asarray(lines.X, np.float32),
        y=(lines.obs["response"] == "sensitive").to_numpy(float)[:, None],
        drugs=np.array(["drug"], dtype=object),
        binary=np.array([True]),
        names=lines.obs_names.to_numpy(),
        lineage=lines.obs["tissue"].astype(str).to_numpy(),
        study=lines.obs["laboratory"].astype(str).to_numpy(),
    )
    rows = Table(np.log1p(counts / totals[:, None] * 1e4).astype(np.float32))
    return source, Cells(rows, totals=totals), cells.obs["sensitive"].to_numpy(bool), truth.cell_score[:, 0]


def logistic(lines: Lines, cells: Cells) -> np.ndarray:
    z = space.standardised_lines(lines.x, lines.study)[0]
    found = response_cells.moments(cells.rows)
    target = response_cells.standardised(cells.rows.take(np.arange(cells.rows.n_rows)), found.mean, found.scale)
    basis = np.linalg.svd(z, full_matrices=False)[
        2
    ].T  # a rotation of the lines' span, which an L2 penalty does not see
    x, y = z @ basis, lines.y[:, 0]
    model = lambda c: LogisticRegression(C=c, class_weight="balanced", max_iter=500)
    risk = np.zeros(PENALTIES.size)
    for train, held in GroupKFold(5).split(x, y, lines.lineage):
        for i, c in enumerate(PENALTIES):
            risk[i] += held.size * auroc(model(c).fit(x[train], y[train]).decision_function(x[held]), y[held] > 0.5)
    return model(PENALTIES[int(risk.argmax())]).fit(x, y).decision_function(target @ basis)


def one(case: str, seed: int) -> dict:
    lines, cells, truth, oracle = draw(case, seed)
    scores, seconds = {"oracle": oracle}, {}
    begin = time.process_time()
    scores["logistic"] = logistic(lines, cells)
    seconds["logistic"] = time.process_time() - begin
    begin = time.process_time()
    linear = fit.fit(lines, cells, ResponseRidge(), streams(seed), safeguard=True)
    scores["linear"], seconds["linear"] = linear.score[:, 0], time.process_time() - begin
    begin = time.process_time()
    network = response_network.fit(lines, cells, ResponseNetwork(), streams(seed))
    scores["network"], seconds["network"] = network.score[:, 0], time.process_time() - begin
    members = [auroc(member[:, 0], truth) for member in network.model.members(network.latent_cells)]
    found = {name: auroc(score, truth) for name, score in scores.items()}
    return found | {
        "case": case,
        "seed": seed,
        "members": members,
        "weight": network.chosen["weight"],
        "linear_align": linear.chosen["align"],
        "cpu_s": seconds,
    }


def interval(values: list[float]) -> list[float]:
    x = np.asarray(values)
    half = student.ppf(0.975, x.size - 1) * x.std(ddof=1) / np.sqrt(x.size) if x.size > 1 else float("nan")
    return [round(float(v), 4) for v in (x.mean(), x.mean() - half, x.mean() + half)]


def summary(draws: list[dict]) -> dict:
    out = {}
    for case in CASES:
        some = [d for d in draws if d["case"] == case]
        if not some:
            continue
        names = ("logistic", "linear", "network", "oracle")
        out[case] = {"draws": len(some)} | {name: interval([d[name] for d in some]) for name in names}
        for name in ("linear", "network"):
            out[case][f"{name} less logistic"] = interval([d[name] - d["logistic"] for d in some])
        out[case]["member"] = interval([float(np.mean(d["members"])) for d in some])
        out[case]["weights"] = [d["weight"] for d in some]
        out[case]["median cpu_s"] = {
            n: round(float(np.median([d["cpu_s"][n] for d in some])), 1) for n in some[0]["cpu_s"]
        }
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    arguments = parser.parse_args()
    path = Path(__file__).parent / "results" / "adapt_simulation.json"
    draws: list[dict] = []
    for i in range(arguments.first, arguments.first + arguments.draws):
        for j, case in enumerate(arguments.cases):
            draws.append(one(case, FIRST_SEED + 100 * j + i))
            print(json.dumps({k: round(v, 4) if isinstance(v, float) else v for k, v in draws[-1].items()}), flush=True)
        path.write_text(json.dumps({"machine": machine(), "summary": summary(draws), "draws": draws}, indent=1) + "\n")
    print(json.dumps(summary(draws), indent=1))


if __name__ == "__main__":
    main()
