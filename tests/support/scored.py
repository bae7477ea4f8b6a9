"""Data with factor scores that a test has made up, as a fit would have left them."""

from __future__ import annotations

from typing import Any

import anndata as ad
import numpy as np
import pandas as pd


def scored(scores: np.ndarray, obs: dict[str, Any] | pd.DataFrame, names: list[str] | None = None) -> ad.AnnData:
    """An AnnData without genes worth the name, and with scores (n, k) under "plier"."""
    n, k = scores.shape
    frame = pd.DataFrame(dict(obs))
    frame.index = [f"S{i}" for i in range(n)]
    adata = ad.AnnData(np.zeros((n, 2), dtype=np.float32), obs=frame)
    adata.obsm["plier"] = np.asarray(scores, dtype=np.float32)
    names = [f"LV{i + 1}" for i in range(k)] if names is None else names
    adata.uns["plier"] = {"kind": "plier", "version": 1, "names": np.array(names, dtype=object)}
    return adata


def visits(n_blocks: int, seed: int = 0, most: int = 6) -> np.ndarray:
    """Which of so many persons each observation is of; some come once, some often."""
    rng = np.random.default_rng(seed)
    return np.repeat(np.arange(n_blocks), rng.integers(1, most + 1, n_blocks))
