"""What the plots share: colours that colour-blind people can tell apart (Okabe and Ito), new Axes, long names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from omicstl._core.checks import listed

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

ACCENT, DEEP, PALE, GREY, INK = "#D55E00", "#0072B2", "#56B4E9", "#A7A9AC", "#222222"


def axes(ax: Axes | None, width: float, height: float) -> Axes:
    """Return `ax`, or the Axes of a new figure of that size in inches."""
    if ax is not None:
        check_axes(ax)
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=(width, height), layout="constrained")[1]


def check_axes(ax: Any) -> None:
    """Refuse what cannot be drawn into."""
    from matplotlib.axes import Axes

    if not isinstance(ax, Axes):
        msg = f"`ax` must be matplotlib Axes or None, got {type(ax).__name__}. Pass one of them, e.g. ax=axes[0]."
        raise TypeError(msg)


def clean(ax: Axes, *, left: bool = True) -> None:
    """Take off the frame, but for the axes that carry a scale."""
    ax.spines[["top", "right"]].set_visible(False)
    if not left:
        ax.spines["left"].set_visible(False)
        ax.tick_params(axis="y", length=0)


def legend_below(
    ax: Axes, handles: Sequence[Artist], *, title: str | None = None, ncols: int = 3, left: float = 0
) -> None:
    """Put the legend below the label of the x axis, where no data are, whatever the size of the Axes."""
    from matplotlib import rcParams
    from matplotlib.transforms import offset_copy

    below = offset_copy(ax.transAxes, fig=ax.get_figure(root=True), y=-4 * rcParams["font.size"], units="points")
    ax.legend(
        handles=handles,
        title=title,
        ncols=ncols,
        loc="upper left",
        bbox_to_anchor=(left, 0),
        bbox_transform=below,
        frameon=False,
        alignment="left",
        borderaxespad=0,
        borderpad=0,
        columnspacing=1.4,
        handletextpad=0.4,
    )


def wrapped(name: str, width: int = 28, lines: int = 3) -> str:
    """Break a long name at blanks and underscores, and cut what is still too long."""
    rows = [""]
    for part in re.findall(r"[^ _]+[ _]*", name):
        if rows[-1] and len(rows[-1]) + len(part.rstrip()) > width:
            rows.append("")
        rows[-1] += part
    if len(rows) > lines:
        rows = [*rows[: lines - 1], rows[lines - 1].rstrip(" _")[: width - 1] + "…"]
    return "\n".join(row.rstrip(" ") for row in rows)


def mix(colour: str, share: float) -> tuple[float, float, float]:
    """Mix a colour with white; `share` 1 is the colour itself."""
    from matplotlib.colors import to_rgb

    red, green, blue = (1 - share * (1 - part) for part in to_rgb(colour))
    return red, green, blue


def only(names: list[str], key: str | None, what: str) -> str:
    """Return `key`, or the only name there is."""
    if key is not None:
        return key
    if len(names) == 1:
        return names[0]
    found = f"{len(names)} {what}: {listed(sorted(names))}" if names else f"no {what}"
    msg = f"adata holds {found}. {'Say which one: key=...' if names else 'Make one with otl.tl.project(adata, reference)'}."
    raise KeyError(msg)
