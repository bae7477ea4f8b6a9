"""The loss of every likelihood and decoder against the same network written in numpy with densities of scipy."""

from __future__ import annotations

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from omicstl._core.random import streams
from omicstl.models.factors.autoencoder import loss as vae_loss, training
from omicstl.models.factors.autoencoder.likelihoods import COUNTS, LIKELIHOODS

P, K, C, B = 6, 3, 2, 8
RNG = np.random.default_rng(0)
NOISE = RNG.normal(size=(B, K))
COVARIATES = RNG.normal(size=(B, C))
COUNTED = RNG.poisson(3.0, (B, P)) * RNG.integers(0, 2, (B, P)) + (np.arange(P) == 0)
DATA = {
    "gaussian": RNG.normal(size=(B, P)),
    "gaussian_learned": RNG.normal(size=(B, P)),
    "bernoulli": RNG.integers(0, 2, (B, P)),
    **dict.fromkeys(COUNTS, COUNTED),
}
GIVEN = {"centre": RNG.uniform(0, 1, P), "scale": RNG.uniform(0.5, 2, P), "log_target": np.log(9.0)}
MASK = np.array([[1, 1, 0, 0, 0, 1], [0, 0, 1, 1, 0, 0], [1, 1, 1, 1, 1, 1]])


def config(likelihood, decoder="mlp", **more):
    hidden = (5, 4)
    return training.VaeProgram(P, K, hidden, B, B, 2, likelihood=likelihood, decoder=decoder, n_covariates=C, **more)


def given_arrays(decoder):
    mask = {"mask": np.concatenate([MASK, np.ones((C, P))])} if decoder == "masked" else {}
    return {name: jnp.asarray(value, jnp.float32) for name, value in (GIVEN | mask).items()}


def start(settings):
    """A state whose parameters are all away from their first values."""
    carry = training.begin(settings, streams(0), 0).carry
    rng = np.random.default_rng(1)
    moved = jax.tree.map(lambda a: a + jnp.asarray(0.1 * rng.normal(size=a.shape), jnp.float32), carry.params)
    stats_ = jax.tree.map(lambda a: a + jnp.asarray(0.3 * rng.uniform(size=a.shape), jnp.float32), carry.stats)
    return moved, stats_


def leaf(tree, *path):
    for step in path:
        tree = tree[step]
    return np.array(tree[...], float)


def by_hand(settings, params, running, x, noise, covariates):
    """Negative log likelihood (b, p) and divergence (b, k); in training mode with noise, else with running statistics."""
    likelihood, e, d = settings.likelihood, params["encoder"], params["decoder"]
    total = x.sum(1, keepdims=True)
    seen = x
    if likelihood in COUNTS:
        seen = np.log1p(x / total * np.exp(GIVEN["log_target"]))
    if likelihood in (*COUNTS, "bernoulli"):
        seen = (seen - GIVEN["centre"]) / GIVEN["scale"]
    h = np.hstack([seen, covariates])
    for i in range(2):
        a = h @ leaf(e, "hidden", "layers", i, "kernel") + leaf(e, "hidden", "layers", i, "bias")
        centre, var = a.mean(0), a.var(0)
        if noise is None:
            centre, var = (leaf(running, "encoder", "hidden", "norms", i, name) for name in ("mean", "var"))
        unit = (a - centre) / np.sqrt(var + 1e-3)
        h = unit * leaf(e, "hidden", "norms", i, "scale") + leaf(e, "hidden", "norms", i, "bias")
        h = np.maximum(h, 0)
    mean, logvar = (h @ leaf(e, name, "kernel") + leaf(e, name, "bias") for name in ("mean", "logvar"))
    kl = -0.5 * (1 + logvar - mean**2 - np.exp(logvar))
    up = np.hstack([mean if noise is None else mean + np.exp(logvar / 2) * noise, covariates])
    for i in range(2 if settings.decoder == "mlp" else 0):
        layer = d["hidden"]["layers"][i]
        up = np.maximum(up @ leaf(layer, "kernel") + leaf(layer, "bias"), 0)
    mask = np.concatenate([MASK, np.ones((C, P))]) if settings.decoder == "masked" else 1
    heads = [d["heads"][i] for i in range(len(d["heads"]))]
    outputs = [up @ (leaf(head, "kernel") * mask) + leaf(head, "bias") for head in heads]
    out = outputs[0]
    rate = total * np.exp(out) / np.exp(out).sum(1, keepdims=True)
    if likelihood == "gaussian":
        return (x - out) ** 2, kl
    if likelihood == "gaussian_learned":
        return -stats.norm.logpdf(x, out, np.exp(leaf(params, "log_scale"))), kl
    if likelihood == "bernoulli":
        return -stats.bernoulli.logpmf(x, special.expit(out)), kl
    if likelihood == "poisson":
        return -stats.poisson.logpmf(x, rate), kl
    theta = np.exp(leaf(params, "log_inverse_dispersion"))
    counted = stats.nbinom.pmf(x, theta, theta / (theta + rate))
    if likelihood == "nb":
        return -np.log(counted), kl
    dropped = special.expit(outputs[1] if settings.decoder == "mlp" else leaf(params, "dropout_logit"))
    return -np.log(dropped * (x == 0) + (1 - dropped) * counted), kl


def of_rows(settings, x, covariates):
    rows = {"covariates": jnp.asarray(covariates, jnp.float32)}
    if settings.likelihood in COUNTS:
        rows["library"] = jnp.asarray(np.log(x.sum(1)), jnp.float32)
    return rows


@cache
def compiled(settings):
    """Loss, slope, and what comes with it, of (params, running, x, weights, rows)."""

    def loss(params, running, x, weights, rows):
        noise = jnp.asarray(NOISE, jnp.float32)
        return training.loss(
            settings, params, running, training.Minibatch(x, weights, noise, rows), given_arrays(settings.decoder)
        )

    return jax.jit(jax.value_and_grad(loss, has_aux=True))


EVERY = [
    *((likelihood, "mlp") for likelihood in LIKELIHOODS),
    ("gaussian", "masked"),
    ("zinb", "masked"),
    ("nb", "linear"),
]


@pytest.mark.parametrize(("likelihood", "decoder"), EVERY)
def test_loss_and_slope_are_those_of_the_network_by_hand(likelihood, decoder):
    settings = config(likelihood, decoder, kl_weight=0.7)
    params, running = start(settings)
    x = DATA[likelihood].astype(float)

    def expected(params):
        error, kl = by_hand(settings, jax.device_get(params), running, x, NOISE, COVARIATES)
        return (error.sum() + 0.7 * kl.sum()) / B

    whole = jnp.asarray(x, jnp.float32), jnp.ones(B), of_rows(settings, x, COVARIATES)
    (total, _), slope = compiled(settings)(params, running, *whole)
    assert float(total) == pytest.approx(expected(params), rel=2e-5)
    rng = np.random.default_rng(2)
    direction = jax.tree.map(lambda a: rng.normal(size=a.shape), params)
    ends = [
        expected(jax.tree.map(lambda a, d, s=s: np.array(a, float) + s * 1e-4 * d, params, direction)) for s in (1, -1)
    ]
    found = sum(float(np.vdot(a, b)) for a, b in zip(*map(jax.tree.leaves, (slope, direction)), strict=True))
    assert found == pytest.approx((ends[0] - ends[1]) / 2e-4, rel=2e-3)


@pytest.mark.parametrize(("likelihood", "size"), [("nb", 3), ("gaussian", 8)])
def test_validation_uses_the_mean_and_the_running_statistics(likelihood, size):
    """In blocks that do not divide the rows, too."""
    settings = config(likelihood, kl_weight=0.7, n_validation=B)
    params, running = start(settings)
    x = DATA[likelihood].astype(float)
    error, kl = by_hand(settings, params, running, x, None, COVARIATES)
    held = {"x": jnp.asarray(x, jnp.float32)} | of_rows(settings, x, COVARIATES)
    found = vae_loss.validation_loss(settings, (params, running), held, given_arrays("mlp"), size)
    assert float(found) == pytest.approx((error.sum() + 0.7 * kl.sum()) / B, rel=2e-5)


@pytest.mark.parametrize(("likelihood", "more"), [*((name, 0.0) for name in LIKELIHOODS), ("gaussian", 0.25)])
def test_rows_that_fill_a_batch_do_not_count(likelihood, more):
    """Whatever they hold: also where the network would overflow on it."""
    settings = config(likelihood, kl_weight=0.7, free_bits=more)
    params, running = start(settings)
    x = jnp.asarray(DATA[likelihood], jnp.float32)
    short = jnp.asarray(np.arange(B) < 5, jnp.float32)
    rows = of_rows(settings, DATA[likelihood], COVARIATES)
    wild = {name: value.at[5:].set(1e30) for name, value in rows.items()}
    one = compiled(settings)(params, running, x, short, rows)
    other = compiled(settings)(params, running, x.at[5:].set(1e30), short, wild)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        assert np.isfinite(a).all()
        np.testing.assert_array_equal(a, b)


def test_free_bits_are_not_paid_for():
    settings = config("gaussian", kl_weight=0.7, free_bits=0.25)
    params, running = start(settings)
    x = DATA["gaussian"]
    rows = jnp.asarray(x, jnp.float32), jnp.ones(B), of_rows(settings, x, COVARIATES)
    (total, (_, reconstruction, kl)), _ = compiled(settings)(params, running, *rows)
    each = by_hand(settings, params, running, x, NOISE, COVARIATES)[1].mean(0)
    assert each.min() < 0.25 < each.max()
    assert float(kl) == pytest.approx(each.sum(), rel=1e-5)
    assert float(total - reconstruction) == pytest.approx(0.7 * np.maximum(each, 0.25).sum(), rel=1e-4)


def test_the_warm_up_and_weights_that_stay_positive():
    """Four steps, one an epoch: the weight of the divergence rises over two; weights of covariates may have any sign."""
    settings = config("gaussian", "masked", positive=True, kl_warmup=2, kl_weight=0.8, learning_rate=0.5)
    program, carry = training.program(settings), training.begin(settings, streams(0), 0).carry
    x, shares, first = DATA["gaussian"], [], leaf(carry.params, "decoder", "heads", 0, "kernel")
    assert (first[:K] >= 0).all()
    data = {"x": jnp.asarray(x, jnp.float32), "given": given_arrays("masked")} | of_rows(settings, x, COVARIATES)
    step = jax.jit(lambda carry, key: program.step(carry, data, program.sampler(key, jnp.int32(0)), key))
    for i in range(4):
        carry, (total, reconstruction, kl) = step(carry, jax.random.key(i))
        shares.append(float((total - reconstruction) / kl))
    np.testing.assert_allclose(shares, [0, 0.4, 0.8, 0.8], atol=1e-4)
    weights = leaf(carry.params, "decoder", "heads", 0, "kernel")
    assert (weights[:K] >= 0).all()
    assert (weights[:K] == 0).any()
    assert (weights[K:] < 0).any()
    np.testing.assert_array_equal(weights[:K][MASK == 0], first[:K][MASK == 0])  # nothing flows through the mask


@pytest.mark.parametrize(("n_rows", "size"), [(11, 5), (7, 2)])
def test_no_row_is_alone_in_its_batch(n_rows, size):
    program, n_epochs = training.program(training.VaeProgram(P, K, (5, 4), n_rows, size)), 3
    steps = jnp.arange(n_epochs * program.steps_per_epoch, dtype=jnp.int32)
    batches = jax.jit(jax.vmap(lambda step: program.sampler(jax.random.key(4), step)))(steps)
    for rows in np.split(np.where(np.asarray(batches.weights) > 0, np.asarray(batches.rows), -1), n_epochs):
        for batch in rows:
            own = batch[batch >= 0]
            assert own.size == np.unique(own).size >= 2
        assert set(rows.ravel()) - {-1} == set(range(n_rows))
        assert np.sum(rows >= 0) == n_rows + 1


def test_first_values_go_where_they_belong():
    first = {"head_0": np.arange(P), "head_1": np.array(-2.0), "log_inverse_dispersion": np.ones(P)}
    params = training.begin(config("zinb"), streams(0), 0, first).carry.params
    np.testing.assert_array_equal(leaf(params, "decoder", "heads", 0, "bias"), np.arange(P))
    np.testing.assert_array_equal(leaf(params, "decoder", "heads", 1, "bias"), -2)
    np.testing.assert_array_equal(leaf(params, "log_inverse_dispersion"), np.ones((1, P)))
    plain = training.begin(config("zinb"), streams(0), 0).carry.params
    np.testing.assert_array_equal(
        leaf(plain, "decoder", "heads", 0, "kernel"), leaf(params, "decoder", "heads", 0, "kernel")
    )
    assert not leaf(plain, "decoder", "heads", 0, "bias").any()
