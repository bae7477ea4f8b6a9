"""Criteria without labels of the cells: by hand, and side by side for all ways of alignment."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from omicstl._core.random import streams
from omicstl.models.assess import selection as chosen, space as evidence_space
from omicstl.models.assess.source import source_of
from omicstl.models.selection import validation
from omicstl.models.transfer.screen import Lines


@pytest.fixture(scope="module")
def case():
    random = np.random.default_rng(0)
    loadings = random.normal(size=(4, 120))
    a, b = random.normal(size=(90, 4)), random.normal(size=(80, 4)) + 0.3
    x, raw = ((part @ loadings + random.normal(size=(len(part), 120)) + 4).astype(np.float32) for part in (a, b))
    y = a[:, :1] + 0.5 * random.normal(size=(90, 1))
    lineage = np.array([f"t{i % 9}" for i in range(90)], dtype=object)
    lines = Lines(x, y, np.array(["d"], dtype=object), np.zeros(1, bool), np.arange(90).astype(str), lineage)
    return lines, raw, evidence_space.build(lines, raw)


def test_the_plain_ridge_by_hand(case) -> None:
    lines, _, space = case
    source = source_of(lines, space, 0, streams(0))
    found = {row.criterion: row for row in chosen.of_ridge(source, space, streams(0))}
    assert found["lineages left out, rho"].value == pytest.approx(spearmanr(source.out_of_fold, source.y)[0])
    k = min(10, space.coords.shape[1])
    size = space.coords[:, :k].std(axis=0)
    weights = validation.importance_weights(
        space.coords[:, :k] / size, space.cell_coords[:, :k] / size, streams(0).generator("weights of lines")
    )
    slope = np.polyfit(source.out_of_fold, source.y, 1)
    loss = (source.y - np.polyval(slope, source.out_of_fold)) ** 2 / source.y.var()
    w = weights.ratio
    assert found["importance-weighted risk"].value == pytest.approx((w * loss).sum() / w.sum())
    eta = -np.cov(w * loss, w)[0, 1] / w.var(ddof=1)
    assert found["deep-embedded risk"].value == pytest.approx((w * loss).mean() + eta * (w.mean() - 1))
    assert found["effective lines"].value == pytest.approx(w.sum() ** 2 / (w**2).sum())
    assert abs(found["deep-embedded risk"].value - found["importance-weighted risk"].value) > 1e-4, (
        "a control variate at work"
    )


def test_few_lines_are_not_weighed(case) -> None:
    lines, _, space = case
    few = lines._replace(y=np.where(np.arange(90)[:, None] < 20, lines.y, np.nan))
    found = chosen.of_ridge(source_of(few, space, 0, streams(0)), space, streams(0))
    assert [row.note for row in found[1:]] == ["not checked: too few lines or cells"] * 3
    (row,) = chosen.compared(few, case[1], False, np.array([0]), streams(0))
    assert row.note == "not checked: 20 lines are too few"


def test_all_ways_by_all_criteria(case) -> None:
    lines, raw, _ = case
    found = chosen.compared(lines, raw, False, np.array([0]), streams(0))
    ways = [row.candidate for row in found if row.criterion == "circular, rho"]
    assert ways == ["none", "coral", "denoise"]
    for way in ways:
        mine = {row.criterion: row for row in found if row.candidate == way}
        assert mine["lineages left out, rho"].value > 0.5
        assert mine["pseudo-cells, rho"].value > 0.3
        assert 0 < mine["importance-weighted risk"].value < 1.5
        assert np.isfinite(mine["deep-embedded risk"].value)
        gain = mine["pseudo-cells, gain over no alignment"]
        assert gain.low <= gain.value <= gain.high
    none = next(row for row in found if row.candidate == "none" and row.criterion.startswith("pseudo-cells, gain"))
    assert none.value == 0
    taken = next(row for row in found if row.criterion == "taken by these")
    assert taken.candidate in ways
    assert taken.note
    effective = next(row for row in found if row.criterion == "effective lines")
    assert 1 <= effective.value <= 90


def test_tables_of_verbs() -> None:
    table = {"method": np.array(["none", "coral"]), "circular": np.array([0.5, 0.6]), "other": np.array([1.0, 2.0])}
    found = chosen.told(table, "method")
    assert [(row.candidate, row.criterion, row.value) for row in found] == [
        ("none", "circular, skill", 0.5), ("coral", "circular, skill", 0.6)
    ]  # fmt: skip
