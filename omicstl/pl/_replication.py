"""Findings of one cohort in another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from omicstl._core.checks import check_number, missing_key
from omicstl._core.public import public

from ._place import place_labels
from ._style import ACCENT, DEEP, EMPTY, INK, axes, clean, legend_below, mix
from ._text import NARROW, cell, contrast_text, fitted, inner, labels, plural, points, set_title, set_xlabel, text_width

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = ("factor", "effect_a", "effect_b", "finding", "replicated")
NUMBERS = ("n_findings", "n_replicated", "sign_agreement", "sign_agreement_low", "sign_agreement_high")


@public
def replication(
    result: Any, *, cohorts: Sequence[str] | None = None, n_labels: int = 12, ax: Axes | None = None
) -> Axes:
    """
    Draw whether findings of one cohort hold in another: the effects of each factor in both.

    Parameters
    ----------
    result
        What `omicstl.metrics.replication` returns: ``summary`` and ``factors``.
    cohorts
        What the two cohorts are called. `None` calls them the first and the second cohort.
    n_labels
        Largest number of findings that get a label, those that replicate and have the smallest p-value in the first cohort before
        others; without room for it a label is left out.
    ax
        Axes to draw into. `None` makes a figure.

    Returns
    -------
    The Axes: a point for each factor at its effects in both cohorts, in standard deviations within groups. Findings of the first cohort are
    coloured, with their intervals, and filled if they replicate; in the shaded quarters the cohorts agree in direction. The title says how
    many replicate, and how many of them have the same sign, with the interval; and if there was no finding.

    Raises
    ------
    TypeError
        If `result` is not what `omicstl.metrics.replication` returns, or `cohorts` are not two names.
    KeyError
        If a column or a number is missing in it.
    ValueError
        If no factor has an effect in both, or `n_labels` is negative.

    Notes
    -----
    Findings were chosen for their effects in the first cohort, so that these are too large on average: most points lie nearer to the
    horizontal line than to the dotted one of equal effects. Intervals are those of the two tests, :cite:p:`Smyth2004`. Cost: none to speak of.

    Examples
    --------
    >>> import omicstl as otl
    >>> both, truth = otl.datasets.simulate_pathways(n_obs=120, n_query=40, rng=0)
    >>> both.obs["ill"] = ["yes" if score > 0 else "no" for score in truth.scores[:, 0]]
    >>> reference, a, b = both[:60].copy(), both[60:120].copy(), both[120:].copy()
    >>> otl.tl.plier(reference, truth.gene_sets, n_factors=8, max_iter=60, tol=1e-3)
    >>> for cohort in (a, b):
    ...     otl.tl.project(cohort, reference)
    ...     otl.tl.rank_factors_groups(cohort, "ill", reference_group="no")
    >>> ax = otl.pl.replication(otl.metrics.replication(a, b))
    """
    table, summary = _parts(result)
    check_number("n_labels", n_labels, low=0, integer=True)
    first, second = cohort_names(cohorts, ("the first cohort", "the second"))
    table = table[np.isfinite(table["effect_a"]) & np.isfinite(table["effect_b"])].reset_index(drop=True)
    if table.empty:
        msg = "No factor of `result` has an effect in both cohorts, so there is nothing to draw."
        raise ValueError(msg)
    x, y = table["effect_a"].to_numpy(dtype=float), table["effect_b"].to_numpy(dtype=float)
    finding = table["finding"].to_numpy(dtype=bool)
    held = table["replicated"].to_numpy(dtype=bool)

    ax = axes(ax, 5.4, 5.4)
    _frame(ax, table, finding)
    _intervals(ax, table, finding, held)
    quiet = mix(INK, 0.35)
    ax.scatter(x[~finding], y[~finding], s=14, c=[quiet], linewidths=0, zorder=3)
    ax.scatter(x[finding & ~held], y[finding & ~held], s=34, c="white", edgecolors=DEEP, linewidths=1.3, zorder=4)
    ax.scatter(x[held], y[held], s=34, c=ACCENT, edgecolors="white", linewidths=0.5, zorder=4)
    narrow = cell(ax)[0] - 10 <= NARROW
    title = _title(summary, len(table), short=narrow)
    about = "" if summary.name is None or narrow else f"\n({contrast_text(str(summary.name))})"
    set_title(ax, title + about, beside=22 if narrow else 30)
    lines = set_xlabel(ax, f"effect in {first}, SD within groups")
    size = points("small" if narrow else "medium")
    tall = inner(ax, 120)
    says = [f"effect in {second}, SD within groups", f"effect in {second}", fitted(second, tall, size)]
    ax.set_ylabel(next((text for text in says if text_width(text, size) < tall), says[-1]), fontsize=size)
    if narrow:
        ax.tick_params(axis="y", labelsize="small")
    clean(ax)
    _legend(ax, finding, held, 26 + 13 * lines)
    size = points("x-small" if narrow else "small")
    order = [int(i) for i in (*np.flatnonzero(held), *np.flatnonzero(finding & ~held))][: int(n_labels)]
    texts = labels([str(table["factor"][i]) for i in order], 0.3 * cell(ax)[0], size, 2)
    place_labels(ax, x, y, dict(zip(order, texts, strict=True)), size=size)
    return ax


def _parts(result: Any) -> tuple[pd.DataFrame, pd.Series]:
    table, summary = getattr(result, "factors", None), getattr(result, "summary", None)
    if not isinstance(table, pd.DataFrame) or not isinstance(summary, pd.Series):
        msg = f"`result` must be what otl.metrics.replication(a, b) returns, with `factors` and `summary`; got {type(result).__name__}."
        raise TypeError(msg)
    for column in COLUMNS:
        if column not in table:
            raise missing_key(column, "the columns of result.factors", table.columns)
    for number in NUMBERS:
        if number not in summary:
            raise missing_key(number, "result.summary", summary.index)
    return table, summary


def cohort_names(cohorts: Sequence[str] | None, default: tuple[str, str]) -> tuple[str, str]:
    """Return what the two cohorts are called."""
    if cohorts is None:
        return default
    if isinstance(cohorts, str) or len(cohorts) != 2 or not all(isinstance(name, str) for name in cohorts):
        msg = f"`cohorts` must be two names, got {cohorts!r}. Pass e.g. cohorts=['children', 'adults']."
        raise TypeError(msg)
    return cohorts[0], cohorts[1]


def _limits(values: pd.DataFrame) -> tuple[float, float]:
    finite = values.to_numpy(dtype=float)
    finite = finite[np.isfinite(finite)]
    low, high = min(float(finite.min()), 0.0), max(float(finite.max()), 0.0)
    pad = 0.06 * max(high - low, 1e-6)
    return low - pad, high + pad


def _frame(ax: Axes, table: pd.DataFrame, finding: np.ndarray) -> None:
    """Limits around all points and the intervals of the findings, quarters of agreement, and the lines of none and of equal effects."""
    from matplotlib.patches import Rectangle

    limits = []
    for name in ("a", "b"):
        ends = [f"effect_{name}{end}" for end in ("_low", "_high") if f"effect_{name}{end}" in table]
        values = pd.concat([table[f"effect_{name}"], *(table.loc[finding, end] for end in ends)])
        limits.append(_limits(values.to_frame()))
    (left, right), (low, high) = limits
    ax.set(xlim=(left, right), ylim=(low, high))
    for corner, width, height in (((0, 0), right, high), ((0, 0), left, low)):
        ax.add_patch(Rectangle(corner, width, height, facecolor=EMPTY, linewidth=0, zorder=0))
    ax.axhline(0, color=INK, linewidth=0.8, zorder=1)
    ax.axvline(0, color=INK, linewidth=0.8, zorder=1)
    equal = max(left, low), min(right, high)
    ax.plot(equal, equal, color=mix(INK, 0.5), linestyle=(0, (1, 2)), linewidth=1, zorder=1)


def _intervals(ax: Axes, table: pd.DataFrame, finding: np.ndarray, held: np.ndarray) -> None:
    for colour, rows in ((DEEP, finding & ~held), (ACCENT, held)):
        part = table[rows]
        style: dict[str, Any] = {"color": mix(colour, 0.4), "linewidth": 0.8, "zorder": 2}
        if {"effect_a_low", "effect_a_high"} <= set(table):
            ax.hlines(part["effect_b"], part["effect_a_low"], part["effect_a_high"], **style)
        if {"effect_b_low", "effect_b_high"} <= set(table):
            ax.vlines(part["effect_a"], part["effect_b_low"], part["effect_b_high"], **style)


def _title(summary: pd.Series, n_factors: int, *, short: bool) -> str:
    n, held = int(summary["n_findings"]), int(summary["n_replicated"])
    if n == 0:
        return f"No finding to replicate among {plural(n_factors, 'factor')}"
    share, low, high = (100 * float(summary[f"sign_agreement{end}"]) for end in ("", "_low", "_high"))
    interval = (
        f" ({'' if short else '95 % interval '}{low:.0f} to {high:.0f} %)"
        if np.isfinite(low) and np.isfinite(high)
        else ""
    )
    return f"{held} of {plural(n, 'finding')} replicate{'s' if n == 1 else ''}\nSame direction: {share:.0f} %{interval}"


def _legend(ax: Axes, finding: np.ndarray, held: np.ndarray, drop: float) -> None:
    from matplotlib.lines import Line2D

    style: dict[str, Any] = {"linestyle": "", "marker": "o"}
    kinds: list[tuple[np.ndarray, dict[str, Any], str]] = [
        (held, {"color": ACCENT, "markersize": 6}, "replicated"),
        (finding & ~held, {"color": DEEP, "markerfacecolor": "white", "markersize": 6}, "not replicated"),
        (~finding, {"color": mix(INK, 0.35), "markersize": 4}, "no finding"),
    ]
    handles = [Line2D([], [], label=label, **{**style, **look}) for rows, look, label in kinds if rows.any()]
    legend_below(ax, handles, beside=25, drop=drop, size="small")
