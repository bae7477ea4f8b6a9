"""Runs that end in the middle: killed, and gone on with; interrupted at any moment."""

from __future__ import annotations

import os
import signal
import threading
import time
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import omicstl as otl
from tests.contract import cases

from . import scenes
from .states import state
from .subjects import VERBS, Subject

_CHUNK = 0.02  # seconds between two states that are kept; the answer does not depend on it
_LONGER = {
    "tl.vae": {"n_factors": 3, "hidden": (8,), "training": otl.tl.Training(epochs=15000, batch_size=20)},
    "tl.deepprofile": {
        "latent_sizes": (3, 4),
        "n_members": 3,
        "n_clusters": 3,
        "n_comps": 8,
        "training": otl.tl.Training(epochs=300, batch_size=20),
    },
}


def _fit(name: str) -> tuple[dict[str, Any], float]:
    """A fit that keeps its state after every chunk of work; what it wrote, and the seconds it took."""
    from omicstl.models.factors.vae import fit
    from omicstl.nn import ensemble, train

    fit.SAVE_EVERY = 0.0
    ensemble.run.__kwdefaults__["save_every"] = 0.0
    train.train.__defaults__ = (_CHUNK,)
    adata, began = cases.cohort(), time.monotonic()
    getattr(otl.tl, name.partition(".")[2])(adata, checkpoint="run", **_LONGER[name])
    return state(adata), time.monotonic() - began


@cache
def _uninterrupted(name: str) -> tuple[dict[str, Any], float]:
    """Run twice, as the first one compiles; each where nothing is left of others."""
    folder = Path.cwd()
    for here in ("first", "second"):
        Path(here).mkdir()
        os.chdir(here)
        found = scenes.forked(_fit, name, limit=300)
        os.chdir(folder)
        if not isinstance(found.value, tuple):
            msg = f"The uninterrupted fit of {name} ends with {found}."
            raise RuntimeError(msg)
    return found.value


def killed(number: int, seed: int) -> dict[str, Any]:
    """SIGKILL at one or several random moments of a fit, then go on: the same bits."""
    name = list(_LONGER)[number % len(_LONGER)]
    due, seconds = _uninterrupted(name)
    random = np.random.default_rng([seed, number])
    moments, kept = random.uniform(0, 1.1 * seconds, size=random.integers(1, 3)), []
    work = Path("work")
    work.mkdir()
    os.chdir(work)
    for moment in moments:
        process, answer = scenes.start(_fit, name)
        time.sleep(moment)
        os.kill(process, signal.SIGKILL)
        scenes.end(process, answer)
        kept.append(len(list(Path("run").glob("[mr]*.npz"))) if Path("run").exists() else 0)
    ended = scenes.forked(_fit, name, limit=60)
    about = {"function": name, "changes": [["killed after", *moments.round(3).tolist()], ["files kept", *kept]]}
    bad = scenes.bad_end(ended) or scenes.refused(ended.value)
    if bad:
        return {**about, **bad, "verdict": "raw" if bad["verdict"] == "refused" else bad["verdict"]}
    differ = [path for path in {*due, *ended.value[0]} if due.get(path) != ended.value[0].get(path)]
    return {**about, "verdict": "different" if differ else "returned", "paths": sorted(differ)[:5]}


@cache
def _whole(name: str) -> tuple[dict[str, Any], dict[str, Any], float]:
    """The first argument before and after the call, and the seconds of a second call."""
    subject = _subject(name)
    subject.call(subject.make())
    arguments = subject.make()
    before, began = state(arguments["adata"]), time.perf_counter()
    subject.call(arguments)
    return before, state(arguments["adata"]), time.perf_counter() - began


def _subject(name: str) -> Subject:
    return next(row for row in VERBS if row.name == name)


def _interrupt_after(seconds: float, stopped: threading.Event) -> None:
    if not stopped.wait(seconds):
        os.kill(os.getpid(), signal.SIGINT)


def interrupted(number: int, seed: int) -> dict[str, Any]:
    """Ctrl-C at a random moment of a verb, every second time in its last part: the object is as it was, or whole."""
    subject = VERBS[number % len(VERBS)]
    before, after, seconds = _whole(subject.name)
    random = np.random.default_rng([seed, number])
    moment = random.uniform(0.8 if number // len(VERBS) % 2 else 0.0, 1.05) * seconds
    arguments = subject.make()
    adata, stopped, pressed = arguments["adata"], threading.Event(), False
    thread = threading.Thread(target=_interrupt_after, args=(moment, stopped))
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    error: dict[str, Any] | None = None
    try:
        try:
            thread.start()
            subject.call(arguments)
            stopped.set()
            thread.join()
        except KeyboardInterrupt:
            pressed = True
        except Exception as one:  # noqa: BLE001 - to be judged
            error = scenes.told(one)
            stopped.set()
    except KeyboardInterrupt:
        pressed = True
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        stopped.set()
        thread.join()
        signal.signal(signal.SIGINT, former)
    about = {"function": subject.name, "changes": [["interrupted after", round(moment, 4), "of", round(seconds, 4)]]}
    now = state(adata)
    as_it_was, whole = now == before, now == after
    outcome = "as it was" if as_it_was else "whole" if whole else "neither"
    about["changes"].append(["interrupted" if pressed else "had ended", outcome])
    if error is not None:
        return {**about, **error, "verdict": "raw"}
    try:
        adata.copy()
        adata.write_h5ad("after.h5ad")
    except Exception as one:  # noqa: BLE001 - to be judged
        return {**about, **scenes.told(one), "verdict": "changed"}
    good = as_it_was or whole if pressed else whole
    differ = [path for path in {*after, *now} if after.get(path) != now.get(path)]
    if good and as_it_was and number % 4 == 0:  # and once more, to the end
        subject.call(arguments)
        good = state(adata) == after
    return {**about, "verdict": "returned" if good else "changed", "paths": [] if good else sorted(differ)[:5]}
