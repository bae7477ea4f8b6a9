"""What speaks for a way of alignment without a label of the cells, all criteria side by side (numpy, scikit-learn)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from omicstl._core.options.response import ResponseRidge
from omicstl._core.random import Streams
from omicstl.models.selection import validation
from omicstl.models.selection.pseudo_cells import Table
from omicstl.models.transfer.scores import rank_correlation
from omicstl.models.transfer.screen import Cells, Lines

from .source import Source
from .space import Space

FEWEST_LINES, MOST_CELLS, FEW_CELLS = 30, 1000, 500
#: Columns of `selection.select`, and what a reader calls them.
NAMES = {
    "pseudo_cell_rho": "pseudo-cells, rho",
    "pseudo_line_rho": "pseudo-cells, rho of lines",
    "gain_mean": "pseudo-cells, gain over no alignment",
    "grouped_rho": "lineages left out, rho",
    "weighted_risk": "importance-weighted risk",
    "deep_embedded_risk": "deep-embedded risk",
    "circular_rho": "circular, rho",
    "circular": "circular, skill",
    "between_sources": "between sources, skill",
    "within_sources": "within sources, skill",
}  # fmt: skip
OWN = "ridge, no alignment"


class Criterion(NamedTuple):
    """One candidate by one criterion; NaN where it is not checked, and `note` says why."""

    candidate: str
    criterion: str
    value: float
    low: float
    high: float
    note: str


def of_ridge(source: Source, space: Space, random: Streams) -> list[Criterion]:
    """Plain ridge, lineages left out: its rank correlation, and its risk where lines that look like these cells count more."""
    rho = float(rank_correlation(source.out_of_fold, source.y))
    how = "whole lineages left out" if source.by_lineage else "random tenths left out: lineages are not known"
    found = [Criterion(OWN, NAMES["grouped_rho"], rho, np.nan, np.nan, how)]
    names = (NAMES["weighted_risk"], NAMES["deep_embedded_risk"], "effective lines")
    n = source.rows.size
    if n < FEWEST_LINES or len(space.cells) < FEWEST_LINES:
        return found + [
            Criterion(OWN, name, np.nan, np.nan, np.nan, "not checked: too few lines or cells") for name in names
        ]
    k = min(10, space.coords.shape[1])
    size = np.maximum(space.coords[:, :k].std(axis=0), 1e-9)
    cells = space.cell_coords[:: max(1, len(space.cells) // MOST_CELLS), :k] / size
    weights = validation.importance_weights(
        space.coords[source.rows, :k] / size, cells, random.generator("weights of lines")
    )
    loss = validation.line_losses(source.out_of_fold[:, None], source.y[:, None])
    risk = validation.weighted_risk(np.where(np.isfinite(loss), loss, 1.0), weights.ratio)
    few = ": too few for the two risks" if weights.effective < 0.1 * n else ""
    said = "squared error over the variance; 1 is a guess"
    notes = (
        said,
        f"{said}; control variate {risk.eta:.2f}",
        f"of {n}{few}; {100 * weights.clipped:.0f} % of the weights clipped",
    )
    values = (risk.weighted, risk.deep_embedded, weights.effective)
    return found + [
        Criterion(OWN, name, float(v), np.nan, np.nan, note) for name, v, note in zip(names, values, notes, strict=True)
    ]


def compared(lines: Lines, raw: np.ndarray, scaled: bool, drugs: np.ndarray, random: Streams) -> list[Criterion]:
    """Every way of alignment of the linear level by every criterion; at most 16 of the `drugs`. Some 20 fits of all ways."""
    from omicstl.models.response import align_selection
    from omicstl.models.selection import criteria

    y = lines.y[:, drugs[:16]]
    rows = np.flatnonzero(np.isfinite(y).any(axis=1))
    if rows.size < FEWEST_LINES:
        return [Criterion("", "selection", np.nan, np.nan, np.nan, f"not checked: {rows.size} lines are too few")]
    part = criteria.subset(lines, rows)._replace(
        y=y[rows], drugs=np.asarray(lines.drugs)[drugs[:16]], binary=np.asarray(lines.binary)[drugs[:16]]
    )
    options = ResponseRidge()

    def fit_all(own: Lines, cells: Cells, candidates: Any, held: np.ndarray) -> list[criteria.Predicted]:
        return align_selection.predicted(align_selection.OfLines(own, options), cells, candidates, held, random)

    some = np.linspace(0, len(raw) - 1, min(len(raw), FEW_CELLS)).astype(np.int64)
    cells = Cells(Table(np.asarray(raw[some], np.float32)), scaled)
    found = criteria.select(part, cells, align_selection.CANDIDATES, fit_all, random, n_folds=3)
    taken = align_selection.CANDIDATES[found.chosen]
    last = Criterion("", "effective lines", found.effective_lines, np.nan, np.nan, f"of {rows.size}")
    return [
        *told(found.table, "candidate"),
        last,
        Criterion(taken, "taken by these", np.nan, np.nan, np.nan, found.reason),
    ]


def told(table: Mapping[str, Any], column: str) -> list[Criterion]:
    """Rows of a table with a column for each criterion."""
    found = []
    for i, candidate in enumerate(table[column]):
        for name, said in NAMES.items():
            if name not in table:
                continue
            low, high = (float(table[f"gain_{end}"][i]) if name == "gain_mean" else np.nan for end in ("low", "high"))
            found.append(Criterion(str(candidate), said, float(table[name][i]), low, high, ""))
    return found
