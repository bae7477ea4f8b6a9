"""The parts that are no drawn examples: runs that are cut off, limits that are reached, and things done at the same time.

A scene is one case of a part, known by its number. What may kill a process, or changes it for good, runs in a fork of this one,
which must not have woken JAX: threads do not survive a fork.
"""

from __future__ import annotations

import importlib
import os
import pickle
import select
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

#: Parts with their module, and how many cases a campaign has.
PARTS: dict[str, tuple[str, int]] = {
    "killed": ("scenes_stopped", 200),
    "interrupted": ("scenes_stopped", 1000),
    "disk": ("scenes_limits", 120),
    "read-only": ("scenes_limits", 40),
    "memory": ("scenes_limits", 60),
    "writers": ("scenes_together", 20),
    "threads": ("scenes_together", 60),
    "x64": ("scenes_together", 16),
}


class Ended(NamedTuple):
    """How a fork ended: what its function returned, or the number of the signal, or that its time was up."""

    value: Any
    killed: int = 0
    late: bool = False


def play(part: str, number: int, seed: int) -> dict[str, Any]:
    """Run one case of a part and judge it."""
    module = importlib.import_module(f".{PARTS[part][0]}", __package__)
    started = time.perf_counter()
    found = getattr(module, part.replace("-", "_"))(number, seed)
    return {**found, "seconds": round(time.perf_counter() - started, 3)}


def start(function: Callable[..., Any], *arguments: Any) -> tuple[int, int]:
    """Fork, and run a function there; return the process and where its answer can be read."""
    from jax._src import xla_bridge

    if xla_bridge._backends:
        msg = "This process has woken jax; forks of it would hang. Play this part in a process of its own."
        raise RuntimeError(msg)
    theirs, ours = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # jax warns of forks once it is imported; its backend sleeps here
        process = os.fork()
    if process:
        os.close(ours)
        return process, theirs
    status = 1
    try:
        os.close(theirs)
        try:
            warnings.simplefilter("ignore")
            value = function(*arguments)
        except BaseException as error:  # noqa: BLE001 - told to the parent
            value = told(error)
        with os.fdopen(ours, "wb") as stream:
            pickle.dump(value, stream)
        status = 0
    finally:
        sys.stderr.flush()
        os._exit(status)


def end(process: int, answer: int, limit: float = 50.0) -> Ended:
    """Wait for a fork, not longer than `limit` seconds."""
    until, content = time.monotonic() + limit, b""
    late = False
    with os.fdopen(answer, "rb", buffering=0) as stream:
        while True:
            ready, _, _ = select.select([stream], [], [], max(0.0, until - time.monotonic()))
            if not ready:
                late = True
                os.kill(process, signal.SIGKILL)
                break
            if not (part := stream.read(2**16)):
                break
            content += part
    _, status = os.waitpid(process, 0)
    if late:
        return Ended(None, late=True)
    if os.WIFSIGNALED(status):
        return Ended(None, killed=os.WTERMSIG(status))
    return Ended(pickle.loads(content) if content else {"error": "nothing was told", "own": False, "text": ""})


def forked(function: Callable[..., Any], *arguments: Any, limit: float = 50.0) -> Ended:
    """Run a function in a fork."""
    return end(*start(function, *arguments), limit=limit)


def told(error: BaseException) -> dict[str, Any]:
    """An error in words that a record can keep."""
    from .judge import place, text_of

    where, own = place(error)
    lines = traceback.format_exception(error)
    return {
        "error": type(error).__name__,
        "text": text_of(error)[:300],
        "where": where,
        "own": own,
        "trace": lines[-1][:300],
    }


def bad_end(ended: Ended) -> dict[str, Any] | None:
    """The verdict on a fork that did not end by itself."""
    if ended.late:
        return {"verdict": "hang"}
    if ended.killed:
        return {"verdict": "crash", "text": f"signal {ended.killed}"}
    return None


def refused(value: Any) -> dict[str, Any] | None:
    """The verdict on an error; `None` where there is none."""
    if not isinstance(value, dict) or "own" not in value:
        return None
    about = {name: value[name] for name in ("error", "text", "where") if name in value}
    return {"verdict": "refused" if value["own"] else "raw", **about}


def leftovers(folder: Path = Path()) -> list[str]:
    """Temporary files of ours that nobody will remove."""
    return sorted(str(path) for path in folder.rglob(".*.tmp"))
