"""The lines of code that the README shows."""

from __future__ import annotations

import re
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

README = Path(__file__).parents[1] / "README.md"


def test_the_lines_run_as_they_stand() -> None:
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 1
    names: dict = {}
    try:
        exec(compile(blocks[0], str(README), "exec"), names)
    finally:
        plt.close("all")
    cohort, factors = names["cohort"], names["factors"]
    assert cohort.uns["plier"]["quality"]["verdict"] == "supported"
    assert factors.shape == (177, cohort.obsm["plier"].shape[1])
    tested = factors.var["test_fdr"].notna()
    assert tested.sum() > 50
    # interferon is what lupus is known for: among the tested factors it must be one of the most certain
    named = factors.var_names.str.contains("INTERFERON_ALPHA")
    assert factors.var.loc[named, "test_fdr"].min() < 0.01
    assert np.isfinite(factors.var.loc[tested, "test_effect_sd"]).all()
