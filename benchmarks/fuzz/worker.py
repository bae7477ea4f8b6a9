"""A process that runs examples one after another, each in an empty folder; it may die of one."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

MEMORY = 8 * 2**30
EVENT = "/jax/core/compile/backend_compile_duration"


def environment(cache: Path) -> dict[str, str]:
    """One thread, no bars, no screen, and compiled code that is kept from process to process."""
    return {
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
        "MPLBACKEND": "agg",
        "OMICSTL_PROGRESS": "false",
        "OMICSTL_CACHE_DIR": str(cache / "omicstl"),
        "JAX_COMPILATION_CACHE_DIR": str(cache / "jax"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "0",
    }


def compilations() -> list[float]:
    """A list that grows by one with every compilation from here on."""
    import jax.monitoring

    seen: list[float] = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, duration, **more: seen.append(duration) if event == EVENT else None
    )
    return seen


class Room:
    """Runs examples in empty folders of a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.compiled = compilations()  # imports jax, and leaves it asleep
        self.ready = ""

    def example(
        self, name: str, changes: list[Any] | None, number: int, seed: int, begun: Callable[[Any], None] = id
    ) -> dict[str, Any]:
        """Draw, run and judge one example; `begun` is told the changes before they are made."""
        from . import draw, judge, scenes

        if name in scenes.PARTS:
            with self._folder():
                begun([[name, number]])
                return scenes.play(name, number, seed)
        if changes is None or self.ready != name:
            with self._folder():
                changes = changes or draw.example(name, number, seed)
                judge.plain(name, "[]")  # what is compiled for the valid call is no cost of an example
                self.ready = name
        with self._folder():
            begun(changes)
            before = len(self.compiled)
            found = judge.judged(name, changes)
            return {"changes": changes, **found, "compiled": len(self.compiled) - before}

    @contextmanager
    def _folder(self) -> Iterator[None]:
        work = Path(tempfile.mkdtemp(dir=self.folder))
        os.chdir(work)
        try:
            yield
        finally:
            os.chdir(self.folder)
            shutil.rmtree(work, ignore_errors=True)


def main(connection: Connection, folder: str) -> None:
    """Answer one task after another until there is none."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for number in (1, 2):
        os.dup2(os.open(os.devnull, os.O_WRONLY), number)
    room = Room(Path(folder))
    while True:
        try:
            task = connection.recv()
        except EOFError:
            return
        try:
            connection.send(room.example(*task, begun=connection.send))
        except Exception as error:  # noqa: BLE001 - a fault of the campaign itself is shown, and not counted
            import traceback

            connection.send(
                {"verdict": "broken campaign", "text": traceback.format_exc()[-1500:], "error": repr(error)}
            )
