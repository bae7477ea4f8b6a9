"""Odd input of the measures of two domains: refused in words, or left out as missing."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import omicstl as otl

N = 80
OF_LABELS = {
    "transferability": {"n_permutations": 5},
    "label_shift": {"domain_key": "domain", "target": "B", "n_resamples": 50},
    "shift_report": {"domain_key": "domain", "target": "B"},
    "da_bound": {"domain_key": "domain", "target": "B"},
    "negative_transfer": {"prediction": "p", "baseline": "q", "n_resamples": 50},
}


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(N, 6))
    obs = pd.DataFrame({"domain": np.repeat(["A", "B"], N // 2), "label": np.where(x[:, 0] > 0, "yes", "no")})
    obs["p"], obs["q"], obs["number"] = x[:, 0] + rng.normal(size=N), rng.normal(size=N), x[:, 0] + 0.1
    obs.index = [f"o{i}" for i in range(N)]
    return ad.AnnData(x, obs=obs, obsm={"P": x[:, :2].copy()})


def measure(name, adata, **options):
    return getattr(otl.metrics, name)(adata, **{"label_key": "label"} | OF_LABELS[name] | options)


@pytest.mark.parametrize("name", OF_LABELS)
def test_what_is_no_label_is_refused(data, name):
    data.obs["label"] = [f"{value:.3f}" for value in data.obs["number"]]
    with pytest.raises(TypeError, match=r"holds numbers stored as text.*pd\.to_numeric\("):
        measure(name, data)
    data.obs["label"] = data.obs_names.to_numpy(dtype=str)
    with pytest.raises(ValueError, match=r"80 classes among 80 labels.*column of names"):
        measure(name, data)
    data.obs["label"] = pd.to_datetime(["2020-01-01", "2021-01-01"] * (N // 2))
    with pytest.raises(TypeError, match="holds dates .*such as days"):
        measure(name, data)
    data.obs["label"] = np.arange(N) * (1 + 1j)
    with pytest.raises(TypeError, match="holds complex numbers"):
        measure(name, data)
    with pytest.raises(TypeError, match="must be an AnnData"):
        measure(name, 3)


@pytest.mark.parametrize("name", ["transferability", "negative_transfer"])
def test_empty_text_is_missing(data, name):
    data.obs["label"] = ["" if i % 5 == 0 else value for i, value in enumerate(data.obs["label"])]
    assert measure(name, data).n_obs == N - N // 5


def test_empty_text_is_no_domain(data):
    data.obs["domain"] = ["" if i % 5 == 0 else value for i, value in enumerate(data.obs["domain"])]
    with pytest.raises(ValueError, match=r"adata\.obs\['domain'\] is missing in 16 of 80 observations"):
        otl.metrics.importance_weights(data, domain_key="domain")


def test_a_source_that_is_no_list_of_names(data):
    for source in (3, [1]):
        with pytest.raises(TypeError, match=r"`source` must be a list of names or None, got"):
            otl.metrics.domain_distance(data, domain_key="domain", source=source)
    with pytest.raises(TypeError, match="`target` must be a string"):
        otl.metrics.domain_distance(data, domain_key="domain", target=2)


def test_predictions_of_odd_kinds(data):
    with pytest.raises(ValueError, match="has 2 columns, and the truth is one number"):
        measure("negative_transfer", data, label_key="number", prediction="P", baseline="P")
    dense = measure("negative_transfer", data, prediction="P", baseline="P")
    data.obsm["P"] = sp.csr_matrix(data.obsm["P"])
    assert measure("negative_transfer", data, prediction="P", baseline="P") == dense
    data.obsm["P"] = pd.DataFrame({"a": ["x"] * N, "b": ["y"] * N}, index=data.obs_names)
    with pytest.raises(TypeError, match="must be a matrix of real numbers"):
        measure("negative_transfer", data, prediction="P", baseline="P")


def test_predicted_classes_of_other_words(data):
    data.obs["call"] = np.where(data.obs["p"] > 0, "sensitive", "resistant")
    with pytest.raises(ValueError, match="holds 'resistant', 'sensitive', and the true classes are 'no', 'yes'"):
        measure("negative_transfer", data, prediction="call", baseline="call")


OF_DOMAINS = {
    "domain_distance": {"n_permutations": 3},
    "importance_weights": {},
    "label_shift": {"label_key": "label", "n_resamples": 3},
    "shift_report": {"label_key": "label"},
    "da_bound": {"label_key": "label"},
}


def compare(name, adata, **options):
    return getattr(otl.metrics, name)(adata, **{"domain_key": "domain", "target": "B"} | OF_DOMAINS[name] | options)


@pytest.mark.parametrize("name", OF_DOMAINS)
def test_values_that_cannot_be_computed_with(data, name):
    for where, value in (("X", 1e30), ("P", -1e200)):
        large = data.copy()
        (large.X if where == "X" else large.obsm["P"])[3, 1] = value
        with pytest.raises(ValueError, match=r"has values up to 1e\+\d+; more than 1e\+15 .*Divide by a constant"):
            compare(name, large, obsm=None if where == "X" else "P")
    for value in (np.nan, np.inf):
        data.X[3, 1] = value
        with pytest.raises(ValueError, match=r"NaN or infinite values in 1 rows, first 'o3'"):
            compare(name, data)


@pytest.mark.parametrize("name", OF_DOMAINS)
def test_odd_but_valid_layouts_give_the_same(data, name, tmp_path):
    def values(adata, **options):
        found = compare(name, adata, **options)
        flat = [getattr(part, "select_dtypes", lambda _, part=part: part)("number") for part in found]
        return np.concatenate([np.ravel(np.asarray(part, dtype=float)) for part in flat if not isinstance(part, str)])

    data.X = np.round(data.X * 64) / 64  # float16 has these
    expected = values(data)
    half, wide, named = data.copy(), data.copy(), data.copy()
    half.X = half.X.astype(np.float16)
    wide.X = np.column_stack([wide.X[:, :5], np.full(N, 3.0)])
    wide.X[:, 4] = 7.0
    named.obs["domain"] = pd.Categorical(named.obs["domain"], categories=["C", "B", "A"])
    named.obs["label"] = pd.Categorical(named.obs["label"], categories=["no", "other", "yes"])
    data.write_h5ad(tmp_path / "data.h5ad")
    for other in (half, named, ad.read_h5ad(tmp_path / "data.h5ad", backed="r")):
        np.testing.assert_allclose(values(other), expected, rtol=1e-4, atol=1e-6)
    assert np.isfinite(values(wide)[:2]).all()  # constant columns
    data.obsm["P"] = pd.DataFrame(data.obsm["P"], index=data.obs_names, columns=["a", "b"])
    np.testing.assert_allclose(values(data, obsm="P"), values(half, obsm="P"), rtol=1e-6)


@pytest.mark.parametrize("name", ["transferability", "shift_report", "negative_transfer"])
def test_labels_without_size(data, name):
    data.obs["number"] = np.where(np.arange(N) == 5, np.inf, 1.0)
    with pytest.raises(ValueError, match="holds infinite values"):
        measure(name, data, label_key="number")
    data.obs["number"] = 1e300 * np.arange(N)
    with pytest.raises(ValueError, match=r"has values up to 7.9e\+301"):
        measure(name, data, label_key="number")
