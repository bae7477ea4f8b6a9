"""What a projection carries along of the factors it was projected onto."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from omicstl._data.results import stability_of
from omicstl.models.factors import annotation

if TYPE_CHECKING:
    from omicstl.models.base import Model


def describe(model: Model, reference: Any, key: str | None) -> dict[str, pd.DataFrame]:
    """Tables of the reference's tested sets, and of each factor's genes and stability.

    What the reference's AnnData knows is taken from there (permutation p-values, refits, attributions), and the rest
    from the model.
    """
    entry = reference.uns[key] if hasattr(reference, "uns") else {}
    tested = entry.get("summary") if isinstance(entry, Mapping) else None
    k = len(model.names)
    stability = stability_of(entry, k)
    return {
        "summary": annotation.summary(model) if tested is None else tested.copy(),
        "factors": pd.DataFrame(
            {
                "factor": np.asarray(model.names, dtype=object),
                "top_genes": _top_genes(model, reference, key),
                "stability": stability if stability.size == k else np.full(k, np.nan),
            }
        ),
    }


def _top_genes(model: Model, reference: Any, key: str | None) -> np.ndarray:
    """The largest loadings, or attributions that were computed for a network."""
    if annotation.loadings_of(model) is None and hasattr(reference, "varm"):
        weights = reference.varm.get(f"{key}_attributions")
        if weights is not None and np.shape(weights)[1] == len(model.names):
            return annotation.largest(np.asarray(weights), np.asarray(reference.var_names))
    return annotation.top_genes(model)
