"""Text that fits: widths in points without drawing, names cut to a width, numbers as papers print them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
LEAST_FONT = 6.0  # points; smaller print is not read
HINTED = 1.08  # drawn at a low resolution, letters are up to that much wider than their outlines
NARROW = 250.0  # points; in less, titles and labels are smaller
LINE = 1.22  # height of a line of a title, in sizes of its font


def points(size: str | float) -> float:
    """Size of a font in points, e.g. of ``"small"``."""
    from matplotlib.font_manager import FontProperties

    return float(FontProperties(size=size).get_size_in_points())


def text_width(text: str, size: float) -> float:
    """Width of the widest line in points."""
    from matplotlib import rcParams

    family = (*rcParams["font.family"], *rcParams["font.sans-serif"][:1])
    return max(sum(_advance(sign, family) for sign in line) for line in text.split("\n")) * size / 10


@lru_cache(maxsize=10_000)
def _advance(sign: str, family: tuple[str, ...]) -> float:
    """How far a character moves the next one on, at ten points in that font; once for each, because outlines take time."""
    from matplotlib.textpath import TextPath

    sign = r"\$" if sign == "$" else sign
    edges = [float(TextPath((0, 0), text, size=10).get_extents().width) for text in (f"|{sign}|", "||")]
    return edges[0] - edges[1]


def spoken(name: str) -> str:
    """A name as it is read: blanks for underscores, no formulas."""
    return " ".join(name.replace("_", " ").replace("$", r"\$").split())


def fitted(name: str, width: float, size: float, lines: int = 1, *, code: bool = False) -> str:
    """Break a name at blanks into `lines` of `width` points, and cut what is still too long; `code` keeps underscores."""
    words, rows = (name if code else spoken(name)).split(), [""]
    for word in words:
        longer = f"{rows[-1]} {word}".strip()
        if rows[-1] and text_width(longer, size) > width:
            if len(rows) == lines:
                rows[-1] = f"{rows[-1]} {word}…"
                break
            longer = word
            rows.append("")
        rows[-1] = longer
    return "\n".join(_cut(row, width, size) for row in rows)


def _cut(row: str, width: float, size: float) -> str:
    if text_width(row, size) <= width:
        return row
    low, high = 1, len(row)
    while low < high:  # the longest beginning that fits
        middle = (low + high + 1) // 2
        low, high = (middle, high) if text_width(row[:middle] + "…", size) <= width else (low, middle - 1)
    return row[:low].rstrip(" …") + "…"


def labels(names: Sequence[str], width: float, size: float, lines: int = 1) -> list[str]:
    """Cut names to a width; those that would read the same keep their end instead of their middle."""
    texts = [fitted(name, width, size, lines) for name in names]
    twice = {text for text in texts if texts.count(text) > 1}
    return [
        text if text not in twice or len(name) < 8 else _middle(spoken(name), width, size)
        for name, text in zip(names, texts, strict=True)
    ]


def _middle(name: str, width: float, size: float) -> str:
    if text_width(name, size) <= width:
        return name
    half = _cut(name, width / 2, size).rstrip("…")
    end = len(name) - 1
    while end > len(half) and text_width(f"{half}…{name[end - 1 :]}", size) <= width:
        end -= 1
    return f"{half}…{name[end:]}"


def room(ax: Axes) -> tuple[float, float]:
    """Width and height of Axes in points, as they are now."""
    box = ax.get_window_extent()
    dpi = ax.get_figure(root=True).dpi  # type: ignore[union-attr]
    return 72 * box.width / dpi, 72 * box.height / dpi


def _laid_out(ax: Axes) -> bool:
    """Whether a layout engine makes room for labels."""
    figure = ax.get_figure(root=True)
    return figure is not None and figure.get_layout_engine() is not None


def _margin(ax: Axes) -> float:
    """Points between the left edge of Axes and what is to the left of them: other Axes, or the edge of the figure."""
    figure = ax.get_figure(root=True)
    if figure is None:
        return 0.0
    box = ax.get_window_extent()
    others = [one.get_window_extent() for one in figure.axes if one is not ax]
    edges = [one.x1 for one in others if one.x1 <= box.x0 and one.y0 < box.y1 and one.y1 > box.y0]
    return float(72 * (box.x0 - max([0.0, *edges])) / figure.dpi)


def cell(ax: Axes) -> tuple[float, float]:
    """Width and height in points that Axes have together with the labels beside them."""
    width, height = room(ax)
    return (1.25 * width, 1.25 * height) if _laid_out(ax) else (width + _margin(ax), height)


def label_room(ax: Axes, most: float, *, own: bool) -> float:
    """Width in points for the labels of rows; at `most` that in a figure of its own."""
    if own:
        return most
    widest = min(most, 0.4 * cell(ax)[0])
    return widest if _laid_out(ax) else max(min(widest, _margin(ax) - 10), 40)


def set_title(ax: Axes, text: str, *, beside: float = 0, shift: bool = True) -> None:
    """
    Put a title at the left.

    It begins with the Axes, or where a line is too short for that, `beside` points further left, above the labels there; and it is broken
    where the Axes end. Where nothing makes room for it, it is as small as the room above the Axes asks for.
    """
    from matplotlib import rcParams
    from matplotlib.transforms import ScaledTranslation

    whole = cell(ax)[0] - 10
    size = points(rcParams["axes.titlesize"])
    size = size if whole > NARROW else min(size, points("medium"))
    inside = whole - beside
    shifted = shift and beside > 0 and text_width(text, size) > inside
    width = max(whole if shifted else inside, 80)
    lines, size = _in_height(text, width, size, np.inf if _laid_out(ax) else _above(ax))
    title = ax.set_title(lines, loc="left", fontsize=size)
    place = ax.transAxes + ax.titleOffsetTrans  # type: ignore[attr-defined]
    if (
        shifted
    ):  # not quite so far: at another resolution hinted labels are a few percent narrower than they were measured
        place += ScaledTranslation(-max(0.94 * beside - 4, 0) / 72, 0, ax.get_figure(root=True).dpi_scale_trans)  # type: ignore[union-attr]
    title.set_transform(place)


def _in_height(text: str, width: float, size: float, height: float) -> tuple[str, float]:
    """Lines of a title, smaller where the height in points is not enough, and cut where that does not help."""
    while True:
        lines = "\n".join(fitted(part, width, size, 4) for part in text.split("\n"))
        if LINE * size * (lines.count("\n") + 1) <= height:
            return lines, size
        if size <= LEAST_FONT:
            return fitted(text, width, size, max(int(height // (LINE * size)), 1)), size
        size = max(size - 0.5, LEAST_FONT)


def _above(ax: Axes) -> float:
    """Points for a title between the top of Axes and what is above them: other Axes, or the edge of the figure."""
    from matplotlib import rcParams

    figure = ax.get_figure(root=True)
    if figure is None:
        return np.inf
    box = ax.get_window_extent()
    others = [one.get_window_extent() for one in figure.axes if one is not ax]
    edges = [one.y0 for one in others if one.y0 >= box.y1 and one.x0 < box.x1 and one.x1 > box.x0]
    free = float(72 * (min([figure.bbox.y1, *edges]) - box.y1) / figure.dpi) - rcParams["axes.titlepad"]
    if ax.xaxis.get_ticks_position() != "top":
        return free
    names = [label for label in ax.get_xticklabels() if label.get_text()]
    return free - max((LINE * float(label.get_fontsize()) + 3 for label in names), default=0)


def set_xlabel(ax: Axes, text: str, *, beside: float = 0) -> int:
    """Label the x axis, in narrow Axes from the right and smaller; return the number of lines."""
    whole = cell(ax)[0] - 10
    narrow = whole <= NARROW
    size = points("small" if narrow else "medium")
    if text_width(text, size) <= whole - beside:
        ax.set_xlabel(text, fontsize=size)
        lines = 1
    else:
        text = fitted(text, max(whole, 70), size, 3)
        ax.set_xlabel(text, fontsize=size, loc="right")
        lines = text.count("\n") + 1
    if narrow:
        ax.tick_params(axis="x", labelsize="small")
    return lines


def inner(ax: Axes, around: float) -> float:
    """Height in points that rows have; `around` is taken by the title and what stands below."""
    if not _laid_out(ax):
        return room(ax)[1]
    height = cell(ax)[1]
    return max(height - around, 0.3 * height)


def rows_that_fit(ax: Axes, wanted: int, around: float = 90) -> int:
    """Return how many of the rows have room at 9 points for each, at least three."""
    return int(min(wanted, max(3, inner(ax, around) // 9)))


def row_font(ax: Axes, n_rows: int, around: float = 90, size: str | float = "small") -> float:
    """Size of labels of that many rows."""
    return float(np.clip(0.84 * inner(ax, around) / max(n_rows, 1), LEAST_FONT, points(size)))


def p_text(p: float) -> str:
    """A p-value in print: ``"0.03"``, ``"4×10⁻⁷"``."""
    if not np.isfinite(p):
        return "not known"
    if p < 1e-300:
        return "<10⁻³⁰⁰"
    if p >= 0.00095:
        return f"{p:.2f}" if p >= 0.095 else f"{p:.2g}" if p >= 0.0095 else f"{p:.1g}"
    digits, exponent = f"{p:.0e}".split("e")
    return f"{digits}×10{str(int(exponent)).translate(SUPERSCRIPT)}"


def signed(value: float, digits: int = 2) -> str:
    """A number with a true minus sign."""
    return f"{value:.{digits}f}".replace("-", "−")


def contrast_text(contrast: str) -> str:
    """``"SLE - Healthy"`` with a true minus sign."""
    return spoken(contrast).replace(" - ", " − ")


def plural(n: int, what: str) -> str:
    """``"1 factor"``, ``"1,200 factors"``."""
    return f"{n:,} {what}{'' if n == 1 else 's'}"
