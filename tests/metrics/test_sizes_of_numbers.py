"""Measures after transfer of numbers of any size: the same as of numbers of size one, or refused in words, never NaN."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st

import omicstl as otl

N = 80
OF_DOMAINS = {"domain_key": "domain", "target": "B"}
OF_FEATURES = {
    "transferability": {"label_key": "label", "n_permutations": 3},
    "importance_weights": OF_DOMAINS,
    "domain_distance": OF_DOMAINS | {"n_permutations": 3},
    "label_shift": OF_DOMAINS | {"label_key": "label", "n_resamples": 3},
    "shift_report": OF_DOMAINS | {"label_key": "label"},
    "da_bound": OF_DOMAINS | {"label_key": "label"},
}
MEASURES = ("spearman", "pearson", "r2", "mse")


def data(*, label=1.0, predicted=1.0, features=1.0):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(N, 3))
    number = np.round((x[:, 0] + 0.1) * 1000)
    obs = pd.DataFrame({"domain": np.repeat(["A", "B"], N // 2), "label": np.where(x[:, 0] > 0, "yes", "no")})
    obs["number"] = number * label
    obs["p"], obs["q"] = (number + 500 * rng.normal(size=N)) / 4000 * predicted, rng.uniform(-1, 1, N) * predicted
    obs.index = [f"o{i}" for i in range(N)]
    return ad.AnnData(x, obs=obs, obsm={"P": x * features})


def judged(adata, measure):
    options = {"prediction": "p", "baseline": "q", "label_key": "number", "measure": measure, "n_resamples": 50}
    return otl.metrics.negative_transfer(adata, **options)


def evidence(adata):
    return otl.metrics.transferability(adata, label_key="number", obsm="P", n_permutations=3)


@settings(deadline=None, max_examples=10)
@given(st.floats(1e-60, 1e10), st.floats(1e-60, 1e14), st.floats(1e-10, 1e10))
def test_units_change_no_result(label, predicted, features):
    adata, other = data(), data(label=label, predicted=predicted, features=features)
    np.testing.assert_allclose(evidence(other), evidence(adata), rtol=1e-6)
    for measure in ("spearman", "pearson"):
        np.testing.assert_allclose(judged(other, measure)[1:4], judged(adata, measure)[1:4], rtol=1e-9)
    assert np.isfinite([judged(other, measure)[1:4] for measure in ("r2", "mse")]).all()


@pytest.mark.parametrize("label", [1e-200, 1e-310, 5e-324])
def test_labels_too_small_to_be_squared(label):
    adata = data(label=label)
    words = r"adata\.obs\['number'\] spans .*less than 1e-70 cannot be computed with\. Multiply by a constant"
    with pytest.raises(ValueError, match=words):
        evidence(adata)
    with pytest.raises(ValueError, match=words):
        otl.metrics.shift_report(adata, label_key="number", **OF_DOMAINS)
    for measure in MEASURES:
        with pytest.raises(ValueError, match=words):
            judged(adata, measure)


@pytest.mark.parametrize(("predicted", "words"), [(1e300, "more than 1e.15"), (1e-310, "less than 1e-70")])
def test_predictions_that_cannot_be_squared(predicted, words):
    adata = data(predicted=predicted)
    expected = judged(data(), "spearman")
    np.testing.assert_allclose(judged(adata, "spearman")[1:4], expected[1:4], rtol=1e-9)  # ranks have no size
    for measure in ("pearson", "r2", "mse"):
        with pytest.raises(ValueError, match=rf"adata\.obs\['p'\].*{words}"):
            judged(adata, measure)


@pytest.mark.parametrize("name", OF_FEATURES)
@pytest.mark.parametrize("features", [1e-160, 1e-310])
def test_features_too_small_to_be_squared(name, features):
    with pytest.raises(ValueError, match=r"adata\.obsm\['P'\] has no value above .*less than 1e-70"):
        getattr(otl.metrics, name)(data(features=features), obsm="P", **OF_FEATURES[name])


def test_features_that_are_constant_up_to_rounding():
    adata = data()
    adata.obsm["P"] = np.full((N, 2), [0.1, 1e6 / 3])
    with pytest.raises(ValueError, match="All features are constant"):
        evidence(adata)


@pytest.mark.parametrize("name", ["calibration", "factor_recovery"])
def test_planted_factors_of_any_size(name):
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(N, 2))
    adata = ad.AnnData(np.zeros((N, 2)))
    adata.obsm["vae"] = (truth + 0.3 * rng.normal(size=(N, 2))).astype(np.float32)
    adata.obsm["vae_sd"] = np.full((N, 2), 0.3, dtype=np.float32)
    adata.uns["vae"] = {"kind": "vae", "version": 1, "names": np.array(["V1", "V2"], dtype=object)}
    found = getattr(otl.metrics, name)(adata, truth).select_dtypes("number")
    for size in (1e-60, 1e14):
        other = getattr(otl.metrics, name)(adata, truth * size).select_dtypes("number")
        np.testing.assert_allclose(other, found, rtol=1e-9)
    for size, words in ((1e-310, "less than 1e-70"), (1e300, "more than 1e.15")):
        with pytest.raises(ValueError, match=f"'planted 1' of `truth`.*{words}"):
            getattr(otl.metrics, name)(adata, truth * size)
