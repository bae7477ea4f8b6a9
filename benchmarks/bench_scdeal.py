"""Cost of `tl.scdeal` and `tl.predict`: CPU seconds and memory, from the default run to 200,000 cells.

    python benchmarks/bench_scdeal.py [--runs 3] [--folder FOLDER] [--only CASE ...]

One drug with two classes, lineages known, everything else as it comes, with calls and the fast assessment; the linear level but for "default".

- "default": 1,000 lines, 3,000 cells, 5,000 genes, ``level="auto"``, which may compare networks; "linear": the same data.
- "cells": 500 lines, 200,000 cells, 6,000 genes, about a tenth of the counts above zero, in memory (CSR). "cells, backed": the same from a
  file, whose matrix is read in blocks. "predict": the fit of 3,000 of these cells, applied to all of them.
- "genes": 500 lines, 20,000 cells, 20,000 genes.

Lines and cells are simulated (`omicstl.datasets.simulate_drug_response`). The 200,000 cells are made of 10,000 of twice the depth: each is one of
these with every count kept with chance one half. Every run has a process of its own, which reads the data and then the clock; medians are
given. `memory_mb` is the largest resident memory of the whole process, `above_data_mb` what was needed beyond what was resident when the data
were there. Run it with one thread (OPENBLAS_NUM_THREADS=1). Data are kept in --folder, or made anew in a temporary one.
Results go to `benchmarks/results/scdeal.json`.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from statistics import median

import numpy as np

HERE = Path(__file__).parent
SIZES = {
    "default": (1000, 3000, 5000, 4000.0),
    "cells": (500, 200_000, 6000, 950.0),
    "genes": (500, 20_000, 20_000, 3000.0),
}
LIBRARY, KEPT, FITTED, PART = 10_000, 0.5, 3000, 10_000
CASES = {
    "default": "default",
    "linear": "default",
    "cells": "cells",
    "cells, backed": "cells",
    "predict": "cells",
    "genes": "genes",
}
OPTIONS = {"drugs": ["response"], "sensitive": "sensitive", "lineage_key": "tissue"}


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def resident() -> float:
    """MB now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


def make(folder: Path, size: str) -> None:
    """Write lines and cells of a size, and for "cells" the fit that is applied to all of them."""
    import anndata as ad
    import scipy.sparse as sp

    import omicstl as otl

    n_lines, n_cells, n_genes, depth = SIZES[size]
    many = n_cells > 10 * LIBRARY
    made = (LIBRARY, depth / KEPT) if many else (n_cells, depth)
    cells, lines, _ = otl.datasets.simulate_drug_response(n_lines, made[0], n_genes, depth=made[1])
    if many:
        rng = np.random.default_rng(0)
        parts = []
        for _ in range(0, n_cells, PART):
            x = cells.X[rng.integers(LIBRARY, size=PART)]
            x.data = rng.binomial(x.data.astype(np.int64), KEPT).astype(np.float32)
            x.eliminate_zeros()
            parts.append(x)
        cells = ad.AnnData(sp.vstack(parts, format="csr"), var=cells.var)
        cells.obs_names = [f"cell{i}" for i in range(n_cells)]
    lines.write_h5ad(folder / f"{size}_lines.h5ad")
    cells.write_h5ad(folder / f"{size}_cells.h5ad")
    if many:
        fitted = cells[:FITTED].copy()
        otl.tl.scdeal(fitted, lines, level="linear", **OPTIONS)
        otl.io.write_model(folder / "fit.npz", otl.get.model(fitted))


def measure(folder: Path, case: str) -> dict[str, float]:
    """Read the data, then run."""
    import anndata as ad

    import omicstl as otl

    size = CASES[case]
    cells = ad.read_h5ad(folder / f"{size}_cells.h5ad", backed="r" if case.endswith("backed") else None)
    lines = ad.read_h5ad(folder / f"{size}_lines.h5ad")
    before, wall, busy = resident(), time.perf_counter(), cpu()
    if case == "predict":
        otl.tl.predict(cells, folder / "fit.npz")
    else:
        otl.tl.scdeal(cells, lines, level="auto" if case == "default" else "linear", **OPTIONS)
    wall, busy = time.perf_counter() - wall, cpu() - busy
    score = cells.obs["scdeal_score"].to_numpy()
    assert np.isfinite(score).all()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "cpu_s": busy,
        "wall_s": wall,
        "memory_mb": peak,
        "data_mb": before,
        "above_data_mb": peak - before,
        "mean_score": float(score.mean()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--only", nargs="+", choices=CASES, help="measure these again, keep the others")
    parser.add_argument("--make", help=argparse.SUPPRESS)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    if options.make:
        make(options.folder, options.make)
        return
    if options.one:
        print(json.dumps(measure(options.folder, options.one)))
        return
    from bench_plier import machine

    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(exist_ok=True)

        def again(flag: str, value: str) -> str:
            command = [sys.executable, __file__, "--folder", str(folder), flag, value]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                sys.exit(done.stderr)
            return done.stdout

        for size in SIZES:
            if not (folder / f"{size}_cells.h5ad").exists():
                again("--make", size)
        path = HERE / "results" / "scdeal.json"
        results = json.loads(path.read_text())["results"] if options.only and path.exists() else {}
        for case in options.only or CASES:
            runs = [json.loads(again("--one", case).splitlines()[-1]) for _ in range(options.runs)]
            results[case] = {key: round(median(run[key] for run in runs), 4) for key in runs[0]} | {
                "runs": options.runs
            }
            print(case, json.dumps(results[case]), flush=True)
    path.write_text(json.dumps({"machine": machine(), "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
