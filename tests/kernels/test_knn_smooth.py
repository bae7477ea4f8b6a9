import numpy as np
import pytest
import scipy.linalg
import scipy.sparse as sp
from scipy.spatial import cKDTree

from omicstl.kernels.knn_smooth import graph_of, neighbours, smooth


@pytest.fixture
def points():
    return np.random.default_rng(0).normal(size=(120, 3))


@pytest.fixture
def graph(points):
    return graph_of(neighbours(points, 6)[0])


def test_neighbours_are_those_of_a_tree(points):
    index, distance = neighbours(points, 6)
    expected, tree = cKDTree(points).query(points, 7)
    np.testing.assert_allclose(distance, expected[:, 1:], atol=1e-7)
    np.testing.assert_array_equal(index, tree[:, 1:])


def test_a_graph_is_symmetric_and_weighs_mutual_edges_twice():
    w = graph_of(np.array([[1], [0], [1]])).toarray()
    np.testing.assert_array_equal(w, [[0, 1, 0], [1, 0, 0.5], [0, 0.5, 0]])


@pytest.mark.parametrize("strength", [0.1, 1.0, 20.0])
def test_it_is_the_mean_of_a_walk_that_is_stopped_at_random(graph, strength):
    rng = np.random.default_rng(1)
    s = rng.normal(size=(120, 3))
    w = graph.toarray()
    laplacian = (np.diag(w.sum(axis=1)) - w) / w.sum(axis=1).mean()
    # the average of exp(-t L) over exponential times of this mean, by quadrature
    nodes, weights = np.polynomial.laguerre.laggauss(60)
    walk = sum(c * scipy.linalg.expm(-strength * t * laplacian) for t, c in zip(nodes, weights, strict=True))
    found = smooth(graph, s, strength)
    assert found.converged
    np.testing.assert_allclose(found.scores, walk @ s, atol=1e-3)
    np.testing.assert_allclose(found.scores, np.linalg.solve(np.eye(120) + strength * laplacian, s), atol=1e-5)


def test_mean_and_range_are_kept_and_spread_falls(graph):
    s = np.random.default_rng(2).exponential(size=(120, 2)) + 7
    spread = s.std(axis=0)
    for strength in (0.5, 5.0, 50.0):
        f = smooth(graph, s, strength).scores
        np.testing.assert_allclose(f.mean(axis=0), s.mean(axis=0), rtol=1e-12)
        assert (f >= s.min(axis=0) - 1e-6).all()
        assert (f <= s.max(axis=0) + 1e-6).all()
        assert (f.std(axis=0) < spread).all()
        spread = f.std(axis=0)


def test_parts_without_an_edge_between_them_do_not_mix():
    half = sp.csr_matrix(np.ones((4, 4)))
    graph = sp.block_diag([half, half, sp.csr_matrix((1, 1))]).tocsr()
    s = np.array([0.0, 1, 0, 1, 10, 11, 10, 11, 99])
    f = smooth(graph, s, 1e4).scores
    np.testing.assert_allclose(f, [0.5] * 4 + [10.5] * 4 + [99], atol=1e-3)


def test_nothing_to_do(graph):
    s = np.arange(120, dtype=np.float32)
    same = smooth(graph, s, 0.0)
    np.testing.assert_array_equal(same.scores, s)
    assert same.scores is not s
    np.testing.assert_array_equal(smooth(sp.csr_matrix((120, 120)), s, 3.0).scores, s)
    constant = smooth(graph, np.ones(120), 3.0)
    np.testing.assert_allclose(constant.scores, 1)
    assert smooth(graph, s, 1.0).scores.dtype == np.float32


def test_it_says_when_it_was_stopped(graph):
    s = np.random.default_rng(3).normal(size=120)
    assert not smooth(graph, s, 100.0, max_iter=2).converged


@pytest.mark.parametrize(
    ("graph", "strength", "match"),
    [
        (sp.csr_matrix((3, 3)), -1.0, "strength"),
        (sp.csr_matrix((2, 2)), 1.0, "shape"),
        (sp.csr_matrix(np.array([[0, -1.0, 0], [0, 0, 0], [0, 0, 0]])), 1.0, "not negative"),
    ],
)
def test_refused(graph, strength, match):
    with pytest.raises(ValueError, match=match):
        smooth(graph, np.ones(3), strength)


@pytest.mark.parametrize("equal", [False, True])
def test_neighbours_of_many_rows_are_those_of_a_whole_sort(equal):
    x = np.random.default_rng(3).normal(size=(1500, 4)).astype(np.float32)
    if equal:
        x[:1200] = x[0]  # far more at the same distance than are asked for
    index, distance = neighbours(x, 12)
    apart = np.sqrt(((x[:, None].astype(float) - x[None]) ** 2).sum(axis=2))
    np.fill_diagonal(apart, np.inf)
    wanted = np.sort(apart, axis=1)[:, :12]
    np.testing.assert_allclose(np.take_along_axis(apart, index, axis=1), wanted, atol=1e-3)
    np.testing.assert_allclose(distance, wanted, atol=2e-3)
    assert all(len(set(row)) == 12 for row in index)
    assert (np.diff(distance, axis=1) >= 0).all()
