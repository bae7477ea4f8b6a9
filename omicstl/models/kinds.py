"""All kinds of fitted models, and how one is rebuilt from its stored form."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

from omicstl._core.checks import listed
from omicstl._core.registry import records

#: Kind of a model, and its class below ``omicstl.models``: what the records say.
KINDS = {kind: place for row in records().values() for kind, place in row.models}


def from_dict(tree: dict[str, Any]) -> Any:
    """Rebuild a model from its stored form; the kind names the class."""
    kind, version = tree.get("kind"), tree.get("version")
    if kind not in KINDS:
        msg = f"This is no omicstl model: kind {kind!r}, known kinds: {listed(sorted(KINDS))}."
        raise ValueError(msg)
    module, name = KINDS[kind].rsplit(".", 1)
    cls = getattr(import_module(f"omicstl.models.{module}"), name)
    if not isinstance(version, (int, np.integer)) or not 1 <= int(version) <= cls.version:
        msg = (
            f"This {kind} model has version {version!r}, and this omicstl reads versions 1 to {cls.version}. "
            "Install a newer omicstl, or fit the model again."
        )
        raise ValueError(msg)
    return cls.from_dict(tree)
