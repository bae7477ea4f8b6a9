"""Lines and cells in one space of genes: z-scores, components of the lines, ridge with whole groups left out (numpy)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from omicstl.models.transfer.screen import Lines

N_COMPONENTS = 150
PENALTIES = 10.0 ** np.arange(-4, 1.1, 0.5)
"""Of the largest eigenvalue."""
FOLDS = 10
STUDY_LINES = 10
_GENES = 1024


class Space(NamedTuple):
    """Lines and cells as z-scores of the genes that vary in both, each side by itself, and the lines' components."""

    lines: np.ndarray  # (n, p) float32
    cells: np.ndarray  # (m, p) float32
    kept: np.ndarray  # (genes given,) bool
    basis: np.ndarray  # (p, k) float32, orthonormal
    coords: np.ndarray  # (n, k) float64: lines @ basis
    cell_coords: np.ndarray  # (m, k) float64

    def weights(self, coefficients: np.ndarray) -> np.ndarray:
        """Weights of genes from those of components."""
        return self.basis @ np.asarray(coefficients, dtype=np.float32)


def standardise(x: np.ndarray, groups: np.ndarray | None = None) -> np.ndarray:
    """Z-score columns within groups of rows (float32); columns without spread, and rows that are alone, become 0."""
    out = np.array(x, dtype=np.float32)
    if groups is None:
        return _standardised(out)
    for group in np.unique(groups):
        out[groups == group] = _standardised(out[groups == group])
    return out


def _standardised(part: np.ndarray) -> np.ndarray:
    """In place."""
    if len(part):
        part -= part.mean(axis=0)
        spread = np.sqrt(np.einsum("ij,ij->j", part, part) / len(part))
        part /= np.where(spread > 1e-4, spread, np.inf)
    return part


def studies_of(study: np.ndarray | None) -> np.ndarray | None:
    """Studies as numbers, those of fewer than ten lines put together (or to the largest); `None` where there is but one."""
    if study is None:
        return None
    inverse = np.unique(np.asarray(study).astype(str), return_inverse=True)[1]
    n = np.bincount(inverse)
    inverse[n[inverse] < STUDY_LINES] = n.size
    if 0 < (inverse == n.size).sum() < STUDY_LINES:
        inverse[inverse == n.size] = int(np.argmax(n))
    found, inverse = np.unique(inverse, return_inverse=True)
    return inverse if found.size > 1 else None


def build(lines: Lines, cells: np.ndarray) -> Space:
    """Build the space; `cells` is a dense sample, (m, p) in the genes of the lines. Cost: n² p + n³, once for all drugs."""
    from scipy.linalg import eigh

    own = standardise(lines.x, studies_of(lines.study))
    parts = [slice(low, low + _GENES) for low in range(0, cells.shape[1], _GENES)]  # no second copy of all cells
    kept = np.any(own, axis=0) & np.concatenate([standardise(cells[:, part]).any(axis=0) for part in parts])
    if not kept.any():
        msg = "No shared gene varies both over the lines and over the cells, so there is nothing to compare."
        raise ValueError(msg)
    own = own if kept.all() else own[:, kept]
    other = _standardised(np.array(cells[:, kept], dtype=np.float32, order="C"))
    n, p = own.shape
    small = own @ own.T if n <= p else own.T @ own
    values, vectors = eigh(small.astype(np.float64), driver="evd", overwrite_a=True, check_finite=False)
    k = int(min(N_COMPONENTS, n - 1, p, (values > 1e-6 * values[-1]).sum()))
    values, vectors = values[::-1][:k], vectors[:, ::-1][:, :k]
    if n <= p:
        basis = own.T @ (vectors / np.sqrt(values)).astype(np.float32)
    else:
        basis = vectors.astype(np.float32)
    return Space(own, other, kept, basis, (own @ basis).astype(np.float64), (other @ basis).astype(np.float64))


class Ridge(NamedTuple):
    """Ridge with a free intercept on centred coordinates, diagonalised: any penalty costs a product."""

    rotated: np.ndarray  # (n, k)
    values: np.ndarray  # (k,)
    rotation: np.ndarray  # (k, k)

    def coefficients(self, y: np.ndarray, penalty: float) -> np.ndarray:
        """Coefficients (k,) or (k, r) for responses (n,) or (n, r)."""
        shrunk = (self.rotated / (self.values + penalty)).T @ (y - y.mean(axis=0))
        return self.rotation @ shrunk

    def left_out(self, y: np.ndarray, groups: np.ndarray, penalty: float) -> np.ndarray:
        """Predictions (n, r) of each group of rows by a fit without them: exact, from the hat matrix."""
        n = len(y)
        centred = y - y.mean(axis=0)
        scaled = self.rotated / (self.values + penalty)
        residual = centred - self.rotated @ (scaled.T @ centred)
        out = np.empty_like(y)
        for rows in members(groups):
            hat = self.rotated[rows] @ scaled[rows].T + 1 / n
            left = np.eye(rows.size) - hat
            out[rows] = y[rows] - np.linalg.solve(left + 1e-9 * np.eye(rows.size), residual[rows])
        return out


def ridge(coords: np.ndarray) -> Ridge:
    """Diagonalise a ridge on these coordinates (n, k)."""
    centred = coords - coords.mean(axis=0)
    values, rotation = np.linalg.eigh(centred.T @ centred)
    values = np.maximum(values, 0.0)
    return Ridge(centred @ rotation, values, rotation)


def members(groups: np.ndarray) -> list[np.ndarray]:
    """Rows of each group."""
    order = np.argsort(groups, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(np.asarray(groups)[order])) + 1)


def choose_penalty(fit: Ridge, y: np.ndarray, groups: np.ndarray) -> float:
    """Penalty with the smallest squared error of left-out groups."""
    grid = PENALTIES * max(float(fit.values[-1]), 1e-12)
    error = [float(np.mean((fit.left_out(y[:, None], groups, penalty)[:, 0] - y) ** 2)) for penalty in grid]
    return float(grid[int(np.argmin(error))])


def codes(labels: np.ndarray | None, n: int, generator: np.random.Generator) -> tuple[np.ndarray, bool]:
    """Groups as numbers; random folds, and False, where there are fewer than three of them."""
    if labels is not None:
        found, inverse = np.unique(np.asarray(labels).astype(str), return_inverse=True)
        if found.size >= 3:
            return inverse, True
    return generator.permutation(np.arange(n) % min(FOLDS, n)), False


def centre_within(values: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Subtract the mean of each group of rows."""
    n = np.bincount(groups)
    if values.ndim == 1:
        return values - (np.bincount(groups, values) / np.maximum(n, 1))[groups]
    one = np.zeros((n.size, len(groups)))
    one[groups, np.arange(len(groups))] = 1 / np.maximum(n, 1)[groups]
    return values - (one @ values)[groups]
