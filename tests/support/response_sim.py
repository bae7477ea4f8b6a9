"""Cell lines and cells from one small generator (section by section plain numpy), for the tests of drug response."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from omicstl.models.selection import pseudo_cells


class Sim(NamedTuple):
    x: np.ndarray  # lines, log2
    y: np.ndarray  # (n, d)
    lineage: np.ndarray
    cells: np.ndarray  # log1p of counts per 10,000
    totals: np.ndarray
    sensitive: np.ndarray  # (m,) the state of a cell, for the first response
    truth: np.ndarray  # (m,) its place along the response
    clone: np.ndarray
    counts: np.ndarray


def simulate(
    seed=0, n=200, m=400, p=400, k=16, *, n_drugs=1, sep=2.0, shift=1.0, umi=2500, subclones=False, noise=0.5, tissues=8
):
    """Response along three programmes. With `subclones` every clone holds both states, else the states are mixed."""
    rng = np.random.default_rng(seed)
    mean = rng.normal(2.5, 1.6, p)
    loading = rng.normal(0, 0.7, (k, p)) * (rng.random((k, p)) < 0.08)
    tissue = rng.integers(0, tissues, n)
    of_tissue = rng.normal(0, 0.6, (tissues, p)) * (rng.random((tissues, p)) < 0.15)
    z = rng.normal(size=(n, k))
    x = mean + z @ loading + of_tissue[tissue] + rng.normal(0, 0.35, (n, p))
    weights = np.zeros((k, n_drugs))
    for d in range(n_drugs):
        weights[(3 * d + np.arange(3)) % k, d] = rng.uniform(0.8, 1.2, 3) * rng.choice([-1, 1], 3)
    y = z @ weights + rng.normal(0, noise, (n, n_drugs)) + rng.normal(0, 0.7, (tissues, n_drugs))[tissue]
    along = weights[:, 0] / np.linalg.norm(weights[:, 0])
    sensitive = rng.random(m) < 0.55
    clone = rng.integers(0, 3, m)
    centre = rng.normal(0, 1.2, (3, k))
    centre -= np.outer(centre @ along, along)
    if not subclones:
        spread = rng.normal(0, 0.6, (m, k))
    else:
        spread = rng.normal(0, 0.25, (m, k))
    state = centre[clone] + spread + np.outer(sep * (sensitive - 0.55), along)
    rate = (mean + of_tissue[0] + state @ loading) * np.log(2) + rng.normal(0, shift, p)
    rate = np.exp(rate - rate.max())
    depth = umi * np.exp(rng.normal(0, 0.4, m))
    expected = rate / rate.sum(axis=1, keepdims=True) * depth[:, None]
    counts = rng.poisson(expected * rng.gamma(2.5, 0.4, expected.shape)).astype(float)
    totals = np.maximum(counts.sum(axis=1), 1.0)
    return Sim(
        x.astype(np.float32),
        y,
        np.char.add("tissue", tissue.astype(str)),
        np.log1p(counts / totals[:, None] * 1e4).astype(np.float32),
        totals,
        sensitive,
        state @ weights[:, 0],
        clone,
        counts,
    )


def auroc(score, positive):
    """By counting pairs."""
    a, b = score[positive], score[~positive]
    return float((a[:, None] > b).mean() + 0.5 * (a[:, None] == b).mean())


def one_by_one(fit):
    """A fit of several candidates, each by itself."""
    return lambda lines, cells, candidates, held: [fit(lines, cells, c, held) for c in candidates]


def drawn_of(lines, cells, random, n_per_line=25, *, background=None, scaled=False, totals=None):
    """Pseudo-cells of lines as the platform of these cells would show them; all lines are the background."""
    seen = pseudo_cells.platform(cells, scaled=scaled, totals=totals)
    whole = pseudo_cells.background_of(lines if background is None else background)
    return pseudo_cells.draw(lines, seen, random.generator("pseudo_cells"), n_per_line, whole)


def ridge_scores(x, y, new, penalty=300.0):
    """Ridge on z-scored genes, each domain by itself: the plainest transfer (primal, by the normal equations)."""
    a = (x - x.mean(0)) / (x.std(0) + 1e-6)
    b = (new - new.mean(0)) / (new.std(0) + 1e-6)
    gram = a.T @ a + penalty * np.eye(a.shape[1])
    return b @ np.linalg.solve(gram, a.T @ (y - y.mean(0)))
