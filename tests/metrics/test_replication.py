"""Findings of one cohort in another: on made-up tests of the layout that the verb writes, and end to end."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import stats

import omicstl as otl
from omicstl.kernels import replicability

K = 40


def cohort(effects, *, n=(20, 20), names=None, digest="abc", contrast="ill - well", r=None, kind="groups", **params):
    """A cohort with a test over factors whose standardised effects are these; groups of n observations."""
    effects = np.asarray(effects, dtype=float)
    k = effects.size
    names = np.array([f"LV{i + 1}" for i in range(k)] if names is None else names, dtype=object)
    sd, se, df = np.linspace(0.5, 2, k), np.sqrt(1 / n[0] + 1 / n[1]), sum(n) - 2
    t = effects / se
    p = 2 * stats.t.sf(np.abs(t), df)
    half = stats.t.ppf(0.975, df) * se
    table = pd.DataFrame({"factor": names, "contrast": contrast, "effect": effects * sd, "se": se * sd})
    table = table.assign(ci_low=(effects - half) * sd, ci_high=(effects + half) * sd)
    table = table.assign(effect_sd=effects, effect_sd_low=effects - half, effect_sd_high=effects + half)
    table = table.assign(t=t, df=float(df), p=p, fdr=stats.false_discovery_control(p))
    people = pd.DataFrame(index=[f"{np.abs(effects).sum():.6f}_{i}" for i in range(sum(n))])
    adata = ad.AnnData(np.zeros((sum(n), 1), np.float32), obs=people)
    adata.obsm["plier"] = np.zeros((sum(n), k), np.float32)
    adata.uns["plier"] = {"kind": "projection", "names": names, "reference": {"kind": "plier", "digest": digest}}
    adata.uns["plier_test"] = {
        "kind": "rank_factors_groups",
        "version": 1,
        "params": {"key": "plier", "phenotype": "state", "phenotype_kind": kind, **params},
        "table": table,
        "overall": pd.DataFrame({"factor": names, "sd": sd}),
        "correlation": (np.eye(k) if r is None else r).astype(np.float32),
    }
    return adata


def blocks(k=K, n_blocks=5, rho=0.8):
    of, sign = np.arange(k) % n_blocks, np.where(np.arange(k) % 3 == 0, -1.0, 1.0)
    r = np.where(of[:, None] == of, rho, 0.0) * np.outer(sign, sign)
    np.fill_diagonal(r, 1.0)
    return r


def test_the_table_by_hand():
    a = cohort([2.0, -1.5, 1.2, 0.1, -0.2, 0.9])
    b = cohort([1.0, -0.2, -0.9, 0.3, 0.0, 0.8], n=(15, 30))
    summary, factors = otl.metrics.replication(a, b)
    assert factors["factor"].tolist() == ["LV1", "LV2", "LV3", "LV6", "LV5", "LV4"]  # by the p-value in a
    of_a, of_b = (x.uns["plier_test"]["table"].set_index("factor").loc[factors["factor"]] for x in (a, b))
    np.testing.assert_array_equal(factors["effect_b_low"], of_b["effect_sd_low"])
    np.testing.assert_array_equal(factors["fdr_b"], of_b["fdr"])
    finding = (of_a["fdr"] < 0.05).to_numpy()
    assert factors["finding"].tolist() == finding.tolist() == [True] * 4 + [False] * 2
    one_sided = stats.t.sf(np.sign(of_a["t"]) * of_b["t"], of_b["df"])
    np.testing.assert_allclose(factors["p_replication"], one_sided, rtol=1e-10)
    np.testing.assert_allclose(factors["fdr_replication"][:4], stats.false_discovery_control(one_sided[:4]), rtol=1e-10)
    assert factors["fdr_replication"][4:].isna().all()
    assert factors["same_sign"].tolist() == [True, True, False, True, False, True]
    assert factors["replicated"].tolist() == [True, False, False, True, False, False]
    assert summary["n_tested"] == 6
    assert (summary["n_findings"], summary["n_replicated"], summary["share_replicated"]) == (4, 2, 0.5)
    assert summary["sign_agreement"] == 0.75
    low, high = stats.binomtest(3, 4).proportion_ci(method="wilson")
    np.testing.assert_allclose(summary[["sign_agreement_low", "sign_agreement_high"]].astype(float), [low, high])
    r = stats.pearsonr(of_a["effect_sd"], of_b["effect_sd"])
    assert summary["effect_correlation"] == pytest.approx(r.statistic)
    found = summary[["effect_correlation_low", "effect_correlation_high"]].astype(float)
    np.testing.assert_allclose(found, r.confidence_interval())  # independent factors: the usual interval
    assert summary.name == "ill - well"


def test_combined_effects_are_those_of_a_meta_analysis():
    """Inverse variance with the large-sample variance of a standardised mean difference, 1/n + 1/m + d²/2(n+m-2)."""
    d_a, d_b = np.array([2.0, -0.5, 0.0]), np.array([1.0, 0.4, 0.3])
    factors = otl.metrics.replication(cohort(d_a, n=(40, 60)), cohort(d_b, n=(80, 50))).factors.set_index("factor")
    v_a = 1 / 40 + 1 / 60 + d_a**2 / (2 * 98)
    v_b = 1 / 80 + 1 / 50 + d_b**2 / (2 * 128)
    mean = (d_a / v_a + d_b / v_b) / (1 / v_a + 1 / v_b)
    factors = factors.loc[["LV1", "LV2", "LV3"]]
    np.testing.assert_allclose(factors["effect_combined"], mean, atol=0.005)
    half = 1.96 * (1 / v_a + 1 / v_b) ** -0.5
    np.testing.assert_allclose(factors["effect_combined_high"] - factors["effect_combined"], half, rtol=0.01)
    np.testing.assert_allclose(factors["p_heterogeneity"], stats.chi2.sf((d_a - d_b) ** 2 / (v_a + v_b), 1), rtol=0.04)
    assert factors["p_combined"].between(0, 1).all()
    assert factors.loc["LV1", "p_heterogeneity"] < 0.01


def test_factors_tested_in_one_cohort_only():
    a = cohort([2, 1.5, -1.4, 0.1])
    b = cohort([1.5, -1.4, 0.2, 3], names=["LV2", "LV3", "LV4", "other"])
    b.uns["plier_test"]["table"].loc[1, "p"] = np.nan  # constant in b
    summary, factors = otl.metrics.replication(a, b)
    assert set(factors["factor"]) == {"LV2", "LV4"}
    assert (summary["n_tested"], summary["n_findings"], summary["n_findings_not_tested"]) == (2, 1, 2)
    assert np.isnan(summary["effect_correlation"])  # of two pairs
    b.uns["plier_test"]["table"]["factor"] = ["x1", "x2", "x3", "x4"]
    with pytest.raises(ValueError, match="No factor was tested in both cohorts"):
        otl.metrics.replication(a, b)


def test_no_findings_are_no_failure():
    summary, factors = otl.metrics.replication(cohort(np.linspace(-0.2, 0.2, 5)), cohort(np.linspace(0, 1, 5)))
    assert (summary["n_findings"], summary["n_replicated"], factors["finding"].sum()) == (0, 0, 0)
    missing = summary.index[summary.isna()]
    assert all(name.startswith(("share_", "sign_", "effect_correlation_findings")) for name in missing)
    assert len(missing) == 9
    assert summary["effect_correlation"] == pytest.approx(1)
    assert factors["fdr_replication"].isna().all()


@pytest.mark.parametrize("signal", [0.0, 1.5])
def test_intervals_cover_when_factors_are_correlated(signal):
    """Effects of b are noise; those of a are noise, or real along the first direction of the factors' correlation."""
    r = blocks()
    rng = np.random.default_rng(0)
    root, se = np.linalg.cholesky(r), np.sqrt(1 / 10)
    leading = np.linalg.eigh(r)[1][:, -1] * np.sqrt(K) * signal
    correlation, naive, signs, naive_signs = [], [], [], []
    for _ in range(200):
        a, b = (root @ rng.normal(size=K) + leading) * se, root @ rng.normal(size=K) * se
        found = otl.metrics.replication(cohort(a, r=r), cohort(b, r=r), fdr=1.0).summary
        correlation.append(found["effect_correlation_low"] <= 0 <= found["effect_correlation_high"])
        low, high = replicability.correlation_interval(found["effect_correlation"], float(K))
        naive.append(low <= 0 <= high)
        signs.append(found["sign_agreement_low"] <= 0.5 <= found["sign_agreement_high"])
        low, high = replicability.share_interval(found["sign_agreement"], found["n_findings"])
        naive_signs.append(low <= 0.5 <= high)
    assert np.mean(correlation) >= 0.92
    assert np.mean(signs) >= 0.90
    assert np.mean(naive) < 0.75
    assert np.mean(naive_signs) < 0.85


def test_effective_numbers_are_bounded_and_symmetric():
    r, rng = blocks(), np.random.default_rng(3)
    root = np.linalg.cholesky(r)
    a, b = (cohort(root @ rng.normal(size=K), r=r) for _ in range(2))
    there, back = (otl.metrics.replication(*pair).summary for pair in ((a, b), (b, a)))
    both = ["effect_correlation", "effect_correlation_low", "effect_correlation_high", "effect_correlation_n_effective"]
    np.testing.assert_allclose(there[both].astype(float), back[both].astype(float))
    assert 2 <= there["effect_correlation_n_effective"] < 20
    assert 1 <= there["sign_agreement_n_effective"] <= there["n_findings"]


def test_contrasts_are_chosen_or_named():
    a, b = cohort([1.0, -1, 0.5]), cohort([1.0, -1, 0.4], contrast="lupus - control")
    assert otl.metrics.replication(a, b).summary.name == "a: ill - well, b: lupus - control"
    several = cohort([2.0, -1, 0.5])
    table = several.uns["plier_test"]["table"]
    several.uns["plier_test"]["table"] = pd.concat(
        [table, table.assign(contrast="worse - well", effect_sd=[3.0, -1.0, 0.5])]
    )
    assert otl.metrics.replication(a, several).summary.name == "ill - well"
    found = otl.metrics.replication(a, several, other_contrast="worse - well")
    assert found.factors.set_index("factor").loc["LV1", "effect_b"] == 3
    with pytest.raises(
        KeyError, match=r"a.uns\['plier_test'\] holds 2 contrasts: 'ill - well', 'worse - well'. Say .* contrast="
    ):
        otl.metrics.replication(several, a)
    with pytest.raises(KeyError, match="holds 2 contrasts: .* Say which one: other_contrast="):
        otl.metrics.replication(b, several)
    with pytest.raises(KeyError, match="'ill - wel' not found in contrasts of a.* Did you mean 'ill - well'"):
        otl.metrics.replication(a, b, contrast="ill - wel")
    with pytest.raises(ValueError, match="point in opposite directions: 'ill - well' in `a`, 'well - ill' in `b`"):
        otl.metrics.replication(a, cohort([1.0, 2], contrast="well - ill"))


def test_what_cannot_be_compared_is_refused():
    a, b = cohort([1.0, -1, 0.5]), cohort([1.0, -1, 0.4], digest="xyz")
    with pytest.raises(ValueError, match=r"stem from different models \(digests abc and xyz\).*match_factors"):
        otl.metrics.replication(a, b)
    b.uns["plier"] = {"kind": "plier", "digest": "abc", "names": b.uns["plier"]["names"]}  # the reference itself
    assert otl.metrics.replication(a, b).summary["n_tested"] == 3
    with pytest.raises(ValueError, match="test of `a` is of 'groups' and that of `b` of 'number'"):
        otl.metrics.replication(a, cohort([1.0, 2, 3], kind="number", contrast="activity"))
    del b.uns["plier"]
    with pytest.raises(KeyError, match=r"b.uns\['plier'\], the scores that were tested, is gone"):
        otl.metrics.replication(a, b)
    del b.uns["plier_test"]["table"]["effect_sd"]
    with pytest.raises(ValueError, match="written by another version of omicstl"):
        otl.metrics.replication(a, b)
    del b.uns["plier_test"]
    with pytest.raises(KeyError, match="b holds no test over factors. Run otl.tl.rank_factors_groups"):
        otl.metrics.replication(a, b)
    with pytest.raises(TypeError):
        otl.metrics.replication(a, "b.h5ad")
    with pytest.raises(ValueError, match="several factors of one name: 'LV1'"):
        otl.metrics.replication(cohort([1, 2, 3], names=["LV1", "LV1", "LV2"]), a)
    with pytest.raises(ValueError, match="`fdr` must be"):
        otl.metrics.replication(a, a, fdr=5)


def test_doubtful_designs_are_warned_about():
    a, b = cohort([1.0, -1, 0.5]), cohort([1.0, -1, 0.4], factor_covariates=np.array(["LV9 Neutrophil"], dtype=object))
    with pytest.warns(otl.DesignWarning, match=r"adjusted for the factors \[\], that of `b` for \['LV9 Neutrophil'\]"):
        otl.metrics.replication(a, b)
    with pytest.warns(otl.DesignWarning, match="the same observations"):
        otl.metrics.replication(a, a)


def test_end_to_end_and_after_a_file(tmp_path):
    """Three cohorts of one simulation: the factor that makes the groups replicates, and nothing is written."""
    everyone, truth = otl.datasets.simulate_pathways(n_obs=130, n_query=40, rng=1)
    everyone.obs["state"] = np.where(truth.scores[:, 0] > 0, "ill", "well")
    reference, a, b = everyone[:60].copy(), everyone[60:130].copy(), everyone[130:].copy()
    otl.tl.plier(reference, truth.gene_sets, n_factors=8, max_iter=60, tol=1e-3)
    for query in (a, b):
        otl.tl.project(query, reference)
        otl.tl.rank_factors_groups(query, "state", reference_group="well", factors="all")
    b.write_h5ad(tmp_path / "b.h5ad")
    before = set(a.uns["plier_test"])
    found = otl.metrics.replication(a, ad.read_h5ad(tmp_path / "b.h5ad"))
    assert found.summary.name == "ill - well"
    assert found.summary["n_tested"] == 8
    assert found.summary["n_replicated"] >= 1
    first = found.factors.iloc[0]
    scores = a.obsm["plier"][:, a.uns["plier"]["names"].tolist().index(first["factor"])]
    assert abs(np.corrcoef(scores, truth.scores[60:130, 0])[0, 1]) > 0.9
    assert first["replicated"]
    assert first["effect_combined"] * first["effect_a"] > 0
    np.testing.assert_array_equal(
        found.factors["effect_a"] > 0, found.factors["effect_a_high"] + found.factors["effect_a_low"] > 0
    )
    assert set(a.uns["plier_test"]) == before
    own = otl.tl.rank_factors_groups(reference, "state", reference_group="well", copy=True)
    assert otl.metrics.replication(own, b).summary["n_replicated"] >= 1  # the fit itself stems from the same model
