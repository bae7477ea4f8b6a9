"""What the plots take from an AnnData beside scores: groups of observations, and the test over factors that belongs to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from omicstl._core.checks import listed, missing_key
from omicstl._data.columns import check_any, level_name, read_column
from omicstl._data.results import TEST_KIND, key_of_test

if TYPE_CHECKING:
    from anndata import AnnData

MOST_GROUPS = 20
UNKNOWN = "not known"


class Groups(NamedTuple):
    """Observations by group; -1 where the group is not known."""

    column: str
    names: list[str]
    codes: np.ndarray

    def members(self) -> list[tuple[str, np.ndarray]]:
        """Return each group's name and observations, those of no known group last."""
        found = [(name, np.flatnonzero(self.codes == i)) for i, name in enumerate(self.names)]
        rest = np.flatnonzero(self.codes < 0)
        return [*found, (UNKNOWN, rest)] if rest.size else found


def groups_of(
    adata: AnnData, column: str, *, name: str = "groupby", first: str | None = None, where: str = "adata"
) -> Groups:
    """Read a column of groups, in the order of its categories; `first` comes first."""
    values = read_column(adata, column, argument=name, name=where)
    if values.is_number and not values.absent.all():
        msg = (
            f"`{name}` must be a column of groups, {values.where} holds {np.unique(values.known).size} numbers. If they stand for groups: "
            f"{values.where} = {values.where}.astype('category'); else cut them (pandas.cut) into another column."
        )
        raise ValueError(msg)
    check_any(values, f"`{name}` has no groups")
    order = list(values.levels)
    if len(order) > MOST_GROUPS:
        msg = (
            f"`{name}` must be a column of at most {MOST_GROUPS} groups, {values.where} has {len(order)}: {listed(order, 3)}. "
            "It looks like an identifier."
        )
        raise ValueError(msg)
    first = None if first is None else level_name(first)
    if first in order:
        order = [str(first), *(group for group in order if group != first)]
    table = np.array([*(order.index(group) for group in values.levels), -1])
    return Groups(column, order, table[values.codes])


def find_test(adata: AnnData, key: str, test: str | None, *, where: str = "adata", name: str = "test") -> str | None:
    """Return the key of the test of the scores `key`: the one asked for, the only one, of several that of the default name."""
    if test is not None:
        found = key_of_test(adata, test, where, name)
        of = str(adata.uns[found]["params"]["key"])
        if of != key:
            msg = f"The test {found!r} of {where} is of the scores {of!r}, not of {key!r}. Pass the two that belong together."
            raise ValueError(msg)
        return found
    own = sorted(
        name
        for name, entry in adata.uns.items()
        if isinstance(entry, Mapping) and entry.get("kind") == TEST_KIND and entry["params"]["key"] == key
    )
    if len(own) > 1:
        if f"{key}_test" in own:
            return f"{key}_test"
        msg = f"{where} holds {len(own)} tests of {key!r}: {listed(own)}. Say which one: {name}={own[0]!r}."
        raise KeyError(msg)
    return own[0] if own else None


def chosen(table: pd.DataFrame, contrast: str | None) -> list[str]:
    """Return the contrasts to draw, in the order of the table."""
    there = list(dict.fromkeys(str(name) for name in table["contrast"]))
    if contrast is None:
        return there
    if contrast not in there:
        raise missing_key(contrast, "the contrasts of the test", there)
    return [contrast]


def higher_in(params: Mapping[str, Any], contrast: str) -> str:
    """Words for what a positive effect means."""
    if params["phenotype_kind"] == "number":
        return f"rises with {params['phenotype']}"
    return f"higher in {contrast.partition(' - ')[0]}"
