"""What methods of adaptation are that are no networks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np

from omicstl._core.random import Streams


class Adaptation(ABC):
    """
    A way to bring observations of several domains together: a frozen record of its options, and the two steps that need them.

    ``prepare`` sees no label of the target; ``fit`` learns from the labels that `problem` shows, with a weight for each source.
    """

    name: ClassVar[str]
    """What a user may write in place of the record."""
    closed: ClassVar[bool] = True
    """Whether it is solved, so that ``prepare`` gives rows in one space."""
    rank: ClassVar[int | None] = None
    """Place among those that are chosen from, from nothing to most; `None` is never chosen."""

    @abstractmethod
    def prepare(self, problem: Any, random: Streams) -> Any:
        """Do what needs no label of the target."""

    @abstractmethod
    def fit(self, prepared: Any, problem: Any, weights: np.ndarray) -> Any:
        """Learn from labels, each source with its weight."""
