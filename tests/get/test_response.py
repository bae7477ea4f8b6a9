"""`get.response`: one table, whichever way the scores were written."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import omicstl as otl

CALLS = ["sensitive", "resistant", "uncertain"]


def one():
    adata = AnnData(np.zeros((3, 2), np.float32))
    adata.obs["x_score"] = np.array([0.1, 0.5, 0.9], np.float32)
    adata.obs["x_std"] = np.float32(0.2)
    adata.obs["x_call"] = pd.Categorical(["resistant", "uncertain", "sensitive"], CALLS)
    adata.uns["x"] = {"kind": "prediction", "drugs": np.array(["a/b"], dtype=object)}
    return adata


def test_one_drug():
    adata = one()
    table = otl.get.response(adata)
    assert table.columns.tolist() == [("score", "a/b"), ("std", "a/b"), ("call", "a/b")]
    assert table["call", "a/b"].tolist() == ["resistant", "uncertain", "sensitive"]
    table.loc[:, ("score", "a/b")] = 7.0
    assert adata.obs["x_score"].iloc[0] == np.float32(0.1)


def test_several_drugs():
    adata = AnnData(np.zeros((3, 2), np.float32))
    adata.obsm["y_response"] = np.arange(6, dtype=np.float32).reshape(3, 2)
    adata.obsm["y_response_std"] = np.ones((3, 2), np.float32)
    adata.obsm["y_calls"] = np.array([[0, 1], [2, 2], [1, 0]], np.int8)
    adata.uns["y"] = {"kind": "scdeal", "drugs": np.array(["a", "b"], dtype=object)}
    table = otl.get.response(adata, "y")
    np.testing.assert_array_equal(table["score"]["b"], [1, 3, 5])
    assert table["call"]["a"].tolist() == ["sensitive", "uncertain", "resistant"]


def test_what_is_not_there():
    adata = one()
    with pytest.raises(KeyError, match="no predicted response"):
        otl.get.response(AnnData(np.zeros((2, 2), np.float32)))
    with pytest.raises(KeyError, match="'z' not found"):
        otl.get.response(adata, "z")
    adata.uns["w"] = adata.uns["x"]
    with pytest.raises(KeyError, match="holds 2 responses"):
        otl.get.response(adata)
    with pytest.raises(TypeError, match="AnnData"):
        otl.get.response(3)
