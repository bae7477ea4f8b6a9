"""Singular values and vectors against `numpy.linalg.svd` of the data themselves."""

from __future__ import annotations

import numpy as np
import pytest

from omicstl.kernels import spectrum


def data(p=90, n=30, seed=0, dtype=np.float32):
    rng = np.random.default_rng(seed)
    y = rng.standard_normal((p, 4)) @ rng.standard_normal((4, n)) * 2 + rng.standard_normal((p, n))
    y = (y - y.mean(axis=1, keepdims=True)) / y.std(axis=1, ddof=1, keepdims=True)
    return y.astype(dtype)


def peer(y):
    """Left, values, right with the sign rule: the gene side sums to at least zero."""
    left, d, right = np.linalg.svd(y.astype(np.float64), full_matrices=False)
    sign = np.where(left.sum(axis=0) < 0, -1.0, 1.0)
    return left * sign, d, right * sign[:, None]


@pytest.mark.parametrize("seed", range(3))
def test_of_data(seed):
    y = data(seed=seed)
    found, (_, d, right) = spectrum.of_data(y), peer(y)
    assert not found.genes
    np.testing.assert_allclose(found.values[:29], d[:29], rtol=1e-4)
    np.testing.assert_allclose(found.vectors[:, :20], right[:20].T, atol=2e-3)


@pytest.mark.parametrize("seed", range(3))
def test_of_gram(seed):
    y = data(p=40, n=80, seed=seed)
    found, (left, d, _) = spectrum.of_gram((y.astype(np.float64) @ y.T).astype(np.float32)), peer(y)
    assert found.genes
    assert found.vectors.dtype == np.float32
    np.testing.assert_allclose(found.values, d, rtol=1e-3)
    np.testing.assert_allclose(found.vectors[:, :10], left[:, :10], atol=2e-3)


def test_both_forms_give_one_start():
    """B0 = D V' from the samples' side, and Q0' Y from the genes' side."""
    y = data(p=40, n=30)
    one = spectrum.start_scores(spectrum.of_data(y), 5)
    two = spectrum.start_scores(spectrum.of_gram(y @ y.T), 5)
    assert one.shape == (5, 30)
    assert two.shape == (40, 5)
    np.testing.assert_allclose(two.T @ y, one, atol=5e-3)


def test_signs_do_not_depend_on_the_library():
    """Of y and of -y, whose vectors any library may return with any sign."""
    y = data()
    one, two = spectrum.of_data(y), spectrum.of_data(y[:, ::-1])
    np.testing.assert_allclose(one.vectors[::-1, :10], two.vectors[:, :10], atol=5e-3)
    for k in range(10):
        assert (y @ one.vectors[:, k]).sum() >= -1e-3


@pytest.mark.parametrize("genes", [False, True])
def test_directions_keep_the_singular_values(genes):
    """A start from random directions has the lengths of the SVD's, in both forms the same scores."""
    y = data(p=40, n=30)
    directions = np.linalg.qr(np.random.default_rng(1).standard_normal((29, 5)))[0]
    found = spectrum.of_gram(y @ y.T) if genes else spectrum.of_data(y)
    start = spectrum.start_scores(found, 5, directions)
    b = start.T @ y if genes else start
    _, d, right = peer(y)
    np.testing.assert_allclose(np.linalg.norm(b, axis=1), d[:5], rtol=1e-2)
    np.testing.assert_allclose(b, (d[:5, None] * directions.T) @ right[:29], atol=0.05)


def test_no_samples_direction_is_ever_nan():
    """Rank below the number of samples: values of nothing are zero, not NaN."""
    y = data(p=40, n=10)
    y = np.concatenate([y, y], axis=1)
    for found in (spectrum.of_data(y), spectrum.of_gram(y @ y.T)):
        assert np.isfinite(found.values).all()
        assert (np.diff(found.values) <= 0).all()
        assert np.isfinite(spectrum.start_scores(found, 15, np.eye(19, 15))).all()
