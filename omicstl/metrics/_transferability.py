"""How well do features suit a task, before anything is trained?"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from anndata import AnnData

from omicstl._core.checks import MOST_ROUNDS, check_choice, check_number
from omicstl._core.log import ConvergenceWarning, warn
from omicstl._core.public import public
from omicstl._core.random import streams
from omicstl._core.types import SeedLike
from omicstl.kernels import logme as kernel
from omicstl.kernels.permutation import permutation_p

from . import _domains

METHODS = ("logme", "h_score", "leep")
LEAST = 10


class Transferability(NamedTuple):
    """
    A score of features for a task, and what chance gives.

    Parameters
    ----------
    value
        The score; larger is better.
    chance
        Its mean with permuted labels.
    p
        Share of scores with permuted labels at least as large, counting the data themselves; NaN without permutations.
    n_obs
        Labelled observations that were used.
    """

    value: float
    chance: float
    p: float
    n_obs: int


@public
def transferability(
    adata: AnnData,
    *,
    label_key: str,
    method: str = "logme",
    obsm: str | None = None,
    layer: str | None = None,
    n_permutations: int = 200,
    rng: SeedLike = 0,
) -> Transferability:
    r"""
    Score how well features, such as the latent space of a reference, suit the labels of a task.

    To choose between representations without training on each: compare the values of several `obsm` for the same observations and labels.

    Parameters
    ----------
    adata
        Observations with labels.
    label_key
        Column of ``adata.obs`` with the labels, missing where they are not known (left out). Numbers with more than two values are numeric, all else is classes.
    method
        ``"logme"``: log evidence of a linear model per observation :cite:p:`You2021`, for classes and numbers. ``"h_score"``: regularised H-score :cite:p:`Ibrahim2023`, for classes, 0 to classes - 1.
        ``"leep"`` :cite:p:`Nguyen2020`, for classes; the `obsm` then holds what a classifier of another task says, a probability for each of its classes (or 0 and 1), and 0 is best.
    obsm
        Key in ``adata.obsm`` of the features. `None` uses the matrix.
    layer
        Matrix to use. `None` uses ``adata.X``.
    n_permutations
        Times that labels are permuted.
    rng
        Seed of the permutations.

    Returns
    -------
    A named tuple: ``value``, ``chance`` (its mean with permuted labels), ``p`` and ``n_obs``.

    Raises
    ------
    KeyError
        If the column or the matrix is not there.
    TypeError
        If a matrix holds no numbers, or labels are of the wrong kind (dates, numbers stored as text).
    ValueError
        If fewer than 10 observations have labels, all labels are the same, values are not finite, beyond 1e15 or too small to be squared, or a method of classes is given numbers; for ``"leep"`` if the rows of `obsm` are no probabilities.

    Warns
    -----
    ConvergenceWarning
        If the evidence was still rising; the value is then too low.

    Notes
    -----
    Columns are z-scored for ``"logme"`` and ``"h_score"``, numeric labels too: the evidence depends on the units of both. LogME equals the authors' formula and does not form a matrix of features × features: a thin decomposition of
    observations × features serves all labels and permutations (200 observations of 20,000 features need 1 MB beyond the features, theirs 3.2 GB for each of several matrices).
    The plain H-score :cite:p:`Bao2019` is not offered: with more features than observations it is classes - 1 whatever the features are. The regularised one shrinks the covariance :cite:p:`Ledoit2004` and is still above 0 by
    chance, so read it against ``chance``; so is LEEP, which has as many parameters as pairs of classes. Scores of different labels or observations cannot be compared. Source classes without mass have no part in LEEP.
    Cost: O(n² · features) for n observations, and O(n² · n_permutations).

    Examples
    --------
    >>> import anndata as ad
    >>> x = np.random.default_rng(0).normal(size=(60, 200))
    >>> obs = pd.DataFrame({"label": np.repeat(["a", "b"], 30)}, index=[f"o{i}" for i in range(60)])
    >>> adata = ad.AnnData(
    ...     np.zeros((60, 1)), obs=obs, obsm={"noise": x, "signal": x + 0.7 * np.repeat([0, 1], 30)[:, None]}
    ... )
    >>> good, bad = (otl.metrics.transferability(adata, label_key="label", obsm=key) for key in ("signal", "noise"))
    >>> good.value > bad.value, good.p < 0.01
    (True, True)
    """
    check_choice("method", method, METHODS)
    check_number("n_permutations", n_permutations, low=0, high=MOST_ROUNDS, integer=True)
    label = _domains.labels(adata, label_key)
    expression = _domains.read_matrix(adata, obsm, layer)
    rows = np.flatnonzero(np.isfinite(label.y))
    y = label.y[rows]
    if rows.size < LEAST or np.unique(y).size < 2:
        msg = f"adata.obs[{label_key!r}] has {rows.size} labels of {np.unique(y).size} kinds; at least {LEAST} of two kinds are needed."
        raise ValueError(msg)
    if not label.names and method != "logme":
        msg = f"method={method!r} is for classes, and adata.obs[{label_key!r}] holds numbers. Use method='logme'."
        raise ValueError(msg)
    x = _domains.finite(expression, rows).astype(np.float64)
    generator = streams(rng).generator("permutations")
    orders = [np.arange(rows.size), *(generator.permutation(rows.size) for _ in range(n_permutations))]
    codes = np.unique(y, return_inverse=True)[1].ravel() if label.names else None
    if method == "leep":
        assert codes is not None
        _check_probabilities(x, obsm)
        values = np.array([kernel.leep(x, codes[order]) for order in orders])
    elif method == "h_score":
        assert codes is not None
        values = kernel.h_scores(_scaled(x), np.array([codes[order] for order in orders]))
    else:
        values = _evidence(_scaled(x), y if codes is None else None, codes, orders)
    null = values[1:]
    chance = float(null.mean()) if null.size else float("nan")
    return Transferability(float(values[0]), chance, permutation_p(float(values[0]), null), rows.size)


def _evidence(
    x: np.ndarray, numbers: np.ndarray | None, codes: np.ndarray | None, orders: list[np.ndarray]
) -> np.ndarray:
    """Mean evidence over classes, or of the number, for each order of the labels."""
    if numbers is not None:
        columns = ((numbers - numbers.mean()) / numbers.std())[:, None]
    else:
        assert codes is not None
        columns = np.eye(int(codes.max()) + 1)[codes]
    found = kernel.logme(x, np.concatenate([columns[order] for order in orders], axis=1))
    if not found.converged:
        warn(
            f"The evidence was still rising after {kernel.MANY_STEPS} steps; the value is too low.", ConvergenceWarning
        )
    return found.evidence.reshape(len(orders), columns.shape[1]).mean(axis=1)


def _scaled(x: np.ndarray) -> np.ndarray:
    largest = np.abs(x).max(axis=0)
    x = x - x.mean(axis=0)
    spread = x.std(axis=0)
    varies = spread > np.maximum(1e-8 * float(spread.max(initial=0.0)), 1e-14 * largest)  # else rounding
    if not varies.any():
        msg = "All features are constant over the labelled observations: there is nothing to score."
        raise ValueError(msg)
    return x[:, varies] / spread[varies]


def _check_probabilities(x: np.ndarray, obsm: str | None) -> None:
    where = "The matrix" if obsm is None else f"adata.obsm[{obsm!r}]"
    if x.shape[1] < 2 or (x < -1e-6).any() or np.abs(x.sum(axis=1) - 1).max() > 1e-3:
        msg = f"method='leep' needs probabilities of source classes: two columns or more, not negative, rows that sum to 1. {where} is not that."
        raise ValueError(msg)
