"""Titles of two lines and more stay in the figure, whatever the resolution and the layout."""

from __future__ import annotations

import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import omicstl as otl
from tests.pl.support import texts


def weak(adata):
    adata = adata.copy()
    adata.uns["plier"]["quality"].update(verdict="weak", r2=0.05, r2_expected=0.31)
    return adata


def undecided(adata):
    adata = adata.copy()
    for part in ("table", "overall"):
        adata.uns["plier_test"][part]["fdr"] = 1.0
    return adata


def long_name():
    name = "LV1 REACTOME_RESPIRATORY_ELECTRON_TRANSPORT ATP_SYNTHESIS BY_CHEMIOSMOTIC_COUPLING AND_HEAT_PRODUCTION"
    values = pd.DataFrame({name: [3.0, -5.0, 1.0], "LV2": 1.0}, index=["A", "B", "C"])
    return otl.io.factor_table(values, penalty=1.0), name


FIGURES = {
    "weights": lambda t, ax: otl.pl.weights(t.reference, n_factors=2, ax=ax),
    "rank_factors_groups": lambda t, ax: otl.pl.rank_factors_groups(t.reference, n_factors=4, ax=ax),
    "none differs": lambda t, ax: otl.pl.rank_factors_groups(undecided(t.reference), ax=ax),
    "factors_heatmap": lambda t, ax: otl.pl.factors_heatmap(undecided(t.reference), ax=ax),
    "stability": lambda t, ax: otl.pl.stability(t.reference, ax=ax),
    "loadings": lambda t, ax: otl.pl.loadings(*long_name(), ax=ax),
    "weak": lambda t, ax: otl.pl.projection_quality(weak(t.query), ax=ax),
    "weak factors": lambda t, ax: otl.pl.projection_quality(weak(t.query), of="factors", ax=ax),
    "replication": lambda t, ax: otl.pl.replication(otl.metrics.replication(t.reference, t.query), ax=ax),
}


@pytest.mark.parametrize("layout", [None, "constrained"])
@pytest.mark.parametrize("columns", [2, 3])
@pytest.mark.parametrize("name", FIGURES)
def test_titles_stay_in_the_figure(tested, name, columns, layout) -> None:
    figure = Figure(figsize=(10, 4), layout=layout)
    FigureCanvasAgg(figure)
    ax = FIGURES[name](tested, figure.subplots(1, columns)[-1])
    whole = ax.get_title(loc="left")
    assert "\n" in whole
    for dpi in (100, 80, 300):
        figure.set_dpi(dpi)
        title = next(text for text in texts(ax) if text.get_text() == whole)
        box = title.get_window_extent()
        assert box.y1 <= figure.bbox.y1 + 1, (dpi, whole)
        assert box.y0 >= ax.get_window_extent().y1
        assert title.get_fontsize() >= 6
        if columns == 2:
            assert "…" not in whole
            assert box.x1 <= figure.bbox.x1 + 1


def test_titles_below_other_axes_and_without_room(tested) -> None:
    figure = Figure(figsize=(5, 6), layout=None)
    FigureCanvasAgg(figure)
    above, ax = figure.subplots(2, 1, gridspec_kw={"hspace": 0.4})
    otl.pl.rank_factors_groups(tested.reference, n_factors=4, ax=ax)
    title = next(text for text in texts(ax) if text.get_text() == ax.get_title(loc="left"))
    assert title.get_window_extent().y1 <= above.get_window_extent().y0
    full = figure.add_axes((0.3, 0, 0.6, 1))
    otl.pl.rank_factors_groups(tested.reference, n_factors=4, ax=full)
    assert full.get_title(loc="left").startswith("SLE − Healthy")
    assert "\n" not in full.get_title(loc="left")
