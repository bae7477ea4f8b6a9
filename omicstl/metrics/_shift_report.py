"""Is it covariate, label or concept shift?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData

from omicstl._core.checks import check_number
from omicstl._core.public import public
from omicstl._core.random import streams
from omicstl._core.types import SeedLike
from omicstl.models.shift import kinds

from . import _domains


class ShiftReport(NamedTuple):
    """
    What kind of shift there is between two domains.

    Parameters
    ----------
    kind
        ``"none"``, ``"covariate"``, ``"label"`` or ``"concept"``; without labels in the target ``"none or concept"``, ``"covariate or concept"`` or ``"label or other"``.
    sentence
        The same in words, with what could not be seen.
    concept_tested
        Whether there were labels enough in the target to see concept shift.
    table
        One row for each thing that may have stayed the same: ``check``, ``statistic``, ``p`` (NaN if not tested), ``differs``, ``note``.
    """

    kind: str
    sentence: str
    concept_tested: bool
    table: pd.DataFrame


@public
def shift_report(
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
    alpha: float = 0.01,
    rng: SeedLike = 0,
) -> ShiftReport:
    r"""
    Name the shift between two domains: covariate, label, concept, or none that can be seen.

    The three need different answers: weights of rows, other shares of classes, or labels from the target. Concept shift, another
    relation of features to labels, can be seen with labels in the target alone; without them the name says what it may be as well.

    Parameters
    ----------
    adata
        Observations of both domains.
    domain_key
        Column of ``adata.obs`` with the domain.
    label_key
        Column of ``adata.obs`` with the label, missing where it is not known. Numbers with more than two values are numeric, all else is classes.
    source
        Domains that count as the source, together. `None`: all but the target.
    target
        Domain that counts as the target. `None`: the one that is not in `source`, or the last of two.
    obsm
        Key in ``adata.obsm`` of what to compare. `None` uses the matrix.
    layer
        Matrix to use. `None` uses ``adata.X``.
    n_comps
        Principal components, of both domains together, that are compared. `None`: those above the Marchenko-Pastur edge, between 2 and 20, or all of at most
        20 columns.
    max_obs
        Observations of a domain that are used at most, drawn at random; labelled ones of the target come first.
    alpha
        Level of each test.
    rng
        Seed of the draw and of the permutations.

    Returns
    -------
    A named tuple: ``kind``, a ``sentence``, ``concept_tested``, and a ``table`` of what was tested.

    Raises
    ------
    KeyError
        If a column or a matrix is not there.
    TypeError
        If `source` is a string, a matrix holds no numbers, or a column is of the wrong kind (dates, domains of measured numbers, numbers stored as text).
    ValueError
        If a domain is missing, not there or has fewer than 10 observations, the source has fewer than 20 labels or labels of one kind, or values are not finite, beyond 1e15 or too small to be squared.

    Notes
    -----
    Covariate shift keeps P(y | x), label shift keeps P(x | y) :cite:p:`Saerens2002,Lipton2018`, so each is tested by what it keeps. *P(x)*: Hotelling's
    test of means and the mean discrepancy with permuted domains :cite:p:`Gretton2012`. *P(x) after other shares of labels*: whether any shares of the labels turn the means of the source into those
    of the target, as Hansen's test of a model with more equations than unknowns, no share below 0; needs no labels in the target. *P(x) along the labels*: means in the directions in which other shares
    would move them, which decides beside P(x) where the target has no labels. *P(x | y)*: Pillai's trace of a multivariate regression of labelled rows on the label, and on the domain and its product
    with the label. *P(y | x)*: a regression of all labelled rows on the components and their squares, and a score test of
    offset and slopes of its own in the target. Numeric labels enter P(x | y) as a parabola.

    Concept shift is named if both P(y | x) and P(x | y) differ; label shift if other shares of labels explain the change; covariate
    shift if they do not and P(y | x) does not differ. Without 20 labels in the target concept shift cannot be seen: ``"none or concept"`` and ``"covariate or
    concept"`` (other shares of labels do not explain the change) leave it open, and ``"label or other"`` says that they do explain it; a covariate shift in the direction of the labels looks the same. The tests see means and smooth changes along the
    leading components; labels of the target must be a random sample of it, and observations independent: cells of a few patients are not, pass pseudobulk. A relation that a
    parabola does not follow can look like concept shift where the features differ as well. ``benchmarks/shift_report.py`` has the rate at which the report is right.
    Cost: a truncated singular value decomposition, and O(max_obs² · 200).

    Examples
    --------
    >>> import anndata as ad
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(400, 5))
    >>> y = (x[:, 0] + 0.5 * rng.normal(size=400) > 0).astype(float)
    >>> x[200:, 1] += 1  # the features move, and the label does not mind
    >>> obs = pd.DataFrame(
    ...     {"domain": np.repeat(["lines", "cells"], 200), "label": y}, index=[f"o{i}" for i in range(400)]
    ... )
    >>> adata = ad.AnnData(x, obs=obs)
    >>> otl.metrics.shift_report(adata, domain_key="domain", label_key="label", target="cells").kind
    'covariate'
    """
    check_number("alpha", alpha, low=0, high=0.2, low_open=True)
    random = streams(rng)
    label = _domains.labels(adata, label_key)
    choice = _domains.Choice(domain_key, source, target, obsm, layer, n_comps, max_obs)
    found, y_source, y_target = _domains.read_labelled(adata, choice, label, random.generator("rows"))
    _check_labels(y_source, label.names, label_key, found.source)
    result = kinds.name_shift(
        found.x_source, y_source, found.x_target, y_target, n_classes=len(label.names), random=random, alpha=alpha
    )
    table = pd.DataFrame(
        {
            "check": [check.name for check in result.checks],
            "statistic": [check.statistic for check in result.checks],
            "p": [check.p for check in result.checks],
            "differs": [bool(check.p < alpha) for check in result.checks],
            "note": [check.note for check in result.checks],
        }
    )
    return ShiftReport(result.kind, result.sentence, result.concept_tested, table)


def _check_labels(y: np.ndarray, names: list[str], key: str, source: str) -> None:
    known = y[np.isfinite(y)]
    if known.size < kinds.LEAST_LABELS:
        msg = f"The source {source!r} has {known.size} labels in adata.obs[{key!r}]; at least {kinds.LEAST_LABELS} are needed."
        raise ValueError(msg)
    if np.unique(known).size < 2:
        one = names[int(known[0])] if names else f"{known[0]:g}"
        msg = f"All labels of the source {source!r} in adata.obs[{key!r}] are {one!r}; there is nothing to compare."
        raise ValueError(msg)
