"""Label shift against general optimisers, exact expectations and planted shares."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import softmax

from omicstl.kernels import label_shift as ls


def drawn(n, shares, seed, *, n_classes=2, apart=2.0, overconfident=1.0):
    """Rows of a Gaussian mixture with the exact posterior under equal shares, sharpened by `overconfident`."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(n_classes, size=n, p=shares)
    means = apart * np.eye(n_classes)
    x = means[labels] + rng.normal(size=(n, n_classes))
    logits = x @ means.T - 0.5 * np.sum(means**2, axis=1)
    return softmax(overconfident * logits, axis=1), labels


@pytest.mark.parametrize("n_classes", [2, 4])
def test_calibration_is_the_optimum_of_a_general_search(n_classes):
    p, labels = drawn(400, np.full(n_classes, 1 / n_classes), 0, n_classes=n_classes, overconfident=3.0)
    counts = np.random.default_rng(1).integers(0, 3, 400).astype(float)
    found = ls.calibrate(p, labels, counts=counts)

    def loss(v):
        q = softmax(v[0] * np.log(p) + np.append(v[1:], 0), axis=1)
        return -np.sum(counts * np.log(q[np.arange(400), labels])) / counts.sum()

    best = minimize(
        loss,
        np.append(1.0, np.zeros(n_classes - 1)),
        method="Nelder-Mead",
        options={"xatol": 1e-7, "fatol": 1e-12, "maxiter": 9000},
    )
    assert found.converged
    np.testing.assert_allclose([found.scale, *found.bias[:-1]], best.x, atol=5e-3)
    assert 0.2 < found.scale < 0.5  # three times too sure
    q = ls.calibrated(p, found)
    share = np.array([counts[labels == c].sum() for c in range(n_classes)]) / counts.sum()
    np.testing.assert_allclose(counts @ q / counts.sum(), share, atol=1e-3)


def test_separated_classes_stay_finite():
    p = np.array([[0.9, 0.1]] * 10 + [[0.1, 0.9]] * 10)
    found = ls.calibrate(p, np.repeat([0, 1], 10))
    assert np.isfinite(found.scale)
    assert np.isfinite(ls.calibrated(p, found)).all()


def test_em_is_the_maximum_of_the_likelihood():
    p, _ = drawn(300, [0.85, 0.15], 0)
    counts = np.random.default_rng(1).integers(0, 3, 300).astype(float)
    found = ls.expectation_maximisation(p, np.array([0.5, 0.5]), counts=counts)
    grid = np.linspace(0.001, 0.999, 20_000)
    value = counts @ np.log(p[:, :1] * grid / 0.5 + p[:, 1:] * (1 - grid) / 0.5)
    assert found.converged
    assert found.shares[0] == pytest.approx(grid[np.argmax(value)], abs=2e-4)
    assert found.shares.sum() == pytest.approx(1)


def test_em_needs_calibration_and_then_finds_the_shares():
    raw, fixed = [], []
    for seed in range(20):
        source, labels = drawn(1000, [0.5, 0.5], seed, apart=1.0, overconfident=4.0)
        target, truth = drawn(1000, [0.9, 0.1], 100 + seed, apart=1.0, overconfident=4.0)
        prior = np.bincount(labels) / 1000
        raw.append(ls.expectation_maximisation(target, prior).shares[1] - truth.mean())
        calibration = ls.calibrate(source, labels)
        fixed.append(ls.expectation_maximisation(ls.calibrated(target, calibration), prior).shares[1] - truth.mean())
    rmse = lambda errors: np.sqrt(np.mean(np.square(errors)))
    assert rmse(fixed) < 0.06
    assert rmse(raw) > 1.5 * rmse(fixed)


def test_black_box_solves_its_equations():
    source, labels = drawn(2000, [0.3, 0.3, 0.4], 0, n_classes=3)
    target, truth = drawn(2000, [0.7, 0.2, 0.1], 1, n_classes=3)
    found = ls.black_box(source, labels, target)
    confusion = np.array([[np.mean(source[:, i] * (labels == j)) for j in range(3)] for i in range(3)])
    np.testing.assert_allclose(confusion @ found.weights, target.mean(axis=0), atol=1e-12)
    assert found.condition == pytest.approx(np.linalg.cond(confusion))
    np.testing.assert_allclose(found.shares, np.bincount(truth) / 2000, atol=0.03)
    same = ls.black_box(source, labels, source)
    np.testing.assert_allclose(same.weights, 1, atol=1e-9)


def test_black_box_counts_are_repeated_rows():
    source, labels = drawn(60, [0.5, 0.5], 0)
    target, _ = drawn(40, [0.8, 0.2], 1)
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 3, 60), rng.integers(0, 3, 40)
    found = ls.black_box(source, labels, target, counts=a.astype(float), target_counts=b.astype(float))
    again = ls.black_box(np.repeat(source, a, axis=0), np.repeat(labels, a), np.repeat(target, b, axis=0))
    np.testing.assert_allclose(found.shares, again.shares)


def test_confused_classes_are_ill_conditioned():
    sharp, labels = drawn(500, [0.5, 0.5], 0, apart=3.0)
    blunt, same = drawn(500, [0.5, 0.5], 0, apart=0.2)
    assert ls.black_box(blunt, same, blunt).condition > 20 * ls.black_box(sharp, labels, sharp).condition
