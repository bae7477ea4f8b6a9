"""Which genes make the factors of a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from omicstl._core.checks import check_number, listed, missing_key
from omicstl._core.public import public
from omicstl._data.adata import check_adata

from ._style import ACCENT, INK, axes, colour_bar, one_sided, two_sided
from ._text import LEAST_FONT, cell, label_room, labels, plural, points, row_font, rows_that_fit, set_title, text_width

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes

AROUND = 110  # points for the title, and for what stands below
SUFFIX = "_attributions"
LONGEST = 150.0  # points of an upright name


@public
def attributions(
    adata: AnnData,
    key: str | None = None,
    *,
    columns: Sequence[str] | None = None,
    n_factors: int = 15,
    genes_per_factor: int = 3,
    ax: Axes | None = None,
) -> Axes:
    """
    Draw which genes make which factors: the attributions of a network as a map of genes × factors.

    What the factors are about, on one page. A gene with colours in several columns moves all of these factors; two columns of the same
    colours are the same factor twice.

    Parameters
    ----------
    adata
        An AnnData with attributions of `omicstl.tl.attributions`.
    key
        Name that the fit was written under. `None` takes the only one with attributions.
    columns
        Names of the factors, from left to right. `None` takes the first of the fit, `n_factors` of them, and puts similar ones side
        by side.
    n_factors
        Largest number of factors if `columns` does not name them; small Axes get as many as have room.
    genes_per_factor
        Genes that a factor adds to the map, its largest attributions of either sign first. Genes of several factors have one row.
    ax
        Axes to draw into. `None` makes a figure.

    Returns
    -------
    The Axes: genes from top to bottom, by factor and then by attribution, factors from left to right. The colour is the attribution as
    a share of the factor's largest, orange above 0 and blue below. What the sign means depends on the method of `omicstl.tl.attributions`: of
    integrated gradients, orange genes move the score the way that observations go, blue ones against it (not: up and down); of
    ``"gradient"`` and ``"correlation"``, orange genes raise it and blue ones lower it.

    Raises
    ------
    KeyError
        If there are no attributions, or several and no `key`, or a name of `columns` is none of their factors.
    TypeError
        If an argument is of the wrong kind.
    ValueError
        If a number is not a positive integer, `columns` is empty, or every attribution of the factors is zero.

    Notes
    -----
    Reads ``varm[f"{key}_attributions"]``, by default integrated gradients :cite:p:`Sundararajan2017`, averaged over observations.
    Shares compare genes within a factor, not between factors. Factors are put side by side by hierarchical clustering of their
    attributions over all genes (cosine, average linkage, :cite:p:`Eisen1998`). Cost: one sort of each factor's attributions.

    Examples
    --------
    >>> import omicstl as otl
    >>> target, truth = otl.datasets.simulate_pathways(rng=0)
    >>> otl.tl.vae(target, n_factors=3, training=otl.tl.Training(epochs=5))
    >>> otl.tl.attributions(target)
    >>> len(otl.pl.attributions(target).get_xticks())
    3
    """
    check_number("n_factors", n_factors, low=1, integer=True)
    check_number("genes_per_factor", genes_per_factor, low=1, integer=True)
    values, names = _read(adata, key)
    number = _numbers(columns, names) if columns is not None else list(range(min(len(names), int(n_factors))))
    number = [i for i in number if np.abs(values[:, i]).max(initial=0) > 0]
    if not number:
        msg = "Every attribution of these factors is zero, so there is nothing to draw. Name others: columns=[...]."
        raise ValueError(msg)
    while True:  # as many factors as have room for their genes
        order = number if columns is not None else [number[i] for i in _similar(values[:, number])]
        share = values[:, order] / np.abs(values[:, order]).max(axis=0)
        rows = _rows(share, int(genes_per_factor))
        if ax is None or len(number) == 1 or len(rows) <= rows_that_fit(ax, len(rows), AROUND):
            break
        number.pop()
    few = f"{len(order):,} of " if columns is None and len(order) < len(names) else ""
    title = f"{plural(len(rows), 'gene')} with the largest attributions to {few}{plural(len(names) if few else len(order), 'factor')}"
    genes = [str(adata.var_names[i]) for i in rows]
    return _draw(ax, share[rows], genes, [names[i] for i in order], title)


def _read(adata: AnnData, key: str | None) -> tuple[np.ndarray, list[str]]:
    """Attributions (genes, factors) and the names of the factors."""
    check_adata(adata)
    there = [
        str(name).removesuffix(SUFFIX)
        for name in adata.varm
        if str(name).endswith(SUFFIX) and isinstance(adata.uns.get(name), Mapping)
    ]
    if key is not None and key not in there:
        raise missing_key(key, "the attributions of adata", there)
    if not there:
        msg = "adata holds no attributions. Run otl.tl.attributions(adata) first."
        raise KeyError(msg)
    if key is None and len(there) > 1:
        msg = f"adata holds {len(there)} sets of attributions: {listed(sorted(there))}. Say which one: key={sorted(there)[0]!r}."
        raise KeyError(msg)
    name = f"{there[0] if key is None else key}{SUFFIX}"
    return np.asarray(adata.varm[name], dtype=np.float64), [str(factor) for factor in adata.uns[name]["names"]]


def _numbers(columns: Sequence[str], names: list[str]) -> list[int]:
    if not len(columns):
        msg = "`columns` is empty. Name at least one, or leave it out for the first factors."
        raise ValueError(msg)
    for name in columns:
        if name not in names:
            raise missing_key(name, "the factors of these attributions", names)
    return [names.index(name) for name in columns]


def _similar(values: np.ndarray) -> list[int]:
    """Order of the columns that puts similar ones side by side."""
    if values.shape[1] < 3:
        return list(range(values.shape[1]))
    from scipy.cluster.hierarchy import leaves_list, linkage

    unit = values / np.linalg.norm(values, axis=0)
    return [int(i) for i in leaves_list(linkage(unit.T, "average", optimal_ordering=True))]


def _rows(share: np.ndarray, each: int) -> list[int]:
    """Genes of the factors, one factor after the other, each under the factor where its share is largest."""
    size = np.abs(share)
    picked: set[int] = set()
    for factor in size.T:
        top = np.argsort(-factor, kind="stable")[:each]
        picked |= {int(i) for i in top if factor[i] > 0}
    genes = np.array(sorted(picked))
    home = np.argmax(size[genes], axis=1)
    values = share[genes, home]
    return [int(i) for i in genes[np.lexsort((-values, home))]]


def _draw(ax: Axes | None, share: np.ndarray, genes: list[str], factors: list[str], title: str) -> Axes:
    own = ax is None
    small = points("small")
    n_rows, n_columns = share.shape
    upright = max(text_width(name, small) for name in factors) > 14
    tall = min(max(text_width(name, small) for name in factors), LONGEST) if upright else small
    ax = axes(ax, 2.9 + 0.24 * max(n_columns, 8), 1.35 + 0.17 * n_rows + tall / 72)
    size = row_font(ax, n_rows, AROUND)
    widest = label_room(ax, 150, own=own)
    cut = labels(genes, widest, size)
    texts = [name if text_width(name, size) <= widest and "$" not in name else cut[i] for i, name in enumerate(genes)]
    beside = max(text_width(text, size) for text in texts) + 4
    signed = bool(share.min() < 0)
    drawn = ax.pcolormesh(
        np.arange(n_columns + 1) - 0.5,
        np.arange(n_rows + 1) - 0.5,
        share,
        cmap=two_sided() if signed else one_sided(ACCENT),
        vmin=-1 if signed else 0,
        vmax=1,
        edgecolors="#EDEDED",
        linewidth=0.6,
    )
    ax.set_xlim(-0.5, n_columns - 0.5)
    ax.set_ylim(n_rows - 0.5, -0.5)
    pitch = max(cell(ax)[0] - beside - 14, 60) / n_columns
    across = float(np.clip(0.84 * pitch, LEAST_FONT, small))
    short = labels(factors, LONGEST if own else min(LONGEST, 0.22 * cell(ax)[1]), across)
    widest = max(text_width(name, across) for name in short)
    upright = widest > 0.9 * pitch
    every = int(np.ceil(LEAST_FONT / pitch)) if upright else 1
    ax.set_yticks(range(n_rows), texts, fontsize=size)
    ax.set_xticks(range(0, n_columns, every), short[::every], fontsize=across, rotation=90 if upright else 0)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(True)
    ax.spines[:].set(color=INK, linewidth=0.5)
    drop = 12 + (widest if upright else across)
    colour_bar(
        ax,
        drawn,
        "attribution, share of the factor's largest",
        (-1, 0, 1) if signed else (0, 0.5, 1),
        drop=drop,
        beside=beside,
    )
    set_title(ax, title, beside=beside)
    return ax
