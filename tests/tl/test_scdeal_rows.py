"""How `tl.scdeal` reads cells: totals in the pass that checks values, logs in blocks."""

from __future__ import annotations

import anndata as ad
import numpy as np
import scipy.sparse as sp

from omicstl._data import adata as reader
from omicstl.tl._shared import screen as screens


def test_totals_are_counted_as_rows_go_by():
    counts = np.random.default_rng(0).poisson(0.5, (1100, 40)).astype(np.float32)
    counts[:, 0] += 1
    cells = ad.AnnData(sp.csr_matrix(counts))
    columns = np.array([3, 1, 20])
    rows, scale, (totals, n_genes) = screens.read_cells(reader.read(cells), columns, "auto")
    assert scale == "counts"
    np.testing.assert_array_equal(totals, counts.sum(axis=1))
    np.testing.assert_array_equal(n_genes, (counts > 0).sum(axis=1))
    logs = np.log1p(counts[:, columns] / counts.sum(axis=1, keepdims=True) * 1e4)
    np.testing.assert_allclose(np.concatenate(list(rows.blocks())), logs, rtol=1e-5)
    np.testing.assert_allclose(np.concatenate(list(rows.blocks(700))), logs, rtol=1e-5)
