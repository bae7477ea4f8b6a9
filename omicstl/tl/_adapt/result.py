"""What `tl.adapt` writes and says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from omicstl._core.checks import listed
from omicstl._core.log import TransferWarning, info, warn
from omicstl._data import store
from omicstl._data.commit import Result
from omicstl.models.adapt.fit import Outcome
from omicstl.models.adapt.safeguard import TARGET_ONLY
from omicstl.models.adapt.source_weights import ON_TARGET, SourceWeights
from omicstl.models.transfer.heads import BINARY, MULTINOMIAL, REGRESSION, labelled, probabilities

if TYPE_CHECKING:
    from anndata import AnnData

    from omicstl.models.adapt.problem import Problem

    from .inputs import Rows

LEAST_WEIGHT = 0.1
_READ = {"domain_key": ("obs",), "label_key": ("obs", "obsm"), "block": ("obs",), "obsm": ("obsm",)}


def result(
    adata: AnnData, outcome: Outcome, problem: Problem, where: Rows, x: np.ndarray, params: dict[str, Any], key: str
) -> Result:
    """Latent variables and predictions of all rows; those of other domains count as new rows of the target."""
    fitted, task = outcome.fitted, problem.task
    model = fitted.model
    decision = np.empty((adata.n_obs, task.n_out))
    latent = np.empty((adata.n_obs, fitted.latent_target.shape[1]), np.float32)
    used = np.zeros(adata.n_obs, bool)
    places = [*zip(where.sources, fitted.sources, fitted.latent_sources, strict=True)]
    for index, predictor, z in [*places, (where.target, fitted.target, fitted.latent_target)]:
        decision[index], latent[index], used[index] = predictor, z, True
    rest = np.flatnonzero(~used)
    if rest.size:
        decision[rest], latent[rest] = model.decide(x[rest]), model.embed(x[rest])
    tree = model.to_dict()
    obs, obsm = _predictions(task, decision, key)
    uns = {
        "kind": "adapt",
        "version": model.version,
        "digest": store.digest(tree),
        "params": params,
        "names": model.names,
        "outputs": task.names,
        "task": task.kind,
        "method": outcome.method,
        "used": outcome.used,
        "candidates": candidates(outcome),
        "sources": sources(outcome, problem, where),
        "safeguard": guard(outcome),
        "model": tree,
    }
    if fitted.history is not None:
        uns["history"] = pd.DataFrame({name: np.asarray(values) for name, values in fitted.history.items()})
    return Result(key=key, obs=obs, obsm={key: latent, **obsm}, uns=uns, drop=_stale(adata, key))


def _stale(adata: AnnData, key: str) -> tuple[tuple[str, str], ...]:
    """What an adaptation to another kind of labels has left."""
    there = adata.uns.get(key)
    if not isinstance(there, dict) or there.get("kind") != "adapt":
        return ()
    names = {"obs": [f"{key}_prediction"], "obsm": [f"{key}_prediction", f"{key}_probability"]}
    return tuple(
        (slot, name) for slot, all_names in names.items() for name in all_names if name in getattr(adata, slot)
    )


def check_leftovers(adata: AnnData, key: str, inputs: dict[str, str | None]) -> None:
    """Refuse to write over what is read, or over what no run under this key has written."""
    names = {"obs": [f"{key}_prediction"], "obsm": [key, f"{key}_prediction", f"{key}_probability"]}
    for argument, name in inputs.items():
        slots = [
            slot for slot in names if slot in _READ[argument] and name in names[slot] and name in getattr(adata, slot)
        ]
        if slots:
            msg = f"`{argument}` is adata.{slots[0]}[{name!r}], which the result would replace. Choose another `key_added`, not {key!r}."
            raise ValueError(msg)
    there = adata.uns.get(key)
    if isinstance(there, Mapping) and there.get("kind") in ("adapt", "prediction"):
        return
    found = [f"adata.{slot}[{name!r}]" for slot in names for name in names[slot] if name in getattr(adata, slot)]
    if found:
        msg = f"{' and '.join(found)} would be replaced and were not written by a run under the key {key!r}. Choose another `key_added`."
        raise ValueError(msg)


def _predictions(task: Any, decision: np.ndarray, key: str) -> tuple[dict[str, Any], dict[str, Any]]:
    if task.kind == REGRESSION:
        if decision.shape[1] == 1:
            return {f"{key}_prediction": decision[:, 0].astype(np.float32)}, {}
        return {}, {f"{key}_prediction": decision.astype(np.float32)}
    p = probabilities(task, decision)
    obsm = {f"{key}_probability": p.astype(np.float32)}
    if task.kind in (BINARY, MULTINOMIAL):
        categories = pd.Index([str(name) for name in task.names])
        return {f"{key}_prediction": pd.Categorical.from_codes(p.argmax(axis=1), categories)}, obsm
    return {}, obsm | {f"{key}_prediction": (p > 0.5).astype(np.float32)}


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


def tell(outcome: Outcome, where: Rows, key: str) -> None:
    """Say what was done."""
    shares = ", ".join(f"{n} {w:.2f}" for n, w in zip(where.names, outcome.used_weights, strict=True))
    info(
        f"adapt: {outcome.used} from {shares} to {where.target_name}; weights measured on: {outcome.weights.measured_on}."
    )
    low = [n for n, w in zip(where.names, outcome.weights.weights, strict=True) if w < LEAST_WEIGHT]
    if low:
        info(f"Sources that hardly count: {listed(low)}.")
    info(f"Written to obsm[{key!r}], {key + '_prediction'!r} and uns[{key!r}].")
