"""The genes that make a factor."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from omicstl import get
from omicstl._core.checks import check_number, check_text, missing_key

from ._style import ACCENT, GREY, axes, clean, legend_below, wrapped

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes

    from omicstl.get import Model


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
        Number of genes.
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
        If `n_genes` is no positive integer, `gene_set` no name, or `ax` are no Axes.

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
    check_text("gene_set", gene_set, optional=True)
    model: Any = get.model(adata, key)
    names = [str(name) for name in model.names]
    if factor not in names:
        raise missing_key(factor, "the factors of the model", names)
    number = names.index(factor)
    values = np.asarray(model.loadings)[:, number]
    top = np.argsort(-np.abs(values), kind="stable")[: int(n_genes)][::-1]
    chosen = _gene_set(model, number, factor, gene_set)
    inside = np.zeros(values.size, dtype=bool)
    if chosen is not None:
        inside[model.prior[:, [chosen]].indices] = True

    ax = axes(ax, 4.2, 1.6 + 0.21 * top.size)
    genes = [str(gene) for gene in np.asarray(model.features)[top]]
    colours = [ACCENT if known else GREY for known in inside[top]]
    ax.barh(range(top.size), values[top], color=colours, height=0.78)
    ax.set_yticks(range(top.size), genes)
    ax.set_ylim(-0.6, top.size - 0.4)
    ax.set_xlabel("loading")
    ax.set_title(wrapped(factor, 34), loc="left")
    if chosen is not None:
        from matplotlib.patches import Patch

        handles = [Patch(color=ACCENT, label="in the set"), Patch(color=GREY, label="not in it")]
        legend_below(ax, handles, title=wrapped(str(model.sets[chosen]), 34), ncols=2)
    clean(ax, left=bool((values[top] < 0).any()))
    return ax


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
