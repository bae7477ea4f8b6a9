"""How the members of an ensemble were trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from omicstl._core.checks import missing_key
from omicstl._core.public import public

from ._networks import NETWORKS, size_colours, table_of
from ._style import INK, clean, mix
from ._text import LEAST_FONT, fitted, plural, room, text_width

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes

WIDTH, HEIGHTS = 7.4, (3.3, 4.9)  # inches; for up to three panels, and for four
PANELS = {
    "loss": "Loss",
    "validation": "Loss, held-out observations",
    "reconstruction": "Reconstruction",
    "kl": "KL divergence",
}
LEAST = (95.0, 62.0)  # points of a panel's width and height
LEADING = 1.32


@public
def training(adata: AnnData, key: str | None = None, *, ax: Axes | None = None) -> Axes:
    """
    Draw how networks were trained: loss, reconstruction and divergence of every member, epoch by epoch.

    The first thing to look at after a fit: has the loss levelled off, does it rise again on held-out observations, and does a
    member go its own way?

    Parameters
    ----------
    adata
        An AnnData with a fit of `omicstl.tl.deepprofile` or `omicstl.tl.vae`.
    key
        Name that the fit was written under. `None` takes the only one there.
    ax
        Axes whose place the panels take. `None` makes a figure.

    Returns
    -------
    The Axes, with a panel in ``child_axes`` for each of loss, loss on held-out observations (if some were held out),
    reconstruction and KL divergence; small Axes get as many as have room. Thin lines are members, coloured by latent size, thick
    ones the medians of a latent size, as long as at least half of its members were trained. Dots mark the epoch of the lowest loss on
    held-out observations, to which a network returns (the median of the members). The title says how much of the fall in loss
    the last tenth of the epochs brought.

    Raises
    ------
    KeyError
        If there is no history, or several and no `key`.
    TypeError
        If `adata` is no AnnData or `ax` are no Axes.

    Notes
    -----
    Reads ``uns[key]["history"]``: means over the observations of an epoch, of sums over features and over latent units; the
    loss is the negative evidence lower bound of :cite:p:`Kingma2014` up to a constant. A scale is logarithmic where the values
    are positive and spread more than tenfold. Cost: one line a member and panel; lines of more than 100 members are drawn as a picture in
    vector formats.

    Examples
    --------
    >>> import omicstl as otl
    >>> target, truth = otl.datasets.simulate_pathways(rng=0)
    >>> otl.tl.vae(target, n_factors=3, training=otl.tl.Training(epochs=5))
    >>> len(otl.pl.training(target).child_axes)
    3
    """
    key, table = table_of(adata, key, "history", NETWORKS)
    curves = _curves(table)
    page = _page(ax, len(curves.values))
    width, height = room(page)
    size = float(np.clip(9 * min(width / 480, height / 210), LEAST_FONT, 10))
    line = LEADING * size
    colours = dict(zip(curves.sizes, size_colours(len(curves.sizes)), strict=True))

    title = fitted(_title(curves), width, 1.25 * size, 3)
    _write(page, 0, height, title, 1.25 * size)
    top = height - 1.25 * line * (1 + title.count("\n")) - 0.3 * line
    bottom = _legend(page, curves, colours, width, size)
    n_columns, shown = _grid(len(curves.values), width, top - bottom - line, size)
    n_rows = -(-shown // n_columns)
    each = width / n_columns, (top - bottom - line) / n_rows
    for i, name in enumerate(list(curves.values)[:shown]):
        row, column = divmod(i, n_columns)
        low = bottom + line + (n_rows - 1 - row) * each[1] + 1.5 * line
        left = column * each[0] + 4.2 * size
        box = (left, low, each[0] - 5.4 * size, each[1] - 3.1 * line)
        panel = page.inset_axes((box[0] / width, box[1] / height, box[2] / width, box[3] / height))
        _panel(panel, curves, name, colours)
        panel.tick_params(labelsize=0.92 * size, length=2.5, pad=2)
        panel.set_title(fitted(PANELS[name], box[2] + 2 * size, size), loc="left", fontsize=size, pad=4)
        if i + n_columns >= shown:
            panel.set_xlabel("epoch", fontsize=size, labelpad=2)
    return page


class _Curves(NamedTuple):
    """Values (members, epochs) by what they are, NaN after the end of a member's training."""

    epoch: np.ndarray
    size: np.ndarray
    values: dict[str, np.ndarray]

    @property
    def sizes(self) -> list[int]:
        return sorted(set(self.size.tolist()))

    def median(self, name: str, size: int) -> np.ndarray:
        """Median over the members of a latent size, where at least half of them were trained."""
        own = self.values[name][self.size == size]
        known = np.isfinite(own).sum(axis=0)
        found = np.full(own.shape[1], np.nan)
        enough = (2 * known >= len(own)) & (known > 0)
        found[enough] = np.nanmedian(own[:, enough], axis=0)
        return found

    def best(self, size: int) -> float:
        """Epoch of the lowest loss on held-out observations, median over the members of a latent size."""
        own = self.values["validation"][self.size == size]
        return float(np.median(self.epoch[np.nanargmin(own[np.isfinite(own).any(axis=1)], axis=1)]))


def _curves(table: pd.DataFrame) -> _Curves:
    for name in ("latent_size", "member", "epoch", "loss"):
        if name not in table:
            raise missing_key(name, "the columns of the history", table.columns)
    index = ["latent_size", "member"]
    columns = [name for name in PANELS if name in table and table[name].notna().any()]
    wide = {name: table.pivot(index=index, columns="epoch", values=name) for name in columns}
    first = next(iter(wide.values()))
    return _Curves(
        first.columns.to_numpy(dtype=float),
        first.index.get_level_values(0).to_numpy(dtype=int),
        {name: part.to_numpy(dtype=float) for name, part in wide.items()},
    )


def _title(curves: _Curves) -> str:
    n = curves.size.size
    who = plural(n, "member") if n > 1 else "One network"
    sizes = f" of {plural(len(curves.sizes), 'latent size')}" if len(curves.sizes) > 1 else ""
    loss = curves.values["loss"]
    ran = np.isfinite(loss).sum(axis=1)
    fewest, most = int(ran.min()), int(ran.max())
    epochs = plural(most, "epoch") if fewest == most else f"{fewest} to {plural(most, 'epoch')}"
    share = _last_share(loss)
    if share is None:
        return f"{who}{sizes}, {epochs}"
    brought = "nothing" if share < 0.0005 else f"{100 * share:.{1 if share < 0.095 else 0}f} %"
    return f"{who}{sizes}, {epochs}: the last tenth of them brought {brought} of the fall in loss"


def _last_share(loss: np.ndarray) -> float | None:
    """Share of the fall in loss that lies in the last tenth of a member's epochs, median over members."""
    shares = []
    for member in loss:
        own = member[np.isfinite(member)]
        before = own.size - 1 - max(1, round(own.size / 10))
        if before > 0 and own[0] > own[-1]:
            shares.append((own[before] - own[-1]) / (own[0] - own[-1]))
    return float(np.median(shares)) if shares else None


def _page(ax: Axes | None, n_panels: int) -> Axes:
    if ax is None:
        import matplotlib.pyplot as plt

        height = HEIGHTS[n_panels > 3]
        ax = plt.figure(figsize=(WIDTH, height)).add_axes((0.03, 0.15 / height, 0.94, 1 - 0.3 / height))
    ax.set_axis_off()
    figure: Any = ax.get_figure(root=True)
    if figure.get_layout_engine() is not None:
        figure.draw_without_rendering()  # the page takes the room of the labels that it does not have
    return ax


def _grid(n: int, width: float, height: float, size: float) -> tuple[int, int]:
    """Columns, and how many of the panels are drawn: all that have room, at least one."""
    least = LEAST[0] * size / 9 + 5.4 * size, LEAST[1] * size / 9 + 3.1 * LEADING * size
    most_columns, most_rows = max(1, int(width // least[0])), max(1, int(height // least[1]))
    shown = min(n, most_columns * most_rows)
    options = [c for c in range(1, min(most_columns, shown) + 1) if -(-shown // c) <= most_rows]

    def smallest(columns: int) -> float:
        rows = -(-shown // columns)
        return min(width / columns, 1.35 * height / rows)

    return max(options, key=smallest), shown


def _panel(panel: Axes, curves: _Curves, name: str, colours: dict[int, Any]) -> None:
    from matplotlib.collections import LineCollection
    from matplotlib.patheffects import Normal, withStroke

    values, epoch = curves.values[name], curves.epoch
    single = len(values) == len(curves.sizes)
    for size in curves.sizes:
        own = values[curves.size == size]
        if len(own) > 1:
            panel.add_collection(
                LineCollection(
                    [np.column_stack([epoch, member]) for member in own],
                    colors=[colours[size]],
                    linewidths=0.7,
                    alpha=float(np.clip(6 / len(own), 0.07, 0.75)),
                    rasterized=len(values) > 100,
                )
            )
    for size in curves.sizes:
        median = curves.median(name, size)
        outline: Any = (
            []
            if len(values) > 10 * len(curves.sizes) or single
            else [withStroke(linewidth=2.3, foreground="white"), Normal()]
        )
        style: Any = {"color": colours[size], "zorder": 4, "solid_capstyle": "round"}
        panel.plot(epoch, median, linewidth=1.5, marker="o" if epoch.size == 1 else "", path_effects=outline, **style)
        if name == "validation":
            best = curves.best(size)
            panel.plot(
                [best],
                [np.interp(best, epoch, median)],
                marker="o",
                markersize=5,
                color=colours[size],
                markeredgecolor="white",
                zorder=5,
            )
    _scale(panel, values, from_zero=name == "kl")
    low, high = epoch[0], epoch[-1]
    panel.set_xlim(low - (0.5 if epoch.size == 1 else 0), high + (0.5 if epoch.size == 1 else 0.01 * (high - low)))
    panel.locator_params(axis="x", integer=True, nbins=6)
    clean(panel)


def _scale(panel: Axes, values: np.ndarray, *, from_zero: bool) -> None:
    known = values[np.isfinite(values)]
    low, high = float(known.min()), float(known.max())
    if low > 0 and high > 10 * low and not from_zero:
        panel.set_yscale("log")
        panel.set_ylim(low / 1.1, high * 1.1)
        return
    slack = 0.05 * max(high - low, 1e-3 * max(abs(low), abs(high)), 1e-12)
    panel.set_ylim(0 if from_zero and low >= 0 else low - slack, high + slack)
    panel.locator_params(axis="y", nbins=5)


def _legend(page: Axes, curves: _Curves, colours: dict[int, Any], width: float, size: float) -> float:
    """Say at the bottom what the lines are; return the height that it takes."""
    from matplotlib.lines import Line2D

    said = []
    if curves.size.size > len(curves.sizes):
        said.append("thin lines: members, thick: their median")
    if "validation" in curves.values:
        said.append(f"{'dots' if len(curves.sizes) > 1 else 'dot'}: where the held-out loss is lowest")
    line, height = LEADING * size, room(page)[1]
    words = fitted("; ".join(said), width, size, 2)
    below = line * (words.count("\n") + 1) if said else 0.0
    if said:
        _write(page, 0, below, words[0].upper() + words[1:], size, mix(INK, 0.8))
    if len(curves.sizes) == 1:
        return below
    handles = [Line2D([], [], color=colours[one], linewidth=2.2, label=f"{one:,}") for one in curves.sizes]
    head = text_width("Latent size", size) + size
    widest = max(text_width(str(handle.get_label()), size) for handle in handles) + 3.4 * size
    n_columns = max(1, min(len(handles), int((width - head) // widest)))
    rows = -(-len(handles) // n_columns)
    tall = 1.35 * line * rows
    _write(page, 0, below + tall, "Latent size", size)
    page.legend(
        handles=[handles[i] for column in range(n_columns) for i in range(column, len(handles), n_columns)],
        ncols=n_columns,
        loc="upper left",
        bbox_to_anchor=(head / width, (below + tall) / height),
        bbox_transform=page.transAxes,
        frameon=False,
        fontsize=size,
        handlelength=1.2,
        handletextpad=0.4,
        columnspacing=1.1,
        labelspacing=0.3,
        borderaxespad=0,
        borderpad=0.1,
    )
    return below + tall


def _write(page: Axes, x: float, y: float, text: str, size: float, colour: Any = INK) -> None:
    width, height = room(page)
    page.text(
        x / width, y / height, text, fontsize=size, color=colour, va="top", transform=page.transAxes, linespacing=1.2
    )
