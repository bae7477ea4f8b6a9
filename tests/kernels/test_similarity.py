"""Similarity of spaces against scikit-learn, plain loops and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.cross_decomposition import CCA
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import LeaveOneOut, cross_val_predict

from omicstl.kernels import similarity


@pytest.fixture
def two():
    rng = np.random.default_rng(0)
    common = rng.normal(size=(80, 2))
    a = np.column_stack([common, rng.normal(size=(80, 2))]) @ rng.normal(size=(4, 4)) + 3
    b = np.column_stack([common + 0.3 * rng.normal(size=(80, 2)), rng.normal(size=80)]) @ rng.normal(size=(3, 3))
    return a, b


def axes(x):
    return similarity.leading(similarity.centred(x), 1.0)


def test_canonical_correlations_are_those_of_scikit_learn(two) -> None:
    a, b = two
    u, v = CCA(n_components=3, max_iter=5000, tol=1e-10).fit_transform(a, b)
    expected = np.mean([np.corrcoef(u[:, i], v[:, i])[0, 1] for i in range(3)])
    assert similarity.mean_canonical(axes(a), axes(b)) == pytest.approx(expected, abs=1e-5)


def test_leading_directions_are_the_fewest_with_that_variance(two) -> None:
    a = similarity.centred(two[0])
    variance = np.sort(np.linalg.eigvalsh(np.cov(a.T)))[::-1]
    share = np.cumsum(variance) / variance.sum()
    for wanted in (0.5, 0.9, 0.99, share[1] + 1e-9):
        found = similarity.leading(a, float(wanted))
        assert found.shape[1] == 1 + np.sum(share < wanted)
        np.testing.assert_allclose(found.T @ found, np.eye(found.shape[1]), atol=1e-12)
    doubled = np.column_stack([a, a[:, :2]])
    assert similarity.leading(doubled, 1.0).shape[1] == 4
    assert similarity.leading(np.zeros((5, 2)), 0.99).shape[1] == 0
    assert similarity.mean_canonical(np.zeros((5, 0)), np.eye(5)[:, :1]) == 0


def test_alignment_by_its_definition(two) -> None:
    a, b = two
    n = len(a)
    h = np.eye(n) - 1 / n
    k, m = h @ (a @ a.T) @ h, h @ (b @ b.T) @ h  # Gretton's criterion of the two Gram matrices
    expected = np.trace(k @ m) / np.sqrt(np.trace(k @ k) * np.trace(m @ m))
    found = similarity.cka(similarity.centred(a), similarity.centred(b))
    assert found == pytest.approx(expected, rel=1e-10)
    turned = np.linalg.qr(np.random.default_rng(1).normal(size=(4, 4)))[0]
    assert similarity.cka(similarity.centred(a), 5 * similarity.centred(a) @ turned) == pytest.approx(1)
    assert similarity.cka(similarity.centred(a), np.zeros((n, 2))) == 0


def test_left_out_by_fitting_again(two) -> None:
    a, b = two
    found = similarity.left_out(a, b)
    predicted = cross_val_predict(LinearRegression(), a, b, cv=LeaveOneOut())
    means = (b.sum(axis=0) - b) / (len(b) - 1)
    np.testing.assert_allclose(found.errors, b - predicted, atol=1e-9)
    np.testing.assert_allclose(found.coefficients, LinearRegression().fit(a, b).coef_.T, atol=1e-9)
    expected = 1 - np.sum((b - predicted) ** 2, axis=0) / np.sum((b - means) ** 2, axis=0)
    np.testing.assert_allclose(found.r2, expected, atol=1e-9)


def test_left_out_without_rows_or_variation(two) -> None:
    a, b = two
    assert np.isnan(similarity.left_out(a[:5], b[:5]).r2).all()
    assert np.isfinite(similarity.left_out(a[:6], b[:6]).r2).all()
    constant = np.column_stack([b[:, 0], np.full(80, 0.1)])
    np.testing.assert_array_equal(np.isnan(similarity.left_out(a, constant).r2), [False, True])
    twice = similarity.left_out(np.column_stack([a, a[:, :1]]), b)
    np.testing.assert_allclose(twice.errors, similarity.left_out(a, b).errors, atol=1e-9)
    none = similarity.left_out(np.ones((8, 2)), b[:8])
    np.testing.assert_allclose(none.r2, 0, atol=1e-12)
