"""Which latent sizes the factors of an ensemble are made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from omicstl._core.checks import missing_key
from omicstl._core.public import public

from ._networks import size_colours, table_of
from ._style import INK, axes, clean, legend_below, mix
from ._text import LEAST_FONT, NARROW, cell, inner, label_room, labels, plural, points, set_title, text_width

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes

AROUND = 100  # points for the title, and for what stands below
LEAST_ROW = 9.0  # points of a row that has its name beside it
NAMED = 45  # rows of a figure of its own that all have their name
SPLIT = 0.60  # where the shares end, in widths of the Axes
NODES, STABILITY = (0.64, 0.77), (0.82, 0.99)


@public
def composition(
    adata: AnnData, key: str | None = None, *, rows: Sequence[str] | None = None, ax: Axes | None = None
) -> Axes:
    """
    Draw what the factors of an ensemble are made of: the shares of the latent sizes, the latent units, and how alike they are.

    Does the range of latent sizes pay? Factors that only large networks find, or only small ones, are of one colour. And which factors
    were found by many members alike?

    Parameters
    ----------
    adata
        An AnnData with a fit of `omicstl.tl.deepprofile`.
    key
        Name that the fit was written under. `None` takes the only one there.
    rows
        Names of the factors, from top to bottom. `None` takes all, by the mean latent size of their units.
    ax
        Axes to draw into. `None` makes a figure.

    Returns
    -------
    The Axes: a row for each factor. From left to right the share of its latent units that come from members of each latent size, the
    number of units, and their stability, the mean absolute correlation with the factor. Where there are more factors than names
    have room, every second, third ... is named. The title says how many factors come from one latent size alone.

    Raises
    ------
    KeyError
        If there is no such fit, or several and no `key`, or a name of `rows` is none of its factors.
    TypeError
        If an argument is of the wrong kind.
    ValueError
        If `rows` is empty.

    Notes
    -----
    Reads ``uns[key]["clusters"]``. A latent size of 100 has twenty times the units of a latent size of 5, for as many
    members: shares are of units, as they enter the mean that is the factor's score. Cost: none to speak of.

    Examples
    --------
    >>> import omicstl as otl
    >>> target, truth = otl.datasets.simulate_pathways(rng=0)
    >>> quick = otl.tl.Training(epochs=5)
    >>> otl.tl.deepprofile(target, latent_sizes=(3, 5), n_members=2, n_clusters=4, training=quick)
    >>> len(otl.pl.composition(target).get_yticks())
    4
    """
    key, table = table_of(adata, key, "clusters", "otl.tl.deepprofile")
    sizes, shares = _shares(table)
    names = [str(name) for name in table["factor"]]
    order = np.lexsort((-table["n_nodes"].to_numpy(), shares @ sizes)) if rows is None else _chosen(rows, names)
    shares, names = shares[order], [names[i] for i in order]
    n_nodes = table["n_nodes"].to_numpy(dtype=float)[order]
    stability = table["stability"].to_numpy(dtype=float)[order]

    own, n = ax is None, len(names)
    ax = axes(ax, 6.6, 1.9 + min(0.19 * n, 0.12 * NAMED + 0.012 * n))
    every = int(np.ceil(n * LEAST_ROW / max(inner(ax, AROUND), LEAST_ROW)))
    shown = list(range(0, n, every))
    size = float(np.clip(0.84 * inner(ax, AROUND) / len(shown), LEAST_FONT, points("small")))
    texts = labels([names[i] for i in shown], label_room(ax, 190, own=own), size)
    beside = max(text_width(text, size) for text in texts) + 4
    colours = size_colours(len(sizes))
    _bars(ax, shares, colours)
    ax.set_yticks(shown, texts, fontsize=size)
    ax.set_ylim(n - 0.5, -0.5)
    ax.set_xlim(0, 1)
    _columns(ax, n_nodes, stability)
    clean(ax, left=False)
    ax.spines["bottom"].set_visible(False)
    set_title(ax, _title(shares, sizes), beside=beside)
    _legend(ax, sizes, colours, beside)
    return ax


def _shares(table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Latent sizes from small to large, and the shares (factors, sizes)."""
    for name in ("factor", "n_nodes", "stability"):
        if name not in table:
            raise missing_key(name, "the columns of the clusters", table.columns)
    found = {int(name.removeprefix("share_")): name for name in table if str(name).startswith("share_")}
    sizes = np.array(sorted(found))
    return sizes, table[[found[size] for size in sizes]].to_numpy(dtype=float)


def _chosen(rows: Sequence[str], names: list[str]) -> np.ndarray:
    if not len(rows):
        msg = "`rows` is empty. Name at least one, or leave it out for all."
        raise ValueError(msg)
    for name in rows:
        if name not in names:
            raise missing_key(name, "the factors of this fit", names)
    return np.array([names.index(name) for name in rows])


def _title(shares: np.ndarray, sizes: np.ndarray) -> str:
    n = len(shares)
    alone = (shares > 0.999).any(axis=1)
    if len(sizes) == 1:
        return f"{plural(n, 'factor')} of one latent size"
    if not alone.any():
        return f"{'Every' if n > 1 else 'The'} factor{f' of {n}' if n > 1 else ''} comes from several latent sizes"
    largest = (shares[:, -1] > 0.999).sum()
    only = f" ({int(largest)} from {sizes[-1]} only)" if largest > 0 else ""
    return f"{int(alone.sum())} of {plural(n, 'factor')} come{'s' if alone.sum() == 1 else ''} from one latent size alone{only}"


def _bars(ax: Axes, shares: np.ndarray, colours: list[Any]) -> None:
    """Stacked shares of each row, as one collection per latent size."""
    heights = np.arange(len(shares))
    ends = SPLIT * np.cumsum(shares, axis=1)
    thick = 0.84 if len(shares) <= NAMED else 1.0
    for j, colour in enumerate(colours):
        ax.barh(
            heights,
            SPLIT * shares[:, j],
            left=ends[:, j] - SPLIT * shares[:, j],
            height=thick,
            color=colour,
            linewidth=0,
        )


def _columns(ax: Axes, n_nodes: np.ndarray, stability: np.ndarray) -> None:
    """Units and stability beside the shares, each with a scale of its own, in the same rows."""
    heights = np.arange(n_nodes.size)
    most = float(n_nodes.max())
    left, right = NODES
    ax.barh(heights, (right - left) * n_nodes / most, left=left, height=0.84, color=mix(INK, 0.35), linewidth=0)
    low = min(0.5, np.floor(10 * np.nanmin(stability)) / 10) if np.isfinite(stability).any() else 0.0
    start, end = STABILITY
    for band in np.linspace(start, end, 3):
        ax.plot([band, band], [-0.5, n_nodes.size - 0.5], color=mix(INK, 0.2), linewidth=0.6, zorder=0)
    ax.scatter(
        start + (end - start) * (stability - low) / (1 - low),
        heights,
        s=float(np.clip(400 / n_nodes.size, 5, 20)),
        color=INK,
        linewidths=0,
        zorder=3,
    )
    ticks: tuple[tuple[float, str, Any], ...] = (
        (0.0, "0", "left"),
        (SPLIT / 2, "50", "center"),
        (SPLIT, "100", "right"),
        (right, f"{most:,.0f}", "right"),
        (start, f"{low:g}", "left"),
        (end, "1", "right"),
    )
    narrow = cell(ax)[0] - 10 <= NARROW
    size = LEAST_FONT if narrow else points("small")
    ax.set_xticks([place for place, _, _ in ticks], [text for _, text, _ in ticks], fontsize=size)
    for label, (_, _, side) in zip(ax.get_xticklabels(), ticks, strict=True):
        label.set_horizontalalignment(side)
    ax.tick_params(axis="x", length=2)
    heads = ((0.0, "% of its latent units", "left"), (right, "units", "right"), (end, "stability", "right"))
    for place, text, side in heads:
        ax.annotate(
            text,
            (place, 0),
            (0, -7 - 1.2 * size),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            ha=side,
            va="top",
            fontsize=size,
        )


def _legend(ax: Axes, sizes: np.ndarray, colours: list[Any], beside: float) -> None:
    from matplotlib.patches import Patch

    handles = [Patch(color=colour, label=f"{size:,}") for size, colour in zip(sizes, colours, strict=True)]
    legend_below(ax, handles, title="Latent size", beside=beside, drop=38, size="small")
