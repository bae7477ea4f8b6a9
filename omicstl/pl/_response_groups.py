"""Predicted response by group: shares of calls, and where the scores lie."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ._style import INK, axes, clean, legend_below, mix
from ._text import LEAST_FONT, NARROW, cell, fitted, label_room, labels, points, row_font, text_width

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ._read import Groups

SPLIT = 0.56  # of the width, which the shares have
AROUND = 110.0  # points for the title and what stands below


def draw_groups(
    ax: Axes | None, groups: Groups, score: np.ndarray, call: np.ndarray | None, calls: Mapping[str, str]
) -> tuple[Axes, float]:
    """Draw a row for each group, the most sensitive on top; return the Axes and the points that the labels beside them take."""
    from matplotlib.lines import Line2D

    rows = [(name, members) for name, members in groups.members() if members.size]
    middle = [float(np.nanmedian(score[members])) for _, members in rows]
    rows = [rows[i] for i in np.argsort(middle, kind="stable")[::-1]]
    own, n = ax is None, len(rows)
    ax = axes(ax, 6.4, 2.0 + 0.26 * n)
    size = row_font(ax, n, AROUND)
    named = labels([f"{name} ({members.size:,})" for name, members in rows], label_room(ax, 170, own=own), size)
    ax.set_yticks(range(n), named, fontsize=size)
    ax.set_ylim(n - 0.5, -0.5)
    ax.set_xlim(0, 1)
    start = 0.0
    small = LEAST_FONT if cell(ax)[0] - 10 <= NARROW else points("small")
    if call is not None:
        _shares(ax, [call[members] for _, members in rows], calls)
        start = SPLIT + 0.08
    ends = _quartiles(ax, [score[members] for _, members in rows], start)
    ticks: list[tuple[float, str, Any]] = [(start, f"{ends[0]:.3g}", "left"), (1.0, f"{ends[1]:.3g}", "right")]
    if call is not None:
        ticks = [(0.0, "0", "left"), (SPLIT / 2, "50", "center"), (SPLIT, "100 %", "right"), *ticks]
    ax.set_xticks([at for at, _, _ in ticks], [text.replace("-", "−") for _, text, _ in ticks], fontsize=small)
    for label, (_, _, side) in zip(ax.get_xticklabels(), ticks, strict=True):
        label.set_horizontalalignment(side)
    ax.tick_params(axis="x", length=2)
    said = "score (median, quartiles)"
    room = (1 - start) * 0.78 * cell(ax)[0]
    said = said if text_width(said, small) <= room else fitted("score", room, small)
    ax.annotate(said, (1, 0), (0, -2.2 * small), "axes fraction", "offset points", ha="right", va="top", fontsize=small)
    clean(ax, left=False)
    ax.spines["bottom"].set_visible(False)
    beside = max(text_width(text, size) for text in named) + 4
    if call is not None:
        handles = [Line2D([], [], marker="s", markersize=6, linestyle="", color=c, label=w) for w, c in calls.items()]
        legend_below(ax, handles, beside=beside, drop=4.4 * small, size=small)
    return ax, beside


def _shares(ax: Axes, groups: list[np.ndarray], calls: Mapping[str, str]) -> None:
    left = np.zeros(len(groups))
    for word, colour in calls.items():
        share = np.array([np.mean(members == word) for members in groups])
        ax.barh(range(len(groups)), SPLIT * share, left=SPLIT * left, height=0.78, color=colour, linewidth=0)
        left += share


def _quartiles(ax: Axes, groups: list[np.ndarray], start: float) -> tuple[float, float]:
    """Draw median and quartiles on a scale of their own from `start` to 1; return its ends."""
    quantiles = np.array([np.nanquantile(scores, [0.25, 0.5, 0.75]) for scores in groups])
    low, high = float(quantiles.min()), float(quantiles.max())
    margin = 0.06 * (high - low) if high > low else 0.5
    low, high = low - margin, high + margin
    at = start + (1 - start) * (quantiles - low) / (high - low)
    heights = np.arange(len(groups))
    for end in (start, 1.0):
        ax.plot([end, end], [-0.5, len(groups) - 0.5], color=mix(INK, 0.2), linewidth=0.6, zorder=0)
    ax.hlines(heights, at[:, 0], at[:, 2], color=mix(INK, 0.5), linewidth=2)
    ax.scatter(at[:, 1], heights, s=float(np.clip(400 / len(groups), 8, 26)), color=INK, linewidths=0, zorder=3)
    return low, high
