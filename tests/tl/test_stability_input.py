"""Refits need the fit, its data and its kind."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import omicstl as otl
from omicstl._data import store
from tests.contract.cases import cohort, fitted, query
from tests.support.refusals import refused


def test_needs_the_data_of_the_fit():
    other = query()
    other.uns = fitted().uns
    other.obsm["plier"] = np.zeros((other.n_obs, 4), np.float32)
    words = [
        "not what the model was fitted on",
        "16 observations of 40",
        "158 genes of 158",
        "Pass the data of the fit",
    ]
    refused(otl.tl.stability, other, ValueError, words)
    fewer = fitted()[:, :100].copy()
    refused(otl.tl.stability, fewer, ValueError, [r"\d+ genes of 158"])
    bare = fitted()
    del bare.obsm["plier"]
    refused(otl.tl.stability, bare, KeyError, ["'plier' not found in adata.obsm"])


def test_refuses_other_values_in_the_same_shape():
    adata = fitted()
    gene = otl.get.model(adata).features[4]
    adata.X[:, adata.var_names.get_loc(gene)] += 1
    refused(
        otl.tl.stability,
        adata,
        ValueError,
        ["not what the model was fitted on", f"'{gene}'", "Pass the data of the fit"],
    )


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"key": "plyer"}, KeyError, ["'plyer' not found", "Did you mean 'plier'"]),
        ({"n_refits": 0}, ValueError, ["`n_refits` must be >= 1 and <= 10000, got 0"]),
        ({"n_refits": 2.5}, TypeError, ["`n_refits` must be an integer"]),
        ({"rng": "a"}, TypeError, ["`rng` must be an integer"]),
        ({"copy": 0}, TypeError, ["`copy` must be True or False"]),
        ({"progress": 1}, TypeError, ["`progress` must be True or False"]),
    ],
)
def test_options(options, error, words):
    refused(otl.tl.stability, fitted(), error, words, **options)


def test_needs_a_fit():
    refused(otl.tl.stability, cohort(), KeyError, ["holds no fitted model", "otl.tl.plier"])
    adata = query()
    table = otl.io.factor_table(pd.DataFrame(np.eye(3), adata.var_names[:3], ["a", "b", "c"]), penalty=1.0).to_dict()
    adata.uns["published"] = {"kind": "factor_table", "model": table, "digest": store.digest(table)}
    refused(otl.tl.stability, adata, NotImplementedError, ["'factor_table' cannot be refitted", "Allowed: 'plier'"])
