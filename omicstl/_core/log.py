"""Messages to the user: log, warnings that point at the user's line, and progress bars."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from .checks import check_flag
from .settings import settings

_PACKAGE = "omicstl"
NOTICE = 25  # between info and warning
_LEVELS = {0: logging.CRITICAL + 1, 1: NOTICE, 2: logging.INFO, 3: logging.DEBUG}


class ScaleWarning(UserWarning):
    """The data do not look as if they were on the scale that the method expects."""


class ConvergenceWarning(UserWarning):
    """An iterative method stopped before it converged."""


class TransferWarning(UserWarning):
    """The result of a transfer should not be trusted as it is."""


class DesignWarning(UserWarning):
    """A test does not fit the design of the study, such as repeated samples of one patient taken as independent."""


class _Stderr(logging.Handler):
    """Write to the present ``sys.stderr``, and only where the user's program has configured no logging of its own."""

    def emit(self, record: logging.LogRecord) -> None:
        if not logging.getLogger().handlers:
            sys.stderr.write(f"{_PACKAGE}: {self.format(record)}\n")


logger = logging.getLogger(_PACKAGE)
logging.addLevelName(NOTICE, "NOTICE")
logger.setLevel(logging.DEBUG)
logger.addFilter(lambda record: record.levelno >= _LEVELS[settings.verbosity])
logger.addHandler(_Stderr())


def info(message: str) -> None:
    """Tell the user something that is no reason to worry (shown from ``settings.verbosity = 2``)."""
    logger.info("%s", message)


def notice(message: str) -> None:
    """Tell the user what they should know before they wait, such as a cost (silent only at ``settings.verbosity = 0``)."""
    logger.log(NOTICE, "%s", message)


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn, pointing at the first line outside of this package; silent at ``settings.verbosity = 0``."""
    if settings.verbosity < 1:
        return
    frame = sys._getframe(1)
    while frame.f_back is not None and _ours(frame.f_globals.get("__name__", "")):
        frame = frame.f_back
    warnings.warn_explicit(
        message,
        category,
        filename=frame.f_code.co_filename,
        lineno=frame.f_lineno,
        module=frame.f_globals.get("__name__", "__main__"),
        registry=frame.f_globals.setdefault("__warningregistry__", {}),
    )


def _ours(module: str) -> bool:
    return module == _PACKAGE or module.startswith(f"{_PACKAGE}.")


class Progress(Protocol):
    """What `progress` hands out."""

    def update(self, n: int = 1, postfix: str | None = None) -> None:
        """Report `n` finished units and, with `postfix`, a short state."""


class _Silent:
    def update(self, n: int = 1, postfix: str | None = None) -> None:
        pass


class _Bar:
    def __init__(self, bar: Any) -> None:
        self._bar = bar

    def update(self, n: int = 1, postfix: str | None = None) -> None:
        if postfix is not None:
            self._bar.set_postfix_str(postfix, refresh=False)
        self._bar.update(n)


def _visible() -> bool:
    if "ipykernel" in sys.modules:
        return True
    isatty = getattr(sys.stderr, "isatty", None)
    return bool(isatty is not None and isatty())


@contextmanager
def progress(total: int | None, description: str, enabled: bool | None = None) -> Iterator[Progress]:
    """Show a progress bar. `None` follows ``settings.progress`` and shows it only in a terminal or a notebook."""
    if enabled is not None:
        check_flag("progress", enabled)
    show = settings.progress and settings.verbosity > 0 and _visible() if enabled is None else enabled
    if not show:
        yield _Silent()
        return
    from tqdm.auto import tqdm

    with tqdm(total=total, desc=description, leave=False) as bar:
        yield _Bar(bar)
