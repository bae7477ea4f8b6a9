"""What the measures share: a model out of whatever holds one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from anndata import AnnData

from omicstl import get
from omicstl.models.base import Model


def resolve(source: AnnData | Model | str | Path, key: str | None, name: str) -> Any:
    """Return the model itself, the one of an AnnData, or the one in a file."""
    if key is not None and not isinstance(source, AnnData):
        msg = f"The key {key!r} was given, but `{name}` is no AnnData and has no keys. Leave the key out."
        raise ValueError(msg)
    return get.model(source, key)
