"""Which alignment, without any label of the target: how well labels come back to the sources, and carry from one source to another.

- Circular validation :cite:p:`Bruzzone2010`: the head of the sources calls the target, a head of these calls goes back to the sources, and
  their labels judge it. It sees an alignment that leaves the target on one side of the boundary.
- Between sources: each source in turn is a target whose labels judge what the others make of it.
- Within sources: rows left out of the sources' own head. It sees an alignment that takes away what tells labels apart.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from omicstl._core.discovery import methods
from omicstl._core.options.adaptation import Adaptation
from omicstl._core.random import Streams
from omicstl.models.transfer import heads
from omicstl.models.transfer.heads import BINARY, MULTINOMIAL, REGRESSION, Task
from omicstl.models.transfer.scores import Skill, skill

from . import closed_forms
from .problem import Aligned, Domain, Problem

MOST_ROWS = 1000  # of a domain


class Score(NamedTuple):
    """What one candidate reaches without labels of the target, and the predictors (n, c) of the sources' rows that it comes from."""

    circular: Skill
    between: Skill
    within: Skill
    back: np.ndarray  # circular
    across: np.ndarray | None  # between sources, where there are several
    y: np.ndarray  # (n, t)
    blocks: np.ndarray | None

    @property
    def value(self) -> float:
        """The lowest of what was measured: an alignment must stand all tests."""
        known = [one.value for one in self[:3] if np.isfinite(one.value)]
        return min(known) if known else -np.inf

    @property
    def error(self) -> float:
        """Standard error of no skill: a wide margin, since circular validation flatters alignments onto few directions."""
        return max((one.error for one in self[:3] if np.isfinite(one.value)), default=0.0)


class Selection(NamedTuple):
    """Candidates, their scores, and the position of the chosen one."""

    candidates: tuple[Adaptation, ...]
    scores: tuple[Score, ...]
    chosen: int


def calls(task: Task, decision: np.ndarray) -> np.ndarray:
    """Labels that a linear predictor gives."""
    if task.kind == REGRESSION:
        return decision
    if task.kind == MULTINOMIAL:
        return decision.argmax(axis=1).astype(float)[:, None]
    return (decision > 0).astype(float)


def _pooled(aligned: Aligned, problem: Problem) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    blocks = None
    if all(d.blocks is not None for d in problem.sources):
        blocks = np.concatenate([np.asarray(d.blocks).astype(str) for d in problem.sources])
    return np.vstack(aligned.sources), np.vstack([d.y for d in problem.sources]), blocks


def circular(aligned: Aligned, problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """Predictors (n, c) for the sources' rows from what their own head says of the target, and from that head without them."""
    task = problem.task
    z, y, blocks = _pooled(aligned, problem)
    out = heads.fit_head(task, z, y, groups=blocks, balanced=problem.balanced)
    said = calls(task, out.decide(aligned.target))
    if task.kind != REGRESSION and all(np.unique(column).size < 2 for column in said.T):
        return np.full((len(z), task.n_out), out.intercept), out.left_out  # all called alike: nothing comes back
    back = heads.fit_head(task, aligned.target, said, balanced=problem.balanced, outside=False)
    return back.decide(z), out.left_out


def between(options: Adaptation, problem: Problem, random: Streams) -> tuple[np.ndarray, Skill]:
    """Predictors of every source from all others, and the mean skill."""
    decisions, found = [], []
    for i, held in enumerate(problem.sources):
        rest = tuple(d for j, d in enumerate(problem.sources) if j != i)
        part = replace(problem, sources=rest, target=held).hidden()
        aligned = options.prepare(part, random)
        z, y, blocks = _pooled(aligned, part)
        head = heads.fit_head(problem.task, z, y, groups=blocks, balanced=problem.balanced, outside=False)
        decisions.append(head.decide(aligned.target))
        one = skill(problem.task, decisions[-1], held.y, calls=True)
        if np.isfinite(one.value):
            found.append(one)
    if not found:
        return np.vstack(decisions), Skill(np.nan, np.nan)
    error = float(np.sqrt(np.mean([one.error**2 for one in found]) / len(found)))
    return np.vstack(decisions), Skill(float(np.mean([one.value for one in found])), error)


def score(options: Adaptation, problem: Problem, random: Streams, aligned: Aligned | None = None) -> Score:
    """Scores of a closed form; labels of the target are hidden from all of it."""
    blind = problem.hidden()
    if aligned is None:
        aligned = options.prepare(blind, random)
    _, y, blocks = _pooled(aligned, blind)
    back, left = circular(aligned, blind)
    there, within = (skill(problem.task, decision, y, calls=True) for decision in (back, left))
    if len(problem.sources) == 1:
        return Score(there, Skill(np.nan, np.nan), within, back, None, y, blocks)
    across, mean = between(options, blind, random)
    return Score(there, mean, within, back, across, y, blocks)


def some(problem: Problem, random: Streams) -> Problem:
    """At most 1,000 rows of each domain, which is enough to choose by."""

    def thinned(domain: Domain, number: int) -> Domain:
        n = len(domain.x)
        if n <= MOST_ROWS:
            return domain
        rows = np.sort(random.generator("selection", number).permutation(n)[:MOST_ROWS])
        blocks = None if domain.blocks is None else domain.blocks[rows]
        return domain._replace(x=domain.x[rows], y=domain.y[rows], blocks=blocks)

    sources = tuple(thinned(domain, i + 1) for i, domain in enumerate(problem.sources))
    target = thinned(problem.target, 0)
    if all(a is b for a, b in zip((*sources, target), (*problem.sources, problem.target), strict=True)):
        return problem
    return replace(problem, sources=sources, target=target, spaces={})


def all_candidates() -> tuple[Adaptation, ...]:
    """Closed forms that have a rank, from nothing to most; of equals the first is taken."""
    ranked = [(one.rank, name) for name, one in methods(closed_forms).items() if one.rank is not None]
    return tuple(methods(closed_forms)[name]() for _, name in sorted(ranked))


def select(problem: Problem, random: Streams, candidates: tuple[Adaptation, ...] | None = None) -> Selection:
    """The first candidate whose score is within one standard error of the best: no alignment where none pays."""
    candidates = all_candidates() if candidates is None else candidates
    part = some(problem, random)
    scores = tuple(score(options, part, random) for options in candidates)
    values = np.array([one.value for one in scores])
    best = int(values.argmax())
    close = values >= values[best] - scores[best].error
    return Selection(candidates, scores, int(np.flatnonzero(close)[0]))


def measure_of(task: Task) -> str:
    """The measure that compares two predictions of the same rows."""
    return {REGRESSION: "mse", BINARY: "auroc", MULTINOMIAL: "auroc"}.get(task.kind, "log_score")
