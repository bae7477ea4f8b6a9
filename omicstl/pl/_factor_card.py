"""One page for one factor."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from omicstl._core.checks import check_number, missing_key
from omicstl._core.public import public
from omicstl._data.results import factor_names, score_key

from ._card_parts import draw_gauge, gauge_words, gauges_of, set_rows
from ._card_read import genes_of, same_factor, values_of
from ._loadings import gene_bars, member_patches
from ._read import find_test
from ._replication import cohort_names
from ._style import INK, mix
from ._text import HINTED, LEAST_FONT, fitted, room, spoken, text_width
from ._values import Values, draw_values, sentences, ticks_of

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes

    from omicstl.get import Model

SIZE = (8.3, 5.8)  # inches
LEADING = 1.32


@public
def factor_card(
    adata: AnnData,
    factor: str,
    *,
    key: str | None = None,
    groupby: str | None = None,
    test: str | None = None,
    model: AnnData | Model | str | Path | None = None,
    other: AnnData | None = None,
    other_key: str | None = None,
    other_groupby: str | None = None,
    other_test: str | None = None,
    cohorts: Sequence[str] | None = None,
    n_genes: int = 20,
    ax: Axes | None = None,
) -> Axes:
    """
    Draw one page for one factor: what it is, whether it can be trusted, who has it, and whether another cohort agrees.

    Parameters
    ----------
    adata
        An AnnData with scores of a fit or a projection.
    factor
        Name of the factor, e.g. ``"LV18 Neutrophil"``.
    key
        Name that the scores were written under. `None` takes the only one there.
    groupby
        Column of ``obs`` with groups. `None` takes the phenotype of the test, if there is one.
    test
        Name of the test of `omicstl.tl.rank_factors_groups`. `None` takes the only one of these scores, or of several the one under its
        default name. It is shown if it is of the groups that are drawn.
    model
        For a projection: what `adata` was projected onto, which knows the members of the gene sets. `None` draws the genes
        without them.
    other
        Another cohort with the same factors: an AnnData with a projection onto the same reference, or the reference.
    other_key, other_groupby, other_test
        As `key`, `groupby` and `test`, of the other cohort. Without `other_groupby` and a test there it is the column of `adata`, if `other` has it.
    cohorts
        What the two cohorts are called. `None` calls them this and the other cohort.
    n_genes
        Number of genes.
    ax
        Axes to draw into: the page, whose own frame is taken off; the parts are Axes within it (``ax.child_axes``). `None` makes a figure of
        8.3 × 5.8 inches.

    Returns
    -------
    The Axes of the page. What is not known is left out, and the last line says so.

    Raises
    ------
    KeyError
        If there are no such scores, factor, column or test, here or in `other`.
    ValueError
        If `groupby` is no column of groups, or `model` or `other` is of another reference.
    TypeError
        If an argument is of the wrong kind.

    Notes
    -----
    Sets: those with a nominal FDR below 0.05, held-out members only :cite:p:`Mao2019`. Genes: the largest loadings, or attributions of a
    network. Values: a dot for each observation; if the test had a `block`, large dots are the means of the blocks, and lines the means of
    these. Effects are in standard deviations within groups, with the interval of the test. The two scales at the bottom mark 0.8, below
    which a factor is not to be interpreted. Cost: one copy of the loadings.

    Examples
    --------
    >>> import omicstl as otl
    >>> target, truth = otl.datasets.simulate_pathways(n_query=20, rng=0)
    >>> otl.tl.plier(target, truth.gene_sets, n_factors=5, max_iter=40, tol=1e-2)
    >>> page = otl.pl.factor_card(target, str(target.uns["plier"]["names"][0]), groupby="cohort")
    >>> len(page.child_axes)
    2
    """
    check_number("n_genes", n_genes, low=1, integer=True)
    key = score_key(adata, key)
    names = [str(name) for name in factor_names(adata, key)]
    if factor not in names:
        raise missing_key(factor, "the factors of these scores", names)
    index, entry = names.index(factor), adata.uns[key]
    notes: list[str] = []
    here, there = cohort_names(cohorts, ("This cohort", "The other cohort"))
    panels = [(here, values_of(adata, key, index, groupby, test, "", notes))]
    fallback = panels[0][1].column if panels[0][1].groups is not None else None
    gauges = gauges_of(
        entry, index, len(names), "" if other is None else f", {here.lower() if cohorts is None else here}"
    )
    if other is not None:
        other_key = same_factor(entry, other, other_key, factor)
        others = [str(name) for name in factor_names(other, other_key)]
        where = others.index(factor)
        if other_groupby is None and find_test(other, other_key, other_test, where="other", name="other_test") is None:
            other_groupby = fallback if fallback in other.obs else None
        panels.append((there, values_of(other, other_key, where, other_groupby, other_test, "other_", notes)))
        more = gauges_of(other.uns[other_key], where, len(others), f", {there.lower() if cohorts is None else there}")
        known = [(gauge.title, gauge.where) for gauge in gauges]
        gauges += [gauge for gauge in more if (gauge.title, gauge.where) not in known]
    if not any(gauge.title == "Comes back" for gauge in gauges):
        notes.append("stability (tl.stability measures it)")
    genes = genes_of(adata, key, index, factor, int(n_genes), model, notes)

    page = _page(ax)
    _compose(page, factor, entry, genes, panels, gauges, notes)
    return page


def _page(ax: Axes | None) -> Axes:
    if ax is None:
        import matplotlib.pyplot as plt

        ax = plt.figure(figsize=SIZE).add_axes((0.035, 0.035, 0.93, 0.935))
    ax.set_axis_off()
    figure = ax.get_figure(root=True)
    if figure is not None and figure.get_layout_engine() is not None:
        figure.draw_without_rendering()  # the page takes the room of the labels that it does not have
    return ax


def _compose(
    page: Axes,
    factor: str,
    entry: Any,
    genes: Any,
    panels: list[tuple[str, Values]],
    gauges: list[Any],
    notes: list[str],
) -> None:
    """Lay the parts out from the top and the bottom; the genes and the values take what is left."""
    width, height = room(page)
    size = float(np.clip(9 * min(width / 555, height / 390), LEAST_FONT, 12))
    line = LEADING * size
    write = _writer(page, width, height)

    top = height
    title = fitted(factor, width, 1.55 * size, 2)
    write(0, top, title, 1.55 * size)
    top -= 1.55 * line * (1 + title.count("\n")) + 0.2 * line
    rows, sentence = set_rows(entry, factor)
    widest = max((text_width(spoken(row[0]), size) for row in rows), default=0)
    column = min(HINTED * widest + 12, width - 15 * size)
    for name, auc, fdr in rows:
        write(0, top, fitted(name, (column - 10) / HINTED, size), size)
        write(column, top, auc, size)
        write(column + 6.2 * size, top, fdr, size)
        top -= line
    if sentence:
        write(0, top, sentence, size, mix(INK, 0.75))
        top -= line

    small = max(0.8 * size, LEAST_FONT)
    blocks = sorted({spoken(values.block_name) for _, values in panels if values.block is not None})
    dots = f"large ones the mean of each {' or '.join(blocks)}; " if blocks else ""
    said = (
        f"Dots: observations; {dots}lines: means."
        if panels[0][1].number is None
        else f"Dots: observations; {dots}line: least squares."
    )
    said = fitted(" ".join([said, *_not_shown(notes)]), width, small, 3, code=True)
    bottom = LEADING * small * (1 + said.count("\n"))
    write(0, bottom, said, small, mix(INK, 0.75))
    bottom += 0.5 * line
    if gauges:
        each = width / max(len(gauges), 2)
        lines = max(gauge_words(gauge, size, 0.86 * each).count("\n") + 1 for gauge in gauges)
        bottom += 0.2 * line + 0.95 * line * lines
        for i, gauge in enumerate(gauges):
            at = page.inset_axes((i * each / width, bottom / height, 0.86 * each / width, 8 / height))
            draw_gauge(at, gauge, size, 0.86 * each)
        bottom += 8 + 2 * line
    _panels(page, factor, genes, panels, (0, bottom, width, top - 0.7 * line - bottom), size)


def _not_shown(notes: list[str]) -> list[str]:
    return [f"Not shown: {'; '.join(dict.fromkeys(notes))}."] if notes else []


def _panels(
    page: Axes,
    factor: str,
    genes: Any,
    panels: list[tuple[str, Values]],
    box: tuple[float, float, float, float],
    size: float,
) -> None:
    width, height = room(page)
    line = LEADING * size
    left, low, whole, tall = box
    small = max(0.9 * size, LEAST_FONT)
    write = _writer(page, width, height)
    bar = (0.30 if len(panels) > 1 else 0.34) * whole
    gap = 4.2 * size
    start = left if genes is None else left + bar + 2.2 * size
    each_panel = (left + whole - start) / len(panels) - gap
    said = [sentences(values, factor, each_panel, small) for _, values in panels]
    head = line * (1.25 + max(map(len, said)))
    ticks = [ticks_of(values, each_panel, small, 0.5 * (tall - head)) for _, values in panels]
    foot = max(2.9 * line, *(one.height + 0.4 * line for one in ticks))
    if genes is not None:
        _gene_panel(page, genes, (left, low, bar, tall), 2.9 * line, size)
    colours: dict[str, Any] = {}
    for i, (name, values) in enumerate(panels):
        x = start + gap + i * (each_panel + gap)
        at = page.inset_axes((x / width, (low + foot) / height, each_panel / width, (tall - head - foot) / height))
        draw_values(at, values, colours, ticks[i], small)
        write(x, low + tall, fitted(name, each_panel, 1.05 * size), 1.05 * size)
        for j, sentence in enumerate(said[i]):
            write(x, low + tall - line * (1.15 + j), fitted(sentence, each_panel, small), small, mix(INK, 0.85))
        if i == 0:
            at.set_ylabel("score", fontsize=small)


def _gene_panel(page: Axes, genes: Any, box: tuple[float, float, float, float], foot: float, size: float) -> None:
    """Bars of genes, with what their colours mean below."""
    width, height = room(page)
    left, low, whole, tall = box
    line, small = LEADING * size, max(0.9 * size, LEAST_FONT)
    write = _writer(page, width, height)
    names, values, inside, chosen, what = genes
    rows = tall - 1.3 * line - foot
    fit = max(3, int(rows // (1.15 * LEAST_FONT)))
    names, values, inside = names[:fit], values[:fit], inside[:fit]
    each = float(np.clip(0.85 * rows / len(names), LEAST_FONT, small))
    beside = max(text_width(name, each) for name in names) + 6
    at = page.inset_axes(((left + beside) / width, (low + foot) / height, (whole - beside) / width, rows / height))
    gene_bars(at, names, values, inside, each)
    at.tick_params(axis="x", labelsize=small)
    at.locator_params(axis="x", nbins=4)
    write(left, low + tall, fitted(f"Genes with the largest {what}", whole, 1.05 * size), 1.05 * size)
    if chosen is None:
        return
    at.legend(
        handles=member_patches(),
        loc="upper left",
        bbox_to_anchor=((left) / width, (low + foot - 1.5 * line) / height),
        bbox_transform=page.transAxes,
        fontsize=small,
        frameon=False,
        handlelength=1,
        ncols=2,
        borderaxespad=0,
        borderpad=0,
        columnspacing=1.2,
        title=fitted(f"set: {spoken(chosen)}", whole, small),
        title_fontsize=small,
        alignment="left",
        labelspacing=0.2,
    )


def _writer(page: Axes, width: float, height: float) -> Any:
    def write(x: float, y: float, text: str, size: float, colour: Any = INK) -> None:
        page.text(
            x / width,
            y / height,
            text,
            fontsize=size,
            color=colour,
            va="top",
            transform=page.transAxes,
            linespacing=1.2,
        )

    return write
