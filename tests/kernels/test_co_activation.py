"""Against a loop over the line with derivatives by hand, against jax.grad, and where the answer is known."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from omicstl.kernels import co_activation

N, D, UNITS = 5, 7, 3
mean_gradients = jax.jit(co_activation.mean_gradients, static_argnums=5)
outputs = jax.jit(co_activation.outputs)


def network(widths, seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    sizes = [D, *widths]
    kernels = tuple(rng.normal(size=s).astype(dtype) for s in zip(sizes[:-1], sizes[1:], strict=True))
    biases = tuple(0.5 * rng.normal(size=b).astype(dtype) for b in widths)
    return kernels, biases, rng.normal(size=(sizes[-1], UNITS)).astype(dtype)


def rows(seed=1, dtype=np.float64):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(N, D)).astype(dtype), rng.normal(size=(1, D)).astype(dtype)


def gradients(kernels, biases, head, x, baseline, n_steps):
    """Of the kernel, led to the inputs: (units, n, d)."""
    with jax.enable_x64(x.dtype == np.float64):
        u = np.asarray(mean_gradients(kernels, biases, head, x, baseline, n_steps))
    return u @ kernels[0].T if kernels else u


def by_hand(kernels, biases, head, x, baseline, n_steps):
    """One observation, one step and one unit at a time."""
    baseline = np.broadcast_to(baseline, x.shape)
    found = np.zeros((head.shape[1], *x.shape))
    for i in range(len(x)):
        for step in range(n_steps):
            h = baseline[i] + (step + 0.5) / n_steps * (x[i] - baseline[i])
            masks = []
            for kernel, bias in zip(kernels, biases, strict=True):
                a = h @ kernel + bias
                masks.append(a > 0)
                h = np.where(a > 0, a, 0)
            for unit in range(head.shape[1]):
                back = head[:, unit]
                for kernel, mask in zip(kernels[::-1], masks[::-1], strict=True):
                    back = kernel @ (back * mask)
                found[unit, i] += back / n_steps
    return found


@pytest.mark.parametrize("widths", [(), (9,), (9, 6), (9, 6, 5)], ids=len)
def test_equals_the_loop(widths):
    net, (x, baseline) = network(widths), rows()
    np.testing.assert_allclose(gradients(*net, x, baseline, 20), by_hand(*net, x, baseline, 20), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("widths", [(9,), (9, 6), (9, 6, 5)], ids=len)
def test_equals_jax_grad_averaged_over_the_line(widths):
    (kernels, biases, head), (x, baseline) = network(widths), rows()

    def output(row, unit):
        for kernel, bias in zip(kernels, biases, strict=True):
            row = jax.nn.relu(row @ kernel + bias)
        return (row @ head)[unit]

    places = [baseline + (step + 0.5) / 8 * (x - baseline) for step in range(8)]
    with jax.enable_x64(True):
        each = jax.jit(jax.vmap(jax.vmap(jax.grad(output), (0, None)), (None, 0)))
        wanted = np.mean([each(place, np.arange(UNITS)) for place in places], axis=0)
    np.testing.assert_allclose(gradients(kernels, biases, head, x, baseline, 8), wanted, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("widths", [(9,), (9, 6), (9, 6, 5)], ids=len)
def test_single_precision_is_close(widths):
    net, (x, baseline) = network(widths), rows()
    single = gradients(*jax.tree.map(np.float32, (*net, x, baseline)), 20)
    np.testing.assert_allclose(single, by_hand(*net, x, baseline, 20), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("widths", [(9,), (9, 6), (9, 6, 5)], ids=len)
def test_a_network_that_is_linear_on_the_line_has_the_closed_form(widths):
    """With large biases every unit is active: the gradient is the product of the kernels, and the sum is exact."""
    kernels, biases, head = network(widths)
    biases = tuple(b + 1000.0 ** (i + 1) for i, b in enumerate(biases))  # stays positive through any kernel
    x, baseline = rows()
    product = head
    for kernel in kernels[::-1]:
        product = kernel @ product
    found = gradients(kernels, biases, head, x, baseline, 3)
    np.testing.assert_allclose(found, np.repeat(product.T[:, None], N, axis=1), rtol=1e-10)


@pytest.mark.parametrize("widths", [(9,), (9, 6), (9, 6, 5)], ids=len)
def test_the_sum_comes_to_the_change_of_the_output(widths):
    net, (x, baseline) = network(widths), rows()

    def gap(n_steps):
        total = np.sum((x - baseline) * gradients(*net, x, baseline, n_steps), axis=2).T
        with jax.enable_x64(True):
            change = np.asarray(outputs(*net, x) - outputs(*net, baseline))
        return np.abs(total - change).mean() / np.abs(change).mean()

    assert gap(50) < 0.05
    assert gap(2000) < 1e-3
    assert gap(2000) < gap(50) / 10


def test_a_baseline_for_each_row():
    net, (x, _) = network((9, 6)), rows()
    other = rows(seed=8)[0]
    np.testing.assert_allclose(gradients(*net, x, other, 10), by_hand(*net, x, other, 10), rtol=1e-10, atol=1e-12)


def test_a_line_of_no_length_gives_the_gradient_there():
    net, (x, _) = network((9, 6)), rows()
    np.testing.assert_allclose(gradients(*net, x, x, 1), by_hand(*net, x, x, 1), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("widths", [(), (9, 6)], ids=len)
def test_members_add_up_by_factor(widths):
    """Two encoders; the second has one column less than there are units, and both lead to factor 2."""
    x, baseline = rows(dtype=np.float32)
    nets = [network(widths, seed, np.float32) for seed in (0, 5)]
    nets[1][2][:, 2] = 0
    places = [np.array([0, 2, 3], np.int32), np.array([1, 2, 0], np.int32)]
    found, change = jnp.zeros((4, N, D)), jnp.zeros((N, 4))
    wanted, moved = np.zeros((4, N, D)), np.zeros((N, 4))
    for net, place, n_units in zip(nets, places, (3, 2), strict=True):
        found, change = co_activation.add_member(found, change, *net, place, np.int32(n_units), x, baseline, n_steps=10)
        each = by_hand(*net, x, baseline, 10)
        with jax.enable_x64(False):
            ends = np.asarray(outputs(*net, x) - outputs(*net, baseline))
        for unit in range(n_units):
            wanted[place[unit]] += each[unit]
            moved[:, place[unit]] += ends[:, unit]
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(change, moved, rtol=1e-4, atol=1e-4)
    total = np.einsum("nd,knd->nk", x - baseline, wanted)
    np.testing.assert_allclose(co_activation.along(found, x, baseline), total, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("absolute", [False, True])
@pytest.mark.parametrize("with_axes", [False, True])
def test_attributions_of_genes(absolute, with_axes):
    rng = np.random.default_rng(3)
    p, d, k = (11, D, 4) if with_axes else (D - 2, D, 4)
    found, weights, z, axes = (rng.normal(size=s).astype(np.float32) for s in ((k, N, d), (N, k), (N, p), (p, d)))
    wanted = np.zeros((k, p))
    for c in range(k):
        for i in range(N):
            each = z[i] * (axes @ found[c, i] if with_axes else found[c, i, :p])
            wanted[c] += weights[i, c] * (np.abs(each) if absolute else each)
    got = co_activation.add_up(found, weights, z, axes if with_axes else None, absolute=absolute)
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4)
