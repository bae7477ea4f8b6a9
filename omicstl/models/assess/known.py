"""Checks that a verb has made of itself before: the cells' own line, clusters of another kind, far cells, the safeguard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from omicstl._core.checks import listed
from omicstl.models.response.novelty import FAR
from omicstl.models.transfer.scores import correlation

from .decide import Check, below, unchecked
from .selection import Criterion
from .tables import Pick, taken

MANY = 0.5  # share of cells that are far
MOST_FOREIGN = 0.2
TURNED = (0.3, 0.05)  # share of members above which a check fails, or doubts


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


def of_members(model: Any, latent: np.ndarray, mask: np.ndarray | None) -> dict[str, list[Check]]:
    """How many members of the fit itself, refits on other lines or networks, rank the cells against their mean; by drug."""
    rows = np.arange(len(latent)) if mask is None else np.flatnonzero(mask)
    z = np.asarray(latent[rows[:: max(1, rows.size // 2000)]], dtype=np.float64)
    name = "sign over members"
    found = {}
    for i, drug in enumerate(model.drugs):
        if hasattr(model, "networks"):
            each = np.asarray(model.members(z), dtype=np.float64)[:, :, i].T
        else:
            each = z @ (model.coefficients[:, i][:, None] + np.asarray(model.members, dtype=np.float64)[:, :, i].T)
        if each.shape[1] < 3:
            check = unchecked(name, f"Sign over members not checked: the fit has {each.shape[1]} of them.")
        else:
            share = float(np.mean(correlation(each, each.mean(axis=1)) < 0))
            said = f"{100 * share:.0f} % of the {each.shape[1]} members of the fit rank the cells against their mean."
            check = Check(name, below(share, fail=TURNED[0], doubt=TURNED[1]), share, TURNED[1], said)
        found[str(drug)] = [check]
    return found


def choice_of_screen(entry: Mapping[str, Any]) -> list[Criterion]:
    """Ways of alignment that `tl.scdeal` compared, and the one that it took."""
    params = entry.get("params", {})
    pick = Pick(str(params.get("align", "")), str(params.get("align_reason", "")))
    return taken(entry.get("selection"), "candidate", pick)


def choice_of_adaptation(entry: Mapping[str, Any]) -> list[Criterion]:
    """Methods that `tl.adapt` compared, and the one that it took."""
    method, used = str(entry.get("method", "")), str(entry.get("used", ""))
    reason = "asked for, or best by its lowest skill" if method == used else f"{method} did not help: safeguard"
    return taken(entry.get("candidates"), "method", Pick(used, reason))


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
