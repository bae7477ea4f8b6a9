"""From a file of ARCHS4 to a model, as the guide says, without the whole matrix."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from archs4_files import write

import omicstl as otl

pytest.importorskip("dask.array")


def pathway_file(path, n_samples=120):
    """Simulated pathways as counts under Ensembl ids, with two ids for one symbol, and the sets by symbol."""
    simulated, truth = otl.datasets.simulate_pathways(n_samples, 200, n_sets=12, n_factors=3, rng=0)
    scaled = np.clip(np.asarray(simulated.X), -3, 8)
    counts = np.random.default_rng(0).poisson(np.exp(scaled + 3)).astype(np.uint32)
    return write(path, counts, genes=simulated.var_names, alignedreads=np.full(n_samples, 3e6)), truth


def test_from_file_to_model_without_the_whole_matrix(tmp_path, reads):
    file, truth = pathway_file(tmp_path / "a.h5")
    with otl.settings.override(block_bytes=8 * 200 * 14):
        compendium = otl.io.read_archs4(file, max_single_cell=None)
        sc.pp.normalize_total(compendium, target_sum=1e6)
        sc.pp.log1p(compendium)
        assert reads == []  # still lazy
        compendium.var_names = compendium.var["symbol"]
        otl.tl.plier(compendium, truth.gene_sets, n_factors=4, max_iter=40, tol=1e-3)
    assert not isinstance(compendium.X, np.ndarray)
    assert max(reads) <= 4 * 200 * 14
    dense = ad.AnnData(np.log1p(expected_cpm(file)), var=compendium.var[[]])
    otl.tl.plier(dense, truth.gene_sets, n_factors=4, max_iter=40, tol=1e-3)
    np.testing.assert_allclose(compendium.obsm["plier"], dense.obsm["plier"], rtol=2e-3, atol=2e-3)
    assert "ARCHS4" in otl.cite(compendium)
    assert "PLIER" in otl.cite(compendium)


def expected_cpm(path):
    with h5py.File(path) as file:
        counts = file["data/expression"][:].T.astype(np.float64)
    return (counts / counts.sum(axis=1, keepdims=True) * 1e6).astype(np.float32)


GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "make_a_reference.md"


@pytest.mark.skipif(not GUIDE.exists(), reason="no guide beside the tests")
def test_the_code_of_the_guide_runs(tmp_path, monkeypatch):
    code = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    assert len(code) >= 2
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    sets = otl.datasets.gene_sets("blood", "pid")
    table = otl.datasets.gene_identifiers().drop_duplicates("gene_name")
    wanted = sorted({gene for genes in sets.values() for gene in genes})[:400]
    table = table[table["gene_name"].isin(wanted)]
    n_samples = 60
    scores = rng.normal(size=(n_samples, 5))
    loadings = rng.gamma(0.5, 1.0, size=(5, len(table)))
    counts = rng.poisson(np.exp(0.4 * scores @ loadings / loadings.std() + 3).clip(0, 1e5)).astype(np.uint32)
    fields = {
        "title": [f"whole blood {i}" for i in range(n_samples)],
        "alignedreads": np.full(n_samples, 3e6),
        "relation": [
            f"BioSample: https://www.ncbi.nlm.nih.gov/biosample/SAMN{i // 2 * 2 if i < 4 else i}"
            for i in range(n_samples)
        ],
    }
    write("human_gene_v2.6.h5", counts, genes=table["gene_name"], **fields)
    with h5py.File("human_gene_v2.6.h5", "a") as file:
        file["meta/genes/ensembl_gene"][...] = table["ensembl_id"].to_list()
    cohort = ad.AnnData(np.log1p(counts[:20].astype(np.float32)), var=pd.DataFrame(index=table["gene_name"].to_numpy()))
    folder = Path("refinebio_download/GSE1")
    folder.mkdir(parents=True)
    genes = "".join(f"{gene}\t1.5\n" for gene in table["ensembl_id"])
    (folder / "GSE1.tsv").write_text("Gene\tGSM1\n" + genes)
    (folder / "metadata_GSE1.tsv").write_text("refinebio_accession_code\nGSM1\n")
    names = {"cohort": cohort}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of this tiny fit
        for block in code:
            exec(block, names)
    assert Path("blood.npz").exists()
    assert cohort.obsm["plier"].shape[0] == 20
    compendium = names["compendium"]
    assert {"GSM1", "GSM3"} <= set(compendium.obs_names)
    assert not {"GSM2", "GSM4"} & set(compendium.obs_names)  # technical replicates
    assert compendium.n_obs == 46
    assert names["arrays"].var_names[0] in set(table["gene_name"])


def test_log_cpm_is_written_in_one_bounded_pass(tmp_path, reads):
    file, _ = pathway_file(tmp_path / "a.h5")
    with otl.settings.override(block_bytes=8 * 200 * 14):
        compendium = otl.io.read_archs4(file, max_single_cell=None)
        sc.pp.normalize_total(compendium, target_sum=1e6)
        sc.pp.log1p(compendium)
        compendium[:, 10:50].write_h5ad(tmp_path / "compendium.h5ad")
    assert max(reads) <= 4 * 200 * 14
    assert sum(reads) == 4 * 200 * 120  # every count once
    np.testing.assert_allclose(
        ad.read_h5ad(tmp_path / "compendium.h5ad").X, np.log1p(expected_cpm(file))[:, 10:50], rtol=1e-5
    )
