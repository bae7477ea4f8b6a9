"""Singular values and vectors of z-scored data, from the data or from ``K = Y Y'`` (LAPACK: no compiler needed)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.linalg


class Spectrum(NamedTuple):
    """Descending singular values ``d`` and the vectors of one side; `genes` tells which."""

    values: np.ndarray
    vectors: np.ndarray
    genes: bool


def of_data(y: np.ndarray) -> Spectrum:
    """Spectrum of ``Y`` (genes, samples) with its right vectors (samples, r), signs fixed; by its samples' Gram matrix."""
    gram = y.T @ y
    values, vectors = scipy.linalg.eigh(gram.astype(np.float64), driver="evd")
    values, vectors = np.sqrt(np.maximum(values[::-1], 0)), vectors[:, ::-1]
    return Spectrum(values, vectors * _signs(y.sum(axis=0, dtype=np.float64) @ vectors), genes=False)


def of_gram(gram: np.ndarray) -> Spectrum:
    """Spectrum of ``Y`` from ``K = Y Y'`` with its left vectors (genes, r), signs fixed, in the precision of `gram`."""
    values, vectors = scipy.linalg.eigh(gram, driver="evd", check_finite=False)
    values = np.sqrt(np.maximum(values[::-1].astype(np.float64), 0))
    return Spectrum(values, vectors[:, ::-1] * _signs(vectors[:, ::-1].sum(axis=0)).astype(gram.dtype), genes=True)


def _signs(sums: np.ndarray) -> np.ndarray:
    """The sign rule: every left vector has a sum of at least zero, so its positive part is at least as large in L1."""
    return np.where(sums < 0, -1.0, 1.0)


def start_scores(spectrum: Spectrum, k: int, directions: np.ndarray | None = None) -> np.ndarray:
    """``B0 = D_k V_k'`` (k, samples), or in Gram form ``Q0`` (genes, k) with ``B0 = Q0' Y``.

    `directions` (r, k) replaces the leading right vectors by these combinations of all of them.
    """
    d, vectors = spectrum.values, spectrum.vectors
    if directions is None:
        return vectors[:, :k] if spectrum.genes else (vectors[:, :k] * d[:k]).T
    rank = directions.shape[0]
    if spectrum.genes:
        inverse = np.where(d[:rank] > 0, 1 / np.maximum(d[:rank], np.finfo(np.float64).tiny), 0)
        return (vectors[:, :rank] * inverse) @ (directions * d[:k])
    return ((vectors[:, :rank] @ directions) * d[:k]).T
