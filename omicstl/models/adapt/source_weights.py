"""How much each source is worth to the target: by labelled rows of the target where there are enough, else by the other sources."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from omicstl.models.transfer import heads
from omicstl.models.transfer.heads import MULTILABEL, MULTINOMIAL, REGRESSION, Task
from omicstl.models.transfer.scores import Skill, skill

from .problem import Aligned, Domain, Problem

LEAST_ROWS = 20  # labelled rows of the target
LEAST_OF_A_CLASS = 5
LEAST_BLOCKS = 5
BOUND = 1.645  # standard errors of no skill that are taken off: a one-sided 95 % bound
ON_TARGET, ON_SOURCES, NOT_MEASURED = "labelled target", "other sources", "not measured"


class SourceWeights(NamedTuple):
    """Weights of rows of each source beside those of the target, which weigh 1, and what they come from."""

    weights: np.ndarray  # (s,) 0 to 1
    skill: np.ndarray  # (s,) NaN where not measured
    error: np.ndarray  # (s,) standard error of no skill
    measured_on: str


def enough(task: Task, y: np.ndarray, blocks: np.ndarray | None = None) -> bool:
    """Whether the labels of the target can judge anything: 20 rows, 5 of each class that there is, of 5 blocks if there are some."""
    known = heads.labelled(y)
    if known.sum() < LEAST_ROWS or (blocks is not None and np.unique(np.asarray(blocks)[known]).size < LEAST_BLOCKS):
        return False
    if task.kind == REGRESSION:
        return True
    if task.kind == MULTILABEL:
        ones, seen = np.nansum(y, axis=0), np.isfinite(y).sum(axis=0)
        return bool((np.minimum(ones, seen - ones) >= LEAST_OF_A_CLASS).any())
    counts = np.unique(y[known, 0], return_counts=True)[1]
    return counts.size > 1 and int(counts.min()) >= LEAST_OF_A_CLASS


def bound(one: Skill) -> float:
    """What a skill is at least, 0 where it may be none."""
    return max(one.value - BOUND * one.error, 0.0) if np.isfinite(one.value) else 0.0


def own_heads(aligned: Aligned, problem: Problem) -> list[heads.Head]:
    """A head for each source by itself."""
    return [_head(problem, z, d) for z, d in zip(aligned.sources, problem.sources, strict=True)]


def _head(problem: Problem, z: np.ndarray, domain: Domain) -> heads.Head:
    return heads.fit_head(problem.task, z, domain.y, groups=domain.blocks, balanced=problem.balanced, outside=False)


def source_weights(
    aligned: Aligned, problem: Problem, own: list[heads.Head] | None = None, *, judged: bool | None = None
) -> SourceWeights:
    """
    Weights of the sources.

    With enough labelled rows of the target: the skill of each source's head there, less 1.645 standard errors, over the largest
    of these and of the same for the target's own labels. A source that may have no skill has none, and where the target
    knows more than its sources, they count little. Without: the skill between two sources, the mean of both directions,
    at its best partner; a source that agrees with no other has no weight. Two sources that disagree, or one, cannot be judged: weight 1.
    """
    own = own_heads(aligned, problem) if own is None else own
    s = len(own)
    if enough(problem.task, problem.target.y, problem.target.blocks) if judged is None else judged:
        found = [skill(problem.task, head.decide(aligned.target), problem.target.y) for head in own]
        self_skill = _target_alone(aligned, problem)
        lower = np.array([bound(one) for one in found])
        largest = max(lower.max(initial=0), bound(self_skill))
        return SourceWeights(
            lower / largest if largest > 0 else np.zeros(s),
            np.array([one.value for one in found]),
            np.array([one.error for one in found]),
            ON_TARGET,
        )
    nothing = np.full(s, np.nan)
    if s == 1:
        return SourceWeights(np.ones(1), nothing, nothing, NOT_MEASURED)
    value, error = _between(aligned, problem, own)
    lower = np.array([bound(Skill(v, e)) for v, e in zip(value, error, strict=True)])
    judged = s > 2 and lower.max() > 0
    return SourceWeights(lower / lower.max() if judged else np.ones(s), value, error, ON_SOURCES)


def that_agree(plain: Aligned, problem: Problem) -> tuple[Problem, np.ndarray]:
    """
    The problem without sources that no other one confirms, judged without labels of the target, and which (s,) are left.

    An alignment is to be judged by what carries over: a source that contradicts all others would make every alignment look useless.
    """
    kept = source_weights(plain, problem.hidden(), judged=False).weights > 0
    if kept.all():
        return problem, kept
    return replace(problem, sources=tuple(d for d, k in zip(problem.sources, kept, strict=True) if k), spaces={}), kept


def _target_alone(aligned: Aligned, problem: Problem) -> Skill:
    left = heads.fit_head(
        problem.task,
        aligned.target,
        problem.target.y,
        groups=problem.target.blocks,
        balanced=problem.balanced,
        outside=problem.task.kind == MULTINOMIAL,
    ).left_out
    return skill(problem.task, left, problem.target.y)


def _between(aligned: Aligned, problem: Problem, own: list[heads.Head]) -> tuple[np.ndarray, np.ndarray]:
    """Skill of each source and the one that it agrees with best, and its standard error of none."""
    s = len(own)
    value, error = np.full((s, s), np.nan), np.full((s, s), np.nan)
    for i in range(s):
        for j in range(s):
            if i != j:
                one = skill(problem.task, own[i].decide(aligned.sources[j]), problem.sources[j].y)
                value[i, j], error[i, j] = one
    mean, spread = (value + value.T) / 2, np.sqrt(error**2 + error.T**2) / 2
    lower = np.where(np.isfinite(mean), mean - BOUND * spread, -np.inf)
    best = lower.argmax(axis=1)
    return mean[np.arange(s), best], spread[np.arange(s), best]
