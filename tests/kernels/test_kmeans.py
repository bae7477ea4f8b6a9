"""k-means by inner products, beside a loop over points and beside scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest

from omicstl.kernels.kmeans import Coordinates, Gram, kmeans


def cloud(p=150, n=12, k=9, spread=0.6, seed=0):
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(k, n))
    return centres[rng.integers(k, size=p)] + spread * rng.normal(size=(p, n))


def both(x):
    return {"gram": Gram(x @ x.T), "coordinates": Coordinates(x)}


def explained(x, labels):
    """Share of the squared length that the means hold, one cluster after another."""
    between = sum(np.sum(labels == c) * np.sum(x[labels == c].mean(axis=0) ** 2) for c in np.unique(labels))
    return between / np.sum(x**2)


@pytest.mark.parametrize("form", ["gram", "coordinates"])
def test_the_end_is_a_fixed_point(form):
    """Every point lies nearest to the mean of its own cluster; what is told of it is so."""
    x = cloud()
    found = kmeans(both(x)[form], 9, np.random.default_rng(0))
    means = np.array([x[found.labels == c].mean(axis=0) for c in range(9)])
    distance = np.array([[np.sum((point - mean) ** 2) for mean in means] for point in x])
    assert found.converged
    np.testing.assert_array_equal(found.labels, distance.argmin(axis=1))
    np.testing.assert_allclose(found.explained, explained(x, found.labels), rtol=1e-10)
    sums = np.array([x[found.labels == c].sum(axis=0) for c in range(9)])
    np.testing.assert_allclose(found.with_own, np.sum(x * sums[found.labels], axis=1), rtol=1e-10)


def test_inner_products_and_coordinates_are_one():
    x = cloud(seed=3)
    a, b = (kmeans(points, 9, np.random.default_rng(1)) for points in both(x).values())
    np.testing.assert_array_equal(a.labels, b.labels)
    assert a.n_iter == b.n_iter


def test_it_is_as_good_as_scikit_learn():
    """On average over data without clear clusters, where every start ends elsewhere."""
    from sklearn.cluster import KMeans

    left = []
    for seed in range(8):
        x = cloud(300, 20, 15, spread=1.0, seed=seed)
        theirs = KMeans(15, n_init=5, random_state=seed).fit(x).inertia_ / np.sum(x**2)
        ours = 1 - kmeans(Gram(x @ x.T), 15, np.random.default_rng(seed), n_starts=5).explained
        left.append((ours, theirs))
    ours, theirs = np.mean(left, axis=0)
    assert abs(ours / theirs - 1) < 0.005


def test_clear_clusters_are_found():
    x = cloud(200, 12, 6, spread=0.05, seed=5)
    labels = kmeans(Gram(x @ x.T), 6, np.random.default_rng(0)).labels
    near = np.linalg.norm(x[:, None] - x, axis=2) < 1
    np.testing.assert_array_equal(labels[:, None] == labels, near)


def test_more_starts_are_no_worse():
    x = cloud(120, 10, 10, spread=1.0, seed=2)
    points = Gram(x @ x.T)
    few, many = (kmeans(points, 10, np.random.default_rng(0), n_starts=n).explained for n in (1, 8))
    assert many >= few


def test_memory_in_fortran_order_is_the_same():
    x = cloud()
    gram = x @ x.T
    a = kmeans(Gram(np.asfortranarray(gram)), 7, np.random.default_rng(0))
    b = kmeans(Gram(np.ascontiguousarray(gram)), 7, np.random.default_rng(0))
    np.testing.assert_array_equal(a.labels, b.labels)


@pytest.mark.parametrize("form", ["gram", "coordinates"])
def test_every_cluster_has_a_point_as_long_as_points_differ(form):
    """Five different points, many times each: five clusters are filled, and a sixth is left empty."""
    x = np.repeat(cloud(5, 8), 20, axis=0).astype(np.float32)
    for k in (5, 6):
        labels = kmeans(both(x)[form], k, np.random.default_rng(0)).labels
        assert np.unique(labels).size == 5
        assert all(np.unique(labels[i : i + 20]).size == 1 for i in range(0, 100, 20))


def test_a_cluster_that_runs_empty_takes_the_point_that_lies_furthest():
    from omicstl.kernels.kmeans import _refill

    labels = np.array([0, 0, 0, 2, 2])
    _refill(labels, apart=np.array([0.1, 0.9, 0.2, 5.0, 0.0]), squares=np.ones(5), k=4)
    np.testing.assert_array_equal(labels, [0, 3, 0, 1, 2])


def test_as_many_clusters_as_points():
    x = cloud(12, 6)
    found = kmeans(Gram(x @ x.T), 12, np.random.default_rng(0))
    assert np.unique(found.labels).size == 12
    assert found.explained == pytest.approx(1)


def test_what_has_not_ended_says_so():
    x = cloud(300, 20, 15, spread=1.5)
    assert not kmeans(Gram(x @ x.T), 15, np.random.default_rng(0), n_starts=1, max_iter=1).converged
