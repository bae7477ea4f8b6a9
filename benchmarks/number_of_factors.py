"""Which rule for the number of factors is steady, and which multiple of it predicts best? On the bundled cohorts, no labels.

    python benchmarks/number_of_factors.py

`steadiness`: counts of every rule on all samples, on 80 % of the genes, on few samples, and from a decomposition that was cut.
`prediction`: half of the genes of a quarter of the samples, predicted through factors of the rest (bi-cross-validation), for
multiples of the Marchenko-Pastur count; squared error over variance, of a plain cut and of scores shrunk as PLIER shrinks them.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from bench_plier import machine

import omicstl as otl
from omicstl.kernels import rank

MULTIPLES = (0.5, 1, 1.5, 2, 3, 4, 6, 8)


def z_scores(x: np.ndarray) -> np.ndarray:
    x = x - x.mean(1, keepdims=True)
    spread = x.std(1, ddof=1)
    return x[spread > 0] / spread[spread > 0, None]


def singular_values(y: np.ndarray) -> np.ndarray:
    gram = y.T @ y if y.shape[0] >= y.shape[1] else y @ y.T
    return np.sqrt(np.maximum(np.linalg.eigvalsh(gram)[::-1], 0))


def counts(y: np.ndarray, *, permutation: bool) -> dict[str, int]:
    p, n = y.shape
    d = singular_values(y)
    found = {
        "elbow": rank.elbow(d),
        "gavish_donoho": rank.gavish_donoho(d, p, n),
        "marchenko_pastur": rank.marchenko_pastur(d**2, p, n),
    }
    if n > 200:
        found |= {f"elbow_of_first_{m}": rank.elbow(d[:m]) for m in (200, 100)}
        found["marchenko_pastur_of_first_100"] = rank.marchenko_pastur(d[:100] ** 2, p, n)
    if permutation:
        found["permutation"] = rank.permutation(y, np.random.default_rng(0))
    return found


def steadiness(x: np.ndarray) -> dict[str, list[dict[str, int]]]:
    p, n = x.shape
    draws = np.random.default_rng
    out = {"all": [counts(z_scores(x), permutation=True)]}
    part = [x[draws(s).permutation(p)[: int(0.8 * p)]] for s in range(4)]
    out["80 % of the genes"] = [counts(z_scores(part_x), permutation=False) for part_x in part]
    for m in (82, 20, 12, 8):
        few = [x[:, draws(s).permutation(n)[:m]] for s in range(3)]
        out[f"{m} samples"] = [counts(z_scores(few_x), permutation=True) for few_x in few]
    return out


def prediction(x: np.ndarray) -> dict[str, dict[str, float]]:
    y = z_scores(x)
    p, n = y.shape
    found = rank.marchenko_pastur(singular_values(y) ** 2, p, n)
    generator = np.random.default_rng(0)
    genes, samples = generator.permutation(p) % 2, generator.permutation(n) % 4
    cut, shrunk, total = np.zeros(len(MULTIPLES)), np.zeros(len(MULTIPLES)), 0.0
    for g in range(2):
        for s in range(4):
            a, b = y[genes == g][:, samples == s], y[genes == g][:, samples != s]
            c, d = y[genes != g][:, samples == s], y[genes != g][:, samples != s]
            left, values, right = np.linalg.svd(d, full_matrices=False)
            loading, score = b @ right.T, left.T @ c
            total += np.sum(a**2)
            for i, multiple in enumerate(MULTIPLES):
                k = min(max(1, int(multiple * found)), len(values) - 1)
                weight = values[:k] / (values[:k] + values[k - 1])
                cut[i] += np.sum((a - (loading[:, :k] / values[:k]) @ score[:k]) ** 2)
                shrunk[i] += np.sum((a - (loading[:, :k] * (weight / values[:k])) @ score[:k]) ** 2)
    names = [str(m) for m in MULTIPLES]
    return {
        "marchenko_pastur": found,
        "cut": dict(zip(names, (cut / total).round(4).tolist(), strict=True)),
        "shrunk": dict(zip(names, (shrunk / total).round(4).tolist(), strict=True)),
    }


def main() -> None:
    result: dict = {"machine": machine()}
    for name in ("sle_pediatric", "sle_adult"):
        x = np.asarray(getattr(otl.datasets, name)().X, dtype=np.float64).T
        few = x[:, np.random.default_rng(0).permutation(x.shape[1])[:82]]
        result[name] = {
            "steadiness": steadiness(x),
            "prediction": prediction(x),
            "prediction_82_samples": prediction(few),
        }
    text = json.dumps(result, indent=1)
    print(text)
    (Path(__file__).parent / "results" / "number_of_factors.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
