"""Training options of all networks."""

from __future__ import annotations

from dataclasses import dataclass

from omicstl._core.checks import MOST_ROUNDS, check_number
from omicstl._core.public import public


@public
@dataclass(frozen=True)
class Training:
    """Options of training that all networks share.

    Parameters
    ----------
    epochs
        Largest number of passes over the observations.
    batch_size
        Observations of a step. The last batch of an epoch may be short.
    learning_rate
        Step size of Adam.
    validation
        Share of the observations that is held out and watched, from 0 (none) to 0.5.
    patience
        Stop after so many epochs without a lower loss on the observations held out, and return to the best epoch. `None`
        trains all epochs, and still returns to the best one if `validation` is above 0.

    Raises
    ------
    ValueError
        If a number is out of range, or `patience` is given without `validation`.
    TypeError
        If an argument is no number.

    Notes
    -----
    A method has defaults of its own for what is not passed as a record; its documentation says which.

    Examples
    --------
    >>> import omicstl as otl
    >>> otl.tl.Training(epochs=100, validation=0.1, patience=10).patience
    10
    """

    epochs: int = 50
    batch_size: int = 50
    learning_rate: float = 5e-4
    validation: float = 0.0
    patience: int | None = None

    def __post_init__(self) -> None:
        check_number("epochs", self.epochs, low=1, high=MOST_ROUNDS, integer=True)
        check_number("batch_size", self.batch_size, low=2, integer=True)
        check_number("learning_rate", self.learning_rate, low=0, low_open=True, high=1)
        check_number("validation", self.validation, low=0, high=0.5)
        if self.patience is not None:
            check_number("patience", self.patience, low=1, integer=True)
            if not self.validation:
                msg = f"`patience` needs observations to watch, got patience={self.patience} with validation=0. Use validation=0.1."
                raise ValueError(msg)
