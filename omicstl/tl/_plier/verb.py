"""Pathway-level factors of a cohort."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from omicstl._core.log import progress as progress_bar
from omicstl._core.public import public
from omicstl._core.random import streams
from omicstl._core.types import SeedLike
from omicstl._data.run import spread_out, start
from omicstl.models.factors.plier.model import PlierOptions

from . import inputs, result

if TYPE_CHECKING:
    from anndata import AnnData


@public
def plier(
    adata: AnnData,
    gene_sets: str | Path | dict[str, list[str]] | pd.DataFrame,
    *,
    n_factors: int | None = None,
    annotated_fraction: float = 0.7,
    max_rank: int = 10,
    selection: str = "complete",
    holdout: float = 0.2,
    holdout_prior: str | Path | dict[str, list[str]] | pd.DataFrame | None = None,
    min_genes: int = 10,
    prior_weight: float | None = None,
    score_penalty: float | None = None,
    set_penalty: float | None = None,
    init: str = "svd",
    init_scores: np.ndarray | None = None,
    tol: float = 1e-6,
    max_iter: int = 350,
    layer: str | None = None,
    key_added: str = "plier",
    model_path: str | Path | None = None,
    rng: SeedLike = 0,
    copy: bool = False,
    progress: bool | None = None,
) -> AnnData | None:
    r"""Learn pathway-level factors of a cohort: PLIER :cite:p:`Mao2019`.

    Answers which sources of variation run through the samples, and which gene sets each of them follows. Fit it on a large
    cohort and bring the factors to small ones with `omicstl.tl.project`.

    .. math::
        \min_{U, Z \ge 0,\, B} \lVert Y - Z B \rVert^2 + \lambda_1 \lVert Z - C U \rVert^2 + \lambda_2 \lVert B \rVert^2
        + \lambda_3 \lVert U \rVert_{L^1}

    with Y the z-scored expression (genes × observations), Z the loadings, B the scores, C the gene sets and U their weights.

    Parameters
    ----------
    adata
        Log expression, e.g. log2 intensities or log1p CPM; at least 4 observations. Dense, CSR, CSC, backed or dask.
        Shape (n_obs, n_vars). Genes are z-scored inside, over the observations.
    gene_sets
        A ``.gmt`` or ``.gmt.gz`` file, a dict of set name to genes, a table with columns ``source`` and ``target``, or a
        0/1 table genes × sets, whose index may hold genes that are in no set and then belong to the model. Names of genes
        are compared exactly.
    n_factors
        Number of factors k, below the number of observations. `None` takes three times the components above the
        Marchenko-Pastur edge, at most nine tenths of the observations; what other rules say is stored beside it.
    annotated_fraction
        Share of factors that should have at least one gene set (`frac` of the original); it decides `set_penalty`.
    max_rank
        A set is a candidate if its rank for a factor is at most this (`maxPath` of the original).
    selection
        ``"complete"``: a candidate of any factor is one for all; ``"fast"``: each factor has its own candidates.
    holdout
        Share of the members of each set that the fit does not see and the test uses.
    holdout_prior
        Gene sets as `gene_sets` with fewer members, used for the fit instead of drawing hold-outs (`priorMatCV` inside the
        original). Forms as for `gene_sets`.
    min_genes
        Sets with fewer genes in the data are left out (`minGenes`).
    prior_weight
        :math:`\lambda_1`, `L1` of the original. `None`: half of `score_penalty`.
    score_penalty
        :math:`\lambda_2`, `L2` of the original. `None`: the k-th singular value of Y.
    set_penalty
        :math:`\lambda_3`, `L3` of the original. `None`: chosen from a grid every 20 iterations by `annotated_fraction`.
    init
        ``"svd"`` starts from singular vectors whose gene side sums to at least zero, so that the answer does not depend on
        the linear algebra library; ``"random"`` from random directions with the same singular values.
    init_scores
        Start from these scores instead, shape (n_factors, n_obs).
    tol
        Stop when B changes relatively by less (squared Frobenius norm).
    max_iter
        Largest number of iterations; reaching it warns.
    layer
        Matrix to use. `None` uses ``adata.X``.
    key_added
        Name of everything that is written.
    model_path
        Keep the model in this file, a new name or a file to replace, and only its address in `adata`; needed above
        ``settings.model_in_adata``. If it cannot be written after the fit, a small model stays in `adata`, with a warning.
    rng
        Seed of hold-outs and random starts.
    copy
        Return a copy instead of writing into `adata`.
    progress
        Show a bar of iterations. `None` follows ``settings.progress``.

    Returns
    -------
    `None`, or a copy if `copy`. Writes

    ``obsm[key_added]``
        Scores B transposed, float32, shape (n_obs, n_factors), unitless.
    ``varm[key_added]``
        Loadings Z, float32, shape (n_vars, n_factors), not negative, zero for genes outside the model.
    ``uns[key_added]``
        ``names``: "LV3 Neutrophil" if held-out members of the set follow the factor (FDR < 0.05, AUC > 0.7), else "LV3";
        ``summary``: a row for each set with a weight, with AUC, p and FDR of its held-out members (nominal: genes are taken
        as independent) and ``p_permutation``, the share of shuffled factors with such an AUC, which is not
        (of the held-out members that no other set of the factor has shown to the fit; NaN where there are none); ``converged``
        and ``stopped``: "tol", "not decreasing" (the original's other rule: the change is no smaller than 50 iterations ago, for
        the sixth time; `converged` is then `False`, without a warning) or "max_iter"; ``n_iter``, ``history``, ``penalty_path``, ``n_components`` (every rule), ``lost_sets``, ``lost_genes``,
        ``params`` and the ``model`` (`omicstl.get.model`), whose ``auc`` has every set and factor over all genes.

    Raises
    ------
    TypeError
        If X is not numeric, or an argument is of the wrong kind.
    KeyError
        If `layer` is missing.
    ValueError
        If values are NaN, infinite or huge, names repeat, no gene or no set is left, there are not enough observations,
        the model is too large to travel, or an argument is out of range. `adata` is then unchanged.
    OSError
        If `model_path` cannot be written, before the fit; or after it, as `omicstl.ModelFileError`, which carries the
        fitted model.

    Warns
    -----
    ScaleWarning
        If the values look like counts or are not logarithmic.
    ConvergenceWarning
        If `max_iter` was reached.
    UserWarning
        If genes have one value in all observations; they are left out (the original turns into NaN); or if no member of
        any set is held out, so that nothing can be tested.

    Notes
    -----
    From the same start and hold-outs the original's answer is reproduced (``PLIER()``, commit fe4e9b2, ``R/Allfuncs.R``): same
    iterations, same penalties, same sets. Differences: gene names are matched exactly (the original's partial matching adds
    memberships), the sign of the start is fixed, the number of factors is not the elbow, sets below `min_genes` are left out
    instead of kept empty, a factor is named by significant sets alone, `tol` is not asked before the gene sets enter at
    iteration 20, and the penalty that leaves a share of factors
    annotated is read off the optimality condition at zero instead of 65 solutions. Loadings and scores are float32, gene-set
    algebra float64.

    Cost: two passes over the data. With more observations than half the genes an iteration works on genes × genes and no
    longer grows with observations; O(n_genes · min(n_obs, n_genes) · k) an iteration.

    Examples
    --------
    >>> import omicstl as otl
    >>> adata, truth = otl.datasets.simulate_pathways(rng=0)
    >>> otl.tl.plier(adata, truth.gene_sets, n_factors=5, max_iter=60, tol=1e-3)
    >>> adata.obsm["plier"].shape, adata.varm["plier"].shape
    ((60, 5), (500, 5))
    """
    asked = PlierOptions(
        n_factors=n_factors,
        annotated_fraction=annotated_fraction,
        max_rank=max_rank,
        selection=selection,
        prior_weight=prior_weight,
        score_penalty=score_penalty,
        set_penalty=set_penalty,
        init=init,
        tol=tol,
        max_iter=max_iter,
    )
    options = inputs.checked(asked, holdout, own_prior=holdout_prior is not None, own_start=init_scores is not None)
    run = start("plier", adata, key_added, copy=copy, model_path=model_path)
    random = streams(rng)
    read = inputs.read(adata, gene_sets, layer, min_genes, n_factors, gram=init_scores is None)
    heldout = inputs.heldout(read.matched, holdout, holdout_prior, random.generator("holdout"))
    first = inputs.init_scores(init_scores, read.rows.n_rows, n_factors)
    from omicstl.models.factors.plier.fit import Prior, Watch, fit_plier

    prior = Prior(read.matched.genes, read.matched.names, read.matched.membership, heldout)
    check = partial(result.check_size, run, read.matched)
    with progress_bar(max_iter, "PLIER", progress) as bar:
        watch = Watch(result.reporter(bar), check)
        fit = fit_plier(read.data, read.rows, prior, options, random, init_scores=first, watch=watch)
    result.doubt(fit, options, key_added)  # before anything is written, in case that warnings are errors
    written = run.commit(
        result.about(fit, read.matched),
        params=result.params(fit, options)
        | {
            "holdout": None if holdout_prior is not None else holdout,
            "min_genes": min_genes,
            "layer": layer,
            "seed": str(random.entropy),
        },
        model=fit.model,
        names=fit.model.names,
        obsm={"": fit.scores},
        varm={"": spread_out(adata, read.matched.columns, fit.model.loadings)},
    )
    run.tell(*result.sentences(fit, read.matched))
    return written
