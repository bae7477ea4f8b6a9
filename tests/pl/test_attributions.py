"""The map of genes × factors, and observations with their uncertainty."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb

import omicstl as otl
from tests.pl.support import page, readable
from tests.support.deepprofile_result import deepprofile_result

PAGES = pytest.mark.parametrize("size", [(3, 2.5), (5, 4), (9, 7)])


@pytest.fixture
def adata():
    return deepprofile_result(n_obs=80)


def names(ticks) -> list[str]:
    return [label.get_text() for label in ticks]


def values(adata) -> pd.DataFrame:
    key = "deepprofile_attributions"
    return pd.DataFrame(adata.varm[key], adata.var_names, list(adata.uns[key]["names"])).astype(float)


# --- attributions


def test_attributions_are_shares_of_the_factors_largest(adata) -> None:
    ax = page(9, 9)
    assert otl.pl.attributions(adata, ax=ax, genes_per_factor=3) is ax
    table = values(adata)
    genes, factors = names(ax.get_yticklabels()), names(ax.get_xticklabels())
    share = table / table.abs().max()
    drawn = ax.collections[0].get_array().reshape(len(genes), len(factors))
    np.testing.assert_allclose(drawn, share.loc[genes, factors])
    top = {gene for factor in table for gene in table[factor].abs().nlargest(3).index}
    assert set(genes) == top
    home = [factors[i] for i in np.argmax(np.abs(drawn), axis=1)]
    assert [factors.index(one) for one in home] == sorted(factors.index(one) for one in home)
    assert ax.get_title(loc="left") == f"{len(top)} genes with the largest attributions to 12 factors"


def test_attributions_put_alike_factors_side_by_side(adata) -> None:
    weights = adata.varm["deepprofile_attributions"]
    weights[:, 9] = 3 * weights[:, 2]
    order = names(otl.pl.attributions(adata, ax=page(9, 9)).get_xticklabels())
    assert abs(order.index("DP3") - order.index("DP10")) == 1
    chosen = ["DP9", "DP3", "DP1"]
    assert names(otl.pl.attributions(adata, columns=chosen, ax=page(9, 9)).get_xticklabels()) == chosen


def test_attributions_without_negative_values_have_one_colour(adata, ax) -> None:
    low, _ = otl.pl.attributions(adata, columns=["DP1", "DP2"], ax=ax).collections[0].get_clim()
    assert low == -1
    adata.varm["deepprofile_attributions"] = np.abs(adata.varm["deepprofile_attributions"])
    other = otl.pl.attributions(adata, columns=["DP1", "DP2"], ax=page()).collections[0]
    assert other.get_clim() == (0, 1)
    np.testing.assert_allclose(other.get_cmap()(1.0)[:3], to_rgb("#D55E00"), atol=0.01)


def test_attributions_of_small_axes_are_fewer(adata) -> None:
    ax = otl.pl.attributions(adata, ax=page(5, 4))
    shown = names(ax.get_xticklabels())
    assert 2 <= len(shown) < 12
    assert f"attributions to {len(shown)} of 12 factors" in ax.get_title(loc="left").replace("\n", " ")


def test_attributions_leave_out_factors_without_any(adata) -> None:
    adata.varm["deepprofile_attributions"][:, 3] = 0
    assert "DP4" not in names(otl.pl.attributions(adata, ax=page(9, 9)).get_xticklabels())
    with pytest.raises(ValueError, match="Every attribution of these factors is zero"):
        otl.pl.attributions(adata, columns=["DP4"], ax=page())


@PAGES
@pytest.mark.parametrize("long", [False, True])
def test_attributions_are_readable(size, long) -> None:
    adata = deepprofile_result(n_clusters=150, n_vars=600)
    if long:
        adata.var_names = [f"ENSG000001{i:05d}.12_HLA-DRB1" for i in range(adata.n_vars)]
        entry = adata.uns["deepprofile_attributions"]
        entry["names"] = np.array(
            [f"{n} REACTOME_RESPIRATORY_ELECTRON_TRANSPORT" for n in entry["names"]], dtype=object
        )
    assert readable(otl.pl.attributions(adata, ax=page(*size)))


def test_attributions_keep_names_of_genes(adata) -> None:
    adata.var_names = [f"HLA_{i}$" if i % 2 else f"HLA_{i}" for i in range(adata.n_vars)]
    genes = names(otl.pl.attributions(adata, ax=page(9, 9)).get_yticklabels())
    assert any(gene in adata.var_names for gene in genes)
    assert not any("$" in gene.replace(r"\$", "") for gene in genes)


def test_attributions_refuse(adata, ax) -> None:
    with pytest.raises(KeyError, match="Did you mean 'DP12'"):
        otl.pl.attributions(adata, columns=["dp12"], ax=ax)
    with pytest.raises(TypeError, match=r"Write (rows|columns)=\['DP1'\]"):
        otl.pl.attributions(adata, columns="DP1", ax=ax)
    with pytest.raises(ValueError, match="`columns` is empty"):
        otl.pl.attributions(adata, columns=[], ax=ax)
    with pytest.raises(ValueError, match="`genes_per_factor` must be >= 1"):
        otl.pl.attributions(adata, genes_per_factor=0, ax=ax)
    with pytest.raises(KeyError, match="'plier' not found in the attributions of adata"):
        otl.pl.attributions(adata, "plier", ax=ax)
    adata.varm["vae_attributions"] = adata.varm["deepprofile_attributions"]
    adata.uns["vae_attributions"] = adata.uns["deepprofile_attributions"]
    with pytest.raises(KeyError, match="2 sets of attributions: 'deepprofile', 'vae'. Say which one"):
        otl.pl.attributions(adata, ax=ax)
    adata.uns.clear()
    with pytest.raises(KeyError, match=r"no attributions. Run otl.tl.attributions\(adata\) first"):
        otl.pl.attributions(adata, ax=ax)


# --- uncertainty


def points(ax):
    return ax.collections[0]


def relative(adata, columns) -> np.ndarray:
    scores = adata.obsm["deepprofile"][:, columns].astype(float)
    sd = adata.obsm["deepprofile_sd"][:, columns].astype(float)
    return np.sqrt(((sd / scores.std(axis=0)) ** 2).mean(axis=1))


def test_uncertainty_of_two_factors(adata, ax) -> None:
    assert otl.pl.uncertainty(adata, pair=["DP5", "DP2"], ax=ax) is ax
    scores, unsure = adata.obsm["deepprofile"][:, [4, 1]], relative(adata, [4, 1])
    order = np.argsort(-unsure, kind="stable")
    drawn = points(ax)
    np.testing.assert_allclose(drawn.get_offsets()[-60:], scores[order][-60:], rtol=1e-6)
    assert np.all(np.diff(drawn.get_sizes()) >= 0), "the surest are the largest, and on top"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("DP5", "DP2")
    paleness = drawn.get_facecolors()[:, 0]
    assert paleness[0] > paleness[-1]
    said = ax.get_title(loc="left").replace("\n", " ")
    assert said == f"Median uncertainty: {np.median(unsure):.2f} of the spread between 80 observations"
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    assert legend == [*(f"{value:.2f}" for value in np.quantile(unsure, [0.05, 0.5, 0.95])), "±1 median SD"]


def test_uncertainty_bars_are_two_standard_deviations_long(adata, ax) -> None:
    otl.pl.uncertainty(adata, ax=ax)
    across, up = (line for line in ax.lines if line.get_linewidth() == 3.5)
    sd = np.median(adata.obsm["deepprofile_sd"][:, :2], axis=0)
    assert np.ptp(across.get_xdata()) == pytest.approx(2 * sd[0])
    assert np.ptp(up.get_ydata()) == pytest.approx(2 * sd[1])
    assert across.get_xdata()[1] == pytest.approx(ax.get_xlim()[1])


def test_uncertainty_on_an_embedding_is_that_of_all_factors(adata, ax) -> None:
    adata.obsm["X_umap"] = np.random.default_rng(0).normal(size=(80, 2)).astype(np.float32)
    otl.pl.uncertainty(adata, basis="umap", ax=ax)
    unsure = relative(adata, range(12))
    order = np.argsort(-unsure, kind="stable")
    np.testing.assert_allclose(points(ax).get_offsets()[-60:], adata.obsm["X_umap"][order][-60:], rtol=1e-6)
    assert f"of 12 factors: {np.median(unsure):.2f} of" in ax.get_title(loc="left").replace("\n", " ")
    assert ax.get_xlabel() == "UMAP 1"
    assert not [line for line in ax.lines if line.get_linewidth() == 3.5]


def test_uncertainty_that_hardly_differs_is_drawn_alike(adata, ax) -> None:
    adata.obsm["deepprofile_sd"] = np.full((80, 12), 0.5, dtype=np.float32)
    otl.pl.uncertainty(adata, ax=ax)
    np.testing.assert_allclose(points(ax).get_sizes(), points(ax).get_sizes()[0])
    adata.obsm["deepprofile_sd"] *= 0
    otl.pl.uncertainty(adata, ax=page())


def test_uncertainty_with_colours(adata) -> None:
    ax = otl.pl.uncertainty(adata, color="group", ax=page())
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["Healthy", "SLE"]
    surest = np.argmin(relative(adata, [0, 1]))
    colour = {"Healthy": "#009E73", "SLE": "#E69F00"}[adata.obs["group"].iloc[surest]]
    np.testing.assert_allclose(points(ax).get_facecolors()[-1][:3], to_rgb(colour), atol=1e-6)
    adata.obs.loc[adata.obs_names[:3], "group"] = np.nan
    ax = otl.pl.uncertainty(adata, color="group", ax=page())
    assert ax.get_legend().get_texts()[-1].get_text() == "not known"
    adata.obs.loc[adata.obs_names[:3], "percent"] = np.nan
    ax = otl.pl.uncertainty(adata, color="percent", ax=page())
    assert len(ax.child_axes) == 1, "a colour bar"
    greys = np.ptp(points(ax).get_facecolors()[:, :3], axis=1) < 0.03
    assert greys.sum() >= 3


@PAGES
@pytest.mark.parametrize("color", ["group", "many", "percent"])
def test_uncertainty_is_readable(adata, size, color) -> None:
    adata.obs["many"] = pd.Categorical([f"a rather long cell type {i % 12}" for i in range(80)])
    assert readable(otl.pl.uncertainty(adata, color=color, ax=page(*size)))
    assert points(otl.pl.uncertainty(adata, color=color)).get_offsets().shape == (80, 2)
    from matplotlib import pyplot as plt

    plt.close("all")


def test_uncertainty_finds_the_scores_that_have_one(adata, ax) -> None:
    adata.obsm["plier"] = adata.obsm["deepprofile"]
    adata.uns["plier"] = {"kind": "plier", "names": adata.uns["deepprofile"]["names"]}
    adata.obsm["deepprofile_sd_between"] = adata.obsm["deepprofile_sd"]
    otl.pl.uncertainty(adata, ax=ax)
    with pytest.raises(KeyError, match=r"'plier' \(kind 'plier'\) have no uncertainty"):
        otl.pl.uncertainty(adata, "plier", ax=ax)


def test_uncertainty_refuses(adata, ax) -> None:
    with pytest.raises(ValueError, match="`pair` and `basis` both say"):
        otl.pl.uncertainty(adata, pair=["DP1", "DP2"], basis="umap", ax=ax)
    with pytest.raises(ValueError, match=r"Write pair=\['DP1', 'DP2'\]"):
        otl.pl.uncertainty(adata, pair=["DP1"], ax=ax)
    with pytest.raises(KeyError, match="Did you mean 'DP1'"):
        otl.pl.uncertainty(adata, pair=["dp1", "DP2"], ax=ax)
    with pytest.raises(KeyError, match="'umap' not found in adata.obsm"):
        otl.pl.uncertainty(adata, basis="umap", ax=ax)
    with pytest.raises(KeyError, match="Did you mean 'group'"):
        otl.pl.uncertainty(adata, color="groups", ax=ax)
    adata.obsm["X_line"] = np.zeros((80, 1))
    with pytest.raises(ValueError, match="`basis` needs two columns"):
        otl.pl.uncertainty(adata, basis="line", ax=ax)
    adata.obs["percent"] = np.nan
    with pytest.raises(ValueError, match="missing in all 80 observations"):
        otl.pl.uncertainty(adata, color="percent", ax=ax)
    with pytest.raises(TypeError, match="must be an AnnData"):
        otl.pl.uncertainty(adata.obs, ax=ax)
