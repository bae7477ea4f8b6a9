"""How far a projection can be trusted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from omicstl._core.checks import check_choice, missing_key
from omicstl._core.public import public
from omicstl._data.adata import check_adata

from ._style import ACCENT, DEEP, INK, axes, clean, only
from ._text import (
    NARROW,
    cell,
    label_room,
    labels,
    plural,
    row_font,
    rows_that_fit,
    set_title,
    set_xlabel,
    signed,
    text_width,
)

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes

WORST = 20  # factors that `of="factors"` draws
INTERPRETABLE = 0.8
AROUND = 80  # points for the title, and for what stands below


@public
def projection_quality(adata: AnnData, key: str | None = None, *, of: str = "samples", ax: Axes | None = None) -> Axes:
    """
    Draw what speaks for and against a projection.

    The first thing to look at after `omicstl.tl.project`: does this reference describe these samples better than chance
    (``of="samples"``), and which factors can the measured genes determine (``of="factors"``)?

    Parameters
    ----------
    adata
        An AnnData that `omicstl.tl.project` has written to.
    key
        Name that the projection was written under. `None` takes the only one there.
    of
        ``"samples"``: how well each sample's genes are predicted from its other genes (R²), the same with the model's
        genes permuted, and what samples of the reference itself reach. ``"factors"``: expected correlation of each factor's score on
        the measured genes with its score on all genes, the 20 lowest (small Axes: as many
        as have room); below 0.8, and if the projection is refused, do not interpret.
    ax
        Axes to draw into. `None` makes a figure.

    Returns
    -------
    The Axes. The title says the verdict, and what it rests on.

    Raises
    ------
    KeyError
        If there is no projection under `key`, or several and no `key`.
    ValueError
        If `of` is neither of the two, or fewer than 3 observations were projected, which have no R².
    TypeError
        If `adata` is no AnnData or `ax` are no Axes.

    Notes
    -----
    R² leaves each gene out in turn and counts what deviates from the cohort's mean, so that a constant shift between two
    platforms earns nothing; permuted genes are the best of several permutations for each sample. Reads
    ``obs[f"{key}_r2"]``, ``obs[f"{key}_r2_null"]`` and ``uns[key]["quality"]``. Cost: a histogram.

    Examples
    --------
    >>> import omicstl as otl
    >>> both, truth = otl.datasets.simulate_pathways(n_query=20)
    >>> reference, query = (both[both.obs["cohort"] == name].copy() for name in ("reference", "query"))
    >>> otl.tl.plier(reference, truth.gene_sets, n_factors=5, max_iter=40, tol=1e-2)
    >>> otl.tl.project(query, reference)
    >>> otl.pl.projection_quality(query).get_title(loc="left").split()[0]
    'Supported:'
    """
    check_adata(adata)
    check_choice("of", of, ("samples", "factors"))
    found = {name: entry for name, entry in adata.uns.items() if isinstance(entry, Mapping) and "quality" in entry}
    key = only(list(found), key, "projections")
    if key not in found:
        raise missing_key(key, "the projections in adata.uns", found)
    quality = found[key]["quality"]
    return _factors(quality, ax) if of == "factors" else _samples(adata, key, quality, ax)


def _samples(adata: AnnData, key: str, quality: Mapping[str, Any], ax: Axes | None) -> Axes:
    for name in (f"{key}_r2", f"{key}_r2_null"):
        if name not in adata.obs:
            raise missing_key(name, "adata.obs", adata.obs.columns)
    r2, null = (adata.obs[name].to_numpy(dtype=float) for name in (f"{key}_r2", f"{key}_r2_null"))
    assessed = np.isfinite(r2) & np.isfinite(null)
    if not assessed.any():
        msg = f"obs[{key + '_r2'!r}] holds no value: R² needs at least 3 observations, got {adata.n_obs}. Use of='factors'."
        raise ValueError(msg)
    r2, null = r2[assessed], null[assessed]
    ax = axes(ax, 5.4, 3.2)
    expected = float(quality.get("r2_expected", np.nan))
    low = min(0.0, float(np.quantile(np.concatenate([r2, null]), 0.005)))
    high = max(float(r2.max()), float(null.max()), expected if np.isfinite(expected) else 0.0, 0.05)
    bins = np.linspace(low, high * 1.02, 36).tolist()
    share = np.full(r2.size, 100 / r2.size)
    ax.hist(np.clip(r2, low, None), bins, weights=share, color=DEEP, alpha=0.8, label="these samples")
    ax.hist(
        np.clip(null, low, None), bins, weights=share, color=INK, histtype="step", linewidth=1.4, label="genes permuted"
    )
    if np.isfinite(expected):
        ax.axvline(
            expected, ymax=0.55, color=ACCENT, linestyle=(0, (4, 2)), linewidth=1.8, label="the reference itself"
        )
    narrow = cell(ax)[0] - 10 <= NARROW
    set_xlabel(ax, "R² of held-out genes")
    ax.set_ylabel("% of samples", fontsize="small" if narrow else None)
    if narrow:
        ax.tick_params(axis="y", labelsize="small")
    set_title(ax, _verdict(quality, r2, null, expected), beside=30, shift=False)
    ax.legend(
        frameon=False, loc="upper right", fontsize="small" if narrow else None, handlelength=1.4 if narrow else None
    )
    clean(ax)
    return ax


def _verdict(quality: Mapping[str, Any], r2: np.ndarray, null: np.ndarray, expected: float) -> str:
    """Words for the title: what the verdict rests on."""
    verdict = str(quality.get("verdict", "not assessed"))
    above = f"{100 * float(np.mean(r2 > null)):.0f} % of {plural(r2.size, 'sample')} above chance"
    if verdict == "weak":
        reached = float(quality.get("r2", np.median(r2)))
        own = (
            f"less than half of the reference's own {expected:.2f}"
            if np.isfinite(expected)
            else "the reference's own is not known"
        )
        return f"Weak: R² {signed(reached)}, {own}\n({above})"
    return f"{verdict.capitalize()}: {'only ' if verdict == 'refused' else ''}{above}"


def _factors(quality: Mapping[str, Any], ax: Axes | None) -> Axes:
    table, verdict = quality["factors"], str(quality.get("verdict", "not assessed"))
    worst = table.sort_values("expected_r", kind="stable").head(WORST)
    own = ax is None
    ax = axes(ax, 5.4, 1.2 + 0.2 * len(worst))
    worst = worst if own else worst.head(rows_that_fit(ax, len(worst), AROUND))
    worst = worst.iloc[::-1]
    good = worst["interpretable"].to_numpy(dtype=bool) & (verdict != "refused")
    ax.barh(range(len(worst)), worst["expected_r"], color=[DEEP if ok else ACCENT for ok in good], height=0.75)
    size = row_font(ax, len(worst), AROUND)
    texts = labels([str(name) for name in worst["factor"]], label_room(ax, 190, own=own), size)
    beside = max(text_width(text, size) for text in texts) + 4
    ax.set_yticks(range(len(worst)), texts, fontsize=size)
    ax.set_ylim(-0.6, len(worst) - 0.4)
    ax.set_xlim(0, 1)
    ax.axvline(INTERPRETABLE, color=INK, linestyle=(0, (4, 2)), linewidth=1.3)
    set_xlabel(ax, "expected correlation with the score on all genes", beside=beside)
    poor = int((table["expected_r"] < INTERPRETABLE).sum())
    rest = f"\n(the lowest {len(worst)} shown)" if len(table) > len(worst) else ""
    n = len(table)
    determined = f"The genes at hand determine {f'{n - poor} of' if poor else 'all'} {plural(n, 'factor')}"
    said = f"Do not interpret {poor} of {plural(n, 'factor')}" if poor else determined
    if verdict in ("weak", "refused"):
        said = f"{determined}; but the transfer is {verdict}"
    set_title(ax, said + rest, beside=beside)
    clean(ax, left=False)
    return ax
