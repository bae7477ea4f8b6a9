"""Weights of source rows on known truth, by every rule, and those of a peer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from omicstl._core.random import streams
from omicstl.models.shift import importance_weights


@pytest.mark.parametrize("method", importance_weights.rules())
def test_weights_follow_the_true_ratio(method):
    rng = np.random.default_rng(0)
    source, target = rng.normal(size=(400, 2)), rng.normal(size=(300, 2)) + [0.8, 0]
    found = importance_weights.fit(source, target, source, method=method, clip=None, random=streams(0))
    truth = np.exp(0.8 * source[:, 0])
    assert stats.spearmanr(found.weights, truth).statistic > 0.9
    assert found.weights.mean() == pytest.approx(1)
    assert 0.25 < found.effective / 400 < 0.85
    assert found.converged
    assert np.average(source[:, 0], weights=found.weights) == pytest.approx(0.8, abs=0.3)
    clipped = importance_weights.fit(source, target, source, method=method, clip=1.5, random=streams(0))
    assert clipped.weights.max() <= 1.5 + 1e-9
    assert clipped.effective > found.effective


def test_odds_of_a_classifier_are_those_of_adapt_but_for_the_folds():
    """adapt has the odds on the rows that it has learnt from; ours are held out, with mean 1."""
    with np.load(Path(__file__).parents[2] / "data" / "shift" / "peers.npz") as file:
        source, target, expected = file["Xs"], file["Xt"], file["adapt_w_IWC"]
    found = importance_weights.fit(source, target, source, method="discriminator", clip=None, random=streams(0))
    assert stats.spearmanr(found.weights, expected).statistic > 0.97
    assert stats.pearsonr(np.log(found.weights), np.log(expected)).statistic > 0.97
