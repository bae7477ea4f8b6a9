"""Strength of smoothing chosen on unlabelled cells: used where it helps, left where it would erase biology."""

from __future__ import annotations

import numpy as np
import pytest
from response_sim import auroc, drawn_of, simulate

from omicstl._core.random import streams
from omicstl.kernels import knn_smooth
from omicstl.kernels.principal import leading
from omicstl.models.response import smoothing, smoothing_selection


def z_of(x):
    return (x - x.mean(0)) / (x.std(0) + 1e-6)


def gene_weights(x, y, penalty):
    a = z_of(x.astype(float))
    return np.linalg.solve(a.T @ a + penalty * np.eye(a.shape[1]), a.T @ (y - y.mean(0)))


def smoothed(z, score, strength):
    near, _ = knn_smooth.neighbours(leading(z, 30), 15)
    return knn_smooth.smooth(knn_smooth.graph_of(near), score, strength).scores


@pytest.mark.parametrize("subclones", [True, False])
@pytest.mark.parametrize("sep", [0.6, 2.0])
def test_what_differs_within_a_clone_is_not_erased(subclones, sep):
    lost = []
    for seed in range(3):
        sim = simulate(seed, n=200, m=600, p=400, sep=sep, shift=1.5, umi=1200, subclones=subclones)
        z, weights = z_of(sim.cells), gene_weights(sim.x, sim.y, 400.0)
        found = smoothing_selection.choose(z, weights, streams(seed))
        score = z @ weights
        before, after = (
            np.mean([auroc(s[sim.clone == c, 0], sim.sensitive[sim.clone == c]) for c in range(3)])
            for s in (score, smoothed(z, score, found.strength[0]))
        )
        assert before > 0.55
        lost.append(before - after)
    assert max(lost) < 0.01


def test_cells_of_distinct_lines_are_smoothed():
    sim = simulate(1, n=200, m=400, p=400, umi=1200)
    drawn = drawn_of(sim.x[:30], sim.cells, streams(0), 20, background=sim.x)
    z, weights = z_of(drawn.x), gene_weights(sim.x[30:], sim.y[30:], 400.0)
    found = smoothing_selection.choose(z, weights, streams(0))
    assert found.strength[0] >= 1
    score = z @ weights
    true = sim.y[:30, 0][drawn.line]
    before, after = (np.corrcoef(s[:, 0], true)[0, 1] for s in (score, smoothed(z, score, found.strength[0])))
    assert after > before + 0.05
    assert found.overall.shape == found.within.shape == (len(smoothing.STRENGTHS), 1)


def test_noise_is_not_smoothed():
    rng = np.random.default_rng(0)
    found = smoothing_selection.choose(rng.normal(size=(300, 200)), rng.normal(size=(200, 20)), streams(0))
    assert (found.strength == 0).mean() >= 0.85


def test_too_few_cells_are_left_alone():
    found = smoothing_selection.choose(np.ones((10, 50)), np.ones((50, 2)), streams(0))
    np.testing.assert_array_equal(found.strength, 0)
    assert np.isnan(found.overall).all()
