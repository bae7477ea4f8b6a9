"""Plain models: what they are fitted on, and that they rank what they should."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from omicstl._core.random import streams
from omicstl.models.assess import baselines, space as evidence_space
from omicstl.models.assess.source import source_of
from omicstl.models.transfer.screen import Lines


@pytest.fixture(scope="module")
def case():
    random = np.random.default_rng(0)
    loadings = random.normal(size=(3, 600))
    a, b = random.normal(size=(90, 3)), random.normal(size=(50, 3))
    x, cells = (part @ loadings + random.normal(size=(len(part), 600)) + 4 for part in (a, b))
    y = a[:, 0] + 0.3 * random.normal(size=90)
    lineage = np.array([f"t{i % 6}" for i in range(90)], dtype=object)
    lines = Lines(
        x.astype(np.float32),
        y[:, None],
        np.array(["d"], dtype=object),
        np.zeros(1, bool),
        np.arange(90).astype(str),
        lineage,
    )
    raw = cells.astype(np.float32)
    space = evidence_space.build(lines, raw)
    return lines, raw, space, source_of(lines, space, 0, streams(0)), b[:, 0]


def test_folds_keep_groups_together() -> None:
    groups = np.repeat(np.arange(7), [30, 20, 10, 10, 5, 5, 4])
    fold = baselines.folds_of(groups, np.random.default_rng(0))
    assert all(np.unique(fold[groups == group]).size == 1 for group in range(7))
    assert np.bincount(fold).tolist() == sorted(np.bincount(fold), reverse=True) or np.bincount(fold).max() == 30
    assert np.unique(baselines.folds_of(np.array([0, 0, 1]), np.random.default_rng(0))).size == 2


@pytest.mark.parametrize("name", ["ridge", "unaligned", "logistic", "boosting"])
def test_each_ranks_lines_and_cells(case, name) -> None:
    lines, raw, space, source, truth = case
    if name == "logistic":
        lines = lines._replace(y=(lines.y > np.median(lines.y)).astype(float), binary=np.ones(1, bool))
        source = source_of(lines, space, 0, streams(0))
    row = {
        "ridge": lambda: baselines.own_ridge(source, space),
        "unaligned": lambda: baselines.unaligned(source, space, lines, raw, False),
        "logistic": lambda: baselines.logistic(source, space, np.random.default_rng(0)),
        "boosting": lambda: baselines.boosting(source, space, np.random.default_rng(0), 0),
    }[name]()
    assert row.source_rho > 0.5
    assert spearmanr(row.score, truth)[0] > 0.6
    if name == "boosting":
        assert "500 screened genes" in row.note


def test_what_is_not_possible_says_so(case) -> None:
    lines, raw, space, source, _ = case
    assert baselines.unaligned(source, space, lines, raw, True).score is None
    assert baselines.untrained().note.startswith("not checked")
    assert baselines.general(source, space, None, np.nan).score is None
    found = baselines.fitted_baselines(source, space, lines, raw, False, "fast", streams(0))
    assert {row.name: row.score is None for row in found} == {
        "ridge": False, "unaligned ridge": False, "boosting": True, "unaligned network": True
    }  # fmt: skip
