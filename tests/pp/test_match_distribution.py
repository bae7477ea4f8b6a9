"""Single samples on the scale of a reference."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import omicstl as otl
from tests.contract.cases import fitted, query
from tests.support.refusals import changed_query, put, refused


@pytest.fixture(scope="module")
def reference():
    return fitted()


def columns(adata, model):
    return adata.var_names.get_indexer(model.features)


@pytest.mark.parametrize("layout", [np.asarray, sp.csr_matrix, sp.csc_matrix])
def test_quantiles(layout, reference):
    """Every row gets the sorted means of the reference, in the order of its own values."""
    model = otl.get.model(reference)
    adata = query()
    x = adata.X.copy()
    adata.X = layout(adata.X)
    otl.pp.match_distribution(adata, reference)
    found = adata.layers["matched"]
    at = columns(adata, model)
    assert found.dtype == np.float32
    for row, old in zip(found, x, strict=True):
        np.testing.assert_allclose(row[at][np.argsort(old[at])], np.sort(model.mean), rtol=1e-6)
    outside = np.setdiff1d(np.arange(adata.n_vars), at)
    assert not found[:, outside].any()


def test_line(reference):
    model = otl.get.model(reference)
    adata = query()
    otl.pp.match_distribution(adata, reference, method="linear", key_added="line")
    at = columns(adata, model)
    for row, old in zip(adata.layers["line"], adata.X, strict=True):
        slope, intercept = np.polyfit(old[at].astype(np.float64), model.mean, 1)
        np.testing.assert_allclose(row[at], intercept + slope * old[at], rtol=1e-4)


@pytest.mark.parametrize("method", ["quantile", "linear"])
def test_platform_and_scale_go_away(method, reference):
    """A monotone (a linear) change of a sample's scale is undone, and the reference's statistics are allowed again."""
    change = (lambda x: np.exp2(x / 3)) if method == "quantile" else (lambda x: 3 * x - 7)
    plain, other = query()[:1].copy(), query()[:1].copy()
    other.X = change(other.X)
    for adata in (plain, other):
        otl.pp.match_distribution(adata, reference, method=method)
    np.testing.assert_allclose(plain.layers["matched"], other.layers["matched"], atol=1e-3)
    refused(otl.tl.project, other, ValueError, ["cannot be standardised automatically"], reference=reference)
    otl.tl.project(other, reference, layer="matched", standardize="reference")
    assert other.uns["plier"]["params"]["layer"] == "matched"
    assert other.uns["plier"]["quality"]["median_offset"] < 1.1


@pytest.mark.filterwarnings("ignore::omicstl.TransferWarning")
def test_one_sample_does_not_depend_on_another(reference):
    whole, one = query(), query()[3:4].copy()
    otl.pp.match_distribution(whole, reference)
    otl.pp.match_distribution(one, reference)
    np.testing.assert_array_equal(whole.layers["matched"][3:4], one.layers["matched"])


def test_a_sample_without_order_is_the_mean(reference):
    adata = changed_query(x=np.zeros_like)
    otl.pp.match_distribution(adata, reference)
    model = otl.get.model(reference)
    np.testing.assert_allclose(adata.layers["matched"][:, columns(adata, model)], model.mean.mean(), rtol=1e-6)


def test_bad_input(reference):
    verb = otl.pp.match_distribution
    model = otl.get.model(reference)
    table = otl.io.factor_table(pd.DataFrame(model.loadings, model.features, model.names), penalty=3.0)
    refused(
        verb,
        query(),
        ValueError,
        ["'quantile', 'linear', got 'quantiles'", "Did you mean 'quantile'"],
        reference=reference,
        method="quantiles",
    )
    refused(verb, query(), ValueError, ["factor_table model has no training mean"], reference=table)
    refused(verb, changed_query(x=put(np.nan)), ValueError, ["1 NaN value", "'S44'"], reference=reference)
    refused(verb, changed_query(x=lambda x: x > 9), TypeError, ["dtype bool"], reference=reference)
    refused(verb, query(), KeyError, ["'log' not found in adata.layers"], reference=reference, layer="log")
    refused(verb, query(), ValueError, ["letters, digits and underscores"], reference=reference, key_added="a b")
    refused(
        verb,
        changed_query(names=lambda n: [f"X{g}" for g in n]),
        ValueError,
        ["No gene is shared"],
        reference=reference,
    )
    refused(verb, changed_query(names=lambda n: [*n[:-1], n[0]]), ValueError, ["not unique"], reference=reference)
    refused(verb, changed_query(x=lambda x: np.round(2**x)), otl.ScaleWarning, ["raw counts"], reference=reference)
