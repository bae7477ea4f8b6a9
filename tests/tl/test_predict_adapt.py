"""`tl.predict` with an adaptation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import omicstl as otl


@pytest.fixture(scope="module")
def domains():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((120, 30)).astype(np.float32)
    high = x[:, 0] + x[:, 1] > 0
    x[80:] = 0.7 * x[80:] + 0.5
    adata = AnnData(x, var=pd.DataFrame(index=[f"G{i}" for i in range(30)]))
    adata.obs["platform"] = ["old"] * 80 + ["new"] * 40
    label = np.where(high, "high", "low").astype(object)
    label[80:] = None
    adata.obs["class"] = pd.Categorical(label, ["high", "low"])
    otl.tl.adapt(adata, domain_key="platform", label_key="class", method="coral")
    return adata


def test_rows_of_the_target_get_what_the_fit_gave(domains):
    new = AnnData(domains.X[80:, ::-1].copy(), var=domains.var.iloc[::-1].copy())
    otl.tl.predict(new, domains)
    np.testing.assert_allclose(new.obsm["adapt_probability"], domains.obsm["adapt_probability"][80:], atol=1e-5)
    np.testing.assert_allclose(new.obsm["adapt"], domains.obsm["adapt"][80:], atol=1e-4)
    assert (new.obs["adapt_prediction"].to_numpy() == domains.obs["adapt_prediction"].to_numpy()[80:]).all()
    assert new.uns["adapt"]["kind"] == "prediction"
    assert "model" not in new.uns["adapt"]


def test_what_is_refused(domains):
    new = domains[80:, :20].copy()
    del new.uns["adapt"]
    with pytest.raises(ValueError, match="All 30 variables"):
        otl.tl.predict(new, domains)
    with pytest.raises(ValueError, match="`standardize` is not used"):
        otl.tl.predict(new, domains, standardize="query")
    with pytest.raises(ValueError, match="predicts no labels"):
        otl.tl.predict(new, _plier())


def _plier():
    target, truth = otl.datasets.simulate_pathways(rng=0)
    otl.tl.plier(target, truth.gene_sets, n_factors=3, max_iter=30, tol=1e-1)
    return target
