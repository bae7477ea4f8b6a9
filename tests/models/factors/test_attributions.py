"""Against integrated gradients by automatic differentiation in gene space, unit by unit; and what must hold of any method."""

from __future__ import annotations

from dataclasses import replace

import jax
import numpy as np
import pytest

import omicstl as otl
from omicstl.kernels import co_activation
from omicstl.models.factors import attributions
from omicstl.models.factors.attributions import Block
from tests.support import network_models as networks

N, STEPS = 17, 10
INTEGRATED = attributions.METHODS[:2]


def rows(p, seed=3):
    return np.random.default_rng(seed).normal(size=(N, p)).astype(np.float32)


def blocks(z, covariates=None, size=6):
    covariates = np.zeros((N, 0), np.float32) if covariates is None else covariates
    for low in range(0, N, size):
        yield Block(z[low : low + size], covariates[low : low + size])


def attribute(model, *parts, **options):
    return attributions.attribute(model, blocks(*parts), 6, **{"n_steps": STEPS, **options})


def differentiate(model, x, start):
    """Mean Jacobian (n, k, p) on the lines from `start` to `x`, the change of the scores (n, k), the Jacobian at `x`."""
    score = networks.score(model)
    x, start = x.astype(np.float64), np.broadcast_to(start, x.shape).astype(np.float64)
    with jax.enable_x64(True):
        both = jax.jit(jax.vmap(lambda row: (score(row), jax.jacrev(score)(row))))
        mean = np.mean([both(start + (step + 0.5) / STEPS * (x - start))[1] for step in range(STEPS)], axis=0)
        (end, there), (begin, _) = both(x), both(start)
        return mean, np.asarray(end - begin), np.asarray(there)


@pytest.fixture(scope="module")
def differentiated():
    return differentiate(networks.ensemble(), rows(30), 0)


@pytest.fixture(scope="module")
def expected(differentiated):
    """Integrated gradients (n, k, p) and changes (n, k) of the ensemble, in float64."""
    mean, change, _ = differentiated
    return mean * rows(30)[:, None], change


def test_the_scores_of_the_test_are_those_of_the_model(expected):
    model = networks.ensemble()
    ends = model.embed(np.vstack([rows(30), np.zeros((1, 30), np.float32)]))[0]
    np.testing.assert_allclose(ends[:-1] - ends[-1], expected[1], rtol=1e-4, atol=1e-5)


def test_signed_is_the_mean_over_observations_by_the_sign_of_their_change(expected):
    each, change = expected
    found = attribute(networks.ensemble(), rows(30))
    wanted = np.mean(np.sign(change)[:, :, None] * each, axis=0).T
    np.testing.assert_allclose(found.values, wanted, atol=2e-5 * np.abs(wanted).max())


def test_absolute_is_the_mean_of_absolute_values(expected):
    each, _ = expected
    found = attribute(networks.ensemble(), rows(30), method="integrated_gradients_absolute")
    wanted = np.abs(each).mean(axis=0).T
    np.testing.assert_allclose(found.values, wanted, atol=2e-5 * wanted.max())


@pytest.mark.parametrize("method", INTEGRATED)
def test_the_gap_is_what_the_sums_over_genes_leave(method, expected):
    each, change = expected
    wanted = np.abs(each.sum(axis=2) - change).mean(axis=0) / np.abs(change).mean(axis=0)
    assert wanted[:4].min() > 1e-3  # there is one, with ten steps
    assert wanted[4:].max() < 1e-12  # components are linear
    found = attribute(networks.ensemble(), rows(30), method=method)
    np.testing.assert_allclose(found.gap, wanted, rtol=1e-2, atol=1e-12)
    more = attribute(networks.ensemble(), rows(30), method=method, n_steps=500)
    assert (more.gap[:4] < wanted[:4] / 5).all()


def test_gradient_is_the_mean_jacobian(differentiated):
    wanted = differentiated[2].mean(axis=0).T
    found = attribute(networks.ensemble(), rows(30), method="gradient")
    np.testing.assert_allclose(found.values, wanted, atol=2e-5 * np.abs(wanted).max())
    assert np.isnan(found.gap).all()


def test_correlation_is_pearsons():
    model, z = networks.ensemble(), rows(30)
    z[:, 4] = 0.25  # does not vary
    scores, _ = model.embed(z)
    found = attributions.correlate(model, blocks(z))
    assert not found.values[4].any()
    for j in np.setdiff1d(range(30), 4):
        for c in range(6):
            assert found.values[j, c] == pytest.approx(np.corrcoef(z[:, j], scores[:, c])[0, 1], abs=1e-5)
    assert np.isnan(found.gap).all()


def test_a_linear_ensemble_has_the_closed_form():
    """Every method comes down to the weights w of the genes: mean of sign(w z) w_j z_j, mean |w_j z_j|, w_j."""
    model, z = networks.without_bends(networks.ensemble()), rows(30)
    w = networks.slopes(model)
    each = z[:, None].astype(np.float64) * w
    sign = np.sign(each.sum(axis=2))[:, :, None]
    tolerance = {"rtol": 1e-3, "atol": 1e-4 * np.abs(w).max()}
    signed = attribute(model, z, n_steps=1)
    np.testing.assert_allclose(signed.values, np.mean(sign * each, axis=0).T, **tolerance)
    absolute = attribute(model, z, n_steps=1, method="integrated_gradients_absolute")
    np.testing.assert_allclose(absolute.values, np.abs(each).mean(axis=0).T, **tolerance)
    np.testing.assert_allclose(attribute(model, z, method="gradient").values, w.T, **tolerance)
    assert signed.gap.max() < 1e-3


@pytest.mark.parametrize("method", attributions.METHODS)
def test_turning_a_factor_around_turns_its_signed_attributions_around(method):
    """Scores and what they are made of change sign; the sign of the change does too, so integrated gradients stay.

    Only clusters are turned, components stay as they are.
    """
    model, z = networks.ensemble(), rows(30)
    turned = replace(model, node_sign=-model.node_sign)
    if method == "correlation":
        one, two = (attributions.correlate(m, blocks(z)).values for m in (model, turned))
    else:
        one, two = (attribute(m, z, method=method).values for m in (model, turned))
    sign = 1 if method in INTEGRATED else np.array([-1, -1, -1, -1, 1, 1])
    np.testing.assert_allclose(two, sign * one, atol=1e-5 * np.abs(one).max())


@pytest.mark.parametrize(("hidden", "with_batch"), [((), True), ((9,), False), ((9, 6), True), ((7, 6, 5), False)])
def test_one_network_of_any_depth_with_covariates(hidden, with_batch):
    """The baseline has every gene at its mean and the covariates of the observation."""
    model, z = networks.vae(hidden=hidden, with_batch=with_batch), rows(12)
    codes = model.covariate_codes.matrix({"batch": np.array(["a", "b", "b"] * 6)[:N]}, N)
    x, start = np.concatenate([z, codes], axis=1), np.concatenate([np.zeros_like(z), codes], axis=1)
    mean, change, _ = differentiate(model, x, start)
    wanted = np.mean(np.sign(change)[:, :, None] * mean[:, :, :12] * z[:, None], axis=0).T
    found = attribute(model, *((z, codes) if with_batch else (z,)))
    assert found.values.shape == (12, 3)
    np.testing.assert_allclose(found.values, wanted, atol=2e-5 * np.abs(wanted).max())


def test_blocks_of_any_length_and_budget_give_the_same():
    model, z = networks.ensemble(), rows(30)
    one = attribute(model, z)
    whole = attributions.attribute(model, blocks(z, size=32), 32, n_steps=STEPS)
    np.testing.assert_allclose(whole.values, one.values, atol=1e-6 * np.abs(one.values).max())
    np.testing.assert_allclose(whole.gap, one.gap, rtol=1e-3)


def test_the_rows_at_a_time_follow_the_budget(monkeypatch):
    model = networks.ensemble()  # 4 clusters, 8 components: 128 bytes a row
    monkeypatch.setattr(attributions, "_workers", lambda: 2)
    with otl.settings.override(block_bytes=1024):
        assert attributions.block_size(model, 1000) == 4
    assert attributions.block_size(model, 10_000) == attributions.MOST_ROWS
    assert attributions.block_size(model, 20) == 16
    assert attributions.block_size(networks.vae(with_batch=True), 1) == 1


def test_what_was_done_is_reported():
    done = []
    attribute(networks.ensemble(), rows(30), report=done.append)
    attributions.correlate(networks.ensemble(), blocks(rows(30)), done.append)
    assert done == [6, 6, 5] * 2


def test_no_more_blocks_are_read_than_are_worked_on(monkeypatch):
    monkeypatch.setattr(attributions, "_workers", lambda: 2)
    read, done = [], []

    def counted():
        for block in [*blocks(rows(30))] * 4:
            read.append(len(done))
            yield block

    attributions.attribute(networks.ensemble(), counted(), 6, n_steps=STEPS, report=done.append)
    assert len(done) == len(read) == 12
    assert all(i - before <= 2 for i, before in enumerate(read))


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_failure_ends_the_others_and_is_told(error, monkeypatch):
    calls = []

    def broken(*args, **options):
        calls.append(1)
        msg = "here"
        raise error(msg)

    monkeypatch.setattr(co_activation, "add_member", broken)
    with pytest.raises(error, match="here"):
        attribute(networks.ensemble(), rows(30))
    assert len(calls) <= attributions._workers() + 1
