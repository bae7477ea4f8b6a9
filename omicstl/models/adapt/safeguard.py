"""Is the transfer better than what does without it? Held-out rows and a paired bootstrap decide (numpy)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from omicstl._core.random import Streams
from omicstl.kernels.paired_bootstrap import Gap, paired_gap
from omicstl.models.transfer import heads
from omicstl.models.transfer.heads import MULTILABEL, MULTINOMIAL, REGRESSION, Task

from .closed_forms.base import fit_closed
from .problem import Aligned, Method, Problem
from .selection import Score, measure_of
from .source_weights import BOUND, own_heads, source_weights

FEW = 200  # labelled rows below which folds are drawn twice
N_RESAMPLES = 1000
TARGET_ONLY, UNALIGNED = "target only", "sources unaligned"


class Guard(NamedTuple):
    """A comparison on rows whose labels neither side had seen."""

    gap: Gap  # in units of `measure`; above 0 the transfer is better
    measure: str
    baseline: str  # `TARGET_ONLY` or `UNALIGNED`
    n_rows: int

    @property
    def fall_back(self) -> bool:
        """On labelled rows of the target unless there is a benefit; on rows of the sources if the interval excludes one."""
        return not self.gap.mean > 0 if self.baseline == TARGET_ONLY else bool(self.gap.high < 0)


def compare(
    task: Task,
    a: np.ndarray,
    b: np.ndarray,
    y: np.ndarray,
    generator: np.random.Generator,
    blocks: np.ndarray | None = None,
) -> Gap:
    """Gap of two linear predictors (n, c) of the same rows with labels (n, t); several outputs count as rows of one group."""
    measure = measure_of(task)
    if task.kind in (REGRESSION, MULTILABEL):
        known = np.isfinite(y)
        group = np.broadcast_to(np.arange(len(y))[:, None] if blocks is None else _codes(blocks)[:, None], y.shape)
        scale = np.ones(y.shape[1])
        if task.kind == REGRESSION:
            spread = np.nanstd(y, axis=0)
            scale = np.where(spread > 0, spread, 1)
        first, second = (_probable(task, z) / scale for z in (a, b))
        truth = (y / scale)[known]
        return paired_gap(
            first[known],
            second[known],
            truth if task.kind == REGRESSION else truth.astype(np.int64),
            measure,
            groups=group[known],
            n_resamples=N_RESAMPLES,
            generator=generator,
        )
    known = heads.labelled(y)
    first, second = (_probable(task, z)[known] for z in (a, b))
    own = None if blocks is None else _codes(blocks)[known]
    truth = y[known, 0].astype(np.int64)
    if task.kind == MULTINOMIAL:  # classes that are not among these rows have no curve
        present, truth = np.unique(truth, return_inverse=True)
        first, second = first[:, present], second[:, present]
    return paired_gap(first, second, truth, measure, groups=own, n_resamples=N_RESAMPLES, generator=generator)


def _codes(blocks: np.ndarray) -> np.ndarray:
    return np.unique(np.asarray(blocks).astype(str), return_inverse=True)[1].reshape(-1)


def _probable(task: Task, decision: np.ndarray) -> np.ndarray:
    if task.kind == REGRESSION:
        return decision
    p = heads.probabilities(task, decision)
    return p if task.kind in (MULTINOMIAL, MULTILABEL) else p[:, 1]


def held_out(
    method: Method, prepared: Any, plain: Aligned, lone: Aligned, problem: Problem, random: Streams
) -> tuple[np.ndarray, np.ndarray]:
    """
    Linear predictors (m, c) of the target's labelled rows with the transfer, and from the target alone.

    Each from folds that did not show the row's label to anything: weights of sources, penalties and heads are chosen anew.
    The target alone learns on `lone`; without a source of weight, both are that. Sources of networks are weighed on `plain`.
    """
    task, y = problem.task, problem.target.y
    known = np.flatnonzero(heads.labelled(y))
    strata = None if task.kind in (REGRESSION, MULTILABEL) else y[known, 0]
    blocks = None if problem.target.blocks is None else np.asarray(problem.target.blocks)[known]
    basis = prepared if method.closed else plain
    own = own_heads(basis, problem)
    none = np.zeros(len(problem.sources))
    sums = [np.zeros((len(y), task.n_out)) for _ in range(2)]
    repeats = 2 if method.closed and known.size < FEW else 1
    for repeat in range(repeats):
        generator = random.generator("folds", repeat)
        fold = heads.folds(np.zeros(known.size) if strata is None else strata, blocks, heads.FOLDS, generator)
        for number in np.unique(fold):
            rows = known[fold == number]
            part = replace(problem.hidden(rows), left_out=False)
            if not heads.labelled(part.target.y).any():
                continue
            alone = fit_closed(lone, part, none).target[rows] / repeats
            weights = source_weights(basis, part, own, judged=True).weights  # on the fewer labels, too
            sums[0][rows] += method.fit(prepared, part, weights).target[rows] / repeats if weights.any() else alone
            sums[1][rows] += alone
    return sums[0], sums[1]


def guard_labelled(
    method: Method, prepared: Any, plain: Aligned, lone: Aligned, problem: Problem, random: Streams
) -> tuple[Guard, np.ndarray]:
    """Against the target alone, on its labelled rows; and the predictors of these rows from folds."""
    transfer, alone = held_out(method, prepared, plain, lone, problem, random)
    known = np.flatnonzero(heads.labelled(problem.target.y))
    blocks = None if problem.target.blocks is None else np.asarray(problem.target.blocks)[known]
    gap = compare(
        problem.task, transfer[known], alone[known], problem.target.y[known], random.generator("bootstrap"), blocks
    )
    return Guard(gap, measure_of(problem.task), TARGET_ONLY, known.size), transfer


def guard_blind(problem: Problem, mine: Score, other: Score, random: Streams) -> Guard:
    """Against sources that are not aligned, on rows of the sources: from the other sources if these say anything, else circular."""
    agree = any(one.across is not None and one.between.value > BOUND * one.between.error for one in (mine, other))
    first, second = (one.across if agree and one.across is not None else one.back for one in (mine, other))
    gap = compare(problem.task, first, second, mine.y, random.generator("bootstrap"), mine.blocks)
    return Guard(gap, measure_of(problem.task), UNALIGNED, int(heads.labelled(mine.y).sum()))
