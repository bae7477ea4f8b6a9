"""Modules of genes, and their means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from omicstl._core.checks import check_number, listed
from omicstl._core.log import ConvergenceWarning, warn
from omicstl._core.public import public
from omicstl._core.random import streams
from omicstl._core.settings import settings
from omicstl._core.types import SeedLike
from omicstl._data import adata as reader
from omicstl._data.run import spread_out, start
from omicstl.kernels import kmeans, stats
from omicstl.kernels.mad import median_absolute_deviation

if TYPE_CHECKING:
    from anndata import AnnData

    from omicstl.models.factors.gene_modules import Fit, GeneModules

N_STARTS, MAX_ITER = 5, 100
MANY_GENES = 10_000  # above, z-scores of few observations are kept in memory instead of the correlations of all genes
FEWEST = 3  # observations


@public
def gene_modules(
    adata: AnnData,
    *,
    n_modules: int = 300,
    n_top_genes: int | None = None,
    layer: str | None = None,
    key_added: str = "gene_modules",
    rng: SeedLike = 0,
    copy: bool = False,
) -> AnnData | None:
    r"""Group genes that rise and fall together into modules, and describe observations by the means of these.

    The reduction of DeepProfile's first version :cite:p:`Dincer2018`: genes with the largest median absolute deviation, z-scores,
    k-means of genes, means. A few hundred numbers stand for thousands of genes, each with a list of genes that it is the mean of.
    ``tl.project(other, adata)`` gives other data the same modules.

    Parameters
    ----------
    adata
        Log expression, e.g. log2 intensities or log1p CPM; at least 3 observations. Dense, CSR, CSC, backed or dask.
        Shape (n_obs, n_vars). Genes are z-scored inside, over the observations.
    n_modules
        Number of modules k, at most the number of genes.
    n_top_genes
        Keep this many genes, those with the largest median absolute deviation (of equal ones those with the larger standard
        deviation, then the first). `None` keeps all genes that vary. The paper kept 5,393 of 13,237.
    layer
        Matrix to use. `None` uses ``adata.X``.
    key_added
        Name of everything that is written.
    rng
        Seed of the starts of k-means.
    copy
        Return a copy instead of writing into `adata`.

    Returns
    -------
    `None`, or a copy if `copy`. Writes

    ``obsm[key_added]``
        Means of the z-scores of each module's genes, float32, shape (n_obs, n_modules).
    ``var[key_added]``
        Number of the gene's module, from 1; -1 for genes in none (without variance, or not among the top genes).
    ``varm[key_added]``
        Correlation of each gene with the mean of its module, float32, shape (n_vars, n_modules), zero elsewhere.
    ``uns[key_added]``
        ``names`` "module 1", "module 2", ... by size, of equal ones by their first gene; ``factors``: a row for each module with ``n_genes``,
        ``within_r`` (mean correlation of two of its genes, NaN for a single gene), ``top_genes`` (ten that follow the mean most
        closely) and ``stability`` (not measured, NaN); ``explained``: the share of the variance of z-scores that lies between modules;
        ``converged``, ``n_iter``, ``params`` and the ``model`` (`omicstl.get.model`).

    Raises
    ------
    TypeError
        If X is not numeric, or an argument is of the wrong kind.
    KeyError
        If `layer` is missing.
    ValueError
        If values are NaN, infinite or huge, names repeat, there are fewer than 3 observations, fewer genes vary than are asked for,
        or fewer genes differ than there are modules. `adata` is then unchanged.

    Warns
    -----
    ScaleWarning
        If the values look like counts or are not logarithmic.
    ConvergenceWarning
        If k-means still moved genes after 100 iterations.
    UserWarning
        If genes have one value in all observations; or if genes are kept whose median absolute deviation is 0.

    Notes
    -----
    The preprocessing of the paper was not released; its numbers of genes and modules are from its text. k-means is Lloyd's
    :cite:p:`Lloyd1982`, the best of five starts by greedy k-means++, on squared distances of z-scores: :math:`2 (n - 1)(1 - r)`
    for two genes with the correlation r. So it needs the correlations of genes alone, and neither time nor memory of an
    iteration grows with the observations. Two genes that mirror each other are in different modules.

    Modules are a compression, not a finding: another seed, or half of the observations, gives other borders (the guide has
    figures). Scores are reproducible where modules are large and `within_r` is high; it is that of the observations at hand, and too high
    where these are few.

    Cost: three passes over the data, and with `n_top_genes` one more for each ``settings.block_bytes`` of values (8 bytes each).
    Memory beside blocks of rows, for p genes kept: 12 p² bytes for their correlations; above 10,000 genes, and with fewer
    observations than half of them, 4 bytes for each z-score instead. 4,470 genes × 972 observations: 3 s of CPU, 300 MB; 5,400 ×
    6,500: 5 s, 520 MB.

    Examples
    --------
    >>> import omicstl as otl
    >>> adata, truth = otl.datasets.simulate_pathways(rng=0)
    >>> otl.pp.gene_modules(adata, n_modules=20, n_top_genes=300)
    >>> adata.obsm["gene_modules"].shape, int((adata.var["gene_modules"] > 0).sum())
    ((60, 20), 300)
    """
    check_number("n_modules", n_modules, low=1, integer=True)
    if n_top_genes is not None:
        check_number("n_top_genes", n_top_genes, low=1, integer=True, advice="None keeps all genes that vary.")
    run = start("gene_modules", adata, key_added, copy=copy)
    random = streams(rng)
    read = _read(adata, layer, int(n_modules), n_top_genes)
    from omicstl.models.factors.gene_modules import fit_modules

    fit = fit_modules(
        _points(read.chosen, read.mean, read.scale),
        read.chosen.var_names.astype(object),
        read.mean,
        read.scale,
        adata.n_obs,
        int(n_modules),
        random.generator("modules"),
        n_starts=N_STARTS,
        max_iter=MAX_ITER,
    )
    if not fit.converged:
        warn(
            f"k-means still moved genes after {MAX_ITER} iterations; uns[{key_added!r}]['converged'] is False. Another `rng` may do better.",
            ConvergenceWarning,
        )
    params = {
        "n_modules": int(n_modules),
        "n_top_genes": None if n_top_genes is None else int(n_top_genes),
        "layer": layer,
        "seed": str(random.entropy),
        "n_obs": adata.n_obs,
        "n_genes": int(read.kept.size),
    }
    number = np.full(adata.n_vars, -1, dtype=np.int32)
    number[read.kept] = fit.model.labels + 1
    written = run.commit(
        _about(fit),
        params=params,
        model=fit.model,
        names=fit.model.names,
        obsm={"": _scores(read.chosen, fit.model)},
        var={"": number},
        varm={"": spread_out(adata, read.kept, fit.model.loadings)},
    )
    run.tell(
        f"{read.kept.size} genes in {n_modules} modules of {fit.model.sizes.min()} to {fit.model.sizes.max()} genes, which hold "
        f"{fit.explained:.0%} of their variance."
    )
    return written


class _Read(NamedTuple):
    """Genes that are kept, and their means and spreads."""

    chosen: reader.Expression
    kept: np.ndarray
    mean: np.ndarray
    scale: np.ndarray


def _read(adata: AnnData, layer: str | None, n_modules: int, n_top_genes: int | None) -> _Read:
    expression = reader.read(adata, layer=layer)
    n = expression.rows.n_rows
    if n < FEWEST:
        msg = (
            f"Modules need at least {FEWEST} observations, got {n}. Take the modules of a larger cohort: "
            "otl.tl.project(adata, reference)."
        )
        raise ValueError(msg)
    summary = reader.summarise(expression)
    reader.check_scale(expression, summary, expected="log")
    seen = stats.finish(summary)
    varying = np.flatnonzero(seen.variance > 0)
    _check_numbers(expression, varying, n_modules, n_top_genes)
    kept = varying if n_top_genes is None else _top(expression, varying, seen.variance, int(n_top_genes))
    return _Read(expression.select(kept), kept, seen.mean[kept], np.sqrt(seen.variance[kept]))


def _check_numbers(expression: reader.Expression, varying: np.ndarray, n_modules: int, n_top_genes: int | None) -> None:
    """Refuse more genes or modules than there can be, and name genes without variance."""
    wanted, name = (n_modules, "n_modules") if n_top_genes is None else (int(n_top_genes), "n_top_genes")
    constant = np.delete(expression.var_names, varying)
    if varying.size < wanted:
        flat = f" ({constant.size} have one value in all observations)" if constant.size else ""
        msg = f"{name}={wanted} is more than the {varying.size} genes that vary{flat}. Pass {name}={varying.size} at most."
        raise ValueError(msg)
    if n_top_genes is not None and n_modules > n_top_genes:
        msg = f"n_modules={n_modules} is more than n_top_genes={n_top_genes}: a module needs a gene. Keep more genes, or make fewer modules."
        raise ValueError(msg)
    if constant.size:
        warn(
            f"{constant.size} gene{'s' if constant.size > 1 else ''} with one value in all observations left out of the modules: "
            f"{listed(constant)}."
        )


def _top(expression: reader.Expression, varying: np.ndarray, variance: np.ndarray, n_top: int) -> np.ndarray:
    """Positions of the genes with the largest median absolute deviation, in the order of the variables."""
    deviation = np.concatenate([median_absolute_deviation(part) for part in _columns(expression, varying)])
    order = np.lexsort((-variance[varying], -deviation))[:n_top]
    flat = int(np.sum(deviation[order] == 0))
    if flat:
        warn(
            f"{flat} of the {n_top} genes kept have a median absolute deviation of 0, as more than half of their values are equal "
            "(zeros of single cells?); they were taken by their standard deviation. Choose the genes yourself where that matters: "
            "adata[:, genes]."
        )
    return np.sort(varying[order])


def _columns(expression: reader.Expression, index: np.ndarray) -> Any:
    """Iterate over genes × observations in parts of at most ``settings.block_bytes``, each a pass over the rows."""
    n = expression.rows.n_rows
    width = max(1, settings.block_bytes // (8 * n))
    for low in range(0, index.size, width):
        rows = expression.select(index[low : low + width]).rows
        yield _gather(rows, np.empty((rows.n_cols, n), dtype=rows.dtype))


def _gather(rows: Any, out: np.ndarray, mean: np.ndarray | float = 0.0, scale: np.ndarray | float = 1.0) -> np.ndarray:
    """Write ``(x - mean) / scale``, genes × observations, into `out`."""
    low = 0
    for block in rows.blocks():
        out[:, low : low + len(block)] = (block if np.isscalar(scale) else (block - mean) / scale).T
        low += len(block)
    return out


def _points(chosen: reader.Expression, mean: np.ndarray, scale: np.ndarray) -> kmeans.Points:
    """Genes as points of length 1, whose inner products are correlations."""
    n, p = chosen.rows.n_rows, chosen.rows.n_cols
    if p > MANY_GENES and 2 * n <= p:
        return kmeans.Coordinates(_gather(chosen.rows, np.empty((p, n), np.float32), mean, scale * np.sqrt(n - 1)))
    gram = stats.finish(reader.summarise(chosen, gram=True), overwrite=True).gram
    assert gram is not None
    gram /= scale * np.sqrt(n - 1)
    gram /= (scale * np.sqrt(n - 1))[:, None]
    return kmeans.Gram(gram)


def _scores(chosen: reader.Expression, model: GeneModules) -> np.ndarray:
    scores = np.empty((chosen.rows.n_rows, model.names.size), np.float32)
    low = 0
    for block in chosen.rows.blocks():
        z = ((block - model.mean) / model.scale).astype(np.float32)
        scores[low : low + len(block)] = model.embed(z)
        low += len(block)
    return scores


def _about(fit: Fit) -> dict[str, Any]:
    """How the clustering went, and a row for each module."""
    model = fit.model
    return {
        "converged": fit.converged,
        "n_iter": fit.n_iter,
        "explained": fit.explained,
        "factors": pd.DataFrame(
            {
                "factor": model.names,
                "n_genes": model.sizes,
                "within_r": model.within,
                "top_genes": model.top_genes(),
                "stability": np.full(model.names.size, np.nan),
            }
        ),
    }
