"""Pseudo-cells: lines that were held out, seen through the platform of the target's cells (numpy).

A pseudo-cell carries the response that its line really has, and looks like a cell of the target: its depth, its share
of zeros (negative binomial with the target's dispersion) and its level of every gene, so the shift between platforms,
are taken from the target's cells without any label. A z-scored target gives no counts; there the part of a gene that
goes with the leading components is taken from the line, and what is left is drawn from the residuals of real cells.

What it cannot know: whether the relation of genes to response is the same in the target's cells.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

_BLOCK = 4096
_GENES, _ROWS = 1024, 128  # of which float64 copies are made at a time
_UNIT_SPREAD = 0.7  # natural-log spread between lines of a gene with unit variance: the median in log2(TPM + 1) screens
_SPREAD = (0.05, 1.5)  # allowed spread between lines in natural logs
_DISPERSION = (0.02, 2.0)
_FEW = 0.05  # counts a cell below which a gene says nothing about dispersion
_SAMPLE, _NEIGHBOURS = 1000, 20
_CLIP = 6.0  # standard deviations between lines
_LOG_HIGHEST = 30.0  # no log of counts is higher; its exponential overflows soon after


class Table:
    """Rows that are in memory: the `Rows` of pseudo-cells and of small targets."""

    def __init__(self, x: np.ndarray) -> None:
        self.x = np.asarray(x)
        self.n_rows, self.n_cols = self.x.shape

    def blocks(self, size: int | None = None) -> Iterator[np.ndarray]:
        """Dense blocks of all rows in order."""
        step = _BLOCK if size is None else size
        for start in range(0, self.n_rows, step):
            yield self.x[start : start + step]

    def take(self, index: np.ndarray) -> np.ndarray:
        """Dense rows at these positions."""
        return self.x[index]


class Platform(NamedTuple):
    """How the target's cells see genes. Of z-scored cells only `signal` and `residual` are there."""

    level: np.ndarray  # (p,) log share of all counts
    depth: np.ndarray  # (m,) counts of a cell over these genes
    unit: np.ndarray  # (m,) counts for one unit of expm1 of the cell's values, paired with `depth`
    dispersion: float
    signal: np.ndarray  # (p,) standard deviation that follows the leading components; z-scores only
    residual: np.ndarray  # (m, p) what does not; z-scores only

    @property
    def scaled(self) -> bool:
        """Whether the cells are z-scores."""
        return self.residual.size > 0


class Background(NamedTuple):
    """Where all lines lie, by gene (p,)."""

    mean: np.ndarray
    sd: np.ndarray  # infinite where a gene has one value
    natural: np.ndarray  # spread in natural logs
    excess: np.ndarray  # log of how far the mean over lines of what a gene is multiplied with lies above one


class Drawn(NamedTuple):
    """Pseudo-cells on the target's scale, and whose they are."""

    x: np.ndarray  # (n_cells, p) float32
    line: np.ndarray  # (n_cells,) position of the line whose state the cell has


def count_unit(x: np.ndarray) -> np.ndarray:
    """Counts for one unit of ``expm1``: the smallest value of a cell above zero is taken to be one count."""
    smallest = np.min(x, axis=1, where=x > 0, initial=np.inf).astype(np.float64)
    return 1.0 / np.expm1(np.clip(np.where(np.isfinite(smallest), smallest, 1.0), 1e-6, 20.0))


def platform(cells: np.ndarray, *, scaled: bool = False, totals: np.ndarray | None = None) -> Platform:
    """Estimate the platform from a sample of cells (log values, or z-scores when `scaled`), no labels.

    `totals` are the counts of these cells over all their genes, for values that are log1p of counts per 10,000.
    """
    x = np.asarray(cells)
    empty = np.zeros(0)
    if scaled:
        signal, residual = _split_scaled(x.astype(np.float64))
        return Platform(empty, empty, empty, 0.0, signal, residual)
    unit = count_unit(x) if totals is None else np.maximum(np.asarray(totals, dtype=np.float64), 1.0) / 1e4
    highest = float(x.max(initial=0.0))
    if highest > _LOG_HIGHEST:
        msg = f"values up to {highest:.4g} are no logarithms of counts. Say scale='counts' for counts, or log-transform the values first."
        raise ValueError(msg)
    depth, of_gene = np.zeros(len(x)), np.zeros(x.shape[1])
    for genes in _parts(x.shape[1]):
        counts = _counts(x[:, genes], unit)
        depth += counts.sum(axis=1)
        of_gene[genes] = counts.sum(axis=0)
    keep = depth > 0
    if not keep.any():
        msg = "every cell is empty over the shared genes: no depth can be estimated. Filter cells first."
        raise ValueError(msg)
    if not keep.all():
        x, depth, unit = x[keep], depth[keep], unit[keep]
    share = (of_gene + 0.5) / (depth.sum() + 0.5 * x.shape[1])
    return Platform(np.log(share), depth, unit, _dispersion(x, unit, depth), empty, np.zeros((0, x.shape[1])))


def _parts(p: int) -> list[slice]:
    return [slice(low, low + _GENES) for low in range(0, p, _GENES)]


def _counts(x: np.ndarray, unit: np.ndarray) -> np.ndarray:
    counts = np.expm1(x, dtype=np.float64)
    counts *= unit[:, None]
    return counts


def _dispersion(x: np.ndarray, unit: np.ndarray, depth: np.ndarray) -> float:
    """Median over expressed genes of the dispersion around the mean of a cell's nearest neighbours, by moments.

    Around neighbours rather than around all cells, so that what differs between kinds of cells is not taken for noise.
    """
    import scipy.sparse as sp

    n, p = min(x.shape[0], _SAMPLE), x.shape[1]
    size = min(_NEIGHBOURS, n - 1)
    if size < 2:
        return 0.5
    x, unit, depth = x[:n], unit[:n], depth[:n]
    near = nearest(_leading(x), size)
    around = sp.csr_matrix((np.ones(near.size), near.ravel(), np.arange(0, near.size + 1, size)), shape=(n, n))
    pooled = depth[near].sum(axis=1)
    square, noise, excess, mean = np.empty((4, p))
    for genes in _parts(p):
        counts = _counts(x[:, genes], unit)
        expected = around @ counts
        expected *= (depth / pooled)[:, None]
        mean[genes] = expected.mean(axis=0)
        square[genes] = np.einsum("ij,ij->j", expected, expected)
        noise[genes] = (1 + depth / pooled) @ expected
        counts -= expected
        excess[genes] = np.einsum("ij,ij->j", counts, counts) - noise[genes]
    seen = mean > _FEW
    if not seen.any():
        return _DISPERSION[0]
    return float(np.clip(np.median(excess[seen] / square[seen]) / (1.0 + 1.0 / size), *_DISPERSION))


def _leading(x: np.ndarray, k: int = 20) -> np.ndarray:
    """Leading component scores of rows, which are centred here."""
    gram = np.zeros((len(x), len(x)))
    for genes in _parts(x.shape[1]):
        part = x[:, genes].astype(np.float64)
        part -= part.mean(axis=0)
        gram += part @ part.T
    value, vector = np.linalg.eigh(gram)
    return vector[:, -k:] * np.sqrt(np.maximum(value[-k:], 0.0))


def nearest(points: np.ndarray, k: int) -> np.ndarray:
    """Positions (n, k) of the nearest other points, brute force."""
    square = (points**2).sum(axis=1)
    apart = square[:, None] + square - 2.0 * points @ points.T
    np.fill_diagonal(apart, np.inf)
    return np.argpartition(apart, k - 1, axis=1)[:, :k]


def _split_scaled(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Split z-scores into the spread along leading components (rank by Marchenko-Pastur) and residual rows."""
    from omicstl.kernels.rank import marchenko_pastur

    x = x - x.mean(axis=0)
    n, p = x.shape
    u, s, vt = np.linalg.svd(x, full_matrices=False)
    k = int(np.clip(marchenko_pastur(s**2 / max(n - 1, 1), n, p), 1, max(min(20, n // 3), 1)))
    residual = x - (u[:, :k] * s[:k]) @ vt[:k]
    residual *= np.sqrt(n / max(n - 1 - k, 1))  # what the components took of the noise
    total = x.var(axis=0, ddof=1) if n > 1 else np.ones(p)
    signal = np.sqrt(np.clip(total - residual.var(axis=0), 0.02 * total, None))
    return signal, residual.astype(np.float32)


def spread_between(lines: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean and spread of each gene between lines, and that spread in natural logs (lines are log2, or z-scores)."""
    mean, sd = level_of(lines)
    varying = sd > 1e-8
    unit = varying.any() and np.median(np.abs(mean[varying])) < 0.2 and 0.5 < float(np.median(sd[varying])) < 1.5
    natural = _UNIT_SPREAD * sd if unit else np.log(2.0) * sd
    return mean, np.where(varying, sd, np.inf), np.where(varying, np.clip(natural, *_SPREAD), 0.0)


def level_of(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (p,) of columns, float64; no copy of all of them."""
    mean, sd = np.empty((2, x.shape[1]))
    for genes in _parts(x.shape[1]):
        part = x[:, genes].astype(np.float64)
        mean[genes], sd[genes] = part.mean(axis=0), part.std(axis=0)
    return mean, sd


def background_of(lines: np.ndarray) -> Background:
    """What `draw` has to know of all lines (n, p)."""
    mean, sd, natural = spread_between(lines)
    excess = np.empty(len(mean))
    for genes in _parts(len(mean)):
        z = np.clip((lines[:, genes] - mean[genes]) / sd[genes], -_CLIP, _CLIP)
        excess[genes] = np.log(np.exp(natural[genes] * z).mean(axis=0))
    return Background(mean, sd, natural, excess)


def draw(
    lines: np.ndarray,
    seen: Platform,
    generator: np.random.Generator,
    n_per_line: int | np.ndarray,
    whole: Background,
) -> Drawn:
    """Draw pseudo-cells of held-out lines as the target's platform would show them.

    Parameters
    ----------
    lines
        Held-out lines (n, p), log expression or z-scores; genes in the order of the platform.
    seen
        The platform, estimated from a sample of the target's cells.
    generator
        Generator.
    n_per_line
        Cells of each line, one number or one a line.
    whole
        What `background_of` tells of all lines.

    Returns
    -------
    Rows on the scale of the target, and the line whose state each has.
    """
    state = np.clip((lines - whole.mean) / whole.sd, -_CLIP, _CLIP)
    line = np.repeat(np.arange(lines.shape[0]), n_per_line)
    if seen.scaled:
        x = seen.signal * state[line] + seen.residual[generator.integers(seen.residual.shape[0], size=line.size)]
        return Drawn(x.astype(np.float32), line)
    level = seen.level - whole.excess  # lines on average have the target's level
    state *= whole.natural
    state += level
    rate = np.exp(state, out=state)
    rate /= rate.sum(axis=1, keepdims=True)
    like = generator.integers(seen.depth.size, size=line.size)
    rate = rate[line]
    rate *= seen.depth[like, None]
    x = np.empty(rate.shape, np.float32)
    blocks = [slice(low, low + _ROWS) for low in range(0, len(rate), _ROWS)]
    for rows in blocks:
        rate[rows] *= generator.standard_gamma(1.0 / seen.dispersion, size=rate[rows].shape) * seen.dispersion
    for rows in blocks:
        x[rows] = generator.poisson(rate[rows])
    x /= seen.unit[like, None].astype(np.float32)
    return Drawn(np.log1p(x, out=x), line)
