"""Measures of two domains on AnnData: values, layouts, draws, and what is refused."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import omicstl as otl
from omicstl import metrics
from omicstl._core.log import DesignWarning, TransferWarning
from omicstl.kernels import logme, mmd


def make(n=120, m=80, *, p=30, move=0.0, flip=False, seed=0):
    """Three factors of p genes in two domains; the first decides the label."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n + m, 3))
    z[n:, 1] += move
    label = np.where(z[:, 0] + 0.3 * rng.normal(size=n + m) > 0, "high", "low")
    if flip:
        label[n:] = np.where(label[n:] == "high", "low", "high")
    x = z @ rng.normal(size=(3, p)) + 0.3 * rng.normal(size=(n + m, p))
    obs = pd.DataFrame(
        {
            "domain": np.repeat(["lines", "cells"], [n, m]),
            "label": label,
            "z": z[:, 0],
            "patient": np.arange(n + m) // 10,
        },
        index=[f"o{i}" for i in range(n + m)],
    )
    return ad.AnnData(x.astype(np.float32), obs=obs, obsm={"factors": z})


CALLS = {
    "domain_distance": lambda a, **k: (
        metrics.domain_distance(a, domain_key="domain", target="cells", n_permutations=20, **k).value
    ),
    "importance_weights": lambda a, **k: metrics.importance_weights(
        a, domain_key="domain", target="cells", **k
    ).weights.to_numpy(),
    "label_shift": lambda a, **k: (
        metrics.label_shift(a, domain_key="domain", label_key="label", target="cells", n_resamples=5, **k)
        .table["target"]
        .to_numpy()
    ),
    "shift_report": lambda a, **k: metrics.shift_report(
        a, domain_key="domain", label_key="label", target="cells", **k
    ).table["statistic"],
    "da_bound": lambda a, **k: metrics.da_bound(a, domain_key="domain", label_key="label", target="cells", **k)[:3],
    "transferability": lambda a, **k: metrics.transferability(a, label_key="label", n_permutations=5, **k)[:3],
}


@pytest.mark.parametrize("name", sorted(CALLS))
def test_layouts_layers_and_seeds(name):
    adata, call = make(), CALLS[name]
    before = adata.copy()
    expected = call(adata)
    np.testing.assert_allclose(call(adata), expected, rtol=1e-12)
    other = ad.AnnData(sp.csr_matrix(adata.shape), obs=adata.obs, layers={"log": sp.csr_matrix(adata.X)})
    np.testing.assert_allclose(call(other, layer="log"), expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(call(adata[:, :][adata.obs_names]), expected, rtol=1e-6)
    assert np.isfinite(np.asarray(call(adata, obsm="factors"), dtype=float)).all()
    np.testing.assert_array_equal(adata.X, before.X)
    pd.testing.assert_frame_equal(adata.obs, before.obs)
    assert not adata.uns


@pytest.mark.parametrize("method", ["mmd", "proxy_a", "classifier_auc", "coral", "sliced_wasserstein"])
def test_distances_see_what_they_should(method):
    options = {"domain_key": "domain", "method": method, "obsm": "factors", "n_permutations": 60}
    same, far = make(), make(move=1.5)
    if method == "coral":
        far.obsm["factors"][120:] *= 2
    near, apart = (metrics.domain_distance(a, **options) for a in (same, far))
    assert near.p > 0.03
    assert apart.p < 0.02
    assert apart.value > near.value
    assert apart.null.shape == (60,)
    assert apart.chance == pytest.approx(apart.null.mean())
    assert np.isnan(metrics.domain_distance(far, **{**options, "n_permutations": 0}).p)


def test_proxy_a_of_identical_domains():
    """100 observations of 1,000 variables: two samples of one distribution, and the very same rows in another order."""
    rng = np.random.default_rng(0)
    obs = pd.DataFrame({"domain": np.repeat(["a", "b"], 100)}, index=[f"o{i}" for i in range(200)])
    options = {"domain_key": "domain", "method": "proxy_a", "n_permutations": 0}
    for obsm in (None, "genes"):
        values = []
        for _ in range(12):
            x = rng.normal(size=(200, 1000))
            adata = ad.AnnData(x, obs=obs, obsm={"genes": x})
            values.append(metrics.domain_distance(adata, obsm=obsm, **options).value)
        assert np.mean(np.abs(values) <= 0.2) >= 0.9
        same = np.concatenate([x[:100], x[rng.permutation(100)]])
        adata = ad.AnnData(same, obs=obs, obsm={"genes": same})
        assert metrics.domain_distance(adata, obsm=obsm, **options).value == pytest.approx(0, abs=1e-9)


def test_mmd_of_an_obsm_is_that_of_the_kernel():
    adata = make(move=0.5)
    x, y = adata.obsm["factors"][120:], adata.obsm["factors"][:120]
    widths = mmd.bandwidths(x, y, generator=np.random.default_rng(0))
    found = metrics.domain_distance(adata, domain_key="domain", obsm="factors", n_permutations=0)
    assert found.value == pytest.approx(mmd.mmd2(x, y, widths).value)


def test_rows_are_drawn_and_all_get_weights():
    adata = make(300, 200, move=1.0)
    few = metrics.importance_weights(adata, domain_key="domain", target="cells", max_obs=100)
    every = metrics.importance_weights(adata, domain_key="domain", target="cells")
    assert few.weights.index.tolist() == every.weights.index.tolist() == [f"o{i}" for i in range(300)]
    assert few.weights.corr(every.weights) > 0.7
    assert few.share == pytest.approx(few.effective_size / 300)
    assert few.weights.mean() == pytest.approx(1)


def test_few_effective_rows_are_said():
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(size=(200, 12)), rng.normal(size=(200, 12)) + 0.7])
    adata = ad.AnnData(x, obs=pd.DataFrame({"domain": np.repeat(["a", "b"], 200)}, index=[f"o{i}" for i in range(400)]))
    with pytest.warns(TransferWarning, match="a few decide everything"):
        found = metrics.importance_weights(adata, domain_key="domain", method="discriminator")
    assert found.share < 0.1
    clipped = metrics.importance_weights(adata, domain_key="domain", method="discriminator", clip=3)
    assert clipped.share > 0.1


def test_no_overlap_is_said():
    """The effective share is large there, by accident."""
    adata = make(move=30.0)
    with pytest.warns(TransferWarning, match="'lines' and 'cells' do not overlap"):
        found = metrics.importance_weights(adata, domain_key="domain", target="cells", obsm="factors")
    assert found.auroc > 0.99
    assert metrics.importance_weights(make(), domain_key="domain", target="cells").auroc < 0.7


def test_labels_of_the_target_are_not_read_for_shares():
    adata = make(move=0.0)
    options = {"domain_key": "domain", "label_key": "label", "target": "cells", "n_resamples": 20}
    expected = metrics.label_shift(adata, **options).table
    adata.obs.loc[adata.obs["domain"] == "cells", "label"] = np.nan
    pd.testing.assert_frame_equal(metrics.label_shift(adata, **options).table, expected)
    assert expected["target"].sum() == pytest.approx(1)
    assert expected.columns.tolist() == ["label", "source", "target", "low", "high", "weight"]
    many = make(100, 300)
    few = many.copy()
    few.obs.loc[(few.obs["domain"] == "cells") & (few.obs["label"] == "low"), "label"] = np.nan
    for max_obs in (100, 2000):  # nor which rows have one, when rows are drawn
        tables = [metrics.label_shift(a, **options, max_obs=max_obs).table for a in (many, few)]
        pd.testing.assert_frame_equal(*tables)


def test_shares_warn_if_something_else_changed():
    adata = make(move=1.5)
    with pytest.warns(TransferWarning, match="do not explain how 'cells' differs from 'lines'"):
        found = metrics.label_shift(adata, domain_key="domain", label_key="label", target="cells", n_resamples=5)
    assert found.p < 0.01
    adata = make()
    adata.obs["label"] = np.random.default_rng(0).choice(["a", "b"], 200)
    with pytest.warns(TransferWarning, match="condition number"):
        metrics.label_shift(adata, domain_key="domain", label_key="label", target="cells", n_resamples=5)


@pytest.mark.parametrize(("options", "kind"), [({}, "none"), ({"move": 1.0}, "covariate"), ({"flip": True}, "concept")])
def test_report_names_the_shift(options, kind):
    adata = make(300, 200, **options)
    found = metrics.shift_report(adata, domain_key="domain", label_key="label", target="cells")
    assert found.kind == kind
    assert found.table["check"].tolist() == [
        "P(x)",
        "P(x) after other shares of labels",
        "P(x) along the labels",
        "P(y)",
        "P(x | y)",
        "P(y | x)",
    ]
    adata.obs.loc[adata.obs["domain"] == "cells", "label"] = np.nan
    blind = metrics.shift_report(adata, domain_key="domain", label_key="label", target="cells")
    assert not blind.concept_tested
    assert blind.kind == ("covariate or concept" if kind == "covariate" else "none or concept")
    assert "nothing can tell" in blind.sentence
    numeric = metrics.shift_report(make(300, 200, **options), domain_key="domain", label_key="z", target="cells")
    assert numeric.kind == ("covariate" if kind == "covariate" else "none")


def test_bound():
    good = metrics.da_bound(make(), domain_key="domain", label_key="label", target="cells")
    assert good.total == pytest.approx(good.source_error + good.divergence + good.joint_error)
    bad = metrics.da_bound(make(flip=True), domain_key="domain", label_key="label", target="cells")
    assert bad.joint_error > good.joint_error + 0.4
    assert metrics.da_bound(make(move=3), domain_key="domain", label_key="label", target="cells").divergence > 0.5


def test_transferability_is_the_kernel_on_z_scores():
    adata = make()
    x = adata.obsm["factors"]
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    codes = (adata.obs["label"] == "low").to_numpy().astype(int)
    found = metrics.transferability(adata, label_key="label", obsm="factors")
    assert found.value == pytest.approx(logme.logme(x, np.eye(2)[codes]).value)
    assert found.value > found.chance
    assert found.p < 0.01
    number = metrics.transferability(adata, label_key="z", obsm="factors")
    target = (adata.obs["z"] - adata.obs["z"].mean()) / adata.obs["z"].std(ddof=0)
    assert number.value == pytest.approx(logme.logme(x, target.to_numpy()[:, None]).value)
    h = metrics.transferability(adata, label_key="label", obsm="factors", method="h_score")
    assert h.value == pytest.approx(logme.h_scores(x, codes[None])[0])
    adata.obs.loc[adata.obs_names[:50], "label"] = None
    assert metrics.transferability(adata, label_key="label", obsm="factors").n_obs == 150


def test_leep():
    adata = make()
    p = np.where(adata.obs["label"] == "low", 0.9, 0.2)
    adata.obsm["p"] = np.column_stack([p, 1 - p])
    found = metrics.transferability(adata, label_key="label", obsm="p", method="leep")
    assert found.chance < found.value < 0
    with pytest.raises(ValueError, match=r"method='leep' needs probabilities .* adata.obsm\['factors'\] is not that"):
        metrics.transferability(adata, label_key="label", obsm="factors", method="leep")


def test_negative_transfer_says_which():
    adata = make(200, 200)
    rng = np.random.default_rng(0)
    truth = (adata.obs["label"] == "low").to_numpy().astype(float)
    for name, noise in (("good", 0.5), ("bad", 2.0), ("same", 0.5)):
        adata.obs[name] = truth + noise * rng.normal(size=400)
        adata.obsm[f"p_{name}"] = np.column_stack([1 - np.clip(adata.obs[name], 0, 1), np.clip(adata.obs[name], 0, 1)])
        adata.obs[f"call_{name}"] = np.where(adata.obs[name] > 0.5, "low", "high")
    compare = lambda a, b, **k: metrics.negative_transfer(adata, prediction=a, baseline=b, label_key="label", **k)
    helps = compare("good", "bad")
    assert (helps.verdict, helps.measure, helps.n_obs) == ("transfer helps", "auroc", 400)
    assert helps.low < helps.gap < helps.high
    hurts = compare("bad", "good")
    assert hurts.verdict == "transfer hurts"
    assert hurts.gap == pytest.approx(-helps.gap)
    assert compare("good", "same").verdict == "no difference shown"
    assert compare("p_good", "p_bad", measure="log_score").verdict == "transfer helps"
    called = compare("call_good", "call_bad")
    assert (called.verdict, called.measure) == ("transfer helps", "balanced_accuracy")
    adata.obs.loc[adata.obs_names[::2], "call_good"] = "uncertain"
    assert compare("call_good", "call_bad").verdict == "transfer hurts"
    adata.obs["guess"] = adata.obs["z"] + rng.normal(size=400)
    number = metrics.negative_transfer(adata, prediction="z", baseline="guess", label_key="z")
    assert (number.verdict, number.measure) == ("transfer helps", "spearman")
    wide, narrow = compare("good", "bad", block="patient"), compare("good", "bad")
    assert wide.gap == narrow.gap
    assert wide.low != narrow.low
    with pytest.warns(DesignWarning, match="'domain' has 2 levels"):
        compare("good", "bad", block="domain")


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"domain_key": "domian"}, KeyError, "Did you mean 'domain'"),
        ({"target": "cell"}, ValueError, r"'cell' is no domain of adata.obs\['domain'\]. Did you mean 'cells'"),
        ({"source": "lines"}, TypeError, r"Write source=\['lines'\]"),
        ({"source": ["cells"], "target": "cells"}, ValueError, "other than the target"),
        ({"obsm": "pca"}, KeyError, "'pca' not found in adata.obsm"),
        ({"obsm": "factors", "layer": "x"}, ValueError, "both given"),
        ({"method": "mdm"}, ValueError, "Did you mean 'mmd'"),
        ({"domain_key": "patient"}, ValueError, "Two domains are needed"),
        ({"max_obs": 3}, ValueError, "`max_obs` must be >= 10"),
    ],
)
def test_what_is_wrong_is_said(options, error, said):
    with pytest.raises(error, match=said):
        metrics.domain_distance(make(), **{"domain_key": "domain", **options})


def test_wrong_labels_and_values_are_said():
    adata = make()
    both = {"domain_key": "domain", "target": "cells"}
    with pytest.raises(ValueError, match="holds numbers; shares are of classes"):
        metrics.label_shift(adata, label_key="z", **both)
    with pytest.raises(ValueError, match="holds numbers; the bound is about classes"):
        metrics.da_bound(adata, label_key="z", **both)
    with pytest.raises(ValueError, match="method='h_score' is for classes"):
        metrics.transferability(adata, label_key="z", method="h_score")
    with pytest.raises(ValueError, match=r"measure='mse' does not fit adata.obs\['label'\]"):
        metrics.negative_transfer(adata, prediction="z", baseline="z", label_key="label", measure="mse")
    with pytest.raises(ValueError, match="different kinds"):
        metrics.negative_transfer(adata, prediction="z", baseline="factors", label_key="label")
    adata.obs["one"] = "a"
    with pytest.raises(ValueError, match="All labels of the source 'lines' .* are 'a'"):
        metrics.shift_report(adata, label_key="one", **both)
    adata.obs["gone"] = np.nan
    with pytest.raises(ValueError, match="missing in all 200 observations"):
        metrics.shift_report(adata, label_key="gone", **both)
    adata.obs["few"] = np.where(np.arange(200) < 5, adata.obs["label"], None)
    with pytest.raises(ValueError, match="has 5 labels"):
        metrics.shift_report(adata, label_key="few", **both)
    adata.X[3, 2] = np.nan
    with pytest.raises(ValueError, match="adata.X has NaN or infinite values in 1 rows, first 'o3'"):
        metrics.domain_distance(adata, domain_key="domain")
    with pytest.raises(ValueError, match="The source has 5 observations"):
        metrics.domain_distance(make(5, 50), domain_key="domain", target="cells")
    with pytest.raises(TypeError, match="must be an AnnData"):
        otl.metrics.domain_distance(np.ones((3, 3)), domain_key="domain")


def test_several_sources_count_as_one():
    adata = make(120, 80, move=1.0)
    adata.obs["study"] = np.repeat(["a", "b", "cells"], [60, 60, 80])
    one = metrics.domain_distance(adata, domain_key="domain", target="cells", n_permutations=0)
    two = metrics.domain_distance(adata, domain_key="study", source=["a", "b"], n_permutations=0)
    assert one.value == pytest.approx(two.value)
    adata.obs["study"] = adata.obs["study"].astype("category")
    part = metrics.domain_distance(adata, domain_key="study", source=["a"], target="b", n_permutations=0)
    assert abs(part.value) < one.value
