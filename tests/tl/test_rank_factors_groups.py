"""`tl.rank_factors_groups` against scipy, statsmodels and a loop over limma's formulas; and what it writes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

import omicstl as otl
from omicstl._core.log import logger
from tests.contract.cases import fitted, query
from tests.support.scored import scored, visits


def run(adata, phenotype, **options):
    """The result, and the table by contrast and factor."""
    otl.tl.rank_factors_groups(adata, phenotype, **options)
    entry = adata.uns[options.get("key_added", "plier_test")]
    return entry, entry["table"].set_index(["contrast", "factor"])


def make(n=30, k=25, seed=0, **more):
    """Scores whose variances differ, three groups, a number and a covariate."""
    rng = np.random.default_rng(seed)
    group = np.array(["a", "b", "c"])[rng.permutation(np.arange(n) % 3)]
    y = rng.normal(size=(n, k)) * np.sqrt(8 / rng.chisquare(8, k)) + 5
    y[:, :3] += 1.5 * (group == "b")[:, None]
    obs = {"group": group, "age": rng.uniform(20, 60, n), "sex": rng.permutation(np.arange(n) % 2 == 0), **more}
    return scored(y, obs), np.asarray(y, dtype=np.float32).astype(float)


def limma(y, x, c):
    """`lmFit`, `contrasts.fit` and `eBayes` of one contrast, factor by factor, in the order of the papers."""
    n, p = x.shape
    rows = []
    for j in range(y.shape[1]):
        beta, rss, *_ = np.linalg.lstsq(x, y[:, j], rcond=None)
        rows.append((c @ beta, rss[0] / (n - p)))
    effect, s2 = np.array(rows).T
    v, d = c @ np.linalg.inv(x.T @ x) @ c, n - p
    e = np.log(s2) - special.digamma(d / 2) + np.log(d / 2)
    target = e.var(ddof=1) - special.polygamma(1, d / 2)
    assert target > 0
    half = np.geomspace(0.01, 1e4, 2_000_001)
    half = half[np.argmin(np.abs(special.polygamma(1, half) - target))]
    s0 = np.exp(e.mean() + special.digamma(half) - np.log(half))
    post = (2 * half * s0 + d * s2) / (2 * half + d)
    t, df = effect / np.sqrt(post * v), min(2 * half + d, d * y.shape[1])
    return effect, np.sqrt(post * v), t, 2 * stats.t.sf(np.abs(t), df), np.sqrt(post), (2 * half, s0)


def test_without_block_it_is_limma():
    adata, y = make()
    entry, table = run(adata, "group", covariates=["age", "sex"])
    group = adata.obs["group"].to_numpy()
    x = np.column_stack([group == g for g in "abc"] + [adata.obs["age"], adata.obs["sex"]]).astype(float)
    for contrast, c in {"b - a": [-1, 1, 0], "c - a": [-1, 0, 1], "c - b": [0, -1, 1]}.items():
        effect, se, t, p, sd, prior = limma(y, x, np.array([*c, 0.0, 0.0]))
        rows = table.loc[contrast]
        np.testing.assert_allclose(rows["effect"], effect, rtol=1e-6)
        np.testing.assert_allclose(rows["se"], se, rtol=1e-5)
        np.testing.assert_allclose(rows["t"], t, rtol=1e-5)
        np.testing.assert_allclose(rows["p"], p, rtol=1e-4)
        np.testing.assert_allclose(rows["fdr"], stats.false_discovery_control(p), rtol=1e-4)
        np.testing.assert_allclose(rows["effect_sd"], effect / sd, rtol=1e-5)
        np.testing.assert_allclose(entry["overall"]["sd"], sd, rtol=1e-5)
        assert (entry["prior"]["df"], entry["prior"]["variance"]) == pytest.approx(prior, rel=1e-4)
    assert entry["prior"]["contrasts"]["df"].to_numpy() == pytest.approx(prior[0], rel=1e-4)


def test_overall_f_is_moderated_by_the_same_variances():
    adata, y = make()
    entry, _ = run(adata, "group")
    x = np.column_stack([adata.obs["group"] == g for g in "abc"]).astype(float)
    sd, (d0, _) = limma(y, x, np.array([-1.0, 1, 0]))[4:]
    groups = [y[adata.obs["group"] == g] for g in "abc"]
    plain = stats.f_oneway(*groups).statistic
    s2 = sum(((g - g.mean(0)) ** 2).sum(0) for g in groups) / 27
    f = plain * s2 / sd**2
    np.testing.assert_allclose(entry["overall"]["F"], f, rtol=1e-4)
    np.testing.assert_allclose(entry["overall"]["p"], stats.f.sf(f, 2, d0 + 27), rtol=1e-3)
    assert set(entry["overall"]["df_between"]) == {2}


@pytest.mark.parametrize("k", [1, 2])
def test_one_or_two_factors_are_ordinary_tests(k):
    adata, y = make(k=k)
    entry, table = run(adata, "group")
    groups = [y[adata.obs["group"] == g] for g in "abc"]
    np.testing.assert_allclose(entry["overall"]["p"], stats.f_oneway(*groups).pvalue, rtol=1e-5)
    assert entry["prior"]["df"] == 0
    two = adata[adata.obs["group"] != "c"].copy()
    _, table = run(two, "group")
    expected = stats.ttest_ind(groups[1], groups[0])
    rows = table.loc["b - a"]
    np.testing.assert_allclose(rows["t"], expected.statistic, rtol=1e-5)
    np.testing.assert_allclose(rows["p"], expected.pvalue, rtol=1e-5)
    interval = expected.confidence_interval()
    np.testing.assert_allclose(rows["ci_low"], interval.low, rtol=1e-4)
    np.testing.assert_allclose(rows["ci_high"], interval.high, rtol=1e-4)


def test_a_number_is_a_slope():
    sm = pytest.importorskip("statsmodels.api")
    adata, y = make(k=1)
    entry, table = run(adata, "age", covariates=["sex"])
    x = sm.add_constant(np.column_stack([adata.obs["age"], adata.obs["sex"]]).astype(float))
    other = sm.OLS(y[:, 0], x).fit()
    row = table.loc[("age", "LV1")]
    assert row["effect"] == pytest.approx(other.params[1], rel=1e-5)
    assert row["se"] == pytest.approx(other.bse[1], rel=1e-5)
    assert row["p"] == pytest.approx(other.pvalues[1], rel=1e-4)
    assert (row["ci_low"], row["ci_high"]) == pytest.approx(other.conf_int()[1], rel=1e-4)
    assert entry["params"]["phenotype_kind"] == "number"
    assert len(entry["groups"]) == 0
    assert entry["overall"]["F"].iloc[0] == pytest.approx(row["t"] ** 2)


def test_paired_is_the_paired_t_test():
    rng = np.random.default_rng(1)
    person = np.tile(np.arange(12), 2)
    when = np.repeat(["before", "after"], 12)
    y = (rng.normal(size=(24, 1)) + 3 * rng.normal(size=(12, 1))[person]).astype(np.float32)
    adata = scored(y, {"when": pd.Categorical(when, categories=["before", "after"]), "person": person})
    entry, table = run(adata, "when", block="person", paired=True)
    expected = stats.ttest_rel(y[12:].astype(float), y[:12].astype(float))
    row = table.loc[("after - before", "LV1")]
    assert row["t"] == pytest.approx(expected.statistic[0], rel=1e-5)
    assert row["p"] == pytest.approx(expected.pvalue[0], rel=1e-5)
    # the effect in SD is that of persons, not of their differences
    assert entry["overall"]["sd"].iloc[0] == pytest.approx(np.sqrt(3**2 + 1), rel=0.4)
    assert entry["overall"]["block_correlation"].iloc[0] > 0.7
    _, both = run(adata, "when", block="person")
    assert both.loc[("after - before", "LV1"), "p"] == pytest.approx(row["p"], rel=1e-4)


def test_blocks_of_equal_size_are_a_test_of_their_means():
    rng = np.random.default_rng(2)
    person = np.repeat(np.arange(16), 3)
    y = (rng.normal(size=(48, 2)) + rng.normal(size=(16, 2))[person]).astype(np.float32)
    adata = scored(y, {"group": np.where(person < 7, "ill", "well"), "person": person})
    entry, table = run(adata, "group", block="person")
    means = y.astype(float).reshape(16, 3, 2).mean(axis=1)
    np.testing.assert_allclose(table["p"], stats.ttest_ind(means[:7], means[7:]).pvalue, rtol=1e-4)
    assert entry["groups"].to_dict("list") == {"group": ["ill", "well"], "n_obs": [21, 27], "n_blocks": [7, 9]}
    assert entry["params"]["n_blocks"] == 16


def test_moderation_with_blocks_follows_the_formulas():
    """Variance of the contrast and its Satterthwaite df from the ordinary fit of each factor by itself."""
    person = visits(25)
    rng = np.random.default_rng(3)
    y = rng.normal(size=(person.size, 12)) * np.linspace(0.5, 2, 12) + rng.normal(size=(25, 12))[person]
    obs = {"group": np.array(["x", "y"])[person % 2], "person": person}
    entry, table = run(scored(y, obs), "group", block="person")
    alone = pd.concat([run(scored(y[:, [j]], obs), "group", block="person")[1] for j in range(12)])
    s2, d = alone["se"].to_numpy() ** 2, alone["df"].to_numpy()
    e = np.log(s2) - special.digamma(d / 2) + np.log(d / 2)
    target = e.var(ddof=1) - special.polygamma(1, d / 2).mean()
    half = np.geomspace(0.05, 1e4, 500_001)
    half = half[np.argmin(np.abs(special.polygamma(1, half) - target))]
    s0 = np.exp(e.mean() + special.digamma(half) - np.log(half))
    post = (2 * half * s0 + d * s2) / (2 * half + d)
    np.testing.assert_allclose(table["se"], np.sqrt(post), rtol=1e-4)
    np.testing.assert_allclose(table["df"], np.minimum(d + 2 * half, d.sum()), rtol=1e-3)
    np.testing.assert_allclose(table["t"], alone["effect"] / np.sqrt(post), rtol=1e-4)
    assert entry["prior"]["contrasts"]["df"].iloc[0] == pytest.approx(2 * half, rel=1e-3)


def test_groups_that_meet_within_persons_and_between():
    """Three groups, unbalanced: every contrast and F is finite, and a contrast is the difference of two others."""
    rng = np.random.default_rng(4)
    person = visits(30)
    group = np.array(["a", "b", "c"])[rng.integers(0, 3, person.size)]
    y = rng.normal(size=(person.size, 8)) + rng.normal(size=(30, 8))[person] + (group == "c")[:, None]
    adata = scored(y, {"group": group, "person": person})
    for paired in (False, True):
        entry, table = run(adata, "group", block="person", paired=paired)
        difference = table.loc["c - a"]["effect"] - table.loc["b - a"]["effect"]
        np.testing.assert_allclose(table.loc["c - b"]["effect"], difference, rtol=1e-6)
        assert np.isfinite(table.drop(columns=[])).all(axis=None)
        assert (entry["overall"]["fdr"] < 0.05).all()
    assert (entry["groups"]["n_blocks"] < 30).all()  # persons in whom a group meets another


def test_names_of_contrasts():
    adata, _ = make()
    assert run(adata, "group")[0]["table"]["contrast"].unique().tolist() == ["b - a", "c - a", "c - b"]
    entry, _ = run(adata, "group", reference_group="b")
    assert entry["table"]["contrast"].unique().tolist() == ["a - b", "c - b"]
    assert run(adata, "sex")[0]["table"]["contrast"].unique().tolist() == ["True - False"]
    adata.obs["group"] = pd.Categorical(adata.obs["group"], categories=["c", "unused", "b", "a"])
    assert run(adata, "group")[0]["table"]["contrast"].unique().tolist() == ["b - c", "a - c", "a - b"]
    adata.obs["arm"] = np.arange(30) % 2
    number, _ = run(adata, "arm")
    adata.obs["arm"] = adata.obs["arm"].astype("category")
    groups, _ = run(adata, "arm")
    assert number["table"]["contrast"].unique().tolist() == ["arm"]
    assert groups["table"]["contrast"].unique().tolist() == ["1 - 0"]
    np.testing.assert_allclose(number["table"]["p"], groups["table"]["p"])
    np.testing.assert_allclose(number["table"]["effect_sd"], groups["table"]["effect_sd"])


def test_the_reference_does_not_change_a_contrast():
    adata, _ = make()
    _, pairs = run(adata, "group")
    _, against = run(adata, "group", reference_group="c")
    np.testing.assert_allclose(pairs.loc["c - a"]["effect"], -against.loc["a - c"]["effect"])
    np.testing.assert_allclose(pairs.loc["c - a"]["fdr"], against.loc["a - c"]["fdr"])


@pytest.mark.parametrize("missing", ["group", "age", "person"])
def test_missing_values_are_dropped_and_counted(missing, caplog, monkeypatch):
    adata, _ = make(person=[f"p{i % 13}" for i in range(30)])
    adata.obs["group"] = adata.obs["group"].astype("category")
    gone = [0, 4, 17]
    adata.obs.loc[adata.obs_names[gone], missing] = np.nan if missing == "age" else None
    kept = adata[np.delete(np.arange(30), gone)].copy()
    options = {"block": "person", "covariates": ["age"]}
    monkeypatch.setattr(logger, "propagate", True)
    with otl.settings.override(verbosity=2), caplog.at_level("INFO"):
        entry, table = run(adata, "group", **options)
    assert f"3 of 30 observations are left out: '{missing}' is missing in 3" in caplog.text
    pd.testing.assert_frame_equal(table, run(kept, "group", **options)[1])
    assert entry["params"]["n_dropped"] == 3
    assert entry["params"]["n_obs"] == 27


def test_factor_covariates_adjust_and_are_not_tested():
    adata, y = make(k=2)
    entry, table = run(adata, "age", factor_covariates=["LV2"])
    assert entry["overall"]["factor"].tolist() == ["LV1"]
    x = np.column_stack([np.ones(30), adata.obs["age"], y[:, 1]])
    beta = np.linalg.lstsq(x, y[:, 0], rcond=None)[0]
    assert table["effect"].iloc[0] == pytest.approx(beta[1], rel=1e-5)
    alone = scored(y[:, :1], adata.obs.assign(other=y[:, 1]))
    pd.testing.assert_frame_equal(run(alone, "age", covariates=["other"])[1], table)


def test_correlation_is_that_of_residuals():
    adata, y = make(k=4)
    entry, _ = run(adata, "group")
    residual = y - pd.DataFrame(y).groupby(adata.obs["group"].to_numpy()).transform("mean").to_numpy()
    np.testing.assert_allclose(entry["correlation"], np.corrcoef(residual.T), atol=1e-6)
    assert entry["correlation"].dtype == np.float32


def test_intervals_and_p_values_agree():
    adata, _ = make(k=40, n=18)
    _, table = run(adata, "group", confidence=0.95)
    significant = table["p"] < 0.05
    assert 0 < significant.sum() < len(table)
    for low, high in (("ci_low", "ci_high"), ("effect_sd_low", "effect_sd_high")):
        assert ((table[low] > 0) | (table[high] < 0)).equals(significant)
    _, wide = run(adata, "group", confidence=0.99)
    assert (wide["ci_low"] < table["ci_low"]).all()
    assert (wide["effect_sd_high"] > table["effect_sd_high"]).all()


@pytest.mark.parametrize("how", ["none", "block", "paired"])
def test_coverage(how):
    """Both intervals cover the truth as often as they say; 1,200 factors of variances that differ, effects of 0 to 2 SD."""
    rng = np.random.default_rng(10)
    k = 1200
    person = np.arange(24) if how == "none" else np.repeat(np.arange(24), 1 + np.arange(24) % 3)
    group = (np.arange(person.size) % 2) if how == "paired" else (person % 2)
    sd = np.sqrt(6 / rng.chisquare(6, k))
    rho = 0.0 if how == "none" else rng.uniform(0.2, 0.8, k)
    effect = sd * rng.uniform(0, 2, k)
    noise = np.sqrt(1 - rho) * rng.normal(size=(person.size, k)) + np.sqrt(rho) * rng.normal(size=(24, k))[person]
    adata = scored(sd * noise + effect * group[:, None], {"group": np.array(["a", "b"])[group], "person": person})
    options = {} if how == "none" else {"block": "person", "paired": how == "paired"}
    _, table = run(adata, "group", **options)
    for low, high, truth in (("ci_low", "ci_high", effect), ("effect_sd_low", "effect_sd_high", effect / sd)):
        covered = np.mean((table[low] <= truth) & (truth <= table[high]))
        assert 0.925 < covered < 0.975, (low, covered)


@pytest.mark.parametrize(("paired", "rho"), [(False, 0.3), (False, 0.95), (True, 0.95)])
def test_coverage_of_large_effects_within_persons(paired, rho):
    """Ten persons seen six times: the SD between persons is known far less well than a difference within them."""
    rng = np.random.default_rng(16)
    person, k = np.repeat(np.arange(10), 6), 250
    group = np.arange(60) % 2
    covered = []
    for _ in range(8):  # in each the persons are others
        sd = np.sqrt(6 / rng.chisquare(6, k))
        noise = np.sqrt(1 - rho) * rng.normal(size=(60, k)) + np.sqrt(rho) * rng.normal(size=(10, k))[person]
        adata = scored(sd * (noise + 2.0 * group[:, None]), {"group": np.array(["a", "b"])[group], "person": person})
        _, table = run(adata, "group", block="person", paired=paired)
        covered.append(((table["effect_sd_low"] <= 2) & (table["effect_sd_high"] >= 2)).mean())
    assert 0.92 < np.mean(covered) < 0.97


@pytest.mark.parametrize("dtype", ["text", "category", "str"])
@pytest.mark.parametrize("column", ["group", "sex", "person"])
def test_empty_text_is_missing(column, dtype):
    """In every column and however it is kept; the same as leaving the rows out."""
    adata, _ = make(person=[f"p{i % 13}" for i in range(30)])
    adata.obs["sex"] = np.where(adata.obs["sex"], "f", "m")
    values = adata.obs[column].astype(object)
    values.iloc[[0, 4, 17]] = ["", "  ", "\t"]
    adata.obs[column] = values if dtype == "text" else values.astype("category" if dtype == "category" else "string")
    kept = adata[np.delete(np.arange(30), [0, 4, 17])].copy()
    options = {"block": "person", "covariates": ["sex"]}
    entry, table = run(adata, "group", **options)
    assert entry["params"]["n_dropped"] == 3
    pd.testing.assert_frame_equal(table, run(kept, "group", **options)[1])


def test_large_numbers_of_blocks_stay_apart():
    adata, _ = make(person=2**53 + np.arange(30) // 2)
    entry, table = run(adata, "group", block="person")
    assert entry["params"]["n_blocks"] == 15
    adata.obs["person"] = [f"p{i // 2}" for i in range(30)]
    pd.testing.assert_frame_equal(run(adata, "group", block="person")[1], table)


def test_nan_of_a_nullable_number_is_missing():
    adata, _ = make(n=30)
    adata.obs["zero"] = pd.array([0.0] * 3 + [1.0] * 27, dtype="Float64")
    adata.obs["dose"] = (adata.obs["zero"] / adata.obs["zero"]) * adata.obs["age"].astype("Float64")  # 0 / 0
    entry, _ = run(adata, "dose")
    assert entry["params"]["n_dropped"] == 3


def test_scores_of_a_projection_and_which_factors():
    adata = query()
    otl.tl.project(adata, fitted())
    adata.obs["group"] = ["a", "b"] * 8
    factors = adata.uns["plier"]["quality"]["factors"]
    factors["interpretable"] = [True, False, True, True]
    reliable, _ = run(adata, "group", key_added="mine")
    assert reliable["overall"]["factor"].tolist() == factors["factor"].iloc[[0, 2, 3]].tolist()
    every, _ = run(adata, "group", factors="all")
    assert len(every["overall"]) == every["params"]["n_factors"] == 4
    adata.uns["plier"]["quality"]["verdict"] = "refused"
    with pytest.warns(otl.TransferWarning, match="'plier' has the verdict 'refused'"):
        run(adata, "group")


def test_it_is_cited():
    adata, _ = make()
    run(adata, "group")
    text = otl.cite(adata)
    assert "Scores of 25 factors (the choice 'reliable') in 30 samples were tested for 'group' with moderated t" in text
    assert "repeated samples" not in text
    adata.obs["person"] = [f"p{i // 2}" for i in range(30)]
    run(adata, "group", block="person")
    assert "repeated samples of the same 'person' (15 of them)" in otl.cite(adata)
    name = str(adata.uns["plier"]["names"][2])
    run(adata, "group", reference_group="a", block="person", paired=True, covariates=["age"], factor_covariates=[name])
    told = otl.cite(adata)
    for part in (
        "against 'a'",
        "within them alone (paired: True)",
        "adjusted for 'age'",
        f"adjusted for the factors '{name}'",
    ):
        assert part in told
    assert all(key in text for key in ("@article{Smyth2004", "@article{Hoffman2021", "@article{Ritchie2015"))


def test_labels_of_patients_are_exchangeable():
    """The null: labels go to patients at random; with `block` 5 % are called, without it far more."""
    rng = np.random.default_rng(11)
    person = visits(40, most=10)
    y = rng.normal(size=(person.size, 60)) + rng.normal(size=(40, 60))[person]
    called = {"block": [], "none": []}
    for _ in range(25):
        label = rng.permutation(np.arange(40) < 12)[person]
        adata = scored(y, {"label": label, "n": person.astype(float)})
        called["block"].append((run(adata, "label", block="n")[1]["p"] < 0.05).mean())
        called["none"].append((run(adata, "label")[1]["p"] < 0.05).mean())
    assert 0.035 < np.mean(called["block"]) < 0.065
    assert np.mean(called["none"]) > 0.2
