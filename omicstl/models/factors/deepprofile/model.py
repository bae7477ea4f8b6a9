"""DeepProfile: an ensemble of variational autoencoders whose latent units are clustered into factors."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar, NamedTuple

import numpy as np

from omicstl.models.factors.autoencoder.encoders import LARGEST, Encoders, encode

ROWS = 1024  # observations that are encoded at a time: all nodes of all members are in memory for them


@dataclass(frozen=True, eq=False, repr=False)
class DeepprofileModel:
    """A fitted ensemble. Genes p, components d, nodes N (latent units of all members).

    Factors k: clusters of nodes, and after them the leading `n_linear` components, the units of a linear autoencoder.
    """

    kind: ClassVar[str] = "deepprofile"
    version: ClassVar[int] = 1

    features: np.ndarray  # (p,) names
    names: np.ndarray  # (k,)
    mean: np.ndarray  # (p,) of the training data
    scale: np.ndarray  # (p,) their standard deviation, n - 1
    components: np.ndarray  # (p, d) orthonormal
    variance: np.ndarray  # (d,) of the training data along them
    noise: np.ndarray  # (p,) variance that they leave of each gene
    encoders: dict[int, Encoders]  # by latent size
    node_size: np.ndarray  # (N,) latent size of the member; nodes in the order size, member, unit
    node_member: np.ndarray
    node_unit: np.ndarray
    node_cluster: np.ndarray  # (N,) -1: in no cluster
    node_sign: np.ndarray  # (N,)
    node_centre: np.ndarray  # (N,)
    node_scale: np.ndarray  # (N,)
    rule: str  # "aligned" or "published"
    n_linear: int  # components that are factors too
    n_obs: int

    def __repr__(self) -> str:
        members = sum(group.n_members for group in self.encoders.values())
        linear = f" and {self.n_linear} linear ones" if self.n_linear else ""
        return (
            f"DeepprofileModel: {self.features.size} genes, {self.variance.size} components, {members} encoders with "
            f"{self.node_size.size} latent units in {self.n_clusters} clusters{linear}, learnt from {self.n_obs} observations"
        )

    @property
    def n_clusters(self) -> int:
        """Factors that are clusters of nodes."""
        return self.names.size - self.n_linear

    def linear(self) -> np.ndarray:
        """Weights of components (d, n_linear) of the factors that are components, in standard deviations."""
        return np.eye(self.variance.size, self.n_linear) / np.sqrt(self.variance[: self.n_linear])

    def reduce(self, z: np.ndarray) -> np.ndarray:
        """Scores of standardised rows (n, p) on the components, (n, d) float32."""
        return np.asarray(z, np.float32) @ self.components

    def nodes(self, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Posterior means and variances of all nodes, (n, N) each, from scores on the components (n, d)."""
        parts = [encode(self.encoders[size], scores) for size in sorted(self.encoders)]
        flat = [tuple(np.moveaxis(part, 0, 1).reshape(len(scores), -1) for part in pair) for pair in parts]
        means, logvars = zip(*flat, strict=True)
        return np.concatenate(means, axis=1), np.exp(np.clip(np.concatenate(logvars, axis=1), -LARGEST, LARGEST))

    def weights(self) -> tuple[np.ndarray, np.ndarray]:
        """What the factors are made of: for every node its factor (-1: none), and its weight there."""
        sizes = np.bincount(self.node_cluster[self.node_cluster >= 0], minlength=self.n_clusters)
        share = np.where(self.node_cluster >= 0, 1 / sizes[self.node_cluster], 0.0)
        return self.node_cluster, (share * self.node_sign / self.node_scale).astype(np.float32)

    def embed(self, z: np.ndarray, covariates: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Scores and their standard deviations, (n, k) each, of standardised rows (n, p)."""
        found = self.embed_components(self.reduce(z))
        return found.scores, found.sd

    def embed_components(self, scores: np.ndarray) -> Embedded:
        """The same from scores on the components (n, d), with the part that lies between members."""
        blocks = [self._embed(scores[low : low + ROWS]) for low in range(0, len(scores), ROWS)]
        return Embedded(*(np.concatenate(part) for part in zip(*blocks, strict=True)))

    def _embed(self, scores: np.ndarray) -> Embedded:
        import scipy.sparse as sp

        mean, variance = self.nodes(scores)
        used = np.flatnonzero(self.node_cluster >= 0)
        mean = (mean[:, used] - self.node_centre[used]) * (self.node_sign[used] / self.node_scale[used])
        variance = variance[:, used] / self.node_scale[used] ** 2
        sizes = np.bincount(self.node_cluster[used], minlength=self.n_clusters)
        shape = (self.n_clusters, used.size)
        average = sp.csr_array(
            (1 / sizes[self.node_cluster[used]], (self.node_cluster[used], np.arange(used.size))), shape=shape
        ).astype(np.float32)
        centre = (average @ mean.T).T
        apart = mean - centre[:, self.node_cluster[used]]
        between = (average @ (apart**2).T).T
        within = (average @ variance.T).T
        # The posterior of a probabilistic principal component has the variance of the noise over that along it.
        apart = np.broadcast_to(
            np.sqrt(self.noise.mean() / self.variance[: self.n_linear]), (len(scores), self.n_linear)
        )
        pairs = ((centre, scores @ self.linear()), (np.sqrt(within + between), apart), (np.sqrt(between), 0 * apart))
        return Embedded(*(np.hstack(pair).astype(np.float32) for pair in pairs))

    def to_dict(self) -> dict[str, Any]:
        """Stored form: at most eight arrays for each latent size, and fourteen others."""
        parts = {f.name: getattr(self, f.name) for f in fields(self)}
        parts["encoders"] = {f"size_{size}": group.to_dict() for size, group in self.encoders.items()}
        return {"kind": self.kind, "version": self.version} | parts

    @classmethod
    def from_dict(cls, tree: dict[str, Any]) -> DeepprofileModel:
        """Rebuild from the stored form, with every shape checked against the others."""
        encoders = {int(name[5:]): Encoders.from_dict(group) for name, group in tree["encoders"].items()}
        encoders = {size: encoders[size] for size in sorted(encoders)}
        p, d = len(tree["features"]), len(tree["variance"])
        n_nodes = sum(size * group.n_members for size, group in encoders.items())
        shapes: dict[str, tuple[int, ...]] = dict.fromkeys(("mean", "scale", "noise"), (p,))
        shapes |= {"components": (p, d)}
        shapes |= {f.name: (n_nodes,) for f in fields(cls) if f.name.startswith("node_")}
        for name, shape in shapes.items():
            if np.shape(tree[name]) != shape:
                msg = f"The DeepProfile model is damaged: {name} has shape {np.shape(tree[name])}, expected {shape}."
                raise ValueError(msg)
        for size, group in encoders.items():
            first = group.kernels[0] if group.kernels else group.head
            if group.n_latent != size or first.shape[1] != d:
                msg = f"The DeepProfile model is damaged: encoders of {size} units do not fit {d} components."
                raise ValueError(msg)
        n_linear = int(tree["n_linear"])
        if np.max(tree["node_cluster"]) >= len(tree["names"]) - n_linear or not 0 <= n_linear <= d:
            msg = "The DeepProfile model is damaged: its clusters and components are not as many as its names."
            raise ValueError(msg)
        parts = {f.name: tree[f.name] for f in fields(cls)} | {
            "encoders": encoders,
            "n_obs": int(tree["n_obs"]),
            "n_linear": n_linear,
        }
        for name in ("features", "names"):
            parts[name] = np.asarray(parts[name], dtype=object)
        return cls(**(parts | {"rule": str(tree["rule"])}))


class Embedded(NamedTuple):
    """Scores (n, k); the standard deviation of a draw of a random member's posterior; its part between members."""

    scores: np.ndarray
    sd: np.ndarray
    sd_between: np.ndarray
