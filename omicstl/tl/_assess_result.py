"""Tables of an assessment, as they are stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from omicstl._core.random import Streams
from omicstl.models import evidence
from omicstl.models.evidence_source import Null
from omicstl.models.screen import Cells, Lines
from omicstl.models.verdict import STANDING, WORDS, Check, Verdict, decide

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
    found: evidence.Evidence | None = None,
    drugs: pd.DataFrame | None = None,
) -> dict[str, Any]:
    """What is written to ``uns``: no word without its table."""
    baselines, nulls = () if found is None else found.baselines, () if found is None else found.nulls
    table = {
        "baseline": _text([row.name for row in baselines]),
        "agreement": np.array([] if found is None else found.agreement, dtype=np.float64),
        "source_rho": np.array([row.source_rho for row in baselines], dtype=np.float64),
        "note": _text([row.note for row in baselines]),
    }
    null_table: dict[str, Any] = {"check": _text([row.check for row in nulls])}
    for field in Null._fields[1:-1]:
        null_table[field] = np.array([getattr(row, field) for row in nulls], dtype=np.float64)
    null_table["n"] = np.array([row.n for row in nulls], dtype=np.int64)
    return {
        "kind": KIND,
        "version": 1,
        "params": dict(params),
        "verdict": verdict.word,
        "score": float(verdict.score),
        "sentence": STANDING,
        "reasons": _text(verdict.reasons),
        "checks": checks_table(verdict.checks),
        "baselines": pd.DataFrame(table),
        "nulls": pd.DataFrame(null_table),
        "drugs": drugs_table([], []) if drugs is None else drugs,
    }


def drugs_table(names: Sequence[str], found: Sequence[evidence.Evidence]) -> pd.DataFrame:
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
) -> dict[str, Any]:
    """
    Assess the scores (m, d) of drugs `names`, which are among ``lines.drugs``: the entry that is written.

    `extra` are checks that the verb has made of itself. For several drugs the checks at the top are of what they share; each drug
    has its own word, and the word at the top is the best of them.
    """
    index = evidence.sample(cells, random, level, None if mask is None else np.flatnonzero(mask))
    raw = np.asarray(cells.rows.take(index))
    known = {name: np.asarray(values)[index] for name, values in (confounders or {}).items()}
    if cells.totals is not None:
        known = {"depth": np.log1p(np.asarray(cells.totals, dtype=np.float64)[index]), **known}
    if cells.n_genes is not None:
        known = {**known, "genes seen": np.asarray(cells.n_genes)[index]}
    space = evidence.build(lines, raw)
    position = {str(name): i for i, name in enumerate(lines.drugs)}
    found = [
        evidence.gather(
            lines, raw, position[str(name)], random, score=scores[index, j], scaled=cells.scaled, confounders=known,
            level=level, space=space, genes=genes,
        )
        for j, name in enumerate(names)
    ]  # fmt: skip
    if extra:
        found = [one._replace(verdict=decide([*one.verdict.checks, *extra], one.verdict.score)) for one in found]
    if words is not None:
        found = [one._replace(verdict=_spoken(one.verdict, words)) for one in found]
    used = {**params, "n_cells_read": int(index.size), "n_drugs": len(names)}
    if len(found) == 1:
        return entry(found[0].verdict, used, found=found[0], drugs=drugs_table(names, found))
    shared = [check for check in found[0].verdict.checks if check.name in evidence.SHARED]
    score = float(np.median([one.verdict.score for one in found]))
    verdict = decide([*shared, *extra, _all_drugs(found)], score, needed=evidence.SHARED_NEEDED)
    return entry(verdict, used, drugs=drugs_table(names, found))


def _text(values: Sequence[str]) -> np.ndarray:
    return np.array(list(values), dtype=object)


def _all_drugs(found: Sequence[evidence.Evidence]) -> Check:
    """How many drugs got which word; passed if any is supported, failed if none may be used."""
    n = {word: sum(one.verdict.word == word for one in found) for word in WORDS}
    status = next(status for status, word in zip(("passed", "caution", "failed"), WORDS, strict=True) if n[word])
    share = 1 - n["do not use"] / len(found)
    said = f"Of {len(found)} drugs {n['supported']} are supported, {n['caution']} ask for caution and {n['do not use']} should not be used."
    return Check("drugs", status, share, 0.0, said)


def _spoken(verdict: Verdict, words: Mapping[str, str]) -> Verdict:
    """The same verdict in other words."""
    import re

    pattern = re.compile(rf"\b({'|'.join(words)})\b")
    checks = [
        check._replace(sentence=pattern.sub(lambda found: words[found[0]], check.sentence)) for check in verdict.checks
    ]
    return verdict._replace(checks=tuple(checks))
