"""Sizes are rounded up to a few buckets and filled with zeros, so that data of similar size share compiled code."""

from __future__ import annotations

import numpy as np


def bucket(size: int, step: int) -> int:
    """The next size of a ladder of at most 16 rungs an octave, each a multiple of `step`."""
    rung = max(step, 2 ** max(int(size).bit_length() - 5, 0))
    return -(-size // rung) * rung


def pad(array: np.ndarray, *shape: int) -> np.ndarray:
    """`array` in the upper left corner of zeros of `shape`."""
    if array.shape == shape:
        return array
    out = np.zeros(shape, array.dtype)
    out[tuple(slice(0, n) for n in array.shape)] = array
    return out
