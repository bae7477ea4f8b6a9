"""Weights under which the source looks like the target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData

from omicstl._core.checks import check_choice, check_number
from omicstl._core.log import ConvergenceWarning, TransferWarning, warn
from omicstl._core.public import public
from omicstl._core.random import streams
from omicstl._core.types import SeedLike
from omicstl.kernels import domain_distance
from omicstl.models.shift.importance_weights import fit, rules

from . import _domains

LEAST_SHARE = 0.1
MOST_AUROC = 0.98


class ImportanceWeights(NamedTuple):
    """
    Weights of the source, and what is left of it.

    Parameters
    ----------
    weights
        One for each observation of the source, by name, with mean 1.
    effective_size
        Number of equally weighted observations that would say as much.
    share
        The same as a share of the source.
    auroc
        Held-out AUROC of telling the domains apart. Near 1 the source has nothing like the target, and the weights mean nothing.
    """

    weights: pd.Series
    effective_size: float
    share: float
    auroc: float


@public
def importance_weights(
    adata: AnnData,
    *,
    domain_key: str,
    method: str = "rulsif",
    source: Sequence[str] | None = None,
    target: str | None = None,
    obsm: str | None = None,
    layer: str | None = None,
    n_comps: int | None = None,
    clip: float | None = None,
    max_obs: int = 2000,
    rng: SeedLike = 0,
) -> ImportanceWeights:
    r"""
    Weight observations of the source so that they count like those of the target, for covariate shift.

    Parameters
    ----------
    adata
        Observations of both domains. No labels are used.
    domain_key
        Column of ``adata.obs`` with the domain.
    method
        ``"rulsif"``: relative ratio :math:`p_T / (.1 p_T + .9 p_S)` in closed form :cite:p:`Yamada2013`, bounded by 10 before scaling. ``"ulsif"``: the plain ratio
        :cite:p:`Kanamori2009`. ``"kliep"``: the ratio of largest likelihood in the target :cite:p:`Sugiyama2008`. ``"discriminator"``: odds of the target from a logistic
        regression, each observation by a model that has not seen it.
    source
        Domains that count as the source, together. `None`: all but the target.
    target
        Domain that counts as the target. `None`: the one that is not in `source`, or the last of two.
    obsm
        Key in ``adata.obsm`` of coordinates to use as they are. `None` uses components of the matrix.
    layer
        Matrix to use. `None` uses ``adata.X``.
    n_comps
        Principal components, of both domains together. `None`: for a matrix those above the Marchenko-Pastur edge, between 2 and 20, or all of at most 20 columns.
    clip
        Largest weight, in units of the mean weight, at least 1. `None` clips nothing.
    max_obs
        Observations of a domain to learn from at most; all of the source get a weight.
    rng
        Seed of the draw, the centres and the folds.

    Returns
    -------
    A named tuple: ``weights`` (a Series by name of observation, mean 1), ``effective_size``, its ``share`` of the source, and the ``auroc`` of telling the domains apart.

    Raises
    ------
    KeyError
        If a column or a matrix is not there.
    TypeError
        If `source` is a string, a matrix holds no numbers, or a column is of the wrong kind (dates, domains of measured numbers, numbers stored as text).
    ValueError
        If a domain is missing, not there or has fewer than 10 observations, values are not finite, beyond 1e15 or too small to be squared, `method` is not known, or `clip` is below 1.

    Warns
    -----
    TransferWarning
        If the effective share is below .1: then a handful of observations decide everything that is fitted with the weights. If the domains
        are told apart with an AUROC above .98: where nothing overlaps there is no ratio, and weights are large or even by accident.
    ConvergenceWarning
        If KLIEP stopped before its optimum.

    Notes
    -----
    The effective size is Kish's, :math:`(\sum w)^2 / \sum w^2`. It falls with the number of columns for the same shift of each: for .3 standard deviations it is
    :math:`e^{-.09 d}`, .84 in 2, .41 in 10 and .01 in 50 columns, so weight in few components. Kernels are Gaussians at up to 100 observations of the target; their width, a multiple of the median squared distance, is chosen by squared
    error left out one by one (with the penalty), or by likelihood in five folds of the target. KLIEP is solved by its multiplicative update, which never falls and has no step size. Weights are right only if the
    relation of features to labels is the same in both domains, and where the source has observations at all. Cost: O(max_obs · 100² · 20).

    Examples
    --------
    >>> import anndata as ad
    >>> x = np.random.default_rng(0).normal(size=(300, 2))
    >>> x[200:, 0] += 1
    >>> obs = pd.DataFrame({"domain": np.repeat(["lines", "cells"], [200, 100])}, index=[f"o{i}" for i in range(300)])
    >>> adata = ad.AnnData(np.zeros((300, 1)), obs=obs, obsm={"pca": x})
    >>> found = otl.metrics.importance_weights(adata, domain_key="domain", target="cells", obsm="pca")
    >>> bool(found.weights[x[:200, 0] > 1].mean() > 1.5), found.share > 0.4
    (True, True)
    """
    check_choice("method", method, tuple(rules()))
    if clip is not None:
        check_number("clip", clip, low=1)
    random = streams(rng)
    choice = _domains.Choice(domain_key, source, target, obsm, layer, n_comps, max_obs)
    found = _domains.read(adata, choice, random.generator("rows"), whole_source=True)
    result = fit(found.x_source, found.x_target, found.x_all_source, method=method, clip=clip, random=random)
    share = result.effective / result.weights.size
    both = domain_distance.with_squares(np.concatenate([found.x_source, found.x_target]))
    n = len(found.x_source)
    told = domain_distance.tell_apart(both[:n], both[n:], generator=random.generator("overlap"), train=0.8, n_repeats=1)
    if not result.converged:
        msg = f"{method.upper()} stopped before its optimum. Use method='rulsif', which is solved in closed form."
        warn(msg, ConvergenceWarning)
    if share < LEAST_SHARE:
        msg = (
            f"Weights of {result.weights.size} observations are worth {result.effective:.1f} equally weighted ones ({100 * share:.1f} %): a few decide everything. "
            "Use fewer components (n_comps=), clip=, or no weights."
        )
        warn(msg, TransferWarning)
    if told.auroc > MOST_AUROC:
        msg = (
            f"{found.source!r} and {found.target!r} do not overlap (told apart with an AUROC of {told.auroc:.3f}): the weights mean nothing. Align the domains "
            "first, or weight in components that they share."
        )
        warn(msg, TransferWarning)
    weights = pd.Series(result.weights, index=adata.obs_names[found.all_source], name="weight")
    return ImportanceWeights(weights, float(result.effective), float(share), float(told.auroc))
