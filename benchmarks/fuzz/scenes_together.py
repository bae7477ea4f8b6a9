"""Things at the same time: writers of one file, threads, and another width of numbers."""

from __future__ import annotations

import threading
import time
from functools import cache
from typing import Any

import numpy as np

import omicstl as otl
from tests.contract import cases

from . import scenes
from .states import differences, of_adata, state
from .subjects import VERBS, Subject, reference


def _write(path: str, penalty: float, until: float) -> int:
    tree = otl.get.model(reference())
    tree = type(tree).from_dict({**tree.to_dict(), "score_penalty": penalty})
    count = 0
    while time.monotonic() < until:
        otl.io.write_model(path, tree)
        count += 1
    return count


def _run(path: str) -> dict[str, Any]:
    adata = cases.cohort()
    cases.deepprofile(adata, checkpoint=path)
    return of_adata(adata, ("deepprofile",))


def _two_models() -> dict[str, Any]:
    """Two processes write one model file as often as they can; whoever reads finds one of the two whole."""
    until, seen = time.monotonic() + 1.5, set()
    writers = [scenes.start(_write, "one.npz", penalty, until) for penalty in (1.0, 2.0)]
    error = None
    while time.monotonic() < until and error is None:
        try:
            seen.add(float(otl.io.read_model("one.npz").score_penalty))
        except FileNotFoundError:
            continue
        except Exception as one:  # noqa: BLE001 - to be judged
            error = scenes.told(one)
    ended = [scenes.end(*writer) for writer in writers]
    for one in ended:
        error = error or scenes.bad_end(one) or scenes.refused(one.value)
    about = {
        "function": "io.write_model",
        "changes": [["two writers", *[str(one.value) for one in ended], *sorted(seen)]],
    }
    if error:
        return {**about, **error, "verdict": error.get("verdict", "raw")}
    good = seen <= {1.0, 2.0} and not scenes.leftovers()
    return {**about, "verdict": "returned" if good else "changed", "paths": scenes.leftovers()}


def _two_runs() -> dict[str, Any]:
    """Two processes keep their members in one folder."""
    writers = [scenes.start(_run, name) for name in ("run", "run", "alone")]
    ended = [scenes.end(*writer) for writer in writers]
    about = {"function": "tl.deepprofile", "changes": [["two runs of one checkpoint"]]}
    for one in ended:
        if bad := scenes.bad_end(one) or scenes.refused(one.value):
            return {**about, **bad}
    differ = [*differences(ended[0].value, ended[2].value, 0.0), *differences(ended[1].value, ended[2].value, 0.0)]
    return {**about, "verdict": "different" if differ else "returned", "paths": differ[:5]}


def writers(number: int, seed: int) -> dict[str, Any]:
    """Two processes write one file or one folder."""
    return _two_runs() if number % 2 else _two_models()


@cache
def _alone(name: str) -> dict[str, Any]:
    subject = next(row for row in VERBS if row.name == name)
    arguments = subject.make()
    subject.call(arguments)
    return state(arguments["adata"])


def _call(subject: Subject, arguments: dict[str, Any], times: int, found: list[Any]) -> None:
    try:
        for _ in range(times):
            subject.call(arguments)
        found.append(None)
    except Exception as error:  # noqa: BLE001 - to be judged
        found.append(scenes.told(error))


def threads(number: int, seed: int) -> dict[str, Any]:
    """Two threads: two verbs on two objects, or one verb twice on one object, which is then one of the answers."""
    random = np.random.default_rng([seed, number])
    names = [VERBS[number % len(VERBS)], VERBS[int(random.integers(len(VERBS)))]]
    shared = number // len(VERBS) % 4 == 3 and not names[0].reshapes and names[0].name != "tl.stability"
    due = [_alone(subject.name) for subject in names]
    arguments = [subject.make() for subject in names]
    if shared:
        names[1], due[1], arguments[1] = names[0], due[0], arguments[0]
    found: list[Any] = []
    running = [threading.Thread(target=_call, args=(s, a, 1, found)) for s, a in zip(names, arguments, strict=True)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    about = {
        "function": names[0].name,
        "changes": [["threads", *(s.name for s in names), "one object" if shared else "two"]],
    }
    for error in found:
        if error is not None:
            return {**about, **(scenes.refused(error) or {})}
    bad: list[str] = []
    for one, there in zip(arguments, due, strict=True):
        now = state(one["adata"])
        bad += [path for path in {*now, *there} if now.get(path) != there.get(path)]
    arguments[0]["adata"].copy()
    return {**about, "verdict": "different" if bad else "returned", "paths": sorted(bad)[:5]}


def _wide(name: str, flag: bool) -> dict[str, Any]:
    import jax

    jax.config.update("jax_enable_x64", flag)
    subject = next(row for row in VERBS if row.name == name)
    arguments = subject.make()
    subject.call(arguments)
    if jax.config.jax_enable_x64 is not flag:
        msg = "the flag is not what it was"
        raise RuntimeError(msg)
    return of_adata(arguments["adata"], None if subject.reshapes else subject.keys)


def x64(number: int, seed: int) -> dict[str, Any]:
    """The user's 64 bits change no answer."""
    subject = VERBS[number % len(VERBS)]
    about = {"function": subject.name, "changes": [["jax_enable_x64"]]}
    ended = [scenes.forked(_wide, subject.name, flag) for flag in (False, True)]
    for one in ended:
        if bad := scenes.bad_end(one) or scenes.refused(one.value):
            return {**about, **bad}
    differ = differences(ended[1].value, ended[0].value)
    return {**about, "verdict": "different" if differ else "returned", "paths": differ[:5]}
