"""How exact is the proxy A-distance of `metrics.domain_distance`? Beside it the one of five folds.

    python benchmarks/proxy_a.py [--draws 300]

Two samples of standard normal values, drawn afresh each time; the second one is moved in some cases. "five folds": scikit-learn's
`RidgeClassifier` with the same penalty in stratified folds, its calls pooled. Given are the mean and spread over draws, the share of draws within
0.2 of zero, and for a third of the draws the share whose permutation test (99 permutations) has p of at most .05.
Results go to `benchmarks/results/proxy_a.json`. About 3 CPU minutes.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

N_PERMUTATIONS = 99
Pair = tuple[np.ndarray, np.ndarray]


def normal(n: int, d: int, moved: float = 0.0, columns: int | None = None) -> Callable[[np.random.Generator], Pair]:
    """Two samples of n rows and d columns; the first `columns` of the second one are moved."""

    def draw(random: np.random.Generator) -> Pair:
        a, b = random.normal(size=(n, d)), random.normal(size=(n, d))
        b[:, :columns] += moved
        return a, b

    return draw


def twice(random: np.random.Generator) -> Pair:
    a = random.normal(size=(100, 1000))
    return a, a.copy()


CASES = {
    "one distribution, 1,000 columns": normal(100, 1000),
    "one distribution, 20 columns": normal(100, 20),
    "the very same rows, 1,000 columns": twice,
    "20 columns, each .1 SD apart": normal(100, 20, 0.1),
    "20 columns, centres .5 SD apart": normal(100, 20, 0.5, 1),
    "20 columns, each .5 SD apart": normal(100, 20, 0.5),
    "one distribution, 50 observations each, 1,000 columns": normal(50, 1000),
}


def five_folds(a: np.ndarray, b: np.ndarray) -> float:
    from sklearn.linear_model import RidgeClassifier
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    x, y = np.vstack([a, b]), np.repeat([0, 1], [len(a), len(b)])
    x = (x - x.mean(0)) / x.std(0)
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    said = cross_val_predict(RidgeClassifier(alpha=0.8 * len(x)), x, y, cv=folds)
    return 2 * (1 - 2 * float(np.mean(said != y)))


def measure(draw: Callable[[np.random.Generator], Pair], draws: int) -> dict:
    from omicstl.kernels.domain_distance import tell_apart

    ours, peer, small = [], [], []
    for seed in range(draws):
        random = np.random.default_rng([seed, 31])
        a, b = draw(random)
        tested = seed < draws // 3
        found = tell_apart(a, b, generator=random, n_permutations=N_PERMUTATIONS if tested else 0)
        ours.append(2 * (1 - 2 * found.error))
        peer.append(five_folds(a, b))
        if tested:
            small.append((1 + np.sum(found.null_error <= found.error + 1e-12)) / (1 + N_PERMUTATIONS) <= 0.05)
    out = {"draws": draws, "rejected": round(float(np.mean(small)), 3)}
    for name, values in (("ours", np.array(ours)), ("five folds", np.array(peer))):
        within = float(np.mean(np.abs(values) <= 0.2))
        out[name] = {
            k: round(float(v), 3) for k, v in (("mean", values.mean()), ("sd", values.std()), ("within", within))
        }
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=300)
    arguments = parser.parse_args()
    from bench_plier import machine

    results = {}
    for name, draw in CASES.items():
        results[name] = measure(draw, arguments.draws)
        print(name, json.dumps(results[name]), flush=True)
    path = Path(__file__).parent / "results" / "proxy_a.json"
    path.write_text(json.dumps({"machine": machine(), "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
