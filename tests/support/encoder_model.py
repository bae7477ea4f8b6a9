"""A small network in numpy that is an `EncoderModel`: two layers, its own Gaussian, optional covariates and counts."""

from __future__ import annotations

import sys
import warnings
from dataclasses import dataclass, fields
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from anndata import AnnData

import omicstl as otl
from omicstl.models import kinds
from omicstl.models.factors.autoencoder.covariates import Covariates

N_VARS = 120


@dataclass(frozen=True, eq=False, repr=False)
class TwoLayers:
    """Scores ``tanh(z W1) W2`` and a standard deviation that grows with their size."""

    kind: ClassVar[str] = "two_layers"
    version: ClassVar[int] = 1

    features: np.ndarray
    names: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    components: np.ndarray
    variance: np.ndarray
    noise: np.ndarray
    first: np.ndarray
    second: np.ndarray
    n_obs: int | None

    def embed(self, z: np.ndarray, covariates: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        assert z.dtype == np.float32
        scores = np.tanh(z @ self.first) @ self.second
        return scores, np.abs(scores) + 0.1

    def to_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, "version": self.version} | {f.name: getattr(self, f.name) for f in fields(self)}

    @classmethod
    def from_dict(cls, tree: dict[str, Any]) -> TwoLayers:
        return cls(**{f.name: tree[f.name] for f in fields(cls)})


def of_data(x: np.ndarray, features: np.ndarray, d: int = 6, k: int = 3, seed: int = 0) -> TwoLayers:
    """A network over the principal components of rows (n, p)."""
    rng = np.random.default_rng(seed)
    mean, scale = x.mean(axis=0), x.std(axis=0, ddof=1)
    z = (x - mean) / scale
    _, values, axes = np.linalg.svd(z, full_matrices=False)
    axes, variance = axes[:d].T, values[:d] ** 2 / (len(x) - 1)
    first = axes @ rng.standard_normal((d, 8)) / np.sqrt(d * variance.mean())
    return TwoLayers(
        features=np.asarray(features, dtype=object),
        names=np.array([f"DP{i + 1}" for i in range(k)], dtype=object),
        mean=mean,
        scale=scale,
        components=axes.astype(np.float32),
        variance=variance,
        noise=np.maximum(z.var(axis=0, ddof=1) - axes**2 @ variance, 0),
        first=first.astype(np.float32),
        second=rng.standard_normal((8, k)).astype(np.float32),
        n_obs=len(x),
    )


@dataclass(frozen=True, eq=False, repr=False)
class Counting(TwoLayers):
    """The same over log-normalised counts."""

    kind: ClassVar[str] = "counting"
    target_sum: float = 1e4


@dataclass(frozen=True, eq=False, repr=False)
class WithBatch(TwoLayers):
    """The same, with ten times the first code and the last code added to every score."""

    kind: ClassVar[str] = "with_batch"
    covariate_codes: Covariates | None = None

    def embed(self, z: np.ndarray, covariates: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        scores, sd = super().embed(z)
        return (scores if covariates is None else scores + 10 * covariates[:, :1] + covariates[:, -1:]), sd

    def to_dict(self) -> dict[str, Any]:
        codes = None if self.covariate_codes is None else self.covariate_codes.to_dict()
        return super().to_dict() | {"covariate_codes": codes}


def as_kind(model: TwoLayers, cls: type[TwoLayers], **more: Any) -> TwoLayers:
    """The same numbers as another of these classes."""
    return cls(**{f.name: getattr(model, f.name) for f in fields(TwoLayers)}, **more)


def register(monkeypatch: Any) -> None:
    """Let `omicstl.models.kinds.from_dict` know the kinds of this file."""
    module = ModuleType("omicstl.models.for_tests")
    for cls in (TwoLayers, Counting, WithBatch):
        setattr(module, cls.__name__, cls)
        monkeypatch.setitem(kinds.KINDS, cls.kind, f"for_tests.{cls.__name__}")
    monkeypatch.setitem(sys.modules, module.__name__, module)


def population(n: int, seed: int) -> AnnData:
    """Log expression with four factors of one kind; half of a gene's variance is its own."""
    rng, shared = np.random.default_rng(seed), np.random.default_rng(7)
    loadings = shared.standard_normal((4, N_VARS)) * np.sqrt([2, 1.5, 1, 0.5])[:, None] / 2.2
    x = rng.standard_normal((n, 4)) @ loadings + rng.standard_normal((n, N_VARS)) + 8 + shared.standard_normal(N_VARS)
    obs = pd.DataFrame(index=[f"S{seed}-{i}" for i in range(n)])
    return AnnData(x.astype(np.float32), obs=obs, var=pd.DataFrame(index=[f"GENE{i:03d}" for i in range(N_VARS)]))


def quiet(adata: AnnData, model: Any, **options: Any) -> AnnData:
    """Project where warnings are not the point."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", otl.TransferWarning)
        otl.tl.project(adata, model, key_added="net", **options)
    return adata


def genes(adata: AnnData, share: float, seed: int = 0) -> AnnData:
    """A share of the genes, in another order."""
    chosen = np.random.default_rng(seed).permutation(adata.n_vars)[: int(share * adata.n_vars)]
    return adata[:, chosen].copy()


def counts(n: int, seed: int = 0, p: int = 150) -> AnnData:
    """Cells with factors of a common kind and depths of their own."""
    rng, shared = np.random.default_rng(seed), np.random.default_rng(7)
    rate = np.exp(rng.standard_normal((n, 4)) @ (0.6 * shared.standard_normal((4, p))) + shared.standard_normal(p))
    x = rng.poisson(rate / rate.sum(axis=1, keepdims=True) * rng.integers(2000, 6000, (n, 1))).astype(np.float32)
    return AnnData(x, var=pd.DataFrame(index=[f"GENE{i:03d}" for i in range(p)]))
