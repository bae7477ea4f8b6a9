"""Genes of a model, in its order, with everything that belongs to them."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

import omicstl as otl
from tests.contract.cases import fitted, query
from tests.support.refusals import changed_query, refused


@pytest.fixture(scope="module")
def reference():
    return fitted()


@pytest.mark.parametrize("layout", [np.asarray, sp.csr_matrix, sp.csc_matrix])
def test_keeps_what_belongs_to_the_genes(layout, reference):
    model = otl.get.model(reference)
    whole = query()[:, ::-1].copy()
    whole.X = layout(whole.X)
    whole.layers["twice"] = whole.X * 2
    whole.varm["number"] = np.arange(whole.n_vars)[:, None]
    whole.var["number"] = np.arange(whole.n_vars)
    whole.varp["pairs"] = np.add.outer(np.arange(whole.n_vars), np.arange(whole.n_vars))
    whole.obsm["mine"] = np.ones((whole.n_obs, 2))
    whole.uns["note"] = "kept"
    adata = whole.copy()
    assert otl.pp.align_features(adata, reference) is None
    assert adata.var_names.tolist() == model.features.tolist()
    assert not adata.is_view
    expected = whole[:, model.features]
    dense = lambda x: x.toarray() if sp.issparse(x) else np.asarray(x)
    np.testing.assert_array_equal(dense(adata.X), dense(expected.X))
    np.testing.assert_array_equal(dense(adata.layers["twice"]), dense(expected.layers["twice"]))
    np.testing.assert_array_equal(adata.varm["number"].ravel(), adata.var["number"])
    np.testing.assert_array_equal(adata.varp["pairs"], expected.varp["pairs"])
    assert adata.obsm["mine"].shape == (16, 2)
    assert adata.uns["note"] == "kept"


def test_missing_genes_are_named_not_invented(reference):
    model = otl.get.model(reference)
    adata = query()[:, ~query().var_names.isin(model.features[:3])].copy()
    with pytest.warns(
        otl.TransferWarning,
        match=r"3 genes of the reference \(2%\) are not in the data: 'GENE001', 'GENE002', 'GENE003'",
    ):
        otl.pp.align_features(adata, reference)
    assert adata.var_names.tolist() == model.features[3:].tolist()


def test_projection_is_the_same_before_and_after(reference):
    one, two = query(), query()
    otl.pp.align_features(two, reference)
    otl.tl.project(one, reference)
    otl.tl.project(two, reference)
    np.testing.assert_allclose(one.obsm["plier"], two.obsm["plier"], atol=1e-6)


def test_bad_input(reference):
    refused(
        otl.pp.align_features,
        changed_query(names=lambda n: [f"X{g}" for g in n]),
        ValueError,
        ["No gene is shared"],
        reference=reference,
    )
    refused(
        otl.pp.align_features,
        changed_query(names=lambda n: [*n[:-1], n[0]]),
        ValueError,
        ["not unique"],
        reference=reference,
    )
    refused(otl.pp.align_features, query(), TypeError, ["`copy` must be True or False"], reference=reference, copy=1)
    refused(otl.pp.align_features, query(), KeyError, ["'plyer' not found"], reference=reference, key="plyer")
    few = query()[:, :150].copy()
    words = [r"genes of the reference \(\d+%\) are not in the data"]
    refused(otl.pp.align_features, few, otl.TransferWarning, words, reference=reference)  # as an error
