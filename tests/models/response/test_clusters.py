"""Summaries of clusters: numbers by hand, and intervals that cover where cells are not independent."""

from __future__ import annotations

import numpy as np
import pytest

from omicstl.models.response import clusters as rcl


def test_numbers_by_hand():
    rng = np.random.default_rng(0)
    latent = rng.normal(size=(90, 3))
    score = rng.normal(size=(90, 2))
    clusters = np.repeat(["a", "b", "c"], 30)
    batch = np.tile(["x", "y", "z", "w"], 23)[:90]
    codes = np.tile([0, 1, 2], 30).astype(np.int8)
    codes[:30] = 0
    found = rcl.summarise(score, clusters, latent, batch=batch, codes=codes, novelty=np.linspace(0, 1, 90))
    assert list(found.cluster[::2]) == ["a", "b", "c"]
    assert list(found.drug) == [0, 1] * 3
    np.testing.assert_allclose(found.mean.reshape(3, 2), score.reshape(3, 30, 2).mean(1))
    np.testing.assert_allclose(found.against_rest[:2], score[:30].mean(0) - score[30:].mean(0))
    assert (found.n_units == 4).all()
    assert found.by_batch.all()
    assert found.sensitive[0] == 1
    np.testing.assert_allclose(found.uncertain[2:], 1 / 3)
    assert found.novelty[0] == pytest.approx(np.median(np.linspace(0, 1, 90)[:30]))
    # The cluster-robust error by its definition.
    part = score[:30, 0] - score[:30, 0].mean()
    total = sum(part[batch[:30] == b].sum() ** 2 for b in "xyzw")
    error = np.sqrt(total * 4 / 3) / 30
    assert (found.high - found.low)[0] / 2 == pytest.approx(3.182446 * error, rel=1e-5)


def test_refits_move_a_cluster_however_many_cells_it_has():
    rng = np.random.default_rng(1)
    latent = rng.normal(size=(20000, 2)) + [3.0, 0.0]
    coefficients = np.array([[1.0], [0.0]])
    members = 0.1 * rng.normal(size=(400, 2, 1))
    clusters = np.repeat(["a", "b"], 10000)
    latent[:10000, 1] += 2.0
    score = latent @ coefficients
    found = rcl.summarise(score, clusters, latent, members=members, member_intercept=np.zeros((400, 1)))
    place = latent[:10000].mean(0)
    assert found.model_sd[0] == pytest.approx(0.1 * np.linalg.norm(place), rel=0.1)
    assert (found.high - found.low)[0] > 2 * 0.1 * 3
    # A difference of clusters is moved by their distance alone.
    assert (found.against_rest_high - found.against_rest_low)[0] < (found.high - found.low)[0]
    certain = rcl.summarise(score, clusters, latent)
    assert certain.model_sd[0] == 0
    assert (certain.high - certain.low)[0] < (found.high - found.low)[0] - 0.5


def test_intervals_cover_with_dependent_cells_and_plain_ones_do_not():
    rng = np.random.default_rng(2)
    inside = plain = 0
    for _ in range(200):
        of_batch = rng.normal(0, 1, 8)
        batch = np.repeat(np.arange(8), 50)
        score = (of_batch[batch] + rng.normal(0, 1, 400))[:, None]
        found = rcl.summarise(score, np.full(400, "a"), np.zeros((400, 1)), batch=batch)
        inside += found.low[0] <= 0 <= found.high[0]
        plain += abs(score.mean()) <= 1.96 * score.std() / 20
    assert 0.9 <= inside / 200 <= 0.985
    assert plain / 200 < 0.5
    assert np.isnan(found.against_rest[0])


def test_cells_that_lie_together_are_one_unit():
    rng = np.random.default_rng(3)
    inside = 0
    for i in range(60):
        centre = rng.normal(0, 3, (20, 5))
        own = rng.integers(0, 20, 400)
        latent = centre[own] + 0.2 * rng.normal(size=(400, 5))
        score = (rng.normal(0, 1, 20)[own] + 0.5 * rng.normal(size=400))[:, None]
        found = rcl.summarise(score, np.full(400, "a"), latent, seed=i)
        inside += found.low[0] <= 0 <= found.high[0]
    assert found.n_units[0] == 20
    assert not found.by_batch.any()
    assert inside / 60 > 0.85


def test_tiny_clusters():
    score = np.array([[1.0], [2.0], [4.0]])
    found = rcl.summarise(score, np.array(["a", "b", "b"]), np.ones((3, 2)))
    assert found.n_units[0] == 1
    assert found.low[0] == -np.inf
    assert found.mean[1] == 3.0
    assert np.isnan(found.sensitive).all()
