"""Parts of the page of a factor: its sets, and how far it can be trusted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from omicstl._data.results import RELIABLE, stability_of

from ._style import ACCENT, DEEP, FDR, INK, mix
from ._text import fitted, p_text, plural

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SETS = 3  # that are named


class Gauge(NamedTuple):
    """A correlation between 0 and 1, with its meaning."""

    title: str
    where: str
    value: float
    low: float
    words: str


def set_rows(entry: Mapping[str, Any], factor: str) -> tuple[list[tuple[str, str, str]], str]:
    """Rows of the factor's sets (name, AUC, FDR), the largest weights of the significant first; or a sentence for want of them."""
    table = entry.get("summary")
    if not isinstance(table, pd.DataFrame):
        return [], "The gene sets of this factor are not known here."
    table = table[(table["factor"].astype(str) == factor).to_numpy()]
    good = table[(table["fdr_nominal"] < FDR).to_numpy()].sort_values("coefficient", ascending=False, kind="stable")
    own = good["set"].astype(str) == factor.partition(" ")[2]  # the set of its name first
    good = pd.concat([good[own], good[~own]])
    rows = [
        (str(row.set), f"AUC {row.auc:.2f}", f"FDR {p_text(row.fdr_nominal)}")
        for row in good[["set", "auc", "fdr_nominal"]].head(SETS).itertuples(index=False)
    ]
    if rows:
        more = len(good) - len(rows)
        return rows, f"and {plural(more, 'more set')} with FDR < {FDR:g}" if more else ""
    if len(table):
        return [], f"No gene set has FDR < {FDR:g} ({plural(len(table), 'set')} tested): what it stands for is open."
    return [], "No gene set has a weight on it: what it stands for is open."


def gauges_of(entry: Mapping[str, Any], index: int, n_factors: int, where: str) -> list[Gauge]:
    """What is known of stability and of the projection."""
    found = []
    stability = stability_of(entry, n_factors)
    if index < stability.size and np.isfinite(stability[index]):
        low, words = np.nan, "in refits of the reference" if entry.get("kind") == "projection" else "in refits"
        if isinstance(entry.get("stability"), Mapping):
            low = float(entry["stability"]["factors"]["lowest_r"].iloc[index])
            n = int(entry["stability"]["params"]["n_refits"])
            words = f"median |r| in {plural(n, 'refit')}, lowest {low:.2f}"
        else:
            words = f"median |r| {words}"
        found.append(Gauge("Comes back", "", float(stability[index]), low, words))
    quality = entry.get("quality")
    if isinstance(quality, Mapping):
        row = quality["factors"].iloc[index]
        words = f"expected r{where}; {100 * float(row['present_loading']):.0f} % of its loadings measured; projection {quality['verdict']}"
        found.append(Gauge("Determined by the genes", where, float(row["expected_r"]), np.nan, words))
    return found


def gauge_words(gauge: Gauge, size: float, width: float) -> str:
    """What stands below a gauge."""
    return fitted(gauge.words, width, 0.88 * size, 2)


def draw_gauge(ax: Axes, gauge: Gauge, size: float, width: float) -> None:
    """Draw a line from 0 to 1 with the value on it, orange below what may be interpreted."""
    colour = DEEP if gauge.value >= RELIABLE else ACCENT
    ax.set_axis_off()
    ax.set(xlim=(0, 1), ylim=(0, 1))
    ax.plot([0, 1], [0.5, 0.5], color=mix(INK, 0.15), linewidth=5, solid_capstyle="butt", zorder=1)
    ax.plot([0, min(max(gauge.value, 0), 1)], [0.5, 0.5], color=colour, linewidth=5, solid_capstyle="butt", zorder=2)
    if np.isfinite(gauge.low):
        ax.plot([max(gauge.low, 0)] * 2, [0.1, 0.9], color=INK, linewidth=1.2, zorder=4)
    ax.plot([RELIABLE] * 2, [0, 1], color=INK, linewidth=1, linestyle=(0, (1.5, 1)), zorder=3)
    say: dict[str, Any] = {"textcoords": "offset points", "annotation_clip": False, "color": INK}
    title = fitted(f"{gauge.title}: {gauge.value:.2f}", 0.7 * width, size)
    ax.annotate(title, (0, 1), (0, 3), va="bottom", fontsize=size, **say)
    ax.annotate(f"{RELIABLE:g}", (RELIABLE, 1), (0, 2), va="bottom", ha="center", fontsize=0.88 * size, **say)
    ax.annotate(
        gauge_words(gauge, size, width), (0, 0), (0, -2), va="top", fontsize=0.88 * size, linespacing=1.1, **say
    )
