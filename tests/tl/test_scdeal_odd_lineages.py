"""Lineages that cannot be left out as they should: one for each line, or one for each class of response."""

import numpy as np
import pytest

import omicstl as otl
from omicstl._core.log import TransferWarning

LINES = [f"line {i}" for i in range(60)]


ODD = {
    "each": LINES,
    "nearly each": ["one"] * 2 + LINES[2:],
    "nearly all in one": ["one"] + ["other"] * 59,
    "classes": "response",
}


@pytest.mark.parametrize("lineage", ODD.values(), ids=ODD)
def test_odd_lineages(lineage):
    cells, lines, _ = otl.datasets.simulate_drug_response(60, 60, 300, rng=1)
    lines.obs["lineage"] = lines.obs[lineage].astype(str) if isinstance(lineage, str) else lineage
    with pytest.warns(TransferWarning, match="share 300 varying genes"):  # any other warning is an error
        otl.tl.scdeal(cells, lines, drugs=["response"], sensitive="sensitive", lineage_key="lineage")
    assert np.isfinite(cells.obs["scdeal_score"]).all()
    assert np.isfinite(cells.obs["scdeal_std"]).all()
    assert cells.uns["scdeal_assessment"]["verdict"] != "supported"
