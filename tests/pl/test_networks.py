"""Figures of networks: training and composition show the right numbers, and can be read."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex

import omicstl as otl
from omicstl.pl._networks import size_colours
from tests.pl.support import page, readable
from tests.support.deepprofile_result import SIZES, deepprofile_result

PAGES = pytest.mark.parametrize("size", [(3, 2.5), (5, 4), (9, 7)])
LONG = "REACTOME_RESPIRATORY_ELECTRON_TRANSPORT ATP_SYNTHESIS BY_CHEMIOSMOTIC_COUPLING"


@pytest.fixture
def adata():
    return deepprofile_result(validation=True)


def panels(ax) -> dict:
    return {panel.get_title(loc="left"): panel for panel in ax.child_axes}


def history(adata) -> pd.DataFrame:
    return adata.uns["deepprofile"]["history"]


# --- training


def test_training_draws_every_member_and_the_medians(adata) -> None:
    ax = page(9, 7)
    assert otl.pl.training(adata, ax=ax) is ax
    found = panels(ax)
    assert list(found) == ["Loss", "Loss, held-out observations", "Reconstruction", "KL divergence"]
    for panel, name in zip(found.values(), ("loss", "validation", "reconstruction", "kl"), strict=True):
        lines = [line for c in panel.collections if isinstance(c, LineCollection) for line in c.get_segments()]
        assert len(lines) == 18
        wide = history(adata).pivot(index=["latent_size", "member"], columns="epoch", values=name)
        np.testing.assert_allclose([line[:, 1] for line in lines], wide)
        medians = wide.groupby("latent_size").median()
        drawn = {to_hex(line.get_color()): line.get_ydata() for line in panel.lines if len(line.get_xdata()) > 1}
        for size, colour in zip(SIZES, size_colours(6), strict=True):
            np.testing.assert_allclose(drawn[to_hex(colour)], medians.loc[size])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [str(size) for size in SIZES]


def test_training_marks_the_lowest_held_out_loss(adata) -> None:
    ax = page(9, 7)
    otl.pl.training(adata, ax=ax)
    panel = panels(ax)["Loss, held-out observations"]
    marks = [float(line.get_xdata()[0]) for line in panel.lines if len(line.get_xdata()) == 1]
    table = history(adata)
    lowest = table.loc[table.groupby(["latent_size", "member"])["validation"].idxmin()]
    np.testing.assert_allclose(marks, lowest.groupby("latent_size")["epoch"].median())


def test_training_says_how_much_the_end_brought() -> None:
    adata = deepprofile_result(latent_sizes=(5,), n_members=2, epochs=20)
    table = history(adata)
    table["loss"] = np.where(table["member"] == 0, 100 - table["epoch"], 100 - 0.5 * table["epoch"])
    title = titles(otl.pl.training(adata, ax=page(9, 7)))
    assert title[0] == "2 members, 20 epochs: the last tenth of them brought 11 % of the fall in loss"  # 2 of 19
    table["loss"] = -table["loss"]
    assert titles(otl.pl.training(adata, ax=page(9, 7)))[0] == "2 members, 20 epochs"
    table["loss"] = np.maximum(10 - table["epoch"], 0)
    assert "brought nothing of the fall" in titles(otl.pl.training(adata, ax=page(9, 7)))[0]


def titles(ax) -> list[str]:
    return [text.get_text().replace("\n", " ") for text in ax.texts]


def test_training_of_members_that_stopped_early() -> None:
    adata = deepprofile_result(latent_sizes=(5,), n_members=3, epochs=20)
    table = history(adata)
    adata.uns["deepprofile"]["history"] = table[table["epoch"] <= 8 + 4 * table["member"]]
    ax = otl.pl.training(adata, ax=page(9, 7))
    assert titles(ax)[0].startswith("3 members, 8 to 16 epochs")
    median = panels(ax)["Loss"].lines[0].get_ydata()
    np.testing.assert_array_equal(np.isfinite(median), np.arange(1, 17) <= 12)


def test_training_of_one_network_and_one_epoch() -> None:
    ax = otl.pl.training(deepprofile_result(latent_sizes=(8,), n_members=1, validation=True), ax=page(9, 7))
    assert titles(ax)[0].startswith("One network, 20 epochs: ")
    assert not any(isinstance(c, LineCollection) for c in ax.child_axes[0].collections)
    assert ax.get_legend() is None
    one = otl.pl.training(deepprofile_result(latent_sizes=(8,), n_members=1, epochs=1), ax=page(9, 7))
    assert titles(one)[0] == "One network, 1 epoch"
    assert one.child_axes[0].lines[0].get_marker() == "o"


def test_training_scale() -> None:
    adata = deepprofile_result(latent_sizes=(5,), n_members=2)
    history(adata)["loss"] = 1000.0 ** (1 / history(adata)["epoch"])
    found = panels(otl.pl.training(adata, ax=page(9, 7)))
    assert found["Loss"].get_yscale() == "log"
    assert found["KL divergence"].get_yscale() == "linear"
    assert found["KL divergence"].get_ylim()[0] == 0
    history(adata)["loss"] -= 500
    assert panels(otl.pl.training(adata, ax=page(9, 7)))["Loss"].get_yscale() == "linear"


@PAGES
@pytest.mark.parametrize("layout", [None, "constrained"])
def test_training_is_readable(adata, size, layout) -> None:
    ax = otl.pl.training(adata, ax=page(*size, layout=layout))
    assert readable(ax)
    assert len(ax.child_axes) == (4 if size != (3, 2.5) else 2 if layout else 1)


def test_training_of_many_members_is_readable() -> None:
    ax = otl.pl.training(deepprofile_result(n_members=100, epochs=10))
    assert readable(ax)
    assert titles(ax)[0].startswith("600 members of 6 latent sizes, 10 epochs: ")
    assert all(c.get_rasterized() for c in ax.child_axes[0].collections)
    from matplotlib import pyplot as plt

    plt.close(ax.figure)


def test_training_refuses(adata, ax) -> None:
    adata.uns["other"] = {"kind": "plier"}
    with pytest.raises(KeyError, match=r"no history. Run otl.tl.deepprofile or otl.tl.vae"):
        otl.pl.training(adata, "other", ax=ax)
    with pytest.raises(KeyError, match="Did you mean 'deepprofile'"):
        otl.pl.training(adata, "deepprofil", ax=ax)
    adata.uns["vae"] = adata.uns["deepprofile"]
    with pytest.raises(KeyError, match="2 fits with history: 'deepprofile', 'vae'. Say which one: key='deepprofile'"):
        otl.pl.training(adata, ax=ax)
    adata.uns.clear()
    with pytest.raises(KeyError, match="adata holds no fit with history"):
        otl.pl.training(adata, ax=ax)
    with pytest.raises(TypeError, match="must be an AnnData"):
        otl.pl.training(adata.obs, ax=ax)
    broken = deepprofile_result()
    del history(broken)["loss"]
    with pytest.raises(KeyError, match="'loss' not found in the columns of the history"):
        otl.pl.training(broken, ax=ax)


# --- composition


def rows_of(ax) -> list[str]:
    return [label.get_text() for label in ax.get_yticklabels()]


def test_composition_shows_shares_units_and_stability(adata, ax) -> None:
    assert otl.pl.composition(adata, ax=ax) is ax
    table = adata.uns["deepprofile"]["clusters"].set_index("factor")
    shares = table[[f"share_{size}" for size in SIZES]].to_numpy()
    rows = rows_of(ax)
    assert sorted(rows) == sorted(table.index)
    mean = pd.Series(shares @ SIZES, index=table.index)
    assert mean[rows].is_monotonic_increasing
    for container, size in zip(ax.containers, SIZES, strict=False):
        widths = np.array([bar.get_width() for bar in container])
        np.testing.assert_allclose(widths / 0.6, table.loc[rows, f"share_{size}"], atol=1e-12)
    units = np.array([bar.get_width() for bar in ax.containers[6]])
    np.testing.assert_allclose(units / units.max(), table.loc[rows, "n_nodes"] / table["n_nodes"].max())
    places = ax.collections[-1].get_offsets()[:, 0]
    assert np.corrcoef(places, table.loc[rows, "stability"])[0, 1] == pytest.approx(1)


def test_composition_of_chosen_rows_and_what_the_title_says(adata, ax) -> None:
    otl.pl.composition(adata, rows=["DP3", "DP1"], ax=ax)
    assert rows_of(ax) == ["DP3", "DP1"]
    table = adata.uns["deepprofile"]["clusters"]
    assert ax.get_title(loc="left") == "Every factor of 2 comes from several latent sizes"
    columns = [f"share_{size}" for size in SIZES]
    table.loc[:1, columns] = 0.0
    table.loc[0, "share_5"], table.loc[1, "share_100"] = 1.0, 1.0
    said = otl.pl.composition(adata, ax=page(9, 7)).get_title(loc="left")
    assert said == "2 of 12 factors come from one latent size alone (1 from 100 only)"
    one = deepprofile_result(latent_sizes=(5,), n_clusters=4)
    assert otl.pl.composition(one, ax=page()).get_title(loc="left") == "4 factors of one latent size"


@PAGES
def test_composition_is_readable(adata, size) -> None:
    assert readable(otl.pl.composition(adata, ax=page(*size)))
    table = adata.uns["deepprofile"]["clusters"]
    table["factor"] = [f"{name} {LONG}" for name in table["factor"]]
    assert readable(otl.pl.composition(adata, ax=page(*size)))


def test_composition_of_many_factors_names_some(ax) -> None:
    adata = deepprofile_result(n_members=10, n_clusters=150)
    otl.pl.composition(adata, ax=ax)
    assert len(ax.containers[0]) == 150
    assert 10 < len(rows_of(ax)) < 50
    assert readable(ax)


def test_composition_refuses(adata, ax) -> None:
    with pytest.raises(KeyError, match="Did you mean 'DP1'"):
        otl.pl.composition(adata, rows=["dp1"], ax=ax)
    with pytest.raises(TypeError, match=r"Write (rows|columns)=\['DP1'\]"):
        otl.pl.composition(adata, rows="DP1", ax=ax)
    with pytest.raises(ValueError, match="`rows` is empty"):
        otl.pl.composition(adata, rows=[], ax=ax)
    del adata.uns["deepprofile"]["clusters"]
    with pytest.raises(KeyError, match="no fit with clusters. Run otl.tl.deepprofile first"):
        otl.pl.composition(adata, ax=ax)
