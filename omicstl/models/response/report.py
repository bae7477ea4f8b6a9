"""What goes with the scores of a fit: calibration, calls, novelty, nearest lines, clusters, stability of gene weights (numpy)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from omicstl._core.random import Streams
from omicstl.models.selection.criteria import Fit
from omicstl.models.transfer.scores import rank_correlation_of_known
from omicstl.models.transfer.screen import Cells, Lines

from . import calls, novelty
from .attributions import Stability, stability
from .cells import ROWS, standardised
from .fit import ResponseFit
from .model import ResponseModel
from .novelty import FAR

ERROR = 0.1


class Report(NamedTuple):
    """m cells, d drugs, p genes."""

    calibration: dict[str, np.ndarray]  # what `ResponseModel.calibration` keeps
    stability: Stability
    rho: np.ndarray  # (d,) of lines whose lineage was left out, Spearman


def report(lines: Lines, cells: Cells, fit: ResponseFit, refit: Fit, random: Streams, n_targets: int) -> Report:
    """Learn from lines that were left out what scores mean and when a call may be made; `n_targets` refits."""
    d = len(lines.drugs)
    tables = [calls.calibrate(fit.score_lines[:, i], lines.y[:, i], binary=bool(lines.binary[i])) for i in range(d)]
    calibration: dict[str, np.ndarray] = {
        "slope": np.array([t.slope for t in tables]),
        "intercept": np.array([t.intercept for t in tables]),
        "prior": np.array([t.prior for t in tables]),
        "residual": np.array([t.residual for t in tables]),
    }
    way = getattr(fit.model, "align", None)

    def embedded(x: np.ndarray) -> np.ndarray:
        z = standardised(x, fit.model.mean_cells, fit.model.scale_cells)
        return fit.model.embed(z @ fit.model.maps)

    scored = calls.pseudo_scores(lines, cells, way, refit, random, n_targets=n_targets, keep=embedded)
    cuts = np.zeros((d, 2))
    for i in range(d):
        table = calls.conformal(scored.score[:, i], scored.y[:, i], scored.line, binary=bool(lines.binary[i]))
        cuts[i] = thresholds(table)
    assert scored.kept is not None
    seen = novelty.reference(fit.latent_lines, scored.kept, scored.line, lines.lineage)
    calibration |= {
        "resistant_to": cuts[:, 0],
        "sensitive_from": cuts[:, 1],
        "centres": seen.centres.astype(np.float32),
        "distances": seen.quantiles.astype(np.float32),
        "by_study": np.array([lines.study is not None]),
    }
    return Report(
        calibration,
        stability_of(fit.model),
        np.array([rank_correlation_of_known(fit.score_lines[:, i], lines.y[:, i]) for i in range(d)]),
    )


def stability_of(model: Any) -> Stability:
    """Of the weights of genes over refits of a ridge; not known of networks, whose members differ in more than weights."""
    weights = model.weights.astype(np.float32)
    if not isinstance(model, ResponseModel):
        nothing = np.full(weights.shape[1], np.nan)
        return Stability(nothing, nothing.copy(), np.full(weights.shape, np.nan, np.float32))
    return stability(weights, model.maps, model.members)


def thresholds(table: calls.Conformal) -> tuple[float, float]:
    """Scores up to which a cell is resistant and from which it is sensitive; infinite where no call can be made."""
    grid = np.unique(np.concatenate([table.sensitive[0], table.resistant[0]]))
    if not grid.size:
        return -np.inf, np.inf
    codes = calls.calls(grid, table, error=ERROR)
    resistant, sensitive = grid[codes == calls.RESISTANT], grid[codes == calls.SENSITIVE]
    return (
        float(resistant.max()) if resistant.size else -np.inf,
        float(sensitive.min()) if sensitive.size else np.inf,
    )


def calibrated(model: ResponseModel, score: np.ndarray, std: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scores and their standard deviations on the scale of the response: probabilities of classes, expected numbers."""
    slope, intercept = model.calibration["slope"], model.calibration["intercept"]
    value = score * slope + intercept
    spread = std * slope
    chance = 1 / (1 + np.exp(-np.clip(value, -500, 500)))
    binary = model.binary
    value = np.where(binary, chance, value)
    return value.astype(np.float32), np.where(binary, spread * chance * (1 - chance), spread).astype(np.float32)


def called(model: ResponseModel, score: np.ndarray, far: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
    """Codes (m, d) int8 of `calls.CALLS` for scores before calibration."""
    codes = np.full(score.shape, calls.UNCERTAIN, dtype=np.int8)
    codes[score <= model.calibration["resistant_to"]] = calls.RESISTANT
    codes[score >= model.calibration["sensitive_from"]] = calls.SENSITIVE
    codes[far > FAR] = calls.UNCERTAIN
    if mask is not None:
        codes[~mask] = calls.UNCERTAIN
    return codes


def novelty_of(model: ResponseModel, latent: np.ndarray) -> np.ndarray:
    """Share of left-out pseudo-cells that are nearer to the lines than each cell (m,) float32."""
    seen = novelty.Novelty(
        np.asarray(model.calibration["centres"], np.float64), np.asarray(model.calibration["distances"], np.float64)
    )
    return novelty.novelty(latent, seen)


def cluster_means(cells: Cells, code: np.ndarray, n: int) -> np.ndarray:
    """Mean values (c, p) of the cells of each cluster, as they are read; one pass."""
    total = np.zeros((n, cells.rows.n_cols))
    low = 0
    for block in cells.rows.blocks():
        for rows in (slice(i, i + ROWS) for i in range(0, len(block), ROWS)):
            part, here = block[rows], code[low : low + len(block)][rows]
            for c in np.unique(here):
                total[c] += part[here == c].sum(axis=0, dtype=np.float64)
        low += len(block)
    return total / np.maximum(np.bincount(code, minlength=n), 1)[:, None]
