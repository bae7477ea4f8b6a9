"""Files in the layouts of ARCHS4."""

from __future__ import annotations

import h5py
import numpy as np

N_GENES, N_SAMPLES = 40, 30


def expected_counts(n_samples=N_SAMPLES, n_genes=N_GENES, seed=0):
    return np.random.default_rng(seed).negative_binomial(2, 0.02, (n_samples, n_genes)).astype(np.uint32)


def write(path, counts=None, *, version="2.6", chunks=(16, 7), drop=(), genes=None, **fields):
    """A file in the layout of a version: samples × genes `counts` are stored as that version does."""
    counts = expected_counts() if counts is None else counts
    n_samples, n_genes = counts.shape
    symbols = [f"GENE{i}" for i in range(n_genes)] if genes is None else list(genes)
    parts = {
        "geo_accession": [f"GSM{i + 1}" for i in range(n_samples)],
        "series_id": [f"GSE{i // 10 + 1}" for i in range(n_samples)],
        "title": [f"whole blood, donor {i}" if i % 2 else f"liver {i}" for i in range(n_samples)],
        "source_name_ch1": ["PBMC" if i % 10 == 0 else "tissue" for i in range(n_samples)],
        "characteristics_ch1": ["disease: SLE,age: 30" for _ in range(n_samples)],
        "singlecellprobability": np.where(np.arange(n_samples) % 5 == 4, 0.9, 0.01),
        "alignedreads": np.arange(n_samples) * 1e5,
        "contact_name": ["somebody" for _ in range(n_samples)],
    } | fields
    with h5py.File(path, "w") as file:
        if version == "1.0":  # samples × genes, flat names, no prediction of single cells
            file.create_dataset(
                "data/expression", data=counts.astype(np.int32), chunks=chunks[::-1], compression="gzip"
            )
            file["meta/genes"] = np.array(symbols, dtype="S")
            for name in ("geo_accession", "series_id", "title", "source_name_ch1", "characteristics_ch1"):
                file[f"meta/Sample_{name}"] = np.array(parts[name], dtype="S")
            return path
        data = {"chunks": chunks, "compression": "gzip"} if chunks else {}
        file.create_dataset("data/expression", data=counts.T, **data)
        ids = [f"ENSG{i:011d}" for i in range(n_genes)]
        names = {
            "1.8": {"genes": symbols},
            "2.1": {"gene_symbol": symbols},
            "2.2": {"symbol": symbols, "ensembl_gene_id": ids, "biotype": ["protein_coding"] * n_genes},
            "2.6": {"symbol": symbols, "ensembl_gene": ids, "biotype": ["protein_coding"] * n_genes},
        }[version]
        if version < "2.2":
            parts["singlecellprobability"] = [str(value) for value in parts["singlecellprobability"]]
            del parts["alignedreads"]
        if version == "2.2":
            parts["readsaligned"] = parts.pop("alignedreads").astype(np.uint32)
        for name, values in names.items():
            file[f"meta/genes/{name}"] = values
        for name, values in parts.items():
            file[f"meta/samples/{name}"] = values
        file["meta/info/version"] = version
        for name in drop:
            del file[name]
    return path
