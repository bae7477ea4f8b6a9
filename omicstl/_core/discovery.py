"""Methods that register themselves: a folder with one file for each."""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from types import MappingProxyType, ModuleType
from typing import Any

SHARED = "base"  # the file of a folder that is no method


def methods(package: ModuleType) -> Mapping[str, Any]:
    """
    The methods of a package by name: what each of its files but ``base.py`` calls METHOD.

    A method is a class or a record with a ``name``; it is there as soon as its file is.
    """
    return _collect(package.__name__, tuple(package.__path__))


@cache
def _collect(package: str, paths: tuple[str, ...]) -> Mapping[str, Any]:
    found: dict[str, Any] = {}
    for file in sorted(module.name for module in pkgutil.iter_modules(paths) if module.name != SHARED):
        method = getattr(import_module(f"{package}.{file}"), "METHOD", None)
        name = getattr(method, "name", None)
        if not isinstance(name, str):
            msg = f"{package}.{file} must define METHOD, a method with a name, got {method!r}."
            raise TypeError(msg)
        if name in found:
            msg = f"{package}.{file} defines METHOD with the name {name!r}, which another file has. Rename one of them."
            raise ValueError(msg)
        found[name] = method
    return MappingProxyType(found)
