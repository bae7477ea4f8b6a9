"""Terms against numpy that knows nothing of them, and their gradients against differences."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from omicstl.nn import adversarial, distances
from omicstl.nn.terms.base import Seen, Sizes
from omicstl.nn.terms.cdan import Cdan
from omicstl.nn.terms.dann import Dann
from omicstl.nn.terms.deep_coral import DeepCoral
from omicstl.nn.terms.mmd import Mmd
from omicstl.nn.terms.sliced_wasserstein import SlicedWasserstein

K, C = 5, 3
ALL = [
    Mmd(),
    Mmd(width="median", n_widths=3),
    DeepCoral(),
    SlicedWasserstein(n_directions=7),
    Dann(n_hidden=6),
    Cdan(n_hidden=6),
    Cdan(n_products=4, n_hidden=6),
]


def seen(seed=0, *, weighted=False, same=False) -> Seen:
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(9, K)), rng.normal(size=(9 if same else 7, K)) + 0.6
    wx, wy = (rng.uniform(0.2, 2, len(z)) if weighted else np.ones(len(z)) for z in (x, y))
    outputs = [rng.uniform(0.1, 0.9, (len(z), C)) for z in (x, y)]
    arrays = (jnp.asarray(a, jnp.float32) for a in (x, y, wx, wy, *outputs))
    return Seen(*arrays, jax.random.key(1))


@partial(jax.jit, static_argnums=0)
def compiled(term, params, view, strength):
    return term.loss(params, view, strength)


def value(term, view, strength=1.0):
    params = term.init(np.random.default_rng(0), Sizes(K, C))
    return compiled(term, params, view, jnp.float32(strength))


def numpy_mmd(view, n_widths, median):
    x, y, wx, wy = (np.asarray(a, np.float64) for a in view[:4])
    z = np.concatenate([x, y])
    d = np.array([[np.sum((a - b) ** 2) for b in z] for a in z])
    off = d[~np.eye(len(z), dtype=bool)]
    width = np.median(off) if median else off.mean()
    k = np.mean([np.exp(-d / (width * 2.0 ** (j - n_widths // 2))) for j in range(n_widths)], axis=0)
    n, total = len(x), 0.0
    for part, w in ((slice(0, n), wx), (slice(n, None), wy)):
        w = w / w.sum()
        inner = k[part, part]
        pairs = [(i, j) for i in range(len(w)) for j in range(len(w)) if i != j]
        total += sum(w[i] * w[j] * inner[i, j] for i, j in pairs) / sum(w[i] * w[j] for i, j in pairs)
    return total - 2 * (wx / wx.sum()) @ k[:n, n:] @ (wy / wy.sum())


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("term", [Mmd(), Mmd(n_widths=3, width="median"), Mmd(n_widths=1)])
def test_mmd_is_the_sum_over_pairs(term, weighted):
    view = seen(weighted=weighted)
    expected = numpy_mmd(view, term.n_widths, term.width == "median")
    np.testing.assert_allclose(value(term, view), expected, rtol=2e-5)


def test_mmd_is_unbiased():
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(400, 20, K)), jnp.float32)
    ones = jnp.ones(10, jnp.float32)
    values = jax.jit(jax.vmap(lambda z: distances.mmd(z[:10], z[10:], ones, ones)))(x)
    assert abs(float(values.mean())) < 3 * float(values.std()) / 20
    assert float(values.min()) < 0


@pytest.mark.parametrize("weighted", [False, True])
def test_coral_compares_means_and_covariances(weighted):
    view = seen(weighted=weighted)
    x, y, wx, wy = (np.asarray(a, np.float64) for a in view[:4])
    if weighted:
        cov = [np.cov(z, rowvar=False, aweights=w) for z, w in ((x, wx), (y, wy))]
    else:
        cov = [np.cov(z, rowvar=False) for z in (x, y)]
    mean = [np.average(z, axis=0, weights=w) for z, w in ((x, wx), (y, wy))]
    expected = np.linalg.norm(cov[0] - cov[1], "fro") ** 2 / (4 * K**2) + np.sum((mean[0] - mean[1]) ** 2) / K
    np.testing.assert_allclose(value(DeepCoral(), view), expected, rtol=2e-5)


def test_sliced_wasserstein_is_that_of_sorted_projections():
    view, term = seen(same=True), SlicedWasserstein(n_directions=7)
    drawn = np.asarray(jax.random.normal(view.key, (K, 7), jnp.float32), np.float64)
    directions = drawn / np.linalg.norm(drawn, axis=0)
    a, b = (np.sort(np.asarray(z, np.float64) @ directions, axis=0) for z in view[:2])
    np.testing.assert_allclose(value(term, view), np.mean((a - b) ** 2), rtol=2e-5)


def test_sliced_wasserstein_of_integer_weights_is_that_of_repeated_rows():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(4, K)), rng.normal(size=(8, K))
    count = np.array([1, 3, 2, 2])
    directions = np.linalg.qr(rng.normal(size=(K, K)))[0].astype(np.float32)
    args = (jnp.asarray(a, jnp.float32) for a in (x, y, count, np.ones(8)))
    found = jax.jit(distances.sliced_wasserstein)(*args, jnp.asarray(directions))
    a, b = np.sort(np.repeat(x, count, axis=0) @ directions, axis=0), np.sort(y @ directions, axis=0)
    np.testing.assert_allclose(found, np.mean((a - b) ** 2), rtol=2e-5)


def numpy_domain_loss(params, x, y, wx, wy):
    def logit(z):
        hidden = np.maximum(z @ np.asarray(params["hidden"], np.float64) + np.asarray(params["bias"]), 0)
        return (hidden @ np.asarray(params["out"], np.float64))[:, 0]

    source = -np.log(1 - 1 / (1 + np.exp(-logit(x))))
    target = -np.log(1 / (1 + np.exp(-logit(y))))
    return 0.5 * (np.average(source, weights=wx) + np.average(target, weights=wy))


@pytest.mark.parametrize("weighted", [False, True])
def test_dann_is_the_cross_entropy_of_domains(weighted):
    view, term = seen(weighted=weighted), Dann(n_hidden=6)
    params = term.init(np.random.default_rng(0), Sizes(K, C))
    expected = numpy_domain_loss(params, *(np.asarray(a, np.float64) for a in view[:4]))
    np.testing.assert_allclose(value(term, view), expected, rtol=2e-5)


@pytest.mark.parametrize("term", [Cdan(n_hidden=6), Cdan(n_hidden=6, entropy=False), Cdan(n_hidden=6, n_products=4)])
def test_cdan_sees_products_with_predictions(term):
    view = seen(weighted=True)
    params = term.init(np.random.default_rng(0), Sizes(K, C))
    z, w = [], []
    for latent, weights, p in ((view.source, view.source_weights, view.source_outputs), (view.target, view.target_weights, view.target_outputs)):  # fmt: skip
        latent, weights, p = (np.asarray(a, np.float64) for a in (latent, weights, p))
        if term.n_products == 4:
            a, b = (np.asarray(params[name], np.float64) for name in ("of_latent", "of_outputs"))
            z.append(np.array([(row @ a) * (q @ b) / 2 for row, q in zip(latent, p, strict=True)]))
        else:
            z.append(np.array([np.outer(row, q).ravel() for row, q in zip(latent, p, strict=True)]))
        entropy = -np.mean(p * np.log(p) + (1 - p) * np.log(1 - p), axis=1)
        w.append(weights * (1 + np.exp(-entropy)) if term.entropy else weights)
    np.testing.assert_allclose(value(term, view), numpy_domain_loss(params, *z, *w), rtol=2e-5)


def test_entropies_that_are_given_stand_for_those_of_the_outputs():
    term, view = Cdan(n_hidden=6), seen(weighted=True)
    h = [np.linspace(0, 1, len(z)) for z in (view.source, view.target)]
    told = view._replace(source_entropy=jnp.asarray(h[0], jnp.float32), target_entropy=jnp.asarray(h[1], jnp.float32))
    by_hand = view._replace(
        source_weights=view.source_weights * (1 + np.exp(-h[0])),
        target_weights=view.target_weights * (1 + np.exp(-h[1])),
    )
    plain = Cdan(n_hidden=6, entropy=False)
    np.testing.assert_allclose(value(term, told), value(plain, by_hand), rtol=1e-5)
    assert abs(float(value(term, told)) - float(value(term, view))) > 1e-6


@pytest.mark.parametrize("term", [Dann(n_hidden=6), Cdan(n_hidden=6), Cdan(n_products=4, n_hidden=6)])
def test_the_encoder_gets_the_reversed_gradient_and_the_discriminator_its_own(term):
    view = seen()
    params = term.init(np.random.default_rng(0), Sizes(K, C))

    def loss(params, source, strength):
        return term.loss(params, view._replace(source=source), strength)

    slopes = jax.jit(jax.grad(loss, (0, 1)))
    of_params, of_source = slopes(params, view.source, 0.3)
    same_params, minus_one = slopes(params, view.source, -1.0)  # the gradient as it is
    np.testing.assert_allclose(of_source, -0.3 * minus_one, rtol=1e-5, atol=1e-8)
    assert float(jnp.abs(minus_one).max()) > 1e-4
    np.testing.assert_allclose(of_params["hidden"], same_params["hidden"], rtol=1e-6)
    assert float(jnp.abs(of_params["hidden"]).max()) > 1e-4
    if "of_latent" in params:
        assert not np.any(of_params["of_latent"])
    np.testing.assert_array_equal(slopes(params, view.source, 0.0)[1], 0)


@pytest.mark.parametrize("term", [Mmd(), DeepCoral(), SlicedWasserstein(n_directions=7)])
def test_gradients_are_those_of_differences(term):
    view = seen(weighted=True)
    with jax.enable_x64(True):  # differences need the digits
        wide = Seen(*(jnp.asarray(a, jnp.float64) for a in view[:6]), view.key)
        width = float(
            distances.typical_distance(distances.squared_distances(*[jnp.concatenate(wide[:2])] * 2), jnp.ones(16))
        )

        @jax.jit
        def loss(source):
            if isinstance(term, Mmd):  # the width is held fixed, as no gradient goes through it
                both = jnp.concatenate([source, wide.target])
                k, _ = distances.gaussian_kernels(distances.squared_distances(both, both), jnp.float64(width), 5)
                p, q = distances.shares(wide.source_weights), distances.shares(wide.target_weights)
                own = lambda k, w: (w @ k @ w - jnp.sum(w**2)) / (1 - jnp.sum(w**2))
                return own(k[:9, :9], p) + own(k[9:, 9:], q) - 2 * p @ k[:9, 9:] @ q
            return value(term, wide._replace(source=source))

        step = 1e-5
        slope = jax.jit(jax.grad(lambda s: value(term, wide._replace(source=s))))(wide.source)
        for i, j in ((0, 0), (3, 2), (8, 4)):
            moved = [loss(wide.source.at[i, j].add(sign * step)) for sign in (1, -1)]
            expected = float(moved[0] - moved[1]) / (2 * step)
            assert float(slope[i, j]) == pytest.approx(expected, rel=1e-3, abs=1e-8)


def test_smoothness_has_a_gradient_at_both_ends():
    rng = np.random.default_rng(0)
    x, y = (jnp.asarray(rng.normal(size=(6, K)), jnp.float32) for _ in range(2))
    weights = jnp.asarray([1, 1, 0, 2, 1, 1], jnp.float32)
    expected = sum(w * np.sum((a - b) ** 2) for w, a, b in zip(weights, x, y, strict=True)) / 6 / K
    found, (of_x, of_y) = jax.jit(jax.value_and_grad(distances.smoothness, (0, 1)))(x, y, weights)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    np.testing.assert_allclose(of_x, 2 * np.asarray(weights)[:, None] * (x - y) / 6 / K, rtol=1e-5)
    np.testing.assert_allclose(of_y, -of_x, rtol=1e-5)
    assert float(jnp.abs(of_x).max()) > 0.01


@pytest.mark.parametrize("term", ALL, ids=lambda t: type(t).__name__)
def test_rows_of_weight_zero_count_nowhere(term):
    view = seen(weighted=True)
    rng = np.random.default_rng(5)
    more = lambda a, width: jnp.concatenate([a, jnp.asarray(rng.uniform(0.1, 0.9, (3, width)), jnp.float32)])
    zeros = jnp.zeros(3, jnp.float32)
    filled = Seen(
        more(view.source, K), more(view.target, K), jnp.concatenate([view.source_weights, zeros]),
        jnp.concatenate([view.target_weights, zeros]), more(view.source_outputs, C), more(view.target_outputs, C), view.key,
    )  # fmt: skip
    tolerance = 0.2 if isinstance(term, SlicedWasserstein) else 1e-5  # other levels of the quantiles
    np.testing.assert_allclose(value(term, filled), value(term, view), rtol=tolerance)


def test_class_weights_make_a_shift_of_labels_vanish():
    rng = np.random.default_rng(0)
    centre = np.array([[0.0] * K, [3.0] * K])
    ys, yt = (rng.random(300) < 0.2).astype(int), (rng.random(300) < 0.8).astype(int)
    x, y = (jnp.asarray(centre[c] + rng.normal(size=(300, K)), jnp.float32) for c in (ys, yt))
    ones = jnp.ones(300, jnp.float32)
    weights = jnp.asarray(np.where(ys == 1, 0.8 / 0.2, 0.2 / 0.8), jnp.float32)
    mmd = jax.jit(lambda *args: distances.mmd(*args))
    assert float(mmd(x, y, weights, ones)) < 0.05 * float(mmd(x, y, ones, ones))


@pytest.mark.parametrize("steepness", [0.0, 10.0])
def test_the_ramp_rises_to_its_weight(steepness):
    found = [float(adversarial.rise(steepness, jnp.float32(t))) for t in (0, 0.2, 1)]
    expected = [1, 1, 1] if steepness == 0 else [2 / (1 + np.exp(-10 * t)) - 1 for t in (0, 0.2, 1)]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_records_refuse_what_they_cannot_use():
    with pytest.raises(ValueError, match="width"):
        Mmd(width="max")
    with pytest.raises(ValueError, match="weight"):
        Dann(weight=-1)
    with pytest.raises(TypeError, match="n_hidden"):
        Cdan(n_hidden=2.5)
    assert hash(Mmd()) == hash(Mmd())
