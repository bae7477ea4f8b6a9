"""Which samples of an ARCHS4 file are read: rules, and what each drops."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from omicstl._core.checks import check_number, listed
from omicstl._core.log import warn

from ._archs4_file import Layout, read_field, read_numbers

if TYPE_CHECKING:
    import h5py

_SEARCHED = ("title", "source_name_ch1", "characteristics_ch1")
_SERIES = re.compile(r"GSE\d+")
_ASKED = {
    "singlecellprobability": ("max_single_cell", "which samples are single cells"),
    "alignedreads": ("min_reads", "how many reads were aligned"),
    "series_id": ("max_per_series", "to which series a sample belongs"),
}


class Rules(NamedTuple):
    """What samples must fulfil; `None` asks for nothing."""

    pattern: re.Pattern[str] | None
    samples: list[str] | None
    max_single_cell: float | None
    min_reads: int | None
    max_per_series: int | None


class Choice(NamedTuple):
    """Samples that fulfil all rules: their places in the file, and how many each rule has dropped."""

    positions: np.ndarray
    accessions: np.ndarray
    """Of all samples of the file."""
    dropped: dict[str, int]
    n_not_found: int


def rules(
    pattern: str | None,
    samples: Iterable[str] | None,
    max_single_cell: float | None,
    min_reads: int | None,
    max_per_series: int | None,
) -> Rules:
    """Check the options of the reader."""
    if max_single_cell is not None:
        check_number(
            "max_single_cell", max_single_cell, low=0, low_open=True, high=1, advice="0.5 is what ARCHS4 advises."
        )
    if min_reads is not None:
        check_number("min_reads", min_reads, low=0, integer=True)
    if max_per_series is not None:
        check_number("max_per_series", max_per_series, low=1, integer=True)
    return Rules(_compiled(pattern), _wanted(samples), max_single_cell, min_reads, max_per_series)


def choose(file: h5py.File, found: Layout, asked: Rules, priority: np.random.Generator, name: str) -> Choice:
    """Apply the rules one after the other; `ValueError` if nothing is left, with what each has dropped."""
    accessions = read_field(file, found.accession)
    keep = ~pd.Series(accessions).duplicated().to_numpy()
    dropped = {"repeated": int((~keep).sum())}

    def apply(rule: str, passes: np.ndarray) -> None:
        nonlocal keep
        dropped[rule] = int((keep & ~passes).sum())
        keep = keep & passes

    if asked.pattern is not None:
        apply("pattern", _matches(file, found, asked.pattern, name))
    if asked.samples is not None:
        apply("samples", np.isin(accessions.astype(str), asked.samples))
    if asked.max_single_cell is not None and _there(found, "singlecellprobability", name):
        probability = read_numbers(file, found, "singlecellprobability")
        apply("single_cell", np.isnan(probability) | (probability < asked.max_single_cell))
    if asked.min_reads is not None and _there(found, "alignedreads", name):
        reads = read_numbers(file, found, "alignedreads")
        apply("min_reads", np.isnan(reads) | (reads >= asked.min_reads))
    if asked.max_per_series is not None and _there(found, "series_id", name):
        series = read_field(file, found.fields["series_id"])
        apply("series", _capped(keep, series, asked.max_per_series, priority.random(len(keep))))
    if not keep.any():
        raise ValueError(_nothing_left(name, accessions, asked, dropped))
    not_found = 0 if asked.samples is None else int((~np.isin(asked.samples, accessions.astype(str))).sum())
    return Choice(np.flatnonzero(keep), accessions, dropped, not_found)


def _wanted(samples: Iterable[str] | None) -> list[str] | None:
    if samples is None:
        return None
    names = list(samples)
    if not names or not all(isinstance(name, str) for name in names):
        msg = f"`samples` must hold at least one accession such as 'GSM1158284', and text alone, got {listed(names)}."
        raise (TypeError if names else ValueError)(msg)
    return list(dict.fromkeys(name.strip().upper() for name in names))


def _compiled(pattern: str | None) -> re.Pattern[str] | None:
    if pattern is None:
        return None
    if not pattern:
        msg = "`pattern` is empty, which every sample contains. Leave it out to keep them all."
        raise ValueError(msg)
    try:
        return re.compile(pattern, re.IGNORECASE)
    except re.error as error:
        msg = f"`pattern` {pattern!r} is no regular expression: {error}. For plain text use re.escape(text)."
        raise ValueError(msg) from error


def _there(found: Layout, field: str, name: str) -> bool:
    if field in found.fields:
        return True
    option, what = _ASKED[field]
    warn(f"{name!r} does not say {what}: no sample was dropped for it. Pass {option}=None to say that this is meant.")
    return False


def _matches(file: h5py.File, found: Layout, expression: re.Pattern[str], name: str) -> np.ndarray:
    there = [field for field in _SEARCHED if field in found.fields]
    if not there:
        msg = f"{name!r} has no field to look for `pattern` in ({', '.join(_SEARCHED)}). Pass `samples` instead."
        raise ValueError(msg)
    passes = np.zeros(found.shape[0], dtype=bool)
    for field in there:
        passes |= [expression.search(str(text)) is not None for text in read_field(file, found.fields[field])]
    return passes


def _capped(keep: np.ndarray, series: np.ndarray, most: int, priority: np.ndarray) -> np.ndarray:
    """Keep samples by priority, none of whose series is full; a sample of no series is never dropped."""
    passes = np.zeros(len(keep), dtype=bool)
    count: dict[str, int] = {}
    candidates = np.flatnonzero(keep)
    for i in candidates[np.argsort(priority[candidates], kind="stable")]:
        mine = set(_SERIES.findall(str(series[i])))
        if all(count.get(name, 0) < most for name in mine):
            passes[i] = True
            for name in mine:
                count[name] = count.get(name, 0) + 1
    return passes


def _nothing_left(name: str, accessions: np.ndarray, asked: Rules, dropped: dict[str, int]) -> str:
    told = {
        "repeated": "repeat an accession",
        "pattern": f"do not match {asked.pattern.pattern!r}" if asked.pattern else "",
        "samples": "are not in `samples`",
        "single_cell": "are probably single cells",
        "min_reads": "have too few reads",
        "series": "are beyond `max_per_series`",
    }
    rules = "; ".join(f"{count:,} {told[rule]}" for rule, count in dropped.items() if count)
    hint = ""
    if asked.samples is not None and not np.isin(asked.samples, accessions.astype(str)).any():
        hint = (
            f" None of {listed(asked.samples)} is in the file, which holds accessions such as {listed(accessions[:2])}."
        )
    return f"No sample of {name!r} is left of {len(accessions):,}: {rules or 'the file is empty'}.{hint} Loosen these rules."
