"""What the plots share: colours that colour-blind people can tell apart (Okabe and Ito), new Axes, legends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from omicstl._core.checks import listed

from ._text import NARROW, cell, fitted, points, text_width

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.transforms import Transform

ACCENT, DEEP, GREY, INK = "#D55E00", "#0072B2", "#A7A9AC", "#222222"
EMPTY = "#F5F5F5"
GROUPS = ("#009E73", "#E69F00", "#CC79A7", "#56B4E9", "#0072B2", "#D55E00", "#F0E442", "#222222")
FDR = 0.05


def axes(ax: Axes | None, width: float, height: float) -> Axes:
    """Return `ax`, or the Axes of a new figure of that size in inches."""
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=(width, height), layout="constrained")[1]


def clean(ax: Axes, *, left: bool = True) -> None:
    """Take off the frame, but for the axes that carry a scale."""
    ax.spines[["top", "right"]].set_visible(False)
    if not left:
        ax.spines["left"].set_visible(False)
        ax.tick_params(axis="y", length=0)


def corner(ax: Axes) -> Transform:
    """Points from the lower left corner of the Axes, whatever becomes of their size."""
    from matplotlib.transforms import Affine2D, ScaledTranslation

    figure: Any = ax.get_figure(root=True)
    return Affine2D().scale(1 / 72) + figure.dpi_scale_trans + ScaledTranslation(0, 0, ax.transAxes)  # type: ignore[arg-type]


def legend_below(
    ax: Axes,
    handles: Sequence[Artist],
    *,
    title: str | None = None,
    ncols: int | None = None,
    left: float = 0,
    beside: float = 0,
    shift: float = 0,
    drop: float | None = None,
    size: str | float = "medium",
) -> None:
    """
    Put the legend `drop` points below the Axes, by default below the label of the x axis, where no data are.

    Without `ncols` it has as many columns as fit, and may begin `beside` points further left, under the labels there;
    `shift` points to the right of the Axes' left end it begins if told.
    """
    from matplotlib import rcParams
    from matplotlib.transforms import offset_copy

    down = 4 * rcParams["font.size"] if drop is None else drop
    if ncols is None and not shift:
        whole = cell(ax)[0] - 10
        size = "x-small" if whole <= NARROW else size
        widths = [text_width(str(handle.get_label()), points(size)) + 4 * points(size) for handle in handles]
        shift = 0.0 if sum(widths) <= whole - beside else -beside
        ncols = max(1, min(len(handles), int((whole - beside - shift) // max(widths))))
        ncols = len(handles) if sum(widths) <= whole - beside - shift else ncols
    below = offset_copy(ax.transAxes, fig=ax.get_figure(root=True), x=shift, y=-down, units="points")
    ax.legend(
        handles=handles,
        title=title,
        ncols=ncols or 1,
        loc="upper left",
        bbox_to_anchor=(left, 0),
        bbox_transform=below,
        frameon=False,
        alignment="left",
        borderaxespad=0,
        borderpad=0,
        columnspacing=1.4,
        handletextpad=0.4,
        fontsize=size,
        title_fontsize=size,
    )


def colour_bar(
    ax: Axes, drawn: ScalarMappable, label: str, ticks: Sequence[float], *, drop: float = 14, beside: float = 0
) -> tuple[float, float]:
    """
    Put a short colour bar `drop` points below the Axes, with its label beside it, or below where there is no room.

    It may begin `beside` points further left, under the labels there. Returns its height, and where it begins, in points.
    """
    size = points("small")
    whole = cell(ax)[0] - 10
    left = 0.0 if text_width(label, size) + 100 <= whole - beside else -beside
    width = whole - beside - left
    bar = ax.inset_axes((left, -drop - 7, min(90.0, width), 7), transform=corner(ax))
    figure: Any = ax.get_figure(root=True)
    figure.colorbar(drawn, cax=bar, orientation="horizontal", ticks=list(ticks))
    bar.set_xticks(list(ticks), [f"{tick:g}".replace("-", "−") for tick in ticks])
    bar.tick_params(length=2, labelsize="small")
    bar.spines[:].set_visible(False)
    if text_width(label, size) + 100 <= width:
        place, shift, va, height = (1, 0.5), (7.0, 0.0), "center", 12 + size
    else:
        label = fitted(label, max(width, 60), size, 3)
        place, shift, va = (0, 0), (0.0, -5 - 1.2 * size), "top"
        height = 12 + 1.3 * size * (2 + label.count("\n"))
    bar.annotate(label, place, shift, xycoords="axes fraction", textcoords="offset points", va=va, fontsize=size)
    return height, left


def two_sided(low: str = DEEP, high: str = ACCENT) -> LinearSegmentedColormap:
    """Colours of values around zero: blue, white, vermilion."""
    from matplotlib.colors import LinearSegmentedColormap

    colours: list[Any] = [low, mix(low, 0.45), "#FFFFFF", mix(high, 0.45), high]
    return LinearSegmentedColormap.from_list("omicstl", colours)


def one_sided(colour: str = DEEP) -> LinearSegmentedColormap:
    """Colours of values from zero: white to the colour."""
    from matplotlib.colors import LinearSegmentedColormap

    colours: list[Any] = [mix(colour, 0.08), colour]
    return LinearSegmentedColormap.from_list("omicstl", colours)


def group_colours(n: int) -> list[Any]:
    """Colours of that many groups; after the eighth they repeat in pale."""
    return [
        GROUPS[i % len(GROUPS)] if i < len(GROUPS) else mix(GROUPS[i % len(GROUPS)], 0.9 / (1 + i // len(GROUPS)))
        for i in range(n)
    ]


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
