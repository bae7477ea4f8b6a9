"""The reader: what it refuses, what it says, and the statistics of a pass."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from omicstl import ScaleWarning
from omicstl._core.settings import settings
from omicstl._data.adata import check_scale, layer_names, read, summarise
from omicstl.kernels import stats

LAYOUTS = {"dense": np.asarray, "csr": sp.csr_matrix, "csc": sp.csc_array}


def make(x=None, **options):
    x = np.random.default_rng(0).normal(7.0, 1.0, size=(30, 6)).astype(np.float32) if x is None else x
    obs = pd.DataFrame(index=[f"S{i}" for i in range(x.shape[0])])
    var = pd.DataFrame(index=[f"G{i}" for i in range(x.shape[1])])
    return ad.AnnData(x, obs=obs, var=var, **options)


def test_reads_x_and_layers():
    adata = make()
    adata.layers["half"] = adata.X / 2
    expression = read(adata)
    assert expression.where == "adata.X"
    assert expression.obs_names.dtype.kind == expression.var_names.dtype.kind == "U"
    assert expression.var_names.tolist() == adata.var_names.tolist()
    half = read(adata, layer="half", name="reference")
    assert half.where == "reference.layers['half']"
    assert np.array_equal(next(half.rows.blocks()), adata.X / 2)
    chosen = half.select(np.array([3, 1]))
    assert chosen.var_names.tolist() == ["G3", "G1"]
    assert np.array_equal(next(chosen.rows.blocks()), adata.X[:, [3, 1]] / 2)


def test_layers_named_none_are_skipped():
    class Fake:
        layers = {None: 0, "counts": 0}

    assert layer_names(Fake()) == ["counts"]


@pytest.mark.parametrize(
    ("adata", "error", "text"),
    [
        (np.eye(2), TypeError, "`query` must be an AnnData, got ndarray. Make one with anndata.AnnData"),
        (type("MuData", (), {})(), TypeError, "got MuData. Pass one modality"),
        (
            ad.AnnData(obs=pd.DataFrame(index=["a"]), var=pd.DataFrame(index=["b"])),
            ValueError,
            "query.X is None. It has no",
        ),
        (make(np.zeros((0, 3), np.float32)), ValueError, "query has 0 observations and 3 variables"),
        (make(np.zeros((3, 0), np.float32)), ValueError, "3 observations and 0 variables"),
        (make(np.array([["a", 1.0]], dtype=object)), TypeError, r"dtype object.*query.X = query.X.astype\('float32'\)"),
        (make(np.ones((2, 2), bool)), TypeError, "dtype bool.*presence and absence"),
        (make(np.ones((2, 2), complex)), TypeError, "dtype complex128.*real part"),
    ],
)
def test_refused(adata, error, text):
    with pytest.raises(error, match=text):
        read(adata, name="query")


def test_x_none_names_the_layers():
    adata = make()
    adata.layers["counts"] = adata.X
    adata.X = None
    with pytest.raises(ValueError, match="Pass layer=..., one of .*counts"):
        read(adata)
    assert read(adata, layer="counts").rows.n_rows == 30


def test_missing_layer():
    adata = make()
    adata.layers["log1p"] = adata.X
    with pytest.raises(KeyError, match="'log1' not found in adata.layers. Did you mean 'log1p'"):
        read(adata, layer="log1")


def test_duplicated_names():
    x = np.ones((2, 6), np.float32)
    with pytest.warns(UserWarning, match="not unique"):
        adata = ad.AnnData(x, var=pd.DataFrame(index=["A", "A", "B", "B", "C", "D"]))
    with pytest.warns(UserWarning, match="not unique"):
        once = ad.AnnData(x[:, :3], var=pd.DataFrame(index=["A", "B", "B"]))
    with pytest.raises(ValueError, match="adata.var_names are not unique: 'A', 'B' occur more than once"):
        read(adata)
    with pytest.raises(ValueError, match="adata.var_names are not unique: 'B' occurs more than once"):
        read(once)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_summary(layout):
    adata = make()
    dense = adata.X.astype(np.float64)
    adata.X = LAYOUTS[layout](adata.X)
    with settings.override(block_bytes=1024):
        summary = summarise(read(adata).select(np.array([4, 0, 1])), gram=True)
    done = stats.finish(summary)
    assert done.n == 30
    np.testing.assert_allclose(done.mean, dense[:, [4, 0, 1]].mean(axis=0), rtol=1e-7)
    np.testing.assert_allclose(done.gram / 29, np.cov(dense[:, [4, 0, 1]].T), atol=1e-5)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_values_that_are_not_finite(layout):
    adata = make()
    x = adata.X.copy()
    x[25, 3] = np.nan
    x[25, 5] = -np.inf
    x[29, 0] = np.nan
    adata.X = LAYOUTS[layout](x)
    with (
        settings.override(block_bytes=1024),
        pytest.raises(ValueError, match=r"contains 2 NaN and 1 infinite values \(first at sample 'S25', gene 'G3'\)"),
    ):
        summarise(read(adata))
    with pytest.raises(ValueError, match=r"1 infinite value \(first at sample 'S25', gene 'G5'\)"):
        summarise(read(adata).select(np.array([1, 5])))
    assert summarise(read(adata).select(np.array([1, 2]))).n == 30


def scale(x, expected="log"):
    expression = read(make(np.asarray(x, dtype=np.float32)))
    check_scale(expression, summarise(expression), expected=expected)


RNG = np.random.default_rng(1)
COUNTS = RNG.poisson(40, size=(30, 6))
LOG = RNG.normal(7, 1, size=(30, 6)).clip(0)
STANDARD = (LOG - LOG.mean(axis=0)) / LOG.std(axis=0, ddof=1)


@pytest.mark.parametrize(
    ("x", "expected", "text"),
    [
        (COUNTS, "log", r"looks like raw counts \(integers up to \d+\); log-transformed values are expected"),
        (COUNTS * 10.5, "log", "values up to .* not a logarithmic scale"),
        (LOG, "counts", "not made of integers"),
        (LOG, "zscore", "not z-scored by gene"),
    ],
)
def test_doubtful_scales(x, expected, text):
    with pytest.warns(ScaleWarning, match=text):
        scale(x, expected)


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        (LOG, "log"),
        (STANDARD, "log"),
        (np.zeros((3, 2)), "log"),
        (COUNTS, "counts"),
        (STANDARD, "zscore"),
        (COUNTS, "any"),
    ],
)
def test_plausible_scales(x, expected):
    scale(x, expected)


def test_impossible_scales():
    with pytest.raises(ValueError, match="values up to 1e[+]30, which would overflow"):
        scale(LOG * 0 + 1e30)
    with pytest.raises(ValueError, match="values up to 1e[+]16"):
        scale(LOG * 0 - 1e16, "any")
    with pytest.raises(ValueError, match=r"negative values \(down to -.*raw counts are needed"):
        scale(STANDARD, "counts")
    with pytest.raises(ValueError, match="`expected` must be one of"):
        scale(LOG, "logg")


@pytest.mark.parametrize("layer", [None, "raw counts"])
def test_the_two_lines_for_counts_repair_the_scale(layer):
    """What the warning says is run as it stands."""
    import scanpy as sc

    adata = make(COUNTS.astype(np.float32))
    if layer is not None:
        adata.layers[layer] = adata.X.copy()
    with pytest.warns(ScaleWarning) as caught:
        check_scale(read(adata, layer=layer), summarise(read(adata, layer=layer)))
    option = "" if layer is None else ", layer='raw counts'"
    lines = [line.strip() for line in str(caught[0].message).splitlines()[1:]]
    assert lines == [f"sc.pp.normalize_total(adata, target_sum=1e6{option})", f"sc.pp.log1p(adata{option})"]
    exec("\n".join(lines), {"sc": sc, "adata": adata})
    check_scale(read(adata, layer=layer), summarise(read(adata, layer=layer)))
    x = adata.X if layer is None else adata.layers[layer]
    np.testing.assert_allclose(np.expm1(x).sum(axis=1), 1e6, rtol=1e-4)
