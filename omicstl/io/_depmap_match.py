"""Which line of a screen is which model of DepMap."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np
import pandas as pd


class Matches(NamedTuple):
    """Row of the screen for each model, -1 where there is none, and how it was found."""

    rows: np.ndarray  # (n_models,) int
    by: np.ndarray  # (n_models,) "", "sanger_model_id" or "stripped_name"
    ambiguous: list[str]  # lines whose stripped names are not unique, and which have no identifier that decides


def match_lines(models: pd.DataFrame, screen: pd.DataFrame) -> Matches:
    """
    Match by Sanger's identifier first, then by names of capital letters and digits alone.

    Both frames hold ``stripped_name`` and may hold ``sanger_model_id``. T-T and TT are two lines of one stripped name: such
    names decide nothing, unless the identifier has matched all but one of them.
    """
    rows = np.full(len(models), -1)
    by = np.full(len(models), "", dtype="<U15")
    if "sanger_model_id" in models and "sanger_model_id" in screen:
        _match(rows, by, models["sanger_model_id"], screen["sanger_model_id"], "sanger_model_id")
    ambiguous = _match(rows, by, models["stripped_name"], screen["stripped_name"], "stripped_name")
    return Matches(rows, by, [str(screen.index[row]) for row in ambiguous])


def _match(rows: np.ndarray, by: np.ndarray, left: pd.Series, right: pd.Series, word: str) -> list[int]:
    """Fill in the pairs of equal and unique words among what is not matched yet; return the rows that could not be decided."""
    taken = set(rows[rows >= 0].tolist())
    free_left = [i for i in np.flatnonzero(rows < 0) if left.iloc[i]]
    free_right = [j for j in range(len(right)) if right.iloc[j] and j not in taken]
    count_left, count_right = Counter(left.iloc[free_left]), Counter(right.iloc[free_right])
    where = {left.iloc[i]: i for i in free_left}
    undecided = []
    for j in free_right:
        name = right.iloc[j]
        if name not in where:
            continue
        if count_left[name] == count_right[name] == 1:
            rows[where[name]], by[where[name]] = j, word
        else:
            undecided.append(j)
    return undecided
