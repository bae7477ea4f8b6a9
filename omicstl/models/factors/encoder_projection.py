"""Scores of new rows by trained encoders, when some of their genes are missing, and what that costs (numpy)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from omicstl._core.settings import settings
from omicstl.models.base import EncoderModel

from . import projection

RANK = 50  # components that speak for missing genes; the rest of the variance counts as noise
LEAST_NOISE = 0.05  # share of the variance: more components than the data support leave none
ROUNDS = 100
N_DRAWS = 1000


class Gaussian(NamedTuple):
    """Factor analysis of the training data, as the arrays of a linear model: leading components, and the rest as noise."""

    loadings: np.ndarray  # (p, r) axes times the square roots of their variances
    score_penalty: float
    score_cov: np.ndarray  # (r, r) identity
    noise: np.ndarray  # (p,)


class Completion(NamedTuple):
    """How rows of the genes at hand become rows of all genes; `solve` is `None` where missing genes are left at zero."""

    present: np.ndarray  # (g,)
    absent: np.ndarray  # (p - g,)
    solve: np.ndarray | None  # (g, r) from z-scores to scores
    loadings: np.ndarray | None  # (p - g, r)


class Embedded(NamedTuple):
    """Scores (n, k) and their standard deviations, and what was measured of the rows on the way."""

    scored: projection.Scored
    sd: np.ndarray


def lasting_variance(variance: np.ndarray, total: float, n_genes: int, n_obs: int) -> np.ndarray:
    r"""Variance along sample axes that other rows share, beyond noise; 0 for axes that only fit the training rows.

    In the spiked model with noise :math:`\sigma^2` and :math:`\gamma = p / n`, a sample variance
    :math:`y \sigma^2 > (1 + \sqrt\gamma)^2 \sigma^2` comes from a true :math:`\ell \sigma^2` with
    :math:`y = \ell (1 + \gamma / (\ell - 1))`, and its axis lies at a squared cosine of
    :math:`c^2 = (1 - \gamma / (\ell - 1)^2) / (1 + \gamma / (\ell - 1))` to the true one. New rows vary along it by
    :math:`((\ell - 1) c^2 + 1) \sigma^2` (Donoho, Gavish and Johnstone 2018). `total` of all genes gives :math:`\sigma^2`.
    """
    gamma, sigma = n_genes / n_obs, total / n_genes
    for _ in range(ROUNDS):
        y = variance / sigma
        spikes = y > (1 + np.sqrt(gamma)) ** 2
        b = y[spikes] + 1 - gamma
        beyond = (b + np.sqrt(np.maximum(b**2 - 4 * y[spikes], 0))) / 2 - 1
        before, sigma = sigma, max((total - sigma * beyond.sum()) / n_genes, LEAST_NOISE * total / n_genes)
        if abs(sigma - before) <= 1e-6 * before:
            break
    lasting = np.zeros(variance.size)
    lasting[spikes] = before * beyond * (1 - gamma / beyond**2) / (1 + gamma / beyond)
    return np.minimum(lasting, variance)


def _moments(model: EncoderModel) -> tuple[np.ndarray, np.ndarray]:
    """Variance of each gene, and the lasting variance along each axis; without a number of observations all of it lasts."""
    variance = model.variance.astype(np.float64)
    total = model.components.astype(np.float64) ** 2 @ variance + model.noise
    n_obs = getattr(model, "n_obs", None)
    return total, variance if n_obs is None else lasting_variance(variance, float(total.sum()), total.size, int(n_obs))


def gaussian(model: EncoderModel) -> Gaussian:
    """The leading components as loadings, with the variance that lasts; what else there is of a gene's variance is noise."""
    axes = model.components.astype(np.float64)
    total, lasting = _moments(model)
    leading = np.argsort(-lasting, kind="stable")[: min(RANK, max(int((lasting > 0).sum()), 1))]
    loadings = axes[:, leading] * np.sqrt(lasting[leading])
    noise = np.maximum(total - np.sum(loadings**2, axis=1), 0)
    penalty = max(float(noise.mean()), LEAST_NOISE * float(total.mean()), float(np.finfo(np.float32).tiny))
    return Gaussian(loadings, penalty, np.eye(leading.size), noise)


def panel(source: Gaussian, present: np.ndarray) -> projection.Panel:
    """Ridge map of the genes `present`, for the verdict and for filling in the others."""
    linear: Any = source  # the arrays of a linear model are all that is read
    return projection.panel(linear, present, "model")


def expected_r2(source: Gaussian, present: np.ndarray, part: projection.Panel) -> float:
    """R² of held-out genes that rows of the reference itself would show."""
    linear: Any = source
    return projection.expected_r2(linear, present, part)


def completion(source: Gaussian, present: np.ndarray, part: projection.Panel, missing: str) -> Completion:
    """Fill genes that are not `present` by their conditional mean (``"model"``), or leave them at their mean (``"mean"``)."""
    absent = np.setdiff1d(np.arange(len(source.loadings)), present)
    if missing == "mean" or not absent.size:
        return Completion(present, absent, None, None)
    return Completion(present, absent, part.solve.astype(np.float32), source.loadings[absent].astype(np.float32))


def complete(z: np.ndarray, how: Completion) -> np.ndarray:
    """Rows of all genes (n, p) float32 from z-scores of the genes at hand (n, g)."""
    rows = np.zeros((len(z), how.present.size + how.absent.size), dtype=np.float32)
    rows[:, how.present] = z
    if how.solve is not None and how.loadings is not None:
        rows[:, how.absent] = (rows[:, how.present] @ how.solve) @ how.loadings.T
    return rows


def captured_variance(model: EncoderModel, present: np.ndarray) -> float:
    """Share of the variance along the stored components that lies on the genes `present`."""
    carried = model.components.astype(np.float64) ** 2 @ model.variance
    return float(carried[present].sum() / carried.sum())


def score_rows(
    model: EncoderModel,
    rows: projection.Standardised,
    how: Completion,
    part: projection.Panel,
    permutations: list[np.ndarray],
    codes: np.ndarray | None = None,
) -> Embedded:
    """Embed rows and measure their held-out R² in the same pass (`projection.score_rows`)."""
    found: list[tuple[np.ndarray, np.ndarray]] = []

    def embedding() -> Iterator[np.ndarray]:
        low = 0
        for block in rows.blocks:
            of_block = None if codes is None else codes[low : low + len(block)]
            found.extend(_embed(model, (block - rows.centre) / rows.scale, how, of_block))
            low += len(block)
            yield block

    # Scores on the components are by-products; only R² is of use.
    measured = projection.score_rows(rows._replace(blocks=embedding()), part, permutations)
    scores, sd = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return Embedded(projection.Scored(scores, measured.r2, measured.r2_null), sd)


def _embed(
    model: EncoderModel, z: np.ndarray, how: Completion, codes: np.ndarray | None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Embed rows in parts that fit the budget with all genes of the model."""
    size = _rows_of(how.present.size + how.absent.size)
    for low in range(0, len(z), size):
        rows = complete(z[low : low + size], how)
        yield model.embed(rows) if codes is None else model.embed(rows, codes[low : low + size])


def _rows_of(n_genes: int) -> int:
    return max(1, settings.block_bytes // (8 * n_genes))


def factor_quality(
    model: EncoderModel, how: Completion, generator: np.random.Generator, n_draws: int = N_DRAWS
) -> projection.FactorQuality:
    """Agreement of panel scores with full scores, over rows drawn from the Gaussian of all stored components.

    Scores of a network have no closed form. The loading of a gene is taken as its covariance with the full score, and
    the share present is that of the squares. With all genes present everything is 1, and nothing is drawn.
    """
    k = model.names.size
    if not how.absent.size:
        return projection.FactorQuality(np.ones(k), np.ones(k), np.ones(k))
    total, lasting = _moments(model)
    axes = (model.components * np.sqrt(lasting)).astype(np.float32)
    left = np.sqrt(np.maximum(total - np.sum(axes**2, axis=1, dtype=np.float64), 0)).astype(np.float32)
    drawn = generator.standard_normal((n_draws, axes.shape[1]), dtype=np.float32)
    full, part = np.empty((n_draws, k)), np.empty((n_draws, k))
    products, sums = np.zeros((len(axes), k)), np.zeros(len(axes))
    size = _rows_of(len(axes))
    for low in range(0, n_draws, size):
        here = slice(low, min(low + size, n_draws))
        rows = drawn[here] @ axes.T
        rows += left * generator.standard_normal(rows.shape, dtype=np.float32)
        full[here], _ = model.embed(rows)
        part[here], _ = model.embed(complete(rows[:, how.present], how))
        products += rows.T @ full[here].astype(np.float32)
        sums += rows.sum(axis=0, dtype=np.float64)
    loading = (products - np.outer(sums, full.mean(axis=0))) ** 2
    full -= full.mean(axis=0)
    part -= part.mean(axis=0)
    both, var_full, var_part = (np.sum(a * b, axis=0) for a, b in ((full, part), (full, full), (part, part)))
    with np.errstate(invalid="ignore", divide="ignore"):
        return projection.FactorQuality(
            np.nan_to_num(both / np.sqrt(var_full * var_part)),
            np.nan_to_num(both / var_full),
            np.nan_to_num(loading[how.present].sum(axis=0) / loading.sum(axis=0)),
        )
