"""Clusters of cells: their scores, the lines nearest to them, and what is no tumour cell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from omicstl._core.checks import listed
from omicstl._core.log import TransferWarning, warn
from omicstl._core.random import Streams
from omicstl.models.response import novelty, report
from omicstl.models.response.cells import sample_rows
from omicstl.models.response.clusters import summarise
from omicstl.models.response.model import ResponseModel
from omicstl.models.transfer.screen import Cells, Lines
from omicstl.tl._shared import screen

if TYPE_CHECKING:
    from anndata import AnnData

ALL = "all cells"
_SAMPLE = 5000
ALIKE = 0.3  # correlation of profiles below which a cluster is no line, however alone that line stands


def clusters_of(adata: AnnData, key: str | None) -> np.ndarray | None:
    """Cluster of each cell as a string; a name for nearly each cell is no cluster."""
    found = screen.group_names(adata, key, "cluster_key")
    if found is None:
        return None
    n = int(np.unique(found.astype(str)).size)
    if n > max(1, len(found) / 2):
        msg = (
            f"adata.obs[{key!r}] (`cluster_key`) has {n} different values for {len(found)} cells, so most are alone in theirs. "
            "Pass a column of clusters: at most one for every two cells."
        )
        raise ValueError(msg)
    return found


def nearest(
    lines: Lines, cells: Cells, clusters: np.ndarray | None, mask: np.ndarray | None, mean: np.ndarray
) -> pd.DataFrame:
    """Three nearest lines and the two nearest lineages of each cluster, or of all cells that shape the fit, whose `mean` (p,) is known."""
    groups = np.full(cells.rows.n_rows, ALL, dtype=object) if clusters is None else clusters
    if clusters is None and mask is not None:
        groups = np.where(mask, ALL, "other cells").astype(object)
    names, code = np.unique(groups.astype(str), return_inverse=True)
    means = mean[None] if names.size == 1 and mask is None else report.cluster_means(cells, code, names.size)
    found = novelty.nearest(names, means, np.bincount(code), lines.x, lines.names, lines.lineage, scaled=cells.scaled)
    own = np.where(found.correlation[:, 0] >= ALIKE, found.own_line, "").astype(object)
    table: dict[str, Any] = {"cluster": names.astype(object), "n_cells": found.n_cells}
    for i in range(found.lines.shape[1]):
        table[f"line_{i + 1}"] = found.lines[:, i]
        table[f"correlation_{i + 1}"] = found.correlation[:, i]
    table |= {"lineage": found.lineage, "lineage_correlation": found.lineage_correlation}
    table |= {"second_lineage": found.second_lineage, "own_line": own}
    return pd.DataFrame(table)


def doubt_own_line(table: pd.DataFrame) -> None:
    """Warn where cells seem to be a line that the fit has seen."""
    own = sorted({str(name) for name in table["own_line"] if name})
    if own:
        warn(
            f"Cells look like lines that the fit has learnt from: {listed(own)}. What is predicted for them is then no test of a transfer. Leave "
            f"the lines out: exclude_lines={own[:3]!r}.",
            TransferWarning,
        )


def kinds(
    lines: Lines, cells: Cells, clusters: np.ndarray | None, genes: np.ndarray, random: Streams
) -> tuple[pd.DataFrame, np.ndarray]:
    """Clusters that are plainly not of the source's kind, and the cells in them (m,) bool."""
    nothing = np.zeros(cells.rows.n_rows, dtype=bool)
    columns = ("cluster", "kind", "share", "foreign")
    if clusters is None:
        empty = (np.zeros(0, object), np.zeros(0, object), np.zeros(0), np.zeros(0, bool))
        return pd.DataFrame(dict(zip(columns, empty, strict=True))), nothing
    index = sample_rows(cells.rows.n_rows, None, random, _SAMPLE)
    found = novelty.kinds(clusters[index], cells.rows.take(index), genes, lines.lineage, scaled=cells.scaled)
    values = (found.cluster, found.kind, found.share, found.foreign)
    table = pd.DataFrame(dict(zip(columns, values, strict=True)))
    return table, np.isin(clusters.astype(str), found.cluster[found.foreign].astype(str))


def doubt_kinds(table: pd.DataFrame) -> None:
    """Warn of clusters that a screen of tumour lines says nothing about."""
    foreign = table[table["foreign"]]
    if len(foreign):
        said = ", ".join(f"{c} ({k})" for c, k in zip(foreign["cluster"], foreign["kind"], strict=True))
        warn(
            f"Clusters are plainly not of the lines' kind and their cells are called uncertain: {said}. Say which cells are of the tumour: "
            "mask_obs='<column of True and False>'.",
            TransferWarning,
        )


def summary(
    model: ResponseModel,
    score: np.ndarray,
    latent: np.ndarray,
    clusters: np.ndarray | None,
    codes: np.ndarray,
    novelty: np.ndarray,
) -> pd.DataFrame | None:
    """Scores by cluster with intervals, on the scale before calibration times its slope; one row a cluster and drug."""
    if clusters is None:
        return None
    slope = np.where(model.binary, 1.0, model.calibration["slope"])
    linear = isinstance(model, ResponseModel)
    found = summarise(
        score * slope,
        clusters,
        latent,
        members=np.asarray(model.members, np.float64) * slope if linear else None,
        member_intercept=np.asarray(model.member_intercept, np.float64) * slope if linear else None,
        codes=codes[:, 0] if codes.shape[1] == 1 else None,
        novelty=novelty,
    )
    table = pd.DataFrame({name: value for name, value in found._asdict().items() if name != "drug"})
    table.insert(1, "drug", np.asarray(model.drugs, dtype=object)[found.drug.astype(int)])
    return table
