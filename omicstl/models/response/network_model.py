"""A fitted ensemble of response networks, as arrays: what brings lines and cells in, encoders, and linear heads."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np

from omicstl.models.transfer.network_fit import forward
from omicstl.models.transfer.screen import Cells

from . import smoothing
from .cells import project
from .space import standardised_lines

TEXT = ("features", "drugs")


@dataclass(frozen=True, eq=False, repr=False)
class NetworkModel:
    """Genes p, inputs k, drugs d, members b with l latent variables each. Scores: larger is more sensitive.

    A cell's inputs are its z-scores times `maps`, a line's its z-scores times `line_maps`. `networks` are arrays of
    `adapt_network.plain`, stacked. The latent space is that of all members side by side, (b l) columns, and the score is linear in
    it: the mean over members.
    """

    kind: ClassVar[str] = "scdeal_network"
    version: ClassVar[int] = 1

    features: np.ndarray  # (p,) names
    drugs: np.ndarray  # (d,)
    binary: np.ndarray  # (d,) bool
    mean_lines: np.ndarray  # (p,)
    scale_lines: np.ndarray
    mean_cells: np.ndarray
    scale_cells: np.ndarray
    maps: np.ndarray  # (p, k) float32
    line_maps: np.ndarray  # (p, k) float32
    gain: np.ndarray  # (p,) share of the lines' variation of a gene that shows in the cells
    networks: dict[str, np.ndarray]
    slope: np.ndarray  # (k, d) mean gradient of the score over cells
    strength: np.ndarray  # (d,) of smoothing over neighbouring cells
    cell_axes: np.ndarray  # (p, c)
    term: str  # class of the alignment, or ""
    weight: float  # of it
    scaled: bool
    n_lines: int
    calibration: dict[str, Any]

    def __repr__(self) -> str:
        aligned = f"{self.term} of weight {self.weight:g}" if self.weight else "no alignment"
        return (
            f"NetworkModel: {self.drugs.size} drugs, {self.features.size} genes, {self.n_members} networks with {aligned}, learnt "
            f"from {self.n_lines} lines"
        )

    @property
    def n_members(self) -> int:
        """Networks."""
        return len(self.networks["head"])

    @property
    def names(self) -> np.ndarray:
        """Names of the latent variables, member by member."""
        members, n_latent, _ = self.networks["head"].shape
        return np.array([f"N{i + 1}_{j + 1}" for i in range(members) for j in range(n_latent)], dtype=object)

    @property
    def coefficients(self) -> np.ndarray:
        """Weight (b l, d) of each latent variable in each score."""
        heads = self.networks["head"].astype(np.float64)
        return heads.reshape(-1, heads.shape[2]) / self.n_members

    @property
    def intercept(self) -> np.ndarray:
        """Of the scores, (d,)."""
        return self.networks["head_bias"].astype(np.float64).mean(axis=0)

    @property
    def weights(self) -> np.ndarray:
        """Mean gradient (p, d) of each score by a cell's z-score of each gene: what is linear in the networks."""
        return self.maps.astype(np.float64) @ self.slope

    def lines(self, x: np.ndarray, study: np.ndarray | None = None) -> np.ndarray:
        """Latent (n, b l) of lines, of their expression; z-scores are those of the fit, or within studies of ten lines or more."""
        z, _, _ = standardised_lines(x, study, (self.mean_lines, self.scale_lines))
        return self.embed(z @ self.line_maps)

    def embed(self, inputs: np.ndarray) -> np.ndarray:
        """Latent (n, b l) float32 of inputs (n, k)."""
        latent, _ = forward(self.networks, inputs)
        return np.ascontiguousarray(np.moveaxis(latent, 0, 1)).reshape(len(inputs), -1)

    def predict(self, latent: np.ndarray) -> np.ndarray:
        """Scores (m, d) float32 of latent rows."""
        return (latent @ self.coefficients + self.intercept).astype(np.float32)

    def members(self, latent: np.ndarray) -> np.ndarray:
        """Scores (b, m, d) float32 of each member."""
        z = np.moveaxis(latent.reshape(len(latent), self.n_members, -1), 1, 0)
        return (z @ self.networks["head"] + self.networks["head_bias"][:, None, :]).astype(np.float32)

    def spread(self, latent: np.ndarray) -> np.ndarray:
        """Standard deviation (m, d) float32 of the scores over members."""
        out = np.empty((len(latent), self.drugs.size), np.float32)
        for low in range(0, len(latent), 4096):
            out[low : low + 4096] = self.members(latent[low : low + 4096]).std(axis=0, ddof=1)
        return out

    def score_cells(self, cells: Cells) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Latent (m, b l), scores and their standard deviations (m, d), float32; one pass over the cells, in blocks."""
        smooth = bool((self.strength > 0).any()) and cells.rows.n_rows > 1
        maps = (self.maps, self.cell_axes) if smooth else (self.maps,)
        found, *places = project(cells, self.mean_cells, self.scale_cells, *maps)
        latent = self.embed(found)
        score = self.predict(latent)
        if smooth:
            score = smoothing.smoothed(smoothing.graph(places.pop()), score, self.strength)
        return latent, score, self.spread(latent)

    def to_dict(self) -> dict[str, Any]:
        """Stored form."""
        return {"kind": self.kind, "version": self.version} | {f.name: getattr(self, f.name) for f in fields(self)}

    @classmethod
    def from_dict(cls, tree: dict[str, Any]) -> NetworkModel:
        """Rebuild from the stored form, with every shape checked against the others."""
        networks = {str(name): np.asarray(value, np.float32) for name, value in tree["networks"].items()}
        p, d, k = len(tree["features"]), len(tree["drugs"]), np.shape(tree["maps"])[-1]
        b, n_latent = networks["head"].shape[:2]
        first = networks["kernel_0" if "kernel_0" in networks else "latent"]
        shapes: dict[str, tuple[Any, ...]] = dict.fromkeys(
            ("mean_lines", "scale_lines", "mean_cells", "scale_cells", "gain"), (p,)
        )
        shapes |= {"maps": (p, k), "line_maps": (p, k), "slope": (k, d), "strength": (d,), "binary": (d,)}
        shapes |= {"cell_axes": (p, np.shape(tree["cell_axes"])[-1])}
        found = {name: np.shape(tree[name]) for name in shapes}
        shapes |= {"head": (b, n_latent, d), "head_bias": (b, d), "latent_bias": (b, n_latent)}
        shapes |= {"the first layer": (b, k, first.shape[2])} | (
            {"skip": (b, k, n_latent)} if "skip" in networks else {}
        )
        found |= {name: networks[name].shape for name in shapes if name in networks} | {"the first layer": first.shape}
        for name, shape in shapes.items():
            if found[name] != shape:
                msg = f"The scdeal_network model is damaged: {name} has shape {found[name]}, expected {shape}."
                raise ValueError(msg)
        parts = {f.name: tree[f.name] for f in fields(cls)} | {"networks": networks}
        for name in TEXT:
            parts[name] = np.asarray(parts[name], dtype=object)
        parts |= {"binary": np.asarray(parts["binary"], bool), "calibration": dict(tree["calibration"])}
        parts |= {"scaled": bool(tree["scaled"]), "n_lines": int(tree["n_lines"])}
        return cls(**(parts | {"term": str(tree["term"]), "weight": float(tree["weight"])}))
