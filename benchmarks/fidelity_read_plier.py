"""Published results of the original PLIER read as models: what is equal, how good the estimated noise is, what it costs.

    python benchmarks/fidelity_read_plier.py --data FOLDER [--share 0.25]

FOLDER holds `plier_result_wholeblood.rds`, `golden_wholeblood.npz`, `wholeblood.h5ad`, `golden_sle.npz` and `sle_49454_setgenes.h5ad`; the
first three have terms of their own and are not part of the package. `--share` is the share of recount2's 37,032 samples in the
artificial file of its size (residuals included) that time and memory are taken of; 0 leaves it out. Results go to
`benchmarks/results/fidelity_read_plier.json`.
"""

from __future__ import annotations

import argparse
import gzip
import json
import multiprocessing
import resource
import struct
import sys
import tempfile
import time
import warnings
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from bench_plier import golden_table, machine

import omicstl as otl
from omicstl.models.factors import projection
from omicstl.models.factors.plier import published

RECOUNT = (6750, 987, 628, 37_032)  # genes, factors, sets, samples


def relative(found, expected) -> float:
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


def wholeblood(folder: Path) -> dict:
    """The R list against the arrays of the run that it holds."""
    expected = dict(np.load(folder / "golden_wholeblood.npz", allow_pickle=False))
    model = otl.io.read_plier(folder / "plier_result_wholeblood.rds")
    adata = ad.read_h5ad(folder / "wholeblood.h5ad")[list(expected["samples"])].copy()
    otl.tl.project(adata, model, standardize="query", missing="mean")
    found = otl.get.summary(model)
    number = found["factor"].str.split().str[0].str[2:].astype(int)
    found = found.assign(number=number).set_index(["set", "number"]).sort_index()
    names = ("pathway", "lv", "auc", "pvalue", "fdr")
    tests = pd.DataFrame({n: expected[f"summary_{n}"] for n in names}).set_index(["pathway", "lv"]).sort_index()
    theirs = [str(name).split(",", 1)[-1].strip() for name in expected["lv_names"]]
    ours = [str(name).split(" ", 1)[1] if " " in str(name) else "" for name in model.names]
    return {
        "genes_and_order_equal": model.features.tolist() == expected["genes"].tolist(),
        "loadings_equal_float32": bool(np.array_equal(model.loadings, expected["Z"].astype(np.float32))),
        "weights_equal_float32": bool(np.array_equal(model.weights, expected["U"].astype(np.float32))),
        "held_out_members": int(model.heldout.sum()),
        "trained_members_equal": bool(np.array_equal(model.trained.toarray(), golden_table(expected, "C_packed"))),
        "projected_training_data": relative(adata.obsm["plier"].T, expected["B"]),
        "same_pairs_tested": bool(found.index.equals(tests.index)),
        "auc": float(np.abs(found["auc"] - tests["auc"]).max()),
        "p": float(np.abs(found["p_nominal"] - tests["pvalue"]).max()),
        "fdr": float(np.abs(found["fdr_nominal"] - tests["fdr"]).max()),
        "factors": len(ours),
        "named_by_our_rule": sum(map(bool, ours)),
        "named_by_the_original": sum(not name.startswith("LV ") for name in theirs),
        "of_ours_named_alike": sum(a == b for a, b in zip(ours, theirs, strict=True) if a),
    }


def noise(folder: Path, name: str, data: str) -> dict:
    """Expected agreement of projections with the estimated noise against that with the noise of the data."""
    run = dict(np.load(folder / f"golden_{name}.npz", allow_pickle=False))
    x = np.asarray(ad.read_h5ad(folder / data)[list(run["samples"]), list(run["genes"])].X, dtype=np.float64)
    y = ((x - x.mean(axis=0)) / x.std(axis=0, ddof=1)).T
    z, b, n = run["Z"], run["B"], run["B"].shape[1]
    exact = np.maximum(((y - z @ b) ** 2).sum(axis=1) / (n - 1), 1e-3)
    result = published.Published(Z=pd.DataFrame(z, list(run["genes"])), B=pd.DataFrame(b), L2=float(run["L2"]))
    parts = published.check(result)
    model = published.to_model(parts, None)
    plain = np.clip(1 - np.sum((z @ model.score_cov) * z, axis=1), 1e-3, 1)
    out = {"mean_noise": float(exact.mean())}
    rng = np.random.default_rng(0)
    for label, estimate in (("ridge identity (used)", model.noise), ("1 - diag(Z cov Z')", plain)):
        out[label] = {
            "mean": float(estimate.mean()),
            "rmse": float(np.sqrt(np.mean((estimate - exact) ** 2))),
            "r": float(np.corrcoef(estimate, exact)[0, 1]),
        }
    for share in (0.7, 0.4, 0.15):
        present = np.sort(rng.choice(len(z), int(share * len(z)), replace=False))
        truth = quality(z, run["L2"], model.score_cov, exact, present)
        for label, estimate in (("ridge identity (used)", model.noise), ("1 - diag(Z cov Z')", plain)):
            found = quality(z, run["L2"], model.score_cov, estimate, present)
            out[label][f"genes {share:.0%}"] = {
                "expected_r_largest_difference": float(np.abs(found[0] - truth[0]).max()),
                "expected_slope_largest_difference": float(np.abs(found[1] - truth[1]).max()),
                "factors_judged_otherwise": int(((found[0] < 0.8) != (truth[0] < 0.8)).sum()),
                "r2_expected": [found[2], truth[2]],
            }
    return out


def quality(z, penalty, cov, psi, present):
    table = otl.io.factor_table(pd.DataFrame(z, index=[f"g{i}" for i in range(len(z))]), penalty=float(penalty))
    model = type("Known", (), {**table.__dict__, "score_cov": cov, "noise": psi})
    part = projection.panel(model, present, "model")
    found = projection.factor_quality(model, present, part)
    return found.expected_r, found.expected_slope, projection.expected_r2(model, present, part)


def write_large(path: Path, n: int) -> int:
    """A gzipped R list of recount2's genes, factors and sets and `n` samples, column by column; its size in memory of R."""
    sys.path.append(str(Path(__file__).parents[1]))
    from tests.support.rds import NULL, integer, listing, real, serialise, strings

    p, k, m, _ = RECOUNT
    rng = np.random.default_rng(0)
    genes, sets = [f"GENE{i}" for i in range(p)], [f"SET{i}" for i in range(m)]
    parts = {
        "residual": (p, n, genes, lambda: rng.standard_normal(p)),
        "B": (k, n, None, lambda: rng.standard_normal(k)),
        "Z": (p, k, genes, lambda: np.maximum(rng.standard_normal(p), 0)),
        "U": (m, k, sets, lambda: (rng.random(m) < 0.004) * rng.random(m)),
        "C": (p, m, genes, lambda: (rng.random(p) < 0.01).astype(float)),
    }
    size = 0
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(b"X\n" + struct.pack(">iiiii", 2, 0x40202, 0x20300, 19 | 0x200, len(parts) + 2))
        for name, (rows, columns, row_names, column) in parts.items():
            file.write(struct.pack(">ii", 14 | 0x200, rows * columns))
            for _ in range(columns):
                file.write(column().astype(">f8").tobytes())
            size += 8 * rows * columns
            column_names = strings(sets) if name == "C" else NULL
            names = listing([NULL if row_names is None else strings(row_names), column_names])
            for tag, value in (("dim", integer([rows, columns])), ("dimnames", names)):
                file.write(struct.pack(">ii", 2 | 0x400, 1) + serialise(strings([tag]), {})[8:] + serialise(value, {}))
            file.write(NULL)
        for value in (20.0, 40.0):
            file.write(serialise(real([value]), {}))
        file.write(struct.pack(">ii", 2 | 0x400, 1) + serialise(strings(["names"]), {})[8:])
        file.write(serialise(strings([*parts, "L1", "L2"]), {}) + NULL * 1)
    return size


def _cost(path: Path, queue) -> None:
    import rdata  # noqa: F401 - its import is not part of the cost

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        otl.io.read_plier(path)
    queue.put((time.perf_counter() - start, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024))


def cost(share: float) -> dict:
    """Seconds and peak memory of reading, in a process of its own."""
    n = int(share * RECOUNT[3])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.rds"
        size = write_large(path, n)
        context = multiprocessing.get_context("spawn")
        queue = context.Queue()
        process = context.Process(target=_cost, args=(path, queue))
        process.start()
        seconds, megabytes = queue.get()
        process.join()
        return {
            "samples": n,
            "file_mb": path.stat().st_size / 2**20,
            "values_mb": size / 2**20,
            "seconds": seconds,
            "peak_mb": megabytes,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--share", type=float, default=0.25)
    options = parser.parse_args()
    out = {
        "machine": machine(),
        "wholeblood": wholeblood(options.data),
        "noise_wholeblood": noise(options.data, "wholeblood", "wholeblood.h5ad"),
        "noise_sle": noise(options.data, "sle", "sle_49454_setgenes.h5ad"),
    }
    if options.share:
        out["recount2_size"] = cost(options.share)
    text = json.dumps(out, indent=1)
    print(text)
    (Path(__file__).parent / "results" / "fidelity_read_plier.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
