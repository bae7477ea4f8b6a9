"""The run-time check of kernels' annotations, in tests only: shapes and dtypes of jaxtyping, kinds by beartype."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from beartype import BeartypeConf, FrozenDict, beartype
from beartype.roar import BeartypeDecorHintException

# As in jax itself: a function that takes an Array takes a numpy array too, and inside jit a number may be traced.
_numbers = {kind: kind | jax.Array for kind in (bool, int, float)}
_arrays = {jax.Array: jax.Array | np.ndarray | np.generic}
#: Options of users, which say themselves what they refuse.
RECORDS = "omicstl.nn.terms."
_check = beartype(conf=BeartypeConf(hint_overrides=FrozenDict(_numbers | _arrays)))


def check(function: Callable[..., Any]) -> Callable[..., Any]:
    """Check a function's arguments and result; one whose annotations beartype does not read stays as it is."""
    if function.__name__ == "__init__" and function.__module__.startswith(RECORDS):
        return function
    try:
        return _check(function)
    except BeartypeDecorHintException:
        return function
