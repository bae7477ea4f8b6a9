"""The page of a factor: every part that is known, none that is not, and nothing on top of each other."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex

import omicstl as otl
from tests.pl.conftest import phenotypes
from tests.pl.support import cut_off, overlaps, page, readable, repeated

ORANGE = "#d55e00"


def said(ax) -> str:
    return "\n".join(text.get_text() for text in ax.texts)


def n_points(ax) -> int:
    return sum(len(c.get_offsets()) for c in ax.collections if isinstance(c, PathCollection))


@pytest.fixture
def big():
    return page(8.3, 5.8, layout=None)


def test_a_full_page(tested, big) -> None:
    factor = tested.names[0]
    assert (
        otl.pl.factor_card(tested.reference, factor, other=tested.query, cohorts=["Children", "Adults"], ax=big) is big
    )
    *gauges, genes, one, other = big.child_axes
    top = otl.get.loadings(tested.reference)[factor].nlargest(20)
    assert [label.get_text() for label in genes.get_yticklabels()][::-1] == list(top.index)
    model = otl.get.model(tested.reference)
    members = {
        str(g)
        for g in np.asarray(model.features)[model.prior[:, [list(model.sets).index(factor.partition(" ")[2])]].indices]
    }
    bars = zip(genes.patches, genes.get_yticklabels(), strict=True)
    assert {label.get_text() for bar, label in bars if to_hex(bar.get_facecolor()) == ORANGE} == members & set(
        top.index
    )
    assert n_points(one) > tested.reference.n_obs, "observations and means of persons"
    assert n_points(other) == 20 + pd.DataFrame(tested.query.obs).groupby(["ill", "subject"], observed=True).ngroups
    assert len(gauges) == 2
    text = said(big)
    row = otl.get.summary(tested.reference).query("factor == @factor and fdr_nominal < 0.05").iloc[0]
    assert f"AUC {row['auc']:.2f}" in text
    test = tested.query.uns["plier_test"]["table"].query("factor == @factor").iloc[0]
    assert (
        f"{test['effect_sd']:.2f} SD ({test['effect_sd_low']:.2f} to {test['effect_sd_high']:.2f})".replace("-", "−")
        in text
    )
    assert "Not shown" not in text
    assert readable(big)


def test_means_of_groups(tested, big) -> None:
    otl.pl.factor_card(tested.query, tested.names[0], ax=big)
    panel = next(at for at in big.child_axes if len(at.lines) == 2 and at.get_ylabel() == "score")
    obs = tested.query.obs.assign(score=tested.query.obsm["plier"][:, 0])
    means = obs.groupby(["ill", "subject"], observed=True)["score"].mean().groupby("ill", observed=True).mean()
    np.testing.assert_allclose([line.get_ydata()[0] for line in panel.lines], means, rtol=1e-5)


def test_what_is_not_known_is_left_out_and_named(fitted, tested, big) -> None:
    query = fitted[1].copy()
    otl.pl.factor_card(query, tested.names[0], ax=big)
    text = said(big).replace("\n", " ")
    for missing in (
        "stability (tl.stability measures it)",
        "a test (tl.rank_factors_groups makes it)",
        "which genes are in the set (pass model=...)",
    ):
        assert missing in text
    assert len(big.child_axes) == 3  # genes, values, how well they are determined
    del query.varm["plier"]
    alone = otl.pl.factor_card(query, tested.names[0], ax=page(8.3, 5.8, layout=None))
    assert "genes (pass model=...)" in said(alone).replace("\n", " ")
    assert len(alone.child_axes) == 2
    known = otl.pl.factor_card(query, tested.names[0], model=fitted[0], ax=page(8.3, 5.8, layout=None))
    assert ORANGE in {to_hex(bar.get_facecolor()) for at in known.child_axes for bar in at.patches}


def test_a_factor_without_a_set(tested, big) -> None:
    query = tested.query.copy()
    table = query.uns["plier"]["summary"]
    query.uns["plier"]["summary"] = table[table["factor"] != tested.names[0]]
    otl.pl.factor_card(query, tested.names[0], ax=big)
    assert "No gene set has a weight on it" in said(big)
    query.uns["plier"]["summary"] = table.assign(fdr_nominal=1.0)
    assert "No gene set has FDR < 0.05" in said(otl.pl.factor_card(query, tested.names[0], ax=page(8, 6, layout=None)))
    del query.uns["plier"]["summary"]
    assert "gene sets of this factor are not known" in said(
        otl.pl.factor_card(query, tested.names[0], ax=page(8, 6, layout=None))
    )


def test_groups_that_the_test_is_not_of(tested, big) -> None:
    otl.pl.factor_card(tested.query, tested.names[0], groupby="gaps", ax=big)
    text = said(big).replace("\n", " ")
    assert "the test 'plier_test', which is of 'ill'" in text
    assert "4 observations without a value of 'gaps'" in text
    assert " SD (" not in text


def test_a_factor_that_was_not_tested(tested, big) -> None:
    query = tested.query.copy()
    for part in ("table", "overall"):
        table = query.uns["plier_test"][part]
        query.uns["plier_test"][part] = table[table["factor"] != tested.names[0]]
    otl.pl.factor_card(query, tested.names[0], ax=big)
    assert "not among the factors that were tested" in said(big)


@pytest.mark.parametrize("phenotype", ["three", "activity"])
def test_other_phenotypes(tested, phenotype, big) -> None:
    query = tested.query.copy()
    del query.uns["plier_test"]
    otl.tl.rank_factors_groups(query, phenotype, factors="all", block="subject")
    otl.pl.factor_card(query, tested.names[0], other=tested.reference, ax=big)
    assert ("all groups: p = " if phenotype == "three" else "per unit of activity") in said(big)
    assert readable(big)


@pytest.mark.parametrize("n", [1, 3, 40, 900])
@pytest.mark.parametrize("groups", [1, 6])
def test_few_and_many(fitted, tested, n, groups) -> None:
    query = repeated(fitted[0], n)
    names = ["class I nephritis", "II", "class III with a very long name", "IV", "healthy", "unclear"][:groups]
    query.obs["class"] = pd.Categorical([names[i % groups] for i in range(n)])
    for size in ((8.3, 5.8), (5.5, 4)):
        ax = otl.pl.factor_card(query, tested.names[0], groupby="class", other=query, ax=page(*size, layout=None))
        values = [at for at in ax.child_axes if n_points(at)]
        assert [n_points(at) for at in values] == [n, n]
        assert not overlaps(ax)
        assert not cut_off(ax)


GROUPS = [
    "Healthy donor",
    "Lupus nephritis III",
    "SLE without nephritis",
    "Systemic sclerosis",
    "Arthritis with ACPA",
    "sarcoidosis",
]


@pytest.mark.parametrize("dpi", [80, 100, 300])
@pytest.mark.parametrize("n", [2, 3, 4, 5, 6])
@pytest.mark.parametrize("cohorts", [1, 2])
def test_names_of_groups_keep_off_each_other(tested, n, cohorts, dpi) -> None:
    adata = repeated(tested.query, 40 * n)
    adata.obs["class"] = pd.Categorical([GROUPS[i // 2 % n] for i in range(adata.n_obs)], categories=GROUPS[:n])
    adata.obs["subject"] = pd.Categorical([f"P{i // 2}" for i in range(adata.n_obs)])
    otl.tl.rank_factors_groups(adata, "class", block="subject", factors="all")
    ax = page(8.3, 5.8, layout=None)
    ax.figure.set_dpi(dpi)
    otl.pl.factor_card(adata, tested.names[0], other=adata if cohorts == 2 else None, ax=ax)
    panels = [at for at in ax.child_axes if len(at.get_xticks()) == n and n_points(at) >= adata.n_obs]
    assert len(panels) == cohorts
    for panel in panels:
        drawn = [label.get_text().replace("\n", " ") for label in panel.get_xticklabels()]
        assert all(text.startswith(name[:10]) for text, name in zip(drawn, GROUPS[:n], strict=True))
        assert all("n = 20 (40 obs.)" in text or text.endswith("(20)") for text in drawn)
        assert panel.get_window_extent().height > 0.08 * ax.get_window_extent().height
    assert not overlaps(ax)
    assert not cut_off(ax)


@pytest.mark.parametrize("dpi", [72, 80, 100, 300])
@pytest.mark.parametrize("width", [4, 5.5, 8.3])
@pytest.mark.parametrize("end", ["", "_AND_WHAT_FOLLOWS_FROM_IT_IN_THE_CYTOSOL_OF_EPITHELIA_AND_BLOOD"])
def test_names_of_sets_end_before_their_numbers(tested, end, width, dpi) -> None:
    query = tested.query.copy()
    name = f"REACTOME_NEGATIVE_REGULATORS_OF_RIG_I_MDA5_SIGNALING{end}"
    query.uns["plier"]["summary"] = query.uns["plier"]["summary"].assign(set=name, fdr_nominal=0.01)
    ax = page(width, 5.8, layout=None)
    ax.figure.set_dpi(dpi)
    otl.pl.factor_card(query, tested.names[0], ax=ax)
    ax.figure.draw_without_rendering()
    names = [text for text in ax.texts if text.get_text().startswith("REACTOME NEG")]
    numbers = [text for text in ax.texts if text.get_text().startswith("AUC")]
    assert names
    assert len(names) == len(numbers)
    for one, other in zip(names, numbers, strict=True):
        assert one.get_window_extent().x1 < other.get_window_extent().x0


def test_the_page_is_a_figure_or_a_part_of_one(tested) -> None:
    from matplotlib import pyplot as plt

    ax = otl.pl.factor_card(tested.query, tested.names[0])
    np.testing.assert_allclose(ax.figure.get_size_inches(), (8.3, 5.8))
    assert readable(ax)
    assert not ax.axison
    plt.close(ax.figure)
    half = page(13, 4.5)
    assert otl.pl.factor_card(tested.query, tested.names[0], ax=half) is half
    assert not overlaps(half)


def test_refuses(tested, fitted, big) -> None:
    factor, query = tested.names[0], tested.query
    near = factor[:-1]
    with pytest.raises(KeyError, match=f"not found in the factors of these scores. Did you mean '{factor}'"):
        otl.pl.factor_card(query, near, ax=big)
    with pytest.raises(KeyError, match="Did you mean 'plier'"):
        otl.pl.factor_card(query, factor, key="pliers", ax=big)
    with pytest.raises(KeyError, match="Did you mean 'ill'"):
        otl.pl.factor_card(query, factor, groupby="Ill", ax=big)
    with pytest.raises(ValueError, match="`groupby` must be a column of groups, adata.obs\\['activity'\\]"):
        otl.pl.factor_card(query, factor, groupby="activity", ax=big)
    with pytest.raises(ValueError, match="`other_groupby` must be a column of groups"):
        otl.pl.factor_card(query, factor, other=query, other_groupby="activity", ax=big)
    with pytest.raises(TypeError):
        otl.pl.factor_card(query, factor, other=query.obs, ax=big)
    with pytest.raises(TypeError, match="`cohorts` must be (two names|a list of names)"):
        otl.pl.factor_card(query, factor, cohorts=["one"], ax=big)
    stranger = phenotypes(query.copy())
    stranger.uns["plier"]["reference"]["digest"] = "0" * 64
    with pytest.raises(ValueError, match="`other` holds factors of another reference.*Project both onto one reference"):
        otl.pl.factor_card(query, factor, other=stranger, ax=big)
    with pytest.raises(ValueError, match="`model` is not what the scores"):
        otl.pl.factor_card(stranger, factor, model=fitted[0], ax=big)
    lacking = query.copy()
    lacking.uns["plier"]["names"] = np.array([f"X{i}" for i in range(8)], dtype=object)
    with pytest.raises(KeyError, match="not found in the factors of other"):
        otl.pl.factor_card(query, factor, other=lacking, ax=big)
    assert not big.child_axes, "nothing was drawn"
