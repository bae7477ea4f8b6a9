"""Transfer learning for omics data, inside scverse.

``import omicstl as otl`` loads numpy and anndata only; the doors (`pp`, `tl`, `pl`, `metrics`, `datasets`, `get`, `io`)
and everything heavy behind them (jax, scanpy, matplotlib, scikit-learn) load at first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from . import datasets, get, io, metrics, pl, pp, tl
    from ._core.log import ConvergenceWarning, DesignWarning, ScaleWarning, TransferWarning
    from ._core.settings import settings
    from ._data.cite import cite
    from ._data.files import ModelFileError

__version__ = "0.1.0"

__all__ = [
    "ConvergenceWarning",
    "DesignWarning",
    "ModelFileError",
    "ScaleWarning",
    "TransferWarning",
    "__version__",
    "cite",
    "datasets",
    "get",
    "io",
    "metrics",
    "pl",
    "pp",
    "settings",
    "tl",
]

_DOORS = ("datasets", "get", "io", "metrics", "pl", "pp", "tl")
_NAMES = {
    "ConvergenceWarning": "omicstl._core.log",
    "DesignWarning": "omicstl._core.log",
    "ModelFileError": "omicstl._data.files",
    "ScaleWarning": "omicstl._core.log",
    "TransferWarning": "omicstl._core.log",
    "cite": "omicstl._data.cite",
    "settings": "omicstl._core.settings",
}


def __getattr__(name: str) -> object:
    if name in _DOORS:
        return import_module(f"omicstl.{name}")
    if name in _NAMES:
        value = getattr(import_module(_NAMES[name]), name)
        globals()[name] = value
        return value
    msg = f"module 'omicstl' has no attribute {name!r}. Available: {__all__}."
    raise AttributeError(msg)


def __dir__() -> list[str]:
    return __all__
