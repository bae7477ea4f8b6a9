"""Losses of labels against numpy, and masks."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from omicstl.nn import label_losses as losses

RNG = np.random.default_rng(0)
LOGIT, Y = RNG.normal(0, 2, (8, 3)), (RNG.random((8, 3)) < 0.4).astype(float)


def f(x):
    return jnp.asarray(x, jnp.float32)


@pytest.mark.parametrize("focus", [0.0, 2.0])
def test_cross_entropy_and_focal(focus):
    p = 1 / (1 + np.exp(-LOGIT))
    right = np.where(Y == 1, p, 1 - p)
    np.testing.assert_allclose(
        losses.cross_entropy(f(LOGIT), f(Y), focus), -((1 - right) ** focus) * np.log(right), rtol=1e-4
    )


@pytest.mark.parametrize("focus", [0.0, 2.0])
def test_classes(focus):
    one_hot = np.eye(3)[RNG.integers(0, 3, 8)]
    p = np.exp(LOGIT) / np.exp(LOGIT).sum(axis=1, keepdims=True)
    expected = -(((1 - p) ** focus) * np.log(p) * one_hot).sum(axis=1)
    np.testing.assert_allclose(losses.classes(f(LOGIT), f(one_hot), focus).mean(axis=1), expected, rtol=1e-4)


def test_huber_is_quadratic_then_linear():
    error = np.array([[-3.0, -1.0, 0.0, 0.5, 2.0]])
    expected = np.where(np.abs(error) <= 1.345, 0.5 * error**2, 1.345 * (np.abs(error) - 0.5 * 1.345))
    np.testing.assert_allclose(losses.huber(f(error), f(np.zeros_like(error))), expected, rtol=1e-5)


def test_unknown_labels_have_neither_value_nor_gradient():
    y = Y.copy()
    y[0, 0] = y[3, 2] = np.nan
    weights = losses.label_weights(y, np.array([True, True, False]))
    rows = f(np.r_[np.ones(7), 0])

    def loss(logit):
        return losses.masked_mean(losses.cross_entropy(logit, f(np.nan_to_num(y))), f(weights), rows)

    slope = np.asarray(jax.grad(loss)(f(LOGIT)))
    assert not slope[0, 0]
    assert not slope[3, 2]
    assert not slope[7].any()
    assert np.count_nonzero(slope) == 7 * 3 - 2
    each = np.log1p(np.exp(LOGIT)) - np.nan_to_num(y) * LOGIT
    np.testing.assert_allclose(loss(f(LOGIT)), np.sum((weights * each)[:7]) / 7 / 3, rtol=1e-5)


def test_an_infinite_loss_that_does_not_count_stays_out():
    loss = f([[np.inf], [1.0]])
    assert float(losses.masked_mean(loss, f([[0.0], [1.0]]), f([1, 1]))) == 0.5


def test_label_weights_balance_classes_and_outputs():
    y = np.array([[1, 2.0], [0, np.nan], [0, 1.0], [0, 3.0], [np.nan, np.nan]])
    weights = losses.label_weights(y, np.array([True, False]))
    np.testing.assert_allclose(weights[:, 0], [2, 2 / 3, 2 / 3, 2 / 3, 0], rtol=1e-6)
    np.testing.assert_allclose(weights[:, 1], [4 / 3, 0, 4 / 3, 4 / 3, 0], rtol=1e-6)
    plain = losses.label_weights(y, np.array([True, False]), balanced=False)
    np.testing.assert_allclose(plain[:, 0], [1, 1, 1, 1, 0])


def test_correlation_distance_is_weighted_pearson():
    value, w = RNG.normal(size=(20, 2)), RNG.uniform(0.1, 1, (20, 2))
    y = value + RNG.normal(size=(20, 2))
    r = []
    for j in range(2):
        c = np.cov(np.stack([value[:, j], y[:, j]]), aweights=w[:, j])
        r.append(c[0, 1] / np.sqrt(c[0, 0] * c[1, 1]))
    np.testing.assert_allclose(losses.correlation_distance(f(value), f(y), f(w)), 1 - np.mean(r), rtol=1e-4)
    constant = np.column_stack([y[:, 0], np.ones(20)])
    np.testing.assert_allclose(losses.correlation_distance(f(value), f(constant), f(w)), 1 - r[0], rtol=1e-4)
