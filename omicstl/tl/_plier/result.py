"""What `tl.plier` writes and says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from omicstl._core.log import ConvergenceWarning, Progress, warn
from omicstl._data import genesets
from omicstl._data.run import Run
from omicstl.models.factors import annotation
from omicstl.models.factors.plier.model import PlierOptions, size_in_bytes

if TYPE_CHECKING:
    from omicstl.models.factors.plier.fit import Fit


def reporter(bar: Progress) -> Callable[[int, float], None]:
    """What tells a bar of iterations how far the loop is."""
    seen = [0]

    def report(n_iter: int, change: float) -> None:
        bar.update(n_iter - seen[0], f"change of B {change:.1e}")
        seen[0] = n_iter

    return report


def check_size(run: Run, matched: genesets.MatchedSets, k: int) -> None:
    """Refuse k factors whose model could not travel."""
    size = size_in_bytes(matched.genes.size, matched.names.size, k, matched.membership.nnz)
    run.check_size(size, f"{k} factors of {matched.genes.size} genes", "fewer `n_factors`")


def params(fit: Fit, options: PlierOptions) -> dict[str, Any]:
    """Options with what the data have decided, and sizes."""
    model = fit.model
    return asdict(options) | {
        "n_factors": fit.counts.used,
        "prior_weight": model.prior_weight,
        "score_penalty": model.score_penalty,
        "set_penalty": model.set_penalty,
        "n_obs": model.n_obs,
        "n_genes": int(model.features.size),
        "n_sets": int(model.sets.size),
    }


def about(fit: Fit, matched: genesets.MatchedSets) -> dict[str, Any]:
    """How the fit went, the table of its sets, and what was left out."""
    model, rules = fit.model, fit.counts.rules
    return {
        "converged": fit.stopped == "tol",
        "stopped": fit.stopped,
        "n_iter": fit.n_iter,
        "history": fit.history,
        "penalty_path": fit.penalty_path,
        "summary": annotation.pairs_table(model.names, model.sets, model.weights, fit.tests, fit.p_permutation),
        "n_components": pd.DataFrame(
            {"rule": list(rules), "n_components": [np.nan if v is None else float(v) for v in rules.values()]}
        ),
        "lost_sets": genesets.lost_table(matched.lost_sets),
        "lost_genes": matched.lost_genes,
    }


def sentences(fit: Fit, matched: genesets.MatchedSets) -> list[str]:
    """What is told of the fit."""
    model = fit.model
    rules = ", ".join(f"{name} {value}" for name, value in fit.counts.rules.items() if value is not None)
    named = sum(" " in name for name in model.names)
    return [
        f"PLIER: {matched.genes.size} genes, {matched.names.size} sets ({len(matched.lost_sets)} too small), {model.n_obs} observations.",
        f"Components by rule: {rules}. Factors used: {fit.counts.used}.",
        f"Stopped after {fit.n_iter} iterations ({fit.stopped}); {named} of {model.names.size} factors are named.",
    ]


def doubt(fit: Fit, options: PlierOptions, key: str) -> None:
    if fit.stopped == "max_iter":
        warn(
            f"PLIER did not converge in {options.max_iter} iterations (relative change of B {fit.history[-1]:.1e}, `tol` "
            f"{options.tol:g}). Raise `max_iter`, or accept a looser `tol`; uns[{key!r}]['converged'] is False.",
            ConvergenceWarning,
        )
