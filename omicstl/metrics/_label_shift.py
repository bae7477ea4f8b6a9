"""Shares of classes in a domain without labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData

from omicstl._core.checks import MOST_ROUNDS, check_choice, check_number
from omicstl._core.log import TransferWarning, warn
from omicstl._core.public import public
from omicstl._core.random import streams
from omicstl._core.types import SeedLike
from omicstl.models.shift.label_shift import METHODS, estimate

from . import _domains

LEAST_OF_CLASS = 5
MOST_CONDITION = 30.0


class LabelShift(NamedTuple):
    """
    Estimated shares of classes in the target.

    Parameters
    ----------
    table
        One row for each class: ``label``, ``source`` (share of its labels), ``target`` (estimate), ``low``, ``high``, ``weight`` (target / source).
    condition
        Condition number of the confusion matrix: how much noise is multiplied.
    p
        Of the test that label shift explains the difference; small: it does not, and the estimate should not be used. NaN with too few components.
    """

    table: pd.DataFrame
    condition: float
    p: float


@public
def label_shift(
    adata: AnnData,
    *,
    domain_key: str,
    label_key: str,
    method: str = "em",
    source: Sequence[str] | None = None,
    target: str | None = None,
    obsm: str | None = None,
    layer: str | None = None,
    n_comps: int | None = None,
    max_obs: int = 2000,
    n_resamples: int = 1000,
    confidence: float = 0.95,
    rng: SeedLike = 0,
) -> LabelShift:
    r"""
    Estimate the shares of classes in a target without labels, if nothing but these shares differs.

    Labels of the target are not read.

    Parameters
    ----------
    adata
        Observations of both domains.
    domain_key
        Column of ``adata.obs`` with the domain.
    label_key
        Column of ``adata.obs`` with the class, missing where it is not known.
    method
        ``"em"``: maximum likelihood :cite:p:`Saerens2002` after bias-corrected temperature scaling :cite:p:`Alexandari2020`. ``"bbse"``: the linear equations
        of the confusion matrix :cite:p:`Lipton2018`, with predicted probabilities.
    source
        Domains that count as the source, together. `None`: all but the target.
    target
        Domain that counts as the target. `None`: the one that is not in `source`, or the last of two.
    obsm
        Key in ``adata.obsm`` of features. `None` uses the matrix.
    layer
        Matrix to use. `None` uses ``adata.X``.
    n_comps
        Principal components, of both domains together. `None`: those above the Marchenko-Pastur edge, between 2 and 20, or all of at most 20 columns.
    max_obs
        Observations of a domain that are used at most, drawn at random.
    n_resamples
        Bootstrap resamples of both domains.
    confidence
        Probability of the intervals.
    rng
        Seed of the draw, the folds and the resamples.

    Returns
    -------
    A named tuple: the ``table`` of classes, the ``condition`` number, and ``p`` of the test that label shift explains the difference.

    Raises
    ------
    KeyError
        If a column or a matrix is not there.
    TypeError
        If `source` is a string, a matrix holds no numbers, or a column is of the wrong kind (dates, domains of measured numbers, numbers stored as text).
    ValueError
        If labels are numbers, a class has fewer than 5 labels in the source, a domain is missing, not there or has fewer than 10 observations, or values are not finite, beyond 1e15 or too small to be squared.

    Warns
    -----
    TransferWarning
        If other shares of classes do not explain the difference (p below .01), or the confusion matrix is ill-conditioned (above 30).

    Notes
    -----
    A logistic regression is cross-fitted on the source; EM needs its probabilities calibrated, and BBSE does not. For two classes 1.5
    standard deviations apart and a true share of .1 the root mean squared error was .066 (EM) and .074 (BBSE) at 100 target observations, .024 and .035 at 1,000; 95 % intervals held
    the truth in 38 of 40 draws at either size. Both are wrong if P(x | y) differs, as under batch effects or another platform; the test of that is Hansen's of too many equations (see `omicstl.metrics.shift_report`), and a pass is no proof.
    Intervals resample observations and calibrate again, and keep the classifier. Cost: n_resamples passes over the probabilities.

    Examples
    --------
    >>> import anndata as ad
    >>> rng = np.random.default_rng(0)
    >>> label = np.concatenate([np.repeat(["a", "b"], 150), np.repeat(["a", "b"], [270, 30])])
    >>> x = rng.normal(size=(600, 4)) + 2 * (label == "b")[:, None]
    >>> obs = pd.DataFrame(
    ...     {"domain": np.repeat(["lines", "cells"], 300), "label": label}, index=[f"o{i}" for i in range(600)]
    ... )
    >>> adata = ad.AnnData(x, obs=obs)
    >>> found = otl.metrics.label_shift(adata, domain_key="domain", label_key="label", target="cells", n_resamples=50)
    >>> found.table["target"].round(1).tolist()
    [0.9, 0.1]
    """
    check_choice("method", method, METHODS)
    check_number("n_resamples", n_resamples, low=0, high=MOST_ROUNDS, integer=True)
    check_number("confidence", confidence, low=0, high=1, low_open=True, high_open=True)
    random = streams(rng)
    label = _domains.labels(adata, label_key)
    if not label.names:
        msg = f"adata.obs[{label_key!r}] holds numbers; shares are of classes. Cut it, e.g. with pandas.qcut."
        raise ValueError(msg)
    choice = _domains.Choice(domain_key, source, target, obsm, layer, n_comps, max_obs)
    found, y, _ = _domains.read_labelled(adata, choice, label, random.generator("rows"), blind=True)
    known = np.isfinite(y)
    counts = np.bincount(y[known].astype(np.int64), minlength=len(label.names))
    present = np.flatnonzero(counts)
    names = [label.names[c] for c in present]
    few = [names[i] for i, c in enumerate(present) if counts[c] < LEAST_OF_CLASS]
    if few or len(names) < 2:
        what = f"too few labels of {few}" if few else f"labels of {len(names)} class{'' if len(names) == 1 else 'es'}"
        msg = f"The source {found.source!r} has {what} in adata.obs[{label_key!r}]; at least {LEAST_OF_CLASS} of each of two classes are needed."
        raise ValueError(msg)
    result = estimate(
        found.x_source[known],
        np.searchsorted(present, y[known]),
        found.x_target,
        n_classes=len(names),
        method=method,
        n_resamples=n_resamples,
        confidence=confidence,
        random=random,
    )
    if result.p < 0.01:
        msg = (
            f"Other shares of {label_key!r} do not explain how {found.target!r} differs from {found.source!r} (p = {result.p:.2g}): P(x | y) differs too, and the estimate is off. "
            "See otl.metrics.shift_report."
        )
        warn(msg, TransferWarning)
    if result.condition > MOST_CONDITION:
        msg = f"The classifier confuses classes of {label_key!r} (condition number {result.condition:.0f}): shares are poorly determined."
        warn(msg, TransferWarning)
    table = pd.DataFrame(
        {
            "label": names,
            "source": result.source,
            "target": result.target,
            "low": result.low,
            "high": result.high,
            "weight": result.target / result.source,
        }
    )
    return LabelShift(table, float(result.condition), float(result.p))
