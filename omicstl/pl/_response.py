"""Predicted response of cells to a drug: where they lie, what they are called, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from omicstl._core.checks import listed, missing_key
from omicstl._core.public import public
from omicstl._data.adata import check_adata

from ._read import groups_of
from ._response_groups import draw_groups
from ._style import ACCENT, DEEP, GREY, axes, clean, colour_bar, corner
from ._text import NARROW, cell, fitted, plural, points, set_title, signed, spoken
from ._uncertainty import _area, _certain, _embedding, _ends, _legend, _points, _scale

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes

CALLS = {"sensitive": ACCENT, "uncertain": GREY, "resistant": DEEP}
CODES = ("sensitive", "resistant", "uncertain")  # of the calls of several drugs
LOW = 260.0  # points; in less height there is no room for a histogram


class Response(NamedTuple):
    """What was predicted for one drug."""

    drug: str
    score: np.ndarray  # (n,)
    std: np.ndarray | None  # (n,)
    call: np.ndarray | None  # (n,) words of CALLS
    words: str  # how it was predicted, and what was thought of it


@public
def response(
    adata: AnnData,
    key: str | None = None,
    *,
    drug: str | None = None,
    basis: str | None = None,
    groupby: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """
    Draw the predicted response of cells to a drug, over an embedding or group by group.

    Which cells are called sensitive or resistant, how many are not called at all, and are these calls a cluster each? A response that is one
    cluster against another rests on a single difference, and that may be anything.

    Parameters
    ----------
    adata
        Cells that `omicstl.tl.scdeal` or `omicstl.tl.predict` has written to.
    key
        Name that the response was written under. `None` takes the only one there.
    drug
        Name of a drug. `None`: the only one of that fit.
    basis
        Embedding in ``obsm`` whose first two columns are drawn, e.g. ``"X_umap"`` or ``"umap"``. `None`: the UMAP if there is one,
        else the first two variables of the aligned latent space.
    groupby
        Column of ``obs``, such as clusters or patients: a row for each group instead of an embedding.
    ax
        Axes to draw into. `None` makes a figure.

    Returns
    -------
    The Axes. Over an embedding: a point for each cell, in the colour of its call; the surest are large, in full colour and on top. Below it the scores of all
    cells, larger is more sensitive. Where nothing was called, the colour is the score.
    By group: shares of calls, and median and quartiles of the score. The title has the shares over all cells, by what
    the response was predicted, and the verdict if there is one.

    Raises
    ------
    KeyError
        If there is no such response, drug, embedding or column, or several and none is named.
    TypeError
        If an argument is of the wrong kind.
    ValueError
        If both `basis` and `groupby` are given, the embedding has one column, or the groups are numbers or too many.

    Notes
    -----
    Reads ``obs[f"{key}_score"]``, ``obs[f"{key}_std"]`` and ``obs[f"{key}_call"]``, for several drugs ``obsm[f"{key}_response"]`` and
    ``obsm[f"{key}_response_std"]`` and ``obsm[f"{key}_calls"]``, and ``uns[f"{key}_assessment"]``. The uncertainty is that of the members of the fit; it does not hold
    what no member can know, whether genes mean in these cells what they meant in the lines. Cost: one scatter.

    Examples
    --------
    >>> import numpy as np
    >>> import omicstl as otl
    >>> cells, lines, truth = otl.datasets.simulate_drug_response(200, 150, 300, rng=0)
    >>> cells.obs["scdeal_score"] = truth.cell_score[:, 0]
    >>> cells.obs["scdeal_call"] = np.where(truth.cell_score[:, 0] > 0, "sensitive", "uncertain")
    >>> cells.obsm["X_pca"] = truth.cell_programmes[:, :2]
    >>> cells.uns["scdeal"] = {"kind": "scdeal", "drugs": truth.drugs}
    >>> ax = otl.pl.response(cells, basis="pca")
    """
    check_adata(adata)
    if basis is not None and groupby is not None:
        msg = "`basis` asks for an embedding, `groupby` for rows. Give one of them, and draw the other into Axes of its own."
        raise ValueError(msg)
    key = _key(adata, key)
    found = _read(adata, key, drug)
    if groupby is not None:
        groups = groups_of(adata, groupby)
        ax, beside = draw_groups(ax, groups, found.score, found.call, CALLS)
        set_title(ax, _title(found), beside=beside)
        return ax
    place, words = _place(adata, key, basis)
    ax = axes(ax, 5.6, 5.4)
    _embedded(ax, place, words, found)
    return ax


def _key(adata: AnnData, key: str | None) -> str:
    there = [str(name) for name, entry in adata.uns.items() if isinstance(entry, Mapping) and "drugs" in entry]
    there = [name for name in there if f"{name}_score" in adata.obs or f"{name}_response" in adata.obsm]
    if key is not None:
        if key not in there:
            raise missing_key(key, "the predicted responses of adata", there)
        return key
    if len(there) == 1:
        return there[0]
    if not there:
        msg = "adata holds no predicted response. Run otl.tl.scdeal(adata, reference) first."
    else:
        msg = f"adata holds {len(there)} predicted responses: {listed(sorted(there))}. Say which one: key={sorted(there)[0]!r}."
    raise KeyError(msg)


def _read(adata: AnnData, key: str, drug: str | None) -> Response:
    names = [str(name) for name in np.atleast_1d(adata.uns[key]["drugs"])]
    if drug is None and len(names) > 1:
        msg = f"The response {key!r} has {len(names)} drugs: {listed(names, 3)}. Say which one: drug={names[0]!r}."
        raise KeyError(msg)
    drug = names[0] if drug is None else drug
    if drug not in names:
        raise missing_key(drug, f"the drugs of {key!r}", names)
    words = _words(adata, key, drug)
    if f"{key}_score" in adata.obs and len(names) == 1:
        score, std, call = (adata.obs.get(f"{key}_{what}") for what in ("score", "std", "call"))
    else:
        i = names.index(drug)
        score, std = (
            None if f"{key}_{what}" not in adata.obsm else np.asarray(adata.obsm[f"{key}_{what}"])[:, i]
            for what in ("response", "response_std")
        )
        codes = adata.obsm.get(f"{key}_calls")
        call = None if codes is None else np.array(CODES, dtype=object)[np.asarray(codes)[:, i]]
    return Response(
        drug,
        np.asarray(score, dtype=np.float64),
        None if std is None else np.asarray(std, dtype=np.float64),
        None if call is None else np.asarray(pd.Series(call).astype(str), dtype=object),
        words,
    )


def _words(adata: AnnData, key: str, drug: str) -> str:
    """By what it was predicted, and the verdict on it."""
    params = adata.uns[key].get("params")
    level = str(params.get("level", "")) if isinstance(params, Mapping) else ""
    level = level.removeprefix("linear: ").removeprefix("network: ")
    entry = adata.uns.get(f"{key}_assessment")
    verdict = "not assessed"
    if isinstance(entry, Mapping):
        table = entry.get("drugs")
        of_drug = (
            table[(table["drug"].astype(str) == drug).to_numpy()]
            if isinstance(table, pd.DataFrame) and {"drug", "verdict"} <= {*table}
            else None
        )
        verdict = (
            str(of_drug["verdict"].iloc[0]) if of_drug is not None and len(of_drug) else str(entry.get("verdict", ""))
        )
    said = f"verdict: {verdict}" if verdict and verdict != "not assessed" else "not assessed"
    return f"{level}; {said}" if level else said


def _title(found: Response) -> str:
    n, drug = len(found.score), spoken(found.drug)
    if found.call is None:
        first = f"{drug}: median score {signed(float(np.nanmedian(found.score)))} of {plural(n, 'cell')}"
    else:
        called = [100 * np.mean(found.call == call) for call in ("sensitive", "resistant")]
        first = f"{drug}: {called[0]:.0f} % of {plural(n, 'cell')} sensitive, {called[1]:.0f} % resistant"
    words = found.words[0].upper() + found.words[1:]
    return f"{first}\n{words}"


def _place(adata: AnnData, key: str, basis: str | None) -> tuple[np.ndarray, list[str]]:
    if basis is not None:
        return _embedding(adata, basis)
    if "X_umap" in adata.obsm:
        return _embedding(adata, "X_umap")
    latent = np.asarray(adata.obsm[key]) if key in adata.obsm else np.empty((adata.n_obs, 0))
    if latent.ndim != 2 or latent.shape[1] < 2:
        msg = f"There is no UMAP, and no latent space of two variables in adata.obsm[{key!r}]. Run sc.tl.umap, or pass basis=..."
        raise KeyError(msg)
    return latent[:, :2].astype(np.float64), ["aligned latent 1", "aligned latent 2"]


def _embedded(ax: Axes, place: np.ndarray, words: list[str], found: Response) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize, to_rgb
    from matplotlib.lines import Line2D

    low, high = np.nanquantile(found.score, [0.02, 0.98])
    drawn = ScalarMappable(Normalize(low, high if high > low else low + 1), "viridis")
    if found.call is None:
        rgb = np.asarray(drawn.to_rgba(np.clip(found.score, low, high)))[:, :3]
    else:
        rgb = np.array([to_rgb(CALLS.get(call, GREY)) for call in found.call])
    unsure = np.zeros(len(place)) if found.std is None else np.nan_to_num(found.std, nan=np.nanmax(found.std))
    spread = bool(np.ptp(unsure) > 0)
    ends, most = _ends(unsure), _area(len(place), ax)
    certain = _certain(unsure, ends) if spread else np.ones(len(place))
    order = np.argsort(certain, kind="stable")
    _points(ax, place[order], certain[order], rgb[order], most)
    ax.set_xticks([])
    ax.set_yticks([])
    narrow = cell(ax)[0] - 10 <= NARROW
    size = points("small" if narrow else "medium")
    ax.set_xlabel(fitted(f"{words[0]} and {words[1].split()[-1]}", 0.7 * cell(ax)[0], size), fontsize=size)
    clean(ax)
    set_title(ax, _title(found))

    drop = 6 + 1.5 * size
    if found.call is None:
        high_text = "score, larger is more sensitive"
        height, _ = colour_bar(ax, drawn, high_text, _three(low, high), drop=drop + 8)
        drop += height + 20
    else:
        if cell(ax)[1] > LOW and high > low:
            drop = _histogram(ax, found, drop, size)
        handles = [
            Line2D([], [], marker="o", markersize=5.5, linestyle="", color=colour, label=call)
            for call, colour in CALLS.items()
        ]
        drop = _legend(ax, handles, 0.0, drop)
    if spread:
        first = ax.get_legend()
        said = "SD of the score" if narrow else "SD of the score over members (5th, 50th, 95th percentile)"
        _legend(ax, _scale(ends, most, bars=False), 0.0, drop, said)
        if first is not None:
            ax.add_artist(first)


def _three(low: float, high: float) -> list[float]:
    return [float(f"{value:.2g}") for value in (low, (low + high) / 2, high)]


def _histogram(ax: Axes, found: Response, drop: float, size: float) -> float:
    """Scores of all cells, stacked by their calls, below the Axes; return the points down to where it ends."""
    assert found.call is not None
    height = float(np.clip(0.13 * cell(ax)[1], 18, 46))
    width = cell(ax)[0] - 10
    panel = ax.inset_axes((0, -drop - height - 4, 0.8 * width, height), transform=corner(ax))
    low, high = float(np.nanmin(found.score)), float(np.nanmax(found.score))
    edges = np.linspace(low, high if high > low else low + 1, int(np.clip(width / 8, 16, 48))).tolist()
    parts = [found.score[found.call == call] for call in CALLS]
    panel.hist(parts, edges, stacked=True, color=list(CALLS.values()), linewidth=0)
    panel.set_yticks([])
    panel.spines[["left", "right", "top"]].set_visible(False)
    panel.locator_params(axis="x", nbins=4)
    panel.tick_params(labelsize=0.85 * size, length=2)
    panel.set_xlabel("score, larger is more sensitive", fontsize=0.85 * size, labelpad=2)
    return drop + height + 4 + 3.6 * size
