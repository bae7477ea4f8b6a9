"""Where observations lie, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from omicstl._core.checks import missing_key
from omicstl._core.public import public
from omicstl._data.columns import check_any, read_column
from omicstl._data.results import factor_names, score_key

from ._read import UNKNOWN, groups_of
from ._style import DEEP, GREY, INK, axes, clean, colour_bar, group_colours, legend_below
from ._text import LEAST_FONT, NARROW, cell, fitted, labels, plural, points, set_title, set_xlabel, spoken, text_width

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes

SPREAD = 1.5  # the scale of certainty spans at least that factor
RASTERIZED = 3000
PALEST = 0.16


@public
def uncertainty(
    adata: AnnData,
    key: str | None = None,
    *,
    pair: Sequence[str] | None = None,
    basis: str | None = None,
    color: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """
    Draw observations where their scores, or another embedding, put them, and how sure a network is of the scores.

    Is a group that stands apart one that the network knows, or one of which it is unsure? Small pale points should not carry a conclusion.

    Parameters
    ----------
    adata
        An AnnData with scores that have an uncertainty, of `omicstl.tl.deepprofile` or `omicstl.tl.vae`, fitted or projected.
    key
        Name that the scores were written under. `None` takes the only one there with an uncertainty.
    pair
        Names of two factors to draw against each other. `None`: the first two, if `basis` is not given.
    basis
        Embedding in ``obsm`` whose first two columns are drawn instead, e.g. ``"X_umap"`` or ``"umap"``. Uncertainty is then
        that of all factors together.
    color
        Column of ``obs``, groups or a number. `None` draws all in one colour.
    ax
        Axes to draw into. `None` makes a figure.

    Returns
    -------
    The Axes: a point for each observation, the surest large and in full colour, and on top. Uncertainty is the posterior standard
    deviation over the standard deviation of the scores between these observations, root mean square over the two factors of `pair` or
    all; the legend has its 5th, 50th and 95th percentile. For a `pair` thick bars on the axes are two median posterior
    standard deviations long, from one below to one above.

    Raises
    ------
    KeyError
        If there are no such scores, or several and no `key`, or no such factor, embedding or column.
    TypeError
        If an argument is of the wrong kind.
    ValueError
        If both `pair` and `basis` are given, `pair` is not two factors, the embedding has one column, or all of a column is
        missing.

    Notes
    -----
    Reads ``obsm[key]`` and ``obsm[f"{key}_sd"]``: the spread of the posterior of :cite:p:`Kingma2014`; of an ensemble that of one latent
    unit drawn at random, which is more than that of the mean of units. A value of 1 is an observation whose scores are as unsure as observations differ. The size says nothing
    of other errors, such as of the platform. Cost: one scatter.

    Examples
    --------
    >>> import omicstl as otl
    >>> target, truth = otl.datasets.simulate_pathways(rng=0)
    >>> otl.tl.vae(target, n_factors=3, training=otl.tl.Training(epochs=5))
    >>> ax = otl.pl.uncertainty(target, color="cohort", pair=["VAE1", "VAE3"])
    """
    key = _key(adata, key)
    names = [str(name) for name in factor_names(adata, key)]
    columns = _columns(names, pair, basis)
    scores, sd = (np.asarray(adata.obsm[name], dtype=np.float64)[:, columns] for name in (key, f"{key}_sd"))
    spread = scores.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    unsure = np.sqrt(np.mean((sd / spread) ** 2, axis=1))
    place, words = (scores, [names[i] for i in columns]) if basis is None else _embedding(adata, basis)
    colours = _colours(adata, color)
    ax = axes(ax, 5.6, 5.0)
    certain = _certain(unsure, _ends(unsure))
    most = _area(len(unsure), ax)

    order = np.argsort(-unsure, kind="stable")
    _points(ax, place[order], certain[order], colours.rgb[order], most)
    narrow = cell(ax)[0] - 10 <= NARROW
    size = points("small" if narrow else "medium")
    beside = 3.2 * size
    lines = set_xlabel(ax, spoken(words[0]), beside=beside)
    ax.set_ylabel(fitted(words[1], 0.75 * cell(ax)[1], size), fontsize=size)
    bars = basis is None and len(set(columns)) == 2
    if basis is None:
        ax.locator_params(nbins=5)
        ax.tick_params(labelsize="small")
    else:
        ax.set_xticks([])
        ax.set_yticks([])
        beside = 1.6 * size
    clean(ax)
    if bars:
        _bars(ax, np.median(sd, axis=0))
    of = f" of {plural(len(names), 'factor')}" if basis is not None else ""
    title = (
        f"Median uncertainty{of}: {np.median(unsure):.2f} of the spread between {plural(len(unsure), 'observation')}"
    )
    set_title(ax, title, beside=beside)
    left = -beside if narrow else 0.0
    drop: float = (8 if basis is not None else 22) + 12 * lines
    said = "Uncertainty, in SD of the scores"
    said = said if narrow else f"{said} (5th, 50th, 95th percentile)"
    drop = _legend(ax, _scale(_ends(unsure), most, bars=bars), left, drop, said)
    if colours.bar is not None:
        colour_bar(ax, colours.bar, str(colours.title), _ticks(colours.bar.norm), drop=drop + 4, beside=-left)
    elif colours.handles:
        scale: Any = ax.get_legend()
        _legend(ax, colours.handles, left, drop)
        ax.add_artist(scale)
    return ax


class _Colours(NamedTuple):
    """Colour of each observation (n, 3), and what the legend says of it."""

    rgb: np.ndarray
    handles: list[Any]
    title: str | None
    bar: Any


def _key(adata: AnnData, key: str | None) -> str:
    """Key of the scores; of several the only one with an uncertainty."""
    if key is None:
        there = (
            [name.removesuffix("_sd") for name in adata.obsm if str(name).endswith("_sd")]
            if hasattr(adata, "obsm")
            else []
        )
        own = [name for name in there if name in adata.obsm and name in adata.uns]
        key = own[0] if len(own) == 1 else None
    key = score_key(adata, key)
    if f"{key}_sd" not in adata.obsm:
        msg = (
            f"The scores {key!r} (kind {adata.uns[key]['kind']!r}) have no uncertainty: adata.obsm[{key + '_sd'!r}] is not there. "
            "Those of otl.tl.deepprofile and otl.tl.vae have one."
        )
        raise KeyError(msg)
    return key


def _columns(names: list[str], pair: Sequence[str] | None, basis: str | None) -> list[int]:
    if pair is None:
        return list(range(len(names))) if basis is not None else [0, min(1, len(names) - 1)]
    if basis is not None:
        msg = "`pair` and `basis` both say where the points lie. Give one of them."
        raise ValueError(msg)
    if isinstance(pair, str) or len(pair) != 2:
        msg = f"`pair` must be the names of two factors, got {pair!r}. Write pair={names[:2]!r}."
        raise ValueError(msg)
    for name in pair:
        if name not in names:
            raise missing_key(name, "the factors of these scores", names)
    return [names.index(name) for name in pair]


def _embedding(adata: AnnData, basis: str) -> tuple[np.ndarray, list[str]]:
    name = next((name for name in (basis, f"X_{basis}") if name in adata.obsm), None)
    if name is None:
        raise missing_key(basis, "adata.obsm", [str(one).removeprefix("X_") for one in adata.obsm])
    place = np.asarray(adata.obsm[name], dtype=np.float64)
    if place.ndim != 2 or place.shape[1] < 2:
        msg = f"adata.obsm[{name!r}] has shape {place.shape}; `basis` needs two columns."
        raise ValueError(msg)
    said = name.removeprefix("X_")
    said = said.upper() if said in ("umap", "pca", "tsne") else said
    return place[:, :2], [f"{said} 1", f"{said} 2"]


def _colours(adata: AnnData, color: str | None) -> _Colours:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize, to_rgb
    from matplotlib.lines import Line2D

    if color is None:
        return _Colours(np.tile(to_rgb(DEEP), (adata.n_obs, 1)), [], None, None)
    column = check_any(
        read_column(adata, color, argument="color"), "there is nothing to colour by. Name another column: color=..."
    )
    if column.is_number:
        values, known = np.asarray(column.numbers), ~column.absent
        bar = ScalarMappable(Normalize(values[known].min(), values[known].max()), "viridis")
        rgb = np.tile(to_rgb(GREY), (adata.n_obs, 1))
        rgb[known] = bar.to_rgba(values[known])[:, :3]
        return _Colours(rgb, [], spoken(color), bar)
    groups = groups_of(adata, color, name="color")
    palette = np.array([to_rgb(one) for one in (*group_colours(len(groups.names)), GREY)])
    named = [*groups.names, *([UNKNOWN] if (groups.codes < 0).any() else [])]
    handles = [
        Line2D([], [], marker="o", markersize=5.5, linestyle="", color=tuple(palette[i]), label=spoken(name))
        for i, name in enumerate(named)
    ]
    return _Colours(palette[groups.codes], handles, spoken(color), None)


def _ends(unsure: np.ndarray) -> tuple[float, float, float]:
    """Uncertainty of the surest, a middle and the least sure point of the scale."""
    low, middle, high = np.quantile(unsure, [0.05, 0.5, 0.95])
    return float(low), float(middle), float(max(high, SPREAD * low, 1e-12))


def _certain(unsure: np.ndarray, ends: tuple[float, float, float]) -> np.ndarray:
    """From 1 at the surest end of the scale to 0."""
    low, _, high = ends
    return np.clip((high - unsure) / (high - low), 0, 1)


def _area(n: int, ax: Axes) -> float:
    """Area of the surest point, so that many still show."""
    return float(np.clip(0.3 * cell(ax)[0] * cell(ax)[1] / max(n, 1), 5, 60))


def _look(rgb: np.ndarray, certain: np.ndarray, most: float) -> tuple[np.ndarray, np.ndarray, Any]:
    """Areas, fillings and edges: from a small pale point to a large one in full colour."""
    share = (PALEST + (1 - PALEST) * certain)[:, None]
    face = 1 - share * (1 - rgb)
    edge = np.where(share > 0.6, 1.0, 1 - np.maximum(share, 0.5) * (1 - rgb))
    return most * (0.22 + 0.78 * certain), face, edge


def _points(ax: Axes, place: np.ndarray, certain: np.ndarray, rgb: np.ndarray, most: float) -> None:
    """Draw the points, the last ones on top."""
    area, face, edge = _look(rgb, certain, most)
    ax.scatter(
        place[:, 0],
        place[:, 1],
        s=area,
        c=face,
        edgecolors=edge,
        linewidths=0.5 if most > 25 else 0.25 if most > 10 else 0,
        rasterized=len(place) > RASTERIZED,
        zorder=3,
    )
    ax.margins(0.04)


def _bars(ax: Axes, sd: np.ndarray) -> None:
    """Draw on each axis how long a median interval of one standard deviation to each side is."""
    style: Any = {"color": INK, "linewidth": 3.5, "solid_capstyle": "butt", "clip_on": False, "zorder": 6}
    for low, high, length, along in ((*ax.get_xlim(), 2 * sd[0], True), (*ax.get_ylim(), 2 * sd[1], False)):
        if length < high - low:
            ends, zero = [high - length, high], [0, 0]
            transform = ax.get_xaxis_transform() if along else ax.get_yaxis_transform()
            ax.plot(
                *((ends, zero) if along else (zero, ends)), transform=transform, scalex=False, scaley=False, **style
            )


def _scale(ends: tuple[float, float, float], most: float, *, bars: bool) -> list[Any]:
    """What size and paleness mean, and the bars on the axes."""
    from matplotlib.colors import to_rgb
    from matplotlib.lines import Line2D

    handles = []
    for value in ends:
        area, face, edge = _look(np.array([to_rgb(INK)]), _certain(np.array([value]), ends), most)
        mark: Any = {
            "marker": "o",
            "linestyle": "",
            "markersize": float(np.sqrt(area[0])),
            "markerfacecolor": tuple(face[0]),
            "markeredgecolor": tuple(edge[0]),
            "markeredgewidth": 0.5,
        }
        handles.append(Line2D([], [], label=f"{value:.2f}", **mark))
    if bars:
        handles.append(Line2D([], [], color=INK, linewidth=3.5, solid_capstyle="butt", label="±1 median SD"))
    return handles


def _legend(ax: Axes, handles: list[Any], left: float, drop: float, title: str | None = None) -> float:
    """Put a legend below the Axes, at most a quarter as high as the room; return the points down to where it ends."""
    whole, height = cell(ax)[0] - 10 + min(left, 0), 0.25 * cell(ax)[1]
    names = [str(handle.get_label()) for handle in handles]
    most = points("small")
    for size in (most, 0.9 * most, LEAST_FONT):
        widths = [text_width(name, size) + 4.2 * size for name in names]
        n_columns = len(names) if sum(widths) <= whole else max(1, int(whole // max(widths)))
        if -(-len(names) // n_columns) * 1.35 * size <= height:
            break
    else:  # no room for whole names
        n_columns = -(-len(names) // max(1, int(height // (1.35 * size))))
        for handle, name in zip(handles, labels(names, max(whole / n_columns - 4.2 * size, 20), size), strict=True):
            handle.set_label(name)
    legend_below(ax, handles, title=title, ncols=n_columns, shift=left, drop=drop, size=size)
    figure, legend = ax.get_figure(root=True), ax.get_legend()
    if figure is None or legend is None:
        return drop
    return drop + 72 * float(legend.get_window_extent().height) / figure.dpi + 6


def _ticks(norm: Any) -> list[float]:
    """Ends and middle of a colour bar as they are printed."""
    return [float(f"{value:.3g}") for value in (norm.vmin, (norm.vmin + norm.vmax) / 2, norm.vmax)]
