"""What `tl.adapt` writes and says."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from omicstl._core.checks import listed
from omicstl._core.log import TransferWarning, warn
from omicstl.models.adapt.fit import Outcome
from omicstl.models.adapt.safeguard import TARGET_ONLY
from omicstl.models.adapt.source_weights import ON_TARGET, SourceWeights
from omicstl.models.transfer.heads import labelled

if TYPE_CHECKING:
    from anndata import AnnData

    from omicstl.models.adapt.problem import Problem
    from omicstl.tl._shared.domains import Rows

LEAST_WEIGHT = 0.1


def params(options: Any, where: Rows, problem: Problem) -> dict[str, Any]:
    """What was used, in a form that files can hold."""
    return {
        "source": np.array(where.names, dtype=object),
        "target": where.target_name,
        "options": asdict(options),
        "focus": problem.focus,
        "n_obs": sum(len(d.x) for d in problem.sources) + len(problem.target.x),
        "n_labelled": int(sum(labelled(d.y).sum() for d in problem.sources)),
        "n_labelled_target": int(labelled(problem.target.y).sum()),
        "n_sources": len(where.names),
        "n_genes": int(problem.features.size),
    }


def all_rows(adata: AnnData, outcome: Outcome, where: Rows, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Predictors and latent variables of all rows; those of other domains count as new rows of the target."""
    fitted = outcome.fitted
    model = fitted.model
    decision = np.empty((adata.n_obs, fitted.target.shape[1]))
    latent = np.empty((adata.n_obs, fitted.latent_target.shape[1]), np.float32)
    used = np.zeros(adata.n_obs, bool)
    places = [*zip(where.sources, fitted.sources, fitted.latent_sources, strict=True)]
    for index, predictor, z in [*places, (where.target, fitted.target, fitted.latent_target)]:
        decision[index], latent[index], used[index] = predictor, z, True
    rest = np.flatnonzero(~used)
    if rest.size:
        decision[rest], latent[rest] = model.decide(x[rest]), model.embed(x[rest])
    return decision, latent


def about(outcome: Outcome, problem: Problem, where: Rows) -> dict[str, Any]:
    """What was chosen, what each source is worth, and whether the transfer helps."""
    found = {
        "outputs": problem.task.names,
        "task": problem.task.kind,
        "method": outcome.method,
        "used": outcome.used,
        "candidates": candidates(outcome),
        "sources": sources(outcome, problem, where),
        "safeguard": guard(outcome),
    }
    if outcome.fitted.history is not None:
        table = {name: np.asarray(values) for name, values in outcome.fitted.history.items()}
        found["history"] = pd.DataFrame(table)
    return found


def candidates(outcome: Outcome) -> pd.DataFrame:
    """Scores that need no label of the target; NaN where a test does not apply."""
    scores = outcome.scores
    return pd.DataFrame(
        {
            "method": np.array(outcome.candidates, dtype=object),
            "circular": np.array([s.circular.value for s in scores], dtype=np.float64),
            "between_sources": np.array([s.between.value for s in scores], dtype=np.float64),
            "within_sources": np.array([s.within.value for s in scores], dtype=np.float64),
            "score": np.array([s.value for s in scores], dtype=np.float64),
            "error": np.array([s.error for s in scores], dtype=np.float64),
            "chosen": np.array([name == outcome.method for name in outcome.candidates], dtype=bool),
        }
    )


def sources(outcome: Outcome, problem: Problem, where: Rows) -> pd.DataFrame:
    """What each source is worth, and what that was measured on."""
    table = {
        "source": np.array(where.names, dtype=object),
        "n_obs": np.array([len(d.x) for d in problem.sources], dtype=np.int64),
        "n_labelled": np.array([int(labelled(d.y).sum()) for d in problem.sources], dtype=np.int64),
        "weight": outcome.weights.weights.astype(np.float64),
        "weight_used": outcome.used_weights.astype(np.float64),
        "skill": outcome.weights.skill.astype(np.float64),
        "skill_error": outcome.weights.error.astype(np.float64),
        "measured_on": np.array([outcome.weights.measured_on] * len(where.names), dtype=object),
    }
    return pd.DataFrame(table | {name: np.asarray(values) for name, values in outcome.diagnostics.items()})


def guard(outcome: Outcome) -> dict[str, Any]:
    """The comparison with what does without the transfer."""
    found = outcome.guard
    if found is None:
        return {"baseline": "", "fell_back": False}
    return {
        "baseline": found.baseline,
        "measure": found.measure,
        "gap": found.gap.mean,
        "low": found.gap.low,
        "high": found.gap.high,
        "n_rows": found.n_rows,
        "fell_back": outcome.fell_back,
    }


def doubt(outcome: Outcome, where: Rows) -> None:
    """Warn before anything is written, in case that warnings are errors."""
    found, weights = outcome.guard, outcome.weights
    if outcome.fell_back and found is not None:
        other = "the target's own labels alone" if found.baseline == TARGET_ONLY else "sources that are not aligned"
        warn(
            f"The transfer ({outcome.method}) did not help: held-out {found.measure} against {other} differs by {found.gap.mean:.3g} "
            f"({found.gap.low:.3g} to {found.gap.high:.3g}). Predictions are those of {other}; safeguard=False keeps the transfer.",
            TransferWarning,
        )
    elif weights.measured_on == ON_TARGET and not weights.weights.any():
        warn(
            f"No source predicts the target's labels beyond chance ({listed(where.names)}). They have no weight, and predictions come "
            "from the target's own labels alone.",
            TransferWarning,
        )
    elif found is not None and found.gap.high < 0:
        warn(
            f"The transfer ({outcome.method}) is worse than {found.baseline}: held-out {found.measure} differs by {found.gap.mean:.3g} "
            f"({found.gap.low:.3g} to {found.gap.high:.3g}). safeguard=True falls back.",
            TransferWarning,
        )
    if weights.measured_on != ON_TARGET and len(where.names) == 2 and _disagree(weights):
        warn(
            f"The sources {listed(where.names)} do not predict each other's labels, and nothing says which of them fits the target. "
            "Both have weight 1. Label some observations of the target, or name one source.",
            TransferWarning,
        )


def _disagree(weights: SourceWeights) -> bool:
    known = np.isfinite(weights.skill)
    return bool(known.any() and weights.skill[known].max() <= weights.error[known].max())


def sentences(outcome: Outcome, where: Rows) -> list[str]:
    """What is told of the fit."""
    shares = ", ".join(f"{n} {w:.2f}" for n, w in zip(where.names, outcome.used_weights, strict=True))
    low = [n for n, w in zip(where.names, outcome.weights.weights, strict=True) if w < LEAST_WEIGHT]
    told = [
        f"adapt: {outcome.used} from {shares} to {where.target_name}; weights measured on: {outcome.weights.measured_on}."
    ]
    return [*told, f"Sources that hardly count: {listed(low)}."] if low else told
