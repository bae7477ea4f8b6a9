"""A model prints as a line, not as its arrays."""

from __future__ import annotations

import numpy as np
import pandas as pd

import omicstl as otl


def test_a_fitted_model_prints_as_a_line() -> None:
    adata, truth = otl.datasets.simulate_pathways(rng=0)
    otl.tl.plier(adata, truth.gene_sets, n_factors=5, max_iter=40, tol=1e-2)
    text = repr(otl.get.model(adata))
    assert text.startswith("PlierModel: ")
    assert "5 factors" in text
    assert f"learnt from {adata.n_obs} observations" in text
    assert "\n" not in text
    assert len(text) < 120


def test_a_table_of_loadings_prints_as_a_line() -> None:
    table = pd.DataFrame(np.ones((3, 2)), index=list("abc"), columns=["LV1", "LV2"])
    assert repr(otl.io.factor_table(table, penalty=1.0)) == "FactorTable: 3 genes, 2 factors, no training statistics"
