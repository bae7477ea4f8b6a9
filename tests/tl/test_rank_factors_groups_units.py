"""`tl.rank_factors_groups` and the origin and unit of numbers: against exact arithmetic, and against the problem moved."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from scipy import stats

import omicstl as otl
from tests.support.refusals import refused
from tests.support.scored import scored

N = 24
PLAIN = ("t", "df", "p", "fdr")
PER_UNIT = ("effect", "se", "ci_low", "ci_high", "effect_sd", "effect_sd_low", "effect_sd_high")
DESIGNS = {"none": {}, "block": {"block": "who"}, "paired": {"block": "who", "paired": True}}
PAIRS = np.random.default_rng(3).permutation(N) // 3


def study(x, *, k=4, seed=0, scores=None, **more):
    y = np.random.default_rng(seed).normal(size=(N, k)) if scores is None else scores
    adata = scored(np.zeros_like(y), {"x": x, "who": PAIRS, **more})
    adata.obsm["plier"] = y
    return adata


def rank(adata, **options):
    otl.tl.rank_factors_groups(adata, "x", factors="all", **options)
    entry = adata.uns["plier_test"]
    assert np.isfinite(entry["table"].select_dtypes("number").to_numpy()).all()
    assert np.isfinite(entry["overall"][["F", "df_within", "p", "fdr", "sd"]].to_numpy()).all()
    assert np.isfinite(entry["prior"]["contrasts"]["variance"]).all()
    return entry


def agree(found, expected, *, unit=1.0, score=1.0, rtol=1e-9):
    """Results of a phenotype times `unit` and scores times `score`."""
    for name in PLAIN:
        np.testing.assert_allclose(found["table"][name], expected["table"][name], rtol=rtol)
    for name in PER_UNIT:
        size = 1.0 if name.startswith("effect_sd") else score
        np.testing.assert_allclose(found["table"][name], expected["table"][name] * size / unit, rtol=rtol)
    for name in ("F", "df_within", "p"):
        np.testing.assert_allclose(found["overall"][name], expected["overall"][name], rtol=rtol)
    np.testing.assert_allclose(found["overall"]["sd"], expected["overall"]["sd"] * score, rtol=rtol)
    of = [entry["prior"]["contrasts"]["variance"] for entry in (found, expected)]
    np.testing.assert_allclose(of[0], of[1] * (score / unit) ** 2, rtol=rtol)


def exact_slope(x, y):
    """Slope, its standard error and t, in rational numbers to the last root."""
    x, y = [Fraction(int(v)) for v in x], [Fraction(float(v)) for v in y]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    sxx = sum((v - mean_x) ** 2 for v in x)
    slope = sum((v - mean_x) * (w - mean_y) for v, w in zip(x, y, strict=True)) / sxx
    rest = sum((w - mean_y - slope * (v - mean_x)) ** 2 for v, w in zip(x, y, strict=True))
    variance = rest / (len(x) - 2) / sxx
    return float(slope), float(variance) ** 0.5, float(slope) / float(variance) ** 0.5


@pytest.mark.parametrize("offset", [0, 1_234_567_890, -(10**12), 10**15])
def test_a_slope_far_from_zero_is_exact(offset):
    x = np.arange(N) ** 2 + offset
    adata = study(x, k=1)
    row = rank(adata)["table"].iloc[0]
    slope, se, t = exact_slope(x, adata.obsm["plier"][:, 0])
    assert (row["effect"], row["se"], row["t"]) == pytest.approx((slope, se, t), rel=1e-11)
    assert row["p"] == pytest.approx(2 * stats.t.sf(abs(t), N - 2), rel=1e-11)
    other = stats.linregress(x - offset, adata.obsm["plier"][:, 0])
    assert (row["effect"], row["p"]) == pytest.approx((other.slope, other.pvalue), rel=1e-9)


@pytest.mark.parametrize("design", DESIGNS)
@settings(deadline=None, max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    offset=st.integers(-(10**10), 10**10),
    unit=st.floats(1e-90, 1e90),
    covariate_offset=st.integers(-(10**10), 10**10),
    covariate_unit=st.integers(-1000, 900),
    score_offset=st.integers(-1000, 1000),
    score_power=st.integers(-150, 150),
)
def test_origins_and_units_change_no_result(
    design, offset, unit, covariate_offset, covariate_unit, score_offset, score_power
):
    options = DESIGNS[design] | {"covariates": ["c"], "factor_covariates": ["LV4"]}
    x, c = (np.random.default_rng(1).integers(0, 1000, size=(2, N))).astype(float)
    y = np.round(np.random.default_rng(2).normal(size=(N, 4)) * 2**20) / 2**20
    expected = rank(study(x, scores=y, c=c), **options)
    agree(rank(study(x + offset, scores=y, c=c + covariate_offset), **options), expected)
    agree(rank(study(x * unit, scores=y, c=np.ldexp(c, covariate_unit)), **options), expected, unit=unit)
    moved = np.ldexp(y + score_offset, score_power)
    agree(rank(study(x, scores=moved, c=c), **options), expected, score=2.0**score_power, rtol=1e-8)


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("scale", [1e-40, 1e-30, 1e30, 1e38])
def test_scores_that_are_huge_or_tiny(design, scale):
    y = np.random.default_rng(2).uniform(-1, 1, size=(N, 4))
    x = np.arange(N)
    small = (y * scale).astype(np.float32)
    expected = rank(study(x, scores=small.astype(float) / scale), **DESIGNS[design])
    agree(rank(study(x, scores=small), **DESIGNS[design]), expected, score=scale, rtol=1e-7)
    one = y.astype(np.float32)
    one[:, 1] = small[:, 1]
    rank(study(x, scores=one), **DESIGNS[design])


BEYOND = {
    "steps below what floats resolve": (1e17 + np.arange(N), ["phenotype 'x' lies between 1e.17 and ", "steps of 16", "A spread of at least 4.1e.07", "Subtract a constant"]),
    "whole numbers that collapse": (10**17 + np.arange(N), ["steps of 16", r"adata.obs\['x'\] = adata.obs\['x'\] - adata.obs\['x'\].min\(\)"]),
    "whole numbers that all collapse": (10**17 + np.arange(N) % 3, ["lies between 1e.17 and 1e.17", "steps of 16"]),
    "constant up to rounding": (np.where(np.arange(N) % 2, 0.1 + 0.2, 0.3), ["what varies is rounding", "leave it out if it is meant to be constant"]),
    "single precision": ((1e9 + 64 * np.arange(N)).astype(np.float32), ["steps of 64"]),
    "denormal": (1e-310 * np.arange(N), ["spans about 1e-308", "Multiply it by a constant"]),
    "huge": (1e300 * np.arange(N), ["spans about 1e.301", "from 1e-100 to 1e.100"]),
    "both ends": (1.7e308 * np.linspace(-1, 1, N), ["spans about 1e.308"]),
}  # fmt: skip


@pytest.mark.parametrize("name", BEYOND)
def test_numbers_that_cannot_be_told_apart_or_written(name):
    values, words = BEYOND[name]
    refused(otl.tl.rank_factors_groups, study(values), ValueError, words, phenotype="x", factors="all")


def test_covariates_that_cannot_be_told_apart():
    adata = study(np.arange(N), c=1e17 + np.arange(N))
    words = ["covariate 'c' lies between", "steps of 16"]
    refused(otl.tl.rank_factors_groups, adata, ValueError, words, phenotype="x", factors="all", covariates=["c"])
    adata.obsm["plier"][:, 0] = 1e17 + np.arange(N)
    words = ["factor covariate 'LV1' lies between", "steps of 16"]
    options = {"phenotype": "x", "factors": "all", "factor_covariates": ["LV1"]}
    refused(otl.tl.rank_factors_groups, adata, ValueError, words, **options)


@pytest.mark.parametrize(("scale", "words"), [(1e60, "values up to .*e.60"), (1e-310, "a factor that spans .*e-310")])
def test_scores_whose_variances_cannot_be_written(scale, words):
    y = np.random.default_rng(0).normal(size=(N, 3)) * scale
    words = [words, "between 1e-50 and 1e.50", "multiply all by a constant"]
    refused(otl.tl.rank_factors_groups, study(np.arange(N), scores=y), ValueError, words, phenotype="x", factors="all")


def test_a_score_that_is_constant_up_to_rounding_is_left_out():
    y = np.random.default_rng(0).normal(size=(N, 3))
    y[:, 1] = 0.3 + 1e-16 * np.arange(N)
    adata = study(np.arange(N), scores=y)
    with pytest.warns(otl.DesignWarning, match="Left out.*'LV2'"):
        assert rank(adata)["overall"]["factor"].tolist() == ["LV1", "LV3"]
