"""How far cells are from the lines that a model was trained on, which lines are nearest, and what is not a tumour cell (numpy).

Novelty is a quantile: the share of pseudo-cells of left-out lineages that lie nearer to the remaining lines than the cell
does to all lines. Pseudo-cells have the noise of the target's cells, so a cell is not far because it is shallow. Distances are
taken to means of small groups of lines, so that what is kept holds no line by itself.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np

from omicstl.kernels.knn_smooth import neighbours
from omicstl.models.selection.pseudo_cells import spread_between

FAR = 0.99  # novelty above which a cell is far
_COMPONENTS = 20  # leading ones in which distances are taken: beyond, noise adds up
_AROUND, _NEAREST = 10, 3  # neighbours that are averaged; groups of lines to which the distance is taken
_NAMED = 3  # lines that are nearest to a cluster
_GROUP, _LEFT = 5, 3  # lines of a group at least, and what of it must stay when lines are left out
_GRID = 257  # quantiles of distances that are kept
_FEWEST_OTHERS = 10  # lines of other lineages below which a lineage is not left out as a whole
_LEAST = 3  # pseudo-cells of a line below which they tell of noise rather than of the line
_BLOCK = 4096
_OWN = 0.01  # share of lines that have another line as near as the target has its nearest
#: Well-known markers of cells that a tumour sample holds beside tumour cells.
MARKERS: dict[str, tuple[str, ...]] = {
    "immune": (
        "PTPRC",
        "CD3D",
        "CD3E",
        "CD2",
        "CD8A",
        "NKG7",
        "MS4A1",
        "CD79A",
        "CD14",
        "LYZ",
        "CD68",
        "FCGR3A",
        "CD74",
    ),
    "fibroblast": ("COL1A1", "COL1A2", "COL3A1", "DCN", "LUM", "PDGFRA", "PDGFRB", "FAP"),
    "endothelial": ("PECAM1", "VWF", "CDH5", "KDR", "CLDN5", "ENG", "ESAM"),
}
_BLOOD = re.compile(r"h(a)?emato|blood|leuk|lymph|myel", re.IGNORECASE)


class Novelty(NamedTuple):
    """Lines in the space of components, in summary, and how far pseudo-cells of left-out lineages are from the other lines."""

    centres: np.ndarray  # (g, k) means of groups of at least five lines
    quantiles: np.ndarray  # (2, 257) of the distances of means of near pseudo-cells, and of single ones


class Nearest(NamedTuple):
    """For each cluster its nearest lines and lineage. Arrays (clusters,) or (clusters, t)."""

    cluster: np.ndarray
    n_cells: np.ndarray
    lines: np.ndarray  # (clusters, t) names, nearest first
    correlation: np.ndarray  # (clusters, t)
    lineage: np.ndarray  # "" where lineages are not known
    lineage_correlation: np.ndarray  # mean over lines of that lineage
    second_lineage: np.ndarray
    own_line: np.ndarray  # name of the line that the cluster seems to be, else ""


class Kinds(NamedTuple):
    """What clusters seem to be: "" or a key of `MARKERS`; `foreign` where the source has no such lines."""

    cluster: np.ndarray
    kind: np.ndarray
    share: np.ndarray  # of the cluster's cells with markers of that kind
    foreign: np.ndarray  # bool


def around(latent: np.ndarray) -> np.ndarray:
    """Mean of each row and its nearest others, which takes off most of the noise of single cells."""
    latent = latent[:, :_COMPONENTS]
    if len(latent) <= _AROUND:
        return np.asarray(latent, dtype=np.float64)
    found = np.empty((len(latent), latent.shape[1]))
    for start in range(0, len(latent), _BLOCK):  # neighbours within a block: enough of them are near
        rows = np.asarray(latent[start : start + _BLOCK], dtype=np.float64)
        near = neighbours(rows.astype(np.float32), min(_AROUND, len(rows) - 1))[0]
        found[start : start + _BLOCK] = (rows + rows[near].sum(axis=1)) / (1 + near.shape[1])
    return found


def groups(points: np.ndarray) -> np.ndarray:
    """Number of the group of each row (n,): halves along the axis of largest spread, as long as both have five rows."""
    code, open_, n = np.zeros(len(points), dtype=np.intp), [np.arange(len(points))], 0
    while open_:
        rows = open_.pop()
        if len(rows) >= 2 * _GROUP:
            x = points[rows] - points[rows].mean(axis=0)
            axis = np.linalg.eigh(x.T @ x)[1][:, -1]
            order = rows[np.argsort(x @ (axis * np.sign(axis[np.abs(axis).argmax()])), kind="stable")]
            open_ += [order[: len(order) // 2], order[len(order) // 2 :]]
        else:
            code[rows] = n
            n += 1
    return code


def _centres(points: np.ndarray, code: np.ndarray, left_out: np.ndarray | None = None) -> np.ndarray:
    """Means of groups without the rows that are left out (n,) bool; groups that lose most of their rows do not count."""
    keep = np.ones(len(points), dtype=bool) if left_out is None else ~left_out
    count, total = np.bincount(code[keep], minlength=code.max() + 1), np.zeros((code.max() + 1, points.shape[1]))
    np.add.at(total, code[keep], points[keep])
    there = count >= min(_LEFT, int(count.max()))
    return total[there] / count[there][:, None]


def _distance(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Mean distance to the nearest groups."""
    apart = (points**2).sum(axis=1)[:, None] + (centres**2).sum(axis=1) - 2 * points @ centres.T
    k = min(_NEAREST, len(centres))
    return np.sqrt(np.maximum(np.partition(apart, k - 1, axis=1)[:, :k], 0.0)).mean(axis=1)


def reference(
    latent_lines: np.ndarray, latent_pseudo: np.ndarray, line: np.ndarray, lineage: np.ndarray | None = None
) -> Novelty:
    """Learn how far cells of unseen lineages are from the lines.

    `latent_pseudo` (c, k) are pseudo-cells of left-out lines (`calls.pseudo_scores`) in the space of
    `latent_lines` (n, k), `line` (c,) whose they are. Without lineages only the line itself is left out. Where one lineage is
    nearly all lines, the rest is too few and only lines are left out.
    """
    lines = np.asarray(latent_lines[:, :_COMPONENTS], dtype=np.float64)
    single = np.asarray(latent_pseudo[:, :_COMPONENTS], dtype=np.float64)
    enough = np.bincount(line)[line] >= _LEAST
    if enough.any():
        single, line = single[enough], line[enough]
    smoothed = single.copy()
    for one in np.unique(line):  # neighbours of a cell in the target are of its kind; here that is the line
        rows = np.flatnonzero(line == one)
        smoothed[rows] = around(smoothed[rows]) if rows.size > _AROUND else smoothed[rows].mean(axis=0)
    own = np.arange(len(lines))  # what is left out together
    if lineage is not None:
        names, member, size = np.unique(lineage, return_inverse=True, return_counts=True)
        if len(lines) - size[np.unique(member[line])].max() >= _FEWEST_OTHERS:
            own = member
    code, distances = groups(lines), np.empty((2, len(smoothed)))
    for one in np.unique(own[line]):
        rows, centres = own[line] == one, _centres(lines, code, own == one)
        distances[:, rows] = _distance(smoothed[rows], centres), _distance(single[rows], centres)
    return Novelty(_centres(lines, code), np.quantile(distances, np.linspace(0, 1, _GRID), axis=1).T)


def novelty(latent: np.ndarray, seen: Novelty) -> np.ndarray:
    """Share of left-out pseudo-cells that are nearer to lines than each of these cells, (m,) float32 in 0 to 1.

    Cells are averaged with those around them, as pseudo-cells are; up to ten cells are compared with single pseudo-cells.
    """
    place, quantiles = around(latent), seen.quantiles[int(len(latent) <= _AROUND)]
    found = np.concatenate(
        [_distance(place[i : i + _BLOCK], seen.centres) for i in range(0, len(place), _BLOCK)] or [np.zeros(0)]
    )
    # From above, so that of equal quantiles the lowest counts.
    return (1 - np.interp(-found, -quantiles[::-1], np.linspace(0, 1, quantiles.size))).astype(np.float32)


def nearest(
    clusters: np.ndarray,
    means: np.ndarray,
    n_cells: np.ndarray,
    lines: np.ndarray,
    names: np.ndarray,
    lineage: np.ndarray | None = None,
    *,
    scaled: bool = False,
) -> Nearest:
    """Name the lines and lineages nearest to each cluster, and say where a cluster seems to be a line of the source.

    Parameters
    ----------
    clusters, means, n_cells
        Names (c,), mean values (c, p) over their cells, numbers of cells.
    lines, names, lineage
        The source (n, p). Log values: profiles are levels, after what all lines share is taken off by regression. With
        `scaled` cells or z-scored lines levels are lost, and clusters are compared by their differences to their mean.
    """
    centre, sd, _ = spread_between(lines)
    z = (np.asarray(lines, dtype=np.float64) - centre) / sd
    mean = np.asarray(means, dtype=np.float64)
    relative = scaled or float(np.std(centre)) < 0.2
    if relative:
        profile = mean - (n_cells[:, None] * mean).sum(axis=0) / n_cells.sum()
    else:
        shared = np.column_stack([np.ones(centre.size), centre, centre**2])
        profile = mean - (shared @ np.linalg.lstsq(shared, mean.T, rcond=None)[0]).T
        profile /= np.where(np.isfinite(sd), sd, np.inf)  # as lines are: a gene that varies little says little
    r = _correlation(profile, z)
    among = _correlation(z, z)
    np.fill_diagonal(among, -np.inf)
    gaps = np.sort(_gap(among))
    gap = _gap(r) if len(names) > 2 else np.zeros(len(r))
    alone = 1.0 - np.searchsorted(gaps, gap, side="left") / gaps.size <= _OWN
    order = np.argsort(-r, axis=1)[:, : min(_NAMED, len(names))]
    top = np.take_along_axis(r, order, axis=1)
    best, best_r, second = _lineages(r, lineage)
    known = np.ptp(profile, axis=1) > 1e-9
    shown = np.asarray(names, dtype=object)[order]
    shown[~known] = ""
    own = np.where(alone & known, shown[:, 0], "")
    return Nearest(np.asarray(clusters, dtype=object), np.asarray(n_cells), shown, top, best, best_r, second, own)


def _correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    a, b = (x - x.mean(axis=1, keepdims=True) for x in (a, b))
    a, b = (x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12) for x in (a, b))
    return a @ b.T


def _gap(r: np.ndarray) -> np.ndarray:
    """Lead of the largest correlation of each row over the second, in spreads of the row."""
    if r.shape[1] < 3:
        return np.zeros(len(r))
    two = np.partition(r, -2, axis=1)[:, -2:]
    spread = np.std(np.where(np.isfinite(r), r, 0.0), axis=1)
    return (two[:, 1] - two[:, 0]) / np.maximum(spread, 1e-12)


def _lineages(r: np.ndarray, lineage: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    nothing = np.full(len(r), "", dtype=object)
    if lineage is None or np.unique(lineage).size < 2:
        return nothing, np.full(len(r), np.nan), nothing.copy()
    names, code, count = np.unique(lineage, return_inverse=True, return_counts=True)
    mean = np.zeros((len(r), names.size))
    np.add.at(mean.T, code, r.T)
    mean /= count
    order = np.argsort(-mean, axis=1)
    names = names.astype(object)
    return names[order[:, 0]], np.take_along_axis(mean, order[:, :1], axis=1)[:, 0], names[order[:, 1]]


def kinds(
    clusters: np.ndarray,
    cells: np.ndarray,
    genes: np.ndarray,
    lineage: np.ndarray | None = None,
    *,
    scaled: bool = False,
) -> Kinds:
    """Find clusters that are plainly no tumour cells by markers: immune cells, fibroblasts, endothelium.

    `clusters` (m,) of a sample of cells (m, p) with symbols `genes` (p,). A cell is of a kind if at least two of its markers
    (a third, where few are measured) are there; a cluster if half of its cells are. Immune clusters are foreign unless all
    clusters are immune and the source has blood lineages: then the tumour is one of the blood.
    """
    names, code = np.unique(np.asarray(clusters).astype(str), return_inverse=True)
    place = {str(gene).upper(): i for i, gene in enumerate(genes)}
    kind, share = np.full(names.size, "", dtype=object), np.zeros(names.size)
    for which, markers in MARKERS.items():
        columns = [place[gene] for gene in markers if gene in place]
        if len(columns) < 3:
            continue
        there = (cells[:, columns] > (1.0 if scaled else 0.0)).sum(axis=1) >= max(2, len(columns) // 3)
        found = np.bincount(code, weights=there.astype(np.float64)) / np.bincount(code)
        better = (found >= 0.5) & (found > share)
        kind[better], share[better] = which, found[better]
    blood = lineage is not None and any(_BLOOD.search(str(name)) for name in np.unique(lineage))
    foreign = kind != ""
    if blood and (kind == "immune").all():
        foreign[:] = False
    return Kinds(names.astype(object), kind, share, foreign)
