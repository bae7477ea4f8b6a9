"""k-means of lines, against brute force and against what must not matter."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from omicstl.kernels.aligned_kmeans import aligned_kmeans


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=0)


def planted(n: int, per: int, k: int, noise: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    label = np.repeat(np.arange(k), per)
    sign = rng.choice([-1.0, 1.0], label.size)
    return unit(rng.normal(size=(n, k))[:, label] * sign + noise * rng.normal(size=(n, label.size))), label


def value(columns: np.ndarray, label: np.ndarray) -> float:
    """Sum of squared cosines with the best line of each cluster, by a singular value decomposition."""
    return sum(np.linalg.svd(columns[:, label == c], compute_uv=False)[0] ** 2 for c in np.unique(label))


def test_finds_planted_lines_whatever_the_signs():
    columns, label = planted(40, 12, 5, 0.3, 0)
    found = aligned_kmeans(columns, 5, np.random.default_rng(1))
    pairs = {(a, b) for a, b in zip(label, found.labels, strict=True)}
    assert len(pairs) == 5
    for c in range(5):
        aligned = columns[:, found.labels == c] * found.signs[found.labels == c]
        assert (aligned.T @ aligned > 0).all()


def test_is_as_good_as_the_best_partition_of_a_small_case():
    rng = np.random.default_rng(3)
    columns = unit(rng.normal(size=(3, 7)))
    best = max(
        value(columns, np.array(label)) for label in itertools.product(range(2), repeat=7) if len(set(label)) == 2
    )
    found = aligned_kmeans(columns, 2, np.random.default_rng(0), n_starts=20)
    # a centre is a mean of unit vectors, not the singular vector, so the two criteria differ a little
    assert value(columns, found.labels) > 0.97 * best


def test_flipping_columns_flips_signs_and_nothing_else():
    columns, _ = planted(30, 8, 4, 0.6, 5)
    flip = np.where(np.arange(columns.shape[1]) % 3 == 0, -1.0, 1.0)
    one = aligned_kmeans(columns, 6, np.random.default_rng(2))
    other = aligned_kmeans(columns * flip, 6, np.random.default_rng(2))
    np.testing.assert_array_equal(one.labels, other.labels)
    np.testing.assert_allclose(one.cosines, other.cosines)
    np.testing.assert_array_equal(one.signs, other.signs * flip)


def test_cosines_are_those_with_the_centres():
    columns, _ = planted(25, 9, 3, 0.8, 8)
    found = aligned_kmeans(columns, 4, np.random.default_rng(0))
    for c in range(4):
        own = found.labels == c
        aligned = columns[:, own] * found.signs[own]
        centre = aligned.sum(axis=1) / np.linalg.norm(aligned.sum(axis=1))
        np.testing.assert_allclose(found.cosines[own], centre @ aligned, atol=1e-9)


@pytest.mark.parametrize("k", [1, 6])
def test_no_cluster_is_empty(k):
    columns = np.repeat(unit(np.random.default_rng(0).normal(size=(10, 3))), 2, axis=1)  # three lines, each twice
    found = aligned_kmeans(columns, k, np.random.default_rng(0))
    assert np.unique(found.labels).size == k
