"""What `tl.plier` writes and says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from omicstl._core.log import ConvergenceWarning, info, warn
from omicstl._core.settings import settings
from omicstl._data import genesets, store
from omicstl._data.commit import Result
from omicstl.models.factors import annotation
from omicstl.models.factors.plier import model as model_parts

if TYPE_CHECKING:
    from anndata import AnnData

    from omicstl.models.factors.plier.fit import Fit


def check_size(matched: genesets.MatchedSets, k: int, model_path: str | Path | None) -> None:
    size = model_parts.size_in_bytes(matched.genes.size, matched.names.size, k, matched.membership.nnz)
    if model_path is None and size > settings.model_in_adata:
        msg = (
            f"The model would take {size / 2**20:.0f} MB ({k} factors of {matched.genes.size} genes), above the "
            f"{settings.model_in_adata / 2**20:.0f} MB that may travel in an AnnData. Pass model_path='plier.npz' to keep it "
            "in a file, fewer `n_factors`, or raise otl.settings.model_in_adata."
        )
        raise ValueError(msg)


def result(
    adata: AnnData,
    fit: Fit,
    matched: genesets.MatchedSets,
    params: dict[str, Any],
    key: str,
    model_path: str | Path | None,
) -> Result:
    model = fit.model
    tree = model.to_dict()
    digest = store.digest(tree)
    stored: dict[str, Any] = tree
    if model_path is not None:
        store.write_model(model_path, tree)
        stored = {"kind": "plier", "path": str(model_path), "digest": digest, "n_bytes": store.n_bytes(tree)}
    loadings = np.zeros((adata.n_vars, model.names.size), dtype=np.float32)
    loadings[matched.columns] = model.loadings
    summary = annotation.pairs_table(model.names, model.sets, model.weights, fit.tests, fit.p_permutation)
    rules = fit.counts.rules
    uns = {
        "kind": "plier",
        "version": tree["version"],
        "digest": digest,
        "params": params,
        "names": model.names,
        "converged": fit.stopped == "tol",
        "stopped": fit.stopped,
        "n_iter": fit.n_iter,
        "history": fit.history,
        "penalty_path": fit.penalty_path,
        "summary": summary,
        "n_components": pd.DataFrame(
            {"rule": list(rules), "n_components": [np.nan if v is None else float(v) for v in rules.values()]}
        ),
        "lost_sets": pd.DataFrame(
            {
                "set": np.array([name for name, _ in matched.lost_sets], dtype=object),
                "n_genes": np.array([n for _, n in matched.lost_sets], dtype=np.int64),
            }
        ),
        "lost_genes": matched.lost_genes,
        "model": stored,
    }
    return Result(key=key, obsm={key: fit.scores}, varm={key: loadings}, uns=uns)


def tell(fit: Fit, matched: genesets.MatchedSets, key: str) -> None:
    model = fit.model
    rules = ", ".join(f"{name} {value}" for name, value in fit.counts.rules.items() if value is not None)
    info(
        f"PLIER: {matched.genes.size} genes, {matched.names.size} sets ({len(matched.lost_sets)} too small), {model.n_obs} observations."
    )
    info(f"Components by rule: {rules}. Factors used: {fit.counts.used}.")
    named = sum(" " in name for name in model.names)
    info(
        f"Stopped after {fit.n_iter} iterations ({fit.stopped}); {named} of {model.names.size} factors are named. Written to obsm, varm and uns[{key!r}]."
    )


def doubt(fit: Fit, options: model_parts.PlierOptions, key: str) -> None:
    if fit.stopped == "max_iter":
        warn(
            f"PLIER did not converge in {options.max_iter} iterations (relative change of B {fit.history[-1]:.1e}, `tol` "
            f"{options.tol:g}). Raise `max_iter`, or accept a looser `tol`; uns[{key!r}]['converged'] is False.",
            ConvergenceWarning,
        )
