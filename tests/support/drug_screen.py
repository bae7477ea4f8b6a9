"""A small screen with a table of three drugs, cells for it, and what a refused `tl.scdeal` owes to the user."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import omicstl as otl
from omicstl._core.log import TransferWarning
from tests.support.snapshots import changes, snapshot

FAST = otl.tl.ResponseRidge(align="none", smoothing=0.0, n_members=2, n_comps=10)
DRUGS = ("Lapatinib", "A/B", "PLX-4720")
N_LINES, N_CELLS, N_GENES = 60, 40, 160


def simulated() -> tuple[AnnData, AnnData]:
    """Cells and lines; ``lines.obsm["table"]`` has a column for each of `DRUGS`."""
    cells, lines, _ = otl.datasets.simulate_drug_response(N_LINES, N_CELLS, N_GENES, n_drugs=len(DRUGS), rng=2)
    lines.obsm["table"] = pd.DataFrame(lines.obsm["ln_ic50"], index=lines.obs_names, columns=list(DRUGS))
    return cells, lines


def run(cells: AnnData, lines: AnnData, **options: Any) -> np.ndarray | None:
    """Fit, and give the scores (n_cells, n_drugs) of several drugs."""
    given = {"response_key": "table", "sensitive": "low", "level": FAST, "safeguard": False} | options
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TransferWarning)
        otl.tl.scdeal(cells, lines, **given)
    return cells.obsm.get("scdeal_response")


def refused(screen, error, match, change=None, **options):
    """The call fails with `match` in its message and leaves both objects, changed by `change` before, as they were."""
    cells, lines = (x.copy() for x in screen)
    changed = None if change is None else change(cells, lines)
    if changed is not None:
        cells, lines = changed
    before = snapshot(cells), snapshot(lines)
    with pytest.raises(error, match=match):
        run(cells, lines, **options)
    assert not changes(before[0], snapshot(cells))
    assert not changes(before[1], snapshot(lines))
