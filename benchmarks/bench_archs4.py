"""Reading of a file in the layout of ARCHS4: seconds, memory, and what chunks of the file cost.

    python benchmarks/bench_archs4.py                          # 3,000 samples x 20,000 genes, a few minutes
    python benchmarks/bench_archs4.py --samples 500 --genes 2000

The file is synthetic (overdispersed counts, gzip) and is written into a temporary folder. Each case runs in
a process of its own; what it reads was written a moment before and lies in the page cache, so times are those of
decompression and arithmetic, not of the disk. Results go to `benchmarks/results/archs4.json` with machine and versions.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from bench_plier import HERE, Clock, forget_peak, machine, now_gb, peak_gb

CHUNKS = ((2000, 100), (500, 1000))
"""Genes x samples of a chunk of the file: narrower, and wider than a block of 128 MiB."""
SET_GENES = 6000
"""Genes of the Gram matrix, as many as a collection of gene sets has."""


def write(path: Path, n_samples: int, n_genes: int, chunks: tuple[int, int]) -> None:
    import h5py
    import numpy as np

    rng = np.random.default_rng(0)
    mean = rng.gamma(0.25, 400.0, n_genes)
    with h5py.File(path, "w") as file:
        size = (min(chunks[0], n_genes), min(chunks[1], n_samples))
        data = file.create_dataset("data/expression", (n_genes, n_samples), "u4", chunks=size, compression="gzip")
        for start in range(0, n_samples, size[1]):
            stop = min(start + size[1], n_samples)
            depth = rng.gamma(4.0, 0.25, stop - start)
            data[:, start:stop] = rng.poisson(mean[:, None] * depth * rng.gamma(0.8, 1.25, (n_genes, stop - start)))
        file["meta/genes/ensembl_gene"] = [f"ENSG{i:011d}" for i in range(n_genes)]
        file["meta/genes/symbol"] = [f"GENE{i}" for i in range(n_genes)]
        file["meta/samples/geo_accession"] = [f"GSM{i}" for i in range(n_samples)]
        file["meta/samples/series_id"] = [f"GSE{i // 40}" for i in range(n_samples)]
        file["meta/samples/title"] = [f"whole blood of donor {i}" for i in range(n_samples)]
        file["meta/samples/singlecellprobability"] = rng.random(n_samples) * 0.5
        file["meta/samples/alignedreads"] = np.full(n_samples, 2e7)


def case(path: str, name: str) -> dict:
    import numpy as np
    import scanpy as sc

    import omicstl as otl
    from omicstl._data.adata import read, summarise

    forget_peak()
    before = now_gb()
    with Clock() as opening:
        options = {"max_per_series": 4} if name == "a tenth of the samples" else {}
        adata = otl.io.read_archs4(path, pattern="blood", **options)
    with Clock() as using:
        if name == "counts alone":
            assert int(adata.X.sum().compute()) > 0
        else:
            sc.pp.normalize_total(adata, target_sum=1e6)
            sc.pp.log1p(adata)
            genes = np.arange(0, adata.n_vars, max(1, adata.n_vars // SET_GENES))[:SET_GENES]
            summary = summarise(read(adata).select(genes), gram=True)
            assert summary.n == adata.n_obs
    return {
        "n_obs": adata.n_obs,
        "blocks": len(adata.X.chunks[0]),
        "open_wall": opening.wall,
        "wall": using.wall,
        "cpu": using.cpu,
        "gb_before": before,
        "gb_beyond": peak_gb() - before,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=3000)
    parser.add_argument("--genes", type=int, default=20_000)
    parser.add_argument("--one", nargs=2, metavar=("FILE", "CASE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(case(*options.one)))
        return
    about = machine()
    about["versions"] |= {name: version(name) for name in ("dask", "h5py")}
    result = {"machine": about, "n_samples": options.samples, "n_genes": options.genes, "set_genes": SET_GENES}
    result["dense_gb"] = options.samples * options.genes * 4 / 2**30
    for chunks in CHUNKS:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "human_gene_v2.6.h5"
            write(path, options.samples, options.genes, chunks)
            cases = {}
            for name in ("counts alone", "log CPM and Gram matrix", "a tenth of the samples"):
                command = [sys.executable, __file__, "--one", str(path), name]
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                if done.returncode:
                    sys.exit(done.stderr)
                cases[name] = json.loads(done.stdout.splitlines()[-1])
            result[f"chunks of {chunks[0]} genes x {chunks[1]} samples"] = {
                "file_gb": path.stat().st_size / 2**30,
                **cases,
            }
    text = json.dumps(result, indent=1)
    print(text)
    if (options.samples, options.genes) == (3000, 20_000):
        (HERE / "results" / "archs4.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
