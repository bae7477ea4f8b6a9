"""Odd input of `tl.adapt`: each is refused in words, or gives numbers throughout, and the user's object stays as it was."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import omicstl as otl
from tests.support.snapshots import changes, snapshot

N = 60
HALF = N // 2


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, N)
    x = rng.normal(size=(N, 12))
    x[:, 0] += 2 * y
    label = np.where(y, "yes", "no").astype(object)
    label[HALF:] = None
    obs = pd.DataFrame({"domain": np.repeat(["A", "B"], HALF), "label": pd.Categorical(label)})
    obs.index = [f"o{i}" for i in range(N)]
    return ad.AnnData(x, obs=obs, var=pd.DataFrame(index=[f"g{i}" for i in range(12)]))


def refused(adata, error, match, **options):
    before = snapshot(adata)
    with pytest.raises(error, match=match):
        otl.tl.adapt(adata, **{"domain_key": "domain", "label_key": "label"} | options)
    assert not changes(before, snapshot(adata))


def test_a_source_that_is_no_name(data):
    refused(
        data,
        TypeError,
        r"`source` must be the name of a domain, or a list of names, got 3 of type int.*'A', 'B'",
        source=3,
    )


def test_a_source_without_labels_gives_advice_that_works(data):
    refused(data, ValueError, r"too few in 'B' \(0\)\. Label more, or is 'A' not the target", target="A")


def test_numbers_as_text_are_no_classes(data):
    data.obs["label"] = [f"{0.37 * i:.2f}" for i in range(HALF)] + [None] * HALF
    refused(data, ValueError, r"holds numbers as text, '0\.00'.*astype\(float\)")
    refused(data, ValueError, r"needs numbers, .* Make them numbers: .*astype\(float\)", task="regression")


def test_a_class_for_each_observation_is_none(data):
    data.obs["label"] = [f"name {i}" for i in range(HALF)] + [None] * HALF
    refused(data, ValueError, r"30 classes among 30 labels.*column of names")
    data.obs["label"] = [0.1 * i for i in range(HALF)] + [np.nan] * HALF
    refused(data, ValueError, r"30 classes among 30 labels.*regression", task="classification")


def test_columns_that_others_have_made_stay(data):
    data.obs["adapt_prediction"] = np.arange(N, dtype=float)
    refused(data, ValueError, r"adata\.obs\['adapt_prediction'\] would be replaced.*Choose another `key_added`")
    otl.tl.adapt(data, domain_key="domain", label_key="label", key_added="other")
    otl.tl.adapt(data, domain_key="domain", label_key="label", key_added="other")  # a run of its own may be repeated
    np.testing.assert_array_equal(data.obs["adapt_prediction"], np.arange(N))


def test_what_is_read_is_not_replaced(data):
    data.obs["adapt_prediction"] = data.obs["label"]
    refused(
        data,
        ValueError,
        r"`label_key` is adata\.obs\['adapt_prediction'\], which the result would",
        label_key="adapt_prediction",
    )
    data.obsm["X_pca"] = data.X[:, :5].copy()
    refused(
        data, ValueError, r"`obsm` is adata\.obsm\['X_pca'\], which the result would", obsm="X_pca", key_added="X_pca"
    )
    refused(data, ValueError, r"adata\.obsm\['X_pca'\] would be replaced", key_added="X_pca")


def test_labels_that_nobody_has(data):
    table = np.full((N, 3), np.nan)
    table[:HALF] = np.random.default_rng(1).integers(0, 2, (HALF, 3))
    table[:, 1] = np.nan
    data.obsm["many"] = pd.DataFrame(table, index=data.obs_names, columns=["a", "b/c", "d"])
    refused(
        data,
        ValueError,
        r"No observation of the sources 'A' has a value of 'b/c'.*Leave these columns out",
        label_key="many",
    )


def test_tables_of_truth_values_with_na(data):
    values = pd.array([True, False] * (HALF // 2) + [pd.NA] * HALF, dtype="boolean")
    data.obsm["many"] = pd.DataFrame({"a": values, "b": values}, index=data.obs_names)
    otl.tl.adapt(data, domain_key="domain", label_key="many")
    assert data.uns["adapt"]["task"] == "multilabel"
    assert np.isfinite(data.obsm["adapt_probability"]).all()
