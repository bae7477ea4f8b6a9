"""A published table of loadings, taken as a model: it can be projected onto, and knows nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np


@dataclass(frozen=True, eq=False, repr=False)
class FactorTable:
    """Loadings of shape (n_features, n_factors) with the ridge penalty that belongs to their scores."""

    kind: ClassVar[str] = "factor_table"
    version: ClassVar[int] = 1

    features: np.ndarray
    names: np.ndarray
    loadings: np.ndarray
    score_penalty: float
    mean: None = None
    scale: None = None
    score_cov: None = None
    noise: None = None

    def __repr__(self) -> str:
        return f"FactorTable: {self.features.size} genes, {self.names.size} factors, no training statistics"

    def to_dict(self) -> dict[str, Any]:
        """Stored form."""
        return {
            "kind": self.kind,
            "version": self.version,
            "features": self.features,
            "names": self.names,
            "loadings": self.loadings,
            "score_penalty": self.score_penalty,
        }

    @classmethod
    def from_dict(cls, tree: dict[str, Any]) -> FactorTable:
        """Rebuild from the stored form."""
        return cls(
            features=np.asarray(tree["features"], dtype=object),
            names=np.asarray(tree["names"], dtype=object),
            loadings=np.asarray(tree["loadings"], dtype=np.float32),
            score_penalty=float(tree["score_penalty"]),
        )
