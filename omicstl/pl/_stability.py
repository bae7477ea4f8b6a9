"""Which factors come back when the fit is repeated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from omicstl._core.checks import check_number
from omicstl._core.public import public
from omicstl._data.results import factor_names, score_key, stability_of

from ._style import DEEP, GREY, INK, axes, clean, legend_below, mix
from ._text import label_room, labels, plural, row_font, rows_that_fit, set_title, set_xlabel, text_width

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes

REPRODUCED = 0.9


@public
def stability(adata: AnnData, key: str | None = None, *, n_factors: int = 40, ax: Axes | None = None) -> Axes:
    """
    Draw which factors come back when the fit is repeated.

    What does not come back is an accident of the start and should not be interpreted. Named factors have a row each; if all factors
    are more than `n_factors`, those without a name share the last row.

    Parameters
    ----------
    adata
        An AnnData with a fit that `omicstl.tl.stability` has scored, or a projection onto such a fit.
    key
        Name that the scores were written under. `None` takes the only one there.
    n_factors
        Largest number of rows; small Axes get as many as have room. Of too many named factors the least stable share the last row too.
    ax
        Axes to draw into. `None` makes a figure.

    Returns
    -------
    The Axes: a dot at the median absolute correlation of each factor with its match over refits, the most stable on top, with a line to the
    lowest (a projection knows only the median). Blue factors have a name. The title counts medians above 0.9, at the dashed line.

    Raises
    ------
    KeyError
        If there are no such scores, or several and no `key`, or `omicstl.tl.stability` was not run.
    ValueError
        If `n_factors` is no positive integer.
    TypeError
        If `adata` is no AnnData or `ax` are no Axes.

    Notes
    -----
    Reads ``uns[key]["stability"]``, or ``uns[key]["factors"]`` of a projection. The answer of PLIER :cite:p:`Mao2019` depends on its
    start and hold-out. Cost: none to speak of.

    Examples
    --------
    >>> import omicstl as otl
    >>> target, truth = otl.datasets.simulate_pathways(rng=0)
    >>> otl.tl.plier(target, truth.gene_sets, n_factors=5, max_iter=40, tol=1e-2)
    >>> otl.tl.stability(target, n_refits=2)
    >>> len(otl.pl.stability(target).get_yticks())
    5
    """
    check_number("n_factors", n_factors, low=1, integer=True)
    key = score_key(adata, key)
    names, entry = factor_names(adata, key), adata.uns[key]
    median = stability_of(entry, names.size)
    if not np.isfinite(median).any():
        raise KeyError(_not_run(key, entry))
    tested = entry.get("stability")
    measured = isinstance(tested, Mapping)
    lowest = np.asarray(tested["factors"]["lowest_r"], dtype=float) if isinstance(tested, Mapping) else median
    order = np.argsort(-np.nan_to_num(median, nan=-1), kind="stable")
    named = np.array([" " in name for name in names])
    rows = order if names.size <= n_factors else order[named[order]][: int(n_factors)]
    own = ax is None
    ax = axes(ax, 6.0, 1.7 + 0.2 * (rows.size + (rows.size < names.size)))
    if not own:
        fit = rows_that_fit(ax, names.size)
        if rows.size > fit - (rows.size < names.size):
            rows = (rows[named[rows]] if named[rows].any() else rows)[: fit - 1]
    rest = order[~np.isin(order, rows)]

    _range(ax, median[rows], lowest[rows], named[rows])
    heights = np.arange(rows.size)
    texts = [*names[rows]]
    if rest.size:
        where = rows.size + 0.55 * (np.arange(rest.size) % 5 / 4 - 0.5)
        colours = [DEEP if known else mix(INK, 0.5) for known in named[rest]]
        ax.scatter(median[rest], where, c=colours, s=8, linewidths=0, alpha=0.7)
        ax.axhspan(rows.size - 0.5, rows.size + 0.5, color="#F3F3F3", linewidth=0, zorder=0)
        texts.append(f"{'the other' if rows.size else 'all'} {plural(rest.size, 'factor')}")
    size = row_font(ax, len(texts))
    texts = labels(texts, label_room(ax, 200, own=own), size)
    ax.set_yticks([*heights, *([rows.size] if rest.size else [])], texts, fontsize=size)
    ax.set_ylim(len(texts) - 0.4, -0.6)
    ax.set_xlim(0, 1.02)
    ax.axvline(REPRODUCED, color=INK, linestyle=(0, (4, 2)), linewidth=1.1, zorder=1)
    beside = max(text_width(text, size) for text in texts) + 4
    lines = set_xlabel(ax, "|r| with the factor's match in a refit", beside=beside)
    good = int((median > REPRODUCED).sum())
    n_refits = int(tested["params"]["n_refits"]) if isinstance(tested, Mapping) and "params" in tested else 0
    refits = f" of {plural(n_refits, 'refit')}" if n_refits else ""
    set_title(
        ax,
        f"{good} of {plural(names.size, 'factor')} come{'s' if names.size == 1 else ''} back: median |r|{refits} above {REPRODUCED:g}",
        beside=beside,
    )
    _legend(ax, named[rows], measured, beside, 28 + 12 * lines)
    clean(ax, left=False)
    return ax


def _range(ax: Axes, median: np.ndarray, lowest: np.ndarray, named: np.ndarray) -> None:
    from matplotlib.colors import to_rgba

    heights = np.arange(median.size)
    colours = [to_rgba(DEEP if known else mix(INK, 0.5)) for known in named]
    ax.hlines(heights, lowest, median, color=[(*colour[:3], 0.45) for colour in colours], linewidth=2, zorder=2)
    ax.scatter(median, heights, c=colours, s=26, linewidths=0.5, edgecolors="white", zorder=3)


def _legend(ax: Axes, named: np.ndarray, measured: bool, beside: float, drop: float) -> None:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=DEEP, marker="o", markersize=5, linestyle="", label="named after a set")]
    if not named.all():
        handles.append(Line2D([], [], color=mix(INK, 0.5), marker="o", markersize=5, linestyle="", label="no name"))
    if not named.any():
        handles = []
    if measured:
        handles.append(Line2D([], [], color=GREY, linewidth=2, label="down to the lowest"))
    if handles:
        legend_below(ax, handles, beside=beside, drop=drop, size="small")


def _not_run(key: str, entry: Mapping[str, Any]) -> str:
    if entry.get("kind") == "projection":
        return (
            f"adata.uns[{key!r}] is a projection, and the stability of its factors was not measured. Run otl.tl.stability on the "
            "reference and project again."
        )
    return f"adata.uns[{key!r}] has no stability. Run otl.tl.stability(adata, {key!r}) first."
