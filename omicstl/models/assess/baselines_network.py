"""The network that a deep transfer has to be held against: one encoder for lines and cells, and no term that aligns them."""

from __future__ import annotations

import numpy as np

from omicstl._core.random import Streams
from omicstl.models.response.network_options import ResponseNetwork
from omicstl.models.selection.pseudo_cells import Table
from omicstl.models.transfer.scores import rank_correlation_of_known
from omicstl.models.transfer.screen import Cells, Lines

from .baselines import Baseline

NAME = "unaligned network"
N_MEMBERS = 3
FEWEST_LINES = 30


def unaligned_networks(
    lines: Lines, raw: np.ndarray, scaled: bool, drugs: np.ndarray, random: Streams
) -> list[Baseline]:
    """
    Train the networks of `tl.scdeal` without alignment, one ensemble with a head for each drug (columns `drugs` of the response).

    Each member leaves a third of the lines out, whole lineages where these are known, and stops early on them: its rank correlation
    with their response is a little flattered by that. `raw` (m, p) are cells in the genes of the lines. Cost: some nine CPU seconds
    for compiling and 1,000 steps, whatever the number of drugs.
    """
    from omicstl.models.response import network

    y = lines.y[:, drugs]
    rows = np.flatnonzero(np.isfinite(y).any(axis=1))
    if rows.size < FEWEST_LINES:
        return [Baseline(NAME, None, np.nan, f"not fitted: {rows.size} lines are too few") for _ in drugs]
    part = Lines(
        x=np.asarray(lines.x)[rows],
        y=y[rows],
        drugs=np.asarray(lines.drugs)[drugs],
        binary=np.asarray(lines.binary)[drugs],
        names=np.asarray(lines.names)[rows],
        lineage=None if lines.lineage is None else np.asarray(lines.lineage)[rows],
        study=None if lines.study is None else np.asarray(lines.study)[rows],
    )
    options = ResponseNetwork(term=None, n_members=N_MEMBERS, smoothing=0.0)
    cells = Cells(Table(np.asarray(raw, np.float32)), scaled)
    try:
        found = network.fit(part, cells, options, random)
    except ValueError as error:  # a loss that is not finite
        return [Baseline(NAME, None, np.nan, f"not fitted: {error}") for _ in drugs]
    note = f"one encoder for both sides, no alignment term, {N_MEMBERS} members"
    return [
        Baseline(
            NAME,
            found.score[:, i].astype(np.float64),
            rank_correlation_of_known(found.score_lines[:, i], part.y[:, i]),
            note,
        )
        for i in range(len(drugs))
    ]
