"""Networks at the edges: data of low rank, refits, large data with a folder, extreme posteriors."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import omicstl as otl
from omicstl._data import checkpoints
from omicstl.models.factors import attributions as model_part
from omicstl.models.factors.autoencoder.axes import principal_axes
from omicstl.models.factors.autoencoder.rows import Standardised
from omicstl.tl._shared import encoder_rows

QUICK = otl.tl.Training(epochs=2)


def cohort(n: int = 24, p: int = 40) -> AnnData:
    random = np.random.default_rng(0)
    x = 6 + random.normal(size=(n, 3)) @ random.normal(size=(3, p)) + random.normal(size=(n, p))
    obs = pd.DataFrame({"batch": np.array(["a", "b"])[np.arange(n) % 2]}, index=[f"s{i}" for i in range(n)])
    return AnnData(x.astype(np.float32), obs=obs, var=pd.DataFrame(index=[f"g{i}" for i in range(p)]))


def ensemble(adata: AnnData, **options) -> None:
    otl.tl.deepprofile(adata, **({"latent_sizes": (3,), "n_members": 2, "n_clusters": 3, "training": QUICK} | options))


def one(adata: AnnData, **options) -> None:
    otl.tl.vae(adata, **({"n_factors": 3, "hidden": (8,), "training": QUICK} | options))


@pytest.mark.parametrize("shape", [(24, 60), (60, 24)])
def test_axes_are_no_more_than_are_independent(shape):
    z = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    if shape[0] < shape[1]:
        z[shape[0] // 2 :] = z[: shape[0] // 2]
    else:
        z[:, shape[1] // 2 :] = z[:, : shape[1] // 2]
    generator = np.random.default_rng(0)
    axes = principal_axes(lambda: iter([z]), *shape, 20, generator)
    rough = principal_axes(lambda: iter([z]), *shape, 20, generator, exact=5)
    expected = np.linalg.svd(z.astype(np.float64), compute_uv=False)[:12] ** 2 / (shape[0] - 1)
    for found in (axes, rough):
        assert found.components.shape == (shape[1], 12)
        np.testing.assert_allclose(found.variance, expected, rtol=1e-4)
        np.testing.assert_allclose(found.components.T @ found.components, np.eye(12), atol=1e-5)


def test_repeated_observations_leave_a_finite_model():
    adata = cohort()
    adata.X[12:] = adata.X[:12]
    one(adata)
    model = otl.get.model(adata)
    assert np.isfinite(model.components).all()
    assert np.isfinite(model.noise).all()
    assert model.variance.size == 11


def test_more_components_than_are_independent_is_said():
    adata = cohort()
    with pytest.warns(UserWarning, match="22 independent components, fewer than n_comps=23"):
        ensemble(adata, batch_key="batch", n_comps=23)
    assert adata.uns["deepprofile"]["params"]["n_comps"] == 22
    assert np.isfinite(adata.obsm["deepprofile"]).all()


@pytest.mark.parametrize("fit", [one, ensemble])
def test_batches_that_say_all_are_refused(fit):
    adata = cohort()
    adata.X[:] = np.where(adata.obs["batch"] == "a", 3.5, 7.25)[:, None]
    with pytest.raises(ValueError, match="one value within every batch"):
        fit(adata, batch_key="batch")
    assert not adata.obsm


def test_refit_leaves_nothing_of_the_fit_before():
    adata = cohort()
    adata.varm["mine"] = np.ones((adata.n_vars, 1))
    one(adata, decoder="linear", key_added="net")
    otl.tl.attributions(adata)
    one(adata, key_added="net")
    assert set(adata.varm) == {"mine"}
    assert set(adata.uns) == {"net"}
    otl.tl.attributions(adata)
    ensemble(adata, key_added="net")
    assert set(adata.varm) == {"mine"}
    assert set(adata.obsm) == {"net", "net_sd", "net_sd_between"}
    one(adata, key_added="net")
    assert set(adata.obsm) == {"net", "net_sd"}


def test_failed_refit_keeps_the_fit_before(monkeypatch):
    adata = cohort()
    one(adata, decoder="linear")
    otl.tl.attributions(adata)
    before = {slot: dict(getattr(adata, slot)) for slot in ("obsm", "varm", "uns")}
    from omicstl._data import commit

    def breaks(*given, **options):
        raise MemoryError

    monkeypatch.setattr(commit, "deque", breaks)
    with pytest.raises(MemoryError):
        one(adata)
    for slot, values in before.items():
        assert set(getattr(adata, slot)) == set(values)
    np.testing.assert_array_equal(adata.varm["vae_attributions"], before["varm"]["vae_attributions"])


def test_ensemble_of_large_data_with_a_folder(tmp_path, monkeypatch):
    in_memory = cohort()
    ensemble(in_memory, batch_key="batch")
    monkeypatch.setattr(encoder_rows, "IN_MEMORY", 0)
    for _ in range(2):
        adata = cohort()
        ensemble(adata, batch_key="batch", checkpoint=tmp_path)
        np.testing.assert_allclose(adata.obsm["deepprofile"], in_memory.obsm["deepprofile"], atol=1e-4)
    x = cohort().X
    rows = checkpoints.row_source(x)
    same = Standardised(rows, np.zeros((1, x.shape[1])), np.ones((1, x.shape[1])), np.zeros(len(x), int))
    assert checkpoints.rows_digest(same) == checkpoints.rows_digest(x)


def test_folder_of_fewer_components_is_refused(tmp_path):
    ensemble(cohort(), checkpoint=tmp_path)
    with pytest.raises(ValueError, match="`largest_latent_size` was 3, is 9"):
        ensemble(cohort(), checkpoint=tmp_path, latent_sizes=(3, 9))


def test_extreme_posteriors_stay_finite_and_silent():
    adata = cohort()
    one(adata)
    ensemble(adata)
    for key in ("vae", "deepprofile"):
        model = otl.get.model(adata, key)
        scores, sd = model.embed(np.full((2, model.features.size), [[1e6], [-1e6]], np.float32))
        assert np.isfinite(scores).all()
        assert np.isfinite(sd).all()
        assert (sd > 0).all()


def test_gap_is_that_of_the_networks(monkeypatch):
    adata = cohort()
    ensemble(adata, n_clusters=2)  # and 3 components
    found = model_part.attribute

    def rough(*args, **options):
        made = found(*args, **options)
        return made._replace(gap=np.where(np.arange(made.gap.size) < 2, 0.3, 0.0))

    monkeypatch.setattr(model_part, "attribute", rough)
    with pytest.warns(UserWarning, match="gap of 30% or more"):
        otl.tl.attributions(adata)


def test_many_steps_take_fewer_rows():
    adata = cohort()
    ensemble(adata)
    model = otl.get.model(adata)
    with otl.settings.override(block_bytes=2**26):
        few, many = (model_part.block_size(model, 10_000, n_steps) for n_steps in (50, 20_000))
    assert many * 20_000 * 125 * 4 <= 2**26 < 2 * few * 20_000 * 125 * 4


def test_number_that_became_text_is_refused():
    adata = cohort()
    adata.obs["age"] = np.arange(24.0)
    one(adata, covariates=["age"])
    adata.obs["age"] = "old"
    with pytest.raises(TypeError, match="was a number in the fit"):
        otl.tl.attributions(adata)
