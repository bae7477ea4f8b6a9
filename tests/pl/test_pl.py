"""Plots draw the right numbers into the Axes they are given, and leave the rest of matplotlib alone."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

import omicstl as otl
from tests.pl.support import page, readable

ORANGE = "#d55e00"


@pytest.fixture
def table():
    rows = [
        ("B cell", "8 patients", 1, 0.2), ("B cell", "8 patients", 0, np.nan), ("B cell", "transferred", 1, 0.8),
        ("B cell", "transferred", 1, 0.9), ("B cell", "marker mean", np.nan, 0.7), ("Platelet", "8 patients", 0, np.nan),
        ("Platelet", "8 patients", 0, np.nan), ("Platelet", "transferred", 1, np.nan), ("Platelet", "transferred", 0, np.nan),
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["target", "source", "named", "rho"])


def test_loadings_draws_the_largest(fitted, ax) -> None:
    reference, _, _ = fitted
    factor = str(reference.uns["plier"]["names"][0])
    assert otl.pl.loadings(reference, factor, n_genes=7, ax=ax) is ax
    best = otl.get.loadings(reference)[factor].nlargest(7)
    assert [label.get_text() for label in ax.get_yticklabels()][::-1] == list(best.index)
    np.testing.assert_allclose([bar.get_width() for bar in ax.patches][::-1], best, rtol=1e-6)


def test_loadings_colours_the_members_of_the_set(fitted) -> None:
    reference, _, truth = fitted
    ax = page(5, 30)
    factor = str(reference.uns["plier"]["names"][0])
    name = sorted(truth.gene_sets)[3]
    otl.pl.loadings(reference, factor, gene_set=name, n_genes=200, ax=ax)
    genes = [label.get_text() for label in ax.get_yticklabels()]
    coloured = {g for g, bar in zip(genes, ax.patches, strict=True) if to_hex(bar.get_facecolor()) == ORANGE}
    assert coloured == set(genes) & set(truth.gene_sets[name])
    assert ax.get_legend().get_title().get_text() == name


def test_loadings_in_small_axes_are_fewer(fitted) -> None:
    reference, _, _ = fitted
    ax = otl.pl.loadings(reference, str(reference.uns["plier"]["names"][0]), ax=page(3, 2.5))
    assert 5 <= len(ax.patches) < 20
    assert readable(ax)


def test_loadings_takes_the_set_of_the_name(fitted, ax) -> None:
    reference, _, _ = fitted
    named = [str(name) for name in reference.uns["plier"]["names"] if " " in name]
    assert named, "the simulation gives named factors"
    otl.pl.loadings(otl.get.model(reference), named[0], ax=ax)
    assert ax.get_legend().get_title().get_text() == named[0].partition(" ")[2]


def test_loadings_of_a_table_without_sets(ax) -> None:
    values = pd.DataFrame({"f": [3.0, -5.0, 1.0]}, index=["a", "b", "c"])
    model = otl.io.factor_table(values, penalty=1.0)
    otl.pl.loadings(model, "f", n_genes=2, ax=ax)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b"]
    assert ax.get_legend() is None


def test_loadings_refuses(fitted, ax) -> None:
    reference, _, _ = fitted
    factor = str(reference.uns["plier"]["names"][0])
    with pytest.raises(KeyError, match="not found in the factors of the model"):
        otl.pl.loadings(reference, "LV99 Neutrophil", ax=ax)
    with pytest.raises(KeyError, match="not found in the gene sets of the model"):
        otl.pl.loadings(reference, factor, gene_set="T cells", ax=ax)
    with pytest.raises(TypeError, match="`gene_set` must be a string or None"):
        otl.pl.loadings(reference, factor, gene_set=["CD19"], ax=ax)
    with pytest.raises(ValueError, match="`n_genes` must be >= 1, got 0"):
        otl.pl.loadings(reference, factor, n_genes=0, ax=ax)
    with pytest.raises(TypeError, match="`ax` must be Axes of matplotlib or None, got Figure"):
        otl.pl.loadings(reference, factor, ax=ax.figure)


def test_quality_of_samples(fitted, ax) -> None:
    _, query, _ = fitted
    assert otl.pl.projection_quality(query, ax=ax) is ax
    r2, null = query.obs["plier_r2"], query.obs["plier_r2_null"]
    assert ax.get_title(loc="left") == f"Supported: {100 * np.mean(r2 > null):.0f} % of 20 samples above chance"
    heights = [bar.get_height() for bar in ax.patches if hasattr(bar, "get_height")]
    assert sum(heights) == pytest.approx(100)
    line = ax.lines[0].get_xdata()
    assert line[0] == pytest.approx(query.uns["plier"]["quality"]["r2_expected"])


def test_quality_of_factors(fitted, ax) -> None:
    _, query, _ = fitted
    query = query.copy()
    factors = query.uns["plier"]["quality"]["factors"]
    factors["expected_r"] = [0.95, 0.3, 0.99, 0.7, 0.9, 0.91, 0.92, 0.93]
    factors["interpretable"] = factors["expected_r"] >= 0.8
    otl.pl.projection_quality(query, "plier", of="factors", ax=ax)
    assert [bar.get_width() for bar in ax.patches] == sorted(factors["expected_r"], reverse=True)
    assert sum(to_hex(bar.get_facecolor()) == ORANGE for bar in ax.patches) == 2
    assert ax.get_title(loc="left") == "Do not interpret 2 of 8 factors"


def test_the_verdict_is_explained(fitted) -> None:
    query = fitted[1].copy()
    quality = query.uns["plier"]["quality"]

    def title(of: str) -> str:
        return otl.pl.projection_quality(query, of=of, ax=page(7, 4)).get_title(loc="left").replace("\n", " ")

    quality["factors"]["expected_r"] = 0.9
    quality["factors"]["interpretable"] = True
    assert title("factors") == "The genes at hand determine all 8 factors"
    quality.update(verdict="weak", r2=-0.05, r2_expected=0.31)
    above = f"{100 * np.mean(query.obs['plier_r2'] > query.obs['plier_r2_null']):.0f} % of 20 samples above chance"
    assert title("samples") == f"Weak: R² −0.05, less than half of the reference's own 0.31 ({above})"
    assert title("factors") == "The genes at hand determine all 8 factors; but the transfer is weak"
    quality["r2_expected"] = np.nan
    assert title("samples") == f"Weak: R² −0.05, the reference's own is not known ({above})"
    quality["verdict"] = "refused"
    assert title("samples") == f"Refused: only {above}"
    quality["factors"]["interpretable"] = False
    quality["factors"]["expected_r"] = [0.5] * 3 + [0.9] * 5
    assert title("factors") == "The genes at hand determine 5 of 8 factors; but the transfer is refused"
    ax = otl.pl.projection_quality(query, of="factors", ax=page())
    assert {to_hex(bar.get_facecolor()) for bar in ax.patches} == {ORANGE}


@pytest.mark.parametrize("of", ["samples", "factors"])
@pytest.mark.parametrize("size", [(3, 2.5), (5, 4)])
def test_quality_is_readable(fitted, of, size) -> None:
    assert readable(otl.pl.projection_quality(fitted[1], of=of, ax=page(*size)))


def test_quality_refuses(fitted, ax) -> None:
    reference, query, _ = fitted
    with pytest.raises(KeyError, match="adata holds no projection"):
        otl.pl.projection_quality(reference, ax=ax)
    with pytest.raises(KeyError, match="Did you mean 'plier'"):
        otl.pl.projection_quality(query, "pliers", ax=ax)
    with pytest.raises(ValueError, match="`of` must be one of 'samples', 'factors'"):
        otl.pl.projection_quality(query, of="genes", ax=ax)
    with pytest.raises(TypeError):
        otl.pl.projection_quality(query.obs, ax=ax)
    few = query[:2].copy()
    few.obs["plier_r2"] = np.nan
    with pytest.raises(ValueError, match="at least 3 observations, got 2"):
        otl.pl.projection_quality(few, ax=ax)
    two = query.copy()
    two.uns["other"] = two.uns["plier"]
    with pytest.raises(KeyError, match="2 projections: 'other', 'plier'"):
        otl.pl.projection_quality(two, ax=ax)


def test_transfer_named(table, ax) -> None:
    assert otl.pl.transfer(table, ax=ax) is ax
    assert [text.get_text() for text in ax.texts] == ["50", "0", "100", "50"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["B cell", "Platelet"]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["8\npatients", "transferred"]


def test_transfer_follows(table, ax) -> None:
    otl.pl.transfer(table, show="follows", ax=ax)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["B cell"]
    medians = [float(line.get_xdata()[0]) for line in ax.lines if len(line.get_xdata()) == 1 and line.get_zorder() == 3]
    np.testing.assert_allclose(medians, [0.2, 0.85, 0.7])
    assert [text.get_text() for text in ax.texts] == ["1 draw"]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["8 patients", "transferred", "marker mean"]


def test_transfer_says_where_there_is_none(table, ax) -> None:
    table.loc[table["source"] == "8 patients", "rho"] = np.nan
    otl.pl.transfer(table, show="follows", ax=ax)
    assert [text.get_text() for text in ax.texts] == ["no factor in any draw"]


def test_transfer_refuses(table, ax) -> None:
    with pytest.raises(KeyError, match="'rho' not found in the columns of `table`"):
        otl.pl.transfer(table.drop(columns="rho"), ax=ax)
    with pytest.raises(ValueError, match="`show` must be one of"):
        otl.pl.transfer(table, show="names", ax=ax)
    with pytest.raises(ValueError, match="no value in 'rho'"):
        otl.pl.transfer(table[table["target"] == "Platelet"], show="follows", ax=ax)
    with pytest.raises(TypeError, match="must be a pandas.DataFrame"):
        otl.pl.transfer(table.to_dict(), ax=ax)


def test_new_figures_when_no_axes_are_given(table) -> None:
    from matplotlib import pyplot as plt

    before, settings = plt.get_fignums(), dict(mpl.rcParams)
    ax = otl.pl.transfer(table)
    assert len(plt.get_fignums()) == len(before) + 1
    assert dict(mpl.rcParams) == settings
    plt.close(ax.figure)


def test_the_input_is_not_changed(table, ax) -> None:
    before = table.copy()
    otl.pl.transfer(table, show="follows", ax=ax)
    pd.testing.assert_frame_equal(table, before)
