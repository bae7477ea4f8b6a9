"""Supported, caution or do not use: one transparent rule over checks that need no labels of the cells (numpy)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

STATUS = ("passed", "caution", "failed", "not checked")
WORDS = ("supported", "caution", "do not use")

STANDING = (
    "No check without labels in these cells can tell whether the relation of genes to response is the same in them."
)
"""What stands in every report."""

NEEDED = (
    "signal in the source",
    "signal within lineages",
    "gene identity",
    "shared programmes",
    "programme in the cells",
)
"""Checks without which nothing is supported: where one of them could not run, the word is at most "caution"."""


class Check(NamedTuple):
    """One question to the data, its answer as a number, and what a reader needs to know of it."""

    name: str
    status: str
    """"passed", "caution", "failed" or "not checked"."""
    value: float
    """NaN where not checked."""
    limit: float
    """What `value` is held against; NaN where not checked."""
    sentence: str
    null: float = np.nan
    """What `value` is on average where there is nothing to find; NaN where there is no such null."""


class Verdict(NamedTuple):
    """The word, an expected rank correlation, and the checks that both rest on."""

    word: str
    score: float
    """Rank correlation of score and response that the source and these cells allow, *if* the relation is the same; 0 to 1."""
    checks: tuple[Check, ...]

    @property
    def reasons(self) -> list[str]:
        """Sentences of what speaks against it, the gravest first; then of what was needed and could not be checked."""
        against = [check for status in ("failed", "caution") for check in self.checks if check.status == status]
        return [check.sentence for check in against + missing(self.checks)]


def missing(checks: Sequence[Check], needed: Sequence[str] = NEEDED) -> list[Check]:
    """Return the checks that are needed for support and could not run."""
    return [check for check in checks if check.name in needed and check.status == "not checked"]


def decide(checks: Sequence[Check], score: float = np.nan, *, needed: Sequence[str] = NEEDED) -> Verdict:
    """
    Give a word to checks: the worst status decides, and doubt is "caution".

    A failed check is "do not use". A caution, or a check of `needed` that could not run or is not among `checks`, is "caution".
    "supported" is left for what passed every check that can be made without labels of the cells. It is no claim that a
    transfer is right.
    """
    wrong = sorted({check.status for check in checks} - set(STATUS))
    if wrong:
        msg = f"The status of a check must be one of {STATUS}, got {wrong}."
        raise ValueError(msg)
    status = [check.status for check in checks]
    absent = set(needed) - {check.name for check in checks}
    if "failed" in status:
        word = "do not use"
    elif "caution" in status or missing(checks, needed) or absent:
        word = "caution"
    else:
        word = "supported"
    return Verdict(word, float(score), tuple(checks))


def above(value: float, *, fail: float = -np.inf, doubt: float = -np.inf) -> str:
    """Status of a value that should be large: failed below `fail`, caution below `doubt`."""
    if not np.isfinite(value):
        return "not checked"
    return "failed" if value < fail else "caution" if value < doubt else "passed"


def below(value: float, *, fail: float = np.inf, doubt: float = np.inf) -> str:
    """Status of a value that should be small: failed above `fail`, caution above `doubt`."""
    return above(-value, fail=-fail, doubt=-doubt)


def unchecked(name: str, sentence: str) -> Check:
    """Return a check that could not run, and why."""
    return Check(name, "not checked", np.nan, np.nan, sentence)
