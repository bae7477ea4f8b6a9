"""Make one example, run it, and say what became of it.

Verdicts that keep the promises: `returned`; `refused`, with an error of our own; `carried`, where values that are not finite were
put in and a function that only hands them on or shows them did so; `long`, at work without an end, as it was told, until Ctrl-C, and
nothing had changed; `impossible`, not made, because AnnData or the content itself do not allow the change (does not count). Findings:
`raw`, another error; `nan`, values that are not finite where those of the valid call are; `changed`, arguments or files that are not
what they were; `different`, another layout has another answer; `text`, an error that says nothing; `crash`; `hang`.
"""

from __future__ import annotations

import ast
import os
import re
import signal
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from anndata import AnnData

import omicstl as otl

from .changes import Arguments, Change, endless, made, only_layouts, settings_of
from .states import differences, folder, leaves, of_adata, silent_nan, state, under
from .subjects import Subject, subjects

PACKAGE = Path(otl.__file__).parent
_BROKEN = Path(__file__).with_name("self_check.py")  # counts as ours
#: Values that are not finite and mean something: the function, a part of the path, and what they mean.
MEANT = (
    ("tl.enrich", r"odds_ratio$", "infinite where nothing lies outside the overlap"),
    ("get.enrichment", r"odds_ratio$", "the same"),
    ("tl.rank_factors_groups", r"\bdf$", "infinite degrees of freedom of the prior: all variances are alike"),
    ("tl.rank_factors_groups", r"block_correlation$", "without blocks there is none"),
    ("", r"p_permutation$", "a model outside of its data has no permutations"),
    ("", r"_assessment/[a-z_]+/\d+ ", "not checked, and the table says why"),
    ("metrics.reconstruction", "", "of an observation without variation"),
    ("io.read_gdsc", r"X$", "not measured"),
    ("datasets.simulate_drug_response", r"ln_ic50$", "not measured"),
)


class Answer(NamedTuple):
    """What a call came to: an error, or leaves of what it returned or wrote."""

    error: BaseException | None
    found: dict[str, Any]
    wrote: bool
    warned: dict[str, int]


@cache
def _raises(path: str) -> list[tuple[int, int]]:
    tree = ast.parse(Path(path).read_text())
    return [(node.lineno, node.end_lineno or node.lineno) for node in ast.walk(tree) if isinstance(node, ast.Raise)]


def place(error: BaseException) -> tuple[str, bool]:
    """Innermost line of ours that the error went through, and whether it was raised there by ourselves."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [f for f in frames if Path(f.filename).is_relative_to(PACKAGE) or f.filename == str(_BROKEN)]
    if not ours:
        return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "nowhere", False
    last = ours[-1]
    own = last is frames[-1] and any(a <= (last.lineno or 0) <= b for a, b in _raises(last.filename))
    return f"{os.path.relpath(last.filename, PACKAGE.parent)}:{last.lineno} {last.name}", own


def text_of(error: BaseException) -> str:
    return str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)


def names_something(subject: Subject, text: str) -> bool:
    """At least twenty letters, and a value, a parameter or a part of the data among them."""
    parts = r"[`'\"\d]|\b(X|obs|var|adata|AnnData|NaN|factors?|genes?|observations?|cells?|lines?|sets?|model|file|columns?|rows?|arrays?|labels?|groups?|matrix)\b"
    return len(text) >= 20 and bool(re.search(parts, text) or any(name in text for name in subject.parameters))


def run(subject: Subject, arguments: Arguments, changes: list[Change]) -> Answer:
    """Call, with Ctrl-C allowed while it lasts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    error: BaseException | None = None
    value: Any = None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            with otl.settings.override(**settings_of(changes)):
                value = subject.call(arguments)
        except (Exception, KeyboardInterrupt) as one:  # noqa: BLE001 - to be judged
            error = one
        finally:
            signal.signal(signal.SIGINT, before)
        first = next(iter(arguments.values()), None)
        wrote = error is None and value is None and isinstance(first, AnnData)
        written = first if wrote else value
        verb = subject.name.startswith(("tl.", "pp."))
        found: dict[str, Any] = {}
        if error is None and isinstance(written, AnnData) and verb:
            found = of_adata(written, None if subject.reshapes else keys_of(subject, arguments))
        elif error is None:
            found = leaves(written, "value")
    return Answer(error, found, wrote, dict(Counter(type(w.message).__name__ for w in caught)))


def keys_of(subject: Subject, arguments: Arguments) -> list[str]:
    """Names below which a call may write."""
    given = [arguments.get(name) for name in ("key_added", "key")]
    return [*subject.keys, *(str(key) for key in given if isinstance(key, str) and key)]


def _changed(subject: Subject, arguments: Arguments, before: dict[str, dict[str, Any]], answer: Answer) -> list[str]:
    """Parts of the arguments that are not what they were and should be."""
    bad: list[str] = []
    for number, (name, was) in enumerate(before.items()):
        now = state(arguments[name], name)
        paths = sorted(path for path in {*was, *now} if was.get(path) != now.get(path))
        if answer.wrote and number == 0:
            paths = [] if subject.reshapes else [p for p in paths if not _may(p, keys_of(subject, arguments), was, now)]
        bad += paths
    return bad


def _may(path: str, keys: list[str], was: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether a call that writes below `keys` may change what a path stands for."""
    slot = path.split(".", 1)[-1]
    if slot == "view":
        return bool(was.get(path))
    if slot in ("obs", "var"):  # the list of columns
        columns = [set(re.findall(r"'([^']*)'", str(here.get(path)))) for here in (was, now)]
        return all(under(name, keys) for name in columns[0] ^ columns[1])
    room, _, name = slot.partition("/")
    return room in ("obs", "var", "obsm", "varm", "layers", "uns") and under(name, keys)


@lru_cache(maxsize=64)
def plain(name: str, written: str) -> Answer:
    """The answer of the plain path to the same changes, given as text."""
    changes = ast.literal_eval(written)
    subject = subjects()[name]
    return run(subject, made(subject.make(), changes, plain=True), changes)


def judged(name: str, changes: list[Change]) -> dict[str, Any]:
    """The verdict on one example, with what is needed to find its cause."""
    subject, started = subjects()[name], time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            arguments = made(subject.make(), changes)
            before = {key: state(value, key) for key, value in arguments.items()}
            there = folder()
        except Exception as error:  # noqa: BLE001 - AnnData, pandas or the content itself do not allow the change
            return {"verdict": "impossible", "error": type(error).__name__, "text": str(error)[:200]}
    began = time.perf_counter()
    answer = run(subject, arguments, changes)
    seconds = time.perf_counter() - began
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        verdict = _verdict(subject, arguments, changes, answer, before, there)
    verdict |= {"call_seconds": round(seconds, 4), "seconds": round(time.perf_counter() - started, 4)}
    return verdict | ({"warnings": answer.warned} if answer.warned else {})


def _verdict(
    subject: Subject,
    arguments: Arguments,
    changes: list[Change],
    answer: Answer,
    before: dict[str, dict[str, Any]],
    there: dict[str, str],
) -> dict[str, Any]:
    error = answer.error
    bad = _changed(subject, arguments, before, answer)
    now = folder()
    lost = [path for path in there if now.get(path) != there[path]]
    new = [path for path in now if path not in there]
    written = any(arguments.get(name) is not None for name in subject.files)
    files = (
        []
        if written and error is None
        else [f"file {p}" for p in (lost + new if "checkpoint" not in arguments else lost)]
    )
    if isinstance(error, KeyboardInterrupt):
        kind = "changed" if bad else "long" if endless(changes) else "hang"
        return {"verdict": kind, "where": place(error)[0], "paths": bad[:5]}
    if error is not None:
        where, own = place(error)
        about = {"error": type(error).__name__, "text": text_of(error)[:300], "where": where}
        if not own:
            return {"verdict": "raw", **about}
        if bad or files:
            return {"verdict": "changed", **about, "paths": [*bad, *files][:5]}
        if not names_something(subject, text_of(error)):
            return {"verdict": "text", **about}
        if only_layouts(changes) and _plain(subject, changes).error is None:
            about["plain"] = "returned"
        return {"verdict": "refused", **about}
    if bad or files:
        return {"verdict": "changed", "paths": [*bad, *files][:5]}
    first = next(iter(before), "")
    return _compared(subject, changes, answer, before.get(first, {}), state(arguments[first], first) if first else {})


def _plain(subject: Subject, changes: list[Change]) -> Answer:
    plainly = [
        [*c[:3], "C", c[4]] if c[0] == "layout" else [*c[:3], "C", c[4]] if c[0] == "layout through" else c
        for c in changes
    ]
    return plain(subject.name, repr(plainly))


def _meant(subject: Subject, path: str) -> bool:
    return any(subject.name.startswith(name) and re.search(part, path) for name, part, _ in MEANT)


def _stood(path: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether what is written at a path had stood there before the call."""
    here = [f"adata.{path}", f"adata.{re.sub(r'/[0-9]+ ', '/', path)}"]
    return any(name in before and before[name] == after.get(name) for name in here)


def _compared(
    subject: Subject, changes: list[Change], answer: Answer, before: Mapping[str, Any], after: Mapping[str, Any]
) -> dict[str, Any]:
    base = plain(subject.name, "[]")
    if base.error is not None:
        msg = f"The valid call of {subject.name} fails: {base.error}"
        raise RuntimeError(msg)
    bad = [
        path
        for path in silent_nan(answer.found, base.found)
        if not _stood(path, before, after) and not _meant(subject, path)
    ]
    if bad:
        handed_on = subject.carries and any(kind in ("values", "column", "slot", "argument") for kind, *_ in changes)
        return {"verdict": "carried" if handed_on else "nan", "paths": bad[:5], **_first(answer.found, bad)}
    if only_layouts(changes):
        same = _plain(subject, changes)
        if same.error is not None:
            return {"verdict": "different", "paths": ["the plain path is refused"], "text": text_of(same.error)[:200]}
        if bad := differences(answer.found, same.found):
            return {"verdict": "different", "paths": bad[:5], **_first(answer.found, bad, same.found)}
    return {"verdict": "returned"}


def _first(found: Mapping[str, Any], bad: list[str], other: Mapping[str, Any] | None = None) -> dict[str, str]:
    parts = [np.array2string(np.asarray(f.get(bad[0])), threshold=6) for f in (found, other) if f is not None]
    return {"text": " is not ".join(part[:140] for part in parts)}
