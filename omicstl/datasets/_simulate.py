"""Simulated expression whose pathway factors are known."""

from __future__ import annotations

from typing import NamedTuple

import anndata as ad
import numpy as np
import pandas as pd

from omicstl._core.checks import check_number
from omicstl._core.public import public
from omicstl._core.random import streams
from omicstl._core.types import SeedLike


class PathwayTruth(NamedTuple):
    """
    What a simulation was made from, in the letters of PLIER :cite:p:`Mao2019`.

    ``X = mean + scores @ loadings.T + noise``, and ``loadings`` is ``C @ weights`` (C: genes × sets) with the weight of
    each gene scaled at random.

    Parameters
    ----------
    loadings
        Z, shape (n_vars, n_factors), float32, not negative: what a unit of the factor adds to the gene, in log2 units.
    scores
        B transposed, shape (observations, n_factors), float32, of mean 0 and variance 1 in the population.
    weights
        U, shape (n_sets, n_factors), float32, not negative: which sets drive which factor.
    mean
        Mean of each gene in the reference cohort, shape (n_vars,), float32.
    gene_sets
        Name of each set and its genes, in the order of the rows of ``weights``.
    """

    loadings: np.ndarray
    scores: np.ndarray
    weights: np.ndarray
    mean: np.ndarray
    gene_sets: dict[str, list[str]]


@public
def simulate_pathways(
    n_obs: int = 60,
    n_vars: int = 500,
    *,
    n_sets: int = 30,
    n_factors: int = 5,
    n_query: int = 0,
    noise: float = 0.5,
    query_offset: float = 0.0,
    rng: SeedLike = 0,
) -> tuple[ad.AnnData, PathwayTruth]:
    """
    Simulate log expression that a few gene sets drive, optionally in two cohorts with the same loadings.

    To try a method where the answer is known, and for tests.

    Parameters
    ----------
    n_obs
        Observations of the reference cohort.
    n_vars
        Genes, at least 50. About one in ten is in no set.
    n_sets
        Gene sets of 15 to 40 genes, at least as many as factors. Sets overlap by chance.
    n_factors
        Factors. Each is driven by one or two sets of its own; the other sets drive nothing.
    n_query
        Observations of a second cohort with the same loadings, below the first; its scores and noise are its own.
    noise
        Standard deviation of the noise, log2 units; each gene has 0.5 to 1.5 times it.
    query_offset
        Standard deviation over genes of a shift between the cohorts, log2 units, as between two platforms.
    rng
        Seed. The reference cohort and the loadings do not depend on `n_query`.

    Returns
    -------
    AnnData, shape (n_obs + n_query, n_vars), ``X`` float32 log2 expression, ``obs["cohort"]`` ``"reference"`` or
    ``"query"``; and the truth, a :class:`PathwayTruth`.

    Raises
    ------
    TypeError, ValueError
        If a number is of the wrong kind or out of its range.

    Notes
    -----
    The model of Mao et al. 2019, equation 1, with a prior that is exact up to the random weights. Values may be
    slightly below 0 in rare cases. Cost: O(n_obs · n_vars · n_factors).

    Examples
    --------
    >>> from omicstl.datasets import simulate_pathways
    >>> adata, truth = simulate_pathways(n_query=20, query_offset=3.0)
    >>> reference = adata[adata.obs["cohort"] == "reference"].copy()
    >>> query = adata[adata.obs["cohort"] == "query"].copy()
    >>> reference.shape, query.shape, truth.loadings.shape, len(truth.gene_sets)
    ((60, 500), (20, 500), (500, 5), 30)
    """
    check_number("n_obs", n_obs, low=1, integer=True)
    check_number("n_vars", n_vars, low=50, integer=True)
    check_number("n_factors", n_factors, low=1, integer=True)
    check_number("n_sets", n_sets, low=n_factors, integer=True, advice="Each factor needs a set of its own.")
    check_number("n_query", n_query, low=0, integer=True)
    check_number("noise", noise, low=0)
    check_number("query_offset", query_offset, low=0)
    random = streams(rng)

    prior = _prior(random.generator("sets"), n_vars, n_sets)
    weights = _weights(random.generator("weights"), n_sets, n_factors)
    loadings = prior @ weights * random.generator("loadings").gamma(4.0, 0.25, size=(n_vars, n_factors))
    mean = random.generator("mean").uniform(6.0, 12.0, size=n_vars)
    spread = noise * random.generator("spread").uniform(0.5, 1.5, size=n_vars)
    shift = query_offset * random.generator("offset").standard_normal(n_vars)

    parts, scores = [], []
    for cohort, (size, center) in enumerate([(n_obs, mean), (n_query, mean + shift)]):
        scores.append(random.generator("scores", cohort).standard_normal((size, n_factors)))
        residual = spread * random.generator("noise", cohort).standard_normal((size, n_vars))
        parts.append(center + scores[cohort] @ loadings.T + residual)

    genes, sets = _numbered("GENE", n_vars), _numbered("SET", n_sets)
    cohort_of = pd.Categorical(["reference"] * n_obs + ["query"] * n_query, categories=["reference", "query"])
    obs = pd.DataFrame({"cohort": cohort_of}, index=_numbered("S", n_obs + n_query))
    adata = ad.AnnData(np.concatenate(parts).astype(np.float32), obs=obs, var=pd.DataFrame(index=genes))
    members = {sets[j]: [genes[i] for i in np.flatnonzero(prior[:, j])] for j in range(n_sets)}
    truth = PathwayTruth(
        loadings=loadings.astype(np.float32),
        scores=np.concatenate(scores).astype(np.float32),
        weights=weights.astype(np.float32),
        mean=mean.astype(np.float32),
        gene_sets=members,
    )
    return adata, truth


def _numbered(prefix: str, n: int) -> list[str]:
    """Return names of one width, counted from 1."""
    return [f"{prefix}{i:0{len(str(n))}d}" for i in range(1, n + 1)]


def _prior(generator: np.random.Generator, n_vars: int, n_sets: int) -> np.ndarray:
    """Draw gene sets: a 0/1 matrix genes × sets; every tenth gene is in none."""
    pool = generator.permutation(n_vars)[: n_vars - n_vars // 10]
    prior = np.zeros((n_vars, n_sets))
    for j in range(n_sets):
        prior[generator.choice(pool, size=int(generator.integers(15, 41)), replace=False), j] = 1.0
    return prior


def _weights(generator: np.random.Generator, n_sets: int, n_factors: int) -> np.ndarray:
    """Give each factor one set of its own, and a second one while there are enough."""
    weights = np.zeros((n_sets, n_factors))
    order = generator.permutation(n_sets)
    for k in range(n_factors):
        weights[order[k], k] = generator.uniform(0.6, 1.2)
        if n_sets >= 2 * n_factors and generator.random() < 0.5:
            weights[order[n_factors + k], k] = generator.uniform(0.6, 1.2)
    return weights
