"""Subspace alignment (numpy, LAPACK)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.linalg


class Alignment(NamedTuple):
    """Maps of centred rows of p variables into the target's k directions, and how alike the two subspaces are."""

    source: np.ndarray  # (p, k): principal axes of the source, turned onto those of the target
    target: np.ndarray  # (p, k): principal axes of the target
    cosines: np.ndarray  # (k,) of the principal angles between the subspaces, descending


def principal_axes(x: np.ndarray, k: int) -> np.ndarray:
    """Leading principal axes (p, k) of rows, which are centred here; the largest entry of an axis is positive."""
    centred = x - x.mean(axis=0)
    n, p = centred.shape
    if p <= n:
        values, v = scipy.linalg.eigh(centred.T @ centred, driver="evd", check_finite=False)
        axes = v[:, ::-1][:, :k]
    else:
        values, u = scipy.linalg.eigh(centred @ centred.T, driver="evd", check_finite=False)
        order = np.flatnonzero(values > 1e-12 * max(values[-1], np.finfo(float).tiny))[::-1][:k]
        axes = np.linalg.qr(centred.T @ (u[:, order] / np.sqrt(values[order])))[0]
    if axes.shape[1] < k:
        msg = f"{n} rows of {p} columns have {axes.shape[1]} principal axes, {k} are wanted."
        raise ValueError(msg)
    largest = np.abs(axes).argmax(axis=0)
    return axes * np.where(axes[largest, np.arange(k)] < 0, -1.0, 1.0)


def subspace_alignment(source: np.ndarray, target: np.ndarray, k: int) -> Alignment:
    """Align the leading `k` principal axes :cite:p:`Fernando2013`: ``X_s P_s P_s' P_t`` beside ``X_t P_t``, of centred rows."""
    first, second = principal_axes(source, k), principal_axes(target, k)
    inner = first.T @ second
    return Alignment(first @ inner, second, np.clip(np.linalg.svd(inner, compute_uv=False), 0, 1))
