"""Responses, labels and scales as users have them: taken as what they are, or refused with the way out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from omicstl._core.log import ScaleWarning, TransferWarning
from omicstl.tl._scdeal import evaluation
from omicstl.tl._shared import response
from tests.support.drug_screen import N_CELLS as M, N_LINES as N, refused, run, simulated

FIRST = {"response_key": None, "drugs": ["x"]}


@pytest.fixture(scope="module")
def screen():
    return simulated()


def read(lines, values, sensitive, cells=None):
    """Only the reading of a response, which takes no fit."""
    lines = lines.copy()
    lines.obs["x"] = values
    found = response.read(lines if cells is None else cells, lines, ["x"], None, sensitive)
    return found.y[:, 0], bool(found.binary[0])


NUMBERS = np.arange(N) / 7 - 2
TEXT = [f"{value:.3f}" for value in NUMBERS]
HALF = np.arange(N) < 25
CLASSES = np.where(HALF, "S", "R")


@pytest.mark.parametrize(
    ("values", "match"),
    [
        (
            TEXT,
            r"reference.obs\['x'\] holds numbers stored as text.*pd.to_numeric\(reference.obs\['x'\].astype\(object\)\)\.",
        ),
        (pd.Categorical(TEXT), "numbers stored as categories"),
        (pd.Categorical(NUMBERS), "numbers stored as categories"),
        (["ND", "<0.1", *TEXT[2:]], "and '<0.1', 'ND', which are none.*errors='coerce'"),
        ([value.replace(".", ",") for value in TEXT], r"str.replace\(',', '.'\)"),
    ],
    ids=["text", "categories of text", "categories of numbers", "text with words", "decimal commas"],
)
def test_numbers_that_are_text_are_told_as_such(screen, values, match):
    refused(screen, TypeError, match, lambda c, l: l.obs.__setitem__("x", values), **FIRST)


def test_the_ways_out_of_text_work(screen):
    for text in (pd.Series(TEXT), pd.Series(pd.Categorical(TEXT))):
        np.testing.assert_allclose(
            read(screen[1], pd.to_numeric(text.astype(object)).to_numpy(), "high")[0], NUMBERS, atol=1e-3
        )
    comma = pd.Series([value.replace(".", ",") for value in TEXT])
    got = pd.to_numeric(comma.astype(str).str.replace(",", "."), errors="coerce").to_numpy()
    np.testing.assert_allclose(read(screen[1], got, "low")[0], -NUMBERS, atol=1e-3)


@pytest.mark.parametrize(
    ("values", "sensitive"),
    [
        (HALF, "high"),
        (~HALF, "low"),
        (HALF.astype(np.float32), "high"),
        (pd.array(HALF, dtype="boolean"), "high"),
        (pd.array(HALF.astype(int), dtype="Int64"), "high"),
        (HALF.astype(object), "high"),
        (HALF.astype(int).astype(str), "1"),
        (pd.Categorical(HALF), "True"),
        (CLASSES, "S"),
        (pd.array(CLASSES, dtype="string"), "S"),
        (pd.Categorical(CLASSES, categories=["S", "R", "unused"]), "S"),
    ],
)
def test_two_classes_in_any_dress(screen, values, sensitive):
    y, binary = read(screen[1], values, sensitive)
    assert binary
    np.testing.assert_array_equal(y, HALF)


@pytest.mark.parametrize("missing", [None, np.nan, ""])
def test_missing_classes_stay_missing(screen, missing):
    values = np.array([missing, *CLASSES[1:]], dtype=object)
    for column in (values, pd.Categorical([value or None for value in values])) if missing is not np.nan else (values,):
        y, binary = read(screen[1], column, "S")
        assert binary
        assert np.isnan(y[0])
        np.testing.assert_array_equal(y[1:], HALF[1:])


@pytest.mark.parametrize("kind", ["float32", "float64", "object", "Float64"])
def test_numbers_of_any_kind(screen, kind):
    values = pd.Series(NUMBERS).astype(kind)
    values[3] = None
    y, binary = read(screen[1], values.to_numpy() if kind == "object" else values.array, "low")
    assert not binary
    assert np.isnan(y[3])
    np.testing.assert_allclose(np.delete(y, 3), -np.delete(NUMBERS, 3), rtol=1e-6)


def test_high_means_one(screen):
    def change(cells, lines):
        lines.obs["x"], lines.obs["flag"], lines.obs["codes"] = HALF.astype(int), HALF, HALF + 1

    refused(
        screen,
        ValueError,
        "holds 0 and 1 alone, got '1'.* sensitive='high' makes 1 the sensitive class",
        change,
        **FIRST,
        sensitive="1",
    )
    refused(screen, ValueError, "say which end is sensitive, sensitive='high' makes 1", change, **FIRST, sensitive=None)
    refused(screen, TypeError, "must be a string or None, got 1 of type int", change, **FIRST, sensitive=1)
    options = {"response_key": None, "drugs": ["flag"], "sensitive": "True"}
    refused(screen, ValueError, "holds False and True alone.*'high' makes True", change, **options)
    options = {"response_key": None, "drugs": ["codes"], "sensitive": "high"}
    refused(screen, ValueError, "two alone; write classes as 0 and 1", change, **options)


@pytest.mark.parametrize("nothing", [np.nan, None, ""])
def test_a_drug_without_values_is_said_to_have_none(screen, nothing):
    change = lambda c, l: l.obs.__setitem__("x", np.array([nothing] * N, dtype=object))
    refused(
        screen,
        ValueError,
        r"reference.obs\['x'\] is missing in all 60 observations; no line has a value",
        change,
        **FIRST,
        sensitive="sensitive",
    )


@pytest.mark.parametrize("code", [-9, -99, -999, -9999])
def test_codes_of_missing_values(screen, code):
    values = np.where(np.arange(N) % 6 == 0, code, np.linspace(0.4, 1, N))
    refused(
        screen,
        ValueError,
        rf"10 values of {code}, and no other below 0.*replace\({code}, float",
        lambda c, l: l.obs.__setitem__("x", values),
        **FIRST,
    )
    way_out = pd.Series(values).replace(code, float("nan"))
    assert np.isnan(read(screen[1], way_out.to_numpy(), "low")[0]).sum() == 10
    spread = np.linspace(code, -code, N)  # the same number as the end of a range
    assert np.isfinite(read(screen[1], spread, "low")[0]).all()


def test_the_unit_of_a_response_changes_nothing_else(screen):
    for factor, said in ((1e30, r"e\+30"), (1e-12, "e-12")):
        change = lambda c, l, factor=factor: l.obs.__setitem__("x", factor * NUMBERS)
        refused(screen, ValueError, rf"x'\] has values up to .*{said}.*Take logarithms", change, **FIRST)
    found = []
    for factor in (1, 1e-9):
        cells, lines = screen[0].copy(), screen[1].copy()
        lines.obs["x"] = factor * lines.obs["ln_ic50"]
        run(cells, lines, **FIRST)
        found.append(
            (
                cells.obs["scdeal_score"] / factor,
                cells.obs["scdeal_call"].tolist(),
                cells.uns["scdeal_assessment"]["verdict"],
            )
        )
    for score, calls, verdict in found[1:]:
        np.testing.assert_allclose(score, found[0][0], rtol=1e-4, atol=1e-5)
        assert (calls, verdict) == found[0][1:]


@pytest.mark.parametrize("lineage", [None, "each"])
def test_ten_lines_are_enough(screen, lineage):
    cells, lines = screen[0].copy(), screen[1][:10].copy()
    lines.obs["each"] = list(lines.obs_names)
    run(cells, lines, lineage_key=lineage, drugs=["Lapatinib"])
    assert np.isfinite(cells.obs["scdeal_score"]).all()
    assert cells.uns["scdeal"]["params"]["n_lines"] == 10
    assert cells.uns["scdeal_assessment"]["verdict"] == "do not use"


def test_what_exclusion_leaves_is_told(screen):
    most = list(screen[1].obs_names[8:])
    refused(
        screen, ValueError, "once `exclude_lines` are left out, 8 lines have", exclude_lines=most, drugs=["Lapatinib"]
    )


def test_names_of_drugs(screen):
    refused(screen, ValueError, "`drugs` is empty", drugs=[])
    refused(
        screen, TypeError, r"must be a list of names or None, got \[1\] of type list. Write drugs=\['1'\]", drugs=[1]
    )
    refused(screen, TypeError, "must be a list of names or None", drugs=5)
    cells, lines = screen[0], screen[1].copy()
    lines.obsm["table"].columns = [1, 2, 3]
    found = response.read(cells, lines, ["2"], "table", "high")
    np.testing.assert_array_equal(found.y[:, 0], lines.obsm["table"][2])
    lines.obs[5] = NUMBERS
    np.testing.assert_array_equal(response.read(cells, lines, ["5"], None, "high").y[:, 0], NUMBERS)
    lines.obs = pd.concat([lines.obs, lines.obs[["ln_ic50"]]], axis=1)
    with pytest.raises(ValueError, match="reference.obs has several columns 'ln_ic50'"):
        response.read(cells, lines, ["ln_ic50"], None, "low")


def test_rows_of_a_table_in_another_order(screen):
    for change in (
        lambda table: setattr(table, "index", table.index[::-1]),
        lambda table: setattr(table, "index", [f"other {i}" for i in range(N)]),
    ):
        lines = screen[1].copy()
        change(lines.obsm["table"])
        with pytest.raises(
            ValueError,
            match=r"rows in another order than reference.obs_names, or other rows.*loc\[reference.obs_names\]",
        ):
            run(screen[0].copy(), lines)


def test_arrays_need_names_and_numbers(screen):
    def change(cells, lines):
        lines.obsm["words"] = lines.obsm["ln_ic50"].astype(str)
        lines.uns["words_names"], lines.uns["two_names"] = ["a", "b", "c"], ["a", "b"]
        lines.obsm["two"] = lines.obsm["ln_ic50"]

    refused(screen, TypeError, r"obsm\['words'\].astype\(float\)", change, response_key="words")
    refused(screen, ValueError, "which has 2 names", change, response_key="two")


def logs(x):
    return np.log1p(x / x.sum(axis=1, keepdims=True) * 1e4).astype(np.float32)


@pytest.mark.parametrize(
    ("values", "scale", "match"),
    [
        (np.asarray, "log", "holds raw counts .integers up to .* Got scale='log'"),
        (np.asarray, "zscore", "holds raw counts"),
        (logs, "counts", "holds no counts: values are not integers and at most .*scale='log'"),
        (lambda x: 0.97 * x, "log", "neither integers nor logarithms"),
        (
            lambda x: 0.97 * x,
            "auto",
            "neither integers nor logarithms.*scale='counts' for counts that are not integers",
        ),
        (lambda x: logs(x) - 1, "log", "scale='zscore' for z-scores"),
        (lambda x: logs(x) - 1, "counts", "raw counts are needed"),
    ],
)
def test_a_scale_that_the_values_rule_out(screen, values, scale, match):
    refused(screen, ValueError, match, lambda c, l: setattr(c, "X", values(c.X.toarray())), scale=scale)


@pytest.mark.parametrize(("values", "scale"), [(lambda x: 0.97 * x, "counts"), (logs, "zscore")])
def test_a_scale_that_the_values_make_doubtful(screen, values, scale):
    cells = screen[0].copy()
    cells.X = values(cells.X.toarray())
    with pytest.warns(ScaleWarning, match="not made of integers|has no negative value"):
        run(cells, screen[1], scale=scale)
    assert cells.uns["scdeal"]["params"]["scale"] == scale


def labels(cells, values, sensitive="sensitive", mask=None):
    """Only the reading of labels, which takes no fit."""
    cells = cells.copy()
    cells.obs["x"] = values
    return evaluation.read(cells, "x", np.array(["d"]), sensitive, mask)


TRUTH = np.arange(M) < 15
WORDS = np.where(TRUTH, "sensitive", "resistant")


@pytest.mark.parametrize(
    ("values", "sensitive", "positive"),
    [
        (TRUTH, "low", "True"),
        (TRUTH.astype(float), "low", "1"),
        (pd.array(TRUTH, dtype="boolean"), "S", "True"),
        (pd.Categorical(TRUTH.astype(int)), "S", "1"),
        (TRUTH.astype(str), "S", "True"),
        (WORDS, "low", "sensitive"),
        (pd.Categorical(WORDS, categories=["unused", "sensitive", "resistant"]), None, "sensitive"),
        (np.where(TRUTH, "a", "z"), "a", "a"),
        (np.where(TRUTH, "no", "yes"), "no", "no"),
        (~TRUTH, "False", "False"),
        ((~TRUTH).astype(float), "0", "0"),
        ((~TRUTH).astype(int).astype(str), "0", "0"),
    ],
)
def test_the_sensitive_class_of_labels(screen, values, sensitive, positive):
    found = labels(screen[0], values, sensitive)
    assert found.positive == (positive,)
    np.testing.assert_array_equal(found.y[:, 0], TRUTH)


@pytest.mark.parametrize(
    ("values", "match"),
    [
        (np.full(M, np.nan), "no cell has a label. Leave `eval_key` out"),
        (np.array([None] * M, dtype=object), "no cell has a label"),
        (["yes"] * 20 + ["no"] * 20, "classes 'no', 'yes', and nothing says .* == 'yes'"),
        ([1] * 20 + [2] * 20, "holds 1 and 2 alone"),
        ([1] * M, "the same label"),
        (["resistant"] * M, "the same label"),
        ([1, 0] + [np.nan] * 38, "2 cells have a label, and at least 3"),
        (["u", *WORDS[1:]], "3 classes"),
        ([np.inf, *range(39)], "infinite values in 1 of 40"),
    ],
)
def test_labels_that_cannot_be_compared(screen, values, match):
    with pytest.raises(ValueError, match=match):
        labels(screen[0], values)


def test_labels_outside_of_the_mask_alone(screen):
    with pytest.raises(ValueError, match="no cell that shapes the fit .`mask_obs`. has a label"):
        labels(screen[0], np.where(TRUTH, np.nan, 1.0), mask=TRUTH)
    with pytest.raises(TypeError, match="numbers stored as text"):
        labels(screen[0], [f"{i / 7:.2f}" for i in range(M)])


def test_labels_of_several_drugs(screen):
    cells = screen[0].copy()
    names = np.array(["Lapatinib", "A/B", "PLX-4720"], dtype=object)
    cells.obsm["t"] = pd.DataFrame({"Lapatinib": WORDS, "A/B": np.nan}, index=cells.obs_names)
    with pytest.warns(TransferWarning, match="cannot be compared with the scores of 'A/B'"):
        truth = evaluation.read(cells, "t", names, "low", None)
    score = np.column_stack([-np.arange(M), np.arange(M), np.arange(M)]).astype(float)
    table = evaluation.compare(truth, score, names, None)
    assert table["drug"].tolist() == ["Lapatinib"]
    assert table["n_cells"].item() == M
    assert table["auroc"].item() == 1
    assert table["label_1"].item() == "sensitive"
    cells.obsm["t"] = cells.obsm["t"][["A/B"]]
    with pytest.raises(ValueError, match="'A/B': for 'A/B' no cell has a label"):
        evaluation.read(cells, "t", names, "low", None)
    with pytest.raises(ValueError, match="it has 'A/B', and predicted are 'x'"):
        evaluation.read(cells, "t", np.array(["x"]), "low", None)
    refused(screen, ValueError, "'sensitive', and 3 drugs are predicted", eval_key="sensitive")


def test_unlabelled_words_leave_the_cells_as_they_were(screen):
    change = lambda c, l: c.obs.__setitem__("x", np.where(TRUTH, "yes", "no"))
    refused(screen, ValueError, "nothing says which is the sensitive one", change, eval_key="x", drugs=["Lapatinib"])
