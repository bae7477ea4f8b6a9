"""The rule that turns checks into a word."""

from __future__ import annotations

import numpy as np
import pytest

from omicstl.models.assess.decide import NEEDED, STANDING, Check, above, below, decide, unchecked


def check(name: str, status: str) -> Check:
    return Check(name, status, 0.5, 0.2, f"{name} is {status}.")


def passed() -> list[Check]:
    return [check(name, "passed") for name in NEEDED]


def test_supported_needs_every_needed_check() -> None:
    assert decide(passed()).word == "supported"
    for i, name in enumerate(NEEDED):
        without = passed()
        del without[i]
        assert decide(without).word == "caution"
        assert decide([*without, unchecked(name, "It could not run.")]).word == "caution"
    assert decide([]).word == "caution", "nothing checked is no support"


def test_the_worst_status_decides() -> None:
    assert decide([*passed(), unchecked("batch", "No batches.")]).word == "supported"
    assert decide([*passed(), check("depth", "caution")]).word == "caution"
    for order in (("caution", "failed"), ("failed", "caution")):
        assert decide([*passed(), *(check(status, status) for status in order)]).word == "do not use"


def test_reasons_are_sentences_the_gravest_first() -> None:
    checks = [
        check("depth", "caution"),
        *passed()[1:],
        check("genes", "failed"),
        unchecked(NEEDED[0], "Signal not checked."),
    ]
    verdict = decide(checks, 0.3)
    assert verdict.reasons == ["genes is failed.", "depth is caution.", "Signal not checked."]
    assert verdict.score == 0.3
    assert decide(passed()).reasons == []


def test_unknown_status_is_refused() -> None:
    with pytest.raises(ValueError, match=r"one of .*'passed'.* got \['good'\]"):
        decide([check("a", "good")])


@pytest.mark.parametrize(
    ("value", "status"), [(0.05, "failed"), (0.15, "caution"), (0.2, "passed"), (np.nan, "not checked")]
)
def test_limits(value: float, status: str) -> None:
    assert above(value, fail=0.1, doubt=0.2) == status
    assert below(-value, fail=-0.1, doubt=-0.2) == status


def test_the_standing_sentence_claims_nothing() -> None:
    assert STANDING == (
        "No check without labels in these cells can tell whether the relation of genes to response is the same in them."
    )
