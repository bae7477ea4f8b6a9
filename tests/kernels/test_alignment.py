"""CORAL, linear transport and subspace alignment against formulas in full space, scikit-learn, and outputs of other libraries."""

from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
from sklearn.covariance import ledoit_wolf as sklearn_ledoit_wolf

from omicstl.kernels.coral import Covariance, coral, ledoit_wolf, map_between, shrunk_covariance
from omicstl.kernels.linear_transport import linear_transport, monge_map, squared_distance
from omicstl.kernels.row_space import row_space
from omicstl.kernels.subspace import principal_axes, subspace_alignment

DATA = Path(__file__).parents[1] / "data"
GOLDEN = DATA / "adaptation" / "golden_alignment.npz"


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN) as file:
        return dict(file)


@pytest.fixture
def wide():
    """Two domains of fewer rows than variables, and both in the space of their rows."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(12, 50)) + 1, rng.normal(size=(9, 50)) * rng.uniform(0.5, 2, 50) - 1
    space = row_space(np.vstack([a, b]))
    return a, b, space.basis, space.rows[:12], space.rows[12:]


def full(x, a, ridge=0.0):
    s = np.cov(x.T, ddof=0)
    return (1 - a) * s + (a * np.trace(s) / len(s) + ridge) * np.eye(len(s))


def test_row_space_keeps_lengths_and_angles(wide):
    a, b, basis, x, y = wide
    pooled = np.vstack([a, b])
    np.testing.assert_allclose(basis.T @ basis, np.eye(21), atol=1e-10)
    np.testing.assert_allclose(np.vstack([x, y]) @ basis.T, pooled, atol=1e-10)
    few = row_space(pooled, 5)
    singular = np.linalg.svd(pooled, compute_uv=False)
    assert few.kept == pytest.approx((singular[:5] ** 2).sum() / (singular**2).sum())
    tall = row_space(pooled.T, 5)
    np.testing.assert_allclose((tall.rows**2).sum(axis=0), singular[:5] ** 2)


def test_leading_directions_of_a_large_matrix_are_found_without_its_gram_matrix():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(3050, 8)) @ rng.normal(size=(8, 3100)) + 0.01 * rng.normal(size=(3050, 3100))
    found = row_space(x, 8, generator=np.random.default_rng(0))
    assert found.kept == pytest.approx(1 - 1e-4 / 8, abs=1e-5)


@pytest.mark.parametrize("shape", [(12, 50), (60, 7), (10, 10)])
def test_the_intensity_of_shrinkage_is_that_of_scikit_learn(shape):
    x = np.random.default_rng(2).normal(size=shape) * np.linspace(1, 3, shape[1])
    assert ledoit_wolf(x - x.mean(axis=0), shape[1]) == pytest.approx(sklearn_ledoit_wolf(x)[1], rel=1e-10)
    found = shrunk_covariance(x)
    np.testing.assert_allclose(found.power(1.0), sklearn_ledoit_wolf(x)[0], atol=1e-12)
    np.testing.assert_allclose(found.power(-0.5) @ found.power(1.5), found.power(1.0), atol=1e-10)


@pytest.mark.parametrize("shrinkage", [None, 0.3])
def test_few_rows_of_many_variables_are_mapped_as_in_full_space(wide, shrinkage):
    a, b, basis, x, y = wide
    shares = [sklearn_ledoit_wolf(a)[1], sklearn_ledoit_wolf(b)[1]] if shrinkage is None else [shrinkage] * 2
    first, second = full(a, shares[0]), full(b, shares[1])
    root = scipy.linalg.sqrtm(first)
    inverse = np.linalg.inv(root)
    expected = {
        "coral": inverse @ scipy.linalg.sqrtm(second),
        "transport": inverse @ scipy.linalg.sqrtm(root @ second @ root) @ inverse,
    }
    found = {
        "coral": coral(x, y, shrinkage=shrinkage, n_features=50),
        "transport": linear_transport(x, y, shrinkage=shrinkage, n_features=50),
    }
    for name, (matrix, offset) in found.items():
        mapped = (a - a.mean(axis=0)) @ expected[name].real + b.mean(axis=0)
        np.testing.assert_allclose((x @ matrix + offset) @ basis.T, mapped, atol=1e-8, err_msg=name)
    distance = np.trace(first + second) - 2 * np.trace(scipy.linalg.sqrtm(root @ second @ root)).real
    parts = [shrunk_covariance(z, shrinkage=shrinkage, n_features=50) for z in (x, y)]
    assert squared_distance(*parts, n_outside=50 - 21) == pytest.approx(distance)


def test_maps_carry_one_covariance_to_the_other():
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(200, 6)) @ rng.normal(size=(6, 6)) + 4, rng.normal(size=(150, 6)) @ rng.normal(size=(6, 6))
    for matrix, offset in (coral(a, b, shrinkage=0.0), linear_transport(a, b, shrinkage=0.0)):
        mapped = a @ matrix + offset
        np.testing.assert_allclose(np.cov(mapped.T, ddof=0), np.cov(b.T, ddof=0), atol=1e-8)
        np.testing.assert_allclose(mapped.mean(axis=0), b.mean(axis=0), atol=1e-10)
    same = shrunk_covariance(a)
    np.testing.assert_allclose(map_between(same, same), np.eye(6), atol=1e-8)
    np.testing.assert_allclose(monge_map(same, same), np.eye(6), atol=1e-8)
    assert squared_distance(same, same) == pytest.approx(0, abs=1e-8)


def test_a_singular_source_is_refused(wide):
    a, b = wide[:2]
    for align in (coral, linear_transport):
        with pytest.raises(ValueError, match="singular; shrink it"):
            align(a, b, shrinkage=0.0)


def test_coral_of_adapt_does_not_centre(golden):
    for ridge, name in ((1e-5, "adapt_coral_ridge_1e_5"), (1.0, "adapt_coral_ridge_1")):
        matrix, offset = coral(golden["source"], golden["target"], shrinkage=0.0, ridge=ridge, ddof=1, center=False)
        np.testing.assert_allclose(golden["source"] @ matrix, golden[name], atol=1e-10)
        assert not offset.any()


def test_coral_of_skada_centres_both_and_shrinks_correlations(golden):
    def covariance(x):
        scale = x.std(axis=0)
        inner = shrunk_covariance((x - x.mean(axis=0)) / scale)
        values, vectors = np.linalg.eigh(inner.power(1.0) * scale * scale[:, None])
        return Covariance(vectors, values, 0.0, inner.shrinkage)

    x, y = golden["source"], golden["target"]
    matrix = map_between(covariance(x), covariance(y))
    np.testing.assert_allclose((x - x.mean(axis=0)) @ matrix, golden["skada_coral"][:80], atol=1e-10)
    np.testing.assert_allclose(y - y.mean(axis=0), golden["skada_coral"][80:], atol=1e-10)


def test_linear_transport_of_skada(golden):
    matrix, offset = linear_transport(golden["source"], golden["target"], shrinkage=0.0, ridge=1e-8)
    np.testing.assert_allclose(golden["source"] @ matrix + offset, golden["skada_linear_transport"][:80], atol=1e-10)
    np.testing.assert_allclose(golden["target"], golden["skada_linear_transport"][80:], atol=1e-10)


def test_distance_of_normal_distributions_is_that_of_adapt():
    with np.load(DATA / "shift" / "peers.npz") as file:
        x, y, expected = file["Xs"], file["Xt"], float(file["adapt_frechet_distance"])
    parts = [shrunk_covariance(z, shrinkage=0.0, ddof=1) for z in (x, y)]
    gap = x.mean(axis=0) - y.mean(axis=0)
    assert squared_distance(*parts) + gap @ gap == pytest.approx(expected, abs=1e-10)


def test_subspace_alignment_of_adapt_and_skada_centres_both(golden):
    x, y = golden["source"], golden["target"]
    found = subspace_alignment(x, y, 3)
    for rows, axes, wanted in (
        (x, found.source, golden["adapt_subspace_3"]),
        (x, found.source, golden["skada_subspace_3"][:80]),
        (y, found.target, golden["skada_subspace_3"][80:]),
    ):
        z = (rows - rows.mean(axis=0)) @ axes
        np.testing.assert_allclose(z * np.sign((z * wanted).sum(axis=0)), wanted, atol=1e-10)


@pytest.mark.parametrize("shape", [(30, 8), (8, 30)])
def test_principal_axes_are_right_singular_vectors(shape):
    x = np.random.default_rng(4).normal(size=shape)
    axes = principal_axes(x, 4)
    v = np.linalg.svd(x - x.mean(axis=0))[2][:4].T
    np.testing.assert_allclose(np.abs((axes * v).sum(axis=0)), 1, atol=1e-10)
    np.testing.assert_allclose(axes.T @ axes, np.eye(4), atol=1e-10)
    with pytest.raises(ValueError, match="principal axes, 20 are wanted"):
        principal_axes(x[:6], 20)


def test_cosines_are_those_of_the_angles_between_subspaces():
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(40, 10)), rng.normal(size=(40, 10))
    angles = scipy.linalg.subspace_angles(principal_axes(x, 3), principal_axes(y, 3))
    np.testing.assert_allclose(subspace_alignment(x, y, 3).cosines, np.cos(angles)[::-1], atol=1e-8)
