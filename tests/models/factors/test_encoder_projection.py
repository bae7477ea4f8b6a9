"""Filling in of missing genes and the expected quality of encoders, against closed forms and rows that were drawn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import omicstl as otl
from omicstl.models.factors import encoder_projection as ep
from tests.support.encoder_model import of_data


@pytest.fixture(scope="module")
def model():
    rng = np.random.default_rng(1)
    x = rng.standard_normal((80, 5)) @ rng.standard_normal((5, 60)) + 0.7 * rng.standard_normal((80, 60)) + 4
    return replace(of_data(x, np.array([f"G{i}" for i in range(60)])), n_obs=None)


def some(model, share=0.4, seed=0):
    p = model.features.size
    return np.sort(np.random.default_rng(seed).permutation(p)[: int(share * p)])


def filled(model, present, missing="model"):
    source = ep.gaussian(model)
    part = ep.panel(source, present)
    return ep.completion(source, present, part, missing)


def test_missing_genes_get_their_conditional_mean(model):
    """Against the textbook formula ``S_mo S_oo^-1 z_o`` with S = L L' + lambda I."""
    present = some(model)
    absent = np.setdiff1d(np.arange(60), present)
    z = np.random.default_rng(2).standard_normal((7, present.size))
    loadings = model.components.astype(float) * np.sqrt(model.variance)
    cov = loadings @ loadings.T + np.mean(model.noise) * np.eye(60)
    expected = z @ np.linalg.solve(cov[np.ix_(present, present)], cov[np.ix_(present, absent)])
    rows = ep.complete(z, filled(model, present))
    np.testing.assert_allclose(rows[:, absent], expected, atol=1e-4)
    np.testing.assert_array_equal(rows[:, present], z.astype(np.float32))
    zeros = ep.complete(z, filled(model, present, "mean"))
    assert not zeros[:, absent].any()
    np.testing.assert_array_equal(zeros[:, present], rows[:, present])


def test_trailing_components_count_as_noise(model):
    """The variance of every gene stays; only so many components speak for missing genes."""
    rng = np.random.default_rng(0)
    p, d = 200, 90
    axes = np.linalg.qr(rng.standard_normal((p, d)))[0]
    many = replace(model, components=axes, variance=np.linspace(5, 0.1, d), noise=np.full(p, 1e-4))
    source = ep.gaussian(many)
    assert source.loadings.shape == (p, ep.RANK)
    total = axes**2 @ many.variance + many.noise
    np.testing.assert_allclose((source.loadings**2).sum(axis=1) + source.noise, total)
    assert source.score_penalty == pytest.approx(source.noise.mean())
    exact = replace(many, components=axes[:, :20], variance=many.variance[:20], noise=np.zeros(p))
    assert ep.gaussian(exact).score_penalty == pytest.approx(
        ep.LEAST_NOISE * (axes[:, :20] ** 2 @ exact.variance).mean()
    )


@pytest.mark.parametrize(("n", "p"), [(60, 400), (300, 150)])
def test_lasting_variance_is_that_of_other_rows(n, p):
    """Against a second sample of the same population, along the axes of the first."""
    rng = np.random.default_rng(0)
    axes = np.linalg.qr(rng.standard_normal((p, 4)))[0] * np.sqrt([80, 40, 20, 0.5])
    scores = rng.standard_normal((n, 5))
    scores[:, 0] = 1  # exact moments in the first sample, so that only its noise matters
    scores = np.linalg.qr(scores)[0][:, 1:] * np.sqrt(n - 1)
    first = scores @ axes.T + rng.standard_normal((n, p))
    second = rng.standard_normal((5000, 4)) @ axes.T + rng.standard_normal((5000, p))
    _, values, found = np.linalg.svd(first - first.mean(axis=0), full_matrices=False)
    variance = values**2 / (n - 1)
    lasting = ep.lasting_variance(variance, float(variance.sum()), p, n)
    others = np.var(second @ found.T, axis=0) - 1
    np.testing.assert_allclose(lasting[:3], others[:3], rtol=0.1)
    assert not lasting[6:].any()
    assert (others[6:30] < 0.3).all()
    assert (variance[:3] - lasting[:3] > 0.8 * (1 + p / n)).all()


def test_components_of_noise_speak_for_no_gene():
    rng = np.random.default_rng(0)
    model = of_data(rng.standard_normal((50, 120)), np.array([f"G{i}" for i in range(120)]), d=40)
    rows = ep.complete(rng.standard_normal((5, 40)), filled(model, np.arange(40)))
    assert np.abs(rows[:, 40:]).max() < 0.2
    assert ep.expected_r2(ep.gaussian(model), np.arange(40), ep.panel(ep.gaussian(model), np.arange(40))) < 0.05


def test_expected_quality_is_that_of_rows_of_the_gaussian(model):
    present = some(model)
    how = filled(model, present)
    found = ep.factor_quality(model, how, np.random.default_rng(0), 4000)
    rng = np.random.default_rng(9)
    cov = (model.components * model.variance) @ model.components.T + np.diag(model.noise)
    z = rng.multivariate_normal(np.zeros(60), cov, size=20_000).astype(np.float32)
    full, part = model.embed(z)[0], model.embed(ep.complete(z[:, present], how))[0]
    for k in range(3):
        both = np.cov(full[:, k], part[:, k])
        assert found.expected_r[k] == pytest.approx(both[0, 1] / np.sqrt(both[0, 0] * both[1, 1]), abs=0.03)
        assert found.expected_slope[k] == pytest.approx(both[0, 1] / both[0, 0], abs=0.06)
        loading = np.array([np.cov(full[:, k], gene)[0, 1] for gene in z.T]) ** 2
        assert found.present_loading[k] == pytest.approx(loading[present].sum() / loading.sum(), abs=0.06)
    assert (found.expected_r < 0.999).all()


def test_expected_quality_does_not_depend_on_the_memory_budget(model):
    how = filled(model, some(model))
    one = ep.factor_quality(model, how, np.random.default_rng(0), 300)
    with otl.settings.override(block_bytes=8 * 60 * 7):
        two = ep.factor_quality(model, how, np.random.default_rng(0), 300)
    for a, b in zip(one, two, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


def test_with_all_genes_nothing_is_drawn(model):
    found = ep.factor_quality(model, filled(model, np.arange(60)), None)
    for part in found:
        np.testing.assert_array_equal(part, 1)


def test_a_factor_that_says_nothing_is_not_expected_to_agree(model):
    second = model.second.copy()
    second[:, 1] = 0
    found = ep.factor_quality(replace(model, second=second), filled(model, some(model)), np.random.default_rng(0), 200)
    assert found.expected_r[1] == found.expected_slope[1] == found.present_loading[1] == 0
    assert (found.expected_r[[0, 2]] > 0.3).all()


def test_captured_variance_by_loop(model):
    present = some(model)
    carried = sum(model.components[j, k] ** 2 * model.variance[k] for j in present for k in range(6))
    assert ep.captured_variance(model, present) == pytest.approx(carried / model.variance.sum(), rel=1e-5)
    assert ep.captured_variance(model, np.arange(60)) == pytest.approx(1)


def test_filling_in_is_better_than_the_mean_on_rows_of_the_same_kind(model):
    rng = np.random.default_rng(4)
    z = rng.standard_normal((400, 6)) * np.sqrt(model.variance) @ model.components.T
    z = (z + rng.standard_normal(z.shape) * np.sqrt(model.noise)).astype(np.float32)
    full, _ = model.embed(z)
    for share in (0.2, 0.5):
        present = some(model, share)
        off = {}
        for missing in ("model", "mean"):
            scores, _ = model.embed(ep.complete(z[:, present], filled(model, present, missing)))
            off[missing] = np.mean((scores - full) ** 2)
        assert off["model"] < 0.75 * off["mean"]
