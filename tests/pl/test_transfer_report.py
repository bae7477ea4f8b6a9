"""The page of a verdict: what it says is what was found, and it can be read."""

from __future__ import annotations

import numpy as np
import pytest
from anndata import AnnData
from matplotlib.colors import to_hex

import omicstl as otl
from omicstl._core.random import streams
from omicstl.models.assess.decide import STANDING
from omicstl.models.assess.report import of_drugs
from omicstl.models.transfer.screen import Cells, Lines
from tests.pl.support import cut_off, overlaps, page, texts


class Rows:
    def __init__(self, x):
        self.x, (self.n_rows, self.n_cols) = x, x.shape

    def take(self, index):
        return self.x[index]


def assessed(n_drugs: int = 1, *, scaled: bool = False, seed: int = 0, n: int = 80) -> AnnData:
    """An object that holds nothing but an assessment."""
    random = np.random.default_rng(seed)
    loadings = random.normal(size=(4, 200))
    x, z = (random.normal(size=(rows, 4)) @ loadings + random.normal(size=(rows, 200)) + 3 for rows in (n, 60))
    y = (x @ loadings[0])[:, None] * 0.02 * np.linspace(1, 0, n_drugs) + random.normal(size=(n, n_drugs))
    names = np.array([f"drug/{i} of a long name" for i in range(n_drugs)], dtype=object)
    lineage = np.array([f"tissue {i % 5}" for i in range(n)], dtype=object)
    lines = Lines(x.astype(np.float32), y, names, np.zeros(n_drugs, bool), np.arange(n).astype(str), lineage)
    cells = Cells(Rows(z.astype(np.float32)), scaled, np.full(60, 1000.0) + np.arange(60))
    scores = np.repeat((z @ loadings[0])[:, None], n_drugs, axis=1)
    adata = AnnData(np.zeros((2, 2), np.float32))
    params = {"key": "scdeal", "kind": "scdeal", "level": "fast"}
    adata.uns["scdeal_assessment"] = of_drugs(lines, cells, scores, names.tolist(), streams(0), params=params)
    return adata


def words(ax) -> str:
    return " ".join(text.get_text().replace("\n", " ") for text in texts(ax))


def test_the_word_the_reasons_and_what_cannot_be_told() -> None:
    adata = assessed(scaled=True)
    ax = page(7, 6, layout=None)
    assert otl.pl.transfer_report(adata, ax=ax) is ax
    entry = adata.uns["scdeal_assessment"]
    said = words(ax)
    assert ax.texts[0].get_text() == entry["verdict"].capitalize()
    assert entry["reasons"][0][:40] in said
    assert STANDING in said
    skipped = entry["checks"]["check"][entry["checks"]["status"] == "not checked"]
    assert f"Not checked: {', '.join(skipped)}." in said


def test_the_strip_shows_values_limits_and_colours() -> None:
    adata = assessed()
    ax = otl.pl.transfer_report(adata, ax=page(7, 6, layout=None))
    table = adata.uns["scdeal_assessment"]["checks"]
    table = table[table["status"] != "not checked"].reset_index(drop=True)
    strip = ax.child_axes[0]
    colours = {"passed": "#0072b2", "caution": "#e69f00", "failed": "#d55e00"}
    for i, row in table.iterrows():
        marks = [
            line for line in strip.lines if line.get_marker() in "oDX" and np.all(np.asarray(line.get_ydata()) == i)
        ]
        value = marks[-1]
        assert to_hex(value.get_color()) == colours[row["status"]], row["check"]
        if abs(row["value"]) <= 1 and 0 <= row["limit"] <= 1 and row["check"] != "scale of the cells":
            np.testing.assert_allclose(value.get_xdata(), np.clip(row["value"], 0, 1))


def test_baselines_or_drugs_at_the_side() -> None:
    one = otl.pl.transfer_report(assessed(), ax=page(7, 6, layout=None))
    assert any("ridge" in text.get_text() for text in one.child_axes[1].texts)
    several = assessed(4)
    ax = otl.pl.transfer_report(several, ax=page(7, 6, layout=None))
    counted = several.uns["scdeal_assessment"]["drugs"]["verdict"].value_counts()
    shown = {text.get_text() for text in ax.child_axes[1].texts}
    assert shown == {f"{word}: {counted.get(word, 0)}" for word in ("supported", "caution", "do not use")}


@pytest.mark.parametrize("size", [(5, 4.2), (7.4, 6.4), (11, 9)])
@pytest.mark.parametrize("n_drugs", [1, 5])
def test_it_can_be_read(size, n_drugs) -> None:
    ax = otl.pl.transfer_report(assessed(n_drugs, scaled=True), ax=page(*size, layout=None))
    assert not cut_off(ax)
    assert not overlaps(ax)


def test_a_projection_has_a_page(fitted) -> None:
    query = fitted[1].copy()
    otl.tl.assess(query)
    ax = otl.pl.transfer_report(query, "plier", ax=page(7, 6, layout=None))
    assert "of the reference's own R²" in words(ax)
    assert STANDING in words(ax)


def test_refused() -> None:
    adata = assessed()
    with pytest.raises(KeyError, match="Did you mean 'scdeal'"):
        otl.pl.transfer_report(adata, "scdea")
    adata.uns["two_assessment"] = adata.uns["scdeal_assessment"]
    with pytest.raises(KeyError, match="2 assessments"):
        otl.pl.transfer_report(adata)
    with pytest.raises(KeyError, match=r"Make one with otl.tl.assess"):
        otl.pl.transfer_report(AnnData(np.zeros((2, 2))))
    with pytest.raises(TypeError, match="Axes of matplotlib"):
        otl.pl.transfer_report(adata, "two", ax=3)
