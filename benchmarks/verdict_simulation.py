"""Is the verdict right in simulated transfers whose truth is known? Refusals by kind of case, with intervals.

    python benchmarks/verdict_simulation.py [--n 320] [--seed 1000] [--out FILE] [--checks FILE.csv]

Cases are those of `verdict_cases.py`: ordinary ones, seven kinds that are hopeless and can be noticed without labels, and one that
cannot (the relation is the opposite in the cells alone). "Refused" is the word "do not use". The limits of the verdict were set on
seeds 1 and 77; figures are to be taken from other seeds, such as the default. The cases have 1,000 to 1,500 genes, for which the
check of shared genes says "caution": `supported_with_enough_genes` sets that one check aside.
"""

from __future__ import annotations

import argparse
import json
import time
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import norm, spearmanr
from verdict_cases import DETECTABLE, EXTRA, UNDETECTABLE, Case, cases, draw

from omicstl._core.random import streams
from omicstl.models.assess import gather
from omicstl.models.assess.decide import STANDING, decide
from omicstl.models.transfer.screen import Lines


def wilson(k: int, n: int, level: float = 0.95) -> list[float]:
    """Interval of a share."""
    if n == 0:
        return [0.0, 1.0]
    z = norm.isf((1 - level) / 2)
    middle, half = (k + z * z / 2) / (n + z * z), z * np.sqrt(k * (n - k) / n + z * z / 4) / (n + z * z)
    return [round(max(0.0, middle - half), 3), round(min(1.0, middle + half), 3)]


def judge(case: Case) -> tuple[gather.Evidence, float]:
    """Verdict on a case from what a user would have: no truth. Returns its CPU seconds too."""
    obs = case.lines.obs
    lines = Lines(
        x=np.asarray(case.lines.X, dtype=np.float32),
        y=-obs["ln_ic50"].to_numpy(dtype=float)[:, None],
        drugs=np.array(["drug"], dtype=object),
        binary=np.zeros(1, dtype=bool),
        names=np.asarray(case.lines.obs_names, dtype=object),
        lineage=obs["tissue"].astype(str).to_numpy(),
        study=obs["laboratory"].astype(str).to_numpy(),
    )
    counts = case.cells.X.toarray().astype(np.float32)
    totals = counts.sum(axis=1)
    raw = np.log1p(counts / np.maximum(totals, 1)[:, None] * 1e4)
    known = {"depth": np.log1p(totals), "genes seen": (counts > 0).sum(axis=1)}
    start = time.process_time()
    found = gather.gather(lines, raw, 0, streams(case.number), confounders=known)
    return found, time.process_time() - start


def main() -> None:
    """Judge all cases and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=320)
    parser.add_argument("--seed", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "verdict_simulation.json")
    parser.add_argument("--checks", type=Path, default=None, help="write the value of every check of every case there")
    options = parser.parse_args()
    rows, values = [], []
    extra = (draw(options.n + i, kind, seed=options.seed) for kind in EXTRA for i in range(options.n // 16))
    for case in chain(cases(options.n, seed=options.seed), extra):
        found, seconds = judge(case)
        verdict = found.verdict
        enough = decide([check for check in verdict.checks if check.name != "shared genes"]).word
        failed = [check.name for check in verdict.checks if check.status == "failed"]
        rows.append(
            {"number": case.number, "kind": case.kind, "oracle": case.oracle, "achieved": case.achieved, "score_of_case": case.score,
             "word": verdict.word, "enough": enough, "score": verdict.score, "failed": failed, "seconds": seconds, "n_lines": case.settings["n_lines"]}
        )  # fmt: skip
        values += [{"number": case.number, "kind": case.kind, **check._asdict()} for check in verdict.checks]
    table = pd.DataFrame(rows)
    if options.checks:
        joined = pd.DataFrame(values).merge(table.drop(columns=["failed", "kind"]), on="number")
        joined.drop(columns="sentence").to_csv(options.checks, index=False)
    result = report(table)
    result |= {"n_cases": len(table), "seed": options.seed, "sentence": STANDING}
    print(json.dumps(result, indent=1))
    options.out.parent.mkdir(exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n")


def report(table: pd.DataFrame) -> dict[str, object]:
    """Shares of refused and supported cases with their intervals."""

    def line(part: pd.DataFrame) -> dict[str, object]:
        refused, n = int((part["word"] == "do not use").sum()), len(part)
        supported = int((part["enough"] == "supported").sum())
        return {"n": n, "refused": refused, "share": round(refused / max(n, 1), 3), "interval": wilson(refused, n), "supported_with_enough_genes": supported}  # fmt: skip

    ordinary = table[table["kind"] == "ordinary"]
    out: dict[str, object] = {
        f"ordinary, {score}": line(ordinary[ordinary["score_of_case"] == score])
        for score in ("good", "between", "hopeless")
    }
    bad = table[table["kind"].isin(DETECTABLE)]
    out["hopeless and detectable"] = line(bad)
    out["the same, oracle up to .60"] = line(bad[bad["score_of_case"] == "hopeless"])
    for kind in (*DETECTABLE, *UNDETECTABLE, *EXTRA):
        part = table[table["kind"] == kind]
        seen = part["failed"].explode().value_counts().to_dict()
        out[kind] = {**line(part), "failed": {str(name): int(n) for name, n in seen.items()}}
    out["good cases that were refused"] = ordinary[(ordinary["score_of_case"] == "good") & (ordinary["word"] == "do not use")][
        ["number", "oracle", "n_lines", "failed"]
    ].to_dict("records")  # fmt: skip
    both = table[~table["kind"].isin((*UNDETECTABLE, *EXTRA))]
    out["rank correlation of score and AUROC"] = {
        "ordinary": round(float(spearmanr(ordinary["score"], ordinary["oracle"])[0]), 3),
        "with hopeless ones": round(float(spearmanr(both["score"], both["oracle"])[0]), 3),
    }
    out["CPU seconds"] = {
        "median": round(float(table["seconds"].median()), 2),
        "largest": round(float(table["seconds"].max()), 2),
    }
    return out


if __name__ == "__main__":
    main()
