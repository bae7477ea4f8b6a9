"""Neighbours, division of counts and the choice of a strength, each against plain numpy."""

from __future__ import annotations

import numpy as np
import pytest

from omicstl._core.random import Streams
from omicstl.models.response import smoothing


def naive_graph(points, k, averaged):
    """Two rounds of nearest rows by angle, in float64, one row at a time."""
    c = points / np.linalg.norm(points, axis=1, keepdims=True)
    for size in (averaged, k):
        near = []
        for i in range(len(c)):
            cosine = c @ c[i]
            cosine[i] = -np.inf
            near.append(np.argsort(-cosine)[:size])
        if size == averaged:
            c = np.stack([c[i] + c[near[i]].sum(axis=0) for i in range(len(c))])
            c /= np.linalg.norm(c, axis=1, keepdims=True)
    w = np.zeros((len(c), len(c)))
    for i, rows in enumerate(near):
        w[i, rows] = 1
    return (w + w.T) / 2


def test_graph_against_rows_one_by_one():
    points = np.random.default_rng(0).standard_normal((90, 6))
    given = points.copy()
    np.testing.assert_allclose(smoothing.graph(points).toarray(), naive_graph(points, 15, 10))
    np.testing.assert_array_equal(points, given)


def test_the_second_round_finds_more_of_the_own_group():
    rng = np.random.default_rng(1)
    group = np.repeat(np.arange(30), 25)
    points = rng.standard_normal((30, 20))[group] + 0.9 * rng.standard_normal((750, 20))
    own = group[:, None] == group
    once = points / np.linalg.norm(points, axis=1, keepdims=True)
    near = smoothing.knn_smooth.neighbours(once, 15)[0]
    twice = smoothing.graph(points).toarray()
    assert twice[own].sum() / twice.sum() > np.take_along_axis(own, near, axis=1).mean() + 0.1


def test_few_rows_and_rows_of_zeros():
    assert smoothing.graph(np.ones((2, 3))).toarray().tolist() == [[0, 1], [1, 0]]
    edges = smoothing.graph(np.vstack([np.zeros((1, 3)), np.random.default_rng(0).standard_normal((30, 3))]))
    assert np.isfinite(edges.data).all()


@pytest.mark.parametrize("shape", [(300, 120), (900, 850)])
def test_axes_against_singular_vectors(shape):
    """The second shape is solved with random starts; its leading axes stand out."""
    rng = np.random.default_rng(2)
    n, p = shape
    z = (rng.standard_normal((n, 5)) @ rng.standard_normal((5, p)) + rng.standard_normal((n, p))).astype(np.float32)
    gain = rng.uniform(0.2, 1, p)
    found = smoothing.axes_of(z, Streams(0), 5, gain)
    vectors = np.linalg.svd(z.astype(float) * gain, full_matrices=False)[2][:5]
    axes = found / gain[:, None]
    np.testing.assert_allclose(np.linalg.svd(vectors @ axes)[1], 1, atol=1e-3)
    assert found.dtype == np.float32


def negative_binomial(rng, mean, dispersion):
    return rng.poisson(mean * rng.gamma(1 / dispersion, dispersion, mean.shape)).astype(float)


@pytest.mark.parametrize("dispersion", [0.1, 0.5])
def test_dispersion_is_that_of_the_draw(dispersion):
    """Groups with other means and depths; what neighbours differ in is noise alone."""
    rng = np.random.default_rng(3)
    group = np.repeat(np.arange(8), 50)
    share = rng.gamma(2, 1, (8, 300))
    share /= share.sum(axis=1, keepdims=True)
    depth = np.exp(0.4 * rng.standard_normal(400)) * 900
    counts = negative_binomial(rng, depth[:, None] * share[group], dispersion)
    edges = smoothing.knn_smooth.graph_of(
        np.stack([rng.choice(np.setdiff1d(np.flatnonzero(group == g), [i]), 15, False) for i, g in enumerate(group)])
    )
    assert smoothing.dispersion_of(counts, edges) == pytest.approx(dispersion, rel=0.15)


def test_poisson_counts_have_next_to_no_dispersion():
    rng = np.random.default_rng(4)
    counts = rng.poisson(3.0, (200, 100)).astype(float)
    edges = smoothing.graph(rng.standard_normal((200, 4)))
    assert smoothing.dispersion_of(counts, edges) < 0.02


@pytest.mark.parametrize("dispersion", [0.0, 0.5])
def test_parts_of_counts_are_independent(dispersion):
    rng = np.random.default_rng(5)
    mean = np.full((200_000, 1), 6.0)
    counts = negative_binomial(rng, mean, dispersion) if dispersion else rng.poisson(mean).astype(float)
    first = smoothing.divided(counts, 0.7, dispersion, rng)
    rest = counts - first
    assert rest.min() >= 0
    assert first.mean() == pytest.approx(4.2, rel=0.01)
    assert abs(np.corrcoef(first[:, 0], rest[:, 0])[0, 1]) < 0.01
    if dispersion:  # a binomial leaves what is beyond Poisson in both parts
        plain = smoothing.divided(counts, 0.7, 0.0, rng)
        assert np.corrcoef(plain[:, 0], (counts - plain)[:, 0])[0, 1] > 0.3


def test_one_strength_for_all_but_those_that_surely_want_another():
    rng = np.random.default_rng(6)
    s, m = len(smoothing.STRENGTHS), 400
    parts = 1e-3 * rng.standard_normal((s, m, 4))
    parts[3] += 2e-3  # the third strength above zero is best on the whole
    parts[0, :, 2] += 4e-3  # a drug that is better off alone
    parts[5, 0, 1] = 1.0  # one cell that speaks for another strength is no evidence
    parts[:, :, 3] = np.nan
    found = smoothing.picked(parts)
    best = smoothing.STRENGTHS[3]
    np.testing.assert_array_equal(found.strength, [best, best, 0, 0])
    np.testing.assert_allclose(found.agreement[:, :3], parts.sum(axis=1)[:, :3])
    assert np.isnan(found.agreement[:, 3]).all()


@pytest.mark.parametrize(("lead", "place"), [(0.5, 0), (3.0, 4)])
def test_the_weakest_strength_that_is_not_surely_worse(lead, place):
    """The fourth strength above zero leads by `lead` standard errors."""
    rng = np.random.default_rng(7)
    m = 500
    parts = np.zeros((len(smoothing.STRENGTHS), m, 1))
    noise = rng.standard_normal(m)
    parts[4, :, 0] = (noise - noise.mean()) / noise.std() + lead / np.sqrt(m)
    assert smoothing.picked(parts).strength[0] == smoothing.STRENGTHS[place]
