"""Tables of an assessment beside its checks: shift, selection, and what the full level costs."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from omicstl._core.log import notice
from omicstl._core.random import Streams
from omicstl.models.transfer.screen import Lines

from . import domains, selection as criteria
from .domains import Measure
from .selection import Criterion
from .source import source_of
from .space import Space

_INTEGERS = {"n"}
#: Columns of stored tables for fields that are called otherwise.
_CALLED = {"name": "measure"}


def rows_of(kind: type[Any], rows: Sequence[Any], **before: Sequence[str]) -> pd.DataFrame:
    """A table of named tuples, with columns of text before it."""
    table: dict[str, Any] = {name: np.array(list(values), dtype=object) for name, values in before.items()}
    for field, of in kind.__annotations__.items():
        values = [getattr(row, field) for row in rows]
        dtype: Any = object if "str" in str(of) else np.int64 if field in _INTEGERS else np.float64
        table[_CALLED.get(field, field)] = np.array(values, dtype=dtype)
    return pd.DataFrame(table)


def speaker(words: Mapping[str, str]) -> Callable[[str], str]:
    """Replace words by others."""
    pattern = re.compile(rf"\b({'|'.join(words)})\b")
    return lambda text: pattern.sub(lambda found: words[found[0]], text)


def of_domains(
    lines: Lines,
    space: Space,
    raw: np.ndarray,
    scaled: bool,
    asked: np.ndarray,
    random: Streams,
    *,
    kind: str,
    level: str,
) -> tuple[list[Measure], list[Criterion]]:
    """How the sides differ, and what speaks for which alignment, as far as the level goes."""
    one = source_of(lines, space, int(asked[0]), random) if asked.size == 1 else None
    usable = one is not None and one.rows.size >= 5 and bool(np.any(one.y))
    source = one if usable else None
    binary = bool(lines.binary[asked[0]])
    shift = domains.measures(lines, space, raw, scaled, random, level=level, source=source, binary=binary)
    selection = [] if source is None else criteria.of_ridge(source, space, random)
    if kind != "scdeal":
        why = "not checked: this is for tl.scdeal alone"
        return shift, [*selection, Criterion("", "simulated target, rho", np.nan, np.nan, np.nan, why)]
    if level == "full":
        return shift, [*selection, *criteria.compared(lines, raw, scaled, asked, random)]
    why = "not checked: level='full' compares no alignment, CORAL and denoised cells by it"
    names = ("circular", "importance-weighted, of alignments")
    return shift, [*selection, *(Criterion("", name, np.nan, np.nan, np.nan, why) for name in names)]


def tell_cost(kind: str, n_lines: int, n_genes: int, n_cells: int, n_drugs: int) -> None:
    """Say, before the work starts, what the full level is going to cost."""
    seconds = expected_seconds(kind, n_lines, n_genes, n_cells, n_drugs)
    notice(
        f"Full level for {n_drugs} drug{'s' if n_drugs > 1 else ''} ({n_lines} lines, {n_genes:,} genes, {n_cells:,} cells): about "
        f"{seconds:,.0f} CPU seconds for boosting on at most 500 genes, networks without alignment, and 1,000 permutations."
    )


def expected_seconds(kind: str, n_lines: int, n_genes: int, n_cells: int, n_drugs: int) -> float:
    """CPU seconds of the full level on one core, measured for 150 to 1,000 lines; right within a factor of three."""
    big = n_lines * n_genes / 1.5e6
    cells = n_genes * n_cells / 3e6
    shared = 11 + 2 * big + (5 * big + 2 if kind == "scdeal" else 0)
    return shared + n_drugs * (4 + 1.5 * cells + n_lines / 500)


def nothing(why: str) -> dict[str, Any]:
    """Rows that say what was not checked where there are neither lines nor cells to compare."""
    names = ("kind of shift", "proxy A-distance", "MMD", "share of sensitive cells", "bound")
    return {
        "shift": [Measure(name, "", np.nan, np.nan, np.nan, f"not checked: {why}") for name in names],
        "selection": [Criterion("", "selection", np.nan, np.nan, np.nan, f"not checked: {why}")],
    }


class Pick(NamedTuple):
    """What a verb has taken, and why."""

    name: str
    reason: str


def taken(table: object, column: str, pick: Pick) -> list[Criterion]:
    """What the choice of a verb rests on: its own table, and the candidate that it has taken."""
    rows: list[Criterion] = []
    if isinstance(table, pd.DataFrame) and column in table:
        rows = criteria.told({str(name): table[name].to_numpy() for name in table}, column)
    return [*rows, Criterion(pick.name, "taken", np.nan, np.nan, np.nan, pick.reason)]
