"""A PLIER that was fitted and published elsewhere: its matrices, checked against each other, as a model."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from omicstl._core.checks import listed
from omicstl.kernels import enrichment

from .fit import name_factors
from .model import PlierModel

LOWEST_NOISE = 1e-3  # as in a fit


class Published(NamedTuple):
    """A PLIER result by its names in R; `None` is what was not published."""

    Z: pd.DataFrame  # genes × factors
    L2: float
    U: pd.DataFrame | None = None  # sets × factors
    B: pd.DataFrame | None = None  # factors × samples
    C: pd.DataFrame | None = None  # genes × sets, without the held-out members
    L1: float | None = None
    L3: float | None = None
    heldout: Mapping[str, Sequence[str | None]] | None = None  # members by set
    summary: pd.DataFrame | None = None


class Checked(NamedTuple):
    """The same as arrays that agree: genes p, sets m, factors k, samples n."""

    genes: np.ndarray
    sets: np.ndarray
    loadings: np.ndarray  # (p, k)
    weights: np.ndarray  # (m, k)
    scores: np.ndarray | None  # (k, n)
    trained: np.ndarray  # (p, m) bool
    heldout: np.ndarray  # (p, m) bool
    prior_weight: float
    score_penalty: float
    set_penalty: float


def check(result: Published) -> Checked:
    """See that everything in a result is what it should be and fits the rest; else `ValueError` with the reason."""
    loadings = _numbers("Z", result.Z, low=0)
    genes = _names("Z", "gene", result.Z.index)
    k = loadings.shape[1]
    sets, weights = np.zeros(0, dtype=object), np.zeros((0, k))
    if result.U is not None:
        weights = _numbers("U", result.U, low=0)
        sets = _names("U", "gene set", result.U.index)
        _same("columns (factors)", "U", weights.shape[1], k)
    elif result.C is not None:
        msg = "it has the gene sets C without their weights U"
        raise ValueError(msg)
    scores = None
    if result.B is not None:
        scores = _numbers("B", result.B)
        _same("rows (factors)", "B", scores.shape[0], k)
    trained, heldout = _members(result, genes, sets)
    return Checked(
        genes,
        sets,
        loadings,
        weights,
        scores,
        trained,
        heldout,
        np.nan if result.L1 is None else _penalty("L1", result.L1),
        _penalty("L2", result.L2),
        np.nan if result.L3 is None else _penalty("L3", result.L3),
    )


def to_model(parts: Checked, summary: pd.DataFrame | None) -> PlierModel:
    """Make the model; factors are named by held-out members, or by the published tests where there are none."""
    import scipy.sparse as sp

    prior = sp.csc_array(parts.trained | parts.heldout, dtype=np.float64)
    column = np.repeat(np.arange(parts.sets.size), np.diff(prior.indptr))
    loadings = parts.loadings.astype(np.float32)
    weights = parts.weights.astype(np.float32)
    if parts.heldout.any():
        tests = enrichment.heldout_auc(loadings, weights, prior, sp.csc_array(parts.trained, dtype=np.float64))
    else:
        tests = _published_tests(summary, parts)
    covariance, noise = moments(parts)
    return PlierModel(
        features=parts.genes,
        names=name_factors(tests, weights, parts.sets),
        sets=parts.sets,
        loadings=loadings,
        weights=weights,
        mean=None,
        scale=None,
        noise=noise,
        score_cov=covariance,
        prior_indptr=prior.indptr.astype(np.int32),
        prior_indices=prior.indices.astype(np.int32),
        heldout=parts.heldout[prior.indices, column],
        auc=enrichment.auc_matrix(loadings, prior).astype(np.float32),
        prior_weight=parts.prior_weight,
        score_penalty=parts.score_penalty,
        set_penalty=parts.set_penalty,
        n_obs=0 if parts.scores is None else parts.scores.shape[1],
    )


def moments(parts: Checked) -> tuple[np.ndarray | None, np.ndarray | None]:
    r"""Covariance of the scores, and the variance of each gene that they leave, without the data.

    Rows of Y were z-scored, :math:`\sum_j y_{gj}^2 = n - 1`, and of that the scores explain
    :math:`z_g B B^\top z_g^\top + 2 (R B^\top)_g z_g^\top` with the residuals :math:`R = Y - Z B`, which are not there. But B is a
    ridge solution, so :math:`Z^\top R B^\top = \lambda B B^\top` exactly, and the smallest such product is
    :math:`R B^\top = Z (Z^\top Z)^{-1} \lambda B B^\top`. Summed over the genes this is exact; for one gene it is an estimate.
    With :math:`Z = U S V^\top` it is :math:`\lambda U S^{-1} V^\top B B^\top`: :math:`Z^\top Z` would square what Z is ill-conditioned by.
    """
    if parts.scores is None or parts.scores.shape[1] < 2:
        return None, None
    inner = parts.scores @ parts.scores.T
    left, size, right = np.linalg.svd(parts.loadings, full_matrices=False)
    known = size > max(parts.loadings.shape) * np.finfo(np.float64).eps * size.max(initial=0.0)
    ridge = parts.score_penalty * (left[:, known] / size[known]) @ (right[known] @ inner)
    explained = np.sum((parts.loadings @ inner + 2 * ridge) * parts.loadings, axis=1)
    n = parts.scores.shape[1]
    return inner / (n - 1), np.clip(1 - explained / (n - 1), LOWEST_NOISE, 1)


def shift(parts: Checked) -> float:
    """Largest mean of a factor's scores in their standard deviations; 0 where rows were z-scored, or without scores."""
    if parts.scores is None:
        return 0.0
    spread = parts.scores.std(axis=1)
    return float(np.max(np.abs(parts.scores.mean(axis=1))[spread > 0] / spread[spread > 0], initial=0))


def _members(result: Published, genes: np.ndarray, sets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Memberships that the fit saw, and those held out of it, both (genes, sets)."""
    trained, heldout = (np.zeros((genes.size, sets.size), dtype=bool) for _ in range(2))
    if result.C is None:
        return trained, heldout
    values = _numbers("C", result.C)
    if not np.isin(values, (0, 1)).all():
        msg = "C must hold 0 and 1, which gene is in which set"
        raise ValueError(msg)
    rows = _matched("C", "gene", _names("C", "gene", result.C.index), genes)
    columns = _matched("C", "gene set", _names("C", "gene set", result.C.columns), sets)
    trained = values[np.ix_(rows, columns)] > 0
    gene_at, set_at = pd.Index(genes), pd.Index(sets)
    for name, members in (result.heldout or {}).items():
        column, row = set_at.get_indexer([name]), gene_at.get_indexer(pd.Index(members, dtype=object))
        if (column < 0).any() or (row < 0).any():
            unknown = name if (column < 0).any() else members[int(np.flatnonzero(row < 0)[0])]
            msg = f"heldOutGenes names {unknown!r}, which is not in {'U' if (column < 0).any() else 'Z'}"
            raise ValueError(msg)
        heldout[row, column[0]] = True
    return trained & ~heldout, heldout


def _published_tests(summary: pd.DataFrame | None, parts: Checked) -> enrichment.Enrichment:
    """The tests in the published table; pairs that Z and U do not have are left out."""
    columns = {} if summary is None else {re.sub("[^a-z]", "", str(c).lower()): c for c in summary.columns}
    if summary is None or not {"pathway", "lvindex", "auc", "fdr"} <= set(columns):
        none = np.zeros(0, dtype=np.intp)
        return enrichment.Enrichment(none, none, np.zeros(0), np.zeros(0), np.zeros(0))
    number = {
        name: pd.to_numeric(summary[columns[name]], errors="coerce").to_numpy(np.float64)
        for name in ("lvindex", "auc", "fdr")
    }
    set_index = pd.Index(parts.sets).get_indexer(pd.Index(summary[columns["pathway"]], dtype=object))
    factor = np.nan_to_num(number["lvindex"], nan=0.0, posinf=0.0, neginf=0.0)
    known = (set_index >= 0) & (factor >= 1) & (factor <= parts.loadings.shape[1])
    return enrichment.Enrichment(
        set_index[known],
        factor[known].astype(np.intp) - 1,
        number["auc"][known],
        np.full(int(known.sum()), np.nan),
        number["fdr"][known],
    )


def _numbers(name: str, table: pd.DataFrame, low: float = -np.inf) -> np.ndarray:
    values = table.to_numpy(dtype=np.float64)
    if values.size == 0:
        msg = f"{name} is empty: {values.shape[0]} rows and {values.shape[1]} columns"
        raise ValueError(msg)
    with np.errstate(over="ignore"):
        finite = np.isfinite(values.astype(np.float32))
    if not finite.all():
        msg = f"{name} holds {int((~finite).sum()):,} values that are missing, infinite or huge"
        raise ValueError(msg)
    if values.min() < low:
        msg = f"{name} holds negative values, which no PLIER does; for other factors use otl.io.factor_table"
        raise ValueError(msg)
    return values


def _names(table: str, what: str, names: pd.Index) -> np.ndarray:
    if not all(isinstance(name, str) and name.strip() for name in names):
        msg = f"{table} has rows or columns without {what} names"
        raise ValueError(msg)
    if not names.is_unique:
        msg = f"{table} has {what} names more than once: {listed(names[names.duplicated()].unique())}"
        raise ValueError(msg)
    return np.array(names.tolist(), dtype=object)


def _matched(table: str, what: str, names: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Where each of the wanted names is; both must have the same, in any order."""
    at = pd.Index(names).get_indexer(pd.Index(wanted))
    if names.size != wanted.size or (at < 0).any():
        odd: Any = sorted(set(names.tolist()) ^ set(wanted.tolist()))
        msg = f"{table} has {names.size} {what}s and {'Z' if what == 'gene' else 'U'} {wanted.size}, not the same: {listed(odd)}"
        raise ValueError(msg)
    return at


def _same(what: str, table: str, found: int, wanted: int) -> None:
    if found != wanted:
        msg = f"{table} has {found} {what}, and Z has {wanted} columns (factors)"
        raise ValueError(msg)


def _penalty(name: str, value: float) -> float:
    if not np.isfinite(value) or value <= 0:
        msg = f"{name} must be a number above 0, got {value!r}"
        raise ValueError(msg)
    return float(value)
