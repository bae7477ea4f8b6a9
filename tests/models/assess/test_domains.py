"""Measures of how lines and cells differ: near nothing for alike sides, and what is simulated otherwise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from omicstl._core.random import streams
from omicstl.models.assess import domains, space as evidence_space
from omicstl.models.assess.source import source_of
from omicstl.models.transfer.screen import Lines

RANDOM = np.random.default_rng(0)
LOADINGS = RANDOM.normal(size=(5, 200))


def drawn(n: int, random: np.random.Generator, at: float = 0.0, noise: float = 0.5):
    u = random.normal(size=(n, 5))
    u[:, 1] += at
    return u, (u @ LOADINGS + noise * random.normal(size=(n, 200)) + 4).astype(np.float32)


def case(at: float, *, drugs: int = 1, seed: int = 1):
    random = np.random.default_rng(seed)
    u, x = drawn(150, random)
    _, raw = drawn(120, random, at)
    y = u[:, :1] + 0.3 * random.normal(size=(150, drugs))
    names = np.array([f"d{i}" for i in range(drugs)], dtype=object)
    lines = Lines(x, y, names, np.zeros(drugs, bool), np.arange(150).astype(str))
    return lines, raw, evidence_space.build(lines, raw)


def asked(at: float, **options):
    lines, raw, space = case(at)
    source = source_of(lines, space, 0, streams(0))
    found = domains.measures(lines, space, raw, options.pop("scaled", False), streams(0), source=source)
    return {(row.name, row.of): row for row in found}


def test_alike_sides_are_not_told_apart() -> None:
    found = asked(0.0)
    for way in (domains.PLAIN, domains.SCALED):
        assert abs(found["proxy A-distance", way].value) < 0.4
        assert found["proxy A-distance", way].p > 0.05
        assert found["MMD", way].p > 0.05
    assert found["kind of shift", domains.PLAIN].note.startswith("none")


def test_a_shift_of_means_is_seen_as_they_come_and_gone_after_z_scoring() -> None:
    found = asked(3.0)
    plain, scaled = (found["proxy A-distance", way] for way in (domains.PLAIN, domains.SCALED))
    # Two normals 3 SD apart are told apart with an error of Phi(-1.5) at best.
    assert plain.value == pytest.approx(2 * (1 - 2 * norm.cdf(-1.5)), abs=0.25)
    assert plain.p < 0.05
    assert scaled.value < 0.4
    assert abs(plain.null) < 0.1
    assert found["MMD", domains.PLAIN].p < 0.05
    assert found["kind of shift", domains.PLAIN].note.startswith("covariate")
    for name in ("same P(y)", "same P(x | y)", "same P(y | x)"):
        assert found[name, domains.PLAIN].note == "not checked: it needs labels of the cells"


def test_share_condition_and_bound() -> None:
    found = asked(0.0)
    for how in ("EM", "BBSE"):
        row = found[f"share of sensitive cells, {how}", domains.SCALED]
        assert row.value == pytest.approx(0.25, abs=0.1)
        assert row.null == pytest.approx(0.25, abs=0.01)
        low, high = (float(part) for part in row.note.split(";")[0].split(" to "))
        assert low <= row.value <= high
        assert "condition " in row.note
    error, divergence, joint = (
        found[f"bound: {name}", domains.SCALED] for name in ("error in the lines", "divergence", "joint error")
    )
    assert 0 < error.value < 0.25, "better than a guess"
    assert 0 <= divergence.value < 0.3
    assert np.isnan(joint.value)
    assert joint.note == "not checked: it needs labels of the cells"


def test_what_cannot_be_asked_says_so() -> None:
    found = asked(0.0, scaled=True)
    assert found["proxy A-distance", domains.PLAIN].note == "not checked: the cells come as z-scores"
    assert found["kind of shift", domains.PLAIN].note.startswith("not checked: z-scores")
    lines, raw, space = case(0.0, drugs=2)
    several = domains.measures(lines, space, raw, False, streams(0))
    notes = {row.name: row.note for row in several}
    assert notes["kind of shift"] == notes["bound"] == "not checked for several drugs at once: assess one"
    few = lines._replace(y=np.where(np.arange(150)[:, None] < 12, lines.y, np.nan))
    source = source_of(few, space, 0, streams(0))
    found = {row.name: row for row in domains.measures(few, space, raw, False, streams(0), source=source)}
    assert found["share of sensitive cells, EM"].note == "not checked: 3 lines are of a class"
    assert found["kind of shift"].note.startswith("not checked: 12 lines")
    assert found["bound: divergence"].note.startswith("not checked: too few")
