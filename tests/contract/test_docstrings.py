"""Every public function reads the same: few positional arguments, no ``**kwargs``, a full numpydoc docstring."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable

import pytest

from tests.contract._house import present_doors, public_functions

FUNCTIONS = dict(public_functions())
SECTIONS = ("Parameters", "Returns", "Raises", "Notes", "Examples")
KEYWORDS = 16
every_function = pytest.mark.parametrize("name", sorted(FUNCTIONS))
#: One meaning, one kind of default everywhere: the glossary.
GLOSSARY: dict[str, tuple[object, ...]] = {
    "copy": (False,),
    "rng": (0,),
    "layer": (None,),
    "obsm": (None,),
    "progress": (None,),
    "ax": (None,),
}


def sections(function: Callable) -> dict[str, str]:
    """Sections of a numpydoc docstring by title."""
    text = inspect.getdoc(function) or ""
    parts = re.split(r"^([A-Z][A-Za-z ]+)\n-{3,}\n", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def documented(section: str) -> set[str]:
    """Names at the margin of a section, ``a, b`` counts as two."""
    lines = [line for line in section.splitlines() if line and not line[0].isspace()]
    return {name.strip().lstrip("*") for line in lines for name in line.split(":")[0].split(",")}


@every_function
def test_signature(name: str) -> None:
    parameters = list(inspect.signature(FUNCTIONS[name]).parameters.values())
    kinds = [parameter.kind for parameter in parameters]
    assert inspect.Parameter.VAR_KEYWORD not in kinds, "no **kwargs"
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    assert len(positional) <= 3, f"at most three positional arguments, got {[p.name for p in positional]}"
    keywords = [p for p in parameters if p.kind is p.KEYWORD_ONLY]
    assert len(keywords) <= KEYWORDS + 8 * (
        name in ("tl.plier", "tl.vae", "tl.deepprofile", "tl.adapt", "tl.scdeal")
    ), "too many options for one verb"
    for parameter in parameters:
        assert parameter.annotation is not parameter.empty, f"`{parameter.name}` has no type"
    assert inspect.signature(FUNCTIONS[name]).return_annotation is not inspect.Signature.empty


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name.split(".")[0] in ("pp", "tl")])
def test_verbs_receive_adata_first(name: str) -> None:
    parameters = inspect.signature(FUNCTIONS[name]).parameters
    assert next(iter(parameters)) == "adata"
    assert parameters["copy"].kind is inspect.Parameter.KEYWORD_ONLY
    assert parameters["copy"].default is False


@every_function
def test_one_word_has_one_default(name: str) -> None:
    for parameter in inspect.signature(FUNCTIONS[name]).parameters.values():
        if parameter.name in GLOSSARY and parameter.default is not inspect.Parameter.empty:
            assert parameter.default in GLOSSARY[parameter.name], parameter.name


@every_function
def test_docstring_has_all_sections(name: str) -> None:
    function = FUNCTIONS[name]
    found = sections(function)
    signature = inspect.signature(function)
    given = set(signature.parameters)
    needless = set() if given else {"Parameters"}
    needless |= {"Returns"} if signature.return_annotation in (None, "None") else set()
    wanted = [section for section in SECTIONS if section not in needless]
    missing = [section for section in wanted if section not in found]
    assert not missing, f"sections {missing} are missing from {function.__module__}"
    assert ">>>" in found["Examples"], "an example is code that runs"


@every_function
def test_docstring_documents_every_parameter(name: str) -> None:
    function = FUNCTIONS[name]
    have = set(inspect.signature(function).parameters)
    told = documented(sections(function).get("Parameters", ""))
    assert told == have, f"not documented: {sorted(have - told)}; not there: {sorted(told - have)}"


@pytest.mark.parametrize("door", present_doors())
def test_all_is_sorted_and_true(door: str) -> None:
    module = importlib.import_module(f"omicstl.{door}")
    assert list(module.__all__) == sorted(module.__all__)
    assert all(hasattr(module, name) for name in module.__all__)
    assert set(module.__all__) <= set(dir(module))
    assert inspect.getdoc(module), "a door says what it is for"
