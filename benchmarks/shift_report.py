"""Does the shift report name the shift? Sixty cases drawn afresh, twenty of each kind, and twenty without any.

    python benchmarks/shift_report.py                     # classes; about two minutes of one core
    python benchmarks/shift_report.py --numeric           # numeric labels
    python benchmarks/shift_report.py --seed 1 --cases 50

Each case draws its sizes (300-1,000 rows a domain, 200 genes, 100-200 labels in the target), factors, noise and shift. Covariate shift moves
and stretches the factors; label shift draws other shares of labels; concept shift turns the direction that decides the label by 60-180
degrees, in half of the cases together with a covariate shift. The thresholds were set on the streams of `--seed 9`, which nothing here reports.
Printed are the table of what was named, with the interval of Wilson for the share that is right, and the same without any label in the
target. There concept shift cannot be seen, and each name says so; of covariate and label shift it is counted how often the name is the
closest one (`told`), how often it is not the closest but allows the truth (`open`), and how often it excludes the truth (`wrong`). Results go to `benchmarks/results/shift_report.json`.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd

import omicstl as otl

KINDS = ("covariate", "label", "concept", "none")
BLIND = {"covariate": "covariate or concept", "label": "label or other", "none": "none or concept"}
HERE = Path(__file__).parent


def draw(kind: str, rng: np.random.Generator, *, numeric: bool) -> ad.AnnData:
    """One case: expression of two domains, labels of the source and of some rows of the target."""
    k, genes = int(rng.integers(4, 9)), 200
    n_source, n_target = (int(n) for n in rng.integers(300, 1001, size=2))
    n_labels = int(rng.integers(100, 201))
    loadings = rng.normal(size=(k, genes)) * rng.gamma(2, 0.5, size=(k, 1))
    noise = rng.uniform(0.5, 1.5)
    slope = rng.normal(size=k)
    slope *= rng.uniform(1.5, 3) / np.linalg.norm(slope)

    def sample(n, centre, spread, slope, prior):
        z = centre + spread * rng.normal(size=(12 * n, k))
        score = z @ slope
        if numeric:
            y = score + rng.normal(size=len(z))
            odds = np.ones(len(z)) if prior is None else np.exp(prior * y / np.linalg.norm(slope))
            rows = rng.choice(len(z), n, replace=False, p=odds / odds.sum())
        else:
            y = (rng.uniform(size=len(z)) < 1 / (1 + np.exp(-score))).astype(float)
            rows = np.arange(n)
            if prior is not None:
                n_one = rng.binomial(n, prior)
                rows = rng.permutation(
                    np.concatenate([np.flatnonzero(y == 1)[:n_one], np.flatnonzero(y == 0)[: n - n_one]])
                )
        return z[rows] @ loadings + noise * rng.normal(size=(n, genes)), y[rows]

    source = sample(n_source, np.zeros(k), np.ones(k), slope, None)
    centre, spread, prior = np.zeros(k), np.ones(k), None
    if kind == "covariate" or (kind == "concept" and rng.uniform() < 0.5):
        centre = rng.normal(size=k)
        centre *= rng.uniform(0.4, 1.2) / np.linalg.norm(centre)
        spread = rng.uniform(0.8, 1.25, size=k)
    if kind == "label":
        prior = (
            rng.choice([-1, 1]) * rng.uniform(0.4, 1)
            if numeric
            else rng.choice([rng.uniform(0.1, 0.3), rng.uniform(0.7, 0.9)])
        )
    if kind == "concept":
        angle, other = np.deg2rad(rng.uniform(60, 180)), rng.normal(size=k)
        other -= other @ slope * slope / (slope @ slope)
        slope = np.cos(angle) * slope + np.sin(angle) * other * np.linalg.norm(slope) / np.linalg.norm(other)
    target = sample(n_target, centre, spread, slope, prior)
    label = np.concatenate([source[1], np.where(np.arange(n_target) < n_labels, target[1], np.nan)])
    obs = pd.DataFrame({"domain": np.repeat(["source", "target"], [n_source, n_target]), "label": label})
    obs.index = obs.index.astype(str)
    return ad.AnnData(np.concatenate([source[0], target[0]]).astype(np.float32), obs=obs)


def wilson(right: int, n: int) -> tuple[float, float]:
    z = 1.96
    middle = (right + z**2 / 2) / (n + z**2)
    half = z / (n + z**2) * np.sqrt(right * (n - right) / n + z**2 / 4)
    return float(middle - half), float(middle + half)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cases", type=int, default=20, help="of each kind")
    parser.add_argument("--numeric", action="store_true")
    options = parser.parse_args()
    rows, start = [], time.process_time()
    for number, kind in enumerate(KINDS):
        for case in range(options.cases):
            adata = draw(
                kind, np.random.default_rng([options.seed, number, case, options.numeric]), numeric=options.numeric
            )
            blind = adata.copy()
            blind.obs.loc[blind.obs["domain"] == "target", "label"] = np.nan
            found = [otl.metrics.shift_report(a, domain_key="domain", label_key="label").kind for a in (adata, blind)]
            rows.append((kind, *found))
    table = pd.DataFrame(rows, columns=["truth", "named", "without labels"])
    result = {
        "labels": "numbers" if options.numeric else "classes",
        "seed": options.seed,
        "cases_per_kind": options.cases,
    }
    for column, names in (("named", list(KINDS)), ("without labels", list(BLIND.values()))):
        counts = pd.crosstab(table["truth"], table[column]).reindex(index=list(KINDS), columns=names, fill_value=0)
        result[column] = {"table": counts.to_dict("index")}
        if column == "named":
            three = table[table["truth"] != "none"]
            right = int((three["truth"] == three[column]).sum())
            result[column] |= {"right": right, "of": len(three), "interval": wilson(right, len(three))}
        else:
            two = table[table["truth"].isin(["covariate", "label"])]
            told = two[column] == two["truth"].map(BLIND)
            allowed = [
                truth in name or name == BLIND["label"] for truth, name in zip(two["truth"], two[column], strict=True)
            ]
            wrong = int(len(two) - sum(allowed))
            result[column] |= {
                "told": int(told.sum()),
                "open": int(len(two) - told.sum() - wrong),
                "wrong": wrong,
                "of": len(two),
            }
        print(
            f"\n{column}: rows are the truth\n{counts}\n{ {k: v for k, v in result[column].items() if k != 'table'} }"
        )
    result["cpu_seconds"] = time.process_time() - start
    path = HERE / "results" / "shift_report.json"
    stored = json.loads(path.read_text()) if path.exists() else {}
    if options.seed != 9:
        stored[f"{result['labels']}, seed {options.seed}"] = result
        path.write_text(json.dumps(stored, indent=1) + "\n")


if __name__ == "__main__":
    main()
