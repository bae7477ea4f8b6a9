"""What each verb needs of memory beyond its data, and what happens below: limits of address space, a process for each.

    OPENBLAS_NUM_THREADS=1 python benchmarks/bench_memory.py [VERB ...]

Data are 800 observations × 3,000 variables unless a row says otherwise. "Needs": the most resident memory beyond what the process has with
libraries loaded and data made, the compiler's included. "Answer from": the lowest of `LIMITS` beyond that at which the verb ends. Below it every limit is tried: an
error of memory that `omicstl._core.memory` knows counts as refused, every other end as raw. Results go to
`benchmarks/results/memory.json`.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import subprocess
import sys
import warnings
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd

import omicstl as otl
from omicstl._core.memory import MemoryLimitError

OUT = Path(__file__).parent / "results" / "memory.json"
LIMITS = (1000, 400, 300, 200, 150, 100, 70, 50, 5)  # MiB of address space
SHORT = otl.tl.Training(epochs=2)


def made(n: int = 800, p: int = 3000, seed: int = 0) -> ad.AnnData:
    random = np.random.default_rng(seed)
    factors = random.normal(size=(n, 8))
    x = 6 + 0.5 * (factors @ random.normal(size=(8, p)) + random.normal(size=(n, p)))
    first = np.arange(n) < n // 2
    obs = pd.DataFrame(
        {"d": np.where(first, "s", "t"), "y": np.where(first, factors[:, 0], np.nan), "g": ["a", "b"] * (n // 2)},
        index=[f"s{i}" for i in range(n)],
    )
    return ad.AnnData(
        x.clip(0).astype(np.float32),
        obs=obs.assign(z=factors[:, 0]),
        var=pd.DataFrame(index=[f"g{i}" for i in range(p)]),
    )


def sets(p: int) -> dict[str, list[str]]:
    random = np.random.default_rng(1)
    return {f"S{i}": [f"g{j}" for j in random.choice(p, 40, replace=False)] for i in range(60)}


def fitted(p: int = 500) -> ad.AnnData:
    adata = made(200, p)
    otl.tl.plier(adata, sets(p), n_factors=6, max_iter=40, tol=1e-2)
    return adata


def network(adata: ad.AnnData) -> ad.AnnData:
    otl.tl.deepprofile(adata, latent_sizes=(5,), n_members=2, n_clusters=4, training=SHORT)
    return adata


def screen() -> tuple[ad.AnnData, ad.AnnData]:
    return otl.datasets.simulate_drug_response(300, 100, 1000, rng=1)[:2]


CASES = {
    "tl.plier": (lambda: [made()], lambda a: otl.tl.plier(a, sets(3000), n_factors=20, max_iter=40)),
    "tl.plier, 2,400 × 2,000": (lambda: [made(2400, 2000)], lambda a: otl.tl.plier(a, sets(2000), n_factors=20, max_iter=40)),
    "tl.stability, 200 × 500": (lambda: [fitted()], lambda a: otl.tl.stability(a, n_refits=2)),
    "tl.project, 20,000 × 500": (lambda: [made(20_000, 500, 1), fitted()], otl.tl.project),
    "tl.rank_factors_groups, 200 × 500": (lambda: [fitted()], lambda a: otl.tl.rank_factors_groups(a, "g", factors="all")),
    "tl.enrich, 200 × 500": (lambda: [fitted()], lambda a: otl.tl.enrich(a, sets(500), min_genes=1, fdr=1)),
    "tl.deepprofile": (lambda: [made()], network),
    "tl.vae": (lambda: [made()], lambda a: otl.tl.vae(a, n_factors=5, training=SHORT)),
    "tl.attributions, 200 × 500": (lambda: [network(made(200, 500))], otl.tl.attributions),
    "tl.adapt": (lambda: [made()], lambda a: otl.tl.adapt(a, domain_key="d", label_key="y", method="coral")),
    "tl.scdeal, 300 cells, 100 lines × 1,000": (
        lambda: [*screen()],
        lambda a, b: otl.tl.scdeal(a, b, drugs=["response"], sensitive="sensitive", lineage_key="tissue"),
    ),
    "pp.gene_modules": (lambda: [made()], lambda a: otl.pp.gene_modules(a, n_modules=30, n_top_genes=2000)),
    "pp.match_distribution, 4,000 × 3,000": (lambda: [made(4000, 3000, 1), fitted(3000)], otl.pp.match_distribution),
    "pp.align_features, 4,000 × 3,000": (lambda: [made(4000, 3000, 1), fitted()], otl.pp.align_features),
    "metrics.domain_distance": (lambda: [made()], lambda a: otl.metrics.domain_distance(a, domain_key="d")),
    "metrics.transferability": (lambda: [made()], lambda a: otl.metrics.transferability(a, label_key="z")),
    "get.factors, 200 × 500": (lambda: [fitted()], otl.get.factors),
    "pl.factors_heatmap, 200 × 500": (
        lambda: [fitted()],
        lambda a: otl.pl.factors_heatmap(a, rows=a.uns["plier"]["names"][:3].tolist(), groupby="g"),
    ),
}  # fmt: skip


def pages(field: str) -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024


def one(name: str, limit: int) -> None:
    """Run a case below a limit and print how it ended, and what it took at most."""
    warnings.simplefilter("ignore")
    otl.settings.verbosity = 0
    make, call = CASES[name]
    given = make()
    import jax

    jax.numpy.zeros(3).block_until_ready()
    Path("/proc/self/clear_refs").write_text("5")  # the peak of resident memory starts anew
    before, free = pages("VmRSS"), resource.RLIM_INFINITY
    resource.setrlimit(resource.RLIMIT_AS, (pages("VmSize") + limit * 2**20, free))
    ended = "answer"
    try:
        call(*given)
    except Exception as error:  # noqa: BLE001
        ended = "refused" if isinstance(error, MemoryLimitError) or "limit of the process" in str(error) else "raw"
    resource.setrlimit(resource.RLIMIT_AS, (free, free))
    print(json.dumps({"ended": ended, "needs": (pages("VmHWM") - before) / 2**20}))


def run(name: str, limit: int) -> dict:
    done = subprocess.run(
        [sys.executable, __file__, "--one", name, str(limit)], capture_output=True, text=True, check=False
    )
    return json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else {"ended": "aborted", "needs": 0}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("verbs", nargs="*")
    parser.add_argument("--one", nargs=2)
    asked = parser.parse_args()
    if asked.one:
        one(asked.one[0], int(asked.one[1]))
        return
    rows = []
    for name in (name for name in CASES if not asked.verbs or name.split(",")[0] in asked.verbs):
        runs = {limit: run(name, limit) for limit in LIMITS}
        ends = {limit: found["ended"] for limit, found in runs.items()}
        least = min((limit for limit in LIMITS if ends[limit] == "answer"), default=None)
        below = sorted({end for limit, end in ends.items() if end != "answer"})
        rows.append(
            {
                "verb": name,
                "needs_mib": round(runs[LIMITS[0]]["needs"]),
                "answer_from_mib": least,
                "below": below,
                "ends": ends,
            }
        )
        print(
            f"| `{name.split(',')[0]}`{name[len(name.split(',')[0]) :]} | {rows[-1]['needs_mib']} | {least} | {', '.join(below)} |",
            flush=True,
        )
    OUT.write_text(json.dumps({"python": platform.python_version(), "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
