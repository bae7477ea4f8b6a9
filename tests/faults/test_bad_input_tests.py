"""Bad input to `tl.rank_factors_groups` and designs that a study cannot answer: every refusal and every warning."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pandas as pd
import pytest

import omicstl as otl
from tests.contract.cases import query
from tests.support.refusals import refused
from tests.support.scored import scored, visits
from tests.support.snapshots import changes, snapshot

N = 24
rank = otl.tl.rank_factors_groups


def study(**more):
    """24 observations of 12 persons, two groups of persons, and columns to stumble over."""
    rng = np.random.default_rng(0)
    obs = {
        "disease_state": np.repeat(["healthy", "ill"], N // 2),
        "batch": np.repeat(["1", "2"], N // 2),
        "plate": np.repeat(["p", "q", "r"], [12, 6, 6]),
        "half_plate": np.repeat(["u", "v", "w"], [6, 12, 6]),
        "age": rng.uniform(20, 60, N),
        "months": np.zeros(N),
        "one": ["x"] * N,
        "nothing": np.full(N, np.nan),
        "who": [f"w{i // 2}" for i in range(N)],
        "when": ["before", "after"] * (N // 2),
        "sample": [f"s{i}" for i in range(N)],
        "wave": np.arange(N) * 1j,
        "date": pd.date_range("2020-01-01", periods=N),
        **more,
    }
    obs["months"] = obs["age"] * 12 + 3
    return scored(rng.normal(size=(N, 4)), obs, ["LV1 Neutrophil", "LV2", "LV3", "LV4"])


ERRORS = {
    "unknown phenotype": ({"phenotype": "disease_stat"}, KeyError, ["'disease_stat' not found in adata.obs", "Did you mean 'disease_state'"]),
    "unknown block": ({"block": "whom"}, KeyError, ["'whom' not found in adata.obs", "Did you mean 'who'"]),
    "unknown covariate": ({"covariates": ["Age"]}, KeyError, ["'Age' not found in adata.obs", "Did you mean 'age'"]),
    "unknown key": ({"key": "plyer"}, KeyError, ["'plyer' not found in factor scores", "Did you mean 'plier'"]),
    "unknown factor": ({"factor_covariates": ["LV1 Neutrophils"]}, KeyError, ["'LV1 Neutrophils' not found in factors of 'plier'", "Did you mean 'LV1 Neutrophil'"]),
    "unknown reference group": ({"reference_group": "Healthy"}, ValueError, ["`reference_group` must be one of 'healthy', 'ill'", "Did you mean 'healthy'"]),
    "reference group of a number": ({"phenotype": "age", "reference_group": "20"}, ValueError, ["is a number", r"astype\('category'\)"]),
    "phenotype of a wrong kind": ({"phenotype": ["disease_state"]}, TypeError, ["`phenotype` must be a string"]),
    "covariates as text": ({"covariates": "age"}, TypeError, ["`covariates` must be a list of names, got 'age'", r"\['age'\]"]),
    "covariate twice": ({"covariates": ["age", "age"]}, ValueError, ["'age' more than once"]),
    "factors": ({"factors": "reliabel"}, ValueError, ["'reliable', 'all', got 'reliabel'", "Did you mean 'reliable'"]),
    "confidence": ({"confidence": 95}, ValueError, ["`confidence` must be > 0 and < 1, got 95", "0.95 is usual"]),
    "paired of a wrong kind": ({"paired": 1, "block": "who"}, TypeError, ["`paired` must be True or False"]),
    "paired without block": ({"paired": True}, ValueError, ["there is no `block`", "Say which column pairs"]),
    "key_added": ({"key_added": "my test"}, ValueError, ["letters, digits", "Use 'my_test'"]),
    "key_added of the scores": ({"key_added": "plier"}, ValueError, [r"uns\['plier'\] holds something else", "key_added='plier_test'"]),
    "the phenotype as covariate": ({"covariates": ["disease_state"]}, ValueError, ["'disease_state' is the phenotype", "Leave it out of `covariates`"]),
    "the block as covariate": ({"covariates": ["who"], "block": "who"}, ValueError, ["'who' is the block"]),
    "the phenotype as block": ({"block": "disease_state"}, ValueError, ["'disease_state' cannot be the phenotype and the block"]),
    "dates": ({"phenotype": "date"}, TypeError, ["'date'.* holds dates", "such as days"]),
    "complex numbers": ({"phenotype": "wave"}, TypeError, ["'wave'.* holds complex numbers", "such as .abs()"]),
    "complex covariate": ({"covariates": ["wave"]}, TypeError, ["'wave'.* holds complex numbers"]),
    "all missing": ({"phenotype": "nothing"}, ValueError, ["'nothing'.* is missing in all 24 observations"]),
    "all missing in a covariate": ({"covariates": ["nothing"]}, ValueError, ["No observation has a value in every column", "'nothing' in 24"]),
    "one group": ({"phenotype": "one"}, ValueError, ["one group, 'x'", "two are needed"]),
    "constant covariate": ({"covariates": ["one"]}, ValueError, ["covariate 'one' is 'x' in all 24 observations", "Leave it out"]),
    "confounded": ({"covariates": ["age", "batch"]}, ValueError, ["covariate 'batch' is determined by 'disease_state'", "cannot be told apart", "Leave 'batch' out"]),
    "confounded, the finer one": ({"covariates": ["plate"]}, ValueError, ["covariate 'plate' and 'disease_state' determine each other in part"]),
    "confounded among each other": ({"covariates": ["age", "months"]}, ValueError, ["covariate 'months' is determined by 'age'"]),
    "confounded by two": ({"phenotype": "half_plate", "covariates": ["batch", "plate"]}, ValueError, ["covariate 'plate' is determined by 'half_plate' and 'batch'"]),
    "every observation a group": ({"phenotype": "sample"}, ValueError, ["24 observations .*'s0' 1.* cannot estimate 24 coefficients and a variance"]),
    "block of one value": ({"block": "one"}, ValueError, ["All 24 observations used are of one 'one'", "leave `block` out"]),
    "block is the sample": ({"block": "sample"}, ValueError, ["Every observation used has a 'sample' of its own", "Leave `block` out"]),
    "paired block is the sample": ({"block": "sample", "paired": True}, ValueError, ["Leave `block` and `paired` out"]),
    "block is the group": ({"block": "batch"}, ValueError, ["2 different 'batch'", "'healthy' 12, 'ill' 12", "a group of one 'batch' cannot be told from that 'batch'"]),
    "nothing within": ({"phenotype": "disease_state", "block": "who", "paired": True}, ValueError, ["'disease_state' is constant within every 'who'", "Leave `paired` out"]),
    "paired covariate of persons": ({"phenotype": "when", "block": "who", "paired": True, "covariates": ["batch"]}, ValueError, ["'batch' is constant within every 'who'", "Leave it out"]),
    "all factors are covariates": ({"factor_covariates": ["LV1 Neutrophil", "LV2", "LV3", "LV4"]}, ValueError, ["None of the 4 factors", "All of them are in `factor_covariates`"]),
}  # fmt: skip


@pytest.mark.parametrize("name", ERRORS)
def test_refused(name):
    options, error, words = ERRORS[name]
    refused(rank, study(), error, words, **{"phenotype": "disease_state", "factors": "all", **options})


@pytest.mark.parametrize(
    ("column", "values", "words"),
    [
        ("age", [30.0] * N, ["The phenotype 'age' is 30 in all 24 observations"]),
        ("age", [np.inf] + [1.0, 2.0, 3.0] * 7 + [1.0, 2.0], ["'age'.* holds infinite values"]),
        ("age", [f"{i / 7:.3f}" for i in range(52)], ["52 groups, at most 50", "block='age'", "pd.to_numeric"]),
        ("age", ["a", *["b"] * (N - 1)], ["'a' 1, 'b' 1"]),
    ],
)
def test_phenotypes_that_cannot_be_tested(column, values, words):
    adata = scored(np.random.default_rng(0).normal(size=(len(values), 3)), {column: values})
    if values[0] == "a":  # two observations, two groups: nothing is left for a variance
        adata = adata[:2].copy()
    refused(rank, adata, ValueError, words, phenotype=column)


def test_groups_that_never_meet():
    obs = {"group": ["a", "b", "a", "b", "c", "d", "c", "d"], "who": [1, 1, 2, 2, 3, 3, 4, 4]}
    adata = scored(np.random.default_rng(0).normal(size=(8, 3)), obs)
    words = ["Some groups of 'group' never meet another one in the same 'who'"]
    refused(rank, adata, ValueError, words, phenotype="group", block="who", paired=True)


def test_nothing_is_left_within_blocks():
    obs = {
        "group": ["a", "b", "a", "b", "a", "a"],
        "who": [1, 1, 2, 2, 3, 3],
        "x": [0.0, 1, 5, 2, 3, 4],
        "z": [1.0, 0, 0, 0, 2, 5],
    }
    adata = scored(np.random.default_rng(0).normal(size=(6, 3)), obs)
    words = ["6 observations of 3 'who'", "leave nothing to measure the variance within blocks"]
    refused(rank, adata, ValueError, words, phenotype="group", block="who", covariates=["x", "z"])


def test_a_column_that_is_there_twice():
    adata = study()
    adata.obs = pd.concat([adata.obs, adata.obs[["age"]]], axis=1)
    with pytest.raises(ValueError, match="several columns 'age'"):
        rank(adata, "disease_state", covariates=["age"])


def test_other_objects_and_scores():
    with pytest.raises(TypeError, match="AnnData"):
        rank(pd.DataFrame({"a": [1]}), "a")
    refused(rank, query(), KeyError, ["holds no factor scores", "otl.tl.project"], phenotype="cohort")
    adata = study()
    adata.obsm["plier"][3, 1] = np.nan
    refused(rank, adata, ValueError, [r"obsm\['plier'\] holds values that are not finite"], phenotype="disease_state")


@pytest.mark.parametrize(
    ("version", "words"),
    [
        (None, ["does not say its version", "older omicstl", "Run otl.tl.project or otl.tl.plier again"]),
        ("1", ["does not say its version"]),
        (9, ["is of version 9, this omicstl reads up to 2", "Update omicstl"]),
    ],
)
def test_scores_of_other_versions(version, words):
    adata = study()
    if version is None:
        del adata.uns["plier"]["version"]
    else:
        adata.uns["plier"]["version"] = version
    refused(rank, adata, ValueError, words, phenotype="disease_state")


def test_no_reliable_factor():
    adata = study()
    adata.uns["plier"]["stability"] = {"factors": pd.DataFrame({"median_r": np.full(4, 0.5)})}
    refused(rank, adata, ValueError, ["None of the 4 factors", "0.8", "factors='all'"], phenotype="disease_state")
    rank(adata, "disease_state", block="who", factors="all")
    assert adata.uns["plier_test"]["params"]["n_factors"] == 4


def test_factors_that_do_not_vary_are_named():
    adata = study()
    adata.obsm["plier"][:, 1] = 7.0
    adata.obsm["plier"][:, 3] = adata.obs["disease_state"] == "ill"
    with pytest.warns(otl.DesignWarning, match="Left out, because they do not vary .*: 'LV2', 'LV4'"):
        rank(adata, "disease_state", block="who")
    assert adata.uns["plier_test"]["overall"]["factor"].tolist() == ["LV1 Neutrophil", "LV3"]
    adata.obsm["plier"][:] = 0
    refused(rank, adata, ValueError, ["No factor varies within blocks"], phenotype="disease_state", block="who")
    refused(rank, adata, ValueError, ["No factor varies beyond"], phenotype="age", block=None)


def test_a_small_group_is_named():
    adata = study(disease_state=["rare", *["ill"] * 12, *["healthy"] * 11], who=np.arange(N) // 2.0)
    with pytest.warns(otl.DesignWarning, match=r"fewer than 3 observations: 'rare' \(1\)\. Their variance is taken"):
        rank(adata, "disease_state")
    with pytest.warns(otl.DesignWarning, match=r"fewer than 3 'who': 'rare' \(1\)"):
        rank(adata, "disease_state", block="who")


def test_most_observations_missing():
    adata = study()
    adata.obs.loc[adata.obs_names[3:17], "age"] = np.nan
    with pytest.warns(
        otl.DesignWarning, match="14 of 24 observations are left out: 'age' is missing in 14. What remains"
    ):
        rank(adata, "age", block="who")
    assert adata.uns["plier_test"]["params"]["n_dropped"] == 14


def test_a_warning_that_is_an_error_leaves_the_data():
    adata = study()
    before = snapshot(adata)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(otl.DesignWarning):
            rank(adata, "disease_state")
    assert not changes(before, snapshot(adata))


PERSONS = {
    "subject": True,
    "Patient.ID": True,
    "patient_id": True,
    "patientID": True,
    "DonorId": True,
    "donor no": True,
    "anon_participant_code": True,
    "individuals": True,
    "donor_age_group": False,
    "case_control": False,
    "subject_site": False,
    "personality": False,
}


@pytest.mark.parametrize("name", PERSONS)
@pytest.mark.parametrize("kind", ["text", "category", "whole number"])
def test_a_person_by_its_name(name, kind):
    """Four values only, which nothing but the name gives away."""
    values = np.arange(N) % 4
    column = {"text": [f"p{v}" for v in values], "category": pd.Categorical(values), "whole number": values}[kind]
    obs = {"age": np.arange(N) + 0.5, name: column}
    adata = scored(np.random.default_rng(0).normal(size=(N, 3)), obs)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        rank(adata, "age")
    texts = [str(w.message) for w in caught if issubclass(w.category, otl.DesignWarning)]
    assert len(texts) == PERSONS[name]
    if texts:
        assert (
            f"adata.obs['{name}'] looks like a patient (or an animal) with several observations (4 values in 24"
            in texts[0]
        )
        assert f"Pass block='{name}'." in texts[0]


@pytest.mark.parametrize("dtype", ["object", "category"])
@pytest.mark.parametrize("role", ["phenotype", "block", "covariates"])
@pytest.mark.parametrize("text", ["nan", "None"])
def test_missing_values_that_became_text(role, dtype, text):
    """In any column; and the advice helps. Only programs write "nan": it is an error."""
    obs = {"age": np.arange(N) ** 1.5, "column": pd.Series(["a", "b", text] * (N // 3), dtype=dtype)}
    adata = scored(np.random.default_rng(0).normal(size=(N, 3)), obs)
    options = {"phenotype": ("column", {}), "block": ("age", {"block": "column"})}
    phenotype, more = options.get(role, ("age", {"covariates": ["column"]}))
    words = rf"'{text}' .* missing.*: (adata.* = .*'{text}'.*\))\.$"
    if text == "nan":
        with pytest.raises(ValueError, match=words) as refusal:
            rank(adata, phenotype, **more)
        told = str(refusal.value)
    else:
        with pytest.warns(otl.DesignWarning, match=words) as caught:
            rank(adata, phenotype, **more)
        told = str(caught[0].message)
    exec(re.search(words, told).group(1), {"adata": adata})
    rank(adata, phenotype, **more)
    assert adata.uns["plier_test"]["params"]["n_dropped"] == N // 3


def test_names_that_coincide():
    y = np.random.default_rng(0).normal(size=(N, 3))
    order = ["B - C", "C", "A", "A - B"]
    adata = scored(y, {"group": pd.Categorical(order * (N // 4), categories=order)})
    words = ["Two comparisons of 'group' would both be called", "Rename one, or choose a `reference_group`"]
    refused(rank, adata, ValueError, words, phenotype="group")
    rank(adata, "group", reference_group="A")
    adata = scored(y, {"group": pd.Categorical([1, "1"] * (N // 2), categories=[1, "1"])})
    refused(rank, adata, ValueError, ["'group'.* has one group, '1'"], phenotype="group")  # 1 and "1" are one


def test_a_person_by_how_it_repeats():
    """Many values, repeats, and one phenotype for each."""
    person = visits(20)
    obs = {"group": np.array(["a", "b"])[person % 2], "rna": [f"x{p}" for p in person], "plate": person % 3}
    adata = scored(np.random.default_rng(0).normal(size=(person.size, 3)), obs)
    with pytest.warns(otl.DesignWarning, match=r"adata.obs\['rna'\] looks like .* \(20 values in \d+ observations\)"):
        rank(adata, "group")
    adata.obs["subject"] = adata.obs["rna"]
    with pytest.warns(otl.DesignWarning, match=r"adata.obs\['subject'\] looks like.* So does 'rna'. .*block='subject'"):
        rank(adata, "group")


@pytest.mark.parametrize("how", ["block", "covariate", "unique", "float", "mixed groups", "missing"])
def test_no_warning_where_there_is_no_reason(how):
    person = np.arange(N) // 2
    obs = {"group": np.array(["a", "b"])[person % 2], "subject": [f"x{p}" for p in person]}
    options = {}
    if how == "block":
        options["block"] = "subject"
    elif how == "covariate":
        obs["subject"] = [f"x{p % 3}" for p in person]
        options["covariates"] = ["subject"]
    elif how == "unique":
        obs["subject"] = [f"x{i}" for i in range(N)]
    elif how == "float":
        obs["subject"] = person / 2
    elif how == "mixed groups":
        obs = {"group": ["a", "b"] * (N // 2), "rna": obs["subject"]}
    else:
        obs["subject"] = [None] * N
    rank(scored(np.random.default_rng(0).normal(size=(N, 3)), obs), "group", **options)


@pytest.mark.parametrize("cohort", ["sle_pediatric", "sle_adult"])
def test_the_bundled_cohorts_draw_the_warning(cohort):
    obs = getattr(otl.datasets, cohort)().obs
    adata = scored(np.random.default_rng(0).normal(size=(len(obs), 3)), obs)
    with pytest.warns(otl.DesignWarning, match=r"adata.obs\['subject'\] looks like a patient"):
        rank(adata, "disease_state")
    rank(adata, "disease_state", block="subject")
