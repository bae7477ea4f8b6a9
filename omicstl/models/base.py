"""What every fitted model offers."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np


@runtime_checkable
class Model(Protocol):
    """A fitted model is data: named arrays that go into an AnnData or a file and come back unchanged."""

    kind: str
    version: int

    @property
    def features(self) -> np.ndarray:
        """Names of the variables it was fitted on."""
        ...

    @property
    def names(self) -> np.ndarray:
        """Names of its factors."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """Stored form: nested dict of scalars, strings and arrays, with `kind` and `version`."""
        ...


@runtime_checkable
class LinearModel(Model, Protocol):
    """A model whose scores are ridge coefficients on loadings; what it does not know is `None`."""

    loadings: np.ndarray
    score_penalty: float
    mean: np.ndarray | None
    scale: np.ndarray | None
    score_cov: np.ndarray | None
    noise: np.ndarray | None


@runtime_checkable
class EncoderModel(Model, Protocol):
    """A model whose scores a network computes from all genes at once, and what stands in for genes that are missing.

    Genes p, components d, factors k. `components` are orthonormal principal axes of the z-scored training data, `variance` the
    variances along them and `noise` what they leave of each gene: together the Gaussian that fills missing genes.
    """

    mean: np.ndarray  # (p,) of the training data, on the scale of `prepare`
    scale: np.ndarray  # (p,) its spread
    components: np.ndarray  # (p, d)
    variance: np.ndarray  # (d,)
    noise: np.ndarray  # (p,)

    def embed(self, z: np.ndarray, covariates: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Scores and their standard deviations, each (n, k) float32, of standardised rows (n, p) float32 without gaps."""
        ...
