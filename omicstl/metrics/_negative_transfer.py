"""Does a transfer help, or hurt?"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from anndata import AnnData

from omicstl._core.checks import MOST_ROUNDS, check_choice, check_number, listed, missing_key
from omicstl._core.log import DesignWarning, TransferWarning, warn
from omicstl._core.public import public
from omicstl._core.random import streams
from omicstl._core.types import SeedLike
from omicstl._data import columns
from omicstl._data.obsm import read_obsm
from omicstl.kernels.paired_bootstrap import MEASURES, OF_CLASSES, paired_gap

from . import _domains

LEAST = 10
FEW_BLOCKS = 6
CALLS = {"accuracy", "balanced_accuracy"}
SQUARED = {"brier", "mse", "r2", "pearson"}


class NegativeTransfer(NamedTuple):
    """
    The gap between two predictions of the same observations.

    Parameters
    ----------
    verdict
        ``"transfer helps"`` (the interval is above 0), ``"transfer hurts"`` (below), or ``"no difference shown"``.
    gap
        Measure of the prediction less measure of the baseline; above 0 the prediction is better, whatever the measure.
    low, high
        Bounds of the interval.
    measure
        What was measured.
    n_obs
        Observations that were used.
    """

    verdict: str
    gap: float
    low: float
    high: float
    measure: str
    n_obs: int


@public
def negative_transfer(
    adata: AnnData,
    *,
    prediction: str,
    baseline: str,
    label_key: str,
    measure: str | None = None,
    block: str | None = None,
    n_resamples: int = 1000,
    confidence: float = 0.95,
    rng: SeedLike = 0,
) -> NegativeTransfer:
    """
    Compare a transferred prediction with one made without transfer, both for the same held-out observations :cite:p:`Wang2019`.

    Parameters
    ----------
    adata
        Observations with both predictions and the truth. Neither model may have seen them.
    prediction
        The transferred prediction: a column of ``adata.obs`` (numbers, or classes), or a key of ``adata.obsm`` with a probability for each class, in the order of the classes.
    baseline
        The other one, such as that of a model of the target alone; of the same kind.
    label_key
        Column of ``adata.obs`` with the truth, missing where it is not known (left out). Numbers with more than two values are numeric, all else is classes.
    measure
        ``"auroc"``, ``"accuracy"``, ``"balanced_accuracy"``, ``"log_score"`` or ``"brier"`` for classes, ``"spearman"``, ``"pearson"``, ``"r2"`` or ``"mse"`` for numbers. `None`: AUROC of
        scores, balanced accuracy of named classes, Spearman's correlation of numbers. The sign of errors is turned: larger is better in all.
    block
        Column of ``adata.obs`` whose levels are drawn as a whole, such as the patient of cells or the split of a repeated cross-validation.
    n_resamples
        Bootstrap resamples.
    confidence
        Probability of the interval.
    rng
        Seed of the resamples.

    Returns
    -------
    A named tuple: the ``verdict``, the ``gap`` with ``low`` and ``high``, the ``measure`` and ``n_obs``.

    Raises
    ------
    KeyError
        If a column or matrix is not there.
    TypeError
        If `adata` is no AnnData, or a column is of the wrong kind (dates, blocks of measured numbers, numbers stored as text).
    ValueError
        If fewer than 10 observations have all three, a block is missing, the truth has one class, the measure is not known or does not fit the labels, or the two predictions are of different kinds; if numbers are beyond 1e15, or span less than 1e-70, and the measure squares them.

    Warns
    -----
    DesignWarning
        If `block` has fewer than 6 levels: an interval of so few says little.

    Notes
    -----
    Both are resampled together, so what is hard for either cancels. Classes are stratified; whole blocks are drawn among blocks with the same classes. The interval is the percentile one,
    widened to the t interval of a mean where observations or blocks are few :cite:p:`Hesterberg2015`. ``"no difference shown"`` is not "equal": look at the bounds. A gap on
    observations that chose the method is too good. Cost: O(n_resamples · n_obs · log n_obs).

    Examples
    --------
    >>> import anndata as ad
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat([0, 1], 100)
    >>> obs = pd.DataFrame(
    ...     {"truth": y, "alone": y + rng.normal(size=200), "transferred": rng.normal(size=200)},
    ...     index=[f"o{i}" for i in range(200)],
    ... )
    >>> adata = ad.AnnData(np.zeros((200, 1)), obs=obs)
    >>> otl.metrics.negative_transfer(adata, prediction="transferred", baseline="alone", label_key="truth").verdict
    'transfer hurts'
    """
    check_number("n_resamples", n_resamples, low=50, high=MOST_ROUNDS, integer=True)
    check_number("confidence", confidence, low=0, high=1, low_open=True, high_open=True)
    if measure is not None:
        check_choice("measure", measure, sorted(MEASURES))
    _domains.check_adata(adata)
    label = _domains.labels(adata, label_key)
    scores = [_score(adata, key, what, label) for key, what in ((prediction, "prediction"), (baseline, "baseline"))]
    if scores[0][0].shape != scores[1][0].shape or scores[0][1] != scores[1][1]:
        msg = f"`prediction` {prediction!r} and `baseline` {baseline!r} are of different kinds (numbers, classes or probabilities). Pass two of one kind."
        raise ValueError(msg)
    called = scores[0][1]
    measure = measure or (("balanced_accuracy" if called else "auroc") if label.names else "spearman")
    if (measure in OF_CLASSES) != bool(label.names):
        kind = "classes" if label.names else "numbers"
        fitting = sorted(name for name in MEASURES if (name in OF_CLASSES) == bool(label.names))
        msg = f"measure={measure!r} does not fit adata.obs[{label_key!r}], which holds {kind}. Use one of {fitting}."
        raise ValueError(msg)
    a, b = scores[0][0], scores[1][0]
    if measure in SQUARED:
        for key, what in ((prediction, a), (baseline, b)):
            _domains.check_numbers(f"adata.{'obsm' if key in adata.obsm else 'obs'}[{key!r}]", what)
    known = (
        np.isfinite(label.y)
        & np.isfinite(a.reshape(len(a), -1)).all(axis=1)
        & np.isfinite(b.reshape(len(b), -1)).all(axis=1)
    )
    groups = None
    if block is not None:
        groups = columns.groups(adata, block, argument="block", category=TransferWarning).select(known).codes
    y = label.y[known]
    if y.size < LEAST or np.unique(y).size < 2:
        msg = f"{y.size} observations have truth and both predictions, with {np.unique(y).size} different labels; at least {LEAST} with two are needed."
        raise ValueError(msg)
    if groups is not None and groups.max() + 1 < FEW_BLOCKS:
        warn(f"{block!r} has {groups.max() + 1} levels: an interval of so few says little.", DesignWarning)
    truth = y.astype(np.int64) if label.names else y
    if called and measure not in CALLS:
        msg = f"`prediction` {prediction!r} holds classes, which measure={measure!r} cannot rank. Use one of {sorted(CALLS)}."
        raise ValueError(msg)
    if label.names and not called and a.ndim == 2 and a.shape[1] != len(label.names):
        msg = f"adata.obsm[{prediction!r}] has {a.shape[1]} columns for {len(label.names)} classes: {label.names}."
        raise ValueError(msg)
    if label.names and a.ndim == 1 and len(label.names) > 2:
        msg = f"{len(label.names)} classes need a probability for each (a key of adata.obsm), or named classes; {prediction!r} is one number."
        raise ValueError(msg)
    gap = paired_gap(
        a[known],
        b[known],
        truth,
        measure,
        groups,
        n_resamples,
        generator=streams(rng).generator("resamples"),
        confidence=confidence,
    )
    verdict = "transfer helps" if gap.low > 0 else "transfer hurts" if gap.high < 0 else "no difference shown"
    return NegativeTransfer(verdict, gap.mean, gap.low, gap.high, measure, int(y.size))


def _score(adata: AnnData, key: str, argument: str, label: _domains.Labels) -> tuple[np.ndarray, bool]:
    """Numbers (n,) or probabilities (n, classes), NaN where missing, and whether they are named classes."""
    if key in adata.obsm:
        table = read_obsm(adata, key).rows.take(np.arange(adata.n_obs)).astype(np.float64)
        if not label.names and table.shape[1] != 1:
            msg = f"adata.obsm[{key!r}] has {table.shape[1]} columns, and the truth is one number. Put the column to judge into adata.obs."
            raise ValueError(msg)
        return (table if label.names else table[:, 0]), False
    if key not in adata.obs.columns.astype(str):
        raise missing_key(key, "adata.obs or adata.obsm", [str(name) for name in (*adata.obs.columns, *adata.obsm)])
    column = columns.read_column(adata, key, argument=argument)
    if column.is_number:
        return np.asarray(column.numbers), False
    if not label.names:
        msg = f"`{argument}` {key!r} holds classes, and the truth numbers."
        raise ValueError(msg)
    gone = column.absent
    place = {name: i for i, name in enumerate(label.names)}
    codes = np.array([*(place.get(name, -1) for name in column.levels), -1])[column.codes]
    if not gone.all() and (codes[~gone] < 0).all():
        msg = f"`{argument}` {key!r} holds {listed(sorted(column.levels))}, and the true classes are {listed(label.names)}: none is the same. Rename them."
        raise ValueError(msg)
    table = np.eye(len(label.names) + 1)[
        codes
    ]  # what is no true class, such as "uncertain", is right nowhere: the last column
    table[gone] = np.nan
    return table, True
