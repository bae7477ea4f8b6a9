"""Several domains of which one is to be predicted: what methods are given, and what they give back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Protocol

import numpy as np

from omicstl._core.options.training import Training
from omicstl._core.random import Streams
from omicstl.models.transfer.heads import Task


class Domain(NamedTuple):
    """Rows of one domain."""

    name: str
    x: np.ndarray  # (n, p) float64
    y: np.ndarray  # (n, t), NaN where unknown
    blocks: np.ndarray | None = None  # (n,) what is left out together


@dataclass(frozen=True, eq=False)
class Problem:
    """Sources with labels, and a target with some or none."""

    sources: tuple[Domain, ...]
    target: Domain
    task: Task
    features: np.ndarray
    balanced: bool = False
    left_out: bool = True
    """Whether predictions for labelled rows are to be made without their label; a fit in a fold needs neither these nor a latent."""
    training: Training | None = None
    """For networks."""
    n_members: int | None = None
    """For networks."""
    focus: float = 0.0
    """Exponent of the focal loss, for networks."""
    spaces: dict[Any, Any] = field(default_factory=dict)
    """Row spaces of the same domains on the same scale; problems with other labels share them."""

    def hidden(self, rows: np.ndarray | None = None) -> Problem:
        """Without the labels of these rows of the target; of all of them by default."""
        y = self.target.y.copy()
        y[slice(None) if rows is None else rows] = np.nan
        return replace(self, target=self.target._replace(y=y))


class Aligned(NamedTuple):
    """All domains in one space of r columns; a new row of the target comes there as ``x @ matrix + offset``."""

    sources: tuple[np.ndarray, ...]  # (n_s, r) each
    target: np.ndarray  # (m, r)
    matrix: np.ndarray  # (p, r)
    offset: np.ndarray  # (r,)
    diagnostics: dict[str, np.ndarray]  # a number for each source


class Fitted(NamedTuple):
    """Linear predictors and latent variables of all rows, and the model for new rows of the target."""

    sources: tuple[
        np.ndarray, ...
    ]  # (n_s, c); of labelled rows as if their own label had not been seen, where the method can
    target: np.ndarray  # (m, c), likewise
    latent_sources: tuple[np.ndarray, ...]  # (n_s, k)
    latent_target: np.ndarray  # (m, k)
    model: (
        Any  # `AdaptModel`, or what has its `kind`, `version`, `features`, `predict`, `decide`, `embed` and `to_dict`
    )
    history: Mapping[str, np.ndarray] | None = None  # columns of a table, for networks


class Method(Protocol):
    """What a fit needs of a method; see `omicstl._core.options.adaptation.Adaptation`."""

    @property
    def closed(self) -> bool:
        """Whether ``prepare`` gives an `Aligned`."""

    def prepare(self, problem: Problem, random: Streams) -> Any:
        """Do what needs no label of the target."""

    def fit(self, prepared: Any, problem: Problem, weights: np.ndarray) -> Fitted:
        """Learn from the labels that `problem` shows."""


def groups(problem: Problem) -> np.ndarray | None:
    """What is left out together, as numbers, over all sources and the target; `None` where a domain does not say."""
    domains = (*problem.sources, problem.target)
    if any(d.blocks is None for d in domains):
        return None
    return np.unique(np.concatenate([np.asarray(d.blocks).astype(str) for d in domains]), return_inverse=True)[1]
