"""Predictions of a task as columns: classes with their probabilities, numbers, or several labels."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from omicstl.models.transfer.heads import BINARY, MULTINOMIAL, REGRESSION, Task, probabilities


class Predictions(NamedTuple):
    """Columns of obs and matrices of obsm, by what stands behind the key."""

    obs: dict[str, Any]
    obsm: dict[str, np.ndarray]


def predictions(task: Task, decision: np.ndarray) -> Predictions:
    """Predictions of linear predictors (n, c)."""
    if task.kind == REGRESSION:
        values = decision.astype(np.float32)
        one = decision.shape[1] == 1
        return Predictions({"_prediction": values[:, 0]}, {}) if one else Predictions({}, {"_prediction": values})
    p = probabilities(task, decision)
    obsm = {"_probability": p.astype(np.float32)}
    if task.kind in (BINARY, MULTINOMIAL):
        categories = pd.Index([str(name) for name in task.names])
        return Predictions({"_prediction": pd.Categorical.from_codes(p.argmax(axis=1), categories)}, obsm)
    return Predictions({}, obsm | {"_prediction": (p > 0.5).astype(np.float32)})
