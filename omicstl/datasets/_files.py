"""Where the bundled files lie."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable


def data_file(name: str) -> Traversable:
    """Return a file of the package's data folder, also when the package lies in a zip file."""
    return files("omicstl.datasets").joinpath("data", name)
