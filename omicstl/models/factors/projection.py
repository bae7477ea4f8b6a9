"""Scores of new rows on fitted loadings, and what speaks for and against them (numpy: a pass bound by one product a block)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from omicstl.models.base import LinearModel


class Panel(NamedTuple):
    """A model restricted to the genes at hand: loadings (g, k), and the map from z-scores to scores (g, k)."""

    loadings: np.ndarray
    solve: np.ndarray


class Standardised(NamedTuple):
    """Rows of the genes at hand (g), in blocks, and what makes the z-scores ``(x - centre) / scale`` of them."""

    blocks: Iterable[np.ndarray]
    n_rows: int
    centre: np.ndarray  # (g,)
    scale: np.ndarray  # (g,)
    mean: np.ndarray  # (g,) of these rows


class Scored(NamedTuple):
    """Scores (n, k); R² of each row's genes from its other genes, and the largest of the same with genes permuted."""

    scores: np.ndarray
    r2: np.ndarray
    r2_null: np.ndarray


class FactorQuality(NamedTuple):
    """Per factor: correlation and slope of its score on the panel against its score on all genes; loading present."""

    expected_r: np.ndarray
    expected_slope: np.ndarray
    present_loading: np.ndarray


def panel(model: LinearModel, present: np.ndarray, missing: str) -> Panel:
    """Ridge map of the genes `present`; ``missing="mean"`` keeps the normal equations of all genes, as if they were zero."""
    import scipy.linalg

    loadings = model.loadings.astype(np.float64)
    used = loadings if missing == "mean" else loadings[present]
    gram = used.T @ used + model.score_penalty * np.eye(loadings.shape[1])
    solve = scipy.linalg.solve(gram, loadings[present].T, assume_a="pos").T
    return Panel(loadings[present], solve)


def factor_quality(model: LinearModel, present: np.ndarray, part: Panel) -> FactorQuality:
    r"""Expected agreement of panel scores and full scores in the reference, in closed form.

    With :math:`\mathrm{cov}(y) = Z \Sigma Z^\top + \Psi` of the reference (scores' covariance and what they leave),
    both scores are linear in y. A model that knows neither takes its ridge at its word: :math:`\Sigma = I`,
    :math:`\Psi = \lambda I`.
    """
    full = panel(model, np.arange(len(model.loadings)), "model")
    cov, noise = _moments(model)
    seen_full, seen_part = full.solve.T @ full.loadings, part.solve.T @ part.loadings
    with np.errstate(invalid="ignore", divide="ignore"):
        both = _diagonal(seen_full @ cov, seen_part) + np.sum(
            full.solve[present] * noise[present, None] * part.solve, axis=0
        )
        var_full = _diagonal(seen_full @ cov, seen_full) + np.sum(full.solve**2 * noise[:, None], axis=0)
        var_part = _diagonal(seen_part @ cov, seen_part) + np.sum(part.solve**2 * noise[present, None], axis=0)
        correlation = np.nan_to_num(both / np.sqrt(var_full * var_part))
        slope = np.nan_to_num(both / var_full)
        whole = np.sum(full.loadings**2, axis=0)
        loading = np.nan_to_num(np.sum(part.loadings**2, axis=0) / whole)
    return FactorQuality(correlation, slope, loading)


def expected_r2(model: LinearModel, present: np.ndarray, part: Panel) -> float:
    """The R² of leave-one-gene-out prediction that rows of the reference itself would show on this panel."""
    cov, noise = _moments(model)
    psi = noise[present]
    leverage = np.sum(part.solve * part.loadings, axis=1)
    # (I - H) (Z S Z' + Psi) (I - H)' on the diagonal, with H = Z solve'
    rest = part.loadings - part.loadings @ (part.solve.T @ part.loadings)
    structure = np.sum((rest @ cov) * rest, axis=1)
    carried = part.solve.T @ (psi[:, None] * part.solve)
    own = psi * (1 - 2 * leverage) + np.sum((part.loadings @ carried) * part.loadings, axis=1)
    total = np.sum((part.loadings @ cov) * part.loadings, axis=1) + psi
    return float(1 - np.sum((structure + own) / (1 - leverage) ** 2) / np.sum(total))


def _moments(model: LinearModel) -> tuple[np.ndarray, np.ndarray]:
    p, k = model.loadings.shape
    if model.score_cov is None or model.noise is None:
        return np.eye(k), np.full(p, model.score_penalty)
    return np.asarray(model.score_cov, dtype=np.float64), np.asarray(model.noise, dtype=np.float64)


def _diagonal(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.sum(a * b, axis=1)


def score_rows(rows: Standardised, part: Panel, permutations: list[np.ndarray]) -> Scored:
    """Score rows in blocks; their own mean is taken off before R² is measured.

    Each gene is predicted from all others through the model (leave-one-out residual of a ridge, ``e / (1 - h)``);
    the null gives the loadings to other genes, the same ones for every row.
    """
    blocks, n_rows, centre, scale, mean = rows
    solve = (part.solve / scale[:, None]).astype(np.float32)
    shift = (centre - mean) @ (part.solve / scale[:, None])
    k = solve.shape[1]
    scores = np.empty((n_rows, k), dtype=np.float32)
    r2, r2_null = np.full(n_rows, np.nan), np.full(n_rows, np.nan)
    map_, loadings = part.solve.astype(np.float32), part.loadings.astype(np.float32)
    keep = (1 / (1 - np.sum(part.solve * part.loadings, axis=1))).astype(np.float32)
    low = 0
    for block in blocks:
        here = slice(low, low + len(block))
        centred = (block - mean).astype(np.float32)
        scores[here] = centred @ solve - shift
        if n_rows >= 3 and permutations:
            z = centred / scale.astype(np.float32)
            total = np.maximum(np.sum(z * z, axis=1, dtype=np.float64), np.finfo(np.float32).tiny)
            r2[here] = 1 - _press(z, map_, loadings, keep) / total
            null = [1 - _press(z, map_[order], loadings[order], keep[order]) / total for order in permutations]
            r2_null[here] = np.max(null, axis=0)
        low += len(block)
    return Scored(scores, r2, r2_null)


def _press(z: np.ndarray, solve: np.ndarray, loadings: np.ndarray, keep: np.ndarray) -> np.ndarray:
    left = z - (z @ solve) @ loadings.T
    left *= keep
    return np.einsum("ng,ng->n", left, left, dtype=np.float64)
