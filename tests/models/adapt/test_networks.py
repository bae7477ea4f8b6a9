"""Networks as methods of `tl.adapt`: kinds of labels, several sources, stored models, and the same answer each time."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pytest

import omicstl as otl
from omicstl.models import kinds

N, P = 60, 30
SHORT = otl.tl.Training(epochs=40, batch_size=40, learning_rate=5e-3, validation=0.2, patience=40)


def simulated(seed=0):
    rng = np.random.default_rng(seed)
    loadings, beta = rng.normal(size=(4, P)), np.array([2.0, -1.5, 0, 0])
    f = rng.normal(size=(3 * N, 4))
    domain = np.repeat(["a", "b", "target"], N)
    x = f @ loadings + rng.normal(size=(3 * N, P)) + np.repeat(2 * rng.normal(size=(3, P)), N, axis=0)
    adata = ad.AnnData(x.astype(np.float32))
    adata.obs["cohort"] = domain
    eta = f @ beta
    here = domain != "target"
    adata.obs["class"] = np.where(here, np.where(eta > 0, "yes", "no"), None)
    adata.obs["three"] = np.where(here, np.array(["x", "y", "z"], dtype=object)[np.digitize(eta, [-1, 1])], None)
    adata.obs["number"] = np.where(here, 10 * eta + 100, np.nan)
    adata.obsm["labels"] = np.where(here[:, None], np.column_stack([eta > 0, f[:, 2] > 0]).astype(float), np.nan)
    return adata, eta, f


def adapt(adata, label, method, **options):
    options = {"n_members": 2, "training": SHORT} | options
    otl.tl.adapt(adata, domain_key="cohort", label_key=label, target="target", method=method, **options)


def test_classes_with_an_adversarial_term():
    adata, eta, _ = simulated()
    adapt(adata, "class", otl.tl.Dann(weight=0.1))
    target = adata.obs["cohort"] == "target"
    said = (adata.obs["adapt_prediction"] == "yes").to_numpy()
    assert np.mean(said[target] == (eta[target] > 0)) > 0.8
    assert adata.obsm["adapt"].shape == (3 * N, 64)
    history = adata.uns["adapt"]["history"]
    assert sorted(history["member"].unique()) == [0, 1]
    assert np.isfinite(history["validation"]).all()
    model = otl.get.model(adata, "adapt")
    assert model.kind == "adapt_network"
    np.testing.assert_allclose(model.predict(adata.X[target]), adata.obsm["adapt_probability"][target], atol=1e-4)
    again = kinds.from_dict(model.to_dict())
    np.testing.assert_array_equal(again.decide(adata.X[:5]), model.decide(adata.X[:5]))
    with pytest.raises(ValueError, match="damaged"):
        kinds.from_dict(model.to_dict() | {"offset": np.zeros(3)})
    new = adata[target].copy()
    del new.uns["adapt"]
    otl.tl.predict(new, adata, key="adapt")
    assert (new.obs["adapt_prediction"].astype(str) == adata.obs["adapt_prediction"][target].astype(str)).all()


def test_numbers_keep_their_scale_and_the_weight_is_chosen():
    adata, eta, _ = simulated()
    adapt(adata, "number", "mmd")
    target = (adata.obs["cohort"] == "target").to_numpy()
    said = adata.obs["adapt_prediction"].to_numpy()
    assert np.corrcoef(said[target], eta[target])[0, 1] > 0.8
    assert np.abs(said.mean() - 100) < 10
    assert otl.get.model(adata, "adapt").weight in (0.0, 0.3, 1.0)
    first = adata.obsm["adapt"].copy()
    adapt(adata, "number", otl.tl.Mmd())
    np.testing.assert_array_equal(adata.obsm["adapt"], first)
    adapt(adata, "number", otl.tl.Mmd(), rng=1)
    assert not np.array_equal(adata.obsm["adapt"], first)


@pytest.mark.parametrize(("label", "method"), [("three", otl.tl.Cdan(weight=0.1)), ("labels", otl.tl.DeepCoral(weight=0.1))])  # fmt: skip
def test_several_classes_and_several_labels(label, method):
    adata, eta, f = simulated()
    adapt(adata, label, method)
    target = (adata.obs["cohort"] == "target").to_numpy()
    if label == "three":
        truth = np.array(["x", "y", "z"])[np.digitize(eta, [-1, 1])]
        assert np.mean(adata.obs["adapt_prediction"].astype(str).to_numpy()[target] == truth[target]) > 0.6
    else:
        truth = np.column_stack([eta > 0, f[:, 2] > 0])
        assert np.mean((adata.obsm["adapt_prediction"] > 0.5)[target] == truth[target]) > 0.7


def test_labelled_rows_of_the_target_are_predicted_without_their_labels():
    adata, eta, _ = simulated()
    target = np.flatnonzero(adata.obs["cohort"] == "target")
    number = adata.obs["number"].to_numpy(copy=True)
    number[target] = 10 * eta[target] + 100
    number[target[0]] += 120  # a wild label that a prediction of its own row would follow
    adata.obs["number"] = number
    adapt(adata, "number", otl.tl.Mmd(weight=0.1), safeguard=False)
    said = adata.obs["adapt_prediction"].to_numpy()
    assert abs(said[target[0]] - (10 * eta[target[0]] + 100)) < 60
    assert np.corrcoef(said[target[1:]], eta[target[1:]])[0, 1] > 0.7


def test_label_shift_is_refused_where_there_are_no_classes():
    adata, _, _ = simulated()
    with pytest.raises(ValueError, match="`label_shift` of Mmd needs one column of classes, got the task 'regression'"):
        adapt(adata, "number", otl.tl.Mmd(weight=0.1, label_shift=True))
    assert "adapt" not in adata.uns


def test_label_shift_keeps_a_target_of_one_class_above_all():
    rng = np.random.default_rng(0)
    truth = np.concatenate([rng.random(120) < 0.5, rng.random(160) < 0.85])
    direction = rng.normal(size=P)
    x = rng.normal(size=(280, P)) + truth[:, None] * 3.5 * direction / np.linalg.norm(direction)
    adata = ad.AnnData(x.astype(np.float32))
    adata.obs["cohort"] = ["source"] * 120 + ["target"] * 160
    adata.obs["class"] = np.where(np.arange(280) < 120, np.where(truth, "yes", "no"), None)
    right = {}
    for shifted in (False, True):
        adapt(adata, "class", otl.tl.Mmd(weight=0.3, label_shift=shifted), safeguard=False)
        right[shifted] = np.mean((adata.obs["adapt_prediction"] == "yes").to_numpy()[120:] == truth[120:])
    assert right[True] > right[False] + 0.1  # z-scores of each domain alone put the middle of both at the same place
    assert right[True] > 0.78
