"""Which factors differ, and by how much."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from omicstl._core.checks import check_number
from omicstl._core.public import public
from omicstl._data.results import key_of_test

from ._read import chosen, higher_in
from ._style import DEEP, FDR, INK, axes, clean, group_colours, legend_below, mix
from ._text import (
    contrast_text,
    label_room,
    labels,
    plural,
    row_font,
    rows_that_fit,
    set_title,
    set_xlabel,
    spoken,
    text_width,
)

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes

MOST_CONTRASTS = 4
AROUND = 100  # points for the title, and for what stands below


@public
def rank_factors_groups(
    adata: AnnData, contrast: str | None = None, *, test: str | None = None, n_factors: int = 20, ax: Axes | None = None
) -> Axes:
    """
    Draw which factors differ between groups, and by how much: effects with their intervals.

    Parameters
    ----------
    adata
        An AnnData with a test of `omicstl.tl.rank_factors_groups`.
    contrast
        Contrast to draw, e.g. ``"SLE - Healthy"``. `None` draws all, side by side, if there are at most four.
    test
        Name that the test was written under. `None` takes the only one there, or of several the one under its default name.
    n_factors
        Largest number of factors, the smallest p-values first; small Axes get as many as have room.
    ax
        Axes to draw into. `None` makes a figure.

    Returns
    -------
    The Axes: a mark at each effect in standard deviations within groups, with its interval; filled where the FDR is below 0.05.
    The title counts these, and says so if there is none.

    Raises
    ------
    KeyError
        If there is no test, or several and no `test`, or it has no such contrast.
    ValueError
        If more than four contrasts would be drawn, or `n_factors` is no positive integer.
    TypeError
        If `adata` is no AnnData or `ax` are no Axes.

    Notes
    -----
    Reads ``uns[test]["table"]``: ``effect_sd`` with ``effect_sd_low`` and ``effect_sd_high``, moderated t-tests :cite:p:`Smyth2004` with
    Benjamini and Hochberg's FDR within the contrast. Intervals are not corrected for the number of factors. Cost: none to speak of.

    Examples
    --------
    >>> import omicstl as otl
    >>> target, truth = otl.datasets.simulate_pathways(n_query=20, rng=0)
    >>> otl.tl.plier(target, truth.gene_sets, n_factors=5, max_iter=40, tol=1e-2)
    >>> otl.tl.rank_factors_groups(target, "cohort")
    >>> ax = otl.pl.rank_factors_groups(target)
    """
    check_number("n_factors", n_factors, low=1, integer=True)
    test = key_of_test(adata, test)
    entry = adata.uns[test]
    contrasts = chosen(entry["table"], contrast)
    if len(contrasts) > MOST_CONTRASTS:
        msg = f"The test {test!r} has {len(contrasts)} contrasts, too many for one figure. Name one: contrast={contrasts[0]!r}."
        raise ValueError(msg)
    table = entry["table"].assign(
        factor=entry["table"]["factor"].astype(str), contrast=entry["table"]["contrast"].astype(str)
    )
    table = table[table["contrast"].isin(contrasts) & np.isfinite(table["effect_sd"]) & np.isfinite(table["p"])]
    if table.empty:
        ax = axes(ax, 5.2, 0.8)
        ax.set_axis_off()
        set_title(ax, f"No factor could be tested for {spoken(str(entry['params']['phenotype']))}")
        return ax
    ranked = table.sort_values("p", kind="stable")["factor"].drop_duplicates()
    n_rows = min(int(n_factors), len(ranked))
    own = ax is None
    ax = axes(ax, 6.2, 1.5 + 0.1 * n_rows * (1 + len(contrasts)))
    n_rows = n_rows if own else rows_that_fit(ax, n_rows, AROUND)
    rows = list(ranked.head(n_rows))

    size = row_font(ax, n_rows, AROUND)
    texts = labels(rows, label_room(ax, 190, own=own), size)
    beside = max(text_width(text, size) for text in texts) + 4
    _marks(ax, table[table["factor"].isin(rows)], rows, contrasts)
    ax.axvline(0, color=INK, linewidth=0.8, zorder=1)
    ax.set_yticks(range(n_rows), texts, fontsize=size)
    ax.set_ylim(n_rows - 0.4, -0.6)
    n_total = table["factor"].nunique()
    set_title(ax, _verdict(table, contrasts, n_total, entry["params"], n_rows), beside=beside)
    lines = set_xlabel(ax, _unit(entry["params"], contrasts), beside=beside)
    drawn = table[table["factor"].isin(rows)]["fdr"] < FDR
    _legend(ax, contrasts, entry["params"], (bool(drawn.any()), not drawn.all()), beside, 26 + 13 * lines)
    clean(ax, left=False)
    return ax


def _marks(ax: Axes, table: pd.DataFrame, rows: list[str], contrasts: list[str]) -> None:
    step = 0.7 / len(contrasts)
    colours = [DEEP] if len(contrasts) == 1 else group_colours(len(contrasts))
    for i in range(0, len(rows), 2) if len(contrasts) > 1 else ():
        ax.axhspan(i - 0.5, i + 0.5, color="#F3F3F3", linewidth=0, zorder=0)
    for j, (contrast, colour) in enumerate(zip(contrasts, colours, strict=True)):
        part = table[table["contrast"] == contrast].set_index("factor").reindex(rows)
        height = np.arange(len(rows)) + (j - (len(contrasts) - 1) / 2) * step
        good = (part["fdr"] < FDR).to_numpy()
        effect, low, high = (part[name].to_numpy(float) for name in ("effect_sd", "effect_sd_low", "effect_sd_high"))
        for chosen_ones, line in ((good, colour), (~good, mix(INK, 0.45) if len(contrasts) == 1 else mix(colour, 0.6))):
            ax.hlines(height[chosen_ones], low[chosen_ones], high[chosen_ones], color=line, linewidth=1.4, zorder=2)
            filled = line if chosen_ones is good else "white"
            ax.scatter(
                effect[chosen_ones], height[chosen_ones], s=30, c=[filled], edgecolors=[line], linewidths=1.3, zorder=3
            )


def _verdict(table: pd.DataFrame, contrasts: list[str], n_total: int, params: Any, n_rows: int) -> str:
    """Title: how many differ."""
    good = table[table["fdr"] < FDR]["factor"].nunique()
    what = contrast_text(contrasts[0]) if len(contrasts) == 1 else spoken(str(params["phenotype"]))
    number = params["phenotype_kind"] == "number"
    shown = "" if n_rows >= n_total else f"; the {n_rows} with the smallest p shown"
    if good == 0:
        verb = "follows it" if number else "differs"
        return f"{what}: no factor of {n_total} {verb}\n(FDR < {FDR:g}{shown})"
    verb = ("follow" if number else "differ") + ("s" if good == 1 else "")
    return f"{what}: {good} of {plural(n_total, 'factor')} {verb}\n(FDR < {FDR:g}{shown})"


def _unit(params: Any, contrasts: list[str]) -> str:
    if params["phenotype_kind"] == "number":
        return f"effect of one unit of {spoken(str(params['phenotype']))}, SD of the score"
    ending = f" ({spoken(higher_in(params, contrasts[0]))} →)" if len(contrasts) == 1 else ""
    return f"effect, SD within groups{ending}"


def _legend(ax: Axes, contrasts: list[str], params: Any, kinds: tuple[bool, bool], beside: float, drop: float) -> None:
    from matplotlib.lines import Line2D

    one = len(contrasts) == 1
    colours = [DEEP] if one else group_colours(len(contrasts))
    style: dict[str, Any] = {"linestyle": "", "marker": "o", "markersize": 5.5}
    level = f"{100 * float(params['confidence']):g} % interval"
    handles = [] if one else [Line2D([], [], color=c, label=contrast_text(k), **style) for c, k in zip(colours, contrasts, strict=True)]  # fmt: skip
    colour = DEEP if one and kinds[0] else mix(INK, 0.7)
    if kinds[0]:
        handles.append(Line2D([], [], color=colour, label=f"FDR < {FDR:g}", **style))
    if kinds[1]:
        handles.append(Line2D([], [], color=mix(INK, 0.45), markerfacecolor="white", label=f"FDR ≥ {FDR:g}", **style))
    handles.append(Line2D([], [], color=colour, linewidth=1.4, label=level))
    legend_below(ax, handles, beside=beside, drop=drop, size="small")
