"""The network without alignment as a baseline: what it is given, and what is said of it."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from omicstl._core.random import streams
from omicstl.models.assess import baselines_network
from omicstl.models.response import network
from omicstl.models.transfer.screen import Lines


@pytest.fixture
def lines():
    random = np.random.default_rng(0)
    y = random.normal(size=(50, 3))
    y[:15, 1] = np.nan
    y[45:] = np.nan
    names = np.array(["a", "b", "c"], dtype=object)
    x = random.normal(size=(50, 30)).astype(np.float32)
    return Lines(x, y, names, np.array([False, True, False]), np.arange(50).astype(str), np.arange(50) % 5)


def test_one_ensemble_for_all_drugs_that_were_asked_for(lines, monkeypatch) -> None:
    seen = []
    random = np.random.default_rng(1)

    def fit(part, cells, options, streams_):
        seen.append((part, cells, options))
        left_out = np.where(np.isfinite(part.y), random.normal(size=part.y.shape), np.nan)
        return SimpleNamespace(score=np.arange(8.0)[:, None] * [1, -1], score_lines=left_out)

    monkeypatch.setattr(network, "fit", fit)
    raw = random.normal(size=(8, 30)).astype(np.float32)
    found = baselines_network.unaligned_networks(lines, raw, True, np.array([2, 1]), streams(0))
    ((part, cells, options),) = seen
    assert options.term is None, "nothing aligns"
    assert options.smoothing == 0
    assert part.drugs.tolist() == ["c", "b"]
    assert part.binary.tolist() == [False, True]
    np.testing.assert_array_equal(part.x, lines.x[:45])
    np.testing.assert_array_equal(part.lineage, lines.lineage[:45])
    assert cells.scaled
    np.testing.assert_array_equal(cells.rows.take(np.arange(8)), raw)
    assert [row.score.tolist() for row in found] == [list(range(8)), [-i for i in range(8)]]
    assert all(-1 < row.source_rho < 1 and "no alignment term" in row.note for row in found)


def test_what_was_not_trained_says_why(lines, monkeypatch) -> None:
    few = lines._replace(y=np.where(np.arange(50)[:, None] < 20, lines.y, np.nan))
    (row,) = baselines_network.unaligned_networks(few, np.zeros((5, 30)), False, np.array([0]), streams(0))
    assert row.score is None
    assert row.note == "not fitted: 20 lines are too few"

    def diverges(*_):
        msg = "the loss is not finite"
        raise ValueError(msg)

    monkeypatch.setattr(network, "fit", diverges)
    (row,) = baselines_network.unaligned_networks(lines, np.zeros((5, 30)), False, np.array([0]), streams(0))
    assert row.note == "not fitted: the loss is not finite"
