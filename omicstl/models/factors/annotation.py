"""What is known of the factors of a model, as tables: the gene sets that they were tested for, and their genes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from omicstl.kernels import enrichment
from omicstl.models.base import Model

N_TOP_GENES = 10
NAMED_FDR, NAMED_AUC = 0.05, 0.7


def confirmed(auc: Any, fdr: Any) -> Any:
    """Whether held-out members of a set confirm that a factor follows it, well enough to name the factor after it."""
    return (fdr < NAMED_FDR) & (auc > NAMED_AUC)


def loadings_of(model: Model) -> np.ndarray | None:
    """Loadings (p, k) of a model that has some; the scores of networks come from no loadings."""
    found = getattr(model, "loadings", None)
    return None if found is None else np.asarray(found)


def summary(model: Model) -> pd.DataFrame:
    """Test every set with a weight on a factor again, from the model alone; what needs the data is NaN.

    Without gene sets that were weighted in the fit and held out from it, the table is empty.
    """
    fitted: Any = model
    if not len(getattr(model, "sets", ())) or not hasattr(model, "trained"):
        return pairs_table(np.zeros(0, dtype=object), np.zeros(0, dtype=object), np.zeros((0, 0)), None, np.zeros(0))
    tests = enrichment.heldout_auc(fitted.loadings, fitted.weights, fitted.prior, fitted.trained)
    return pairs_table(fitted.names, fitted.sets, fitted.weights, tests, np.full(tests.auc.size, np.nan))


def pairs_table(
    names: np.ndarray,
    sets: np.ndarray,
    weights: np.ndarray,
    tests: enrichment.Enrichment | None,
    p_permutation: np.ndarray,
) -> pd.DataFrame:
    """One row for each tested pair of a factor and a set; no test is an empty table."""
    none = np.zeros(0, dtype=np.intp)
    of_factor, of_set = (none, none) if tests is None else (tests.factor_index, tests.set_index)
    return pd.DataFrame(
        {
            "factor": names[of_factor],
            "set": sets[of_set],
            "auc": np.zeros(0) if tests is None else tests.auc,
            "p_nominal": np.zeros(0) if tests is None else tests.p_nominal,
            "fdr_nominal": np.zeros(0) if tests is None else tests.fdr,
            "p_permutation": p_permutation,
            "coefficient": np.zeros(0) if tests is None else weights[of_set, of_factor].astype(np.float64),
        }
    )


def top_genes(model: Model, n: int = N_TOP_GENES) -> np.ndarray:
    """Names of the `n` genes with the largest absolute loadings of each factor; empty for a model without loadings."""
    loadings = loadings_of(model)
    if loadings is None:
        return np.full(len(model.names), "", dtype=object)
    return largest(loadings, model.features, n)


def largest(weights: np.ndarray, features: np.ndarray, n: int = N_TOP_GENES) -> np.ndarray:
    """Names of the `n` features with the largest absolute weights (p, k) in each column, the largest first, joined by commas."""
    size = np.abs(weights)
    n = min(n, len(size))
    chosen = np.argpartition(-size, n - 1, axis=0)[:n]
    order = np.argsort(-np.take_along_axis(size, chosen, axis=0), axis=0, kind="stable")
    chosen = np.take_along_axis(chosen, order, axis=0)
    names = np.asarray(features).astype(str)
    return np.array([", ".join(names[column]) for column in chosen.T], dtype=object)
