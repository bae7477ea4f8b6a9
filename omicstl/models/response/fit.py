"""Fit of the linear level: components of lines, cells brought into their space, a masked ridge of all drugs (numpy, float64).

Closed forms; nothing here repeats a step that a compiler would speed up.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from omicstl._core.options.response import ResponseRidge
from omicstl._core.random import Streams
from omicstl.kernels.masked_ridge import MaskedRidge, patterns
from omicstl.models.transfer.screen import Cells, Lines

from . import smoothing, smoothing_selection
from .align_selection import choose_align
from .cells import Moments
from .model import ResponseModel
from .space import Space, aligned, fit_ridge, prepare


class ResponseFit(NamedTuple):
    """A model, and what it says of the lines and cells it was fitted on: n lines, m cells, k components, d drugs."""

    model: ResponseModel
    latent_lines: np.ndarray  # (n, k) float32
    latent_cells: np.ndarray  # (m, k) float32
    score: np.ndarray  # (m, d) float32, smoothed
    std: np.ndarray  # (m, d) float32 over members
    score_lines: np.ndarray  # (n, d) of lines that were left out with their lineage; NaN where not measured
    penalty: np.ndarray  # (d,)
    chosen: dict[str, Any]  # align, the reason and table of its choice, strength (d,), agreement (s, d)


def fit(
    lines: Lines,
    cells: Cells,
    options: ResponseRidge | None = None,
    random: Streams | None = None,
    *,
    mask: np.ndarray | None = None,
    moments: Moments | None = None,
    safeguard: bool = False,
) -> ResponseFit:
    """Fit all drugs; only the cells in `mask` (m,) shape the fit, all are scored. Two passes over the cells, one if `moments` are known.

    `safeguard` falls back to no alignment, see `align_selection.choose_align`.
    """
    options, random = options or ResponseRidge(), random or Streams(0)
    choice = choose_align(lines, cells, options, random, mask, safeguard=safeguard)
    align = choice.align
    space = prepare(lines, cells, options, random, mask, moments)
    maps, recolouring, gain = aligned(space, align)
    latent_lines = space.z_lines @ (space.basis.axes @ recolouring)
    ridge = fit_ridge(latent_lines, lines, options)
    moved, moved_intercept = members(latent_lines, lines.y, ridge, options.n_members, random)
    weights = maps @ ridge.coefficients
    cell_axes = smoothing.axes_of(space.z_sample, random, gain=gain)
    nothing = np.empty((0, len(weights)))
    space = space._replace(
        z_lines=nothing, z_sample=space.z_sample if cells.scaled else nothing
    )  # room for what follows
    chosen = _strength(cells, space, weights, gain, options, random)
    model = ResponseModel(
        features=np.arange(lines.x.shape[1]).astype(str).astype(object),
        names=np.array([f"C{i + 1}" for i in range(maps.shape[1])], dtype=object),
        drugs=np.asarray(lines.drugs, dtype=object),
        binary=np.asarray(lines.binary, bool),
        mean_lines=space.mean_lines,
        scale_lines=space.scale_lines,
        mean_cells=space.cells.mean,
        scale_cells=space.cells.scale,
        components=space.basis.axes.astype(np.float32),
        variance=space.basis.variance,
        recolouring=recolouring,
        maps=maps.astype(np.float32),
        gain=gain,
        coefficients=ridge.coefficients,
        intercept=ridge.intercept,
        members=moved.astype(np.float32),
        member_intercept=moved_intercept.astype(np.float32),
        strength=chosen.strength,
        cell_axes=cell_axes,
        align=align,
        scaled=bool(cells.scaled),
        n_lines=len(lines.x),
        calibration={},
    )
    latent, score, std = model.score_cells(cells)
    return ResponseFit(
        model=model,
        latent_lines=latent_lines.astype(np.float32),
        latent_cells=latent,
        score=score,
        std=std,
        score_lines=ridge.left_out,
        penalty=ridge.penalty,
        chosen={
            "align": align,
            "reason": choice.reason,
            "table": choice.table,
            "strength": chosen.strength,
            "agreement": chosen.agreement,
        },
    )


def members(
    latent: np.ndarray, y: np.ndarray, ridge: MaskedRidge, n: int, random: Streams
) -> tuple[np.ndarray, np.ndarray]:
    r"""What refits on lines drawn with replacement add to coefficients (n, k, d) and intercepts (n, d), to first order.

    .. math:: \beta_b - \beta \approx (X'X + \lambda I)^{-1} X' \, ((w_b - 1) \circ r)

    with the residuals r of lines that are left out and w how often each line was drawn; exact in the limit of small changes.
    """
    d = y.shape[1]
    moved, shift = np.zeros((n, latent.shape[1], d)), np.zeros((n, d))
    if not n:
        return moved, shift
    drawn = random.generator("members").multinomial(len(latent), np.full(len(latent), 1 / len(latent)), size=n) - 1.0
    for rows, outputs in patterns(np.isfinite(y)):
        x = latent[rows]
        mean = x.mean(axis=0)
        values, vectors = np.linalg.eigh((x - mean).T @ (x - mean))
        rotated = (x - mean) @ vectors
        residual = np.nan_to_num(y[np.ix_(rows, outputs)] - ridge.left_out[np.ix_(rows, outputs)])
        for column, output in enumerate(outputs):
            pull = drawn[:, rows] * residual[:, column]
            moved[:, :, output] = (pull @ rotated / (np.maximum(values, 0) + ridge.penalty[output])) @ vectors.T
            shift[:, output] = pull.mean(axis=1) - moved[:, :, output] @ mean
    return moved, shift


def _strength(
    cells: Cells, space: Space, weights: np.ndarray, gain: np.ndarray, options: ResponseRidge, random: Streams
) -> smoothing.Chosen:
    d = weights.shape[1]
    nothing = np.full((len(smoothing.STRENGTHS), d), np.nan)
    if options.smoothing is not None:
        return smoothing.Chosen(np.full(d, float(options.smoothing)), nothing)
    if cells.scaled:
        found = smoothing_selection.choose(space.z_sample, weights, random, gain=gain)
        return smoothing.Chosen(found.strength, found.overall)
    totals = None if cells.totals is None else np.asarray(cells.totals)[space.sample]
    return smoothing.choose(cells.rows.take(space.sample), totals, weights, random, gain)
