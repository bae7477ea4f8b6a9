"""Which level `tl.scdeal` takes, and what it says of it."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pytest

import omicstl as otl
from omicstl.models.response import level_selection
from omicstl.tl._scdeal import levels

pytestmark = pytest.mark.filterwarnings("ignore::omicstl._core.log.TransferWarning")

SHORT = otl.tl.Training(epochs=3, batch_size=40)
TINY = otl.tl.ResponseNetwork(term=None, n_members=3, hidden=(8,), n_latent=4, n_comps=None)


@pytest.fixture(scope="module")
def screen():
    cells, lines, _ = otl.datasets.simulate_drug_response(80, 60, 300, n_drugs=2, rng=3)
    return cells, lines


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(levels, "NETWORK", TINY)


def run(screen, **options):
    cells = screen[0].copy()
    given = {"drugs": ["ln_ic50"], "sensitive": "low", "lineage_key": "tissue"} | options
    otl.tl.scdeal(cells, screen[1], **given)
    return cells


def test_auto_is_linear_for_few_lines_and_for_many_drugs(screen, monkeypatch):
    few = run(screen).uns["scdeal"]
    assert few["params"]["level"].startswith("linear")
    assert few["params"]["level_reason"].startswith("With fewer than 300 lines")
    assert "levels" not in few
    monkeypatch.setattr(levels, "FEW_LINES", 50)
    many = run(screen, drugs=None, response_key="ln_ic50").uns["scdeal"]
    assert many["params"]["level_reason"].startswith("For several drugs")
    assert "levels" not in many


@pytest.mark.parametrize("taken", [True, False])
def test_select_takes_what_the_comparison_says(screen, small, monkeypatch, taken):
    choose, seen = level_selection.choose, []

    def decided(lines, cells, fits, random, **options):
        found = choose(lines, cells, fits, random, **options)
        seen.append(found)
        return found._replace(taken=taken)

    monkeypatch.setattr(level_selection, "choose", decided)
    cells = run(screen, level="select", training=SHORT)
    entry = cells.uns["scdeal"]
    assert entry["params"]["level"].startswith("network: 3 members" if taken else "linear: ridge")
    assert entry["params"]["level_reason"] == seen[0].reason
    assert entry["levels"]["level"].tolist() == ["linear", "network"]
    np.testing.assert_array_equal(entry["levels"]["line_rho"], seen[0].table["line_rho"])
    assert ("Chen" in otl.cite(cells)) is taken


def test_auto_compares_for_one_drug_and_many_lines(screen, monkeypatch):
    monkeypatch.setattr(levels, "FEW_LINES", 50)
    compared = level_selection.LevelChoice(False, "said", {"level": np.array(["linear", "network"], dtype=object)})
    monkeypatch.setattr(levels.Levels, "_compare", lambda *given: compared)
    entry = run(screen).uns["scdeal"]
    assert entry["params"]["level_reason"] == "said"
    assert len(entry["levels"]) == 2


def test_the_table_is_stored(screen, small, tmp_path):
    cells = run(screen, level="select", training=SHORT)
    cells.write_h5ad(tmp_path / "cells.h5ad")
    again = ad.read_h5ad(tmp_path / "cells.h5ad").uns["scdeal"]
    assert again["levels"]["level"].tolist() == ["linear", "network"]
    assert again["params"]["level_reason"] == cells.uns["scdeal"]["params"]["level_reason"]
    assert again["levels"]["taken"].sum() == 1


def test_nobody_can_tell_from_few_lines(screen):
    cells = screen[0].copy()
    otl.tl.scdeal(cells, screen[1][:25].copy(), drugs=["ln_ic50"], sensitive="low", level="select")
    entry = cells.uns["scdeal"]
    assert entry["params"]["level_reason"] == "25 lines are too few to compare levels, so the linear one is used."


def test_a_level_refuses_training_that_it_may_not_use(screen):
    for level in ("auto", "linear", otl.tl.ResponseRidge()):
        with pytest.raises(ValueError, match="`training` is for networks"):
            run(screen, level=level, training=SHORT)
    assert isinstance(levels.options_of("select", SHORT), levels.Compared)
