"""
Make the data files that the package carries, from the folder of source data.

    python benchmarks/make_bundled_data.py SOURCE [--output omicstl/datasets/data]

SOURCE holds ``plier/sle_65391_setgenes.h5ad``, ``plier/sle_49454_setgenes.h5ad``,
``plier/genesets/canonicalPathways.gmt.gz``, ``geneformer/gc30M_gene_name_id.tsv.gz``, two result tables of MultiPLIER
(``plier/multiplier/07_*.tsv.gz``) and ``deepprofile/pbmc_citeseq_counts_2batch.h5ad``.
The same sources give the same bytes. ``blood.gmt`` is written by hand and not touched.
"""

from __future__ import annotations

import argparse
import gzip
import io
import shutil
import zipfile
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp

from omicstl._data.gmt import GmtSet, dump_gmt, parse_gmt

STEP = 32  # values are multiples of 1/32
COHORTS = {"sle_65391_setgenes.h5ad": "sle_pediatric.npz", "sle_49454_setgenes.h5ad": "sle_adult.npz"}


def write_npz(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write what ``np.load`` reads, with LZMA in place of deflate and without time stamps."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, array, allow_pickle=False)
            member = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            member.compress_type = zipfile.ZIP_LZMA
            archive.writestr(member, buffer.getvalue())


def pack_cohort(source: Path, target: Path) -> None:
    """
    Store a cohort gene-major: the genes' medians, and what remains as two planes of bytes.

    Almost every residual fits one byte; the second plane holds the rest and is nearly all zero.
    """
    adata = ad.read_h5ad(source)
    if "set" in adata.obs:
        adata = adata[adata.obs["set"] != "technical_replicate"].copy()
    scaled = np.round(adata.X.T.astype(np.float64) * STEP)
    if not np.array_equal(scaled / STEP, adata.X.T):
        msg = f"{source.name} holds values that are no multiples of 1/{STEP}."
        raise ValueError(msg)
    values = scaled.astype(np.int16)
    median = np.median(values, axis=1).astype(np.int16)
    residual = values - median[:, None]
    high = (residual.astype(np.int32) + 128) >> 8
    arrays = {
        "low": (residual - 256 * high).astype(np.int8),
        "high": high.astype(np.int8),
        "median": median,
        "obs_names": np.asarray(adata.obs_names, dtype=str),
        "var_names": np.asarray(adata.var_names, dtype=str),
        "columns": np.asarray(adata.obs.columns, dtype=str),
    }
    for name, column in adata.obs.items():
        if isinstance(column.dtype, pd.CategoricalDtype):
            column = column.cat.remove_unused_categories()
            arrays[f"codes_{name}"] = np.asarray(column.cat.codes)
            arrays[f"categories_{name}"] = np.asarray(column.cat.categories, dtype=str)
        else:
            arrays[f"values_{name}"] = column.to_numpy(dtype=np.float32)
    write_npz(target, arrays)


def pack_sets(source: Path, target: Path, collection: str) -> None:
    """Write the sets of one MSigDB collection."""
    note = f"MSigDB C2 CP:{collection}, CC BY 4.0"
    sets = [GmtSet(item.name, note, item.genes) for item in parse_gmt(source) if item.name.startswith(f"{collection}_")]
    dump_gmt(target, sorted(sets))


def pack_multiplier(folder: Path, target: Path) -> None:
    """Keep the published scores of the recount2 model, for the samples of the bundled cohort."""
    neutrophil = pd.read_csv(folder / "07_neutrophil_count_LV_both_models.tsv.gz", sep="\t", index_col="Sample")
    plasma = pd.read_csv(folder / "07_plasma_cell_LVs_both_models.tsv.gz", sep="\t", index_col="Sample")
    columns = [f"recount2_LV{number}" for number in (524, 603, 985)]
    table = neutrophil[columns].join(plasma[["recount2_LV951"]], how="outer").sort_index()
    table.columns = table.columns.str.removeprefix("recount2_")
    text = table.to_csv(sep="\t", float_format="%.5g", lineterminator="\n")
    target.write_bytes(gzip.compress(text.encode(), mtime=0))


MARKERS = {
    "CD3D",
    "CD3E",
    "CD4",
    "CD8A",
    "CD19",
    "MS4A1",
    "CD14",
    "FCGR3A",
    "NCAM1",
    "IL7R",
    "CCR7",
    "LYZ",
    "NKG7",
    "GNLY",
}
MARKERS |= {"PPBP", "FCER1A", "PTPRC", "IL2RA", "PDCD1", "TIGIT", "FUT4"}


def planes(name: str, values: np.ndarray) -> dict[str, np.ndarray]:
    return {f"{name}_low": (values & 255).astype(np.uint8), f"{name}_high": (values >> 8).astype(np.uint8)}


def pack_cells(source: Path, target: Path) -> None:
    """Keep the counts of the most variable genes and of markers, and of all surface proteins."""
    import scanpy as sc

    cells = ad.read_h5ad(source)
    logs = cells.copy()
    sc.pp.normalize_total(logs, target_sum=1e4)
    sc.pp.log1p(logs)
    sc.pp.highly_variable_genes(logs, n_top_genes=2000)
    kept = logs.var["highly_variable"].to_numpy() | cells.var_names.isin(MARKERS)
    x = sp.csr_matrix(cells.X[:, kept])
    x.sort_indices()
    batch = cells.obs["batch"].astype("category").cat
    write_npz(
        target,
        {
            "row_starts": x.indptr.astype(np.int32),
            **planes("columns", x.indices),
            **planes("counts", x.data.astype(np.uint16)),
            "var_names": cells.var_names[kept].to_numpy().astype(str),
            "obs_names": cells.obs_names.to_numpy().astype(str),
            "codes_batch": batch.codes.to_numpy().astype(np.int8),
            "categories_batch": batch.categories.to_numpy().astype(str),
            "total_counts": np.asarray(cells.X.sum(axis=1)).ravel().astype(np.float32),
            "proteins": np.asarray(cells.obsm["protein_expression"]).astype(np.uint16),
            "protein_names": np.array([str(name).replace("_TotalSeqB", "") for name in cells.uns["protein_names"]]),
        },
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    default = Path(__file__).resolve().parent.parent / "omicstl" / "datasets" / "data"
    parser.add_argument("--output", type=Path, default=default)
    arguments = parser.parse_args()
    source, output = arguments.source, arguments.output
    output.mkdir(parents=True, exist_ok=True)
    for name, packed in COHORTS.items():
        pack_cohort(source / "plier" / name, output / packed)
    for collection in ("REACTOME", "PID"):
        pathways = source / "plier" / "genesets" / "canonicalPathways.gmt.gz"
        pack_sets(pathways, output / f"{collection.lower()}.gmt.gz", collection)
    shutil.copyfile(source / "geneformer" / "gc30M_gene_name_id.tsv.gz", output / "gc30M_gene_name_id.tsv.gz")
    pack_multiplier(source / "plier" / "multiplier", output / "multiplier_sle.tsv.gz")
    pack_cells(source / "deepprofile" / "pbmc_citeseq_counts_2batch.h5ad", output / "pbmc_citeseq.npz")
    for path in sorted(output.iterdir()):
        print(f"{path.stat().st_size:>9,}  {path.name}")


if __name__ == "__main__":
    main()
