"""Text that fits: widths, cuts and numbers."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pytest

from omicstl.pl._place import place_labels
from omicstl.pl._read import groups_of
from omicstl.pl._text import fitted, labels, p_text, plural, rows_that_fit, signed, spoken, text_width
from tests.pl.support import overlaps, page, repeated, texts

LONG = "REACTOME_RESPIRATORY_ELECTRON_TRANSPORT_ATP_SYNTHESIS_BY_CHEMIOSMOTIC_COUPLING"


def test_the_width_is_that_of_the_drawn_text() -> None:
    ax = page()
    text = ax.text(0, 0, "Neutrophil", fontsize=9)
    ax.figure.draw_without_rendering()
    assert text_width("Neutrophil", 9) == pytest.approx(text.get_window_extent().width * 72 / ax.figure.dpi, rel=0.1)
    assert text_width("Neutrophil\nB", 9) == text_width("Neutrophil", 9)


@pytest.mark.parametrize("width", [40, 100, 180, 1000])
@pytest.mark.parametrize("lines", [1, 2, 3])
def test_a_fitted_name_fits(width: float, lines: int) -> None:
    rows = fitted(LONG, width, 8, lines).split("\n")
    assert len(rows) <= lines
    assert all(text_width(row, 8) <= width for row in rows)
    assert (fitted(LONG, width, 8, lines).endswith("…")) == (" ".join(rows) != spoken(LONG))


def test_names_that_are_cut_alike_keep_their_ends() -> None:
    names = [f"{LONG}_IN_{cell}" for cell in ("LIVER", "BRAIN")]
    one, other = labels(names, 120, 8)
    assert one != other
    assert one.endswith("LIVER")
    assert text_width(one, 8) <= 120
    assert labels(["B cell", "B cell"], 120, 8) == ["B cell", "B cell"]


def test_names_are_no_formulas_and_no_code() -> None:
    assert spoken("a_$b$  c") == r"a \$b\$ c"
    ax = page()
    ax.set_title(fitted("$x$ and $\\nothing", 500, 9))
    assert len(texts(ax)) > 0  # matplotlib would fail to read a formula


@pytest.mark.parametrize(
    ("p", "said"),
    [(0.5, "0.50"), (0.034, "0.034"), (0.0012, "0.001"), (3.2e-7, "3×10⁻⁷"), (9.7e-4, "0.001"), (0.0, "<10⁻³⁰⁰"), (np.nan, "not known")],
)  # fmt: skip
def test_p_values_as_in_print(p: float, said: str) -> None:
    assert p_text(p) == said


def test_small_words() -> None:
    assert (plural(1, "factor"), plural(1200, "factor")) == ("1 factor", "1,200 factors")
    assert signed(-1.234) == "−1.23"
    assert rows_that_fit(page(5, 10), 20) == 20
    assert 3 <= rows_that_fit(page(3, 2), 20) < 10


def test_widths_follow_the_font_of_the_user() -> None:
    narrow = text_width("iiii", 10)
    with mpl.rc_context({"font.family": "monospace"}):
        assert text_width("iiii", 10) > narrow


def test_labels_keep_off_each_other_and_points() -> None:
    ax = page(4, 4)
    random = np.random.default_rng(0)
    x, y = random.normal(size=(2, 40))
    ax.plot(x, y, "o", markersize=4)
    drawn = place_labels(ax, x, y, {i: f"factor {i}" for i in range(40)}, size=8)
    assert 10 <= len(drawn) <= 40
    assert not overlaps(ax)
    frame = ax.get_window_extent()
    dots = ax.transData.transform(np.column_stack([x, y]))
    for label in drawn:
        box = type(label).__mro__[1].get_window_extent(label)
        assert frame.x0 <= box.x0
        assert box.x1 <= frame.x1
        assert not ((dots > [box.x0, box.y0]) & (dots < [box.x1, box.y1])).all(axis=1).any()


def test_groups(tested) -> None:
    query = tested.query
    found = groups_of(query, "gaps")
    assert found.names == ["Healthy", "SLE"]
    assert (found.codes == -1).sum() == 4
    assert [name for name, _ in found.members()] == ["Healthy", "SLE", "not known"]
    assert groups_of(query, "ill", first="SLE").names == ["SLE", "Healthy"]
    query = query.copy()
    query.obs["flag"] = np.arange(query.n_obs) > 3
    assert groups_of(query, "flag").names == ["False", "True"]
    query.obs["none"] = None
    for column, message in {
        "activity": "must be a column of groups, adata.obs\\['activity'\\] holds 20 numbers.*astype\\('category'\\)",
        "none": "missing in all 20 observations",
    }.items():
        with pytest.raises(ValueError, match=message):
            groups_of(query, column)
    query.obs["name"] = query.obs_names
    with pytest.raises(KeyError, match="'il' not found in adata.obs. Did you mean 'ill'"):
        groups_of(query, "il")
    wide = repeated(query, 25)
    wide.obs["name"] = [f"S{i}" for i in range(25)]
    with pytest.raises(
        ValueError,
        match="at most 20 groups, adata.obs\\['name'\\] has 25: 'S0', 'S1', 'S10' and 22 more. It looks like",
    ):
        groups_of(wide, "name")
