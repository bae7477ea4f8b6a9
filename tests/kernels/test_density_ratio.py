"""Density ratios against a general optimiser, loops, exact ratios, and what adapt returns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import norm

from omicstl.kernels import density_ratio as dr

PEERS = np.load(Path(__file__).parents[1] / "data" / "shift" / "peers.npz")


@pytest.fixture
def two():
    rng = np.random.default_rng(0)
    return rng.normal(size=(30, 2)), rng.normal(size=(22, 2)) * 0.8 + 0.7


def test_kliep_reaches_the_optimum_of_the_fixture():
    target, source = PEERS["Xt"], PEERS["Xs"]
    at_source = dr.kernels(source, target, 2.0)
    found = dr.kliep(dr.kernels(target, target, 2.0), at_source.mean(axis=0))
    assert found.objective[-1] >= 2.0129
    assert found.converged
    assert (np.diff(found.objective) >= -1e-12).all()
    weights = at_source @ found.alpha
    assert weights.mean() == pytest.approx(1)
    assert np.corrcoef(weights, PEERS["adapt_w_KLIEP"])[0, 1] > 0.999


@pytest.mark.parametrize(("alpha", "name"), [(0.0, "adapt_w_ULSIF"), (0.1, "adapt_w_RULSIF")])
def test_closed_forms_are_those_of_adapt(alpha, name):
    """Kernel exp(-0.5 d^2), penalty 0.1; coefficients below 0 are 0 there."""
    source, target = PEERS["Xs"], PEERS["Xt"]
    found = dr.relative_least_squares(
        source, target, target, widths=np.array([2.0]), penalties=np.array([0.1]), alpha=alpha
    )
    weights = dr.kernels(source, target, found.width) @ np.maximum(found.theta, 0)
    np.testing.assert_allclose(weights, PEERS[name], atol=1e-12)


def test_kliep_is_the_optimum_of_a_general_search(two):
    source, target = two
    a, b = dr.kernels(target, target[:5], 2.0), dr.kernels(source, target[:5], 2.0).mean(axis=0)
    found = dr.kliep(a, b)
    best = minimize(
        lambda v: -np.mean(np.log(a @ np.maximum(v, 1e-12))),
        np.full(5, 1 / b.sum()),
        bounds=[(0, None)] * 5,
        constraints={"type": "eq", "fun": lambda v: b @ v - 1},
        method="SLSQP",
    )
    assert found.objective[-1] >= -best.fun - 1e-6
    assert b @ found.alpha == pytest.approx(1)


def test_kliep_centres_that_no_source_row_sees():
    found = dr.kliep(np.array([[1.0, 0.5], [0.5, 1.0]]), np.array([0.5, 0.0]))
    assert found.alpha[1] == 0
    assert np.isfinite(found.objective).all()


@pytest.mark.parametrize("alpha", [0.0, 0.1, 0.5])
def test_least_squares_and_its_left_out_rows_by_loops(two, alpha):
    source, target = two
    centres, width, penalty = target[:6], 3.0, 0.05
    found = dr.relative_least_squares(
        source, target, centres, widths=np.array([width]), penalties=np.array([penalty]), alpha=alpha
    )
    k = lambda x: np.array([[np.exp(-np.sum((row - c) ** 2) / width) for c in centres] for row in x])
    s, t = k(source), k(target)
    gram = sum(alpha * np.outer(row, row) / 22 for row in t) + sum((1 - alpha) * np.outer(row, row) / 30 for row in s)
    np.testing.assert_allclose(found.theta, np.linalg.solve(gram + penalty * np.eye(6), t.mean(axis=0)))
    errors = []
    for i in range(22):
        without = gram - (1 - alpha) * np.outer(s[i], s[i]) / 30 - alpha * np.outer(t[i], t[i]) / 22
        theta = np.linalg.solve(without + penalty * np.eye(6), np.delete(t, i, axis=0).mean(axis=0))
        theta = np.maximum(theta, 0)
        errors.append(alpha * (t[i] @ theta) ** 2 / 2 + (1 - alpha) * (s[i] @ theta) ** 2 / 2 - t[i] @ theta)
    assert found.scores[0, 0] == pytest.approx(np.mean(errors))


def test_least_squares_finds_a_known_ratio():
    rng = np.random.default_rng(0)
    source, target = rng.normal(size=(600, 1)), rng.normal(size=(600, 1)) + 0.8
    found = dr.relative_least_squares(
        source, target, target[:100], widths=np.array([0.2, 0.8, 3.0, 12.0]), penalties=np.array([1e-3, 1e-2, 0.1, 1.0])
    )
    weights = dr.kernels(source, target[:100], found.width) @ found.theta
    p, q = norm.pdf(source[:, 0], 0.8), norm.pdf(source[:, 0])
    assert np.corrcoef(weights, p / (0.1 * p + 0.9 * q))[0, 1] > 0.97
    assert found.scores.shape == (4, 4)


def test_effective_size():
    assert dr.effective_size(np.ones(7)) == pytest.approx(7)
    assert dr.effective_size(np.array([1.0, 0, 0])) == pytest.approx(1)
    assert dr.effective_size(np.zeros(3)) == 0
    w = np.random.default_rng(0).gamma(1, size=50)
    assert dr.effective_size(3 * w) == pytest.approx(1 / np.sum((w / w.sum()) ** 2))


def test_clipping_keeps_the_mean():
    w = np.array([0.1, 0.1, 0.2, 0.1, 20.0, -3.0])
    assert dr.normalised(w).mean() == pytest.approx(1)
    assert dr.normalised(w)[-1] == 0
    clipped = dr.normalised(w, clip=2.0)
    assert clipped.max() == pytest.approx(2)
    assert clipped.mean() == pytest.approx(1)
    assert clipped[2] == pytest.approx(2 * clipped[0])
    np.testing.assert_array_equal(dr.normalised(np.zeros(3)), np.ones(3))
