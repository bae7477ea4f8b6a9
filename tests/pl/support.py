"""Axes to draw into, and whether what is drawn can be read."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from anndata import AnnData
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text


def page(width: float = 5.0, height: float = 4.0, *, layout: str | None = "constrained"):
    """Axes of a figure of their own, without pyplot."""
    figure = Figure(figsize=(width, height), layout=layout)
    FigureCanvasAgg(figure)
    return figure.add_subplot()


def repeated(adata: AnnData, n: int) -> AnnData:
    """As many observations as wanted, the first ones again and again."""
    rows = np.arange(n) % adata.n_obs
    obs = adata.obs.iloc[rows].set_axis([f"S{i}" for i in range(n)])
    obsm = {key: np.asarray(value)[rows] for key, value in adata.obsm.items()}
    return AnnData(
        np.asarray(adata.X)[rows], obs=obs, var=adata.var, obsm=obsm, varm=dict(adata.varm), uns=dict(adata.uns)
    )


def texts(ax) -> list[Text]:
    """Every text that is drawn of Axes and of the Axes within them, after the layout."""
    ax.get_figure(root=True).draw_without_rendering()
    seen: dict[int, Text] = {}
    for text in ax.findobj(Text):
        if text.get_text().strip() and text.get_visible() and text.get_window_extent().width > 0:
            seen[id(text)] = text
    ticks = {id(label) for one in (ax, *ax.child_axes) for axis in (one.xaxis, one.yaxis) for label in _hidden(axis)}
    return [text for key, text in seen.items() if key not in ticks]


def _hidden(axis) -> list[Text]:
    """Labels of ticks outside the limits, which matplotlib keeps but does not draw."""
    low, high = sorted(axis.get_view_interval())
    slack = 1e-9 * (high - low)
    found = []
    for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
        if not low - slack <= tick.get_loc() <= high + slack or not axis.axes.axison:
            found += [tick.label1, tick.label2]
    return found


def overlaps(ax) -> list[tuple[str, str]]:
    """Pairs of texts that lie on each other; the line from a label to its point does not count."""
    boxes = [(text.get_text(), Text.get_window_extent(text)) for text in texts(ax)]
    return [
        (one, other)
        for (one, a), (other, b) in combinations(boxes, 2)
        if min(a.x1, b.x1) - max(a.x0, b.x0) > 1 and min(a.y1, b.y1) - max(a.y0, b.y0) > 1.5
    ]


def cut_off(ax) -> list[str]:
    """Texts that leave the figure."""
    frame = ax.get_figure(root=True).bbox
    boxes = [(text.get_text(), Text.get_window_extent(text)) for text in texts(ax)]
    return [
        text
        for text, box in boxes
        if box.x0 < frame.x0 - 1 or box.x1 > frame.x1 + 1 or box.y0 < frame.y0 - 1 or box.y1 > frame.y1 + 1
    ]


def smallest(ax) -> float:
    """Size of the smallest print in points."""
    return min(text.get_fontsize() for text in texts(ax))


def readable(ax, least: float = 5.0) -> bool:
    """Whether nothing overlaps, is cut off or too small; says what."""
    problems = {"overlap": overlaps(ax), "cut off": cut_off(ax), "size": smallest(ax)}
    assert not problems["overlap"], problems
    assert not problems["cut off"], problems
    assert problems["size"] >= least, problems
    return True
