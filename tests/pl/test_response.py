"""The figure of predicted responses: right numbers, right words, and it can be read."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from matplotlib import colormaps
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb

import omicstl as otl
from omicstl.pl._response import CALLS
from tests.pl.support import page, readable

PAGES = pytest.mark.parametrize("size", [(3, 2.5), (5, 4), (9, 7)])
N = 300


def response(n_drugs: int = 1, *, std: bool = True, verdict: str = "caution") -> AnnData:
    """Cells with what `tl.scdeal` writes."""
    random = np.random.default_rng(0)
    score = random.normal(size=(N, n_drugs))
    spread = random.gamma(3, 0.1, size=(N, n_drugs))
    adata = AnnData(np.zeros((N, 3), np.float32))
    adata.obsm["scdeal"] = random.normal(size=(N, 5)).astype(np.float32)
    if n_drugs == 1:
        adata.obs["scdeal_score"] = score[:, 0]
        adata.obs["scdeal_call"] = pd.Categorical(
            np.where(score[:, 0] > 0.5, "sensitive", np.where(score[:, 0] < -1, "resistant", "uncertain"))
        )
        if std:
            adata.obs["scdeal_std"] = spread[:, 0]
    else:
        adata.obsm["scdeal_response"] = score.astype(np.float32)
        adata.obsm["scdeal_response_std"] = spread.astype(np.float32)
    adata.uns["scdeal"] = {
        "kind": "scdeal",
        "drugs": np.array([f"PLX/{i}" for i in range(n_drugs)]),
        "params": {"level": "linear: ridge with CORAL"},
    }
    if verdict:
        adata.uns["scdeal_assessment"] = {"kind": "assessment", "verdict": verdict}
    adata.obs["cluster"] = pd.Categorical(random.choice(["tumour", "immune", "stroma of a long name"], N))
    return adata


def title(ax) -> str:
    return ax.get_title(loc="left").replace("\n", " ")


def test_points_have_the_colour_of_their_call_and_the_surest_are_on_top(ax) -> None:
    adata = response()
    assert otl.pl.response(adata, ax=ax) is ax
    points = ax.collections[0]
    std = adata.obs["scdeal_std"].to_numpy()
    order = np.argsort(-np.clip(std, *np.quantile(std, [0.05, 0.95])), kind="stable")
    np.testing.assert_allclose(points.get_offsets(), adata.obsm["scdeal"][order, :2], rtol=1e-6)
    assert (np.diff(points.get_sizes()) >= -1e-9).all()
    surest = points.get_facecolors()[-1][:3]
    np.testing.assert_allclose(surest, to_rgb(CALLS[adata.obs["scdeal_call"].iloc[order[-1]]]), atol=1e-6)
    assert [text.get_text() for text in ax.artists[0].get_texts()] == list(CALLS)


def test_the_histogram_counts_every_cell(ax) -> None:
    adata = response()
    otl.pl.response(adata, ax=ax)
    panel = ax.child_axes[0]
    heights = {}
    for container, call in zip(panel.containers, CALLS, strict=True):
        heights[call] = sum(bar.get_height() for bar in container)
    assert heights == {call: (adata.obs["scdeal_call"] == call).sum() for call in CALLS}


def test_the_title_says_shares_method_and_verdict(ax) -> None:
    adata = response(verdict="do not use")
    call = adata.obs["scdeal_call"]
    shares = [f"{100 * (call == word).mean():.0f} %" for word in ("sensitive", "resistant")]
    assert title(otl.pl.response(adata, ax=ax)) == (
        f"PLX/0: {shares[0]} of 300 cells sensitive, {shares[1]} resistant Ridge with CORAL; verdict: do not use"
    )
    assert "not assessed" in title(otl.pl.response(response(verdict=""), ax=page()))


def test_of_several_drugs_one_is_drawn_by_its_score(ax) -> None:
    adata = response(3)
    adata.uns["scdeal_assessment"]["drugs"] = pd.DataFrame(
        {"drug": ["PLX/0", "PLX/1"], "verdict": ["supported", "do not use"]}
    )
    otl.pl.response(adata, drug="PLX/1", ax=ax)
    median = np.median(adata.obsm["scdeal_response"][:, 1])
    assert title(ax).startswith(f"PLX/1: median score {median:.2f} of 300 cells".replace("-", "−"))
    assert title(ax).endswith("verdict: do not use")
    del adata.obsm["scdeal_response_std"]
    points = otl.pl.response(adata, drug="PLX/1", ax=page()).collections[0]
    score = adata.obsm["scdeal_response"][:, 1]
    low, high = np.quantile(score, [0.02, 0.98])
    expected = colormaps["viridis"]((score - low) / (high - low))
    np.testing.assert_allclose(points.get_facecolors(), expected, atol=0.02)


def test_calls_of_several_drugs(ax) -> None:
    adata = response(2)
    adata.obsm["scdeal_calls"] = np.repeat([[1, 0], [1, 2], [0, 2]], 100, axis=0).astype(np.int8)
    assert title(otl.pl.response(adata, drug="PLX/1", ax=ax)).startswith("PLX/1: 33 % of 300 cells sensitive, 0 % res")
    assert title(otl.pl.response(adata, drug="PLX/0", ax=page())).endswith(
        "PLX/0: 33 % of 300 cells sensitive, 67 % resistant Ridge with CORAL; verdict: caution"
    )


def test_bases(ax) -> None:
    adata = response()
    assert otl.pl.response(adata, ax=ax).get_xlabel() == "aligned latent 1 and 2"
    adata.obsm["X_umap"] = np.random.default_rng(1).normal(size=(N, 2))
    drawn = otl.pl.response(adata, ax=page())
    assert drawn.get_xlabel() == "UMAP 1 and 2"
    np.testing.assert_allclose(np.sort(drawn.collections[0].get_offsets()[:, 0]), np.sort(adata.obsm["X_umap"][:, 0]))
    assert otl.pl.response(adata, basis="scdeal", ax=page()).get_xlabel() == "scdeal 1 and 2"


def test_groups_have_their_shares_and_quartiles(ax) -> None:
    adata = response()
    otl.pl.response(adata, groupby="cluster", ax=ax)
    table = adata.obs.groupby("cluster", observed=True)
    medians = table["scdeal_score"].median().sort_values(ascending=False)
    names = [text.get_text() for text in ax.get_yticklabels()]
    assert [name.split()[0] for name in names] == [name.split()[0] for name in medians.index]
    for container, call in zip(ax.containers, CALLS, strict=True):
        shares = table["scdeal_call"].apply(lambda calls, call=call: (calls == call).mean())[medians.index]
        np.testing.assert_allclose([bar.get_width() / 0.56 for bar in container], shares, atol=1e-9)
    lines = next(c for c in ax.collections if isinstance(c, LineCollection))
    ends = np.array([segment[:, 0] for segment in lines.get_segments()])
    quartiles = table["scdeal_score"].quantile([0.25, 0.75]).unstack().loc[medians.index].to_numpy()
    assert np.corrcoef(ends.ravel(), quartiles.ravel())[0, 1] == pytest.approx(1)


@PAGES
@pytest.mark.parametrize("groupby", [None, "cluster"])
@pytest.mark.parametrize("n_drugs", [1, 2])
def test_is_readable(size, groupby, n_drugs) -> None:
    adata = response(n_drugs)
    assert readable(otl.pl.response(adata, drug="PLX/0", groupby=groupby, ax=page(*size)))


def test_without_uncertainty_or_spread(ax) -> None:
    adata = response(std=False)
    adata.obs["scdeal_call"] = "uncertain"
    assert title(otl.pl.response(adata, ax=ax)).startswith("PLX/0: 0 % of 300 cells sensitive, 0 % resistant")
    assert len(set(ax.collections[0].get_sizes())) == 1
    adata.obs["scdeal_score"], adata.obs["scdeal_std"] = 0.0, 0.0
    constant = otl.pl.response(adata, ax=page())
    assert readable(constant)
    assert not constant.child_axes
    assert [text.get_text() for text in constant.get_legend().get_texts()] == list(CALLS)
    assert readable(otl.pl.response(adata, groupby="cluster", ax=page()))


def test_refuses(ax) -> None:
    adata = response(2)
    with pytest.raises(KeyError, match="has 2 drugs.*drug='PLX/0'"):
        otl.pl.response(adata, ax=ax)
    with pytest.raises(KeyError, match="Did you mean 'PLX/1'"):
        otl.pl.response(adata, drug="plx/1", ax=ax)
    with pytest.raises(ValueError, match="Give one of them"):
        otl.pl.response(adata, drug="PLX/0", basis="umap", groupby="cluster", ax=ax)
    with pytest.raises(KeyError, match="'umap' not found"):
        otl.pl.response(adata, drug="PLX/0", basis="umap", ax=ax)
    bare = response()
    del bare.obsm["scdeal"]
    with pytest.raises(KeyError, match="no UMAP"):
        otl.pl.response(bare, ax=ax)
    with pytest.raises(KeyError, match="no predicted response. Run otl.tl.scdeal"):
        otl.pl.response(AnnData(np.zeros((3, 2))), ax=ax)
    adata.uns["other"] = adata.uns["scdeal"]
    adata.obsm["other_response"] = adata.obsm["scdeal_response"]
    with pytest.raises(KeyError, match="2 predicted responses: 'other', 'scdeal'"):
        otl.pl.response(adata, ax=ax)
    with pytest.raises(KeyError, match="Did you mean 'scdeal'"):
        otl.pl.response(adata, "scdeel", ax=ax)
    with pytest.raises(TypeError, match="must be an AnnData"):
        otl.pl.response(adata.obs, ax=ax)
