"""Measures of networks on scores whose answer is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy.stats import norm
from sklearn.cross_decomposition import CCA

import omicstl as otl
from tests.support.deepprofile_result import deepprofile_result


def scored(scores, sd=None, *, kind="vae", key="vae", names=None):
    """An AnnData with those scores."""
    n, k = scores.shape
    adata = AnnData(np.zeros((n, 1), np.float32), obs=pd.DataFrame(index=[f"S{i}" for i in range(n)]))
    adata.obsm[key] = scores.astype(np.float32)
    if sd is not None:
        adata.obsm[f"{key}_sd"] = np.broadcast_to(sd, scores.shape).astype(np.float32)
    adata.uns[key] = {"kind": kind, "names": np.array(names or [f"F{i + 1}" for i in range(k)], dtype=object)}
    return adata


# --- active units


def test_active_units_of_one_network_by_drawing_from_the_posterior() -> None:
    rng = np.random.default_rng(0)
    mean, sd = rng.normal(size=(200, 3)) * [1.0, 0.2, 0.05], np.array([0.3, 0.9, 1.0])
    found = otl.metrics.active_units(scored(mean, sd))
    assert found.columns.tolist() == ["factor", "variance", "kl", "active"]
    np.testing.assert_allclose(found["variance"], mean.var(axis=0), rtol=1e-5)
    assert found["active"].tolist() == [True, True, False]
    draws = mean + sd * rng.normal(size=(1000, 200, 3))
    ratio = norm.logpdf(draws, mean, sd) - norm.logpdf(draws)
    np.testing.assert_allclose(found["kl"], ratio.mean(axis=(0, 1)), rtol=0.02, atol=5e-3)
    assert otl.metrics.active_units(scored(mean, sd), threshold=0.5)["active"].tolist() == [True, False, False]


def test_active_units_of_an_ensemble_and_a_projection() -> None:
    adata = deepprofile_result()
    nodes = adata.uns["deepprofile"]["nodes"]
    found = otl.metrics.active_units(adata)
    columns = ["latent_size", "member", "unit", "factor", "variance", "kl"]
    pd.testing.assert_frame_equal(found[columns], nodes[columns])
    assert found["active"].tolist() == nodes["active"].tolist()
    assert (otl.metrics.active_units(adata, threshold=0.5)["active"] == (nodes["variance"] > 0.5)).all()
    assert "active" in adata.uns["deepprofile"]["nodes"]
    found["kl"] = 0.0
    assert (adata.uns["deepprofile"]["nodes"]["kl"] > 0).all(), "a copy"
    projected = scored(np.eye(12), 1.0)
    projected.uns["vae"] |= {"kind": "projection", "reference": {"kind": "vae"}}
    assert len(otl.metrics.active_units(projected)) == 12
    projected.uns["vae"]["reference"] = {"kind": "deepprofile"}
    with pytest.raises(ValueError, match="holds factors, not the units they are made of. Pass the reference"):
        otl.metrics.active_units(projected)
    with pytest.raises(ValueError, match="a model of kind 'plier', which has no latent units"):
        otl.metrics.active_units(scored(np.eye(3), kind="plier"))
    with pytest.raises(ValueError, match="`threshold` must be >= 0"):
        otl.metrics.active_units(adata, threshold=-1)


# --- stability of the latent space


@pytest.fixture
def pair():
    """Two sets of scores of the same space, the second turned and noisy."""
    rng = np.random.default_rng(1)
    a = rng.normal(size=(150, 4))
    turned = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    return a, a @ turned + 0.1 * rng.normal(size=(150, 4))


def test_a_turned_space_is_the_same_space_with_other_factors(pair) -> None:
    a, b = pair
    found = otl.metrics.latent_stability(scored(a), scored(b))
    assert found.index.tolist() == ["matched_r", "svcca", "cka"]
    assert (found.loc[["svcca", "cka"], "value"] > 0.97).all()
    assert found.loc["matched_r", "value"] < 0.85
    assert (found["chance"] < 0.25).all()
    u, v = CCA(n_components=4, max_iter=5000, tol=1e-10).fit_transform(a, b)
    expected = np.mean([np.corrcoef(u[:, i], v[:, i])[0, 1] for i in range(4)])
    assert found.loc["svcca", "value"] == pytest.approx(expected, abs=1e-4)
    r = np.abs(np.corrcoef(a.T, b.T)[:4, 4:])
    from itertools import permutations

    best = max(permutations(range(4)), key=lambda order: sum(r[i, j] for i, j in enumerate(order)))
    matched = np.mean([r[i, j] for i, j in enumerate(best)])
    assert found.loc["matched_r", "value"] == pytest.approx(matched, abs=1e-5)


def test_unrelated_scores_are_at_their_chance() -> None:
    rng = np.random.default_rng(2)
    found = otl.metrics.latent_stability(scored(rng.normal(size=(60, 10))), scored(rng.normal(size=(60, 8))))
    np.testing.assert_allclose(found["value"], found["chance"], atol=0.1)
    assert found.loc["svcca", "chance"] > 0.3, "high for few observations, which is why it is told"
    few = otl.metrics.latent_stability(scored(rng.normal(size=(12, 10))), scored(rng.normal(size=(12, 8))))
    assert few.loc["svcca", "chance"] > 0.8


def test_stability_matches_observations_by_name_and_has_a_seed(pair) -> None:
    a, b = pair
    first, second = scored(a), scored(b)[::-2].copy()
    found = otl.metrics.latent_stability(first, second, n_permutations=3, rng=5)
    again = otl.metrics.latent_stability(first[second.obs_names].copy(), second, n_permutations=3, rng=5)
    np.testing.assert_allclose(found["value"], again["value"], atol=1e-12)
    pd.testing.assert_frame_equal(found, otl.metrics.latent_stability(first, second, n_permutations=3, rng=5))
    other = otl.metrics.latent_stability(first, second, n_permutations=3, rng=6)
    assert (found["value"] == other["value"]).all()
    assert (found["chance"] != other["chance"]).all()
    both = scored(a)
    both.obsm["late"], both.uns["late"] = b, both.uns["vae"]
    assert otl.metrics.latent_stability(both, both, key="vae", other_key="vae").loc["cka", "value"] == pytest.approx(1)


def test_stability_refuses(pair) -> None:
    a, b = pair
    with pytest.raises(ValueError, match="share 5 observations by name; at least 10"):
        otl.metrics.latent_stability(scored(a), scored(b)[:5].copy())
    with pytest.raises(ValueError, match="`n_permutations` must be >= 1"):
        otl.metrics.latent_stability(scored(a), scored(b), n_permutations=0)
    with pytest.raises(KeyError, match="'pca' not found in factor scores of b"):
        otl.metrics.latent_stability(scored(a), scored(b), other_key="pca")
    b[0, 0] = np.nan
    with pytest.raises(ValueError, match=r"b.obsm\['vae'\] holds NaN"):
        otl.metrics.latent_stability(scored(a), scored(b))


# --- planted factors


def test_recovery_one_by_one_and_together(pair) -> None:
    truth, turned = pair
    alone = otl.metrics.factor_recovery(scored(np.column_stack([-truth[:, [2, 0]], truth[:, 1] + 0.5])), truth)
    assert alone["factor"].tolist() == ["F2", "F3", "F1", None]
    np.testing.assert_allclose(alone["correlation"][:3], [-1, 1, -1], atol=1e-6)
    np.testing.assert_allclose(alone["r2"][:3], 1, atol=1e-6)
    assert alone["r2"][3] < 0.1
    together = otl.metrics.factor_recovery(scored(turned), truth)
    assert (together["r2"] > 0.95).all()
    assert together["correlation"].abs().mean() < 0.85
    assert together["planted"].tolist() == ["planted 1", "planted 2", "planted 3", "planted 4"]
    assert otl.metrics.factor_recovery(scored(truth[:12, :4] @ np.ones((4, 11))), truth[:12])["factor"].notna().all()


def test_recovery_of_a_table_in_another_order(pair) -> None:
    truth, turned = pair
    adata = scored(turned)
    table = pd.DataFrame(truth, adata.obs_names, ["a", "b", "c", "d"])
    found = otl.metrics.factor_recovery(adata, table.iloc[::-1])
    assert found["planted"].tolist() == ["a", "b", "c", "d"]
    expected = otl.metrics.factor_recovery(adata, truth)
    pd.testing.assert_frame_equal(found.drop(columns="planted"), expected.drop(columns="planted"))


def test_recovery_refuses(pair) -> None:
    truth, turned = pair
    adata = scored(turned)
    table = pd.DataFrame(truth, adata.obs_names)
    with pytest.raises(ValueError, match="lacks 3 of adata's observations: 'S147', 'S148', 'S149'"):
        otl.metrics.factor_recovery(adata, table.iloc[:-3])
    with pytest.raises(ValueError, match="has a name twice"):
        otl.metrics.factor_recovery(adata, pd.concat([table, table.iloc[:1]]))
    with pytest.raises(ValueError, match=r"150 observations and a column .* got shape \(100, 4\)"):
        otl.metrics.factor_recovery(adata, truth[:100])
    with pytest.raises(TypeError, match="`truth` must be a pandas.DataFrame or a numpy array, got list"):
        otl.metrics.factor_recovery(adata, truth.tolist())
    with pytest.raises(ValueError, match="at least 10"):
        otl.metrics.factor_recovery(adata[:9].copy(), truth[:9])
    truth[0, 0] = np.inf
    with pytest.raises(ValueError, match="`truth` holds NaN or infinite"):
        otl.metrics.factor_recovery(adata, truth)


# --- calibration


def posterior(n: int, noise: np.ndarray, seed: int = 0):
    """Standard normal factors seen through noise, and their exact posterior: means and standard deviations."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=(n, noise.size))
    seen = truth + noise * rng.normal(size=truth.shape)
    return truth, seen / (1 + noise**2), np.sqrt(noise**2 / (1 + noise**2))


def test_an_exact_posterior_covers_what_it_says() -> None:
    truth, mean, sd = posterior(4000, np.array([0.3, 1.0, 2.0]))
    levels = (0.5, 0.8, 0.9, 0.95)
    found = otl.metrics.calibration(scored(mean, sd), truth)
    assert found["level"].tolist() == [level for level in levels for _ in range(3)]
    error = np.sqrt(found["level"] * (1 - found["level"]) / 4000)
    assert (np.abs(found["covered"] - found["level"]) < 4 * error).all()
    halved = otl.metrics.calibration(scored(mean, sd / 2), truth, levels=[0.9])
    np.testing.assert_allclose(halved["covered"], 2 * norm.cdf(norm.ppf(0.95) / 2) - 1, atol=0.03)


def test_calibration_does_not_mind_scales_and_mixtures() -> None:
    truth, mean, sd = posterior(3000, np.array([0.3, 1.0]))
    stretched = otl.metrics.calibration(scored(-4 * mean + 7, 4 * sd), 10 * truth - 3, levels=[0.9])
    np.testing.assert_allclose(
        stretched["covered"], otl.metrics.calibration(scored(mean, sd), truth, levels=[0.9])["covered"]
    )
    turn = np.array([[0.6, 0.8], [-0.8, 0.6]])
    turned = otl.metrics.calibration(scored(mean, sd), truth @ turn, levels=[0.9])
    np.testing.assert_allclose(turned["covered"], 0.9, atol=0.02)


def test_calibration_refuses_and_says_when_it_cannot_tell() -> None:
    truth, mean, sd = posterior(12, np.full(11, 0.5))
    assert otl.metrics.calibration(scored(mean, sd), truth, levels=[0.9])["covered"].isna().all()
    with pytest.raises(KeyError, match="have no uncertainty"):
        otl.metrics.calibration(scored(mean), truth)
    with pytest.raises(ValueError, match="`levels` must be > 0 and < 1, got 95"):
        otl.metrics.calibration(scored(mean, sd), truth, levels=[95])
