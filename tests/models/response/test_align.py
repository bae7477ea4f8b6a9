"""Components, gains, the denoiser and CORAL against plain numpy."""

from __future__ import annotations

import numpy as np
import pytest

from omicstl.models.response import align


@pytest.fixture(scope="module")
def lines():
    rng = np.random.default_rng(0)
    z = rng.standard_normal((80, 12)) @ rng.standard_normal((12, 50)) + 0.5 * rng.standard_normal((80, 50))
    return (z - z.mean(axis=0)) / z.std(axis=0)


@pytest.mark.parametrize("rows", [80, 30])
def test_components_are_those_of_an_svd(lines, rows):
    z = lines[:rows] - lines[:rows].mean(axis=0)
    found = align.components(z, 6)
    _, s, vt = np.linalg.svd(z, full_matrices=False)
    np.testing.assert_allclose(found.variance, s[:6] ** 2 / (rows - 1), rtol=1e-9)
    np.testing.assert_allclose(np.abs((found.axes * vt[:6].T).sum(axis=0)), 1, atol=1e-8)
    np.testing.assert_allclose(found.axes.T @ found.axes, np.eye(6), atol=1e-9)
    assert align.components(z, 500).axes.shape[1] <= min(rows - 1, 50)


def plain_gains(sigma, c, rounds=12):
    """The same least squares with the covariance of genes written out, gene by gene."""
    p = len(sigma)
    gain = np.full(p, 0.5)
    for _ in range(rounds):
        top, bottom = np.zeros(p), np.zeros(p)
        for g in range(p):
            others = [h for h in range(p) if h != g]
            top[g] = sum(sigma[g, h] * c[g, h] * gain[h] for h in others)
            bottom[g] = sum((sigma[g, h] * gain[h]) ** 2 for h in others)
        pull = align._SHRINK * bottom.mean()
        common = max(top.sum() / bottom.sum(), align._LOW)
        new = np.clip((top + pull * common) / (bottom + pull), align._LOW, align._HIGH)
        gain = 0.5 * gain + 0.5 * new
    return gain


def test_gains_against_loops(lines):
    cells = np.random.default_rng(1).standard_normal((40, 50)) + lines[:40] * np.linspace(0.1, 1, 50)
    base = align.components(lines, 20)
    sigma = (base.axes * base.variance) @ base.axes.T
    np.testing.assert_allclose(
        align.gains(base.axes, base.variance, cells), plain_gains(sigma, cells.T @ cells / 40), rtol=1e-8
    )


def test_gains_find_what_shows(lines):
    rng = np.random.default_rng(2)
    base = align.components(lines, 12)
    gain = np.repeat([0.3, 0.8], 25)
    states = rng.standard_normal((4000, 12)) * np.sqrt(base.variance) @ base.axes.T
    cells = gain * states + np.sqrt(np.maximum(1 - gain**2, 0)) * rng.standard_normal((4000, 50))
    found = align.gains(base.axes, base.variance, cells)
    assert found[:25].max() < found[25:].min()


def test_denoiser_is_the_conditional_mean(lines):
    base = align.components(lines, 8)
    cells = np.random.default_rng(3).standard_normal((100, 50)) + lines.repeat(2, axis=0)[:100]
    found = align.denoiser(base.axes, base.variance, cells)
    loadings = base.axes * found.gain[:, None]
    own = np.minimum((base.axes**2) @ base.variance, 1)
    noise = align._NOISE * (1 - found.gain**2 * own + align._FLOOR)
    # Gaussian regression of components on genes, with the covariance of genes written out
    covariance = loadings @ np.diag(base.variance) @ loadings.T + np.diag(noise)
    expected = np.linalg.solve(covariance, loadings * base.variance)
    np.testing.assert_allclose(found.maps, expected, atol=1e-10)


def test_coral_gives_the_covariance_of_the_target():
    rng = np.random.default_rng(4)
    source = rng.standard_normal((20_000, 4)) @ rng.standard_normal((4, 4))
    target = rng.standard_normal((20_000, 4)) @ rng.standard_normal((4, 4))
    turned = source @ align.coral(source, target)
    np.testing.assert_allclose(np.cov(turned.T), np.cov(target.T), atol=0.05 * np.cov(target.T).max())


def test_shrinkage_is_that_of_ledoit_and_wolf():
    from sklearn.covariance import ledoit_wolf

    x = np.random.default_rng(5).standard_normal((30, 12)) * np.arange(1, 13)
    np.testing.assert_allclose(align.shrunk(x), ledoit_wolf(x)[0], rtol=1e-8)
