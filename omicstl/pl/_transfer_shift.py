"""How lines and cells differ, and which alignment was taken: a few lines of text on the page of a verdict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ._text import signed

UNCHECKED = "not checked"


def unchecked(entry: Mapping[str, Any]) -> list[str]:
    """Names of whole tables of which nothing was checked."""
    found = []
    for name in ("shift", "selection"):
        table = entry.get(name)
        if table is not None and len(table) and table["note"].astype(str).str.startswith(UNCHECKED).all():
            found.append(name)
    return found


def lines_of(entry: Mapping[str, Any]) -> list[str]:
    """Short sentences of what the tables of shift and selection hold; none where nothing was checked."""
    table = entry.get("shift")
    if table is None or not len(table) or "shift" in unchecked(entry):
        return []
    said = [_kind(table), _distance(table), _discrepancy(table), _shares(table), _bound(table)]
    return [line for line in [*said, _taken(entry.get("selection"))] if line]


def _rows(table: Any, measure: str) -> Any:
    rows = table[table["measure"].str.startswith(measure)]
    return rows[np.isfinite(rows["value"].to_numpy(dtype=float))]


def _kind(table: Any) -> str:
    rows = table[table["measure"] == "kind of shift"]
    note = str(rows["note"].iloc[0]) if len(rows) else UNCHECKED
    if note.startswith(UNCHECKED):
        return "Kind of shift: not checked"
    kind = note.split(". ")[0]
    return "No shift of the features found" if kind.startswith("none") else f"{kind.capitalize()} shift"


def _distance(table: Any) -> str:
    rows = _rows(table, "proxy A-distance")
    values = [f"{signed(float(row.value))} {row.of}" for row in rows.itertuples()]
    return f"Proxy A-distance (of 2): {', '.join(values)}" if values else ""


def _discrepancy(table: Any) -> str:
    rows = _rows(table, "MMD")
    values = [f"{_p(float(row.p))} {row.of}" for row in rows.itertuples()]
    return f"MMD, p: {', '.join(values)}" if values else ""


def _p(p: float) -> str:
    return f"{p:.3f}" if p >= 0.001 else "below 0.001"


def _shares(table: Any) -> str:
    rows = _rows(table, "share of sensitive")
    values = [f"{row.value:.2f} ({row.measure.split(', ')[-1]})" for row in rows.itertuples()]
    if not values:
        return ""
    whose = str(rows["measure"].iloc[0]).split(", ")[0].capitalize()
    return f"{whose}: {', '.join(values)}; {float(rows['null'].iloc[0]):.2f} in the source"


def _bound(table: Any) -> str:
    rows = table[table["measure"].str.startswith("bound:")]
    if not len(_rows(table, "bound:")):
        return ""
    values = [f"{value:.2f}" if np.isfinite(value) else "unknown" for value in rows["value"].to_numpy(dtype=float)]
    return f"Terms of the bound: {' + '.join(values)}"


def _taken(table: Any) -> str:
    if table is None:
        return ""
    rows = table[table["criterion"] == "taken"]
    name = str(rows["candidate"].iloc[0]) if len(rows) else ""
    return f"Alignment taken: {name}" if name else ""
