"""Terms of the bound against scipy's densities, closed forms and sums over draws."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

from omicstl.nn import likelihoods

RNG = np.random.default_rng(0)


def call(term, *arrays):
    """The arrays of numpy, as float32 of JAX."""
    return term(*(jnp.asarray(array, jnp.float32) for array in arrays))


def close(found, expected, rtol=2e-5, atol=2e-5):
    np.testing.assert_allclose(np.asarray(found), expected, rtol=rtol, atol=atol)


@pytest.mark.parametrize(("mean", "logvar"), [(0.0, 0.0), (1.5, -1.0), (-2.0, 0.7), (0.1, -6.0)])
def test_divergence_is_the_integral(mean, logvar):
    q = stats.norm(mean, np.exp(logvar / 2))
    low, high = mean - 12 * q.std(), mean + 12 * q.std()
    expected = integrate.quad(lambda z: q.pdf(z) * (q.logpdf(z) - stats.norm.logpdf(z)), low, high, limit=200)[0]
    close(likelihoods.kl_standard_normal(jnp.array([mean]), jnp.array([logvar]))[0], expected, atol=1e-5)


def test_free_bits_hold_units_up_on_average():
    kl = jnp.array([[0.1, 2.0, 0.0], [0.3, 4.0, 0.0], [9.0, 9.0, 9.0]])
    weights = jnp.array([1.0, 1.0, 0.0])  # the last row only fills the batch
    close(likelihoods.free_bits(kl, weights, 0.5), 0.5 + 3.0 + 0.5)
    close(likelihoods.free_bits(kl, weights, 0.0), 0.2 + 3.0)
    gradient = jax.grad(lambda k: likelihoods.free_bits(k, weights, 0.5))(kl)
    close(gradient, [[0, 0.5, 0], [0, 0.5, 0], [0, 0, 0]])


COUNTS = np.array([[0, 1, 7], [30, 0, 400]], dtype=np.float32)
MEAN = np.array([[0.3, 1.0, 5.0], [28.0, 2.0, 350.0]])
THETA = np.array([0.5, 3.0, 1e4])


def test_counts():
    close(call(likelihoods.poisson, COUNTS, np.log(MEAN)), -stats.poisson.logpmf(COUNTS, MEAN), rtol=1e-4)
    nb = stats.nbinom(THETA, THETA / (THETA + MEAN))
    np.testing.assert_allclose(nb.var(), MEAN + MEAN**2 / THETA)
    found = call(likelihoods.negative_binomial, COUNTS, np.log(MEAN), np.log(THETA)[None])
    close(found, -nb.logpmf(COUNTS), rtol=1e-4, atol=5e-2)  # theta 1e4: differences of large log gammas in float32
    close(found[:, :2], -nb.logpmf(COUNTS)[:, :2], rtol=1e-4)


@pytest.mark.parametrize("logit", [-30.0, -1.0, 2.0, 30.0])
def test_zero_inflation(logit):
    share = 1 / (1 + np.exp(-logit))
    nb = stats.nbinom(THETA, THETA / (THETA + MEAN)).pmf(COUNTS)
    density = share * (COUNTS == 0) + (1 - share) * nb
    found = call(
        likelihoods.zero_inflated_negative_binomial,
        COUNTS,
        np.log(MEAN),
        np.log(THETA)[None],
        np.full(COUNTS.shape, logit),
    )
    keep = density[:, :2] > 0
    close(np.asarray(found)[:, :2][keep], -np.log(density[:, :2][keep]), rtol=1e-4)
    assert np.isfinite(found).all()


def test_values():
    x, mean, log_scale = RNG.normal(size=(4, 3)), RNG.normal(size=(4, 3)), RNG.normal(size=3)
    close(call(likelihoods.gaussian, x, mean, log_scale[None]), -stats.norm.logpdf(x, mean, np.exp(log_scale)))
    half = -stats.norm.logpdf(x, mean, np.sqrt(0.5)) - 0.5 * np.log(np.pi)
    close(call(likelihoods.squared_error, x, mean), half)
    on = (x > 0).astype(np.float32)
    close(call(likelihoods.bernoulli, on, mean), -stats.bernoulli.logpmf(on, 1 / (1 + np.exp(-mean))))
    assert np.isfinite(call(likelihoods.bernoulli, on, 1e4 * mean)).all()


@pytest.mark.parametrize("log_mean", [-40.0, 0.0, 12.0])
@pytest.mark.parametrize("log_theta", [-8.0, 0.0, 9.0])
def test_gradients_are_finite_far_out(log_mean, log_theta):
    def loss(a, b, c):
        return jnp.sum(
            likelihoods.zero_inflated_negative_binomial(
                jnp.asarray(COUNTS), a * jnp.ones((2, 3)), b * jnp.ones((1, 3)), c * jnp.ones((2, 3))
            )
        )

    for value in jax.grad(loss, (0, 1, 2))(log_mean, log_theta, 20.0):
        assert np.isfinite(value)
