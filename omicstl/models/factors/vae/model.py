"""A fitted variational autoencoder: what encodes new observations, and the loadings of a linear decoder."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np

from omicstl.models.factors.autoencoder.covariates import Covariates
from omicstl.models.factors.autoencoder.encoders import LARGEST, Encoders, encode

ROWS = 4096  # observations that are encoded at a time


@dataclass(frozen=True, eq=False, repr=False)
class VaeModel:
    """A fitted VAE. Genes p, components d, factors k, columns of covariates c.

    The decoder is kept where it is linear: its `loadings` on the latent units are all of it that is not an offset.
    """

    kind: ClassVar[str] = "vae"
    version: ClassVar[int] = 1

    features: np.ndarray  # (p,) names
    names: np.ndarray  # (k,)
    mean: np.ndarray  # (p,) of what the encoder sees: the data, or log1p(counts / total * target_sum)
    scale: np.ndarray  # (p,) standard deviation of the same, within batches where genes are standardised in each
    components: np.ndarray  # (p, d) orthonormal principal axes of the encoder's input
    variance: np.ndarray  # (d,) along them
    noise: np.ndarray  # (p,) variance that they leave of each gene
    encoders: Encoders  # of one member; its input is z-scores, then covariates
    covariate_codes: Covariates
    likelihood: str
    decoder: str
    target_sum: float | None  # of counts
    loadings: np.ndarray | None  # (p, k)
    n_obs: int

    def __repr__(self) -> str:
        given = f", covariates {', '.join(map(repr, self.covariates))}" if self.covariates else ""
        return (
            f"VaeModel: {self.features.size} genes, {self.names.size} factors, {self.likelihood} likelihood, {self.decoder} "
            f"decoder{given}, learnt from {self.n_obs} observations"
        )

    @property
    def covariates(self) -> dict[str, np.ndarray]:
        """Names of the columns of `obs` that it was given, and their levels; numbers have none."""
        return self.covariate_codes.levels

    def embed(self, z: np.ndarray, covariates: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Scores and their standard deviations, (n, k) float32 each, of standardised rows (n, p).

        `covariates` are numbers (n, c), as `covariate_codes` makes them; without them observations count as average.
        """
        z = np.asarray(z, np.float32)
        c = self.covariate_codes.column.size
        if c:
            more = np.zeros((len(z), c), np.float32) if covariates is None else np.asarray(covariates, np.float32)
            z = np.concatenate([z, more], axis=1)
        found = [encode(self.encoders, z[low : low + ROWS]) for low in range(0, len(z), ROWS)]
        mean, logvar = (np.concatenate([part[i][0] for part in found]) for i in (0, 1))
        return mean, np.exp(0.5 * np.clip(logvar, -LARGEST, LARGEST))

    def to_dict(self) -> dict[str, Any]:
        """Stored form."""
        parts = {f.name: getattr(self, f.name) for f in fields(self)}
        parts |= {"encoders": self.encoders.to_dict(), "covariate_codes": self.covariate_codes.to_dict()}
        return {"kind": self.kind, "version": self.version} | parts

    @classmethod
    def from_dict(cls, tree: dict[str, Any]) -> VaeModel:
        """Rebuild from the stored form, with every shape checked against the others."""
        encoders, codes = Encoders.from_dict(tree["encoders"]), Covariates.from_dict(tree["covariate_codes"])
        p, d, k = len(tree["features"]), len(tree["variance"]), len(tree["names"])
        shapes: dict[str, tuple[int, ...]] = dict.fromkeys(("mean", "scale", "noise"), (p,)) | {"components": (p, d)}
        if tree["loadings"] is not None:
            shapes |= {"loadings": (p, k)}
        for name, shape in shapes.items():
            if np.shape(tree[name]) != shape:
                msg = f"The VAE model is damaged: {name} has shape {np.shape(tree[name])}, expected {shape}."
                raise ValueError(msg)
        first = encoders.kernels[0] if encoders.kernels else encoders.head
        if first.shape[:2] != (1, p + codes.column.size) or encoders.n_latent != k:
            msg = f"The VAE model is damaged: its encoder does not fit {p} genes, {codes.column.size} covariates and {k} factors."
            raise ValueError(msg)
        parts = {f.name: tree[f.name] for f in fields(cls)} | {"encoders": encoders, "covariate_codes": codes}
        for name in ("features", "names"):
            parts[name] = np.asarray(parts[name], dtype=object)
        target = tree["target_sum"]
        parts |= {"target_sum": None if target is None else float(target), "n_obs": int(tree["n_obs"])}
        return cls(**(parts | {"likelihood": str(tree["likelihood"]), "decoder": str(tree["decoder"])}))
