"""What closed forms share: the head on what they align, and maps between covariances (numpy, float64)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from omicstl._core.checks import check_number
from omicstl._core.options.adaptation import Adaptation
from omicstl.kernels import coral, linear_transport, subspace
from omicstl.models.adapt.model import AdaptModel
from omicstl.models.adapt.problem import Aligned, Fitted, Problem, groups
from omicstl.models.adapt.spaces import RANK
from omicstl.models.transfer import heads

LATENT = 50  # latent variables that are written


class ClosedForm(Adaptation):
    """An alignment that is solved: ``prepare`` gives an `Aligned`, and one head on the rows of all domains is fitted."""

    def fit(self, prepared: Aligned, problem: Problem, weights: np.ndarray) -> Fitted:
        """One head on the rows of all sources and the labelled rows of the target."""
        return fit_closed(prepared, problem, weights)


def fit_closed(aligned: Aligned, problem: Problem, weights: np.ndarray) -> Fitted:
    """One head on the rows of all sources, each with its source's weight, and the labelled rows of the target with weight 1."""
    z = np.vstack([*aligned.sources, aligned.target])
    y = np.vstack([*(d.y for d in problem.sources), problem.target.y])
    sizes = [len(part) for part in aligned.sources]
    w = np.concatenate(
        [*(np.full(n, share) for n, share in zip(sizes, weights, strict=True)), np.ones(len(aligned.target))]
    )
    head = heads.fit_head(
        problem.task,
        z,
        y,
        weights=w,
        groups=groups(problem),
        balanced=problem.balanced,
        outside=problem.left_out,
    )
    decision = np.where(np.isfinite(head.left_out), head.left_out, head.decide(z))
    cut = np.cumsum(sizes)
    n_latent = min(LATENT, z.shape[1], len(z) - 1)
    axes = subspace.principal_axes(z, n_latent) if problem.left_out else np.zeros((z.shape[1], 0))
    mean = z.mean(axis=0)
    latent = np.split((z - mean) @ axes, cut)
    model = AdaptModel(
        features=problem.features,
        names=np.array([f"AD{i + 1}" for i in range(axes.shape[1])], dtype=object),
        outputs=problem.task.names,
        task=problem.task.kind,
        method="",
        coefficients=(aligned.matrix @ head.coefficients).astype(np.float64),
        intercept=aligned.offset @ head.coefficients + head.intercept,
        components=(aligned.matrix @ axes).astype(np.float32),
        offset=(aligned.offset - mean) @ axes,
        n_obs=int((heads.labelled(y) & (w > 0)).sum()),
    )
    parts = np.split(decision, cut)
    return Fitted(tuple(parts[:-1]), parts[-1], tuple(latent[:-1]), latent[-1], model)


def _n_features(problem: Problem, start: Aligned) -> int:
    """Variables that a covariance is of: those beyond the space of the rows count, unless it was cut."""
    r = start.target.shape[1]
    return r if r == RANK else len(problem.features)


def mapped(problem: Problem, start: Aligned, align: Callable[..., Any], shrinkage: float | None) -> Aligned:
    """Each source by the map that `align` finds from its rows to those of the target."""
    p = _n_features(problem, start)
    rows = []
    for source in start.sources:
        matrix, offset = align(source, start.target, shrinkage=shrinkage, n_features=p)
        rows.append(source @ matrix + offset)
    distance = np.array([_distance(source, start.target, shrinkage, p) for source in start.sources])
    return start._replace(sources=tuple(rows), diagnostics={"distance": distance})


def _distance(source: np.ndarray, target: np.ndarray, shrinkage: float | None, p: int) -> float:
    """Share of the two covariances' traces that lies between them."""
    first, second = (coral.shrunk_covariance(z, shrinkage=shrinkage, n_features=p) for z in (source, target))
    outside = p - len(first.values)
    total = first.values.sum() + second.values.sum() + outside * (first.outside + second.outside)
    return linear_transport.squared_distance(first, second, outside) / float(total)


def check_shrinkage(value: float | None) -> None:
    """Refuse a share of the identity that is not above 0 and up to 1."""
    if value is not None:
        check_number("shrinkage", value, low=0, low_open=True, high=1)
