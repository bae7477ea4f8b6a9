"""The three terms of the bound on the error in a target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from anndata import AnnData

from omicstl._core.public import public
from omicstl._core.random import streams
from omicstl._core.types import SeedLike
from omicstl.models.shift import bound

from . import _domains

LEAST_LABELS = 20


class Bound(NamedTuple):
    """
    Estimates of the terms of the adaptation bound.

    Parameters
    ----------
    source_error
        Held-out error of a classifier in the source.
    divergence
        Half the proxy A-distance, not below 0.
    joint_error
        Error in the source plus error in the target of one classifier fitted on both, held out; NaN without labels in the target.
    total
        Their sum; NaN if a term is.
    target_error
        What the classifier of the source gets wrong among labelled rows of the target, to compare; NaN without.
    """

    source_error: float
    divergence: float
    joint_error: float
    total: float
    target_error: float


@public
def da_bound(
    adata: AnnData,
    *,
    domain_key: str,
    label_key: str,
    source: Sequence[str] | None = None,
    target: str | None = None,
    obsm: str | None = None,
    layer: str | None = None,
    n_comps: int | None = None,
    max_obs: int = 2000,
    rng: SeedLike = 0,
) -> Bound:
    r"""
    Estimate the three terms that bound the error in a target :cite:p:`BenDavid2010`: which of them is the trouble?

    .. math:: \epsilon_T(h) \le \epsilon_S(h) + \tfrac12 d_{H \Delta H}(S, T) + \lambda^*

    A diagnostic, never a certificate.

    Parameters
    ----------
    adata
        Observations of both domains.
    domain_key
        Column of ``adata.obs`` with the domain.
    label_key
        Column of ``adata.obs`` with the class, missing where it is not known.
    source
        Domains that count as the source, together. `None`: all but the target.
    target
        Domain that counts as the target. `None`: the one that is not in `source`, or the last of two.
    obsm
        Key in ``adata.obsm`` of features, such as an aligned representation. `None` uses the matrix.
    layer
        Matrix to use. `None` uses ``adata.X``.
    n_comps
        Principal components, of both domains together. `None`: those above the Marchenko-Pastur edge, between 2 and 20, or all of at most 20 columns.
    max_obs
        Observations of a domain that are used at most, drawn at random; labelled ones first.
    rng
        Seed of the draw and the folds.

    Returns
    -------
    A named tuple: ``source_error``, ``divergence``, ``joint_error``, their ``total``, and ``target_error`` to compare.

    Raises
    ------
    KeyError
        If a column or a matrix is not there.
    TypeError
        If `source` is a string, a matrix holds no numbers, or a column is of the wrong kind (dates, domains of measured numbers, numbers stored as text).
    ValueError
        If labels are numbers, the source has fewer than 20 labels or one class, a domain is missing, not there or has fewer than 10 observations, or values are not finite, beyond 1e15 or too small to be squared.

    Notes
    -----
    All errors are held out (five folds, logistic regression). The divergence is that of linear classifiers of the domains, which is at most the one of the theorem, and the joint error is that of a fitted classifier,
    which is at least the best one: the sum is thus no bound, and may lie below the error in the target. A large divergence with a small joint error is what alignment may help; with a large joint error
    alignment cannot help, whatever it does to the divergence. Cost: 10 logistic regressions and up to 120 discriminants.

    Examples
    --------
    >>> import anndata as ad
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(400, 3))
    >>> y = np.where(x[:, 0] > 0, "yes", "no")
    >>> x[200:, 1] += 2
    >>> obs = pd.DataFrame(
    ...     {"domain": np.repeat(["lines", "cells"], 200), "label": y}, index=[f"o{i}" for i in range(400)]
    ... )
    >>> found = otl.metrics.da_bound(ad.AnnData(x, obs=obs), domain_key="domain", label_key="label", target="cells")
    >>> found.divergence > 0.5, found.joint_error < 0.2
    (True, True)
    """
    random = streams(rng)
    label = _domains.labels(adata, label_key)
    if not label.names:
        msg = f"adata.obs[{label_key!r}] holds numbers; the bound is about classes. Cut it, e.g. with pandas.qcut."
        raise ValueError(msg)
    choice = _domains.Choice(domain_key, source, target, obsm, layer, n_comps, max_obs)
    found, y_source, y_target = _domains.read_labelled(adata, choice, label, random.generator("rows"))
    known = y_source[np.isfinite(y_source)]
    if known.size < LEAST_LABELS or np.unique(known).size < 2:
        msg = (
            f"The source {found.source!r} has {known.size} labels of {np.unique(known).size} classes in adata.obs[{label_key!r}]; at least {LEAST_LABELS} of two classes "
            "are needed."
        )
        raise ValueError(msg)
    terms = bound.terms(found.x_source, y_source, found.x_target, y_target, n_classes=len(label.names), random=random)
    total = terms.source_error + terms.divergence + terms.joint_error
    return Bound(terms.source_error, terms.divergence, terms.joint_error, total, terms.target_error)
