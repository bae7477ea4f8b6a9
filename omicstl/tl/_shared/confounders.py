"""What scores of cells should not follow: the cell cycle, a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from omicstl._data import adata as reader
from omicstl._data.columns import read_column
from omicstl.models.assess.target import cycle_score

from .screen import TARGET_SUM

if TYPE_CHECKING:
    from anndata import AnnData

#: Genes of the S phase and of G2 and M, from the lists of :cite:p:`Tirosh2016`, and E2F1 and PLK1.
CYCLE = {
    "MCM2", "MCM4", "MCM5", "MCM6", "PCNA", "TYMS", "FEN1", "RRM1", "RRM2", "UNG", "GINS2",
    "CDC45", "CDC6", "E2F1", "HMGB2", "CDK1", "NUSAP1", "UBE2C", "BIRC5", "TPX2", "TOP2A", "NDC80",
    "CKS2", "MKI67", "CENPF", "AURKA", "AURKB", "BUB1", "CCNB2", "CDC20", "PLK1",
}  # fmt: skip
FEWEST_CYCLE = 5


def confounders(
    adata: AnnData, layer: str | None, totals: np.ndarray | None, batch_key: str | None
) -> dict[str, np.ndarray]:
    """Cell cycle and batch of all cells, as far as they are known; depth comes with the cells."""
    found: dict[str, np.ndarray] = {}
    if batch_key is not None:
        found["batch"] = read_column(adata, batch_key).text
    columns = np.flatnonzero([str(name).upper() in CYCLE for name in adata.var_names])
    if columns.size >= FEWEST_CYCLE:
        rows = reader.read(adata, layer=layer).rows.select(columns)
        x = np.concatenate([np.asarray(block, dtype=np.float64) for block in rows.blocks()])
        found["cell cycle"] = cycle_score(x if totals is None else np.log1p(x / totals[:, None] * TARGET_SUM))
    return found
