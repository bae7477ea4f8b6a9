"""Which gene sets make which factors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData

from omicstl import get
from omicstl._core.checks import check_number
from omicstl._core.public import public
from omicstl._data.results import factor_names, score_key

from ._style import EMPTY, FDR, INK, axes, colour_bar, legend_below, one_sided
from ._text import LEAST_FONT, cell, label_room, labels, plural, points, row_font, rows_that_fit, set_title, text_width

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from omicstl.get import Model

AROUND = 110  # points for the title, and for what stands below


@public
def weights(
    adata: AnnData | Model | str | Path,
    key: str | None = None,
    *,
    significant: bool = True,
    n_factors: int = 20,
    sets_per_factor: int = 2,
    ax: Axes | None = None,
) -> Axes:
    """
    Draw which gene sets make which factors: the weights U as a map of sets × factors.

    What the factors are about, on one page. A factor with several dark sets is made of all of them; a set in several columns is split
    over these factors.

    Parameters
    ----------
    adata
        An AnnData with a fit or a projection, a model, or the path of a model file.
    key
        Name that the scores were written under. `None` takes the only one there.
    significant
        Draw only pairs with a nominal FDR below 0.05. `False` draws every weight, and marks those pairs.
    n_factors
        Largest number of factors: those whose sets are most certain (smallest FDR), in the order of the model. Small Axes get as many
        as have room.
    sets_per_factor
        Largest number of sets that a factor adds to the map, its largest weights first.
    ax
        Axes to draw into. `None` makes a figure.

    Returns
    -------
    The Axes: sets from top to bottom, by factor and then by weight, factors from left to right. The colour is the weight as a share
    of the factor's largest. Without any such pair there is a sentence instead of a map.

    Raises
    ------
    KeyError
        If there are no such scores, or several and no `key`.
    ValueError
        If a number is not a positive integer, or the scores keep no summary.
    TypeError
        If an argument is of the wrong kind.

    Notes
    -----
    Weights are the column ``coefficient`` of `omicstl.get.summary`, :math:`U` of :cite:p:`Mao2019`. They compare sets within a
    factor, not between factors, because loadings of factors differ in size. Cost: none to speak of; a model without an AnnData is tested again.

    Examples
    --------
    >>> import omicstl as otl
    >>> target, truth = otl.datasets.simulate_pathways(rng=0)
    >>> otl.tl.plier(target, truth.gene_sets, n_factors=5, max_iter=40, tol=1e-2)
    >>> ax = otl.pl.weights(target)
    >>> len(ax.get_xticks()) <= 5
    True
    """
    check_number("n_factors", n_factors, low=1, integer=True)
    check_number("sets_per_factor", sets_per_factor, low=1, integer=True)
    table = get.summary(adata, key)
    table = table.assign(factor=table["factor"].astype(str), set=table["set"].astype(str))
    certain = (table["fdr_nominal"] < FDR).to_numpy()
    shown = table[certain] if significant else table
    if shown.empty:
        return _sentence(ax, len(table))
    order = _names(adata, key)
    certain_first = shown.sort_values("fdr_nominal", kind="stable")["factor"].drop_duplicates()
    ranked = list(certain_first.head(int(n_factors)))
    while True:  # as many factors as have room for their sets
        factors = [name for name in order if name in set(ranked)]
        rows = _rows(shown, factors, int(sets_per_factor))
        if ax is None or len(ranked) == 1 or len(rows) <= rows_that_fit(ax, len(rows), AROUND):
            break
        ranked.pop()
    largest = table.groupby("factor")["coefficient"].max()
    share = np.full((len(rows), len(factors)), np.nan)
    marked = []
    here = shown[shown["factor"].isin(factors) & shown["set"].isin(rows)]
    for name, of, weight, fdr in here[["factor", "set", "coefficient", "fdr_nominal"]].itertuples(index=False):
        i, j = rows.index(of), factors.index(name)
        share[i, j] = weight / largest[name] if largest[name] > 0 else 0
        if not significant and fdr < FDR:
            marked.append((j, i))
    title = f"{plural(len(rows), 'gene set')} on {plural(len(factors), 'factor')}"
    if significant:
        title += f", FDR < {FDR:g}"
    rest = shown["factor"].nunique() - len(factors)
    return _draw(
        ax, share, rows, factors, marked, title + (f"\n(the most certain; {rest} more not shown)" if rest else "")
    )


def _names(adata: Any, key: str | None) -> list[str]:
    if isinstance(adata, AnnData):
        return [str(name) for name in factor_names(adata, score_key(adata, key))]
    return [str(name) for name in get.model(adata, key).names]  # type: ignore[attr-defined]


def _rows(shown: pd.DataFrame, factors: list[str], n_sets: int) -> list[str]:
    """Sets of the factors, one factor after the other, and each under the factor where it weighs most."""
    picked = shown[shown["factor"].isin(factors)].sort_values("coefficient", ascending=False, kind="stable")
    picked = picked.groupby("factor", sort=False).head(n_sets)
    picked = picked.assign(share=picked["coefficient"] / picked.groupby("factor")["coefficient"].transform("max"))
    home = picked.sort_values("share", ascending=False, kind="stable").drop_duplicates("set")
    place = home["factor"].map({name: i for i, name in enumerate(factors)})
    return list(home.assign(place=place).sort_values(["place", "share"], ascending=[True, False], kind="stable")["set"])


def _draw(
    ax: Axes | None, share: np.ndarray, rows: list[str], factors: list[str], marked: list[tuple[int, int]], title: str
) -> Axes:
    from matplotlib.lines import Line2D

    own = ax is None
    short = [name.partition(" ")[0] for name in factors]
    short = labels(short if len(set(short)) == len(short) else factors, 80, points("small"))
    ax = axes(ax, 3.7 + 0.22 * max(len(factors), 8), 1.6 + 0.19 * len(rows))
    size = row_font(ax, len(rows), AROUND)
    texts = labels(rows, label_room(ax, 215, own=own), size)
    beside = max(text_width(text, size) for text in texts) + 4
    drawn = ax.pcolormesh(
        np.arange(len(factors) + 1) - 0.5,
        np.arange(len(rows) + 1) - 0.5,
        np.ma.masked_invalid(share),
        cmap=one_sided(),
        vmin=0,
        vmax=1,
        edgecolors="white",
        linewidth=1,
    )
    ax.set_facecolor(EMPTY)
    for edge in np.arange(0.5, len(factors) - 0.5):
        ax.axvline(edge, color="white", linewidth=1, zorder=0.5)
    for edge in np.arange(0.5, len(rows) - 0.5):
        ax.axhline(edge, color="white", linewidth=1, zorder=0.5)
    ax.set_xlim(-0.5, len(factors) - 0.5)
    ax.set_ylim(len(rows) - 0.5, -0.5)
    pitch = max(cell(ax)[0] - beside - 14, 60) / len(factors)
    across = float(np.clip(0.84 * pitch, LEAST_FONT, points("small")))
    widest = max(text_width(name, across) for name in short)
    upright = widest > 0.9 * pitch
    ax.set_yticks(range(len(rows)), texts, fontsize=size)
    ax.set_xticks(range(len(factors)), short, fontsize=across, rotation=90 if upright else 0)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    drop = 11 + (widest if upright else across)
    bar, left = colour_bar(ax, drawn, "weight, share of the factor's largest", (0, 0.5, 1), drop=drop, beside=beside)
    if marked:
        dot: dict[str, Any] = {
            "marker": "o",
            "color": "white",
            "markeredgecolor": INK,
            "markeredgewidth": 0.7,
            "linestyle": "",
        }
        ax.plot([j for j, _ in marked], [i for _, i in marked], markersize=3.6, **dot)
        handle = Line2D([], [], markersize=4.5, label=f"FDR < {FDR:g}", **dot)
        legend_below(ax, [handle], drop=drop + bar, shift=left, size="small")
    set_title(ax, title, beside=beside)
    return ax


def _sentence(ax: Axes | None, n_tested: int) -> Axes:
    ax = axes(ax, 5.2, 0.8)
    ax.set_axis_off()
    said = (
        f"{plural(n_tested, 'pair')} of a set and a factor tested"
        if n_tested
        else "no pair of a set and a factor was tested"
    )
    set_title(ax, f"No gene set has FDR < {FDR:g} on a factor\n({said})")
    return ax
