"""Model files and tables of loadings through the public functions; the file format itself is tested with the store."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import omicstl as otl
from omicstl._data import store
from tests.contract.cases import fitted, query


def loadings(**changes):
    table = pd.DataFrame({"LV1": [1.0, 0.5, 0.0], "LV2": [0.0, 0.2, 3.0]}, index=["CD19", "CD3E", "NKG7"])
    return table.assign(**changes)


def test_factor_table():
    model = otl.io.factor_table(loadings(), penalty=2)
    assert model.kind == "factor_table"
    assert model.features.tolist() == ["CD19", "CD3E", "NKG7"]
    assert model.names.tolist() == ["LV1", "LV2"]
    assert model.loadings.dtype == np.float32
    assert model.score_penalty == 2.0
    assert model.mean is model.scale is model.score_cov is model.noise is None


@pytest.mark.parametrize(
    ("table", "penalty", "error", "text"),
    [
        (
            loadings().to_numpy(),
            1.0,
            TypeError,
            "`table` must be a pandas.DataFrame, got ndarray",
        ),
        (loadings(LV1=["a", "b", "c"]), 1.0, TypeError, "DataFrame of numbers"),
        (loadings(), 0, ValueError, "`penalty` must be > 0, got 0. Use the value published with the loadings"),
        (loadings(), "2", TypeError, "`penalty` must be a number, got '2'"),
        (loadings(), None, TypeError, "`penalty` must be a number"),
        (loadings().iloc[:0], 1.0, ValueError, r"at least one gene and one factor, got shape \(0, 2\)"),
        (loadings().iloc[:, :0], 1.0, ValueError, r"at least one gene and one factor, got shape \(3, 0\)"),
        (loadings().iloc[[0, 1, 1]], 1.0, ValueError, r"gene names \(index\) of `table` must be unique, got 'CD3E'"),
        (loadings().iloc[:, [0, 0]], 1.0, ValueError, r"factor names \(columns\) of `table` must be unique, got 'LV1'"),
        (loadings(LV2=[np.nan, 1, np.inf]), 1.0, ValueError, "2 values that are not finite. Fill or drop their genes"),
        (loadings(LV2=[1e39, 1, 1]), 1.0, ValueError, "1 values that are not finite"),
        (
            loadings(LV2=[1e-310, 0, -1e-50]),
            1.0,
            ValueError,
            "too small for float32, 'LV2': their largest loading is 1e-50",
        ),
        (loadings(LV2=[1 + 1j, 1, 1]), 1.0, TypeError, "must hold real numbers, and 'LV2' are complex"),
        (
            loadings().astype("complex64"),
            1.0,
            TypeError,
            "'LV1', 'LV2' are complex: their imaginary parts would be lost",
        ),
    ],
)
def test_factor_table_says_what_is_wrong(table, penalty, error, text):
    with pytest.raises(error, match=text):
        otl.io.factor_table(table, penalty=penalty)


def test_factor_tables_own_their_numbers():
    table = loadings().astype(np.float32)
    model = otl.io.factor_table(table, penalty=1.0)
    table.iloc[0, 0] = 9
    assert model.loadings[0, 0] == 1


def test_negative_loadings_are_allowed():
    """A PCA's, for example."""
    assert otl.io.factor_table(loadings(LV1=[-1.0, 1.0, 0.0]), penalty=1.0).loadings.min() == -1


@pytest.mark.parametrize("kind", ["plier", "factor_table"])
def test_round_trip(kind, tmp_path):
    model = otl.get.model(fitted()) if kind == "plier" else otl.io.factor_table(loadings(), penalty=2.0)
    otl.io.write_model(tmp_path / "m.npz", model)
    back = otl.io.read_model(tmp_path / "m.npz")
    assert type(back) is type(model)
    assert store.digest(back.to_dict()) == store.digest(model.to_dict())
    otl.io.write_model(tmp_path / "again.npz", back)
    assert (tmp_path / "again.npz").read_bytes() == (tmp_path / "m.npz").read_bytes()
    with np.load(tmp_path / "m.npz", allow_pickle=False) as file:  # readable without us
        np.testing.assert_array_equal(file["loadings"], model.loadings)


def test_a_published_table_projects_like_the_model_it_was_taken_from():
    reference = fitted()
    model = otl.get.model(reference)
    table = otl.io.factor_table(otl.get.loadings(reference), penalty=model.score_penalty)
    one, two = query(), query()
    otl.tl.project(one, reference)
    otl.tl.project(two, table)
    np.testing.assert_array_equal(one.obsm["plier"], two.obsm["factor_table"])
    np.testing.assert_array_equal(one.obs["plier_r2"], two.obs["factor_table_r2"])
    quality = two.uns["factor_table"]["quality"]
    assert "offset" not in quality  # it knows no training mean
    assert (quality["factors"]["expected_r"] > 0.999).all()


def test_write_model_says_what_is_wrong(tmp_path):
    with pytest.raises(TypeError, match=r"`model` must be a fitted model, got AnnData. .*otl.get.model\(adata\)"):
        otl.io.write_model(tmp_path / "m.npz", fitted())
    with pytest.raises(FileNotFoundError, match="does not exist"):
        otl.io.write_model(tmp_path / "no" / "m.npz", otl.io.factor_table(loadings(), penalty=1.0))
    with pytest.raises(FileNotFoundError, match="no model file"):
        otl.io.read_model(tmp_path / "m.npz")
