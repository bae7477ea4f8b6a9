"""Weights by shares of classes, against the shares that were simulated and a likelihood maximised by scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import expit

from omicstl.kernels import label_shift
from omicstl.models.transfer.class_shift import FEWEST, class_shift_weights
from omicstl.models.transfer.heads import BINARY, MULTINOMIAL, Task, fit_head

TWO, THREE = Task(BINARY, np.array(["no", "yes"])), Task(MULTINOMIAL, np.array(["x", "y", "z"]))


def drawn(shares, n, seed, gap=3.0):
    rng = np.random.default_rng(seed)
    code = rng.choice(len(shares), size=n, p=shares)
    return rng.normal(size=(n, 6)) + gap * np.eye(6)[code], code[:, None].astype(float)


@pytest.mark.parametrize(
    ("task", "source", "target"), [(TWO, (0.5, 0.5), (0.2, 0.8)), (THREE, (0.4, 0.3, 0.3), (0.1, 0.2, 0.7))]
)
def test_weighted_shares_are_those_of_the_target(task, source, target):
    (x, y), (z, code) = drawn(source, 400, 0), drawn(target, 600, 1)
    weights = class_shift_weights(task, x, y, z)
    found = np.bincount(y[:, 0].astype(int), weights=weights) / weights.sum()
    np.testing.assert_allclose(found, np.bincount(code[:, 0].astype(int)) / len(code), atol=0.04)
    assert weights.mean() == pytest.approx(1)


def test_the_share_maximises_the_likelihood():
    (x, y), (z, _) = drawn((0.6, 0.4), 300, 2, gap=1.5), drawn((0.3, 0.7), 300, 3, gap=1.5)
    weights = class_shift_weights(TWO, x, y, z)
    share, prior = np.average(y[:, 0], weights=weights), y.mean()
    head = fit_head(TWO, x, y)
    left, own = expit(head.left_out[:, 0]), expit(head.decide(z)[:, 0])
    found = label_shift.calibrate(np.column_stack([1 - left, left]), y[:, 0].astype(int))
    p = label_shift.calibrated(np.column_stack([1 - own, own]), found)[:, 1]
    loss = lambda s: -np.log(p * s / prior + (1 - p) * (1 - s) / (1 - prior)).sum()
    best = minimize_scalar(loss, bounds=(0.01, 0.99), method="bounded", options={"xatol": 1e-8})
    assert share == pytest.approx(best.x, abs=1e-5)


def test_no_class_is_left_out_and_unknown_rows_count_one():
    (x, y), (z, _) = drawn((0.5, 0.5), 200, 4), drawn((0.0, 1.0), 200, 5)
    y[:10] = np.nan
    weights = class_shift_weights(TWO, x, y, z)
    assert np.all(weights[:10] == 1)
    known = np.arange(200) >= 10
    share = np.average(1 - y[known, 0], weights=weights[known])
    assert 0.9 * FEWEST < share < 2 * FEWEST
    np.testing.assert_array_equal(class_shift_weights(TWO, x, np.ones_like(y), z), 1)
