"""Factors × patients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from omicstl._core.checks import check_number, missing_key
from omicstl._core.public import public
from omicstl._data.columns import check_any, numbers
from omicstl._data.results import factor_names, score_key

from ._read import UNKNOWN, Groups, find_test, groups_of
from ._style import FDR, GREY, INK, axes, colour_bar, group_colours, legend_below, one_sided, two_sided
from ._text import cell, label_room, labels, plural, points, row_font, rows_that_fit, set_title, spoken, text_width

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes

LIMIT = 2.5  # standard deviations at which colours end
AROUND = 95


@public
def factors_heatmap(
    adata: AnnData,
    *,
    rows: Sequence[str] | None = None,
    key: str | None = None,
    groupby: str | None = None,
    test: str | None = None,
    n_factors: int = 20,
    ax: Axes | None = None,
) -> Axes:
    """
    Draw factors × observations: which patients have what.

    Parameters
    ----------
    adata
        An AnnData with scores of a fit or a projection.
    rows
        Names of the factors, from top to bottom. `None` takes those that differ by the test, the ones with similar scores side by side.
    key
        Name that the scores were written under. `None` takes the only one there.
    groupby
        Column of ``obs`` with groups. `None` takes the phenotype of the test, if there is one.
    test
        Name of the test of `omicstl.tl.rank_factors_groups`. `None` takes the only one of these scores, or of several the one under its
        default name.
    n_factors
        Largest number of factors, the smallest p-values first; small Axes get as many as have room.
    ax
        Axes to draw into. `None` makes a figure.

    Returns
    -------
    The Axes: a row for each factor, a column for each observation, in colours the standard deviations from the mean of these
    observations (scores as they are, of fewer than three). Observations are sorted by group, and within it along the first
    principal direction of what is drawn; if a number was tested, by the number, and those without a value are left out. If no factor differs the title says so, and those with the smallest p-values are drawn in grey.

    Raises
    ------
    KeyError
        If there are no such scores, factors, column or test, or neither `rows` nor a test.
    ValueError
        If `groupby` is no column of groups, or all of it is missing, or `n_factors` is no positive integer.
    TypeError
        If an argument is of the wrong kind.

    Notes
    -----
    Factors are chosen by the test over all groups (``overall`` of the test, FDR < 0.05). Rows are in the order of a hierarchical
    clustering by correlation (average linkage, :cite:p:`Eisen1998`). Cost: a singular value decomposition of what is drawn.

    Examples
    --------
    >>> import omicstl as otl
    >>> target, truth = otl.datasets.simulate_pathways(n_query=20, rng=0)
    >>> otl.tl.plier(target, truth.gene_sets, n_factors=5, max_iter=40, tol=1e-2)
    >>> names = target.uns["plier"]["names"]
    >>> ax = otl.pl.factors_heatmap(target, rows=names[:3], groupby="cohort")
    >>> len(ax.get_yticks())
    3
    """
    check_number("n_factors", n_factors, low=1, integer=True)
    key = score_key(adata, key)
    there = [str(name) for name in factor_names(adata, key)]
    found = find_test(adata, key, test)
    entry = None if found is None else adata.uns[found]
    grey = False
    if rows is not None:
        chosen = _named(rows, there)
        about = plural(len(chosen), "factor")
    elif entry is None:
        msg = (
            "Nothing says which factors to draw: adata holds no test of them. Run otl.tl.rank_factors_groups(adata, phenotype, "
            f"key={key!r}) first, or name them: rows={there[:2]!r}."
        )
        raise KeyError(msg)
    else:
        chosen, about, grey = _by_test(entry, there, int(n_factors))
    number = groupby is None and entry is not None and entry["params"]["phenotype_kind"] == "number"
    column = groupby if groupby is not None or entry is None else str(entry["params"]["phenotype"])
    own = ax is None
    ax = axes(ax, 7.2, 1.5 + 0.2 * len(chosen))
    chosen = chosen if own else chosen[: rows_that_fit(ax, len(chosen), AROUND)]

    scores = np.asarray(adata.obsm[key], dtype=np.float64)[:, [there.index(name) for name in chosen]]
    if number:
        scores, phenotype = _with_value(adata, str(column), scores)
    values, limit, unit = _standardised(scores)
    if rows is None:
        order = _similar(values)
        values, chosen = values[:, order], [chosen[i] for i in order]
    along = _direction(values)
    if number:
        columns = np.lexsort((along, phenotype))
        strip: Any = phenotype[columns]
    elif column is not None:
        first = entry["params"]["reference_group"] if entry is not None and groupby is None else None
        strip = groups_of(adata, column, first=first)
        columns = np.lexsort((along, np.where(strip.codes < 0, len(strip.names), strip.codes)))
    else:
        strip, columns = None, np.argsort(along, kind="stable")
    size = row_font(ax, len(chosen), AROUND)
    texts = labels(chosen, label_room(ax, 190, own=own), size)
    beside = max(text_width(text, size) for text in texts) + 4
    colours = two_sided(GREY, INK) if grey else two_sided()
    drawn = ax.imshow(values[columns].T, cmap=colours, vmin=-limit, vmax=limit, aspect="auto", interpolation="nearest")
    ax.set_yticks(range(len(chosen)), texts, fontsize=size)
    ax.set_xticks([])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    bar, left = colour_bar(ax, drawn, unit, (-limit, 0, limit), drop=8, beside=beside)
    _strip(ax, strip, column, beside, (bar + 14, left))
    set_title(ax, f"{about} in {plural(scores.shape[0], 'observation')}" if not grey else about, beside=beside)
    return ax


def _with_value(adata: AnnData, column: str, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scores and numbers of the observations that have a number."""
    values = check_any(numbers(adata, column), "there is nothing to draw. Name another column: groupby=...")
    known = ~values.absent
    return scores[known], values.known


def _named(rows: Sequence[str], there: list[str]) -> list[str]:
    chosen = [str(name) for name in rows]
    if not chosen:
        msg = "`rows` is empty. Name at least one, or leave it out for those that differ by the test."
        raise ValueError(msg)
    for name in chosen:
        if name not in there:
            raise missing_key(name, "the factors of these scores", there)
    return chosen


def _by_test(entry: Any, names: list[str], n_factors: int) -> tuple[list[str], str, bool]:
    """Factors, words for the title, and whether they are drawn for want of better ones."""
    table = entry["overall"].assign(factor=entry["overall"]["factor"].astype(str))
    table = table[table["factor"].isin(names) & np.isfinite(table["p"])].sort_values("p", kind="stable")
    what = spoken(str(entry["params"]["phenotype"]))
    verb = f"follows {what}" if entry["params"]["phenotype_kind"] == "number" else f"differs by {what}"
    if table.empty:
        msg = "The test has a p-value for none of these factors. Name those to draw: rows=[...]."
        raise ValueError(msg)
    good = table[table["fdr"] < FDR]
    if good.empty:
        few = list(table["factor"].head(min(n_factors, 10)))
        return (
            few,
            f"No factor of {len(table)} {verb} (FDR < {FDR:g})\n(in grey: the {len(few)} with the smallest p)",
            True,
        )
    chosen = list(good["factor"].head(n_factors))
    several = f"{len(chosen)} of {len(good)} factors" if len(good) > len(chosen) else plural(len(good), "factor")
    verbs = verb if len(good) == 1 else verb.replace("differs", "differ").replace("follows", "follow")
    return chosen, f"{several} that {verbs} (FDR < {FDR:g})", False


def _standardised(scores: np.ndarray) -> tuple[np.ndarray, float, str]:
    """Return values to draw, where their colours end, and their unit."""
    if scores.shape[0] < 3:
        return scores, float(f"{max(np.nanmax(np.abs(scores)), 1e-12):.2g}"), "score"
    spread = np.nanstd(scores, axis=0)
    centred = scores - np.nanmean(scores, axis=0)
    return centred / np.where(spread > 0, spread, 1), LIMIT, "score, SD from the mean"


def _similar(values: np.ndarray) -> np.ndarray:
    """Order of the columns that puts similar ones side by side."""
    if values.shape[1] < 3 or values.shape[0] < 3:
        return np.arange(values.shape[1])
    from scipy.cluster.hierarchy import leaves_list, linkage

    length = np.linalg.norm(values, axis=0)
    unit = values / np.where(length > 0, length, 1)
    return np.asarray(leaves_list(linkage(unit.T, "average", optimal_ordering=True)))


def _direction(values: np.ndarray) -> np.ndarray:
    """Position of each observation along the first principal direction, from low to high in most factors."""
    filled = np.nan_to_num(values - np.nanmean(values, axis=0))
    left, singular, right = np.linalg.svd(filled, full_matrices=False)
    along = left[:, 0] * singular[0]
    return -along if right[0].sum() < 0 else along


def _strip(ax: Axes, strip: Any, column: str | None, beside: float, below: tuple[float, float]) -> None:
    """Draw the bar on top that says which group an observation is of."""
    from matplotlib.patches import Patch, Rectangle

    if strip is None:
        return
    height = _strip_height(ax)
    top, low = -0.5 - 0.35 * height, -0.5 - 1.35 * height
    n_rows = len(ax.get_yticks())
    ax.set_ylim(n_rows - 0.5, low)
    size = points("small")
    if not isinstance(strip, Groups):
        _number_strip(ax, strip, str(column), (low, top), size)
        return
    members = strip.members()
    colours = [*group_colours(len(strip.names)), GREY]
    start, centres, names, patches = 0, [], [], []
    for i, (name, rows) in enumerate(members):
        colour = colours[i] if name != UNKNOWN or i < len(strip.names) else GREY
        ax.add_patch(Rectangle((start - 0.5, low), rows.size, top - low, facecolor=colour, linewidth=0))
        if start:
            ax.axvline(start - 0.5, ymax=1, color="white", linewidth=1.6)
        centres.append(start + rows.size / 2 - 0.5)
        names.append(f"{spoken(name)} ({rows.size:,})")
        patches.append(Patch(color=colour, label=names[-1]))
        start += rows.size
    per_point = start / max(cell(ax)[0] - beside - 14, 60)
    reach = [text_width(name, size) * per_point / 2 for name in names]
    fits = all(
        centres[i] + reach[i] + 4 * per_point < centres[i + 1] - reach[i + 1] for i in range(len(names) - 1)
    ) and all(centre - r > -0.5 - 0.1 * start and centre + r < start for centre, r in zip(centres, reach, strict=True))
    if fits:
        ax.xaxis.tick_top()
        ax.set_xticks(centres, names, fontsize=size)
        ax.tick_params(length=0, pad=2)
    else:
        legend_below(ax, patches, beside=beside, drop=below[0], size="small")


def _strip_height(ax: Axes) -> float:
    """Height of the strip in rows, about 8 points."""
    n_rows = len(ax.get_yticks())
    return float(np.clip(8 * n_rows / max(cell(ax)[1] - AROUND, 40), 0.15, 1.2))


def _number_strip(ax: Axes, values: np.ndarray, name: str, edges: tuple[float, float], size: float) -> None:
    """Colour of each observation's number, from left to right."""
    low, high = float(values.min()), float(values.max())
    frame = ax.get_xlim(), ax.get_ylim()
    extent = (-0.5, values.size - 0.5, edges[1], edges[0])
    ax.imshow(
        values[None], cmap=one_sided(), vmin=low, vmax=high, aspect="auto", extent=extent, interpolation="nearest"
    )
    ax.set(xlim=frame[0], ylim=frame[1])
    ticks: tuple[tuple[float, str, Any], ...] = (
        (-0.5, f"{spoken(name)} {low:g}", "left"),
        (values.size - 0.5, f"{high:g}", "right"),
    )
    ax.xaxis.tick_top()
    ax.set_xticks([tick[0] for tick in ticks], [tick[1] for tick in ticks], fontsize=size)
    for label, (_, _, side) in zip(ax.get_xticklabels(), ticks, strict=True):
        label.set_horizontalalignment(side)
    ax.tick_params(length=0, pad=2)
