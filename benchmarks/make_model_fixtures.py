"""Write the small model files of `tests/data/models/`, one for each kind and released format. Run once for a new format.

python benchmarks/make_model_fixtures.py tests/data/models
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd

import omicstl as otl


def main(folder: Path) -> None:
    adata, truth = otl.datasets.simulate_pathways(40, 60, n_sets=6, n_factors=3, rng=0)
    otl.tl.plier(adata, truth.gene_sets, n_factors=4, max_iter=60, min_genes=5, progress=False)
    otl.io.write_model(folder / "plier_1.npz", otl.get.model(adata))
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.random((12, 2)), index=[f"g{i}" for i in range(12)], columns=["LV1", "LV2"])
    otl.io.write_model(folder / "factor_table_1.npz", otl.io.factor_table(table, penalty=2.0))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
