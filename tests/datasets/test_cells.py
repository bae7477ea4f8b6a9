"""The bundled cells are counts of two runs, and look like blood."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

import omicstl as otl


def test_cells_are_counts_of_blood():
    cells = otl.datasets.pbmc_citeseq()
    assert cells.shape == (400, 2005)
    assert sp.issparse(cells.X)
    assert cells.X.dtype == np.float32
    assert (cells.X.data == np.rint(cells.X.data)).all()
    assert cells.X.data.min() >= 1
    assert (np.asarray(cells.X.sum(axis=1)).ravel() <= cells.obs["total_counts"]).all()
    assert cells.obsm["protein"].shape == (400, 14)
    t = cells.obsm["protein"]["CD3"].to_numpy() > cells.obsm["protein"]["CD3"].median()
    gene = cells[:, "CD3E"].X.toarray().ravel()
    assert gene[t].mean() > 4 * gene[~t].mean()
