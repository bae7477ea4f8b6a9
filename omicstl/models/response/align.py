"""How cells come into the space of the lines' principal components: denoised, with CORAL, or as they are (numpy, float64).

Closed forms on small matrices; the covariance of genes is never formed. Products with cells are float32, as these are. Genes p, lines n, cells m, components k.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

_FLOOR = 0.02  # share of a gene's variance in cells that is noise at least
_SHRINK = 5.0  # weight of the common gain beside a gene's own covariances, in those of an average gene
_NOISE = 0.5  # of the variance that is not the lines': the rest is the cells' own, and neighbours are averaged later
_ROUNDS = 12
_LOW, _HIGH = 0.02, 1.0
_BLOCK = 2048  # genes


class Components(NamedTuple):
    """Principal components of the lines' z-scores: axes (p, k), and the variance (k,) along each."""

    axes: np.ndarray
    variance: np.ndarray


def components(z: np.ndarray, k: int) -> Components:
    """The `k` leading ones, or all that are there; signs so that each axis has its largest entry above zero."""
    from scipy.linalg import eigh

    z = np.asarray(z, np.float64)
    n, p = z.shape
    inner = z @ z.T if n <= p else z.T @ z
    values, vectors = eigh(inner, driver="evd", overwrite_a=True, check_finite=False)
    kept = np.flatnonzero(values > 1e-9 * max(float(values[-1]), 1e-300))[::-1][:k]
    values = values[kept]
    axes = z.T @ vectors[:, kept] / np.sqrt(values) if n <= p else vectors[:, kept]
    peak = np.abs(axes).argmax(axis=0)
    return Components(axes * np.sign(axes[peak, np.arange(len(kept))]), values / max(n - 1, 1))


def gains(axes: np.ndarray, variance: np.ndarray, cells: np.ndarray) -> np.ndarray:
    r"""How much of the lines' variation of each gene shows in the cells (p,), between 0 and 1.

    If a cell's z-score of gene g is :math:`d_g` times what a line in its state would show, plus noise of its own, then genes
    covary in the cells as :math:`d_g d_h \Sigma_{gh}`, with :math:`\Sigma` the lines' covariance. Least squares over all pairs of
    genes, each gene given the others, with a pull toward the gain that all genes would have in common: in cells of one tumour
    a few programmes make most of the covariance, and say little of single genes.
    """
    m = max(len(cells), 1)
    blocks = [slice(low, low + _BLOCK) for low in range(0, len(axes), _BLOCK)]  # no copy of all cells in float64
    own_lines = np.einsum("ij,ij,j->i", axes, axes, variance)
    own_cells = np.concatenate([(cells[:, b].astype(np.float64) ** 2).sum(axis=0) for b in blocks]) / m
    gain = np.full(len(axes), 0.5)
    for _ in range(_ROUNDS):
        inner = axes * gain[:, None]
        scores = cells @ inner.astype(cells.dtype)
        scores *= variance
        shared = np.einsum("ij,ij->i", cells.T @ scores, axes)
        top = shared / m - own_lines * own_cells * gain
        square = (inner.T @ inner) * np.outer(variance, variance)
        bottom = np.einsum("ij,ij->i", axes @ square, axes) - (own_lines * gain) ** 2
        typical = max(float(top.sum() / max(bottom.sum(), 1e-300)), _LOW)
        ridge = _SHRINK * float(bottom.mean())
        new = np.clip((top + ridge * typical) / np.maximum(bottom + ridge, 1e-300), _LOW, _HIGH)
        gain = 0.5 * gain + 0.5 * new
    return gain


class Denoiser(NamedTuple):
    """Maps z-scores of cells to the expected components of a line in the same state: ``z @ maps``."""

    maps: np.ndarray  # (p, k)
    gain: np.ndarray  # (p,)


def denoiser(axes: np.ndarray, variance: np.ndarray, cells: np.ndarray, gain: np.ndarray | None = None) -> Denoiser:
    r"""Expected components under :math:`u \sim N(0, S)`, :math:`z = D V u + e`, :math:`e_g \sim N(0, (1 - d_g^2) / 2)`."""
    gain = gains(axes, variance, cells) if gain is None else gain
    noise = _NOISE * (1 - gain**2 * np.minimum((axes**2) @ variance, 1) + _FLOOR)
    seen = axes * (gain / noise)[:, None]
    precision = np.diag(1 / variance) + seen.T @ (axes * gain[:, None])
    return Denoiser(seen @ np.linalg.inv(precision), gain)


def coral(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    r"""Matrix (k, k) that gives rows of `source` the covariance of `target`: :math:`C_s^{-1/2} C_t^{1/2}`, both shrunk."""
    cs, ct = shrunk(source), shrunk(target)
    return _power(cs, -0.5) @ _power(ct, 0.5)


def shrunk(x: np.ndarray) -> np.ndarray:
    """Covariance, shrunk toward a multiple of the identity as far as its own noise demands (Ledoit and Wolf 2004)."""
    x = np.asarray(x, np.float64) - x.mean(axis=0)
    n, k = x.shape
    c = x.T @ x / n
    mean = np.trace(c) / k
    apart = float(((c - mean * np.eye(k)) ** 2).sum())
    noise = float(((x**2).sum(axis=1) ** 2).sum() / n - (c**2).sum()) / n
    share = min(max(noise / apart, 0.0), 1.0) if apart > 0 else 1.0
    return (1 - share) * c + share * mean * np.eye(k)


def _power(c: np.ndarray, power: float) -> np.ndarray:
    values, vectors = np.linalg.eigh(c)
    return (vectors * np.maximum(values, 1e-9 * values[-1]) ** power) @ vectors.T
