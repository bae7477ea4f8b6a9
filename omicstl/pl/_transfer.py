"""Own factors against transferred ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from omicstl._core.checks import check_choice, missing_key
from omicstl._core.public import public

from ._style import ACCENT, DEEP, INK, axes, clean, legend_below, mix

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = ("target", "source", "named", "rho")
LAST = {"transferred": (ACCENT, "D"), "marker mean": (INK, "|")}
MARKERS = "osv^<>ph"
FEW = 5  # a median of fewer draws is marked as such


@public
def transfer(table: pd.DataFrame, *, show: str = "named", ax: Axes | None = None) -> Axes:
    """
    Draw what a transferred model knows beside models of a cohort's own patients.

    Own fits are made on several draws of patients. ``show="named"``: in how many of them does a target (a cell type, a
    pathway) get a factor of its name? ``show="follows"``: how well does that factor follow what was measured?

    Parameters
    ----------
    table
        One row for each target, source and draw, with the columns ``target``; ``source``, for example ``"8 patients"``,
        ``"transferred"`` and ``"marker mean"``, the latter two in colours of their own; ``named``, 1 or 0, NaN where the
        question makes no sense; ``rho``, a correlation with the measurement, NaN where there is none.
    show
        ``"named"`` or ``"follows"``.
    ax
        Axes to draw into. `None` makes a figure.

    Returns
    -------
    The Axes: targets from top to bottom and sources from left to right, in the order of the table. ``"named"``: percent
    of draws. ``"follows"``: each draw a faint dot and their median a mark; draws without the factor are left out there, and a median of
    fewer than five says so.

    Raises
    ------
    KeyError
        If a column is missing.
    ValueError
        If `show` is neither of the two, or the table has no value to show.
    TypeError
        If `table` is no DataFrame, or `ax` are no Axes.

    Notes
    -----
    ``python -m omicstl demo`` makes such a table and keeps it in ``uns["demo"]["comparison"]``. The question is that of
    :cite:p:`Taroni2019`. Cost: none to speak of.

    Examples
    --------
    >>> import pandas as pd, omicstl as otl
    >>> own = {"target": "B cell", "source": "8 patients", "named": [1, 0], "rho": [0.4, None]}
    >>> public = {"target": "B cell", "source": "transferred", "named": [1, 1], "rho": [0.8, 0.9]}
    >>> table = pd.concat([pd.DataFrame(own), pd.DataFrame(public)])
    >>> ax = otl.pl.transfer(table, show="named")
    >>> [text.get_text() for text in ax.texts]
    ['50', '100']
    """
    for column in COLUMNS:
        if column not in table:
            raise missing_key(column, "the columns of `table`", table.columns)
    check_choice("show", show, ("named", "follows"))
    value = "named" if show == "named" else "rho"
    values = table.assign(**{value: pd.to_numeric(table[value])})
    used = values.groupby("target", sort=False, observed=True)[value].transform(lambda part: part.notna().any())
    values = values[used.to_numpy(dtype=bool)]
    sources = values.groupby("source", sort=False, observed=True)[value].apply(lambda part: part.notna().any())
    if values.empty:
        msg = f"`table` has no value in {value!r}, so there is nothing to show."
        raise ValueError(msg)
    values = values[values["source"].isin(sources.index[sources] if show == "named" else sources.index)]
    return _named(values, ax) if show == "named" else _follows(values, ax)


def _order(values: pd.DataFrame, column: str) -> list[str]:
    return [str(name) for name in pd.unique(values[column].astype(str))]


def _styles(sources: list[str]) -> dict[str, tuple[str | tuple[float, float, float], str]]:
    """Colour and marker of each source: own ones from pale to deep blue."""
    own = [source for source in sources if source not in LAST]
    shade = dict(zip(own, np.linspace(0.45, 1, len(own)) if len(own) > 1 else [1.0], strict=True))
    return {
        source: LAST[source]
        if source in LAST
        else (mix(DEEP, shade[source]), MARKERS[own.index(source) % len(MARKERS)])
        for source in sources
    }


def _named(values: pd.DataFrame, ax: Axes | None) -> Axes:
    from matplotlib.patches import Rectangle

    targets, sources = _order(values, "target"), _order(values, "source")
    ax = axes(ax, 1.8 + 0.8 * len(sources), 1.2 + 0.32 * len(targets))
    share = values.groupby([values["target"].astype(str), values["source"].astype(str)])["named"].mean()
    gap = 0.0
    centres = []
    for j, source in enumerate(sources):
        gap += 0.12 if source in LAST and j else 0.0
        centres.append(j + gap)
        for i, target in enumerate(targets):
            known = float(share.get((target, source), np.nan))
            fill = mix(LAST[source][0] if source in LAST else DEEP, 0.06 + 0.84 * np.nan_to_num(known))
            ax.add_patch(Rectangle((j + gap - 0.48, i - 0.46), 0.96, 0.92, facecolor=fill, linewidth=0))
            text = "–" if np.isnan(known) else f"{100 * known:.0f}"
            dark = np.nan_to_num(known) > 0.55
            ax.text(j + gap, i, text, ha="center", va="center", color="white" if dark else INK)
    ax.set_xlim(-0.5, len(sources) - 0.5 + gap)
    ax.set_ylim(len(targets) - 0.5, -0.5)
    ax.set_xticks(centres, [source.replace(" ", "\n", 1) for source in sources])
    ax.set_yticks(range(len(targets)), targets)
    ax.set_title("A factor of that name, % of draws", loc="left")
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
    return ax


def _follows(values: pd.DataFrame, ax: Axes | None) -> Axes:
    targets, sources = _order(values, "target"), _order(values, "source")
    styles = _styles(sources)
    ax = axes(ax, 5.0, 0.9 + 0.17 * len(targets) * (len(sources) + 1))
    step = 0.8 / max(len(sources), 1)
    for i, target in enumerate(targets):
        if i % 2 == 0:
            ax.axhspan(i - 0.5, i + 0.5, color="#F3F3F3", linewidth=0, zorder=0)
        for j, source in enumerate(sources):
            colour, marker = styles[source]
            here = (values["target"].astype(str) == target) & (values["source"].astype(str) == source)
            rho = values.loc[here, "rho"].dropna().to_numpy(dtype=float)
            height = i - 0.4 + (j + 0.5) * step
            if rho.size < FEW and source not in LAST:
                words = "no factor in any draw" if rho.size == 0 else f"{rho.size} draw{'s' if rho.size > 1 else ''}"
                ax.text(
                    rho.max() + 0.04 if rho.size else 0.02, height, words, color=INK, va="center", fontsize="x-small"
                )
            if rho.size == 0:
                continue
            if rho.size > 1:
                ax.plot(rho, np.full(rho.size, height), ".", color=colour, alpha=0.25, markersize=4, markeredgewidth=0)
            size, edge = (11, 2.4) if marker == "|" else (7, 0.6)
            ax.plot(
                np.median(rho),
                height,
                marker,
                color=colour,
                markersize=size,
                markeredgewidth=edge,
                markeredgecolor=colour if marker == "|" else "white",
                zorder=3,
            )
    low = float(np.nanmin([0.0, values["rho"].min()]))
    ax.set_xlim(low - 0.03 if low < 0 else 0, 1)
    ax.set_ylim(len(targets) - 0.5, -0.5)
    ax.set_yticks(range(len(targets)), targets)
    ax.set_xlabel("Spearman correlation with the measurement")
    ax.set_title("How well it follows what was measured", loc="left")
    from matplotlib.lines import Line2D

    marks = [
        Line2D(
            [], [], linestyle="", color=colour, marker=marker, markeredgewidth=2.4 if marker == "|" else 0, label=source
        )
        for source, (colour, marker) in styles.items()
    ]
    legend_below(ax, marks, left=-0.22)
    clean(ax, left=False)
    return ax
