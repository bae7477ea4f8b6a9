"""Values of one factor: a panel of points by group, or along a number, with what the test says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from ._read import Groups
from ._style import DEEP, INK, clean, group_colours, mix
from ._text import HINTED, LEAST_FONT, contrast_text, fitted, labels, p_text, room, signed, spoken, text_width

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class Values(NamedTuple):
    """One factor in one cohort."""

    scores: np.ndarray
    groups: Groups | None
    number: np.ndarray | None
    column: str | None
    block: np.ndarray | None
    """Block of each observation, if the test had any."""
    block_name: str
    entry: Mapping[str, Any] | None
    """The test, if it is one of these groups."""


def sentences(values: Values, factor: str, width: float, size: float) -> list[str]:
    """What the test says of the factor, in lines of that width in points."""
    entry = values.entry
    if entry is None:
        return []
    table = entry["table"]
    table = table[(table["factor"].astype(str) == factor).to_numpy() & np.isfinite(table["p"].to_numpy(dtype=float))]
    if table.empty:
        return ["not among the factors that were tested"]
    best = table.sort_values("p", kind="stable").iloc[0]
    number = entry["params"]["phenotype_kind"] == "number"
    digits = 3 if abs(best["effect_sd_high"] - best["effect_sd_low"]) < 0.2 else 2
    effect, low, high = (signed(float(best[f"effect_sd{end}"]), digits) for end in ("", "_low", "_high"))
    what = f"per unit of {spoken(str(values.column))}" if number else contrast_text(str(best["contrast"]))
    measured = f"{effect} SD ({low} to {high})"
    first = [f"{what}: {measured}"] if text_width(f"{what}: {measured}", size) <= width else [what, measured]
    said = [*first, f"p = {p_text(best['p'])}, FDR = {p_text(best['fdr'])}"]
    if len(table) > 1:
        overall = entry["overall"]
        row = overall[(overall["factor"].astype(str) == factor).to_numpy()].iloc[0]
        said = [f"all groups: p = {p_text(row['p'])}, FDR = {p_text(row['fdr'])}", *said]
    return said


class Ticks(NamedTuple):
    """Labels below a panel, their font and the height that they take in points."""

    texts: list[str]
    size: float
    upright: bool
    height: float


def ticks_of(values: Values, width: float, size: float, tall: float) -> Ticks:
    """Names of the groups with their numbers of observations: broken, smaller, or upright (at most `tall`) where they have no room."""
    if values.number is not None:
        return Ticks([], size, upright=False, height=3.2 * size)
    if values.groups is None:
        return Ticks([f"all\nn = {values.scores.size:,}"], size, upright=False, height=3.2 * size)
    n_groups = len(values.groups.names)
    pitch = width / (n_groups + 0.2)
    counts = []
    for _, members in values.groups.members()[:n_groups]:
        n = members.size if values.block is None else np.unique(values.block[members]).size
        counts.append([f"n = {n:,}", *([f"({members.size:,} obs.)"] if n < members.size else [])])
    names = values.groups.names
    for each in (size, max(0.88 * size, LEAST_FONT)):
        texts = _side_by_side(names, counts, (pitch - 5) / HINTED, each)
        if texts:
            height = 1.25 * each * max(text.count("\n") + 1 for text in texts) + 6
            return Ticks(texts, each, upright=False, height=height)
    size = max(0.88 * size, LEAST_FONT)
    two_lines = pitch > 2.7 * size
    most = tall / HINTED - (1 if two_lines else 3.5) * size
    short = labels(names, float(np.clip(most, 4 * size, 13 * size)), size)
    texts = (
        [f"{name}\n{' '.join(numbers)}" for name, numbers in zip(short, counts, strict=True)]
        if two_lines
        else [f"{name} ({numbers[0][4:]})" for name, numbers in zip(short, counts, strict=True)]
    )
    return Ticks(texts, size, upright=True, height=HINTED * max(text_width(text, size) for text in texts) + 6)


def _side_by_side(names: list[str], counts: list[list[str]], width: float, size: float) -> list[str]:
    """Names in up to three lines over their numbers, all of that width; nothing if a name would be cut."""
    texts = []
    for name, numbers in zip(names, counts, strict=True):
        joined = " ".join(numbers)
        below = joined if text_width(joined, size) <= width else "\n".join(numbers)
        text = f"{fitted(name, max(width, 1), size, 3)}\n{below}"
        if text.replace("\n", " ") != f"{spoken(name)} {joined}" or text_width(text, size) > width:
            return []
        texts.append(text)
    return texts


def draw_values(ax: Axes, values: Values, colours: dict[str, Any], ticks: Ticks, size: float) -> None:
    """Draw the points; `colours` of groups is extended by those that are new."""
    if values.number is not None:
        _along(ax, values, size)
    else:
        if values.groups is not None:
            _by_group(ax, values, values.groups, colours)
        else:
            _swarm(ax, 0, values.scores, DEEP, _area(values.scores.size), 0.55, 3)
            _bar(ax, 0, values.scores)
        ax.set_xticks(range(len(ticks.texts)), ticks.texts, rotation=90 if ticks.upright else 0)
        ax.set_xlim(-0.6, len(ticks.texts) - 0.4)
    clean(ax)
    ax.spines["bottom"].set_visible(values.number is not None)
    ax.tick_params(labelsize=size)
    if values.number is None:
        ax.tick_params(axis="x", length=0, labelsize=ticks.size)
    ax.margins(y=0.06)


def _by_group(ax: Axes, values: Values, groups: Groups, colours: dict[str, Any]) -> None:
    palette = group_colours(2 * len(groups.names))
    used = {colours[name] for name in groups.names if name in colours}
    n = len(groups.names)
    for i, name in enumerate(groups.names):
        if name not in colours:  # the same name has one colour in both cohorts, a new one that of its place
            colours[name] = next(colour for colour in (palette[i], *palette) if colour not in used)
            used.add(colours[name])
        members = np.flatnonzero(groups.codes == i)
        here = values.scores[members]
        if values.block is not None:
            means = pd.Series(here).groupby(values.block[members]).mean().to_numpy()
            if means.size < here.size:
                _swarm(ax, i, here, colours[name], _area(here.size) * 0.45, 0.35, n)
            _swarm(ax, i, means, colours[name], _area(means.size) * 1.2, 0.95, n, ring=True)
            here = means
        else:
            _swarm(ax, i, here, colours[name], _area(here.size), 0.7, n)
        _bar(ax, i, here)


def _area(n: int) -> float:
    """Area of a dot, so that many still show."""
    return float(np.clip(1200 / max(n, 1), 5, 24))


def _bar(ax: Axes, place: float, values: np.ndarray) -> None:
    """Draw the mean of several."""
    if values.size < 2:
        return
    ax.plot(
        [place - 0.26, place + 0.26], [values.mean()] * 2, color=INK, linewidth=1.8, zorder=5, solid_capstyle="butt"
    )


def _swarm(
    ax: Axes,
    place: float,
    values: np.ndarray,
    colour: Any,
    area: float,
    alpha: float,
    n_places: int,
    *,
    ring: bool = False,
) -> None:
    """Draw dots side by side where values are alike; no chance is in their places."""
    if values.size == 0:
        return
    low, high = float(values.min()), float(values.max())
    n_bins = int(np.clip(0.9 * room(ax)[1] / (np.sqrt(area) + 0.7), 8, 80))
    bins = (
        np.zeros(values.size, dtype=int)
        if high <= low
        else ((values - low) / (high - low) * (n_bins - 1)).round().astype(int)
    )
    n = np.bincount(bins, minlength=n_bins)
    unit = room(ax)[0] / max(n_places, 1)  # points from one group to the next
    step = min((np.sqrt(area) + 0.7) / max(unit, 1), 0.76 / max(int(n.max()) - 1, 1))
    shift = np.empty(values.size)
    for one in np.flatnonzero(n):
        rows = np.flatnonzero(bins == one)
        rows = rows[np.argsort(values[rows], kind="stable")]
        offsets = np.arange(rows.size) - (rows.size - 1) / 2
        shift[rows] = step * offsets[np.argsort(np.abs(offsets), kind="stable")]
    edge = {"edgecolors": "white", "linewidths": 0.5} if ring else {"linewidths": 0}
    ax.scatter(place + shift, values, s=area, c=[colour], alpha=alpha, zorder=4 if ring else 3, **edge)


def _along(ax: Axes, values: Values, size: float) -> None:
    number = np.asarray(values.number, dtype=float)
    known = np.isfinite(number)
    x, y = number[known], values.scores[known]
    if values.block is not None:
        means = pd.DataFrame({"x": x, "y": y}).groupby(values.block[known]).mean()
        ax.scatter(x, y, s=_area(x.size) * 0.6, c=[DEEP], alpha=0.35, linewidths=0, zorder=3)
        ax.scatter(means["x"], means["y"], s=_area(len(means)) * 1.2, c=[DEEP], edgecolors="white", linewidths=0.5, zorder=4)  # fmt: skip
    else:
        ax.scatter(x, y, s=_area(x.size), c=[DEEP], alpha=0.6, linewidths=0, zorder=3)
    if x.size > 2 and np.ptp(x) > 0:
        slope, level = np.polyfit(x, y, 1)
        ends = np.array([x.min(), x.max()])
        ax.plot(ends, level + slope * ends, color=mix(INK, 0.9), linewidth=1.6, zorder=5)
    ax.set_xlabel(f"{spoken(str(values.column))} (n = {x.size:,})", fontsize=size)
