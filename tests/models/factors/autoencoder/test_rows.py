"""What a VAE is trained on: standardisation, moments to start from, principal axes, coded covariates, rows held out."""

from __future__ import annotations

from functools import partial

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.decomposition import PCA

from omicstl.models.factors.autoencoder import axes, covariates, rows as vae_data
from omicstl.nn import samplers, train

N, P = 60, 9
RNG = np.random.default_rng(0)
X = RNG.normal(5, 2, (N, P)).astype(np.float32)
CODES = RNG.integers(0, 3, N)
NONE = np.zeros((N, 0), np.float32)


class Lazy:
    """Rows that are not in memory."""

    def __init__(self, x):
        self.x, self.n_rows, self.n_cols = x, *x.shape

    def blocks(self, size=None):
        for low in range(0, len(self.x), 7):
            block = self.x[low : low + 7].copy()
            block.flags.writeable = False
            yield block

    def take(self, index):
        return self.x[index]


@pytest.mark.parametrize("source", [vae_data.InMemory, Lazy])
def test_standardised_within_groups(source):
    x = X.copy()
    x[CODES == 1, 2] = 3.0  # of one value within a group
    frame, groups = pd.DataFrame(x.astype(float)), pd.Series(CODES)
    data = vae_data.gaussian(source(x.copy()), "gaussian", frame.mean().to_numpy(), frame.std().to_numpy(), NONE, CODES)
    expected = ((frame - frame.groupby(groups).transform("mean")) / frame.groupby(groups).transform("std")).to_numpy(
        copy=True
    )
    expected[CODES == 1, 2] = 0
    np.testing.assert_allclose(np.concatenate(list(data.inputs())), expected, atol=1e-5)
    index = np.array([50, 3, 3, 17])
    np.testing.assert_array_equal(data.rows.take(index), np.concatenate(list(data.rows.blocks()))[index])
    design = pd.get_dummies(groups).to_numpy(float)
    left = frame - design @ np.linalg.lstsq(design, frame, rcond=None)[0]
    np.testing.assert_allclose(data.scale, np.sqrt((left**2).sum() / (N - 3)), rtol=1e-5)


@pytest.mark.parametrize("source", [vae_data.InMemory, Lazy])
def test_standardised_over_all_rows(source):
    mean, scale = X.mean(0, dtype=float), X.std(0, ddof=1, dtype=float)
    data = vae_data.gaussian(source(X.copy()), "gaussian", mean, scale, NONE, None)
    np.testing.assert_allclose(np.concatenate(list(data.inputs())), (X - mean) / scale, atol=1e-5)


def test_counts_are_kept_and_their_logs_standardised():
    x = RNG.poisson(4, (N, P)).astype(np.float32)
    totals = vae_data.totals_of(Lazy(x))
    np.testing.assert_array_equal(totals, x.sum(1))
    data = vae_data.counts(Lazy(x), "nb", totals, NONE)
    logs = np.log1p(x / x.sum(1, keepdims=True) * np.median(x.sum(1)))
    np.testing.assert_allclose(data.centre, logs.mean(0), rtol=1e-6)
    z = np.concatenate(list(data.inputs()))
    np.testing.assert_allclose(z, stats.zscore(logs, axis=0, ddof=1), atol=1e-5)
    np.testing.assert_array_equal(data.rows.take(np.arange(N)), x)


def test_dispersions_start_from_the_variance_of_counts():
    totals, share = RNG.uniform(500, 1500, 4000), RNG.dirichlet(np.full(6, 5.0))
    theta = np.array([0.5, 1, 3, 10, 1e6, 1e6])
    rate = totals[:, None] * share
    x = RNG.poisson(rate * RNG.gamma(theta, 1 / theta, (4000, 6))).astype(np.float32)
    totals = x.sum(1, dtype=float)
    data = vae_data.counts(Lazy(x), "zinb", totals, np.zeros((4000, 0), np.float32))
    first = vae_data.first_values(data)
    offset = first["head_0"] - first["head_0"].mean()
    np.testing.assert_allclose(np.exp(offset) / np.exp(offset).sum(), x.sum(0) / x.sum(), rtol=1e-5)
    found, mean = np.exp(first["log_inverse_dispersion"]), totals[:, None] * (x.sum(0) / x.sum())
    expected = (mean**2).sum(0) / np.maximum(((x - mean) ** 2 - mean).sum(0), 1e-9)
    np.testing.assert_allclose(found, np.clip(expected, 0.1, 100), rtol=1e-4)
    assert found[0] < found[1] < found[2]
    assert set(first) == {"head_0", "head_1", "log_inverse_dispersion", "dropout_logit"}


def test_shares_start_at_their_mean():
    x = (RNG.random((N, P)) < 0.3).astype(np.float32)
    data = vae_data.Data(Lazy(x), "bernoulli", x.mean(0), x.std(0), NONE)
    offset = vae_data.first_values(data)["head_0"]
    np.testing.assert_allclose(1 / (1 + np.exp(-offset)), x.mean(0), atol=1e-6)
    assert vae_data.first_values(data._replace(likelihood="gaussian")) == {}


@pytest.mark.parametrize(("n", "p", "exact"), [(200, 30, 3000), (25, 80, 3000), (200, 120, 50)])
def test_principal_axes(n, p, exact, monkeypatch):
    """By either Gram matrix, and by the range finder."""
    rng = np.random.default_rng(3)
    z = rng.normal(size=(n, 5)) * [9, 7, 5, 4, 3] @ rng.normal(size=(5, p)) + rng.normal(size=(n, p))
    z = ((z - z.mean(0)) / z.std(0, ddof=1)).astype(np.float32)
    monkeypatch.setattr(axes, "EXACT", exact)
    blocks = lambda: iter(np.array_split(z, 4))
    found = axes.principal_axes(blocks, n, p, 4, np.random.default_rng(0))
    expected = PCA(4, svd_solver="full").fit(z)
    np.testing.assert_allclose(found.variance, expected.explained_variance_, rtol=1e-3)
    np.testing.assert_allclose(np.abs(np.sum(found.components * expected.components_.T, axis=0)), 1, atol=1e-3)
    assert (found.components.sum(axis=0) >= 0).all()
    left = z.var(0, ddof=1) - (expected.components_.T**2) @ expected.explained_variance_
    np.testing.assert_allclose(found.noise, np.maximum(left, 1e-3), atol=2e-3)


def test_covariates_are_numbers_about_their_average():
    batch, age = np.array(["a", "b", "b", "c"], dtype=object), np.array([1.0, 2, 3, 6])
    codes = covariates.learn({"batch": batch, "age": age}, {"batch": ["a", "b", "c"]})
    matrix = codes.matrix({"batch": batch, "age": age}, 4)
    np.testing.assert_allclose(matrix.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(matrix[:, 3], stats.zscore(age, ddof=1), rtol=1e-6)
    np.testing.assert_allclose(matrix[1, :3], [-0.25, 0.5, -0.25])
    unseen = codes.matrix({"batch": np.array(["d", "a"], dtype=object), "age": np.array([np.nan, 3])}, 2)
    np.testing.assert_array_equal(unseen[0], 0)
    np.testing.assert_allclose(unseen[1, :3], [0.75, -0.5, -0.25])
    np.testing.assert_array_equal(codes.matrix({}, 3), np.zeros((3, 4)))
    back = covariates.Covariates.from_dict(codes.to_dict())
    np.testing.assert_array_equal(back.matrix({"batch": batch, "age": age}, 4), matrix)
    assert {name: levels.tolist() for name, levels in back.levels.items()} == {"batch": ["a", "b", "c"], "age": []}
    with pytest.raises(ValueError, match="covariates are damaged"):
        covariates.Covariates.from_dict(codes.to_dict() | {"centre": np.zeros(2)})


def test_rows_held_out():
    rows, held = vae_data.held_out(50, P, 0.1, np.random.default_rng(0))
    assert held.size == 5
    assert sorted([*rows, *held]) == list(range(50))
    assert (np.diff(rows) > 0).all()
    assert vae_data.held_out(12, P, 0.01, np.random.default_rng(0))[1].size == 1
    assert vae_data.held_out(12, P, 0.0, np.random.default_rng(0))[1].size == 0
    most = vae_data.held_out(1000, vae_data.HELD_BYTES // 40, 0.5, np.random.default_rng(0))[1]
    assert most.size == 10  # what memory is meant for


def test_patience_waits_for_the_warm_up():
    """A loss that rises from the first epoch on."""

    def program(wait):
        return train.Program(
            step=lambda carry, data, batch, key: (carry + 1.0, (carry,)),
            sampler=partial(samplers.shuffled, n_rows=4, batch_size=4),
            logs=("loss",),
            steps_per_epoch=1,
            n_epochs=20,
            evaluate=lambda carry, data: carry,
            patience=3,
            patience_from=wait,
        )  # fmt: skip

    for wait, expected in ((0, 4), (5, 8)):
        settings = program(wait)
        for state in train.train(settings, train.start(settings, jnp.zeros(()), np.zeros(2, np.uint32)), {}):
            last = state
        assert int(last.step) == expected
        assert int(last.best_epoch) == 0
