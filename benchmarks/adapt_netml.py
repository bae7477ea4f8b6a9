"""Transfer that hurts: does the safeguard of `tl.adapt` keep what the target's own labels give, and do harmful sources lose their weight?

    python benchmarks/adapt_netml.py --data FOLDER [--repeats 4] [--draws 10]

FOLDER holds `netml_three_cancers.h5ad` (100 patients each of BRCA, OV and PRAD, 500 genes, a two-class outcome) and
`tl4hdr_pangyn_sim_noshift.h5ad` (simulated counts, two groups).

`netml`: each cancer in turn is the target, the others are sources; five folds of the target's labels, repeated. Measured on held-out patients:
the target's labels alone, all pooled, the target with one source, and `tl.adapt` with every default. A source is harmful if it lowers the
AUROC when its rows join the target's. `simulation`: labels from a linear predictor of the counts, whose coefficients have the other sign for a
share of the genes in the target (none: the transfer helps; 15 %: it helps a little; 50 %: it hurts); 218 source rows, 43 of the
target, three folds. Baselines are scikit-learn's logistic regression with its penalty by five folds.
`--draws 0` or `--repeats 0` leaves that half as it was. Intervals: bootstrap of patients (netml), of draws (simulation). Results go to `benchmarks/results/adapt_netml.json`.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path

import anndata as ad
import numpy as np
from bench_plier import machine
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import StratifiedKFold

import omicstl as otl
from omicstl.kernels.paired_bootstrap import paired_gap


def logistic(parts: list[tuple[np.ndarray, np.ndarray]], held: np.ndarray) -> np.ndarray:
    """Predictor of held-out rows; each domain was z-scored already, and is turned into the space of the rows, which changes nothing."""
    x, y = np.vstack([p[0] for p in parts]), np.concatenate([p[1] for p in parts])
    u, d, v = np.linalg.svd(x, full_matrices=False)
    x, held = u * d, held @ v.T
    grid = np.geomspace(1e-5, 1, 6)
    loss = np.zeros(grid.size)
    for train, out in StratifiedKFold(5, shuffle=True, random_state=0).split(x, y):
        for i, c in enumerate(grid):
            model = LogisticRegression(C=c, solver="newton-cholesky").fit(x[train], y[train])
            loss[i] += log_loss(y[out], model.predict_proba(x[out]), labels=[0, 1]) * len(out)
    return LogisticRegression(C=grid[loss.argmin()], solver="newton-cholesky").fit(x, y).decision_function(held)


def zscore(x: np.ndarray) -> np.ndarray:
    sd = x.std(axis=0)
    return (x - x.mean(axis=0)) / np.where(sd > 0, sd, 1)


def adapted(x: dict[str, np.ndarray], y: dict[str, np.ndarray], target: str, held: np.ndarray, rng: int) -> tuple:
    """`tl.adapt` with the labels of these rows hidden: their predictor, and what was written."""
    names = list(x)
    labels = {name: y[name].astype(float).copy() for name in names}
    labels[target][held] = np.nan
    adata = ad.AnnData(np.vstack([x[name] for name in names]).astype(np.float32))
    adata.obs_names = [f"r{i}" for i in range(adata.n_obs)]
    adata.obs["domain"] = np.repeat(names, [len(x[name]) for name in names])
    adata.obs["outcome"] = np.concatenate([labels[name] for name in names])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", otl.TransferWarning)
        otl.tl.adapt(adata, domain_key="domain", label_key="outcome", target=target, rng=rng)
    rows = np.flatnonzero(adata.obs["domain"] == target)[held]
    p = np.clip(adata.obsm["adapt_probability"][rows, 1].astype(float), 1e-7, 1 - 1e-7)
    return np.log(p / (1 - p)), adata.uns["adapt"]


def one_target(x: dict, y: dict, target: str, repeats: int) -> dict:
    sources = [name for name in x if name != target]
    z = {name: zscore(values) for name, values in x.items()}
    ways = ["target only", "pooled", *(f"target and {s}" for s in sources), "adapt"]
    found = {way: np.zeros((repeats, len(y[target]))) for way in ways}
    area = {way: [] for way in ways}
    weights, fell, chosen = {s: [] for s in sources}, [], []
    for repeat in range(repeats):
        folds = StratifiedKFold(5, shuffle=True, random_state=repeat).split(x[target], y[target])
        for train, held in folds:
            own, rows = (z[target][train], y[target][train]), z[target][held]
            parts = {"target only": [own], "pooled": [(z[s], y[s]) for s in sources] + [own]}
            parts |= {f"target and {s}": [(z[s], y[s]), own] for s in sources}
            for way, part in parts.items():
                found[way][repeat, held] = logistic(part, rows)
            found["adapt"][repeat, held], entry = adapted(x, y, target, held, repeat)
            for way in ways:
                area[way].append(roc_auc_score(y[target][held], found[way][repeat, held]))
            for s, w in zip(entry["sources"]["source"], entry["sources"]["weight"], strict=True):
                weights[s].append(float(w))
            fell.append(bool(entry["safeguard"]["fell_back"]))
            chosen.append(entry["method"])
    report = {"auroc": {way: float(np.mean(values)) for way, values in area.items()}}
    generator = np.random.default_rng(0)
    for way in ways[1:]:
        gap = paired_gap(
            found[way].mean(axis=0),
            found["target only"].mean(axis=0),
            y[target],
            "auroc",
            n_resamples=2000,
            rng=generator,
        )
        mean = float(np.mean(np.subtract(area[way], area["target only"])))
        report[f"{way} - target only"] = {"folds": mean, "patients": gap.mean, "low": gap.low, "high": gap.high}
    report["weights"] = {
        s: {"mean": np.mean(w), "largest": np.max(w), "below_0.1": np.mean(np.array(w) < 0.1)}
        for s, w in weights.items()
    }
    report["harmful"] = [s for s in sources if report[f"target and {s} - target only"]["folds"] < 0]
    report["fell_back"] = float(np.mean(fell))
    report["chosen"] = {name: chosen.count(name) for name in sorted(set(chosen))}
    return report


def draw(counts: np.ndarray, group: np.ndarray, share: float, rng: np.random.Generator) -> tuple[dict, dict]:
    """Rows and labels of both groups; the sign of a share of the coefficients differs between them."""
    z = zscore(np.log1p(counts))
    z = z[:, z.std(axis=0) > 0]
    beta = rng.normal(size=z.shape[1])
    other = beta * np.where(rng.permutation(z.shape[1]) < share * z.shape[1], -1, 1)
    x, y = {}, {}
    for name, n, b in (("source", 218, beta), ("target", 43, other)):
        rows = rng.choice(np.flatnonzero(group == name), n, replace=False)
        eta = z[rows] @ b
        x[name] = z[rows]
        y[name] = (rng.random(n) < 1 / (1 + np.exp(-4 * (eta - np.median(eta)) / eta.std()))).astype(int)
    return x, y


def simulated(counts: np.ndarray, group: np.ndarray, share: float, draws: int) -> dict:
    ways = ("source only", "target only", "pooled", "adapt")
    area, weights, fell = {way: [] for way in ways}, [], []
    for number in range(draws):
        x, y = draw(counts, group, share, np.random.default_rng(number))
        z = {name: zscore(values) for name, values in x.items()}
        score = {way: np.zeros(43) for way in ways}
        folds = StratifiedKFold(3, shuffle=True, random_state=number).split(x["target"], y["target"])
        here = {way: [] for way in ways}
        for train, held in folds:
            own, rows = (z["target"][train], y["target"][train]), z["target"][held]
            source = (z["source"], y["source"])
            for way, part in {"source only": [source], "target only": [own], "pooled": [source, own]}.items():
                score[way][held] = logistic(part, rows)
            score["adapt"][held], entry = adapted(x, y, "target", held, number)
            weights.append(float(entry["sources"]["weight"].iloc[0]))
            fell.append(bool(entry["safeguard"]["fell_back"]))
            for way in ways:
                here[way].append(roc_auc_score(y["target"][held], score[way][held]))
        for way in ways:
            area[way].append(float(np.mean(here[way])))
    gap = np.subtract(area["adapt"], area["target only"])
    again = np.random.default_rng(0).choice(gap, (4000, draws)).mean(axis=1)
    return {
        "auroc": {way: float(np.mean(values)) for way, values in area.items()},
        "adapt - target only": {
            "mean": gap.mean(),
            "low": np.quantile(again, 0.025),
            "high": np.quantile(again, 0.975),
        },
        "weight": {"mean": float(np.mean(weights)), "zero": float(np.mean(np.array(weights) == 0))},
        "fell_back": float(np.mean(fell)),
    }


def rounded(value: object) -> object:
    if isinstance(value, dict):
        return {name: rounded(part) for name, part in value.items()}
    return round(float(value), 4) if isinstance(value, (float, np.floating)) else value


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=4)
    parser.add_argument("--draws", type=int, default=10)
    arguments = parser.parse_args()
    begin = time.process_time()
    warnings.filterwarnings("ignore", module="sklearn")
    place = Path(__file__).parent / "results" / "adapt_netml.json"
    result = {"netml": {}, "simulation": {}}
    cells = ad.read_h5ad(arguments.data / "tl4hdr_pangyn_sim_noshift.h5ad")
    group = cells.obs["group"].astype(str).str.partition("(")[0].to_numpy()
    for name, share in {"same": 0.0, "15 % flipped": 0.15, "50 % flipped": 0.5}.items():
        if arguments.draws:
            found = simulated(cells.X.toarray(), group, share, arguments.draws)
            result["simulation"][name] = {"draws": arguments.draws} | rounded(found)
            print(name, json.dumps(result["simulation"][name]), flush=True)
    adata = ad.read_h5ad(arguments.data / "netml_three_cancers.h5ad")
    cancer = adata.obs["cancer"].astype(str).to_numpy()
    x = {name: np.asarray(adata.X[cancer == name], float) for name in ("BRCA", "OV", "PRAD")}
    y = {name: (adata.obs["label"].to_numpy(float)[cancer == name] > 0).astype(int) for name in x}
    for name in x:
        if arguments.repeats:
            result["netml"][name] = {"repeats": arguments.repeats} | rounded(one_target(x, y, name, arguments.repeats))
            print(name, json.dumps(result["netml"][name]), flush=True)
    place.parent.mkdir(exist_ok=True)
    old = json.loads(place.read_text()) if place.exists() else {}
    result = {half: result[half] or old.get(half, {}) for half in result}
    seconds = round(time.process_time() - begin)
    place.write_text(json.dumps({"machine": machine(), "cpu_seconds": seconds} | result, indent=1) + "\n")


if __name__ == "__main__":
    main()
