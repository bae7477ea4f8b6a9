"""Scores of a transfer without labels: weights against a known density ratio, risks against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from omicstl.models.selection import validation


def test_folds_hold_whole_lineages_and_are_of_like_size():
    rng = np.random.default_rng(0)
    lineage = np.repeat([f"t{i}" for i in range(12)], rng.integers(2, 20, 12))
    fold = validation.lineage_folds(lineage, lineage.size, 4, rng)
    assert all(np.unique(fold[lineage == name]).size == 1 for name in np.unique(lineage))
    sizes = np.bincount(fold)
    assert sizes.size == 4
    assert sizes.max() - sizes.min() <= 20
    for groups in (None, np.full(30, "one")):
        assert sorted(np.bincount(validation.lineage_folds(groups, 30, 5, rng))) == [6] * 5
    assert np.unique(validation.lineage_folds(np.array(["a"] * 5 + ["b"] * 9), 14, 5, rng)).size == 2


def test_weights_follow_the_true_density_ratio():
    rng = np.random.default_rng(1)
    lines, cells = rng.normal(size=(1500, 2)), rng.normal(size=(1500, 2)) + [0.8, 0.0]
    found = validation.importance_weights(lines, cells, rng)
    true = np.exp(0.8 * lines[:, 0] - 0.32)
    assert stats.spearmanr(found.weights, true).statistic > 0.97
    np.testing.assert_allclose(np.median(np.abs(np.log(found.weights / true))), 0, atol=0.2)
    assert found.weights.mean() == pytest.approx(1)
    # E[w]^2 / E[w^2] = exp(-0.64)
    assert found.effective == pytest.approx(1500 * np.exp(-0.64), rel=0.15)
    same = validation.importance_weights(lines, rng.normal(size=(1500, 2)), rng)
    assert same.effective > 0.95 * 1500


def test_weights_see_a_difference_in_spread():
    rng = np.random.default_rng(7)
    lines = rng.normal(size=(2000, 1))
    found = validation.importance_weights(lines, 0.6 * rng.normal(size=(2000, 1)), rng)
    true = stats.norm(0, 0.6).pdf(lines[:, 0]) / stats.norm(0, 1).pdf(lines[:, 0])
    assert np.corrcoef(found.weights, true)[0, 1] > 0.97
    assert found.effective < 0.9 * 2000


def test_weights_are_clipped_and_dimensions_limited():
    rng = np.random.default_rng(2)
    lines = rng.normal(size=(300, 2))
    found = validation.importance_weights(lines, rng.normal(size=(300, 2)) * 0.3 + [3.0, 0], rng, clip=5.0)
    assert found.clipped > 0
    assert found.effective < 100
    with pytest.raises(ValueError, match="at most 20 dimensions"):
        validation.importance_weights(rng.normal(size=(9, 21)), rng.normal(size=(9, 21)), rng)


def test_deep_embedded_risk_has_less_variance_and_the_same_mean():
    rng = np.random.default_rng(3)
    plain, embedded = [], []
    for _ in range(400):
        x = rng.normal(size=200)
        w = np.exp(0.7 * x - 0.245)
        risk = validation.weighted_risk(1.0 + 0.3 * x + 0.1 * rng.normal(size=200), w)
        plain.append((w * (1.0 + 0.3 * x)).mean())
        embedded.append(risk.deep_embedded)
    truth = 1.0 + 0.3 * 0.7  # mean of the loss under the shifted normal
    assert np.mean(embedded) == pytest.approx(truth, abs=0.02)
    assert np.var(embedded) < 0.3 * np.var(plain)


def test_risk_formulas_by_hand():
    loss, w = np.array([1.0, 2.0, 4.0]), np.array([0.5, 1.0, 1.5])
    risk = validation.weighted_risk(loss, w)
    assert risk.weighted == pytest.approx((0.5 + 2 + 6) / 3)
    eta = -np.cov(w * loss, w)[0, 1] / np.var(w, ddof=1)
    assert risk.eta == pytest.approx(eta)
    assert risk.deep_embedded == pytest.approx((w * loss).mean() + eta * w.mean() - eta)
    flat = validation.weighted_risk(loss, np.ones(3))
    assert flat.deep_embedded == pytest.approx(loss.mean())


def test_losses_of_lines():
    rng = np.random.default_rng(4)
    y = rng.normal(size=(60, 3))
    y[:10, 1] = np.nan
    y[:, 2] = 1.0
    perfect = validation.line_losses(3.0 * y + 1.0, y)
    np.testing.assert_allclose(perfect, 0, atol=1e-12)
    turned = validation.line_losses(-y, y)
    z = (y[:, 0] - y[:, 0].mean()) / y[:, 0].std()
    np.testing.assert_allclose(turned[:10], z[:10] ** 2)  # one drug is measured there, and a turned score earns nothing
    noise = validation.line_losses(rng.normal(size=y.shape), y)
    assert noise.mean() == pytest.approx(1.0, abs=0.15)
    assert np.isnan(validation.line_losses(y, np.full(y.shape, np.nan))).all()


def test_rank_parts_add_up_to_spearman():
    rng = np.random.default_rng(5)
    y = np.round(rng.normal(size=50), 1)  # ties
    score = y + rng.normal(size=50)
    y[:5] = np.nan
    parts = validation.rank_parts(score, y)
    assert np.isnan(parts[:5]).all()
    assert np.nansum(parts) == pytest.approx(stats.spearmanr(score[5:], y[5:]).statistic)
    assert np.nansum(validation.rank_parts(np.ones(50), y)) == 0
    assert np.isnan(validation.rank_parts(score, np.ones(50))).all()


def test_components_of_both_domains():
    rng = np.random.default_rng(6)
    lines, cells = validation.leading_components(rng.normal(size=(50, 80)) + 5, rng.normal(size=(90, 80)) * 3)
    assert lines.shape == (50, 20)
    assert cells.shape == (90, 20)
    np.testing.assert_allclose(np.concatenate([lines, cells]).std(0), 1)


def test_a_lineage_of_nearly_all_lines_is_not_left_out():
    groups = np.array(["one"] + ["other"] * 59)
    assert not validation.separable(groups)
    assert np.bincount(validation.lineage_folds(groups, 60, 5, np.random.default_rng(0))).tolist() == [12] * 5
    assert validation.separable(np.repeat(["one", "other"], [5, 55]))
    assert not validation.separable(np.repeat("one", 60))
