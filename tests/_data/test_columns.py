"""The reader of columns against plain loops, and what it says of columns that nobody should read."""

from __future__ import annotations

import datetime as dt
import warnings
from decimal import Decimal

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from omicstl._data import columns, tables


def read(values, key="x"):
    return columns.read_column(pd.DataFrame({key: values}), key)


def plain(value):
    """Name of a level, None where missing, one value at a time."""
    if value is None or value is pd.NA or (isinstance(value, float | np.floating) and np.isnan(value)):
        return None
    if isinstance(value, str):
        return None if not value.strip() else value[:-2] if value.endswith(".0") and value[:-2].isdigit() else value
    if isinstance(value, bool | np.bool_):
        return "True" if value else "False"
    return str(int(value)) if int(value) == value else str(value)


GROUPS = {
    "text": ["b", "a", None, "", "  ", "b"],
    "strings": pd.array(["b", "a", None, "", "b"], dtype="string"),
    "mixed": [1, "1", 1.0, "1.0", 2, None, np.nan, "a", True, ""],
    "truth": [True, False, True],
    "truth with gaps": [True, None, False],
    "boolean": pd.array([True, None, False], dtype="boolean"),
    "whole numbers": [3, 10, 2],
    "whole floats": [3.0, 10.0, np.nan, 2.0],
    "single": np.array([0.1, 3, np.nan], np.float32),
    "Int64": pd.array([3, None, 10], dtype="Int64"),
    "Float64": pd.array([3.0, None, 0.5], dtype="Float64"),
    "decimals": [Decimal("0.5"), Decimal(2), None],
    "objects": np.array([3, None, 10.0], dtype=object),
    "numbers and blanks": [3, "", 10.0],
}


@pytest.mark.parametrize("name", GROUPS)
def test_names_and_codes_of_groups(name):
    column, values = read(GROUPS[name]), list(pd.Series(GROUPS[name]).astype(object))
    expected = [plain(np.float32(v) if name == "single" and v is not None else v) for v in values]
    assert column.absent.tolist() == [v is None for v in expected]
    assert column.text.tolist() == [v or "" for v in expected]
    assert set(column.levels) == {v for v in expected if v is not None}
    assert [None if c < 0 else column.levels[c] for c in column.codes] == expected
    by = (lambda v: float(v)) if column.is_number else str
    assert list(column.levels) == sorted(column.levels, key=by)


@pytest.mark.parametrize("ordered", [True, False])
def test_categories_keep_their_order(ordered):
    values = pd.Categorical(["c", "a", None, "c"], categories=["unused", "c", " ", "a"], ordered=ordered)
    column = read(values)
    assert column.levels == ("c", "a")
    assert column.codes.tolist() == [0, 1, -1, 0]
    assert column.select(np.array([1, 2])).levels == ("a",)
    assert not column.is_number
    blank = read(pd.Categorical(["", "a"]))
    assert blank.absent.tolist() == [True, False]


def test_levels_that_read_the_same_are_one():
    column = read(pd.Categorical([1, "1", 1.5], categories=["1", 1.5, 1]))
    assert column.levels == ("1", "1.5")
    assert column.codes.tolist() == [0, 0, 1]
    assert read(pd.Categorical([2.0, 10.0])).levels == ("2", "10")
    assert read(["1.0", "0.00", "v1.0"]).levels == ("0.00", "1", "v1.0")


@pytest.mark.parametrize("kind", [np.int64, np.uint64, "Int64", object])
def test_large_whole_numbers_stay_apart(kind):
    values = [2**53 + 1, 2**53, 2**53 + 1]
    assert read(pd.Series(values, dtype=kind)).codes.tolist() == [1, 0, 1]
    assert read(pd.Series(values, dtype=kind)).levels == (str(2**53), str(2**53 + 1))


@pytest.mark.parametrize(
    "values", [[1, 2.5, None], pd.array([1, 2.5, None], "Float64"), [Decimal(1), 2.5, ""], [np.float32(1), 2.5, pd.NA]]
)
def test_numbers(values):
    column = read(values)
    assert column.is_number
    np.testing.assert_array_equal(column.numbers, [1, 2.5, np.nan])
    assert not column.is_measured
    assert read([1, 2, 3]).is_measured
    assert not read([True, False]).is_number
    assert read([True, False]).numbers.tolist() == [1, 0]


def test_nan_of_a_nullable_number_is_missing():
    zero = pd.array([0.0, 1.0], dtype="Float64")
    assert read(zero / zero).absent.tolist() == [True, False]


def test_sparse_columns():
    assert read(pd.arrays.SparseArray([0.0, 2.0, np.nan])).levels == ("0", "2")


@pytest.mark.parametrize("text", ["nan", "NaN", " NAN ", "<NA>", "NaT"])
@pytest.mark.parametrize("dtype", [object, "string", "category"])
def test_text_for_what_is_missing_and_the_line_that_mends_it(text, dtype):
    adata = ad.AnnData(np.zeros((4, 1)))
    adata.obs["x"] = pd.array(["a", text, "b", text], dtype=dtype)
    with pytest.raises(ValueError, match=r"adata\.obs\['x'\] holds the text '.*' in 2 observations") as refusal:
        columns.read_column(adata, "x")
    exec(str(refusal.value).partition("missing: ")[2].rstrip("."), {"adata": adata})
    assert columns.read_column(adata, "x").text.tolist() == ["a", "", "b", ""]


def test_several_texts_for_what_is_missing():
    adata = ad.AnnData(np.zeros((3, 1)), obs=pd.DataFrame({"x": ["a", "nan", "NaN"]}, index=list("abc")))
    with pytest.raises(ValueError, match=r"'NaN', 'nan' in 2 .*replace\(\['NaN', 'nan'\], None\)") as refusal:
        columns.read_column(adata, "x")
    exec(str(refusal.value).partition("missing: ")[2].rstrip("."), {"adata": adata})
    assert columns.read_column(adata, "x").levels == ("a",)


@pytest.mark.parametrize("text", ["none", "None", "null", "NA", "n/a"])
def test_text_that_may_be_missing_stays_a_level(text):
    column = read(["a", text])
    assert text in column.levels
    with pytest.warns(FutureWarning, match=rf"'{text}' is taken as a group of adata.obs\['x'\] like any other") as told:
        columns.doubt_levels(column, FutureWarning)
    assert len(told) == 1


@pytest.mark.parametrize("dtype", [float, "Float64", object])
@pytest.mark.parametrize("codes", [[-9], [-99], [-999], [-9999], [-99999], [-9, -99]])
def test_codes_of_missing_numbers(dtype, codes):
    adata = ad.AnnData(np.zeros((9, 1)), obs=pd.DataFrame(index=list("abcdefghi")))
    adata.obs["x"] = pd.Series([*range(9 - len(codes)), *codes], dtype=dtype, index=adata.obs_names)
    with pytest.raises(ValueError, match=rf"has {len(codes)} values? of {codes[0]}.*and no other below 0") as refusal:
        columns.read_column(adata, "x")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of pandas, of objects
        exec(str(refusal.value).partition("missing: ")[2].partition(". Where")[0], {"adata": adata})
    assert columns.read_column(adata, "x").absent.sum() == len(codes)


@pytest.mark.parametrize("values", [[-9, -9], [-9, -8.5, 3], [-10, 0, 1], [-1, -1, 0], ["-9", "a"]])
def test_numbers_that_are_no_codes(values):
    assert not read(values).absent.any()


@pytest.mark.parametrize(
    ("values", "error", "match"),
    [
        ([1.0, np.inf, 2], ValueError, "holds infinite values in 1 of 3"),
        ([1, -np.inf, None], ValueError, "infinite"),
        (pd.array([1, np.inf], "Float64"), ValueError, "infinite"),
        (pd.date_range("2020", periods=2), TypeError, r"holds dates \(dtype datetime64.*such as days"),
        ([dt.date(2020, 1, 1), None], TypeError, "holds dates"),
        ([dt.date(2020, 1, 1), "a"], TypeError, "holds dates"),
        (pd.Categorical(pd.date_range("2020", periods=2)), TypeError, "holds dates"),
        (pd.period_range("2020", periods=2), TypeError, "holds dates"),
        ([pd.Timedelta(1), pd.Timedelta(2)], TypeError, "holds dates"),
        ([1j, 2], TypeError, "complex numbers"),
        (np.array([1j, None], dtype=object), TypeError, "complex numbers"),
    ],
)
def test_what_is_no_column(values, error, match):
    with pytest.raises(error, match=match):
        read(values)


def test_names_of_columns():
    table = pd.DataFrame([[1, 2, 3]], columns=["x", "x", 5])
    with pytest.raises(ValueError, match="adata.obs has several columns 'x'. Rename all but one"):
        columns.read_column(table, "x")
    assert columns.read_column(table, "5").levels == ("3",)
    with pytest.raises(KeyError, match=r"'y' not found in reference.obs.*'x'"):
        columns.read_column(table, "y", name="reference")


def test_groups_are_complete_and_not_measured():
    with pytest.raises(ValueError, match=r"\['x'\] is missing in 2 of 3 observations. Fill it in.*'unknown'"):
        columns.groups(pd.DataFrame({"x": ["a", " ", None]}), "x")
    with pytest.raises(TypeError, match="measured numbers such as 0.5, .*pd.cut"):
        columns.groups(pd.DataFrame({"x": [0.5, 1]}), "x")
    assert columns.groups(pd.DataFrame({"x": [2.0, 1]}), "x").levels == ("1", "2")


def test_level_names():
    for value, name in (
        (1, "1"),
        (1.0, "1"),
        (np.float32(1), "1"),
        ("1.0", "1"),
        (True, "True"),
        (-0.0, "0"),
        (0.1, "0.1"),
        (np.float32(0.1), "0.1"),
    ):
        assert columns.level_name(value) == name
    assert columns.level_name(1e300) == "1e+300"
    assert columns.level_name("01.0") == "01.0"
    assert columns.read_column(pd.DataFrame({"x": [1.0, np.nan, 2]}), "x").named_as(["1.0", "3"]).tolist() == [
        "1.0",
        "",
        "2",
    ]


def table_of(frame, **uns):
    return ad.AnnData(np.zeros((3, 1)), obs=pd.DataFrame(index=list("abc")), obsm={"t": frame}, uns=uns)


def test_tables():
    frame = pd.DataFrame({"A/B": [1, None, 2], 5: ["s", "", "r"]}, index=list("abc"))
    table = tables.read_table(table_of(frame), "t")
    assert table.names == ["A/B", "5"]
    assert table.column("A/B").where == "adata.obsm['t']['A/B']"
    np.testing.assert_array_equal(table.column("A/B").numbers, [1, np.nan, 2])
    assert table.column("5").text.tolist() == ["s", "", "r"]
    matrix = np.array([[1, -99], [2, 3], [3, np.inf]])
    table = tables.read_table(table_of(matrix, t_names=["p", "q"]), "t")
    assert table.names == ["p", "q"]
    with pytest.raises(ValueError, match=r"adata\.obsm\['t'\]\['q'\] holds infinite"):
        table.column("q")
    with pytest.raises(ValueError, match="has 1 value of -99"):
        tables.read_table(table_of(np.where(np.isinf(matrix), 4, matrix)), "t", named=False).column("t2")


def test_tables_that_cannot_be_read():
    adata = table_of(np.ones((3, 2)), t_names=["p"])
    with pytest.raises(ValueError, match=r"named in adata.uns\['t_names'\], which has 1 names"):
        tables.read_table(adata, "t")
    adata.uns["t_names"] = ["p", "p"]
    with pytest.raises(ValueError, match=r"adata.obsm\['t'\] has several columns 'p'"):
        tables.read_table(adata, "t")
    with pytest.raises(KeyError, match="'u' not found in adata.obsm"):
        tables.read_table(adata, "u")
    with pytest.raises(TypeError, match="must be a matrix of numbers.*astype"):
        tables.read_table(table_of(np.full((3, 2), "a")), "t")
    adata = table_of(pd.DataFrame({"p": [1, 2, 3]}, index=list("abc")))
    adata.obsm["t"].index = list("cba")
    with pytest.raises(ValueError, match=r"rows in another order than adata.obs_names.*loc\[adata.obs_names\]"):
        tables.read_table(adata, "t")


@pytest.mark.parametrize(
    "values", [[-999, -2.3, -1.1, 0.4, 2.0, 1.0], [-9, 0.3, 0.5, 0.7, 0.6, 0.4], [-99, -1, 0, 1, 2]]
)
def test_codes_far_below_all_others(values):
    with pytest.raises(ValueError, match=r"and (all others from|no other below 0).* as if it were a code"):
        read(values)


def test_numbers_too_large_for_a_float_are_names():
    assert columns.level_name(10**400) == str(10**400)


def test_the_line_that_mends_a_mask():
    adata = ad.AnnData(np.zeros((3, 1)), obs=pd.DataFrame({"m": ["1", "0", None]}, index=list("abc")))
    with pytest.raises(ValueError, match="To make them False") as refusal:
        columns.mask(adata, "m")
    exec(str(refusal.value).partition("False: ")[2].rstrip("."), {"adata": adata})
    assert columns.mask(adata, "m").tolist() == [True, False, False]
