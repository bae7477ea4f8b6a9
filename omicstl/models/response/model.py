"""A fitted predictor of drug response: components of lines, how cells come into their space, and a ridge for each drug."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np

from omicstl.models.transfer.screen import Cells

from . import smoothing
from .cells import project
from .space import standardised_lines

ROWS = 4096  # cells whose scores over members are looked at together


@dataclass(frozen=True, eq=False, repr=False)
class ResponseModel:
    """Genes p, components k, drugs d, members b. Scores: larger is more sensitive.

    A cell's latent is its z-scores times `maps`; a line's is its z-scores times ``components @ recolouring``. The score is latent
    times `coefficients` plus `intercept`.
    """

    kind: ClassVar[str] = "scdeal"
    version: ClassVar[int] = 1

    features: np.ndarray  # (p,) names
    names: np.ndarray  # (k,) of the components
    drugs: np.ndarray  # (d,)
    binary: np.ndarray  # (d,) bool: the response was two classes
    mean_lines: np.ndarray  # (p,)
    scale_lines: np.ndarray  # (p,)
    mean_cells: np.ndarray  # (p,)
    scale_cells: np.ndarray  # (p,)
    components: np.ndarray  # (p, k) orthonormal
    variance: np.ndarray  # (k,) of the lines along them
    recolouring: np.ndarray  # (k, k)
    maps: np.ndarray  # (p, k)
    gain: np.ndarray  # (p,) share of the lines' variation of a gene that shows in the cells; 1 where not estimated
    coefficients: np.ndarray  # (k, d)
    intercept: np.ndarray  # (d,)
    members: np.ndarray  # (b, k, d) what each refit on other lines adds to the coefficients
    member_intercept: np.ndarray  # (b, d)
    strength: np.ndarray  # (d,) of smoothing over neighbouring cells
    cell_axes: np.ndarray  # (p, c) principal axes of the cells, in which neighbours are sought
    align: str
    scaled: bool  # the cells were z-scores
    n_lines: int
    calibration: dict[str, Any]

    def __repr__(self) -> str:
        return (
            f"ResponseModel: {self.drugs.size} drugs, {self.features.size} genes, {self.names.size} components, ridge with "
            f"align={self.align!r}, learnt from {self.n_lines} lines"
        )

    @property
    def weights(self) -> np.ndarray:
        """Weight (p, d) of a cell's z-score of each gene in each score, before smoothing."""
        return np.asarray(self.maps, np.float64) @ self.coefficients

    def lines(self, x: np.ndarray, study: np.ndarray | None = None) -> np.ndarray:
        """Latent (n, k) of lines, of their expression; z-scores are those of the fit, or within studies of ten lines or more."""
        z, _, _ = standardised_lines(x, study, (self.mean_lines, self.scale_lines))
        return z @ (self.components @ self.recolouring)

    def embed(self, inputs: np.ndarray) -> np.ndarray:
        """Latent (m, k) float32 of a cell's z-scores times `maps`, which it is."""
        return np.asarray(inputs, np.float32)

    def predict(self, latent: np.ndarray) -> np.ndarray:
        """Scores (m, d) float32 of latent rows."""
        out = np.empty((len(latent), self.drugs.size), np.float32)
        for low in range(0, len(latent), ROWS):  # products are float64
            out[low : low + ROWS] = latent[low : low + ROWS] @ self.coefficients + self.intercept
        return out

    def score_cells(self, cells: Cells) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Latent (m, k), scores and their standard deviations (m, d), float32, of cells on the model's genes; one pass."""
        smooth = bool((self.strength > 0).any()) and cells.rows.n_rows > 1
        maps = (self.maps, self.cell_axes) if smooth else (self.maps,)
        latent, *places = project(cells, self.mean_cells, self.scale_cells, *maps)
        score = self.predict(latent)
        if smooth:
            score = smoothing.smoothed(smoothing.graph(places.pop()), score, self.strength)
        return latent, score, self.spread(latent)

    def spread(self, latent: np.ndarray) -> np.ndarray:
        """Standard deviation (m, d) float32 of the scores over members; zero without members."""
        m, d, b = len(latent), self.drugs.size, len(self.members)
        out = np.zeros((m, d), np.float32)
        if not b:
            return out
        flat = np.ascontiguousarray(np.moveaxis(self.members, 0, 1).reshape(self.members.shape[1], b * d), np.float32)
        for low in range(0, m, ROWS):
            part = slice(low, min(low + ROWS, m))
            moved = (latent[part].astype(np.float32) @ flat).reshape(-1, b, d) + self.member_intercept.astype(
                np.float32
            )
            out[part] = np.sqrt((moved**2).mean(axis=1))
        return out

    def to_dict(self) -> dict[str, Any]:
        """Stored form."""
        return {"kind": self.kind, "version": self.version} | {f.name: getattr(self, f.name) for f in fields(self)}

    @classmethod
    def from_dict(cls, tree: dict[str, Any]) -> ResponseModel:
        """Rebuild from the stored form, with every shape checked against the others."""
        p, k, d = len(tree["features"]), len(tree["names"]), len(tree["drugs"])
        b, c = len(tree["members"]), np.shape(tree["cell_axes"])[-1]
        shapes: dict[str, tuple[int, ...]] = dict.fromkeys(
            ("mean_lines", "scale_lines", "mean_cells", "scale_cells", "gain"), (p,)
        )
        shapes |= {"binary": (d,), "intercept": (d,), "strength": (d,), "variance": (k,), "components": (p, k)}
        shapes |= {"maps": (p, k), "recolouring": (k, k), "coefficients": (k, d), "members": (b, k, d)}
        shapes |= {"member_intercept": (b, d), "cell_axes": (p, c)}
        for name, shape in shapes.items():
            if np.shape(tree[name]) != shape:
                msg = f"The scdeal model is damaged: {name} has shape {np.shape(tree[name])}, expected {shape}."
                raise ValueError(msg)
        parts = {f.name: tree[f.name] for f in fields(cls)}
        for name in ("features", "names", "drugs"):
            parts[name] = np.asarray(parts[name], dtype=object)
        parts["binary"] = np.asarray(parts["binary"], bool)
        parts |= {"align": str(tree["align"]), "scaled": bool(tree["scaled"]), "n_lines": int(tree["n_lines"])}
        return cls(**(parts | {"calibration": dict(tree["calibration"])}))
