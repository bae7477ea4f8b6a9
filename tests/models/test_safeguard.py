"""The paired comparison that falls back: what helps stays, what harms goes, what makes no difference is not claimed."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from omicstl._core.random import streams
from omicstl.models import safeguard
from omicstl.models.response_calls import Scored


def made(noise, seed=0, d=1, n_lines=80, binary=False):
    rng = np.random.default_rng(0)
    line = np.repeat(np.arange(n_lines), 5)
    y = rng.normal(size=(n_lines, d))
    y[3] = np.nan
    if binary:
        y = np.where(np.isfinite(y), (y > 0).astype(float), np.nan)
    own = np.random.default_rng(seed)
    score = np.nan_to_num(y[line]) + noise * own.normal(size=(line.size, d))
    return Scored(score, y[line], line, None)


NUMBER, CLASS = np.array([False]), np.array([True])


@pytest.mark.parametrize("binary", [NUMBER, CLASS])
def test_better_stays_and_worse_goes(binary):
    good, bad = made(0.5, 1, binary=bool(binary[0])), made(3.0, 2, binary=bool(binary[0]))
    stays = safeguard.compare(good, bad, binary, streams(0))
    assert not stays.fall_back
    assert stays.low[0] > 0
    assert stays.reason.endswith("the transfer is used.")
    assert ("AUROC" in stays.reason) == bool(binary[0])
    for asked in (False, True):
        goes = safeguard.compare(bad, good, binary, streams(0), asked=asked, names=("network", "ridge"))
        assert goes.fall_back
        assert goes.reason.startswith("network against ridge")
        np.testing.assert_allclose(goes.gain, -stays.gain)


def test_no_difference_is_no_benefit_but_no_harm():
    a, b = made(1.0, 1), made(1.0, 1)
    assert safeguard.compare(a, b, NUMBER, streams(0)).fall_back
    assert not safeguard.compare(a, b, NUMBER, streams(0), asked=True).fall_back


def test_gain_is_that_of_the_measure():
    a, b = made(0.5, 1), made(1.0, 2)
    ok = np.isfinite(a.y[:, 0])
    rho = [stats.spearmanr(s.score[ok, 0], s.y[ok, 0]).statistic for s in (a, b)]
    found = safeguard.compare(a, b, NUMBER, streams(0))
    assert found.gain[0] == pytest.approx(rho[0] - rho[1])
    assert found.pooled.mean == pytest.approx(rho[0] - rho[1])
    assert found.pooled.low < found.pooled.mean < found.pooled.high


def test_lineages_are_the_units_and_make_it_wider():
    a, b = made(0.8, 1), made(1.0, 2)
    lineage = np.repeat(np.arange(10), 8).astype(str)
    shifted = a._replace(
        score=a.score + 0.8 * np.random.default_rng(5).normal(size=10)[lineage[a.line].astype(int), None]
    )
    lines = safeguard.compare(shifted, b, NUMBER, streams(0))
    groups = safeguard.compare(shifted, b, NUMBER, streams(0), lineage=lineage)
    assert groups.pooled.n == 10
    assert lines.pooled.n == 79
    assert groups.high[0] - groups.low[0] > lines.high[0] - lines.low[0]


def test_many_drugs_are_judged_together():
    found = safeguard.compare(made(0.5, 1, d=25), made(2.0, 2, d=25), np.zeros(25, bool), streams(0))
    assert not found.fall_back
    assert np.isnan(found.low).all()
    assert found.pooled.mean == pytest.approx(found.gain.mean())


def test_other_cells_are_refused():
    with pytest.raises(ValueError, match="other pseudo-cells"):
        safeguard.compare(made(1.0), made(1.0, n_lines=20), NUMBER, streams(0))
