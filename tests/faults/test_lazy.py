"""Objects whose parts are still in a file, or in dask: the same answer as from memory, or an error that says what to load."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anndata as ad
import matplotlib as mpl
import numpy as np
import pytest
from anndata import AnnData

import omicstl as otl
from tests.contract import cases

NAME = "LV1"


pytestmark = pytest.mark.filterwarnings("ignore:Writing zarr v2:UserWarning")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Any:
    place = tmp_path_factory.mktemp("lazy")
    adata = cases.tested()
    otl.tl.rank_factors_groups(adata, "group", factors="all")
    for name, one in (("fit", adata), ("projection", cases.projected())):
        one.write_h5ad(place / f"{name}.h5ad")
        one.write_zarr(place / f"{name}.zarr")
    return place


CALLS: dict[str, Callable[[AnnData, AnnData], Any]] = {
    "pl.factors_heatmap": lambda fit, _: otl.pl.factors_heatmap(fit),
    "pl.factors_heatmap, named": lambda fit, _: otl.pl.factors_heatmap(fit, rows=[NAME], groupby="group"),
    "pl.factor_card": lambda fit, _: otl.pl.factor_card(fit, NAME),
    "pl.rank_factors_groups": lambda fit, _: otl.pl.rank_factors_groups(fit),
    "pl.loadings": lambda fit, _: otl.pl.loadings(fit, NAME),
    "pl.projection_quality": lambda _, projection: otl.pl.projection_quality(projection),
    "get.factors": lambda fit, _: otl.get.factors(fit),
    "get.loadings": lambda fit, _: otl.get.loadings(fit, NAME),
    "get.summary": lambda fit, _: otl.get.summary(fit),
    "get.model": lambda fit, _: otl.get.model(fit),
    "get.rank_factors_groups_df": lambda fit, _: otl.get.rank_factors_groups_df(fit),
    "metrics.coverage": lambda fit, _: otl.metrics.coverage(fit),
    "metrics.reconstruction": lambda fit, _: otl.metrics.reconstruction(fit),
    "tl.project": lambda fit, _: otl.tl.project(cases.query(), fit),
    "tl.assess": lambda _, projection: otl.tl.assess(projection),
}


@pytest.mark.parametrize("name", list(CALLS))
def test_results_that_are_still_in_the_file_are_refused_with_the_way_out(folder, name) -> None:
    pytest.importorskip("xarray")
    fit, projection = (ad.experimental.read_lazy(folder / f"{one}.zarr") for one in ("fit", "projection"))
    with pytest.raises(TypeError, match=r"was read lazily: .*to_memory\(\), or leave only X in the file"):
        CALLS[name](fit, projection)


@pytest.mark.parametrize("layout", ["backed", "dask"])
@pytest.mark.parametrize("named", [False, True])
def test_a_heatmap_of_lazy_matrices_is_that_of_memory(folder, layout, named) -> None:
    fit = ad.read_h5ad(folder / "fit.h5ad", backed="r" if layout == "backed" else None)
    if layout == "dask":
        array = pytest.importorskip("dask.array")
        fit.X = array.from_array(fit.X)
        fit.obsm["plier"] = array.from_array(fit.obsm["plier"], chunks=(7, -1))
    names = [str(name) for name in fit.uns["plier"]["names"][:3]]
    options = {"rows": names, "groupby": "group"} if named else {}
    drawn = [otl.pl.factors_heatmap(one, **options).images[0].get_array() for one in (fit, fit.to_memory())]
    np.testing.assert_array_equal(*drawn)
    mpl.pyplot.close("all")


def test_a_matrix_that_is_still_in_the_file_can_be_projected(folder) -> None:
    pytest.importorskip("xarray")
    lazy, plain = ad.experimental.read_lazy(folder / "fit.zarr"), cases.cohort()
    for one in (lazy, plain):
        otl.tl.project(one, cases.tested(), key_added="again")
    np.testing.assert_array_equal(lazy.obsm["again"], plain.obsm["again"])
