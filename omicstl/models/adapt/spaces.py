"""Rows of all domains on their scales, in the space that they span together (numpy, float64)."""

from __future__ import annotations

import numpy as np

from omicstl._core.random import Streams
from omicstl.kernels import row_space

from .problem import Aligned, Problem

RANK = 500  # directions; beyond, the leading principal components

Scales = list[tuple[np.ndarray, np.ndarray]]


def moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each variable."""
    return x.mean(axis=0), x.std(axis=0)


def inverse(sd: np.ndarray) -> np.ndarray:
    """One over a spread; 0 for what does not vary."""
    used = sd > 1e-9 * max(float(sd.max(initial=0)), 1e-300)
    return np.divide(1.0, sd, out=np.zeros_like(sd), where=used)


def by_domain(problem: Problem, scale: bool) -> Scales:
    """Mean and factor of each variable in every source and, last, in the target."""
    found = [moments(d.x) for d in (*problem.sources, problem.target)]
    if scale:
        return [(mean, inverse(sd)) for mean, sd in found]
    n = np.array([len(d.x) for d in (*problem.sources, problem.target)], float)
    within = np.sqrt(sum(m * sd**2 for m, (_, sd) in zip(n, found, strict=True)) / n.sum())
    return [(mean, inverse(within)) for mean, _ in found]


def in_row_space(problem: Problem, scales: Scales, kind: str, random: Streams) -> Aligned:
    """Scaled rows of all domains in the space that they span together."""
    domains = (*problem.sources, problem.target)
    key = (kind, *(id(d.x) for d in domains))  # the arrays live as long as the problem
    if key not in problem.spaces:
        rows = [(d.x - mean) * factor for d, (mean, factor) in zip(domains, scales, strict=True)]
        if not all(part.any() for part in (rows[-1], np.vstack(rows[:-1]))):
            msg = "No variable varies within the target, or none within a source; there is nothing to learn. Look at the matrix."
            raise ValueError(msg)
        space = row_space.row_space(np.vstack(rows), RANK, generator=random.generator("row space"))
        parts = np.split(space.rows, np.cumsum([len(r) for r in rows])[:-1])
        mean, factor = scales[-1]
        matrix = space.basis * factor[:, None]
        problem.spaces[key] = Aligned(tuple(parts[:-1]), parts[-1], matrix, -mean @ matrix, {})
    return problem.spaces[key]


def own_scales(problem: Problem, scale: bool, random: Streams) -> Aligned:
    """Each domain at its own mean and, with `scale`, its own spread."""
    return in_row_space(problem, by_domain(problem, scale), f"by domain {scale}", random)


def target_alone(problem: Problem, random: Streams) -> Aligned:
    """Z-scores by domain for what learns from the target alone; the target's spreads are `steady_spread`."""
    scales = by_domain(problem, True)
    mean, factor = scales[-1]
    sd = steady_spread([d.x for d in problem.sources], problem.target.x)
    scales[-1] = (mean, np.where(factor > 0, inverse(sd), 0.0))
    return in_row_space(problem, scales, "target alone", random)


def steady_spread(sources: list[np.ndarray], target: np.ndarray) -> np.ndarray:
    """
    Standard deviations (p,) of the target's variables, drawn towards those of the sources as far as their difference may be chance.

    Few rows say little of a spread, above all of rare counts. The share is the variance that the logarithm of a ratio of two variances
    has by sampling, (kurtosis - 1) (1 / n + 1 / m), over the one that the ratios show among variables; the mean ratio is left as it is.
    """
    rows = np.vstack([x - x.mean(axis=0) for x in sources])
    other, own = rows.var(axis=0), target.var(axis=0)
    used = (inverse(np.sqrt(own)) > 0) & (inverse(np.sqrt(other)) > 0)
    if used.sum() < 2:
        return np.sqrt(own)
    ratio = np.log(own[used] / other[used])
    ratio -= ratio.mean()
    n, m = len(rows), len(target)
    kurtosis = np.mean((rows[:, used] ** 2) ** 2, axis=0) / other[used] ** 2
    chance = float(np.mean(kurtosis - 1)) * (1 / n + 1 / m)
    shown = float(np.mean(ratio**2))
    share = min(1.0, chance / shown) if shown > 0 else 1.0
    out = np.sqrt(own)
    out[used] = np.exp(0.5 * (np.log(own[used]) - share * n / (n + m) * ratio))
    return out
