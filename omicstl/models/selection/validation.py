"""Scores of a transfer without labels in the target: folds by lineage, importance weights, the deep-embedded risk (numpy).

- Grouped validation leaves whole lineages out; random folds flatter a model that has learnt tissues.
- Importance-weighted validation :cite:p:`Sugiyama2007` weighs the loss of left-out lines by how much they look like
  cells. It needs the relation of genes to response to be the same in both, and enough effective lines.
- The deep-embedded risk :cite:p:`You2019` subtracts a control variate, which lowers the variance of that mean.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from omicstl.kernels.principal import leading

_MAX_DIMENSIONS = 20  # the effective number of lines falls exponentially with dimensions
_CLIP = 20.0  # largest weight, in multiples of the mean
_STAY = 5  # lines to fit on at least, of more than 20


class Weights(NamedTuple):
    """Importance of each line for the target, and how many lines that amounts to."""

    weights: np.ndarray  # (n,) mean 1
    effective: float  # (sum w)^2 / sum w^2
    clipped: float  # share of lines at the limit
    ratio: (
        np.ndarray
    )  # (n,) clipped as well, not rescaled: its mean is 1 in expectation only, which a control variate needs


class Risk(NamedTuple):
    """Importance-weighted mean of a loss, with and without the control variate."""

    weighted: float
    deep_embedded: float
    eta: float


def separable(groups: np.ndarray) -> bool:
    """Whether any group can be left out: there are two, and without the largest enough lines stay to fit on."""
    size = np.unique(groups, return_counts=True)[1]
    return bool(size.size > 1 and size.sum() - size.max() >= min(_STAY, size.sum() // 4))


def lineage_folds(groups: np.ndarray | None, n: int, n_folds: int, generator: np.random.Generator) -> np.ndarray:
    """Fold of each of `n` lines: whole groups, spread so that folds are of like size; random where these cannot be left out."""
    if groups is None or not separable(groups):
        return generator.permutation(np.arange(n) % max(min(n_folds, n), 2))
    names, index, size = np.unique(groups, return_inverse=True, return_counts=True)
    order = generator.permutation(names.size)
    order = order[np.argsort(-size[order], kind="stable")]
    load = np.zeros(min(n_folds, names.size))
    fold = np.empty(names.size, dtype=int)
    for group in order:
        fold[group] = load.argmin()
        load[fold[group]] += size[group]
    return fold[index]


def leading_components(lines: np.ndarray, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Leading components of both together, each domain z-scored by itself and with unit spread overall."""
    both = np.concatenate([standardised(lines), standardised(cells)])
    k = int(min(_MAX_DIMENSIONS, both.shape[0] - 1, both.shape[1]))
    score = leading(both, k)
    score = score / np.maximum(score.std(axis=0), 1e-12)
    return score[: len(lines)], score[len(lines) :]


def standardised(x: np.ndarray) -> np.ndarray:
    """Columns with mean 0 and variance 1; constant ones are 0."""
    x = np.asarray(x, dtype=np.float64)
    sd = x.std(axis=0)
    return (x - x.mean(axis=0)) / np.where(sd > 1e-8, sd, np.inf)


def importance_weights(
    lines: np.ndarray, cells: np.ndarray, generator: np.random.Generator, *, n_folds: int = 5, clip: float = _CLIP
) -> Weights:
    """Density ratio of cells to lines from a logistic discriminator, cross-fitted, clipped at `clip` times the mean.

    It reads values and squares: domains that are z-scored by themselves differ in spread, not in mean.

    `lines` (n, k) and `cells` (m, k) are in one space of at most 20 dimensions.
    """
    from sklearn.linear_model import LogisticRegression

    if lines.shape[1] > _MAX_DIMENSIONS:
        msg = f"importance weights need at most {_MAX_DIMENSIONS} dimensions, got {lines.shape[1]}."
        raise ValueError(msg)
    n, m = len(lines), len(cells)
    both = np.concatenate([lines, cells])
    centred = both - both.mean(axis=0)
    x, is_cell = np.hstack([both, centred**2 - (centred**2).mean(axis=0)]), np.repeat([0, 1], [n, m])
    fold = np.concatenate([generator.permutation(n) % n_folds, generator.permutation(m) % n_folds])
    logit = np.zeros(n)
    for i in range(n_folds):
        model = LogisticRegression(C=1.0, max_iter=2000).fit(x[fold != i], is_cell[fold != i])
        held = fold[:n] == i
        if held.any():
            logit[held] = model.decision_function(x[:n][held])
    raw = np.exp(np.clip(logit + np.log(n / m), -30, 30))
    limit = clip * raw.mean()
    ratio = np.minimum(raw, limit)
    weights = ratio / ratio.mean()
    return Weights(weights, float(weights.sum() ** 2 / (weights**2).sum()), float((raw > limit).mean()), ratio)


def weighted_risk(loss: np.ndarray, weights: np.ndarray) -> Risk:
    """Importance-weighted risk of left-out lines, and the deep-embedded one: ``E[wl] + eta E[w] - eta``.

    ``eta = -cov(wl, w) / var(w)``. `loss` and `weights` have one value for each line; weights that were rescaled to mean 1 leave the
    control variate nothing to do, so pass the ratio itself.
    """
    product = weights * loss
    variance = weights.var(ddof=1) if weights.size > 1 else 0.0
    eta = -float(np.cov(product, weights, ddof=1)[0, 1] / variance) if variance > 1e-12 else 0.0
    return Risk(float(product.sum() / weights.sum()), float(product.mean() + eta * weights.mean() - eta), eta)


def line_losses(score: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Squared error of each line in units of the variance of its drug, mean over drugs; NaN where nothing is measured.

    Scores are put on the scale of the response by one line per drug, so that only the order and shape count.
    """
    error = np.full(y.shape, np.nan)
    for d in range(y.shape[1]):
        ok = np.isfinite(y[:, d]) & np.isfinite(score[:, d])
        if ok.sum() < 3 or y[ok, d].std() < 1e-12:
            continue
        s = score[ok, d] - score[ok, d].mean()
        t = (y[ok, d] - y[ok, d].mean()) / y[ok, d].std()
        slope = max(float(s @ t / (s @ s)), 0.0) if s @ s > 1e-24 else 0.0  # a turned sign is an error, not a fit
        error[ok, d] = (t - slope * s) ** 2
    seen = np.isfinite(error)
    total = np.where(seen, error, 0.0).sum(axis=1)
    return np.where(seen.any(axis=1), total / np.maximum(seen.sum(axis=1), 1), np.nan)


def rank_parts(score: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Each row's part of Spearman's rho; the parts add up to it. NaN where a value is missing or nothing varies."""
    from scipy.stats import rankdata

    parts = np.full(y.shape, np.nan)
    ok = np.isfinite(y) & np.isfinite(score)
    if ok.sum() < 3:
        return parts
    a, b = (rankdata(v[ok]) - (ok.sum() + 1) / 2 for v in (score, y))
    norm = np.sqrt((a @ a) * (b @ b))
    if norm > 0:
        parts[ok] = a * b / norm
    elif b @ b > 0:
        parts[ok] = 0.0  # a score that says nothing
    return parts
