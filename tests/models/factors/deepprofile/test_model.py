"""The ensemble's embedding against a plain loop, its clusters against scikit-learn, its stored form."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA

from omicstl._core.options.training import Training
from omicstl._core.random import streams
from omicstl._data import store
from omicstl.models import kinds
from omicstl.models.factors.autoencoder import rows as vae_data
from omicstl.models.factors.deepprofile import clusters, fit
from omicstl.models.factors.deepprofile.gmeans import g_means
from omicstl.models.factors.deepprofile.train import DeepprofileOptions, Hooks

N, P = 60, 80
CONFIG = DeepprofileOptions(latent_sizes=(3, 5), n_members=3, n_clusters=7, n_comps=12, training=Training(epochs=8))


def rows() -> vae_data.Data:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(N, 4)) @ rng.normal(size=(4, P)) + rng.normal(size=(N, P))
    mean, scale = x.mean(axis=0), x.std(axis=0, ddof=1)
    return vae_data.gaussian(
        vae_data.InMemory(x.astype(np.float32)), "gaussian", mean, scale, np.zeros((N, 0), np.float32), None
    )


def fitted(**changes) -> fit.Fit:
    config = DeepprofileOptions(**(CONFIG.__dict__ | changes))
    data = rows()
    parts = fit.components(data, config.n_comps, 5, streams(0))
    return fit.fit_deepprofile(np.array([f"g{i}" for i in range(P)], object), data, parts, config, streams(0))


@pytest.fixture(scope="module")
def whole() -> fit.Fit:
    return fitted()


@pytest.fixture(scope="module")
def z() -> np.ndarray:
    return np.concatenate(list(rows().inputs()))


def test_components_are_exact_and_fixed_in_sign(z):
    parts = fit.components(rows(), 12, 5, streams(0))
    other = PCA(12, svd_solver="full").fit(z)
    np.testing.assert_allclose(parts.axes.variance, other.explained_variance_, rtol=1e-4)
    cosines = np.abs(np.sum(parts.axes.components.T * other.components_, axis=1))
    np.testing.assert_allclose(cosines, 1, atol=1e-4)
    assert (parts.axes.components.sum(axis=0) >= 0).all()
    np.testing.assert_allclose(parts.scores, z @ parts.axes.components, atol=1e-4)
    left = z - parts.scores @ parts.axes.components.T
    np.testing.assert_allclose(parts.axes.noise, left.var(axis=0, ddof=1), atol=2e-3)


def test_number_of_components_by_rule():
    rng = np.random.default_rng(1)
    strong = rng.normal(size=(200, 3)) @ rng.normal(size=(3, 90)) * 3 + rng.normal(size=(200, 90))
    y = (strong - strong.mean(axis=0)) / strong.std(axis=0, ddof=1)
    values = np.linalg.eigvalsh(y.T @ y)[::-1]
    assert fit.n_components(values, 200, 90, 1) == 9  # three planted, three times
    assert fit.n_components(values, 200, 90, 40) == 40


def test_scores_are_means_of_units_by_a_plain_loop(whole, z):
    model = whole.model
    scores = z @ model.components
    means, logvars = [], []
    for size in (3, 5):
        group = model.encoders[size]
        for m in range(3):
            h = scores
            for kernel, bias in zip(group.kernels, group.biases, strict=True):
                h = np.maximum(h @ kernel[m] + bias[m], 0)
            out = h @ group.head[m] + group.head_bias[m]
            means.append(out[:, :size])
            logvars.append(out[:, size:])
    mean, variance = np.hstack(means), np.exp(np.hstack(logvars))
    for c in range(model.n_clusters):
        own = np.flatnonzero(model.node_cluster == c)
        units = (mean[:, own] - model.node_centre[own]) * model.node_sign[own] / model.node_scale[own]
        np.testing.assert_allclose(whole.embedded.scores[:, c], units.mean(axis=1), atol=2e-4)
        total = np.mean(variance[:, own] / model.node_scale[own] ** 2, axis=1) + units.var(axis=1)
        np.testing.assert_allclose(whole.embedded.sd[:, c] ** 2, total, rtol=2e-3)
        np.testing.assert_allclose(whole.embedded.sd_between[:, c], units.std(axis=1), atol=2e-3)
    linear = whole.embedded.scores[:, model.n_clusters :]
    assert linear.shape[1] == 5
    np.testing.assert_allclose(linear, scores[:, :5] / scores[:, :5].std(axis=0, ddof=1), atol=1e-3)


def test_weights_say_the_same_as_the_scores(whole, z):
    model = whole.model
    factor, weight = model.weights()
    mean, _ = model.nodes(model.reduce(z))
    by_weight = np.stack([mean[:, factor == c] @ weight[factor == c] for c in range(model.n_clusters)], axis=1)
    scores = whole.embedded.scores[:, : model.n_clusters]
    np.testing.assert_allclose(by_weight - by_weight.mean(axis=0), scores - scores.mean(axis=0), atol=1e-4)


def test_embedding_is_that_of_the_training_data_and_row_by_row(whole, z):
    scores, sd = whole.model.embed(z)
    np.testing.assert_allclose(scores, whole.embedded.scores, atol=1e-5)
    np.testing.assert_allclose(whole.model.embed(z[7:8])[0], scores[7:8], atol=1e-5)
    assert scores.dtype == sd.dtype == np.float32


def test_published_rule_is_plain_k_means(whole):
    model = fitted(rule="published", linear=False).model
    mean, _ = model.nodes(model.reduce(np.concatenate(list(rows().inputs()))))
    other = KMeans(7, n_init=10, random_state=123).fit(mean.T)
    inertia = sum(
        np.sum((mean.T[model.node_cluster == c] - mean.T[model.node_cluster == c].mean(axis=0)) ** 2) for c in range(7)
    )
    assert inertia == pytest.approx(other.inertia_, rel=1e-4)
    assert (model.node_sign == 1).all()
    assert (model.node_scale == 1).all()
    assert model.names.size == 7


def test_members_do_not_depend_on_how_many_there_are(whole):
    fewer = fitted(n_members=2, latent_sizes=(5,)).model
    for mine, theirs in zip(fewer.encoders[5], whole.model.encoders[5], strict=True):
        for a, b in zip(
            np.atleast_1d(mine) if not isinstance(mine, tuple) else mine,
            np.atleast_1d(theirs) if not isinstance(theirs, tuple) else theirs,
            strict=False,
        ):
            np.testing.assert_array_equal(
                a[:2] if isinstance(mine, tuple) else a, b[:2] if isinstance(mine, tuple) else b
            )


def test_members_that_are_there_are_not_trained_again(whole):
    kept: dict = {}
    config, data = CONFIG, rows()
    parts = fit.components(data, config.n_comps, 5, streams(0))
    genes = np.array([f"g{i}" for i in range(P)], object)
    fit.fit_deepprofile(genes, data, parts, config, streams(0), Hooks(keep=kept.__setitem__))
    assert sorted(kept) == [(3, 0), (3, 1), (3, 2), (5, 0), (5, 1), (5, 2)]
    again: dict = {}
    steps: list[int] = []
    del kept[3, 1]
    hooks = Hooks(have=kept, keep=again.__setitem__, report=steps.append)
    found = fit.fit_deepprofile(genes, data, parts, config, streams(0), hooks)
    assert list(again) == [(3, 1)]
    assert sum(steps) == 8 * 2  # epochs of 60 rows in batches of 50
    assert store.digest(found.model.to_dict()) == store.digest(whole.model.to_dict())


def test_stored_form(whole):
    tree = whole.model.to_dict()
    again = kinds.from_dict(tree)
    assert store.digest(again.to_dict()) == store.digest(tree)
    assert store.n_bytes(tree) <= 1.2 * fit.size_in_bytes(P, 12, (3, 5), 3) + 4096
    with pytest.raises(ValueError, match="damaged: scale has shape"):
        kinds.from_dict(tree | {"scale": np.ones(3)})
    with pytest.raises(ValueError, match="not as many as its names"):
        kinds.from_dict(tree | {"n_linear": 9})
    broken = tree["encoders"] | {"size_3": tree["encoders"]["size_5"]}
    with pytest.raises(ValueError, match="damaged"):
        kinds.from_dict(tree | {"encoders": broken})


def test_stability_against_a_loop():
    rng = np.random.default_rng(4)
    nodes, scores = rng.normal(size=(30, 12)), rng.normal(size=(30, 2))
    size, member = np.repeat([2, 4], [4, 8]), np.repeat([0, 1, 0, 1], [2, 2, 4, 4])
    label = np.array([0, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1])
    found = clusters.stability(nodes, scores, size, member, label)
    for c in (0, 1):
        best = [
            max(abs(np.corrcoef(nodes[:, j], scores[:, c])[0, 1]) for j in range(4 + 4 * m, 8 + 4 * m)) for m in (0, 1)
        ]
        assert found[c] == pytest.approx(np.median(best), abs=1e-6)
    assert np.isnan(clusters.stability(nodes[:, :4], scores, size[:4], np.zeros(4), label[:4])).all()


def test_units_that_carry_nothing_are_left_out():
    nodes = np.random.default_rng(0).normal(size=(50, 6))
    nodes[:, 2] *= 0.05
    found = clusters.cluster(nodes, 3, "aligned", streams(0))
    assert found.label[2] == -1
    assert not found.active[2]
    assert set(found.label[[0, 1, 3, 4, 5]]) == {0, 1, 2}
    with pytest.raises(ValueError, match="too few for 3 clusters"):
        clusters.cluster(nodes * 0.01, 3, "aligned", streams(0))


def test_g_means_counts_groups_that_lie_apart():
    rng = np.random.default_rng(0)
    centres = 12 * np.eye(4, 6)
    points = centres[np.repeat(np.arange(4), 60)] + rng.normal(size=(240, 6))
    assert g_means(points, np.random.default_rng(0)) == 4
    assert g_means(rng.normal(size=(200, 6)), np.random.default_rng(0)) == 1
