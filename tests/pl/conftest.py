"""A fit with refits, and a cohort that was projected onto it and tested; only to be read."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import omicstl as otl
from tests.pl.support import page


@pytest.fixture
def ax():
    return page()


@pytest.fixture(scope="session")
def fitted():
    both, truth = otl.datasets.simulate_pathways(n_query=20, rng=0)
    reference = both[both.obs["cohort"] == "reference"].copy()
    otl.tl.plier(reference, truth.gene_sets, n_factors=8)
    query = both[both.obs["cohort"] == "query"].copy()
    otl.tl.project(query, reference)
    return reference, query, truth


def phenotypes(adata, seed=0):
    """Groups that follow the first factor, groups that follow nothing, a number, persons, and gaps."""
    score = adata.obsm["plier"][:, 0]
    random = np.random.default_rng(seed)
    adata.obs["ill"] = pd.Categorical(np.where(score > np.median(score), "SLE", "Healthy"))
    adata.obs["coin"] = pd.Categorical(random.permutation(["heads", "tails"] * (adata.n_obs // 2)))
    adata.obs["three"] = pd.Categorical(np.array(["a", "b", "c"])[np.digitize(score, np.quantile(score, [0.3, 0.7]))])
    adata.obs["activity"] = score * 3 + random.normal(size=adata.n_obs)
    adata.obs["subject"] = pd.Categorical([f"P{i // 2}" for i in range(adata.n_obs)])
    gaps = adata.obs["ill"].astype(object)
    gaps.iloc[:4] = np.nan
    adata.obs["gaps"] = pd.Categorical(gaps)
    return adata


@pytest.fixture(scope="session")
def tested(fitted):
    """Reference and query after `tl.stability` and a test in each, under the names of the default."""
    reference, query, _ = (part.copy() if hasattr(part, "obs") else part for part in fitted)
    otl.tl.stability(reference, n_refits=2)
    otl.tl.project(query, reference)
    for adata in (reference, query):
        phenotypes(adata)
        otl.tl.rank_factors_groups(adata, "ill", reference_group="Healthy", block="subject", factors="all")
    return SimpleNamespace(reference=reference, query=query, names=[str(name) for name in query.uns["plier"]["names"]])
