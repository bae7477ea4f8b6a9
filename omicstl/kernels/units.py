"""Columns of numbers of any unit and origin, brought to one size without loss: what squares, sums and inverses of them need.

NumPy in double precision. Sizes are powers of two, by which dividing is exact.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Real

_COARSE = 8  # steps of the float: values that are all multiples of so many were not rounded to it


class Standard(NamedTuple):
    """``x = mean + columns * 2**exponent``; the largest of a column is between 1/2 and 1, or all are 0."""

    columns: Float[np.ndarray, "n k"]
    exponent: Int[np.ndarray, "k"]


def standard(x: Real[np.ndarray, "n k"]) -> Standard:
    """Columns less their mean, over a power of two, for any finite numbers.

    The smallest value is subtracted first: differences of numbers far from zero are exact, and so is what they become.
    """
    x = np.asarray(x, dtype=np.float64)
    first = np.frexp(np.abs(x).max(axis=0, initial=0.0))[1]
    rest = np.ldexp(x, -first)
    rest = rest - rest.min(axis=0, initial=np.inf)
    rest = rest - rest.mean(axis=0)
    second = np.frexp(np.abs(rest).max(axis=0, initial=0.0))[1]
    return Standard(np.ldexp(rest, -second), first + second)


def epsilon(x: Real[np.ndarray, "..."]) -> float:
    """Machine epsilon of the float that numbers were stored as: of float32 if all are what it can hold."""
    with np.errstate(over="ignore"):
        single = bool((x.astype(np.float32) == x).all())
    return float(np.finfo(np.float32 if single else np.float64).eps)


def rounded_away(x: Real[np.ndarray, "n"], eps: float) -> bool:
    """Whether the differences in a column that varies are those of rounding to a float whose machine epsilon is `eps`.

    That is so if they are below ``eps**0.6`` of the largest value, unless all are multiples of a few steps of the float.
    """
    fraction = np.ldexp(x, -np.frexp(np.abs(x).max())[1])
    away = fraction - fraction.min()
    if away.max() >= eps**0.6:
        return False
    return bool(np.gcd.reduce(np.rint(away / (eps / 2)).astype(np.int64)) < _COARSE)
