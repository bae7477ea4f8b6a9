"""One vocabulary: a name means one thing, has one default and one type, whichever verb it belongs to."""

from __future__ import annotations

import inspect
import re
from collections import defaultdict
from typing import Any

import pytest

from tests.contract._house import public_functions

FUNCTIONS = dict(public_functions())
EMPTY = inspect.Parameter.empty

#: Names that every future verb takes in the same sense, with their default wherever they are optional.
VOCABULARY: dict[str, Any] = {
    "copy": False,
    "layer": None,
    "obsm": None,
    "rng": 0,
    "progress": None,
    "key": None,
    "label_key": None,
    "domain_key": None,
    "batch_key": None,
    "out": None,
    "ax": None,
    "training": None,
    "force": False,
}
#: The same word on the two sides of a method: how many to simulate, and how many to fit or to use. Ways differ from verb to verb.
DIFFER = {"n_factors", "n_members", "n_obs", "n_permutations", "n_vars", "method", "level"}
#: What is the first or second argument, never an option.
ROLES = {"adata": 0, "reference": 1}
#: Words that mean something which has a name already.
SYNONYMS = {
    "random_state": "rng",
    "seed": "rng",
    "inplace": "copy",
    "use_rep": "obsm",
    "use_layer": "layer",
    "verbose": "progress",
    "n_components": "n_factors",
    "n_latent": "n_factors",
    "n_iter": "max_iter",
    "tolerance": "tol",
    "genesets": "gene_sets",
    "ref": "reference",
    "query": "adata",
    "filename": "path",
    "key_name": "key_added",
    "uns_key": "key",
}
DOORS_THAT_WRITE = ("pp", "tl")


def uses() -> dict[str, dict[str, inspect.Parameter]]:
    """Every name and the functions that have it."""
    found: dict[str, dict[str, inspect.Parameter]] = defaultdict(dict)
    for name, function in FUNCTIONS.items():
        for parameter in inspect.signature(function).parameters.values():
            found[parameter.name][name] = parameter
    return found


USES = uses()


@pytest.mark.parametrize("word", sorted(set(USES) - DIFFER))
def test_one_default(word):
    defaults = {repr(p.default) for p in USES[word].values() if p.default is not EMPTY}
    if word == "key_added":  # the family's name; a projection takes that of the reference
        return
    assert len(defaults) <= 1, {name: p.default for name, p in USES[word].items()}
    if word in VOCABULARY and defaults:
        assert defaults == {repr(VOCABULARY[word])}


@pytest.mark.parametrize("word", sorted(set(USES) - DIFFER))
def test_one_type(word):
    """Narrower or wider unions of the same types are one type."""
    atoms = [
        set(str(p.annotation).replace("LinearModel", "Model").split(" | ")) - {"None"} for p in USES[word].values()
    ]
    atoms = [{re.sub(r"\[.*|^.*\.", "", atom) for atom in kinds} for kinds in atoms]
    largest = max(atoms, key=len)
    if word != "gene_sets":
        assert all(kinds <= largest for kinds in atoms), {name: p.annotation for name, p in USES[word].items()}


def test_no_synonyms():
    wrong = {word: (SYNONYMS[word], list(USES[word])) for word in USES if word in SYNONYMS}
    assert not wrong


@pytest.mark.parametrize("word", sorted(ROLES))
def test_roles_have_their_place(word):
    for name, parameter in USES[word].items():
        place = list(inspect.signature(FUNCTIONS[name]).parameters).index(word)
        assert place == ROLES[word], name
        assert parameter.kind is parameter.POSITIONAL_OR_KEYWORD, name


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name.split(".")[0] in DOORS_THAT_WRITE])
def test_verbs_write_under_a_key_and_return_none_or_a_copy(name):
    signature = inspect.signature(FUNCTIONS[name])
    assert str(signature.return_annotation) == "AnnData | None"
    text = inspect.getdoc(FUNCTIONS[name])
    assert "`None`, or a copy if `copy`" in text
    if "key_added" in signature.parameters:
        default = signature.parameters["key_added"].default
        assert default is None or re.fullmatch(r"[a-z_]+", default)


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name.split(".")[0] in ("get", "metrics")])
def test_what_returns_values_writes_nothing(name):
    parameters = inspect.signature(FUNCTIONS[name]).parameters
    assert not {"copy", "key_added"} & set(parameters)


def test_options_are_keywords():
    """After the objects, and a key or a name, everything is passed by name."""
    allowed = {
        "adata",
        "reference",
        "gene_sets",
        "key",
        "path",
        "phenotype",
        "model",
        "table",
        "a",
        "b",
        "contrast",
        "truth",
        "result",
        "factor",
        "first",
        "second",
        "n_obs",
        "n_vars",
        "n_lines",
        "n_cells",
        "expression",
        "models",
    }
    for word, functions in USES.items():
        for name, parameter in functions.items():
            if parameter.kind is parameter.POSITIONAL_OR_KEYWORD:
                assert word in allowed, f"{name}({word})"
