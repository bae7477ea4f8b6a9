"""Odd input of `tl.adapt`: each is refused in words, or gives numbers throughout, and the user's object stays as it was."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import omicstl as otl
from omicstl.models.adapt import networks
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
        r"`source` must be a string, a list of names or None, got 3 of type int",
        source=3,
    )


def test_a_source_without_labels_gives_advice_that_works(data):
    refused(data, ValueError, r"too few in 'B' \(0\)\. Label more, or is 'A' not the target", target="A")


def test_numbers_as_text_are_no_classes(data):
    data.obs["label"] = [f"{0.37 * i:.2f}" for i in range(HALF)] + [None] * HALF
    for options in ({}, {"task": "regression"}):
        refused(data, TypeError, r"holds numbers stored as text, such as '0\.00'.*pd\.to_numeric\(", **options)


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


def labels(data, values):
    data.obs["label"] = values


@pytest.mark.parametrize("text", ["nan", "<NA>", "NaT"])
def test_text_for_what_is_missing_is_no_class(data, text):
    labels(data, np.where(np.arange(N) < HALF, np.where(np.arange(N) % 2, "yes", "no"), text).astype(object))
    for options in ({}, {"target": "B"}):
        refused(data, ValueError, rf"holds the text '{text}' in 30 observations.*replace\('{text}', None\)", **options)
    labels(data, data.obs["label"].replace(text, None))  # what the message says
    otl.tl.adapt(data, domain_key="domain", label_key="label")
    assert list(data.uns["adapt"]["outputs"]) == ["no", "yes"]


@pytest.mark.parametrize("text", ["n/a", "NULL", "none"])
def test_text_that_may_be_missing_is_said(data, text):
    labels(data, np.where(np.arange(N) < HALF, np.where(np.arange(N) % 2, "yes", text), None).astype(object))
    with pytest.warns(otl.TransferWarning, match=rf"'{text}' is taken as a group .*replace\('{text}', None\)"):
        otl.tl.adapt(data, domain_key="domain", label_key="label")
    assert set(data.uns["adapt"]["outputs"]) == {text, "yes"}


def test_a_class_that_no_source_has_is_said(data):
    labels(data, np.where(np.arange(N) < HALF, np.where(np.arange(N) % 2, "yes", "no"), "unknown").astype(object))
    refused(data, ValueError, "no domain lacks labels.*must be NaN or None, not a word such as 'unknown'")
    with pytest.warns(otl.TransferWarning, match=r"No source has labels of 'unknown' \(30\).*make it None"):
        otl.tl.adapt(data, domain_key="domain", label_key="label", target="B")


def test_a_source_of_one_class_is_said(data):
    data.obs["domain"] = np.repeat(["A", "B", "C"], N // 3)
    known = (np.arange(N) < 20, np.arange(N) < 40)
    labels(data, np.select(known, ("yes", np.where(np.arange(N) % 2, "yes", "no")), "").astype(object))
    with pytest.warns(otl.TransferWarning, match="All labels of 'A' are of one class.*leave it out of `source`"):
        otl.tl.adapt(data, domain_key="domain", label_key="label")
    assert np.isnan(data.uns["adapt"]["sources"]["skill"]).all()  # and no warning of numpy's


@pytest.mark.parametrize(("factor", "offset"), [(1.0, 1e9), (1e-3, 1e17), (0.0, 0.3)])
def test_numbers_that_predictions_cannot_tell_apart(data, factor, offset):
    values = np.where(np.arange(N) < HALF, data.X[:, 0] * factor + offset, np.nan)
    values[:3] = np.nextafter(values[:3], np.inf)
    values[3:5] = np.nextafter(values[3:5], -np.inf)
    data.obs["number"] = values
    refused(
        data,
        ValueError,
        r"float32 cannot tell apart; .*Subtract a constant: adata\.obs\['number'\] -= ",
        label_key="number",
    )
    data.obs["number"] -= np.nanmin(values)
    if np.nanmax(data.obs["number"]) > 1e-3:  # the advice works
        otl.tl.adapt(data, domain_key="domain", label_key="number", target="B", task="regression")


@pytest.mark.parametrize("size", [1e-20, 1e20])
def test_the_unit_of_numbers_does_not_matter(data, size):
    values = np.where(np.arange(N) < HALF, data.X[:, 0], np.nan)
    data.obs["number"], data.obs["other"] = values, values * size
    found = []
    for label in ("number", "other"):
        otl.tl.adapt(data, domain_key="domain", label_key=label, target="B", method="coral", key_added=label + "_a")
        found.append(data.obs[label + "_a_prediction"].to_numpy(dtype=float))
    np.testing.assert_allclose(found[1], found[0] * size, rtol=1e-5, atol=1e-5 * size)


@pytest.mark.parametrize("factor", [1e200, 1e-200, 1e40, 1e-40])
def test_numbers_that_cannot_be_squared(data, factor):
    values = np.where(np.arange(N) < HALF, data.X[:, 0] * factor, np.nan)
    data.obs["number"] = values
    refused(data, ValueError, "beyond what can be squared. Bring them to another scale", label_key="number")
    data.obsm["numbers"] = np.column_stack([np.where(np.isnan(values), np.nan, data.X[:, 1]), values])
    refused(data, ValueError, r"adata\.obsm\['numbers'\] holds numbers from", label_key="numbers")


def test_a_target_that_is_no_text(data):
    data.obs["domain"] = np.repeat([1, 2], HALF)
    refused(
        data,
        TypeError,
        "`target` must be a string or None, got 2 of type int. Write target='2'",
        target=2,
    )


@pytest.mark.parametrize("kind", [int, float, str])
def test_a_domain_has_one_name(data, kind):
    data.obs["domain"] = np.repeat([1, 2], HALF).astype(kind)
    for options in ({"target": "2"}, {"target": "2.0"}, {"target": "2", "source": ["1.0", "1"]}):
        otl.tl.adapt(data, domain_key="domain", label_key="label", method="zscore", **options)
        assert list(data.uns["adapt"]["sources"]["source"]) == ["1"]


def test_one_block_cannot_judge_a_transfer(data):
    rng = np.random.default_rng(2)
    labels(data, np.where(data.X[:, 0] + rng.normal(size=N) * 0.1 > 1, "yes", "no").astype(object))
    data.obs.loc[data.obs_names[-3:], "label"] = None
    data.obs["block"] = np.where(np.arange(N) < HALF, np.arange(N) // 3, 99).astype(str)
    otl.tl.adapt(data, domain_key="domain", label_key="label", block="block", method="zscore")
    assert list(data.uns["adapt"]["sources"]["measured_on"]) == ["not measured"]
    otl.tl.adapt(data, domain_key="domain", label_key="label", method="zscore")
    assert list(data.uns["adapt"]["sources"]["measured_on"]) == ["labelled target"]


def test_the_focal_loss_is_for_networks_and_classes(data, monkeypatch):
    refused(data, ValueError, "`focus` is for networks; method='auto' is solved in closed form", focus=2)
    refused(data, ValueError, "`focus` must be >= 0, got -1", focus=-1, method="mmd")
    data.obs["number"] = np.where(np.arange(N) < HALF, data.X[:, 0], np.nan)
    refused(data, ValueError, "focus=2 is for classes", focus=2, method="mmd", label_key="number")

    def train(given, config, *rest, **options):
        msg = f"trained with {config.focus}"
        raise RuntimeError(msg)

    monkeypatch.setattr(networks, "train_members", train)
    refused(data, RuntimeError, r"trained with 2\.5", focus=2.5, method="mmd")
    refused(data, RuntimeError, r"trained with 0\.0", method="mmd")
