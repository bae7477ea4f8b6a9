"""The adaptation network: its loss by hand, what must not change its answer, and that each part moves what it should."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from omicstl._core.random import streams
from omicstl.models.transfer import network as net, network_fit as fits
from omicstl.nn import train
from omicstl.nn.state import pack, unpack
from omicstl.nn.terms.dann import Dann
from omicstl.nn.terms.mmd import Mmd

N, M, P, D = 60, 50, 12, 2
CONFIG = net.NetworkProgram(
    n_in=P, n_out=D, n_source=N, n_target=M, n_held=25, n_latent=4, hidden=(8,), terms=(Mmd(),), smooth=True,
    batch_size=16, n_epochs=6, learning_rate=5e-3, patience=5,
)  # fmt: skip


@cache
def problem() -> fits.Problem:
    rng = np.random.default_rng(0)
    source, target = rng.normal(size=(N, P)), rng.normal(size=(M, P)) + 0.3
    signal = source @ rng.normal(size=(P, D))
    y = np.column_stack([signal[:, 0] > 0.5, signal[:, 1] + 0.3 * rng.normal(size=N)]).astype(float)
    y[rng.random(y.shape) < 0.1] = np.nan
    neighbours = rng.integers(0, M, (M, 5)).astype(np.int32)
    binary = np.array([True, False])
    return fits.Problem(
        source.astype(np.float32), target.astype(np.float32), y, binary, np.full(P, 0.5), np.ones(N), neighbours
    )


FOLD = fits.held_out_folds(N, None, 3, np.random.default_rng(1))
STRENGTHS = fits.Strengths(0.5, 0.2)


def trained(config=CONFIG, candidates=((0.3,),), n_members=2, seed=0, problem_of=problem):
    return fits.train_members(
        problem_of(), config, FOLD, STRENGTHS, candidates, streams(seed), n_members=n_members
    )  # fmt: skip


def same(a, b) -> bool:
    return all(np.array_equal(a[name], b[name]) for name in a)


def test_the_loss_is_the_sum_of_its_parts():
    config, data = replace(CONFIG, drop=0.0, noisy=False), fits.arrays_of(problem(), STRENGTHS)
    own = fits.own_of(FOLD, 0, CONFIG.n_held, (0.3,))
    state = net.begin(config, streams(0), 0, own)
    batch = net.two_domains(config, jax.random.key(3), jnp.int32(2))
    share = jnp.float32(0.4)
    loss = jax.jit(lambda c, d, b: net._loss(config, c.params, c.own, d, b, share, jax.random.key(0)))
    total, logs = loss(state.carry, data, batch)
    kept = jax.device_get(state.carry.params["network"])
    arrays = net.plain(kept)
    encode = lambda x: _encode(arrays, x)
    rows, cells = np.asarray(batch.source.rows), np.asarray(batch.target.rows)
    zs, zt = encode(problem().source[rows]), encode(problem().target[cells])
    on = np.asarray(batch.source.weights) * (FOLD[rows] != 0)
    value, y = zs @ arrays["head"] + arrays["head_bias"], problem().y[rows]
    each = np.column_stack([np.log1p(np.exp(value[:, 0])) - y[:, 0] * value[:, 0], _huber(value[:, 1] - y[:, 1])])
    labels = np.nansum(np.nan_to_num(each) * data["y_weights"][rows] * on[:, None]) / on.sum() / D
    chosen = problem().neighbours[cells, np.asarray(batch.edge) % 5]
    smooth = np.mean((zt - encode(problem().target[chosen])) ** 2)
    head = kept["decoder"]["heads"][0]
    back = lambda z: z @ np.asarray(head["kernel"][...]) + np.asarray(head["bias"][...])
    errors = [
        np.mean((back(z) - x) ** 2, axis=1) for z, x in ((zs, problem().source[rows]), (zt, problem().target[cells]))
    ]
    reconstruction = 0.5 * (np.average(errors[0], weights=on) + errors[1].mean())
    np.testing.assert_allclose(logs[0], labels, rtol=1e-4)
    np.testing.assert_allclose(logs[2], reconstruction, rtol=1e-4)
    np.testing.assert_allclose(logs[3], smooth, rtol=1e-4)
    np.testing.assert_allclose(total, labels + logs[1] + 0.5 * reconstruction + 0.2 * smooth, rtol=1e-4)


def _encode(arrays, x):
    h = np.maximum(x @ arrays["kernel_0"] + arrays["bias_0"], 0)
    z = h @ arrays["latent"] + arrays["latent_bias"] + x @ arrays["skip"]
    z = z - z.mean(axis=1, keepdims=True)
    return z / np.sqrt((z**2).mean(axis=1, keepdims=True) + net.EPSILON)


def _huber(error):
    size = np.abs(error)
    return np.where(size <= 1.345, 0.5 * size**2, 1.345 * (size - 0.5 * 1.345))


def test_folded_members_are_the_network():
    (members,) = trained()
    latent, value = fits.forward(members.arrays, problem().target)
    for i in range(2):
        arrays = {name: array[i] for name, array in members.arrays.items()}
        z = _encode(arrays, problem().target)
        np.testing.assert_allclose(latent[i], z, atol=2e-5)
        np.testing.assert_allclose(value[i], z @ arrays["head"] + arrays["head_bias"], atol=5e-5)
    slope = fits.mean_gradient(members.arrays, problem().target)
    moved = [fits.forward(members.arrays, problem().target + sign * 0.01 * np.eye(P)[3])[1] for sign in (1, -1)]
    np.testing.assert_allclose(slope[3], (moved[0] - moved[1]).mean(axis=(0, 1)) / 0.02, rtol=0.02, atol=2e-3)


def test_members_do_not_depend_on_company_or_candidates():
    one, many = trained(n_members=1), trained(candidates=((0.0,), (0.3,)), n_members=3)
    assert same(one[0].arrays, {name: array[:1] for name, array in many[1].arrays.items()})
    assert not same(one[0].arrays, {name: array[:1] for name, array in many[0].arrays.items()})
    assert not same(one[0].arrays, {name: array[1:2] for name, array in many[1].arrays.items()})
    assert same(one[0].arrays, trained(n_members=1)[0].arrays)
    assert not same(one[0].arrays, trained(n_members=1, seed=1)[0].arrays)


def finished(config, state, data, last=None):
    for following in train.train(net.program(config), state, data, seconds=0.0 if last else 1.0, last=last):
        state = following
    return state


def test_chunks_and_resuming_change_no_bit():
    data = jax.device_put(fits.arrays_of(problem(), STRENGTHS))
    begin = lambda: net.begin(CONFIG, streams(0), 1, fits.own_of(FOLD, 1, CONFIG.n_held, (0.3,)))
    whole, state = finished(CONFIG, begin(), data), begin()
    for stop in (3, 7, CONFIG.n_steps):
        state = unpack(begin(), pack(finished(CONFIG, state, data, stop)))
    assert int(whole.step) > 7
    for a, b in zip(jax.tree.leaves(jax.device_get(whole)), jax.tree.leaves(jax.device_get(state)), strict=True):
        np.testing.assert_array_equal(a, b)


def test_members_weights_and_data_share_what_is_compiled():
    trained()
    before = train._advance._cache_size()
    shifted = lambda: problem()._replace(target=problem().target + 1)
    trained(candidates=((0.0,), (2.0,)), n_members=3, seed=5, problem_of=shifted)
    assert train._advance._cache_size() == before


def test_the_flag_for_float64_changes_nothing():
    with jax.enable_x64(True):
        wide = trained(n_members=1)[0].arrays
    assert same(trained(n_members=1)[0].arrays, wide)
    assert {array.dtype for array in wide.values()} == {np.dtype(np.float32)}


def test_a_member_never_trains_on_what_it_holds_out():
    """Labels of its fold change nothing but when it stops, and six epochs are too few for that."""
    y = problem().y.copy()
    y[FOLD == 0] = 1 - y[FOLD == 0]
    data = fits.arrays_of(problem(), STRENGTHS)
    own, found = fits.own_of(FOLD, 0, CONFIG.n_held, (0.3,)), []
    for labels in (problem().y, y):
        seen = dict(data, y=np.nan_to_num(labels).astype(np.float32))
        state = finished(CONFIG, net.begin(CONFIG, streams(0), 0, own), jax.device_put(seen))
        assert int(state.step) == CONFIG.n_steps
        found.append((net.plain(state.carry.params["network"]), np.asarray(state.evaluated)))
    assert same(found[0][0], found[1][0])
    assert not np.array_equal(found[0][1], found[1][1])


def test_terms_bring_the_domains_together():
    config = replace(CONFIG, n_epochs=30, patience=None, n_held=0, smooth=False, drop=0.0, terms=(Mmd(ramp=0.0),))
    apart = lambda: problem()._replace(target=problem().target + 2)
    gap = []
    for members in trained(config, ((0.0,), (20.0,)), n_members=1, problem_of=apart):
        zs, zt = (fits.forward(members.arrays, x)[0][0] for x in (apart().source, apart().target))
        gap.append(np.linalg.norm(zs.mean(axis=0) - zt.mean(axis=0)))
    assert gap[1] < 0.5 * gap[0]


def test_one_class_among_several_and_adversarial_terms():
    y = np.eye(3)[np.random.default_rng(0).integers(0, 3, N)]
    terms = (Dann(n_hidden=4), Mmd())
    config = replace(CONFIG, n_out=3, classes=True, focus=2.0, smooth=False, n_epochs=3, terms=terms)
    classes = lambda: problem()._replace(y=y, binary=np.ones(3, bool))
    (members,) = trained(config, ((0.5, 0.1),), n_members=1, problem_of=classes)
    assert fits.forward(members.arrays, problem().target)[1].shape == (1, M, 3)
    assert np.isfinite(members.history[0, :3, :5]).all()


def test_entropies_are_of_one_softmax_or_of_each_class_and_numbers_have_none():
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(3), 20)
    config, data = replace(CONFIG, n_out=3, classes=True), {"binary": jnp.ones(3)}
    np.testing.assert_allclose(net.entropies(config, data, jnp.asarray(p)), stats.entropy(p, axis=1), rtol=1e-5)
    q = np.column_stack([rng.uniform(size=(20, 2)), 50 * rng.normal(size=20)])
    binary = {"binary": jnp.asarray([1.0, 1.0, 0.0])}
    each = [stats.entropy(np.column_stack([q[:, j], 1 - q[:, j]]), axis=1) for j in range(2)]
    np.testing.assert_allclose(net.entropies(CONFIG, binary, jnp.asarray(q)), np.mean(each, axis=0), rtol=1e-4)
    assert (np.asarray(net.entropies(CONFIG, {"binary": jnp.zeros(3)}, jnp.asarray(q))) == 0).all()


@pytest.mark.parametrize("drop", [0.0, 0.25])
def test_corruption_has_the_noise_and_the_share_it_says(drop):
    x = jnp.ones((400, 50), jnp.float32)
    factor = jnp.asarray(np.random.default_rng(0).normal(size=(50, 50)) / 7, jnp.float32)
    for noise, covariance in ((jnp.full(50, 0.3), 0.09 * np.eye(50)), (factor, np.asarray(factor.T @ factor))):
        out = np.asarray(net.corrupted(jax.random.key(0), x, drop, noise.astype(jnp.float32)))
        assert np.mean(out == 0) == pytest.approx(drop, abs=0.01)
        np.testing.assert_allclose(out.mean(), 1, atol=0.02)
        if not drop:
            np.testing.assert_allclose(np.cov(out, rowvar=False), covariance, atol=0.35 * covariance.diagonal().mean())


def test_groups_are_held_out_whole_and_evenly():
    groups = np.repeat(["a", "b", "c", "d", "e", "f"], [20, 10, 10, 8, 6, 6])
    fold = fits.held_out_folds(60, groups, 3, np.random.default_rng(0))
    assert all(np.unique(fold[groups == g]).size == 1 for g in np.unique(groups))
    assert np.bincount(fold).tolist() == [20, 18, 22]
    assert np.bincount(fits.held_out_folds(60, np.repeat("a", 60), 3, np.random.default_rng(0))).tolist() == [20] * 3


def test_a_run_that_diverges_is_named():
    huge = lambda: problem()._replace(source=problem().source * np.float32(1e30))
    with pytest.raises(ValueError, match=r"member 0 with the weights \(0.3,\) diverged .* largest absolute value was"):
        trained(n_members=1, problem_of=huge)
