"""An adaptation from problem to prediction: choose, weigh the sources, check against doing without, fit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from omicstl._core.random import Streams
from omicstl.models.transfer import heads

from . import selection
from .closed_forms.unaligned import Unaligned
from .closed_forms.zscore import ZScore
from .methods import method_of
from .model import AdaptModel
from .problem import Aligned, Fitted, Problem
from .safeguard import Guard, guard_blind, guard_labelled
from .source_weights import SourceWeights, enough, source_weights, that_agree
from .spaces import target_alone


class Outcome(NamedTuple):
    """All that is worth knowing of a fit."""

    fitted: Fitted
    method: str  # that was asked for, or chosen
    used: str  # that predicts: the same, or what it fell back to
    options: Any  # the record of `used`
    weights: SourceWeights
    used_weights: np.ndarray
    candidates: tuple[str, ...]
    scores: tuple[selection.Score, ...]
    guard: Guard | None
    diagnostics: dict[str, np.ndarray]
    fell_back: bool  # the safeguard replaced the transfer


def fit(problem: Problem, options: Any, safeguard: bool, random: Streams) -> Outcome:
    """
    Fit the method that `options` is the record of; `None` chooses one without labels of the target.

    With enough labelled rows of the target the transfer is compared with the target alone on held-out ones; else an alignment
    is compared with none by what it does to the sources. Where that speaks against it and `safeguard` holds, the simpler one is fitted.
    """
    candidates: tuple[Any, ...] = ()
    scores: tuple[selection.Score, ...] = ()
    blind = problem.hidden()
    plain = ZScore().prepare(blind, random)
    agreed, kept = that_agree(plain, problem)
    if options is None:
        found = selection.select(agreed, random)
        candidates, scores, options = found.candidates, found.scores, found.candidates[found.chosen]
    method = method_of(options)
    prepared = plain if type(options) is ZScore and options.scale else method.prepare(blind, random)
    judged = enough(problem.task, problem.target.y, problem.target.blocks)
    weights = source_weights(prepared if method.closed else plain, problem)
    if not judged:  # who has no part in the choice has none in the fit, whatever an alignment makes of it
        left = weights.weights * kept
        weights = weights._replace(weights=left / (left.max() or 1.0))
    guard, folded = None, None
    if judged:
        lone = target_alone(blind, random)
        guard, folded = guard_labelled(method, prepared, plain, lone, problem, random)
    elif method.closed and type(options) is not Unaligned:
        if not scores:
            candidates = (Unaligned(), options)
            part = selection.some(agreed, random)
            scores = tuple(selection.score(one, part, random) for one in candidates)
        mine = scores[candidates.index(options)]
        guard = guard_blind(agreed, mine, scores[0], random)
    name = options.name
    used, used_weights = options, weights.weights
    fell_back = bool(safeguard and guard is not None and guard.fall_back and used_weights.any())
    if judged and (fell_back or not used_weights.any()):  # the target's own labels alone
        used, prepared, used_weights = ZScore(), lone, np.zeros(len(problem.sources))
    elif fell_back:
        used, prepared = Unaligned(), Unaligned().prepare(blind, random)
    method = method_of(used)
    if not used_weights.any() and not heads.labelled(problem.target.y).any():
        used_weights = kept.astype(float)
    fitted = method.fit(prepared, problem, used_weights)
    if folded is not None and used is options:  # labelled rows of the target: what folds that had not seen them said
        rows = heads.labelled(problem.target.y)
        fitted = fitted._replace(target=np.where(rows[:, None], folded, fitted.target))
    if isinstance(fitted.model, AdaptModel):
        fitted = fitted._replace(model=replace(fitted.model, method=used.name))
    diagnostics = prepared.diagnostics if isinstance(prepared, Aligned) else {}
    return Outcome(
        fitted,
        name,
        used.name,
        used,
        weights,
        used_weights,
        tuple(one.name for one in candidates),
        scores,
        guard,
        diagnostics,
        fell_back,
    )
