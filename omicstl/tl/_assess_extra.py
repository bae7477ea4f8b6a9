"""Checks that a verb has made of itself before: the cells' own line, clusters of another kind, far cells, the safeguard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from omicstl._core.checks import listed
from omicstl.models.nearest_lines import FAR
from omicstl.models.verdict import Check, below, unchecked

MANY = 0.5  # share of cells that are far
MOST_FOREIGN = 0.2


def of_screen(entry: Mapping[str, Any], novelty: np.ndarray | None, mask: np.ndarray | None) -> list[Check]:
    """Of what `tl.scdeal` has found on its way; a table that is not there gives no check."""
    found: list[Check] = []
    near, kinds = entry.get("nearest_lines"), entry.get("kinds")
    if isinstance(near, pd.DataFrame) and "own_line" in near:
        own = sorted({str(name) for name in near["own_line"] if str(name)})
        said = "No line of the source is plainly the line of these cells."
        if not own and entry.get("params", {}).get("scale") == "zscore":
            found.append(unchecked("own line", "The cells' own line not checked: z-scores do not tell it."))
        elif own:
            said = f"The cells look like {listed(own)}, from which the model has learnt: this is no test of a transfer."
            found.append(Check("own line", "caution", float(len(own)), 0.0, said))
        else:
            found.append(Check("own line", "passed", 0.0, 0.0, said))
    if isinstance(kinds, pd.DataFrame) and len(kinds) and mask is None:
        share = float(np.mean(kinds["foreign"].astype(bool)))
        said = f"{100 * share:.0f} % of the clusters are plainly not of the lines' kind."
        said = f"{said} Say which cells are malignant (mask_obs)." if share > MOST_FOREIGN else said
        found.append(Check("foreign clusters", below(share, doubt=MOST_FOREIGN), share, MOST_FOREIGN, said))
    if novelty is not None:
        inside = np.asarray(novelty, dtype=float) if mask is None else np.asarray(novelty, dtype=float)[mask]
        inside = inside[np.isfinite(inside)]
        if inside.size:
            share = float(np.mean(inside > FAR))
            said = f"{100 * share:.0f} % of the cells lie farther from the lines than {100 * FAR:.0f} % of lines that were left out do."
            found.append(Check("far cells", below(share, doubt=MANY), share, MANY, said))
    return found


def of_adaptation(entry: Mapping[str, Any]) -> list[Check]:
    """Of what `tl.adapt` has found on its way."""
    guard, sources = entry.get("safeguard"), entry.get("sources")
    found: list[Check] = []
    if isinstance(guard, Mapping) and guard.get("baseline"):
        back = bool(guard.get("fell_back"))
        said = f"Held-out rows do not speak against the transfer, compared with {guard['baseline']}."
        if back:
            said = f"The transfer did not help: predictions are those of {guard['baseline']}."
        found.append(Check("safeguard", "caution" if back else "passed", float(guard.get("gap", np.nan)), 0.0, said))
    if isinstance(sources, pd.DataFrame) and "weight" in sources:
        weight = float(sources["weight"].max())
        said = f"The best source has weight {weight:.2f}."
        said = f"No source predicts the target's labels beyond chance. {said}" if weight <= 0 else said
        found.append(Check("worth of sources", "failed" if weight <= 0 else "passed", weight, 0.0, said))
    return found
