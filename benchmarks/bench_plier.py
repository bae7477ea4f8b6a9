"""Speed and memory of `tl.plier` and `tl.project`, beside the CPU seconds of the original program.

    python benchmarks/bench_plier.py small --data FOLDER     # whole blood (golden_wholeblood.npz, wholeblood.h5ad) and synthetic
    python benchmarks/bench_plier.py growth                  # 4,000 to 64,000 observations
    python benchmarks/bench_plier.py recount                 # 37,032 observations x 6,750 genes, 987 factors
    python benchmarks/bench_plier.py cells                   # projection of 200,000 cells x 20,000 genes

Every case runs in a process of its own. Results go to `benchmarks/results/plier_<case>.json` with machine and versions.
The original (R 4.2.2, commit fe4e9b2, OpenBLAS, one core) cannot be run beside it; its CPU seconds are constants below.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
ORIGINAL = {"wholeblood": 88.6, "synthetic": 532.9}
"""CPU seconds of the original: its own example with every default, and 5,000 genes x 200 samples, 600 sets, k 76."""


class Clock:
    """Wall and CPU seconds of a block."""

    def __enter__(self):
        self.wall, self.cpu = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_):
        self.wall, self.cpu = time.perf_counter() - self.wall, time.process_time() - self.cpu


def peak_gb() -> float:
    """Largest resident memory since the start, or since `forget_peak`."""
    return _status("VmHWM")


def now_gb() -> float:
    return _status("VmRSS")


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def _status(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 2**20


def count_compilations() -> list[str]:
    """A list that every compilation of XLA adds to from now on."""
    import jax

    seen: list[str] = []

    def hear(event: str, _: float, **__: object) -> None:
        if event.endswith("backend_compile_duration"):
            seen.append(event)

    jax.monitoring.register_event_duration_secs_listener(hear)
    return seen


def golden_table(golden, name):
    import numpy as np
    import pandas as pd

    packed = np.unpackbits(golden[name], axis=0)[: golden["C_shape"][0]]
    return pd.DataFrame(packed, index=golden["genes"], columns=golden["pathways"])


def case_wholeblood(data: str) -> dict:
    """The original's example, from its start and hold-outs: first call with compilation, second, and a second data set."""
    with Clock() as load:
        import anndata as ad
        import numpy as np

        import omicstl as otl
    golden = dict(np.load(Path(data) / "golden_wholeblood.npz", allow_pickle=False))
    adata = ad.read_h5ad(Path(data) / "wholeblood.h5ad")[list(golden["samples"])].copy()
    prior, trained, k = golden_table(golden, "prior_packed"), golden_table(golden, "C_packed"), int(golden["k"])
    start = (golden["svd_v"][:, :k] * golden["svd_d"][:k]).T

    def fit(adata):
        with Clock() as clock:
            otl.tl.plier(adata, prior, n_factors=k, holdout_prior=trained, init_scores=start, progress=False)
        return clock

    first, second = fit(adata), fit(adata)
    compiled = count_compilations()
    other = adata[:, np.random.default_rng(0).permutation(adata.n_vars)[: adata.n_vars - 60]].copy()
    other.X = other.X + np.random.default_rng(1).normal(0, 0.05, other.shape).astype(np.float32)
    third = fit(other)
    return {
        "import_wall": load.wall,
        "import_cpu": load.cpu,
        "cold_wall": first.wall,
        "cold_cpu": first.cpu,
        "second_wall": second.wall,
        "second_cpu": second.cpu,
        "other_data_wall": third.wall,
        "other_data_compilations": len(compiled),
        "n_iter": int(adata.uns["plier"]["n_iter"]),
        "cold_ratio_cpu": ORIGINAL["wholeblood"] / first.cpu,
        "second_ratio_cpu": ORIGINAL["wholeblood"] / second.cpu,
        "peak_gb": peak_gb(),
    }


def case_wholeblood_one_core(data: str) -> dict:
    """The same on one core, as the original was measured: with two, waiting threads of BLAS and XLA count as CPU time."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    return case_wholeblood(data)


def case_peer(data: str) -> dict:
    """Sixty iterations (three searches) of the example, by a plain port and by `tl.plier`, one after the other."""
    import warnings

    import anndata as ad
    import numpy as np
    from plain_plier import plain_plier

    import omicstl as otl

    warnings.simplefilter("ignore")
    golden = dict(np.load(Path(data) / "golden_wholeblood.npz", allow_pickle=False))
    adata = ad.read_h5ad(Path(data) / "wholeblood.h5ad")[list(golden["samples"]), list(golden["genes"])].copy()
    prior, trained, k = golden_table(golden, "prior_packed"), golden_table(golden, "C_packed"), int(golden["k"])
    start = (golden["svd_v"][:, :k] * golden["svd_d"][:k]).T
    clocks = []
    for _call in range(2):
        with Clock() as ours:
            otl.tl.plier(
                adata, prior, n_factors=k, holdout_prior=trained, init_scores=start, max_iter=60, progress=False
            )
        clocks.append(ours)
    y = adata.X.T.astype(float)
    y = (y - y.mean(1, keepdims=True)) / y.std(1, ddof=1, keepdims=True)
    with Clock() as peer:
        u = plain_plier(y, trained.to_numpy(float), start, float(golden["L1"]), float(golden["L2"]), 60)
    found = otl.get.model(adata)
    rows = trained.columns.get_indexer(found.sets)
    return {
        "peer_wall": peer.wall,
        "peer_cpu": peer.cpu,
        "cold_wall": clocks[0].wall,
        "cold_cpu": clocks[0].cpu,
        "second_wall": clocks[1].wall,
        "second_cpu": clocks[1].cpu,
        "ratio_wall": peer.wall / clocks[1].wall,
        "ratio_cpu": peer.cpu / clocks[1].cpu,
        "weights_relative_difference": float(np.linalg.norm(found.weights - u[rows]) / np.linalg.norm(u)),
    }


def case_synthetic(_: str) -> dict:
    """5,000 genes x 200 samples, 600 sets of which 30 drive factors, k 76."""
    import numpy as np

    import omicstl as otl

    adata, truth = otl.datasets.simulate_pathways(200, 5000, n_sets=600, n_factors=30, rng=0)
    clocks = []
    for _call in range(2):
        with Clock() as clock:
            otl.tl.plier(adata, truth.gene_sets, n_factors=76, progress=False)
        clocks.append(clock)
    entry = adata.uns["plier"]
    r = np.abs(np.corrcoef(adata.obsm["plier"].T, truth.scores.T)[:76, 76:]).max(0)
    return {
        "cold_wall": clocks[0].wall,
        "cold_cpu": clocks[0].cpu,
        "second_wall": clocks[1].wall,
        "second_cpu": clocks[1].cpu,
        "second_ratio_cpu": ORIGINAL["synthetic"] / clocks[1].cpu,
        "n_iter": int(entry["n_iter"]),
        "tested_pairs": len(entry["summary"]),
        "median_r_truth": float(np.median(r)),
        "peak_gb": peak_gb(),
    }


def write_compendium(path: Path, n_obs: int, n_vars: int, n_sets: int, rank: int) -> dict[str, list[str]]:
    """Write log-like expression of `rank` pathway factors and noise as an h5ad, block by block; return the sets."""
    import h5py
    import numpy as np
    import pandas as pd
    from anndata.io import write_elem

    rng = np.random.default_rng(0)
    genes = np.array([f"g{i}" for i in range(n_vars)], dtype=object)
    members = [
        rng.choice(n_vars, size=int(np.clip(rng.lognormal(4, 0.8), 12, 400)), replace=False) for _ in range(n_sets)
    ]
    loadings = np.zeros((n_vars, rank), np.float32)
    for i in range(rank):
        chosen = members[i % n_sets]
        loadings[chosen, i] = rng.gamma(2.0, 0.5, chosen.size)
    loadings += rng.gamma(0.3, 0.1, loadings.shape).astype(np.float32) * (rng.random(loadings.shape) < 0.05)
    strength = np.exp(-np.arange(rank) / (rank / 3)).astype(np.float32) * 2 + 0.3
    with h5py.File(path, "w") as file:
        file.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        write_elem(file, "obs", pd.DataFrame(index=pd.Index([f"s{i}" for i in range(n_obs)], dtype=object)))
        write_elem(file, "var", pd.DataFrame(index=pd.Index(genes, dtype=object)))
        for name in ("layers", "obsm", "varm", "obsp", "varp", "uns"):
            write_elem(file, name, {})
        x = file.create_dataset("X", shape=(n_obs, n_vars), dtype=np.float32, chunks=(min(1000, n_obs), n_vars))
        x.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
        for low in range(0, n_obs, 1000):
            scores = rng.standard_normal((min(1000, n_obs - low), rank)).astype(np.float32) * strength
            block = scores @ loadings.T
            x[low : low + len(block)] = 7 + block + rng.standard_normal(block.shape, dtype=np.float32)
    return {f"set{i}": list(genes[m]) for i, m in enumerate(members)}


def big(n_obs: int, n_vars: int, n_factors: int, max_iter: int) -> dict:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "compendium.h5ad"
        sets = write_compendium(path, n_obs, n_vars, 628, min(n_factors, 400))
        import anndata as ad

        import omicstl as otl
        from omicstl.models.factors.plier import fit as plier_fit

        adata = ad.read_h5ad(path, backed="r")
        inner = {}
        original = plier_fit.iterate

        def timed(*args, **kwargs):
            with Clock() as clock:
                out = original(*args, **kwargs)
            inner.update(loop_wall=clock.wall, loop_cpu=clock.cpu)
            return out

        plier_fit.iterate = timed
        forget_peak()
        base = now_gb()
        with Clock() as clock:
            otl.tl.plier(
                adata,
                sets,
                n_factors=n_factors,
                max_iter=max_iter,
                progress=False,
                model_path=Path(folder) / "model.npz",
            )
        entry = adata.uns["plier"]
        return {
            "n_obs": n_obs,
            "n_vars": n_vars,
            "n_factors": n_factors,
            "wall": clock.wall,
            "cpu": clock.cpu,
            **inner,
            "n_iter": int(entry["n_iter"]),
            "stopped": entry["stopped"],
            "tested_pairs": len(entry["summary"]),
            "wall_per_iter": inner["loop_wall"] / int(entry["n_iter"]),
            "peak_gb": peak_gb(),
            "gb_before": base,
        }


def case_growth(size: str) -> dict:
    return big(int(size), 4000, 100, 60)


def case_recount(_: str) -> dict:
    return big(37_032, 6750, 987, 350)


def cells():
    """200,000 log-normalised cells x 20,000 genes, CSR with 5 % stored, and a model of 5,000 genes and 100 factors."""
    import anndata as ad
    import numpy as np
    import pandas as pd
    import scipy.sparse as sp

    import omicstl as otl

    rng = np.random.default_rng(0)
    n, p = 200_000, 20_000
    per_row = p // 20
    indices = np.empty(n * per_row, np.int32)
    for low in range(0, n, 5000):  # sorted distinct columns a row, drawn as a jittered comb
        comb = np.arange(per_row) * 20 + rng.integers(0, 20, size=(5000, per_row))
        indices[low * per_row : (low + 5000) * per_row] = comb.ravel()
    data = rng.gamma(2.0, 0.5, size=indices.size).astype(np.float32)
    x = sp.csr_array((data, indices, np.arange(n + 1, dtype=np.int64) * per_row), shape=(n, p))
    adata = ad.AnnData(x, var=pd.DataFrame(index=[f"g{i}" for i in range(p)]))
    loadings = pd.DataFrame(rng.gamma(0.3, 1.0, (5000, 100)), index=[f"g{i}" for i in range(0, p, 4)])
    return adata, otl.io.factor_table(loadings, penalty=50.0)


def project_cells(adata, model) -> dict:
    import warnings

    import omicstl as otl

    warnings.simplefilter("ignore")
    forget_peak()
    before = now_gb()
    with Clock() as clock:
        otl.tl.project(adata, model)
    return {"wall": clock.wall, "cpu": clock.cpu, "gb_before": before, "gb_beyond": peak_gb() - before}


def case_cells(_: str) -> dict:
    """Projection of cells that are in memory."""
    return project_cells(*cells())


def case_cells_backed(_: str) -> dict:
    """Projection of the same cells from an h5ad file that is not loaded."""
    import anndata as ad

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cells.h5ad"
        adata, model = cells()
        adata.write_h5ad(path)
        del adata
        return project_cells(ad.read_h5ad(path, backed="r"), model)


def machine() -> dict:
    from importlib.metadata import version

    cpu = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        "?",
    )
    packages = ("omicstl", "jax", "numpy", "scipy", "anndata", "scanpy")
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "python": sys.version.split()[0],
        "versions": {p: version(p) for p in packages},
    }


def repeat(case: str, argument: str, runs: int) -> dict:
    results = []
    for _ in range(runs):
        done = subprocess.run(
            [sys.executable, __file__, "--one", case, argument], capture_output=True, text=True, check=False
        )
        if done.returncode:
            sys.exit(done.stderr)
        results.append(json.loads(done.stdout.splitlines()[-1]))
    out = {}
    for key in results[0]:
        values = [r[key] for r in results]
        out[key] = statistics.median(values) if isinstance(values[0], int | float) else values[0]
    return out | {"runs": runs}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", choices=["small", "growth", "recount", "cells"], nargs="?")
    parser.add_argument("--data", default="", help="folder with wholeblood.h5ad and golden_wholeblood.npz")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--one", nargs=2, metavar=("CASE", "ARGUMENT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(globals()[f"case_{options.one[0]}"](options.one[1])))
        return
    runs = options.runs
    if options.case == "small":
        result = {"synthetic": repeat("synthetic", "", runs)}
        if options.data:
            result["wholeblood"] = repeat("wholeblood", options.data, runs)
            result["wholeblood_one_core"] = repeat("wholeblood_one_core", options.data, runs)
            result["peer"] = repeat("peer", options.data, runs)
    elif options.case == "growth":
        result = {str(n): repeat("growth", str(n), 1) for n in (4000, 16_000, 64_000)}
    elif options.case == "cells":
        result = {case: repeat(case, "", 1) for case in ("cells", "cells_backed")}
    else:
        result = {options.case: repeat(options.case, "", 1)}
    result = {"machine": machine(), "original_cpu_seconds": ORIGINAL, **result}
    text = json.dumps(result, indent=1)
    print(text)
    (HERE / "results").mkdir(exist_ok=True)
    (HERE / "results" / f"plier_{options.case}.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
