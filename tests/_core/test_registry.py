"""The table of methods is complete and consistent."""

import dataclasses
import inspect

import pytest

from omicstl._core import registry


def test_records_are_found_and_cannot_be_changed():
    table = registry.records()
    assert {"plier", "project", "stability"} <= set(table)
    table.clear()
    assert registry.records()
    row = registry.record("plier")
    assert row.verb == "tl.plier"
    with pytest.raises(dataclasses.FrozenInstanceError):
        row.name = "x"
    with pytest.raises(KeyError, match="Did you mean 'plier'"):
        registry.record("pliers")


def test_every_citation_has_an_entry():
    from omicstl._data.cite import references

    for row in registry.records().values():
        assert set(row.citations) <= set(references()), row.name


def test_every_verb_exists():
    import omicstl

    for row in registry.records().values():
        door, name = row.verb.split(".")
        assert inspect.isfunction(getattr(getattr(omicstl, door), name)), row.verb


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("name", "Plier", "no lower-case word"),
        ("verb", "plier", "no door and function"),
        ("writes", ("obsm[key]",), "is not of the form"),
        ("layouts", ("csr", "coo"), "layouts"),
        ("layouts", (), "layouts"),
        ("transfers", ("genes",), "transfers"),
        ("setting", ("inductive", "inductive"), "setting"),
        ("scale", "log2", "scale"),
        ("summary", "", "summary is empty"),
    ],
)
def test_bad_records(field, value, text):
    with pytest.raises(ValueError, match=text):
        dataclasses.replace(registry.record("plier"), **{field: value})


def test_paragraph():
    template = "A {a}[[ with {b} things]][[ and {c}]], {d}."
    assert registry.fill(template, {"a": 0.123456, "b": 3, "c": None}) == "A 0.1235 with 3 things, (not recorded)."
    assert registry.fill("x  [[{y}]] ", {}) == "x"
