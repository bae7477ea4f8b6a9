"""The parent: hands examples to child processes, stops those that hang, starts those that died, and keeps the results."""

from __future__ import annotations

import json
import multiprocessing
import os
import queue
import shutil
import signal
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from . import worker
from .scenes import PARTS

LIMIT, ENDLESS_LIMIT, START_LIMIT, GRACE = 60.0, 5.0, 600.0, 10.0
#: Verdicts that keep the promises, and those that do not; `judge` says what each means.
KEPT = ("returned", "refused", "carried", "long", "impossible")
FINDINGS = ("raw", "nan", "changed", "different", "text", "crash", "hang")
#: Numbers that ask for work without an end; the values themselves would load the package here.
_ENDLESS = ("1000000000", "9223372036854775808")


class Child:
    """A process that runs one example after another."""

    def __init__(self, folder: Path, cache: Path, limit: float = LIMIT) -> None:
        self.limit = limit
        self.connection, theirs = multiprocessing.Pipe()
        self.folder = Path(tempfile.mkdtemp(dir=folder))
        before = dict(os.environ)
        os.environ.update(worker.environment(cache))
        try:
            self.process = multiprocessing.get_context("spawn").Process(
                target=worker.main, args=(theirs, str(self.folder)), daemon=True
            )
            self.process.start()
        finally:
            os.environ.clear()
            os.environ.update(before)
        theirs.close()

    def example(self, name: str, changes: list[Any] | None, number: int, seed: int) -> dict[str, Any]:
        """The result of one example, whatever becomes of the process."""
        began: list[Any] | None = None
        started = time.perf_counter()
        try:
            self.connection.send((name, changes, number, seed))
            if not self.connection.poll(START_LIMIT):
                return self._dead({"verdict": "broken campaign", "text": "no example was drawn in time"})
            began = self.connection.recv()
            if isinstance(began, dict):  # it could not be drawn
                return began
            limit = ENDLESS_LIMIT if any(str(v) in _ENDLESS for change in began for v in change) else self.limit
            if not self.connection.poll(limit):
                os.kill(self.process.pid or 0, signal.SIGINT)
                if not self.connection.poll(GRACE):
                    return self._dead({"changes": began, "verdict": "hang", "seconds": time.perf_counter() - started})
            return self.connection.recv()
        except (EOFError, ConnectionError, BrokenPipeError):
            self.process.join(GRACE)
            return self._dead({"changes": began, "verdict": "crash", "text": f"exit status {self.process.exitcode}"})

    def _dead(self, found: dict[str, Any]) -> dict[str, Any]:
        self.stop(gently=False)
        return found

    @property
    def alive(self) -> bool:
        return self.process.is_alive()

    def stop(self, *, gently: bool = True) -> None:
        self.connection.close()  # it ends by itself when there is nothing more to read
        self.process.join(GRACE if gently else 0)
        if self.process.is_alive():
            self.process.kill()
        self.process.join()
        shutil.rmtree(self.folder, ignore_errors=True)


def self_check(folder: Path, limit: float = 3.0) -> Iterator[tuple[str, str, str]]:
    """What is broken on purpose, the verdict on it, and the one that is due."""
    from .self_check import BROKEN

    child = None
    for name, (changes, due) in BROKEN.items():
        child = child if child and child.alive else Child(folder, folder / "cache", limit)
        yield name, child.example(f"broken.{name}", changes, 0, 0)["verdict"], due
    if child:
        child.stop()


class Results:
    """A file of one line an example; what is there is not run again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        self.rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def add(self, row: dict[str, Any]) -> None:
        with self.lock:
            self.rows.append(row)
            with self.path.open("a") as stream:
                stream.write(json.dumps(row, default=str) + "\n")

    def progress(self, seed: int) -> dict[str, tuple[int, int]]:
        """For every function and part the next number, and how many examples count."""
        found: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
        for row in self.rows:
            if row["seed"] == seed:
                name = row["function"] if row["part"] == "examples" else row["part"]
                following, counted = found[name]
                found[name] = (max(following, row["number"] + 1), counted + (row["verdict"] != "impossible"))
        return found


def campaign(
    wanted: Iterable[tuple[str, int]],
    results: Results,
    folder: Path,
    *,
    seed: int = 0,
    workers: int = 2,
    minutes: float | None = None,
) -> None:
    """Run as many examples of every function as wanted, as far as they are not there."""
    until = time.monotonic() + 60 * minutes if minutes else float("inf")
    todo: queue.SimpleQueue[tuple[str, int]] = queue.SimpleQueue()
    for item in wanted:
        todo.put(item)
    progress = results.progress(seed)
    folder.mkdir(parents=True, exist_ok=True)

    def work() -> None:
        while time.monotonic() < until:
            try:
                name, target = todo.get_nowait()
            except queue.Empty:
                return
            _function(name, target, progress[name], results, folder, seed, until)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _function(
    name: str, target: int, progress: tuple[int, int], results: Results, folder: Path, seed: int, until: float
) -> None:
    number, counted = progress
    if counted >= target:
        return
    child = Child(folder, folder / "cache")
    try:
        while counted < target and number < 3 * target and time.monotonic() < until:
            found = child.example(name, None, number, seed)
            part = name if name in PARTS else "examples"
            results.add({"part": part, "function": name, "number": number, "seed": seed, **found})
            counted += found["verdict"] != "impossible"
            number += 1
            if not child.alive:
                child = Child(folder, folder / "cache")
    finally:
        child.stop()
