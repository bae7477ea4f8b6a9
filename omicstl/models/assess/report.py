"""Tables of an assessment, as they are stored."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from omicstl._core.random import Streams
from omicstl._core.threads import one_thread
from omicstl.models.transfer.screen import Cells, Lines

from . import gather, tables
from .baselines import Baseline
from .decide import STANDING, WORDS, Check, Verdict, decide
from .domains import Measure
from .selection import Criterion
from .source import Null

KIND = "assessment"
LEVELS = ("fast", "full")
#: What sentences speak of where domains of one object were adapted.
ADAPTED = {
    "lines": "rows of the sources", "cells": "rows of the target", "lineages": "blocks", "lineage": "block", "drug": "label",
    "drugs": "labels", "studies": "sources", "study": "source", "expression": "the data", "Lineage": "Block",
}  # fmt: skip


def checks_table(checks: Sequence[Check]) -> pd.DataFrame:
    """A row for each check."""
    return pd.DataFrame(
        {
            "check": _text([check.name for check in checks]),
            "status": _text([check.status for check in checks]),
            "value": np.array([check.value for check in checks], dtype=np.float64),
            "limit": np.array([check.limit for check in checks], dtype=np.float64),
            "null": np.array([check.null for check in checks], dtype=np.float64),
            "why": _text([check.sentence for check in checks]),
        }
    )


def entry(
    verdict: Verdict,
    params: Mapping[str, Any],
    *,
    names: Sequence[str] = (),
    found: Sequence[gather.Evidence] = (),
    shift: Sequence[Measure] = (),
    selection: Sequence[Criterion] = (),
    nulls: Sequence[Null] = (),
    baselines: Sequence[Baseline] = (),
) -> dict[str, Any]:
    """What is written to ``uns``: no word without its table. `found` belong to the drugs `names`."""
    rows = [("", row, np.nan) for row in baselines]
    draws = [("", null) for null in nulls]
    for name, one in zip(names, found, strict=True):
        rows += [(name, row, agreement) for row, agreement in zip(one.baselines, one.agreement, strict=True)]
        draws += [(name, null) for null in one.nulls]
    uns = {
        "kind": KIND,
        "version": 1,
        "params": dict(params),
        "verdict": verdict.word,
        "score": float(verdict.score),
        "sentence": STANDING,
        "reasons": _text(verdict.reasons),
        "checks": checks_table(verdict.checks),
        "baselines": pd.DataFrame(
            {
                "drug": _text([name for name, _, _ in rows]),
                "baseline": _text([row.name for _, row, _ in rows]),
                "agreement": np.array([agreement for _, _, agreement in rows], dtype=np.float64),
                "source_rho": np.array([row.source_rho for _, row, _ in rows], dtype=np.float64),
                "note": _text([row.note for _, row, _ in rows]),
            }
        ),
        "nulls": tables.rows_of(Null, [null for _, null in draws], drug=[name for name, _ in draws]),
        "shift": tables.rows_of(Measure, shift),
        "selection": tables.rows_of(Criterion, selection),
        "drugs": drugs_table(names, found),
    }
    if len(found) > 1:
        parts = [checks_table(one.verdict.checks) for one in found]
        for name, part in zip(names, parts, strict=True):
            part.insert(0, "drug", _text([name] * len(part)))
        uns["drug_checks"] = pd.concat(parts, ignore_index=True)
    return uns


def drugs_table(names: Sequence[str], found: Sequence[gather.Evidence]) -> pd.DataFrame:
    """A row for each drug."""
    values = [{check.name: check.value for check in one.verdict.checks} for one in found]

    def column(name: str) -> np.ndarray:
        return np.array([value.get(name, np.nan) for value in values], dtype=np.float64)

    general = [
        next((row.source_rho for row in one.baselines if row.name == "general sensitivity"), np.nan) for one in found
    ]
    return pd.DataFrame(
        {
            "drug": _text(list(names)),
            "verdict": _text([one.verdict.word for one in found]),
            "score": np.array([one.verdict.score for one in found], dtype=np.float64),
            "n_lines": np.nan_to_num(column("number of lines")).astype(np.int64),
            "source_rho": column("signal in the source"),
            "within_lineages": column("signal within lineages"),
            "general_rho": np.array(general, dtype=np.float64),
            "programme": column("programme in the cells"),
            "against": _text(["; ".join(against(one.verdict)) for one in found]),
        }
    )


def against(verdict: Verdict) -> list[str]:
    """Names of the checks that were not passed, the gravest first."""
    return [check.name for status in ("failed", "caution") for check in verdict.checks if check.status == status]


def of_drugs(
    lines: Lines,
    cells: Cells,
    scores: np.ndarray,
    names: Sequence[str],
    random: Streams,
    *,
    params: Mapping[str, Any],
    mask: np.ndarray | None = None,
    confounders: Mapping[str, np.ndarray] | None = None,
    level: str = "fast",
    genes: bool = True,
    words: Mapping[str, str] | None = None,
    extra: Sequence[Check] = (),
    each: Mapping[str, Sequence[Check]] | None = None,
    taken: Sequence[Criterion] = (),
) -> dict[str, Any]:
    """
    Assess the scores (m, d) of drugs `names`, which are among ``lines.drugs``: the entry that is written.

    `extra` are checks that the verb has made of itself, `each` those of one drug, `taken` what its choice rests on. For several drugs
    the checks at the top are of what they share; each drug has its own word, and the word at the top is the best of them.
    """
    kind, n_cells = str(params["kind"]), cells.rows.n_rows if mask is None else int(mask.sum())
    if level == "full":
        tables.tell_cost(kind, len(lines.x), lines.x.shape[1], min(n_cells, gather.MOST_CELLS[level]), len(names))
    index = gather.sample(cells, random, level, None if mask is None else np.flatnonzero(mask))
    raw = np.asarray(cells.rows.take(index))
    known = {name: np.asarray(values)[index] for name, values in (confounders or {}).items()}
    if cells.totals is not None:
        known = {"depth": np.log1p(np.asarray(cells.totals, dtype=np.float64)[index]), **known}
    if cells.n_genes is not None:
        known = {**known, "genes seen": np.asarray(cells.n_genes)[index]}
    space = gather.build(lines, raw)
    position = {str(name): i for i, name in enumerate(lines.drugs)}
    asked = np.array([position[str(name)] for name in names])
    networks: list[Baseline | None] = [None] * len(names)
    with one_thread():
        if level == "full":
            from .baselines_network import unaligned_networks

            networks = [*unaligned_networks(lines, raw, cells.scaled, asked, random)]
        found = [
            gather.gather(
                lines, raw, int(asked[j]), random, score=scores[index, j], scaled=cells.scaled, confounders=known, level=level,
                space=space, genes=genes, network=networks[j],
            )
            for j in range(len(names))
        ]  # fmt: skip
        shift, selection = tables.of_domains(lines, space, raw, cells.scaled, asked, random, kind=kind, level=level)
    more = {str(name): [*extra, *(each or {}).get(str(name), ())] for name in names}
    found = [
        one._replace(verdict=decide([*one.verdict.checks, *more[str(name)]], one.verdict.score))
        for name, one in zip(names, found, strict=True)
    ]
    seen = {(row.candidate, row.criterion) for row in selection}
    selection = [*(row for row in taken if (row.candidate, row.criterion) not in seen), *selection]
    if words is not None:
        speak = tables.speaker(words)
        found = [
            one._replace(
                verdict=_spoken(one.verdict, speak),
                baselines=tuple(row._replace(note=speak(row.note)) for row in one.baselines),
            )
            for one in found
        ]
        shift = [row._replace(name=speak(row.name), note=speak(row.note)) for row in shift]
        selection = [row._replace(criterion=speak(row.criterion), note=speak(row.note)) for row in selection]
    used = {**params, "n_cells_read": int(index.size), "n_drugs": len(names)}
    told: dict[str, Any] = {"names": list(names), "found": found, "shift": shift, "selection": selection}
    if len(found) == 1:
        return entry(found[0].verdict, used, **told)
    shared = [check for check in found[0].verdict.checks if check.name in gather.SHARED]
    score = float(np.median([one.verdict.score for one in found]))
    verdict = decide([*shared, *extra, _all_drugs(found)], score, needed=gather.SHARED_NEEDED)
    return entry(verdict, used, **told)


def _text(values: Sequence[str]) -> np.ndarray:
    return np.array(list(values), dtype=object)


def _all_drugs(found: Sequence[gather.Evidence]) -> Check:
    """How many drugs got which word; passed if any is supported, failed if none may be used."""
    n = {word: sum(one.verdict.word == word for one in found) for word in WORDS}
    status = next(status for status, word in zip(("passed", "caution", "failed"), WORDS, strict=True) if n[word])
    share = 1 - n["do not use"] / len(found)
    said = f"Of {len(found)} drugs {n['supported']} are supported, {n['caution']} ask for caution and {n['do not use']} should not be used."
    return Check("drugs", status, share, 0.0, said)


def _spoken(verdict: Verdict, speak: Callable[[str], str]) -> Verdict:
    """The same verdict in other words."""
    return verdict._replace(checks=tuple(check._replace(sentence=speak(check.sentence)) for check in verdict.checks))
