"""`tl.adapt`: what it writes for each kind of label, what it refuses, and how it says that a transfer does not help."""

from dataclasses import dataclass

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import omicstl as otl
from omicstl._core.options.adaptation import Adaptation
from omicstl._core.random import streams
from omicstl.models.adapt.closed_forms.zscore import ZScore
from tests.support.snapshots import changes, snapshot

N, P = 50, 30


def simulated(n_domains=3, shift=2.0, flip=None, seed=0):
    """Cohorts of 50 with one relation of genes to labels and a shift of each; the last one is the target."""
    rng = np.random.default_rng(seed)
    loadings = rng.normal(size=(4, P))
    beta = np.array([2.0, -1.5, 0, 0])
    parts, names = [], []
    for d in range(n_domains):
        f = rng.normal(size=(N, 4))
        x = f @ loadings + rng.normal(size=(N, P)) + shift * rng.normal(size=P)
        eta = (f @ beta) * (-1 if d == flip else 1)
        parts.append((x, eta, f))
        names += [f"d{d}"] * N
    adata = ad.AnnData(np.vstack([x for x, _, _ in parts]).astype(np.float32))
    adata.var_names = [f"G{i}" for i in range(P)]
    adata.obs_names = [f"s{i}" for i in range(adata.n_obs)]
    adata.obs["cohort"] = names
    eta = np.concatenate([e for _, e, _ in parts])
    f = np.vstack([f for _, _, f in parts])
    adata.obs["number"] = eta + 0.3 * rng.normal(size=eta.size)
    adata.obs["class"] = np.where(eta + 0.3 * rng.logistic(size=eta.size) > 0, "yes", "no").astype(object)
    adata.obs["three"] = np.array(["a", "b", "c"], dtype=object)[
        np.digitize(eta + 0.3 * rng.normal(size=eta.size), [-1, 1])
    ]
    adata.obsm["labels"] = np.column_stack([eta > 0, f[:, 2] > 0]).astype(float)
    adata.obsm["numbers"] = np.column_stack([eta, f[:, 2]])
    adata.uns["numbers_names"] = np.array(["u/v", "w"], dtype=object)
    return adata


def hide(adata, key, rows=None):
    """The labels of the last cohort, or of these rows of it, become unknown; they are returned."""
    target = np.flatnonzero(adata.obs["cohort"] == adata.obs["cohort"].iloc[-1])
    rows = target if rows is None else target[rows]
    if key in adata.obs:
        truth = adata.obs[key].to_numpy(copy=True)[rows]
        adata.obs.loc[adata.obs_names[rows], key] = np.nan if key == "number" else None
    else:
        value = np.array(adata.obsm[key], dtype=float)
        truth = value[rows].copy()
        value[rows] = np.nan
        adata.obsm[key] = value
    return rows, truth


def adapt(adata, key, **options):
    return otl.tl.adapt(adata, domain_key="cohort", label_key=key, **options)


@pytest.mark.parametrize("method", ["auto", "zscore", otl.tl.Coral(), otl.tl.SubspaceAlignment(n_comps=6)], ids=str)
def test_two_classes(method):
    adata = simulated()
    rows, truth = hide(adata, "class")
    adapt(adata, "class", method=method)
    entry = adata.uns["adapt"]
    assert list(adata.obs["adapt_prediction"].cat.categories) == ["no", "yes"] == list(entry["outputs"])
    assert (adata.obs["adapt_prediction"].to_numpy()[rows] == truth).mean() > 0.75
    probability = adata.obsm["adapt_probability"]
    np.testing.assert_allclose(probability.sum(axis=1), 1, atol=1e-6)
    assert ((probability[:, 1] > 0.5) == (adata.obs["adapt_prediction"] == "yes")).all()
    assert adata.obsm["adapt"].shape[0] == 150
    assert entry["task"] == "binary"
    assert entry["sources"]["source"].tolist() == ["d0", "d1"]
    assert entry["params"]["n_labelled_target"] == 0
    if method == "auto":
        assert entry["candidates"]["method"].tolist()[:2] == ["none", "zscore"]
        assert entry["candidates"]["chosen"].sum() == 1


@pytest.mark.parametrize(
    ("key", "task", "outputs"),
    [
        ("number", "regression", ["number"]),
        ("three", "multinomial", ["a", "b", "c"]),
        ("labels", "multilabel", ["labels1", "labels2"]),
        ("numbers", "regression", ["u/v", "w"]),
    ],
)
def test_every_kind_of_label(key, task, outputs, tmp_path):
    adata = simulated(2)
    rows, truth = hide(adata, key)
    adapt(adata, key, method="zscore")
    entry = adata.uns["adapt"]
    assert (entry["task"], list(entry["outputs"])) == (task, outputs)
    if key in ("labels", "numbers"):
        found = adata.obsm["adapt_prediction"][rows]
        assert found.dtype == np.float32
        assert "adapt_prediction" not in adata.obs
    else:
        found = adata.obs["adapt_prediction"].to_numpy()[rows]
    if task == "regression":
        table = np.column_stack([found.T.reshape(-1, N).T, truth.T.reshape(-1, N).T])
        c = np.corrcoef(table.astype(float).T)
        assert np.diag(c[: len(outputs), len(outputs) :]).min() > 0.6
    else:
        assert (found == truth).mean() > 0.55
    adata.write_h5ad(tmp_path / "a.h5ad")
    back = ad.read_h5ad(tmp_path / "a.h5ad")
    model = otl.get.model(back, "adapt")
    np.testing.assert_allclose(model.embed(np.asarray(back.X)[rows]), adata.obsm["adapt"][rows], atol=1e-3)


def test_another_kind_of_label_leaves_nothing_of_the_first():
    adata = simulated(2)
    hide(adata, "labels")
    hide(adata, "number")
    adapt(adata, "labels", method="none")
    adapt(adata, "number", method="none")
    assert set(adata.obsm) == {"labels", "numbers", "adapt"}
    adapt(adata, "labels", method="none")
    assert "adapt_prediction" not in adata.obs


def test_numbers_of_two_values_are_classes_and_the_task_can_be_named():
    adata = simulated(2)
    adata.obs["binary"] = (adata.obs["class"] == "yes").astype(float)
    adata.obs.loc[adata.obs["cohort"] == "d1", "binary"] = np.nan
    adapt(adata, "binary", method="none")
    assert adata.uns["adapt"]["task"] == "binary"
    adapt(adata, "binary", method="none", task="regression")
    assert adata.uns["adapt"]["task"] == "regression"


def test_labels_of_the_target_judge_the_sources():
    adata = simulated(3, flip=1)
    rows, truth = hide(adata, "class", np.arange(30, N))
    adapt(adata, "class", method="zscore", target="d2")
    table = adata.uns["adapt"]["sources"].set_index("source")
    assert table.loc["d0", "weight"] > 0.5
    assert table.loc["d1", "weight"] < 0.1
    assert set(table["measured_on"]) == {"labelled target"}
    assert adata.uns["adapt"]["safeguard"]["baseline"] == "target only"
    assert adata.uns["adapt"]["safeguard"]["n_rows"] == 30
    assert (adata.obs["adapt_prediction"].to_numpy()[rows] == truth).mean() > 0.7


def test_a_transfer_that_does_not_help_is_replaced_and_said():
    adata = simulated(2, flip=0)
    rows, truth = hide(adata, "class", np.arange(35, N))
    with pytest.warns(otl.TransferWarning, match="No source predicts|did not help"):
        adapt(adata, "class", method="coral")
    assert adata.uns["adapt"]["sources"]["weight_used"].tolist() == [0.0]
    assert (adata.obs["adapt_prediction"].to_numpy()[rows] == truth).mean() > 0.6


def test_sources_that_contradict_each_other_are_named():
    adata = simulated(3, flip=1)
    hide(adata, "class")
    with pytest.warns(otl.TransferWarning, match="'d0', 'd1' do not predict each other's labels"):
        adapt(adata, "class", method="zscore")


def test_rows_of_other_domains_count_as_new_ones_of_the_target():
    adata = simulated(3)
    hide(adata, "number")
    adapt(adata, "number", method="coral", source="d0")
    model = otl.get.model(adata)
    other = (adata.obs["cohort"] == "d1").to_numpy()
    x = np.asarray(adata.X)
    np.testing.assert_allclose(adata.obs["adapt_prediction"][other], model.predict(x[other])[:, 0], atol=1e-5)
    np.testing.assert_allclose(adata.obsm["adapt"][other], model.embed(x[other]), atol=1e-6)


def test_an_embedding_can_be_adapted_and_layouts_do_not_matter():
    adata = simulated(2)
    hide(adata, "number")
    adata.obsm["X_pca"] = np.asarray(adata.X)[:, :12]
    adapt(adata, "number", method="coral", obsm="X_pca")
    assert otl.get.model(adata).features.tolist()[:2] == ["X_pca1", "X_pca2"]
    sparse = adata.copy()
    sparse.X = sp.csr_matrix(sparse.X)
    one, two = (adapt(a, "number", method="coral", copy=True) for a in (adata, sparse))
    np.testing.assert_allclose(one.obs["adapt_prediction"], two.obs["adapt_prediction"], atol=1e-5)


def test_more_variables_than_observations_and_balance():
    adata = simulated(2)
    rng = np.random.default_rng(0)
    wide = ad.AnnData(np.hstack([adata.X, rng.normal(size=(2 * N, 400)).astype(np.float32)]), adata.obs)
    keep = ~((wide.obs["class"] == "yes") & (np.arange(2 * N) % 3 > 0)).to_numpy()
    wide = wide[keep].copy()
    rows, truth = hide(wide, "class")
    for method in ("coral", "linear_transport"):
        shares = []
        for weight in (None, "balanced"):
            adapt(wide, "class", method=method, class_weight=weight)
            shares.append(wide.obsm["adapt_probability"][rows, 1].mean())
        assert shares[1] > shares[0]


def test_blocks_are_left_out_together():
    adata = simulated(2)
    hide(adata, "number")
    adata.obs["patient"] = np.arange(2 * N) // 5
    one, two = (adapt(adata, "number", method="zscore", block=b, copy=True) for b in (None, "patient"))
    assert (one.obs["adapt_prediction"] != two.obs["adapt_prediction"]).any()
    assert two.uns["adapt"]["params"]["block"] == "patient"


SEEN: dict = {}


@dataclass(frozen=True)
class Pretended(Adaptation):
    """A method of another kind, as networks are."""

    name = "pretended"
    closed = False

    def prepare(self, problem, random):
        assert not np.isfinite(problem.target.y).any()
        SEEN["training"] = (problem.training, problem.n_members)
        return self

    def fit(self, prepared, problem, weights):
        SEEN.setdefault("labels", []).append(int(np.isfinite(problem.target.y).sum()))
        found = ZScore().fit(ZScore().prepare(problem, streams(0)), problem, weights)
        return found._replace(history={"epoch": np.arange(1, 4), "loss": np.array([3.0, 2, 1])})


def test_a_method_is_a_record_with_two_steps():
    SEEN.clear()
    adata = simulated(2)
    hide(adata, "class", np.arange(25, N))
    training = otl.tl.Training(epochs=3)
    adapt(adata, "class", method=Pretended(), training=training, n_members=2)
    assert {"training": (training, 2), "labels": [20, 20, 20, 20, 20, 25]} == SEEN  # five folds, then all
    entry = adata.uns["adapt"]
    assert entry["history"]["loss"].tolist() == [3, 2, 1]
    assert entry["safeguard"]["baseline"] == "target only"


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"method": "corral"}, ValueError, "`method` must be one of 'auto'.*Did you mean 'coral'"),
        ({"method": otl.tl.Coral}, TypeError, r"Write method=otl.tl.Coral\(\), a record"),
        (
            {"method": 3},
            TypeError,
            r"a string, a record such as otl.tl.Coral\(\) or a record such as otl.tl.Mmd\(\), got 3",
        ),
        ({"training": otl.tl.Training()}, ValueError, "`training` is for networks; method='auto'"),
        ({"n_members": 3, "method": "coral"}, ValueError, "`n_members` is for networks"),
        ({"domain_key": "cohorts"}, KeyError, "Did you mean 'cohort'"),
        ({"label_key": "clas"}, KeyError, "Did you mean 'class'"),
        ({"source": "d9"}, ValueError, "'d9' is no domain.*Domains: 'd0', 'd1'"),
        ({"source": []}, ValueError, "at least one domain"),
        ({"source": ["d1"]}, ValueError, "not the target"),
        ({"target": "D1"}, ValueError, "Did you mean 'd1'"),
        ({"task": "ranking"}, ValueError, "`task` must be one of"),
        ({"task": "regression"}, ValueError, "needs numbers"),
        ({"task": "multilabel"}, ValueError, "needs a matrix"),
        ({"layer": "counts"}, KeyError, "counts"),
        ({"obsm": "X_pca"}, KeyError, "X_pca"),
        ({"obsm": "numbers", "layer": "counts"}, ValueError, "both given"),
        ({"block": "patient"}, KeyError, "patient"),
        ({"class_weight": "even"}, ValueError, "'balanced'"),
        ({"safeguard": 1}, TypeError, "`safeguard` must be True or False"),
        ({"rng": "a"}, TypeError, "`rng`"),
        ({"key_added": "a/b"}, ValueError, "Use 'a_b'"),
    ],
)
def test_refused_arguments(options, error, match):
    adata = simulated(2)
    hide(adata, "class")
    before = snapshot(adata)
    with pytest.raises(error, match=match):
        otl.tl.adapt(adata, **({"domain_key": "cohort", "label_key": "class"} | options))
    assert not changes(before, snapshot(adata))


def broken(how):
    adata = simulated(2)
    hide(adata, "class")
    label = "class"
    if how == "nan":
        adata.X[3, 4] = np.nan
    elif how == "infinite":
        adata.X[3, 4] = np.inf
    elif how == "constant":
        adata.X[:] = 1
    elif how == "constant target":
        adata.X[adata.obs["cohort"].to_numpy() == "d1"] = np.arange(P)
    elif how == "duplicated":
        adata.var_names = ["G0"] * 2 + [f"G{i}" for i in range(2, P)]
    elif how == "one class":
        adata.obs.loc[adata.obs["cohort"] == "d0", "class"] = "yes"
    elif how == "no labels":
        adata.obs["class"] = None
    elif how == "few labels":
        adata.obs.loc[adata.obs_names[5:], "class"] = None
    elif how == "one domain":
        adata.obs["cohort"] = "d1"
    elif how == "missing domain":
        adata.obs.loc[adata.obs_names[0], "cohort"] = None
    elif how == "single":
        adata = adata[:51].copy()
    elif how == "all labelled":
        adata = simulated(2)
    elif how == "names":
        adata.obs["class"] = adata.obs_names
        adata = ad.concat([adata] * 2, index_unique="-")
        adata.obs["class"] = adata.obs_names
        adata.obs.loc[adata.obs["cohort"] == "d1", "class"] = None
        extra = adata[adata.obs["cohort"] == "d0"].copy()
        extra.obs["class"] = [f"x{i}" for i in range(extra.n_obs)]
        adata = ad.concat([adata, extra], index_unique="+")
    elif how == "infinite label":
        label = "number"
        adata.obs.loc[adata.obs_names[0], "number"] = np.inf
    elif how == "text labels":
        label = "text"
        adata.obsm["text"] = pd.DataFrame({"a": ["x"] * adata.n_obs}, index=adata.obs_names)
    elif how == "alike":
        label = "number"
        adata.obs["number"] = np.where(adata.obs["cohort"] == "d0", 1.0, np.nan)
        adata.obs.loc[adata.obs_names[-1], "number"] = 2.0
        adata.obs.loc[adata.obs_names[-2], "number"] = 3.0
    return adata, label


@pytest.mark.parametrize(
    ("how", "match"),
    [
        ("nan", "1 NaN value"),
        ("infinite", "1 infinite value"),
        ("constant", "nothing to learn"),
        ("constant target", "No variable varies within the target"),
        ("duplicated", "not unique"),
        ("one class", "All labels of the sources 'd0'.*'yes'|one class"),
        ("no labels", "is missing in all"),
        ("few labels", r"at least 10 labels.*'d0' \(5\)"),
        ("one domain", "has one domain, 'd1'"),
        ("missing domain", "is missing in 1 of 100"),
        ("single", "has 1 observation; its mean and spread need"),
        ("all labelled", "no domain lacks labels. Name it"),
        ("names", "classes.*At most 100"),
        ("infinite label", "infinite values"),
        ("text labels", "must be a matrix of numbers"),
        ("alike", "All labels of the sources 'd0'"),
    ],
)
def test_refused_data(how, match):
    adata, label = broken(how)
    before = snapshot(adata)
    with pytest.raises((ValueError, TypeError), match=match):
        adapt(adata, label, method="zscore")
    assert not changes(before, snapshot(adata))


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (lambda: otl.tl.Coral(shrinkage=0.0), ValueError),
        (lambda: otl.tl.LinearTransport(shrinkage=2.0), ValueError),
        (lambda: otl.tl.SubspaceAlignment(n_comps=0), ValueError),
        (lambda: otl.tl.ZScore(scale=1), TypeError),
        (lambda: otl.tl.ZScore(shrinkage=0.1), TypeError),
        (lambda: otl.tl.Coral(n_comps=3), TypeError),
    ],
)
def test_an_option_that_a_method_does_not_use_is_an_error(options, error):
    with pytest.raises(error):
        options()
