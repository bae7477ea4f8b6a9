"""The genes that make a factor."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from omicstl import get
from omicstl._core.checks import check_number, missing_key
from omicstl._core.public import public

from ._style import ACCENT, GREY, axes, clean, legend_below
from ._text import cell, fitted, points, row_font, rows_that_fit, set_title, set_xlabel, text_width

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.patches import Patch

    from omicstl.get import Model

AROUND = 100  # points for the title, and for what stands below


@public
def loadings(
    adata: AnnData | Model | str | Path,
    factor: str,
    *,
    key: str | None = None,
    gene_set: str | None = None,
    n_genes: int = 20,
    ax: Axes | None = None,
) -> Axes:
    """
    Draw the genes with the largest loadings of a factor, and which of them its gene set knows.

    What to look at before a factor is called by its name: a factor that follows a set has most of the set's genes on
    top, and the genes beside them are what the set lacks.

    Parameters
    ----------
    adata
        An AnnData with a fitted model, a model, or the path of a model file.
    factor
        Name of the factor, e.g. ``"LV18 Neutrophil"``.
    key
        Name that the fit was written under. `None` takes the only model there.
    gene_set
        Set of the model whose members are coloured. `None` takes the set that the factor is named after, or else the
        one with the largest weight on it; without either, and for models without gene sets, nothing is coloured.
    n_genes
        Number of genes; small Axes get as many as have room.
    ax
        Axes to draw into. `None` makes a figure.

    Returns
    -------
    The Axes: one bar for each gene, the largest loading on top.

    Raises
    ------
    KeyError
        If the model has no such factor or gene set, or there is no model.
    ValueError, TypeError
        If `n_genes` is no positive integer, `gene_set` no name, `ax` are no Axes, or the model is a network without loadings.

    Notes
    -----
    Loadings are :math:`Z` in :cite:p:`Mao2019`, in units of z-scores of the gene for one unit of the score. All members of
    the set are coloured, also those that were held out of the fit to test it. Cost: one copy of the loadings.

    Examples
    --------
    >>> import omicstl as otl
    >>> target, truth = otl.datasets.simulate_pathways(rng=0)
    >>> otl.tl.plier(target, truth.gene_sets, n_factors=5, max_iter=40, tol=1e-2)
    >>> ax = otl.pl.loadings(target, str(target.uns["plier"]["names"][0]), n_genes=10)
    >>> len(ax.patches)
    10
    """
    check_number("n_genes", n_genes, low=1, integer=True)
    model: Any = get.model(adata, key)
    names = [str(name) for name in model.names]
    if factor not in names:
        raise missing_key(factor, "the factors of the model", names)
    number = names.index(factor)
    genes, values, inside, chosen = top_genes(model, number, factor, gene_set, int(n_genes))
    own = ax is None
    ax = axes(ax, 4.2, 1.6 + 0.21 * len(genes))
    if not own:
        fit = rows_that_fit(ax, len(genes), AROUND)
        genes, values, inside = genes[:fit], values[:fit], inside[:fit]
    size = row_font(ax, len(genes), AROUND, "medium")
    gene_bars(ax, genes, values, inside, size)
    beside = max(text_width(gene, size) for gene in genes) + 4
    lines = set_xlabel(ax, "loading", beside=beside)
    set_title(ax, factor, beside=beside)
    if chosen is not None:
        title = fitted(str(model.sets[chosen]), max(cell(ax)[0] - beside - 14, 60), points("medium"), 2)
        legend_below(ax, member_patches(), title=title, beside=beside, drop=26 + 12 * lines)
    return ax


def top_genes(
    model: Any, number: int, factor: str, gene_set: str | None, n_genes: int
) -> tuple[list[str], np.ndarray, np.ndarray, int | None]:
    """Genes with the largest loadings, their loadings, whether each is in the set, and the set."""
    values = get.loadings(model).iloc[:, number].to_numpy()
    top = np.argsort(-np.abs(values), kind="stable")[:n_genes]
    chosen = _gene_set(model, number, factor, gene_set)
    inside = np.zeros(values.size, dtype=bool)
    if chosen is not None:
        inside[model.prior[:, [chosen]].indices] = True
    return [str(gene) for gene in np.asarray(model.features)[top]], values[top], inside[top], chosen


def gene_bars(ax: Axes, genes: list[str], values: np.ndarray, inside: np.ndarray, size: float) -> None:
    """Draw one bar for each gene, the first on top, in the colour of the set's members or not."""
    colours = [ACCENT if known else GREY for known in inside[::-1]]
    ax.barh(range(len(genes)), values[::-1], color=colours, height=0.78)
    ax.set_yticks(range(len(genes)), genes[::-1], fontsize=size)
    ax.set_ylim(-0.6, len(genes) - 0.4)
    clean(ax, left=bool((values < 0).any()))


def member_patches() -> list[Patch]:
    """What the colours of the bars mean."""
    from matplotlib.patches import Patch

    return [Patch(color=ACCENT, label="in the set"), Patch(color=GREY, label="not in it")]


def _gene_set(model: Any, number: int, factor: str, gene_set: str | None) -> int | None:
    """Column of the set to colour."""
    sets = [str(name) for name in getattr(model, "sets", ())]
    if gene_set is not None:
        if gene_set not in sets:
            raise missing_key(gene_set, "the gene sets of the model", sets)
        return sets.index(gene_set)
    if not sets:
        return None
    own = factor.partition(" ")[2]
    if own in sets:
        return sets.index(own)
    weights = np.asarray(model.weights)[:, number]
    return int(np.argmax(weights)) if weights.max() > 0 else None
