"""`get.rank_factors_groups_df`: the table of a test, of the contrast that was asked for, and nothing written."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import omicstl as otl
from tests.support.scored import scored
from tests.support.snapshots import changes, snapshot

rank = otl.tl.rank_factors_groups


def study():
    rng = np.random.default_rng(0)
    person = np.arange(24) // 2
    obs = {"disease_state": np.where(person < 6, "healthy", "ill"), "age": rng.uniform(20, 60, 24), "who": person}
    return scored(rng.normal(size=(24, 4)), obs)


def test_the_table_of_a_test():
    adata = study()
    with pytest.raises(KeyError, match="holds no test over factors. Run otl.tl.rank_factors_groups"):
        otl.get.rank_factors_groups_df(adata)
    rank(adata, "disease_state", block="who")
    before = snapshot(adata)
    table = otl.get.rank_factors_groups_df(adata)
    assert table["p"].is_monotonic_increasing
    pd.testing.assert_frame_equal(otl.get.rank_factors_groups_df(adata, "ill - healthy", test="plier_test"), table)
    table["p"] = 0.0
    assert not changes(before, snapshot(adata))
    with pytest.raises(
        KeyError, match="'ill - Healthy' not found in contrasts of 'plier_test'. Did you mean 'ill - healthy'"
    ):
        otl.get.rank_factors_groups_df(adata, "ill - Healthy")
    with pytest.raises(TypeError, match="`contrast` must be a string or None"):
        otl.get.rank_factors_groups_df(adata, 1)
    with pytest.raises(KeyError, match="Did you mean 'plier_test'"):
        otl.get.rank_factors_groups_df(adata, test="plier_tests")
    rank(adata, "age", block="who", key_added="second")
    assert otl.get.rank_factors_groups_df(adata)["contrast"].unique().tolist() == ["ill - healthy"]  # the default name
    rank(adata, "age", key_added="third", block="who")
    other = adata.copy()
    del other.uns["plier_test"]
    with pytest.raises(KeyError, match="2 tests over factors: 'second', 'third'. Say which one: test='second'"):
        otl.get.rank_factors_groups_df(other)
    adata.uns["plier_test"]["table"] = adata.uns["plier_test"]["table"].iloc[::-1]
    assert otl.get.rank_factors_groups_df(adata, test="second")["contrast"].unique().tolist() == ["age"]


def test_one_contrast_of_several():
    adata = study()
    adata.obs["arm"] = ["a", "b", "c"] * 8
    rank(adata, "arm", block="who")
    assert len(otl.get.rank_factors_groups_df(adata)) == 12
    one = otl.get.rank_factors_groups_df(adata, "c - b")
    assert one["contrast"].unique().tolist() == ["c - b"]
    assert one.index.tolist() == [0, 1, 2, 3]
    whole = adata.uns["plier_test"]["table"]
    rows = whole[whole["contrast"] == "c - b"].set_index("factor")
    pd.testing.assert_frame_equal(one.set_index("factor").loc[rows.index], rows)


def test_factors_show_a_test_of_their_own_scores():
    adata = study()
    adata.obsm["other"], adata.uns["other"] = -adata.obsm["plier"], dict(adata.uns["plier"])
    rank(adata, "age", key="plier", block="who", key_added="one")
    rank(adata, "age", key="plier", block="who", key_added="two")
    rank(adata, "age", key="other", block="who")
    with pytest.raises(KeyError, match="2 tests of 'plier': 'one', 'two'. Say which one: test='one'"):
        otl.get.factors(adata, "plier")
    with pytest.raises(ValueError, match="'other_test' is a test of the scores 'other', not of 'plier'"):
        otl.get.factors(adata, "plier", test="other_test")
    effects = [
        otl.get.factors(adata, key, test=test).var["test_effect"] for key, test in (("plier", "two"), ("other", None))
    ]
    np.testing.assert_allclose(effects[0], -effects[1])


def test_factors_of_an_ensemble_are_all_tested():
    from omicstl._data.results import reliable, stability_of
    from tests.contract.cases import networked

    adata = networked()
    entry = adata.uns["deepprofile"]
    entry["clusters"]["stability"] = 0.1
    assert stability_of(entry, 6)[:3].tolist() == [0.1] * 3
    assert reliable(adata, "deepprofile").all()
