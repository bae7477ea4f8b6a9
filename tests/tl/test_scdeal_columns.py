"""Masks, lines, groups and containers as users have them: the same scores, or a clear refusal."""

from __future__ import annotations

import warnings

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from omicstl.tl._scdeal import groups
from omicstl.tl._shared import screen as screens
from tests.support.drug_screen import N_CELLS as M, N_LINES as N, refused, run, simulated

MASK = np.arange(M) < 25


@pytest.fixture(scope="module")
def screen():
    cells, lines = simulated()
    lines.obsm["table"].columns = ["first", "second", "third"]  # a file takes no "A/B"
    return cells, lines


@pytest.fixture(scope="module")
def scores(screen):
    return run(screen[0].copy(), screen[1])


def with_column(cells, values):
    cells = cells.copy()
    cells.obs["x"] = values
    return cells


@pytest.mark.parametrize(
    "values",
    [
        MASK,
        pd.array(MASK, dtype="boolean"),
        MASK.astype(object),
        pd.Categorical(MASK),
        pd.Categorical(MASK, categories=[True, False]),
        MASK.astype(str),
        pd.Categorical(MASK.astype(str)),
        MASK.astype(int),
        pd.array(MASK.astype(int), dtype="Int64"),
        MASK.astype(np.float32),
        pd.Categorical(MASK.astype(float)),
    ],
    ids=[
        "bool",
        "boolean",
        "object",
        "categorical",
        "ordered otherwise",
        "text",
        "categories of text",
        "int",
        "Int64",
        "float",
        "categories of numbers",
    ],
)
def test_true_and_false_in_any_dress(screen, values):
    found = screens.mask_of(with_column(screen[0], values), "x")
    assert found.dtype == bool
    np.testing.assert_array_equal(found, MASK)


@pytest.mark.parametrize(
    ("values", "error", "match"),
    [
        (
            pd.array([pd.NA, *MASK[1:]], dtype="boolean"),
            ValueError,
            r"missing in 1 of 40 obs.*astype\(object\).isin\(\[True, 'True', 1, '1'\]\)",
        ),
        (pd.Categorical([None, *MASK[1:]]), ValueError, "missing in 1 of 40"),
        (np.array([None, *MASK[1:]], dtype=object), ValueError, "missing in 1 of 40"),
        (np.full(M, np.nan), ValueError, "missing in 40 of 40"),
        (np.where(MASK, 1.0, np.nan), ValueError, "missing in 15 of 40"),
        (np.where(MASK, 2, 1), TypeError, r"numbers \(dtype int64\) with values such as '2', '1'"),
        (np.where(MASK, "malignant", "T cell"), TypeError, "values such as 'malignant', 'T cell'.* == 'malignant'"),
    ],
)
def test_what_is_no_mask(screen, values, error, match):
    refused(screen, error, match, lambda c, l: c.obs.__setitem__("x", values), mask_obs="x")


@pytest.mark.parametrize(
    "values",
    [
        pd.array([pd.NA, *MASK[1:]], dtype="boolean"),
        pd.Categorical([None, *MASK[1:]]),
        np.array([None, *MASK[1:]], dtype=object),
        np.array(["", *MASK[1:].astype(str)], dtype=object),
        pd.Categorical([None, *MASK[1:].astype(str)]),
        np.where(np.arange(M) == 0, np.nan, MASK.astype(float)),
    ],
)
def test_the_way_out_of_a_mask_with_gaps_works(screen, values):
    cells = with_column(screen[0], values)
    cells.obs["x"] = cells.obs["x"].astype(object).isin([True, "True", 1, "1"])  # what the message says
    np.testing.assert_array_equal(screens.mask_of(cells, "x"), [False, *MASK[1:]])


@pytest.mark.parametrize(
    ("exclude", "error", "match"),
    [
        (None, TypeError, "must be a list of names, got None"),
        ("A375", TypeError, r"must be a list of names, got 'A375' of type str. Write exclude_lines=\['A375'\]"),
        (5, TypeError, "got 5 of type int"),
        (
            [907268],
            TypeError,
            r"must be a list of names, got \[907268\] of type list. Write exclude_lines=\['907268'\]",
        ),
        (iter(["LINE01"]), TypeError, "must be a list of names, got list_iterator"),
        (np.array(["LINE1"]), ValueError, "^'LINE1' of `exclude_lines` is no line"),
    ],
)
def test_what_is_no_list_of_lines(screen, exclude, error, match):
    refused(screen, error, match, exclude_lines=exclude)


@pytest.mark.parametrize("kind", [list, set, tuple, pd.Index, np.array])
def test_lists_of_lines_of_any_kind(screen, kind):
    keep = screens.kept_lines(
        screen[1], kind(["LINE03", "LINE05"]), screens.response_of.read(*screen, None, "table", "low")
    )
    assert not {2, 4} & set(keep)
    assert keep.size == N - 2


def test_names_of_lines_that_repeat(screen):
    lines = screen[1].copy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        lines.obs_names = ["LINE02", *lines.obs_names[1:]]
        with pytest.raises(
            ValueError,
            match="reference.obs_names are not unique: 'LINE02'.*mean of its replicates.*obs_names_make_unique",
        ):
            run(screen[0].copy(), lines)
    lines.obs_names_make_unique()
    assert np.isfinite(run(screen[0].copy(), lines)).all()


def test_clusters_are_groups_of_cells(screen):
    cells = screen[0]
    assert set(groups.clusters_of(with_column(cells, np.array([1.0, 2.0] * (M // 2))), "x")) == {"1", "2"}
    assert set(
        groups.clusters_of(with_column(cells, pd.Categorical(["a/b"] * M, categories=["a/b", "unused"])), "x")
    ) == {"a/b"}
    for values, error, match in (
        (np.nan, ValueError, r"adata.obs\['x'\] is missing in 40 of 40 observations"),
        (np.array(["a", None] * (M // 2), dtype=object), ValueError, "missing in 20 of 40.*'unknown' is fine"),
        (["a", " "] * (M // 2), ValueError, "missing in 20 of 40"),
        ([np.nan, *[1.0, 2.0] * (M // 2)][:M], ValueError, "missing in 1 of 40"),
        (list(cells.obs_names), ValueError, "40 different values for 40 cells.*at most one for every two"),
        (np.arange(M), ValueError, "40 different values"),
        (np.arange(M) / 7, TypeError, "measured numbers such as 0.1429.*pd.cut"),
    ):
        refused(screen, error, match, lambda c, l, values=values: c.obs.__setitem__("x", values), cluster_key="x")


def test_lineages_and_studies_are_groups_of_lines(screen):
    for values, key, error, match in (
        (np.nan, "lineage_key", ValueError, r"reference.obs\['x'\] is missing in 60 of 60"),
        (["", *["skin", "lung"] * N][:N], "lineage_key", ValueError, "is missing in 1 of 60"),
        (np.nan, "study_key", ValueError, "is missing in 60 of 60"),
        (np.arange(N) / 7, "lineage_key", TypeError, "measured numbers"),
        ("skin", "lineage_key", ValueError, "one lineage, 'skin', for all 60 lines.*Leave `lineage_key` out"),
        (np.arange(N) // 9, "study_key", ValueError, "no study with 10 lines or more"),
    ):
        refused(screen, error, match, lambda c, l, values=values: l.obs.__setitem__("x", values), **{key: "x"})


def dense(x):
    return x.toarray() if sp.issparse(x) else np.asarray(x)


def chunked(x, chunks, sparse=False):
    da = pytest.importorskip("dask.array")
    made = da.from_array(dense(x), chunks=chunks)
    return made.map_blocks(sp.csr_matrix) if sparse else made


CONTAINERS = {
    "dense": lambda c, l: (dense(c.X), l.X),
    "csc": lambda c, l: (sp.csc_matrix(c.X), sp.csc_matrix(l.X)),
    "csr array": lambda c, l: (sp.csr_array(c.X), sp.csr_array(l.X)),
    "double": lambda c, l: (c.X.astype(np.float64), l.X.astype(np.float64)),
    "integers": lambda c, l: (c.X.astype(np.int64), l.X),
    "dask": lambda c, l: (chunked(c.X, (7, 50)), chunked(l.X, (13, 60))),
    "dask of csr": lambda c, l: (chunked(c.X, (7, 160), sparse=True), l.X),
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_containers_give_the_same_scores(screen, scores, name):
    cells, lines = (x.copy() for x in screen)
    cells.X, lines.X = CONTAINERS[name](cells, lines)
    np.testing.assert_allclose(run(cells, lines), scores, atol=1e-5)


def test_views_files_and_other_orders_give_the_same_scores(screen, scores, tmp_path):
    cells, lines = screen
    cells.write_h5ad(tmp_path / "cells.h5ad")
    lines.write_h5ad(tmp_path / "lines.h5ad")
    np.testing.assert_allclose(run(cells[:, ::-1], lines[:]), scores, atol=1e-5)
    np.testing.assert_allclose(run(cells[::-1], lines), scores[::-1], atol=1e-5)
    backed = ad.read_h5ad(tmp_path / "lines.h5ad", backed="r")
    np.testing.assert_allclose(run(cells.copy(), backed), scores, atol=1e-5)
    np.testing.assert_allclose(run(ad.read_h5ad(tmp_path / "cells.h5ad"), backed[:]), scores, atol=1e-5)
    backed.file.close()
    with pytest.raises(NotImplementedError, match="to_memory"):
        run(ad.read_h5ad(tmp_path / "cells.h5ad", backed="r")[3:], lines)
    layered = cells.copy()
    layered.layers["counts"] = layered.X
    layered.X = None
    np.testing.assert_allclose(run(layered, lines, layer="counts"), scores, atol=1e-5)


def test_names_of_cells_may_repeat(screen, scores):
    cells = screen[0].copy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cells.obs_names = ["cell"] * M
        np.testing.assert_allclose(run(cells, screen[1]), scores, atol=1e-5)


def test_lines_in_a_layer_alone(screen):
    def layer(cells, lines):
        lines.layers["log"] = lines.X
        lines.X = None

    refused(screen, ValueError, r"reference.X is None.*reference.X = reference.layers\['log'\]", layer)
    refused(screen, ValueError, "reference.X is None. It has no layers either", lambda c, l: setattr(l, "X", None))


def test_genes_that_vary_on_one_side(screen):
    refused(
        screen, ValueError, r"in the cells 160 vary, in the lines 0\)", lambda c, l: setattr(l, "X", np.ones((N, 160)))
    )
    refused(
        screen, ValueError, r"in the cells 0 vary, in the lines 160\)", lambda c, l: setattr(c, "X", np.ones((M, 160)))
    )
    refused(screen, ValueError, "share 160 genes, all that reference has.*Lower `min_shared`", min_shared=161)


def test_training_is_a_record(screen):
    for wrong in (5, {"epochs": 2}):
        refused(screen, TypeError, "`training` must be an otl.tl.Training", level="network", training=wrong)
