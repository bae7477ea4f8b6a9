"""The verdict on a transfer on one page."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from omicstl._core.checks import missing_key
from omicstl._core.public import public
from omicstl._data.adata import check_adata

from ._factor_card import _page, _writer
from ._style import ACCENT, DEEP, GREY, INK, mix, only
from ._text import LEAST_FONT, fitted, plural, room, signed, spoken, text_width
from ._transfer_shift import lines_of, unchecked

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes

SIZE = (7.4, 6.4)
AMBER = "#E69F00"
COLOURS = {"passed": DEEP, "caution": AMBER, "failed": ACCENT, "not checked": GREY}
WORDS = {"supported": DEEP, "caution": AMBER, "do not use": ACCENT}
TEXT = {"caution": "#8F5F00", "failed": "#B24E00"}
MARKERS = {"passed": "o", "caution": "D", "failed": "X"}
#: Checks whose value should be small.
SMALL = (
    "lineage, not drug", "first component", "depth", "genes seen", "cell cycle", "batch", "share of sensitive cells",
    "sign over resampled lines", "sign over members", "kind of the cells", "scale of the cells", "offset of genes", "own line", "foreign clusters", "far cells",
)  # fmt: skip
LEADING = 1.25
MOST_REASONS = 5


@public
def transfer_report(adata: AnnData, key: str | None = None, *, ax: Axes | None = None) -> Axes:
    """
    Draw the verdict on a transfer: the word, why, every check with its limit, and the plain baselines.

    To be read in a minute, before any score of the transfer is.

    Parameters
    ----------
    adata
        An AnnData that `omicstl.tl.assess` has written to.
    key
        Name of the transfer that was assessed, e.g. ``"scdeal"``. `None` takes the only one there.
    ax
        Axes to draw into, at least 5 by 4 inches to be read. `None` makes a figure.

    Returns
    -------
    The Axes of the page; its parts are ``child_axes``. In the strip of checks a dot is the value, blue if it passed; the vertical
    mark its limit, the pale band the side it should be on, and the ring its mean where there is nothing to find. What could not be
    checked is named below. At the right: how far the scores of plain models agree with the score; of several drugs, how many got
    which word.

    Raises
    ------
    KeyError
        If there is no assessment under `key`, or several and no `key`.
    TypeError
        If `adata` is no AnnData or `ax` are no Axes.

    Notes
    -----
    Reads ``uns[f"{key}_assessment"]`` alone. Cost: none to speak of.

    Examples
    --------
    >>> import omicstl as otl
    >>> both, truth = otl.datasets.simulate_pathways(n_query=20, rng=0)
    >>> reference, query = both[:60].copy(), both[60:].copy()
    >>> otl.tl.plier(reference, truth.gene_sets, n_factors=5, max_iter=40, tol=1e-2)
    >>> otl.tl.project(query, reference)
    >>> otl.tl.assess(query)
    >>> page = otl.pl.transfer_report(query)
    >>> page.texts[0].get_text()
    'Supported'
    """
    check_adata(adata)
    end = "_assessment"
    found = {
        str(name).removesuffix(end): entry
        for name, entry in adata.uns.items()
        if isinstance(entry, Mapping) and entry.get("kind") == "assessment"
    }
    if key is None and not found:
        msg = "adata holds no assessment of a transfer. Make one with otl.tl.assess(adata, reference)."
        raise KeyError(msg)
    key = only(list(found), key, "assessments")
    if key not in found:
        raise missing_key(key, "the assessments in adata.uns", found)
    page = _page(ax) if ax is not None else _new_page()
    _compose(page, key, found[key])
    return page


def _new_page() -> Axes:
    import matplotlib.pyplot as plt

    return _page(plt.figure(figsize=SIZE).add_axes((0.035, 0.03, 0.93, 0.945)))


def _compose(page: Axes, key: str, entry: Mapping[str, Any]) -> None:
    width, height = room(page)
    size = float(np.clip(9 * min(width / 495, height / 435), LEAST_FONT, 12))
    small, line = max(0.88 * size, LEAST_FONT), LEADING * size
    write = _writer(page, width, height)
    word = str(entry["verdict"])
    top = height
    write(0, top, word.capitalize(), 2.1 * size, WORDS.get(word, INK))
    beside = 1.08 * text_width(word.capitalize(), 2.1 * size) + 1.4 * size
    write(beside, top - 0.55 * size, fitted(_about(key, entry), width - beside, size, 2), size, mix(INK, 0.8))
    top -= 2.1 * line + 0.7 * line
    top = _reasons(write, entry, width, top, size)
    foot = fitted(str(entry["sentence"]), width, size, 3)
    bottom = line * (1 + foot.count("\n"))
    write(0, bottom, foot, size)
    table = entry["checks"]
    status = table["status"].to_numpy(dtype=object)
    skipped = [str(name) for name in table["check"][status == "not checked"]] + unchecked(entry)
    if skipped:
        said = fitted(f"Not checked: {', '.join(skipped)}.", width, small, 3)
        bottom += LEADING * small * (1 + said.count("\n")) + 0.3 * line
        write(0, bottom, said, small, mix(INK, 0.7))
    bottom += 0.6 * line
    right = 0.30 * width
    box = (0.0, bottom, width - right - 1.6 * size, top - bottom)
    ground = _strip(page, table[status != "not checked"], box, size)
    most = 0.42 if len(entry["drugs"]) > 1 or np.isfinite(entry["baselines"]["agreement"]).any() else 1.0
    low = _differ(page, lines_of(entry), (width - right, bottom, right, most * (top - bottom)), size)
    side = (width - right, low, right, top - low)
    if len(entry["drugs"]) > 1:
        _drugs(page, entry["drugs"], side, size)
        _against(page, entry["drugs"], (0.0, bottom, box[2], ground - bottom - 3.6 * line), size)
    else:
        _baselines(page, entry["baselines"], side, size)


def _differ(page: Axes, said: list[str], box: tuple[float, float, float, float], size: float) -> float:
    """How lines and cells differ, at the foot of a column; return where what stands above may begin."""
    width, height = room(page)
    left, low, whole, tall = box
    line, small = LEADING * size, max(0.88 * size, LEAST_FONT)
    texts = [fitted(text, whole, small, 2) for text in said]
    high = LEADING * small * sum(1.15 + text.count("\n") for text in texts) + 1.5 * line
    if not texts or high > tall:
        return low
    write = _writer(page, width, height)
    y = low + high
    write(left, y, fitted("Shift", whole, 1.1 * size), 1.1 * size)
    y -= 1.4 * line
    for text in texts:
        write(left, y, text, small, mix(INK, 0.85))
        y -= LEADING * small * (1.15 + text.count("\n"))
    return low + high + line


def _about(key: str, entry: Mapping[str, Any]) -> str:
    """What was assessed, and what the score says."""
    drugs, score = entry["drugs"], float(entry["score"])
    what = (
        f"{key}, {drugs['drug'].iloc[0]}"
        if len(drugs) == 1
        else f"{key}, {plural(len(drugs), 'drug')}"
        if len(drugs)
        else key
    )
    if not np.isfinite(score):
        return what
    if str(entry["params"].get("kind")) == "projection":
        return f"{what}. Held-out genes: {100 * score:.0f} % of the reference's own R²."
    if len(drugs) > 1:
        return f"{what}. Expected rank correlation within a lineage, median over drugs: {score:.2f}."
    return f"{what}. Expected rank correlation within a lineage, if the relation is the same: {score:.2f}."


def _reasons(write: Any, entry: Mapping[str, Any], width: float, top: float, size: float) -> float:
    """Sentences of what speaks against it; return where they end."""
    line, reasons = LEADING * size, [str(reason) for reason in entry["reasons"]]
    if not reasons:
        write(
            0,
            top,
            fitted("Every check that could be made without labels was passed. This is no proof.", width, size, 2),
            size,
        )
        return top - 1.7 * line
    for reason in reasons[:MOST_REASONS]:
        text = fitted(_minus(reason), width - 1.3 * size, size, 2)
        write(0, top, "•", size)
        write(1.1 * size, top, text, size)
        top -= line * (1 + text.count("\n")) + 0.15 * line
    more = len(reasons) - MOST_REASONS
    if more > 0:
        write(1.1 * size, top, f"and {plural(more, 'more doubt')}, in the table.", size, mix(INK, 0.7))
        top -= line
    return top - 0.7 * line


def _minus(text: str) -> str:
    """True minus signs, and none before zero."""
    return re.sub(r"(?<![\w)])-(?=\d)", "−", re.sub(r"(?<![\w)])-(0\.0+)(?!\d)", r"\1", text))


def _strip(page: Axes, table: Any, box: tuple[float, float, float, float], size: float) -> float:
    """One row for each check: value, limit and null on a line from 0 to 1, and in figures; return where the rows end."""
    width, height = room(page)
    left, low, whole, tall = box
    line, n = LEADING * size, max(len(table), 1)
    write = _writer(page, width, height)
    write(left, low + tall, "Checks", 1.1 * size)
    rows = tall - 3.8 * line
    font = float(np.clip(0.8 * rows / n, LEAST_FONT, size))
    rows = min(rows, 2 * line * n)
    ground = low + tall - 1.4 * line - rows
    names = [spoken(str(name)) for name in table["check"]]
    label = min(1.06 * max((text_width(name, font) for name in names), default=0) + 1.2 * font, 0.5 * whole)
    figures = [_figures(row) for row in table.itertuples(index=False)]
    number = 1.08 * max((text_width(text, font) for text in figures), default=0) + 0.8 * font
    at = page.inset_axes(
        ((left + label) / width, ground / height, max(whole - label - number, 20) / width, rows / height)
    )
    at.set(xlim=(-0.03, 1.03), ylim=(n - 0.5, -0.5))
    for i, row in enumerate(table.itertuples(index=False)):
        colour = COLOURS[str(row.status)]
        at.annotate(names[i], (0, i), (-label, 0), xycoords=("axes fraction", "data"), textcoords="offset points", va="center",
                    fontsize=font, color=INK)  # fmt: skip
        at.annotate(figures[i], (1, i), (0.6 * font, 0), xycoords=("axes fraction", "data"), textcoords="offset points", va="center",
                    fontsize=font, color=TEXT.get(str(row.status), INK))  # fmt: skip
        marker: dict[str, Any] = {
            "marker": MARKERS[str(row.status)],
            "color": colour,
            "markersize": 0.75 * font,
            "markeredgewidth": 0,
        }
        value, limit = _place(row)
        at.plot([0, 1], [i, i], color=mix(INK, 0.15), linewidth=1, zorder=1)
        good = (0, limit) if row.check in SMALL else (limit, 1)
        at.plot(good, [i, i], color=mix(DEEP, 0.22), linewidth=0.45 * font, solid_capstyle="butt", zorder=1)
        at.plot([limit] * 2, [i - 0.36, i + 0.36], color=INK, linewidth=1.2, zorder=2)
        if np.isfinite(row.null) and _unit(row):
            at.plot(
                np.clip(row.null, 0, 1),
                i,
                "o",
                markersize=0.6 * font,
                markerfacecolor="white",
                markeredgecolor=INK,
                zorder=3,
            )
        at.plot(value, i, zorder=4, **marker)
    at.set_xticks([0, 0.5, 1], ["0", "0.5", "1"], fontsize=max(0.9 * font, LEAST_FONT))
    at.set_yticks([])
    at.spines[:].set_visible(False)
    at.tick_params(length=2)
    small = max(0.85 * size, LEAST_FONT)
    said = "Dot: value. Mark: limit (of counts in the middle). Band: good. Ring: chance."
    write(left, ground - 1.5 * line, fitted(said, whole, small), small, mix(INK, 0.7))
    return float(ground)


def _unit(row: Any) -> bool:
    return bool(abs(row.value) <= 1 and abs(row.limit) <= 1)


def _place(row: Any) -> tuple[float, float]:
    """Where value and limit lie from 0 to 1; of what has no such range, the limit is in the middle."""
    if _unit(row):
        return float(np.clip(row.value, 0, 1)), float(np.clip(row.limit, 0, 1))
    value, limit = max(float(row.value), 0.0), max(float(row.limit), 1e-9)
    return value / (value + limit), 0.5


def _figures(row: Any) -> str:
    """Value and limit in print."""
    if row.check == "scale of the cells":
        return "z-scores" if row.value else "levels"
    if row.check == "drugs":
        return f"{100 * row.value:.0f} % not refused"
    digits = 0 if float(row.value).is_integer() and abs(row.limit) > 1 else 2 if _unit(row) else 1
    value = 0.0 if abs(row.value) < 0.5 * 10.0**-digits else row.value
    shown = f"{value:,.{digits}f}" if digits == 0 else signed(value, digits)
    sign = "≤" if row.check in SMALL else "≥"
    return f"{shown} ({sign} {row.limit:,.0f})" if digits == 0 else f"{shown} ({sign} {signed(row.limit, digits)})"


def _baselines(page: Axes, table: Any, box: tuple[float, float, float, float], size: float) -> None:
    """Agreement of plain models with the score."""
    known = table[np.isfinite(table["agreement"].to_numpy(dtype=float))]
    if not len(known):
        return
    width, height = room(page)
    left, low, whole, tall = box
    line = LEADING * size
    write = _writer(page, width, height)
    write(left, low + tall, fitted("Plain models", whole, 1.1 * size), 1.1 * size)
    small = max(0.88 * size, LEAST_FONT)
    write(
        left,
        low + tall - 1.3 * line,
        fitted("rank correlation with the score, over the cells", whole, small, 2),
        small,
        mix(INK, 0.7),
    )
    rows = tall - 5.4 * line
    rows = min(rows, 2.3 * line * len(known))
    at = page.inset_axes(
        ((left + 4) / width, (low + tall - 3.4 * line - rows) / height, (whole - 10) / width, rows / height)
    )
    at.set(xlim=(-1.05, 1.05), ylim=(len(known) - 0.4, -0.7))
    font = float(np.clip(0.36 * rows / len(known), LEAST_FONT, small))
    for i, row in enumerate(known.itertuples(index=False)):
        at.plot([0, 0], [i, i + 0.36], color=mix(INK, 0.4), linewidth=1)
        at.plot([0, row.agreement], [i + 0.18] * 2, color=mix(DEEP, 0.45), linewidth=0.55 * font, solid_capstyle="butt")
        at.text(
            -1.05,
            i - 0.28,
            fitted(f"{row.baseline} {signed(row.agreement)}", 0.95 * whole, font),
            fontsize=font,
            va="center",
            color=INK,
        )
    at.set_yticks([])
    at.set_xticks([-1, 0, 1], ["−1", "0", "1"], fontsize=max(0.9 * font, LEAST_FONT))
    at.spines[:].set_visible(False)
    at.tick_params(length=2)


def _against(page: Axes, table: Any, box: tuple[float, float, float, float], size: float) -> None:
    """Count what speaks against the drugs."""
    width, height = room(page)
    left, low, whole, high = box
    count = table["against"].str.split("; ").explode()
    count = count[count != ""].value_counts().sort_index().sort_values(ascending=False, kind="stable")
    small = max(0.88 * size, LEAST_FONT)
    fit = int(high / (LEADING * small)) - 2
    if fit < 2 or not len(count):
        return
    write = _writer(page, width, height)
    write(left, low + high, fitted("What speaks against them, in how many", whole, 1.1 * size), 1.1 * size)
    y = low + high - 0.3 * LEADING * size
    for name, n in count.head(fit).items():
        y -= LEADING * small
        write(left, y, f"{n}", small)
        write(left + 3.2 * small, y, fitted(str(name), whole - 3.2 * small, small), small, mix(INK, 0.85))


def _drugs(page: Axes, table: Any, box: tuple[float, float, float, float], size: float) -> None:
    """How many drugs got which word, and those of which most is to be expected."""
    width, height = room(page)
    left, low, whole, tall = box
    line = LEADING * size
    write = _writer(page, width, height)
    write(left, low + tall, plural(len(table), "drug"), 1.1 * size)
    at = page.inset_axes(
        ((left + 4) / width, (low + tall - 7.6 * line) / height, (whole - 10) / width, 5.8 * line / height)
    )
    words = list(WORDS)
    count = [int((table["verdict"] == word).sum()) for word in words]
    at.barh(range(3), count, color=[mix(WORDS[word], 0.75) for word in words], height=0.36)
    for i, word in enumerate(words):
        at.text(0, i - 0.36, f"{word}: {count[i]}", fontsize=size, va="center", color=INK)
    at.set(ylim=(2.5, -0.65), xlim=(0, max(*count, 1)))
    at.set_axis_off()
    small = max(0.88 * size, LEAST_FONT)
    good = table[table["verdict"] != "do not use"].sort_values("score", ascending=False, kind="stable")
    if not len(good):
        return
    y = low + tall - 8.4 * line
    write(left, y, fitted("Most to be expected of", whole, size), size)
    y -= 0.2 * line
    for row in good.head(max(int((y - low) / (LEADING * small)) - 2, 1)).itertuples(index=False):
        y -= LEADING * small
        write(left, y, fitted(f"{row.score:.2f}  {row.drug} ({row.verdict})", whole, small), small, mix(INK, 0.85))
