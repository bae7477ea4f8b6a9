"""Figures of what follows a transfer: the right numbers, in words that can be read, at every size."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle

import omicstl as otl
from omicstl.pl._text import spoken
from tests.pl.conftest import phenotypes
from tests.pl.support import page, readable, repeated

DEEP, ORANGE = "#0072b2", "#d55e00"
SIZES = pytest.mark.parametrize("size", [(3, 2.5), (5, 4), (9, 7)])


def rows_of(ax) -> list[str]:
    return [label.get_text() for label in ax.get_yticklabels()]


def filled(ax) -> int:
    """Number of points in the scatters that are filled with a colour, not with white."""
    return sum(
        len(c.get_offsets()) for c in ax.collections if isinstance(c, PathCollection) and to_hex(c.get_facecolor()[0]) != "#ffffff"
    )  # fmt: skip


# --- weights


def test_weights_are_the_summary(tested, ax) -> None:
    assert otl.pl.weights(tested.reference, ax=ax) is ax
    table = otl.get.summary(tested.reference).query("fdr_nominal < 0.05")
    drawn = ax.collections[0].get_array()
    sets, factors = rows_of(ax), [label.get_text() for label in ax.get_xticklabels()]
    assert f"{len(sets)} gene sets on {len(factors)} factors" in ax.get_title(loc="left")
    largest = otl.get.summary(tested.reference).groupby("factor")["coefficient"].max()
    share = {
        (row.set.replace("_", " "), row.factor.split()[0]): row.coefficient / largest[row.factor]
        for row in table.itertuples()
    }
    for i, name in enumerate(sets):
        for j, factor in enumerate(factors):
            value = np.ma.filled(drawn.astype(float), np.nan).reshape(len(sets), len(factors))[i, j]
            np.testing.assert_allclose(value, share.get((name, factor), np.nan))
    home = [np.ma.argmax(row) for row in drawn.reshape(len(sets), -1)]
    assert home == sorted(home), "sets are in the order of the factors that they make most of"


def test_weights_of_all_pairs_are_marked(tested, ax) -> None:
    otl.pl.weights(tested.query, significant=False, n_factors=3, sets_per_factor=2, ax=ax)
    table = otl.get.summary(tested.query)
    assert len(ax.get_xticks()) == 3
    marks = ax.lines[-1]
    assert ax.get_legend().get_texts()[0].get_text() == "FDR < 0.05"
    shown = {spoken(name) for name in rows_of(ax)}
    factors = {label.get_text() for label in ax.get_xticklabels()}
    here = table[table["set"].map(spoken).isin(shown) & table["factor"].str.split().str[0].isin(factors)]
    assert len(marks.get_xdata()) == (here["fdr_nominal"] < 0.05).sum()


def test_weights_take_a_model_and_say_when_there_is_nothing(tested, ax) -> None:
    otl.pl.weights(otl.get.model(tested.reference), ax=ax)
    assert len(ax.get_yticks()) > 1
    none = tested.reference.copy()
    none.uns["plier"]["summary"]["fdr_nominal"] = 1.0
    said = otl.pl.weights(none, ax=page()).get_title(loc="left")
    assert said.startswith("No gene set has FDR < 0.05 on a factor")
    none.uns["plier"]["summary"] = none.uns["plier"]["summary"].iloc[:0]
    assert "no pair" in otl.pl.weights(none, ax=page()).get_title(loc="left")


def test_weights_refuse(tested, ax) -> None:
    with pytest.raises(KeyError, match="Did you mean 'plier'"):
        otl.pl.weights(tested.query, "plierr", ax=ax)
    with pytest.raises(TypeError, match="`significant` must be True or False"):
        otl.pl.weights(tested.query, significant="yes", ax=ax)
    with pytest.raises(ValueError, match="`sets_per_factor` must be >= 1"):
        otl.pl.weights(tested.query, sets_per_factor=0, ax=ax)


# --- stability


def test_stability(tested, ax) -> None:
    assert otl.pl.stability(tested.reference, ax=ax) is ax
    table = tested.reference.uns["plier"]["stability"]["factors"].sort_values(
        "median_r", ascending=False, kind="stable"
    )
    assert rows_of(ax) == [spoken(name) for name in table["factor"]]
    points = next(c for c in ax.collections if isinstance(c, PathCollection))
    np.testing.assert_allclose(points.get_offsets()[:, 0], table["median_r"])
    lines = ax.collections[0].get_segments()
    np.testing.assert_allclose([line[0][0] for line in lines], table["lowest_r"])
    good = int((table["median_r"] > 0.9).sum())
    assert (
        ax.get_title(loc="left").replace("\n", " ")
        == f"{good} of 8 factors come back: median |r| of 2 refits above 0.9"
    )
    named = [to_hex(colour) == DEEP for colour in points.get_facecolors()]
    assert named == [" " in name for name in table["factor"]]


def test_stability_puts_the_rest_in_one_row(tested, ax) -> None:
    otl.pl.stability(tested.reference, n_factors=3, ax=ax)
    named = sum(" " in name for name in tested.names)
    assert rows_of(ax)[-1] == f"the other {8 - min(3, named)} factors"
    offsets = sum(len(c.get_offsets()) for c in ax.collections if isinstance(c, PathCollection))
    assert offsets == 8


def test_stability_of_a_projection_and_without(tested, fitted, ax) -> None:
    otl.pl.stability(tested.query, ax=ax)
    assert "median |r| above 0.9" in ax.get_title(loc="left").replace("\n", " ")
    with pytest.raises(KeyError, match=r"has no stability. Run otl.tl.stability\(adata, 'plier'\) first"):
        otl.pl.stability(fitted[0], ax=ax)
    with pytest.raises(KeyError, match=r"is a projection.*otl.tl.stability on the reference and project again"):
        otl.pl.stability(fitted[1], ax=ax)


# --- effects


def test_effects_of_one_contrast(tested, ax) -> None:
    assert otl.pl.rank_factors_groups(tested.query, ax=ax) is ax
    table = tested.query.uns["plier_test"]["table"].sort_values("p", kind="stable")
    assert rows_of(ax) == [spoken(name) for name in table["factor"]]
    n = int((table["fdr"] < 0.05).sum())
    assert 0 < n < 8
    assert filled(ax) == n
    title = ax.get_title(loc="left").replace("\n", " ")
    assert title == f"SLE − Healthy: {n} of 8 factors differ{'s' if n == 1 else ''} (FDR < 0.05)"
    ends = sorted(line[1][0] for c in ax.collections if hasattr(c, "get_segments") for line in c.get_segments())
    np.testing.assert_allclose(ends, sorted(table["effect_sd_high"]))


def test_effects_of_several_contrasts_and_a_number(tested, ax) -> None:
    query = tested.query.copy()
    otl.tl.rank_factors_groups(query, "three", factors="all", block="subject", key_added="three")
    otl.pl.rank_factors_groups(query, test="three", ax=ax)
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels[:3] == ["b − a", "c − a", "c − b"]
    assert sum(len(c.get_offsets()) for c in ax.collections if isinstance(c, PathCollection)) == 24
    one = otl.pl.rank_factors_groups(query, "c - a", test="three", n_factors=2, ax=page())
    assert one.get_title(loc="left").startswith("c − a:")
    assert len(one.get_yticks()) == 2
    otl.tl.rank_factors_groups(query, "activity", factors="all", block="subject", key_added="number")
    number = otl.pl.rank_factors_groups(query, test="number", ax=page())
    assert "one unit of activity" in number.get_xlabel().replace("\n", " ")


def test_effects_say_that_none_differs(tested, ax) -> None:
    query = tested.query.copy()
    otl.tl.rank_factors_groups(query, "coin", factors="all", block="subject", key_added="coin")
    query.uns["coin"]["table"]["fdr"] = 1.0
    otl.pl.rank_factors_groups(query, test="coin", ax=ax)
    assert ax.get_title(loc="left").startswith("tails − heads: no factor of 8 differs")
    assert filled(ax) == 0
    query.uns["coin"]["table"]["p"] = np.nan
    assert (
        otl.pl.rank_factors_groups(query, test="coin", ax=page()).get_title(loc="left")
        == "No factor could be tested for coin"
    )


def test_effects_refuse(tested, fitted, ax) -> None:
    with pytest.raises(KeyError, match="holds no test over factors. Run otl.tl.rank_factors_groups"):
        otl.pl.rank_factors_groups(fitted[1], ax=ax)
    with pytest.raises(KeyError, match="Did you mean 'SLE - Healthy'"):
        otl.pl.rank_factors_groups(tested.query, "SLE - healthy", ax=ax)
    with pytest.raises(KeyError, match="Did you mean 'plier_test'"):
        otl.pl.rank_factors_groups(tested.query, test="plier_tests", ax=ax)
    two = tested.query.copy()
    two.uns["other"] = two.uns["plier_test"]
    assert otl.pl.rank_factors_groups(two, ax=page()), "of several tests the one of the default name"
    two.uns["another"] = two.uns.pop("plier_test")
    with pytest.raises(KeyError, match="2 tests over factors: 'another', 'other'. Say which one: test='another'"):
        otl.pl.rank_factors_groups(two, ax=ax)
    many = tested.query.copy()
    table = many.uns["plier_test"]["table"]
    many.uns["plier_test"]["table"] = pd.concat([table.assign(contrast=f"g{i} - g0") for i in range(1, 6)])
    with pytest.raises(ValueError, match="has 5 contrasts, too many for one figure. Name one: contrast='g1 - g0'"):
        otl.pl.rank_factors_groups(many, ax=ax)


# --- factors × observations


def test_heatmap_of_the_test(tested, ax) -> None:
    assert otl.pl.factors_heatmap(tested.query, ax=ax) is ax
    overall = tested.query.uns["plier_test"]["overall"]
    good = overall["factor"][overall["fdr"] < 0.05]
    assert set(rows_of(ax)) == set(map(spoken, good))
    drawn = ax.images[0].get_array()
    assert drawn.shape == (len(good), 20)
    np.testing.assert_allclose(drawn.mean(axis=1), 0, atol=1e-6)
    strips = [patch for patch in ax.patches if isinstance(patch, Rectangle)]
    assert [round(patch.get_width()) for patch in strips] == [10, 10]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["Healthy (10)", "SLE (10)"]


def test_heatmap_orders_by_group(tested, ax) -> None:
    otl.pl.factors_heatmap(tested.query, rows=tested.names[:1], groupby="gaps", ax=ax)
    score = tested.query.obsm["plier"][:, 0].astype(float)
    z = (score - score.mean()) / score.std()
    groups = tested.query.obs["gaps"].astype(object)
    expected = [np.sort(z[(groups == name).to_numpy()]) for name in ("Healthy", "SLE")] + [
        np.sort(z[groups.isna().to_numpy()])
    ]
    np.testing.assert_allclose(ax.images[0].get_array()[0], np.concatenate(expected), rtol=1e-5)
    legend = ax.get_legend()
    said = [t.get_text() for t in legend.get_texts()] if legend else [t.get_text() for t in ax.get_xticklabels()]
    assert said[-1] == "not known (4)"


def test_heatmap_says_that_none_differs(tested, ax) -> None:
    query = tested.query.copy()
    query.uns["plier_test"]["overall"]["fdr"] = 1.0
    otl.pl.factors_heatmap(query, ax=ax)
    assert ax.get_title(loc="left").startswith("No factor of 8 differs by ill (FDR < 0.05)")
    low, high = (ax.images[0].get_cmap()(value)[:3] for value in (0.0, 1.0))
    assert np.ptp(low) < 0.05
    assert np.ptp(high) < 0.05, "greys"


def test_heatmap_along_a_number(tested, ax) -> None:
    query = tested.query.copy()
    query.obs.loc[query.obs_names[:3], "activity"] = np.nan
    otl.tl.rank_factors_groups(query, "activity", factors="all", block="subject", key_added="number")
    otl.pl.factors_heatmap(query, test="number", ax=ax)
    strip = np.ma.filled(ax.images[1].get_array().astype(float), np.nan)[0]
    np.testing.assert_allclose(strip, np.sort(query.obs["activity"])[:17])
    assert ax.images[0].get_array().shape[1] == 17
    assert ax.get_title(loc="left").replace("\n", " ").endswith("in 17 observations")
    assert {label.get_text().split()[0] for label in ax.get_xticklabels()} >= {"activity"}
    np.testing.assert_allclose(ax.images[0].get_array().mean(axis=1), 0, atol=1e-6)
    query.obs["activity"] = np.nan
    with pytest.raises(ValueError, match="obs\\['activity'\\] is missing in all 20 observations.*groupby="):
        otl.pl.factors_heatmap(query, test="number", ax=page())
    del query.obs["activity"]
    with pytest.raises(KeyError, match="'activity' not found in adata.obs"):
        otl.pl.factors_heatmap(query, test="number", ax=page())


@pytest.mark.parametrize("n", [1, 2, 3, 40, 900])
def test_heatmap_of_few_and_many(tested, n) -> None:
    adata = repeated(tested.reference, n)
    ax = otl.pl.factors_heatmap(adata, rows=tested.names, groupby="ill", ax=page(7, 4))
    assert ax.images[0].get_array().shape == (8, n)
    assert readable(ax)


def test_heatmap_refuses(tested, fitted, ax) -> None:
    with pytest.raises(
        KeyError, match=r"Run otl.tl.rank_factors_groups\(adata, phenotype, key='plier'\) first, or name them: rows="
    ):
        otl.pl.factors_heatmap(fitted[1], ax=ax)
    with pytest.raises(KeyError, match="not found in the factors of these scores"):
        otl.pl.factors_heatmap(tested.query, rows=["LV99"], ax=ax)
    with pytest.raises(TypeError, match="`rows` must be a list of names"):
        otl.pl.factors_heatmap(tested.query, rows=tested.names[0], ax=ax)
    with pytest.raises(ValueError, match="`rows` is empty"):
        otl.pl.factors_heatmap(tested.query, rows=[], ax=ax)
    with pytest.raises(ValueError, match="must be a column of groups, adata.obs\\['activity'\\] holds 20 numbers"):
        otl.pl.factors_heatmap(tested.query, groupby="activity", ax=ax)
    with pytest.raises(KeyError, match="Did you mean 'ill'"):
        otl.pl.factors_heatmap(tested.query, groupby="Ill", ax=ax)
    two = tested.query.copy()
    for name in ("one", "two"):
        two.uns[name] = two.uns["plier_test"]
    assert otl.pl.factors_heatmap(two, ax=ax), "of several tests the one of the default name"
    del two.uns["plier_test"]
    with pytest.raises(KeyError, match="2 tests of 'plier': 'one', 'two'. Say which one: test='one'"):
        otl.pl.factors_heatmap(two, ax=ax)
    two.uns["one"] = {**two.uns["one"], "params": {**two.uns["one"]["params"], "key": "other"}}
    with pytest.raises(ValueError, match="The test 'one' of adata is of the scores 'other', not of 'plier'"):
        otl.pl.factors_heatmap(two, test="one", ax=ax)


# --- two cohorts


@pytest.fixture(scope="session")
def replicated(tested):
    return otl.metrics.replication(tested.reference, tested.query)


def test_replication(replicated, ax) -> None:
    assert otl.pl.replication(replicated, cohorts=["children", "adults"], ax=ax) is ax
    points = np.concatenate([c.get_offsets() for c in ax.collections if isinstance(c, PathCollection)])
    table = replicated.factors
    assert len(points) == len(table)
    assert set(map(tuple, points.round(6))) == set(
        zip(table["effect_a"].round(6), table["effect_b"].round(6), strict=True)
    )
    title = ax.get_title(loc="left")
    n, held = int(replicated.summary["n_findings"]), int(replicated.summary["n_replicated"])
    assert title.startswith(f"{held} of {n} finding")
    assert f"{100 * replicated.summary['sign_agreement']:.0f} %" in title
    assert "effect in children" in ax.get_xlabel()
    named = {text.get_text().split()[0] for text in ax.texts}
    assert named <= {name.split()[0] for name in table["factor"][table["finding"]]}
    assert named


def test_replication_without_findings(replicated, ax) -> None:
    summary = replicated.summary.copy()
    summary["n_findings"] = 0
    none = SimpleNamespace(summary=summary, factors=replicated.factors.assign(finding=False, replicated=False))
    otl.pl.replication(none, ax=ax)
    assert ax.get_title(loc="left").startswith("No finding to replicate among 8 factors")
    assert not ax.texts


def test_replication_refuses(replicated, ax) -> None:
    with pytest.raises(TypeError, match="must be what otl.metrics.replication"):
        otl.pl.replication(replicated.factors, ax=ax)
    with pytest.raises(TypeError, match="`cohorts` must be (two names|a list of names)"):
        otl.pl.replication(replicated, cohorts="children", ax=ax)
    with pytest.raises(KeyError, match="'effect_b' not found in the columns of result.factors"):
        otl.pl.replication(replicated._replace(factors=replicated.factors.drop(columns="effect_b")), ax=ax)
    with pytest.raises(KeyError, match="'sign_agreement' not found in result.summary"):
        otl.pl.replication(replicated._replace(summary=replicated.summary.drop("sign_agreement")), ax=ax)
    with pytest.raises(ValueError, match="nothing to draw"):
        otl.pl.replication(replicated._replace(factors=replicated.factors.assign(effect_a=np.nan)), ax=ax)


# --- all of them


@pytest.fixture(scope="session")
def renamed(tested):
    """The same with names as long as those of public collections, some of which begin alike."""
    adata = tested.reference.copy()
    new = {
        name: f"{name.split()[0]} REACTOME_RESPIRATORY_ELECTRON_TRANSPORT_ATP_SYNTHESIS_{i}"
        for i, name in enumerate(tested.names)
    }
    entry, test = adata.uns["plier"], adata.uns["plier_test"]
    entry["names"] = np.array([new[name] for name in tested.names], dtype=object)
    for table in (entry["summary"], entry["stability"]["factors"], test["table"], test["overall"]):
        table["factor"] = table["factor"].astype(str).map(new).to_numpy(dtype=object)
    entry["summary"]["set"] = [
        "REACTOME_NEGATIVE_REGULATORS_OF_RIG_I_MDA5_SIGNALING_" + s for s in entry["summary"]["set"].astype(str)
    ]
    return adata


@SIZES
@pytest.mark.parametrize("long", [False, True])
@pytest.mark.parametrize("name", ["weights", "stability", "rank_factors_groups", "factors_heatmap"])
def test_readable_at_every_size(tested, renamed, name, long, size) -> None:
    assert readable(getattr(otl.pl, name)(renamed if long else tested.reference, ax=page(*size)))


@pytest.mark.parametrize("name", ["weights", "stability", "rank_factors_groups", "factors_heatmap"])
def test_labels_keep_to_the_margin_where_nothing_is_laid_out(renamed, name) -> None:
    figure = page(10, 4, layout=None).get_figure()
    figure.clear()
    left, right = figure.subplots(1, 2)
    right.set_xticks([])
    for ax in (right, left):
        getattr(otl.pl, name)(renamed, ax=ax)
    figure.draw_without_rendering()
    assert all(label.get_window_extent().x0 >= 0 for label in left.get_yticklabels())
    assert all(label.get_window_extent().x0 >= left.get_window_extent().x1 - 2 for label in right.get_yticklabels())


@SIZES
def test_replication_is_readable(replicated, size) -> None:
    assert readable(otl.pl.replication(replicated, ax=page(*size)))


@pytest.mark.parametrize("name", ["weights", "stability", "rank_factors_groups", "factors_heatmap"])
def test_default_figures_are_readable_and_leave_the_data(tested, name) -> None:
    from matplotlib import pyplot as plt

    before = tested.reference.copy()
    ax = getattr(otl.pl, name)(tested.reference)
    assert readable(ax)
    plt.close(ax.figure)
    assert set(tested.reference.uns) == set(before.uns)
    pd.testing.assert_frame_equal(tested.reference.obs, before.obs)
    for part in ("table", "overall"):
        pd.testing.assert_frame_equal(tested.reference.uns["plier_test"][part], before.uns["plier_test"][part])


def test_a_figure_within_a_figure(tested) -> None:
    ax = page(8, 4).get_figure().subfigures(1, 2)[1].add_subplot()
    assert otl.pl.rank_factors_groups(phenotypes(tested.query.copy()), ax=ax) is ax
