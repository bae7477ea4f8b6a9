"""Small data with other names, and a table that brings them to new ones."""

from __future__ import annotations

import warnings

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import omicstl as otl
from tests.support.snapshots import changes, snapshot

OLD = [f"old{i}" for i in range(12)]
#: old0 and old5 share new A, old1, old2 and old7 share B, old3 has two targets, old11 has none.
NEW = {
    "old0": "A",
    "old5": "A",
    "old1": "B",
    "old2": "B",
    "old7": "B",
    "old4": "C",
    "old6": "D",
    "old8": "E",
    "old9": "F",
}
TABLE = pd.DataFrame([*NEW.items(), ("old3", "G"), ("old3", "H"), ("old10", ""), ("not measured", "Z")]).set_axis(
    ["old", "new"], axis=1
)
WAY = {"source": "old", "target": "new"}


def counts(n_obs=7, names=OLD, seed=0):
    x = np.random.default_rng(seed).poisson(1.5, size=(n_obs, len(names))).astype(np.float32)
    return make(x, names)


def make(x, names=OLD):
    obs = pd.DataFrame({"group": list("abcdefg")[: x.shape[0]]}, index=[f"S{i}" for i in range(x.shape[0])])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # names that repeat
        return ad.AnnData(x, obs=obs, var=pd.DataFrame({"number": np.arange(len(names))}, index=list(names)))


def dense(x):
    return x.toarray() if sp.issparse(x) else np.asarray(x)


def refused(error, words, adata, *more, **options):
    before = snapshot(adata)
    with pytest.raises(error, match=words):
        otl.pp.map_features(adata, *more, **options)
    assert not changes(before, snapshot(adata))
