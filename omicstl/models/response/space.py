"""Lines and cells in one space before a response is looked at, and the ridge in it (numpy, float64)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from omicstl._core.options.response import ResponseRidge
from omicstl._core.random import Streams
from omicstl.kernels.masked_ridge import MaskedRidge, masked_ridge, penalty_grid
from omicstl.models.transfer.screen import Cells, Lines

from .align import Components, components, coral, denoiser
from .cells import CLIP, Moments, moments, sample_rows, standardised

N_COMPS = 200
_GENES = 1024  # of which copies are made at a time


class Source(NamedTuple):
    """What depends on the lines alone."""

    z: np.ndarray  # (n, p) z-scores, within studies where these are known
    mean: np.ndarray
    scale: np.ndarray
    basis: Components


class Space(NamedTuple):
    """Lines and cells in one space, before a response is looked at."""

    z_lines: np.ndarray  # (n, p) z-scores, within studies where these are known
    mean_lines: np.ndarray
    scale_lines: np.ndarray
    cells: Moments
    sample: np.ndarray  # positions of sampled cells
    z_sample: np.ndarray  # their z-scores, float32
    basis: Components


def source_of(lines: Lines, options: ResponseRidge) -> Source:
    """Z-scores of the lines, and their components."""
    z, mean, scale = standardised_lines(lines.x, lines.study)
    return Source(z, mean, scale, components(z, options.n_comps or N_COMPS))


def prepare(
    lines: Lines,
    cells: Cells,
    options: ResponseRidge,
    random: Streams,
    mask: np.ndarray | None = None,
    known: Moments | None = None,
    source: Source | None = None,
) -> Space:
    """Z-scores of each side by itself, and the components of the lines; `known` are the cells' moments and `source` is `source_of` the lines, where it is known."""
    z, mean, scale, basis = source or source_of(lines, options)
    found = known or moments(cells.rows, mask)
    sample = sample_rows(cells.rows.n_rows, mask, random)
    z_sample = standardised(cells.rows.take(sample), found.mean, found.scale)
    return Space(z, mean, scale, found, sample, z_sample, basis)


def standardised_lines(
    x: np.ndarray, study: np.ndarray | None, of_fit: tuple[np.ndarray, np.ndarray] | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Z-scores (n, p) float64, in each study by itself if it has ten lines; mean and spread are those of all lines, or of a fit's."""
    z = np.empty(x.shape)
    mean, scale = np.empty((2, x.shape[1])) if of_fit is None else of_fit
    studies = [] if study is None else [study == name for name in np.unique(study)]
    for low in range(0, x.shape[1], _GENES):
        genes = slice(low, low + _GENES)
        part = np.asarray(x[:, genes], np.float64)
        if of_fit is None:
            mean[genes], scale[genes] = part.mean(axis=0), _spread(part)
        out = part - mean[genes]
        out /= scale[genes]
        for rows in studies:
            if rows.sum() >= 10:
                out[rows] = (part[rows] - part[rows].mean(axis=0)) / _spread(part[rows])
        np.clip(out, -CLIP, CLIP, out=z[:, genes])
    return z, mean, scale


def _spread(x: np.ndarray) -> np.ndarray:
    sd = x.std(axis=0)
    return np.where(sd > 1e-6 * np.maximum(1, np.abs(x).max(axis=0)), sd, np.inf)


def aligned(space: Space, align: str, gain: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Maps (p, k) of cells, recolouring (k, k) of lines and gains (p,), which are estimated unless known."""
    axes = space.basis.axes
    none, ones = np.eye(axes.shape[1]), np.ones(len(axes))
    if align == "denoise":
        found = denoiser(axes, space.basis.variance, space.z_sample, gain)
        return found.maps, none, found.gain
    if align == "coral":
        return axes, coral(space.z_lines @ axes, space.z_sample @ axes.astype(np.float32)), ones
    return axes, none, ones


def fit_ridge(latent: np.ndarray, lines: Lines, options: ResponseRidge, *, left_out: bool = True) -> MaskedRidge:
    """Masked ridge of all drugs; the penalty is chosen by lineage left out, or is the one given, which needs no `left_out`."""
    grid = (
        penalty_grid(latent, 1, 1.0, 1.0) * options.penalty if options.penalty else penalty_grid(latent, 12, 0.01, 30.0)
    )
    return masked_ridge(latent, lines.y, grid, groups=lines.lineage, left_out=left_out or grid.size > 1)
