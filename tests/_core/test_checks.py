"""Checks name what, got, allowed, and the way out."""

import numpy as np
import pytest

from omicstl._core import checks


def test_near_miss_ignores_case_and_non_strings():
    assert checks.near_miss("Log1P", ["counts", "log1p"]) == " Did you mean 'log1p'?"
    assert checks.near_miss("zzz", ["counts"]) == ""
    assert checks.near_miss(3, ["counts"]) == ""
    assert checks.near_miss("LV4", ["LV94", "LV4 Neutrophil", "LV40"]) == " Did you mean 'LV4 Neutrophil'?"
    assert checks.near_miss("counts", [None, 1, "count"]) == " Did you mean 'count'?"


def test_listed_shortens():
    assert checks.listed(["A", "B"]) == "'A', 'B'"
    assert checks.listed(np.array(list("ABCDEFG"))) == "'A', 'B', 'C', 'D', 'E' and 2 more"
    assert checks.listed(np.arange(7), limit=1) == "0 and 6 more"
    assert checks.listed([]) == ""


def test_choice():
    checks.check_choice("missing", "mean", ("model", "mean"))
    with pytest.raises(ValueError, match=r"`missing` must be one of 'model', 'mean', got 'men'. Did you mean 'mean'\?"):
        checks.check_choice("missing", "men", ("model", "mean"))
    with pytest.raises(ValueError, match="got True"):
        checks.check_choice("count", True, (1, 2))


@pytest.mark.parametrize("value", [0, 0.5, np.float32(0.5), np.int64(1), 1])
def test_number_inside(value):
    checks.check_number("share", value, low=0, high=1)


@pytest.mark.parametrize(
    ("value", "options", "error", "text"),
    [
        (-1.0, {"low": 0, "low_open": True, "advice": "Use 1."}, ValueError, r"`x` must be > 0, got -1.0. Use 1."),
        (0, {"low": 0, "low_open": True}, ValueError, "> 0, got 0"),
        (1, {"low": 0, "high": 1, "high_open": True}, ValueError, ">= 0 and < 1, got 1"),
        (np.float64(3), {"high": 1}, ValueError, "<= 1, got 3.0"),
        (float("nan"), {}, ValueError, "must be finite, got nan"),
        (float("inf"), {"low": 0}, ValueError, "must be >= 0, got inf"),
        (float("nan"), {"low": 0}, ValueError, "got nan"),
        (True, {}, TypeError, "must be a number, got True of type bool"),
        (np.True_, {}, TypeError, "must be a number"),
        ("3", {}, TypeError, "must be a number, got '3' of type str"),
        (2.0, {"integer": True}, TypeError, "must be an integer, got 2.0 of type float"),
        (None, {}, TypeError, "NoneType"),
    ],
)
def test_number_refused(value, options, error, text):
    with pytest.raises(error, match=text):
        checks.check_number("x", value, **options)


def test_flag_and_text():
    checks.check_flag("copy", np.False_)
    checks.check_text("layer", None, optional=True)
    with pytest.raises(TypeError, match="`copy` must be True or False, got 1 of type int"):
        checks.check_flag("copy", 1)
    with pytest.raises(TypeError, match="`layer` must be a string or None, got 3"):
        checks.check_text("layer", 3, optional=True)


def test_key_names():
    checks.check_key_name("key_added", "plier_2")
    with pytest.raises(ValueError, match="got 'a/b c'. Use 'a_b_c'."):
        checks.check_key_name("key_added", "a/b c")
    for bad in ("", "é", "a\n"):
        with pytest.raises(ValueError, match="letters, digits and underscores"):
            checks.check_key_name("key_added", bad)
    with pytest.raises(TypeError, match="must be a string"):
        checks.check_key_name("key_added", None)


def test_missing_key():
    error = checks.missing_key("log1", "adata.layers", ["counts", "log1p", None])
    assert isinstance(error, KeyError)
    assert error.args[0] == ("'log1' not found in adata.layers. Did you mean 'log1p'? Available: ['counts', 'log1p'].")
    assert "adata.layers is empty." in checks.missing_key("x", "adata.layers", []).args[0]
