"""Modules that only some users need."""

from __future__ import annotations

import importlib
from types import ModuleType


def need(module: str, extra: str) -> ModuleType:
    """Import an optional `module`, or say how to install the `extra` that brings it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        msg = (
            f'This needs {module}, which cannot be imported ({error}). Install it with: pip install "omicstl[{extra}]"'
        )
        raise ImportError(msg) from error
