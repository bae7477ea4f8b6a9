"""The main job on bundled data with what is installed: learn, transfer, look, write, read back."""

from __future__ import annotations

import importlib.metadata
import tempfile
import time
from pathlib import Path

import anndata as ad
import numpy as np

import omicstl as otl

NAMES = ("omicstl", "anndata", "scanpy", "jax", "flax", "optax", "numpy", "scipy", "pandas", "scikit-learn")


def main() -> None:
    start = time.perf_counter()
    print("  ".join(f"{name} {importlib.metadata.version(name)}" for name in NAMES))
    print(f"omicstl from {Path(otl.__file__).parent}")
    reference, cohort = otl.datasets.sle_adult(), otl.datasets.sle_adult()[:40].copy()
    otl.tl.plier(reference, otl.datasets.gene_sets("blood"), n_factors=12, max_iter=60, rng=0)
    otl.tl.project(cohort, reference)
    otl.tl.rank_factors_groups(cohort, "disease_state", block="subject")
    factors = otl.get.factors(cohort)
    same = np.corrcoef(cohort.obsm["plier"].ravel(), reference.obsm["plier"][:40].ravel())[0, 1]
    print(f"{factors.n_obs} samples x {factors.n_vars} factors; with the fit itself r = {same:.2f}")
    if not np.isfinite(cohort.obsm["plier"]).all() or same < 0.5:
        msg = "The projection does not follow the fit."
        raise RuntimeError(msg)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "reference.h5ad")
        reference.write_h5ad(path)
        again = otl.get.model(ad.read_h5ad(path))
        np.testing.assert_array_equal(otl.get.model(reference).loadings, again.loadings)
    print(otl.cite(cohort).splitlines()[0])
    print(f"smoke test passed in {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
