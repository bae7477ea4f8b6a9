"""Scores of drug response as columns: one drug in obs, several in matrices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from omicstl.models.response.calls import CALLS


def scores(
    score: np.ndarray, std: np.ndarray, calls: np.ndarray | None, novelty: np.ndarray | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Columns of obs and matrices (m, d) of obsm, by what stands behind the key. Calls are codes of `CALLS`."""
    obs: dict[str, Any] = {}
    obsm: dict[str, Any] = {}
    if score.shape[1] == 1:
        obs |= {"_score": score[:, 0].astype(np.float32), "_std": std[:, 0].astype(np.float32)}
        if calls is not None:
            obs["_call"] = pd.Categorical.from_codes(calls[:, 0], list(CALLS))
    else:
        obsm |= {"_response": score.astype(np.float32), "_response_std": std.astype(np.float32)}
        if calls is not None:
            obsm["_calls"] = calls.astype(np.int8)
    if novelty is not None:
        obs["_novelty"] = novelty.astype(np.float32)
    return obs, obsm
