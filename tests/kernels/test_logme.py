"""Transferability against the formulas as they are written, scikit-learn, and what TLlib returns."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import multivariate_normal
from sklearn.covariance import LedoitWolf

from omicstl.kernels import logme

PEERS = np.load(Path(__file__).parents[1] / "data" / "shift" / "peers.npz")


@pytest.mark.parametrize(("n", "d"), [(40, 6), (25, 60)])
def test_evidence_is_that_of_the_marginal_likelihood(n, d):
    """log N(y; 0, I / beta + F F' / alpha), maximised by a general search."""
    rng = np.random.default_rng(0)
    f = rng.normal(size=(n, d)) * np.linspace(0.5, 2, d)
    y = np.column_stack([f[:, 0] + rng.normal(size=n), 3 * rng.normal(size=n)])
    found = logme.logme(f, y)
    assert found.converged
    for k in range(2):

        def loss(v, target=y[:, k]):
            covariance = np.exp(-v[1]) * np.eye(n) + np.exp(-v[0]) * f @ f.T
            return -multivariate_normal(np.zeros(n), covariance).logpdf(target) / n

        at = loss(np.log([found.alpha[k], found.beta[k]]))
        assert found.evidence[k] == pytest.approx(-at, abs=1e-8)
        best = min(minimize(loss, start, method="Nelder-Mead").fun for start in ([0.0, 0.0], [3.0, 0.0], [6.0, -2.0]))
        assert found.evidence[k] == pytest.approx(-best, abs=2e-4)
    assert found.value == pytest.approx(found.evidence.mean())


def test_equals_tllib():
    classes = logme.logme(PEERS["Xt"], np.eye(2)[PEERS["yt"]])
    assert classes.value == pytest.approx(-0.6037605004744693, abs=1e-6)
    assert classes.value == pytest.approx(float(PEERS["tll_logme"]), abs=1e-6)
    assert logme.logme(PEERS["Xt"], PEERS["yrt"][:, None]).value == pytest.approx(
        float(PEERS["tll_logme_reg"]), abs=1e-6
    )
    labels = PEERS["yt"].astype(np.int64)
    assert logme.h_scores(PEERS["Xt"], labels[None])[0] == pytest.approx(float(PEERS["tll_reg_hscore"]), abs=1e-9)
    p = PEERS["probabilities"]
    assert logme.leep(p, labels) == pytest.approx(float(PEERS["tll_leep"]), abs=1e-9)
    assert logme.leep(np.eye(2)[p.argmax(axis=1)], labels) == pytest.approx(float(PEERS["tll_nce"]), abs=1e-9)


def test_memory_at_20000_features():
    """No features x features matrix: that alone is 3.2 GB, and TLlib holds three of them."""
    rng = np.random.default_rng(0)
    f, y = rng.normal(size=(60, 20_000)), rng.normal(size=(60, 1))
    tracemalloc.start()
    value = logme.logme(f, y).value
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.isfinite(value)
    assert peak < 20_000**2 * 8 / 100


@pytest.mark.parametrize("shape", [(50, 5), (20, 40)])
def test_h_score_is_the_formula(shape):
    rng = np.random.default_rng(1)
    f, labels = rng.normal(size=shape) * 3 + 2, np.arange(shape[0]) % 3
    f[labels == 1, 0] += 4
    fitted = LedoitWolf().fit(f - f.mean(axis=0))
    means = np.array([f[labels == c].mean(axis=0) for c in range(3)])[labels]
    within = (1 - fitted.shrinkage_) * np.cov(means, rowvar=False)
    expected = np.trace(np.linalg.inv(fitted.covariance_) @ within)
    assert logme.h_scores(f, labels[None])[0] == pytest.approx(expected, rel=1e-9)


def test_shrinkage_is_scikit_learns():
    rng = np.random.default_rng(2)
    for shape in ((30, 4), (12, 50)):
        f = rng.normal(size=shape) @ np.diag(np.linspace(0.2, 3, shape[1]))
        f -= f.mean(axis=0)
        found = logme.ledoit_wolf(logme.spectrum(f)[1], np.sum(f * f, axis=1), shape[1])
        assert found == pytest.approx(LedoitWolf(assume_centered=True).fit(f).shrinkage_, rel=1e-9)


def test_h_score_knows_signal_where_the_plain_one_does_not():
    """With more features than rows the plain one is classes - 1, whatever the features are."""
    noise, signal = [], []
    for seed in range(10):
        f, labels = np.random.default_rng(seed).normal(size=(40, 1000)), np.arange(40) % 2
        noise.append(logme.h_scores(f, labels[None])[0])
        f[labels == 1, :100] += 1.5
        signal.append(logme.h_scores(f, labels[None])[0])
        centred = f - f.mean(axis=0)
        means = np.array([centred[labels == c].mean(axis=0) for c in (0, 1)])[labels]
        plain = np.trace(np.linalg.pinv(centred.T @ centred, rcond=1e-10) @ (means.T @ means)) if seed == 0 else 1
        assert plain == pytest.approx(1)
    assert np.mean(signal) > np.mean(noise) + 0.3
    assert np.mean(noise) < 0.6


def test_leep_by_hand_and_its_guards():
    theta = np.array(
        [[0.7, 0.3, 0.0], [0.2, 0.8, 0.0], [0.5, 0.5, 0.0], [0.9, 0.1, 0.0]]
    )  # a source class without mass
    labels = np.array([0, 1, 1, 0])
    joint = np.array([[sum(theta[i, z] for i in range(4) if labels[i] == c) for z in range(3)] for c in range(2)])
    total = 0.0
    for i in range(4):
        total += np.log(sum(joint[labels[i], z] / joint[:, z].sum() * theta[i, z] for z in range(2)))
    assert logme.leep(theta, labels) == pytest.approx(total / 4)
    assert logme.leep(np.eye(2)[[0, 1, 0, 1]], np.array([0, 1, 0, 1])) == pytest.approx(0)


def test_more_signal_is_more_evidence():
    rng = np.random.default_rng(0)
    f, noise = rng.normal(size=(60, 30)), rng.normal(size=60)
    signal = f @ rng.normal(size=30)
    unit = lambda v: ((v - v.mean()) / v.std())[:, None]
    values = [logme.logme(f, unit(unit(signal)[:, 0] * strength + noise)).value for strength in (0, 1, 8)]
    assert values[0] < values[1] < values[2]
    assert np.isfinite(logme.logme(f, f[:, :1]).value)
    assert np.isfinite(logme.logme(f, np.zeros((60, 1))).value)
