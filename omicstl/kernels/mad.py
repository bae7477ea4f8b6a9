"""Median absolute deviations (numpy: a selection in place, where scipy's function makes three copies)."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def median_absolute_deviation(rows: Float[np.ndarray, "rows n"]) -> Float[np.ndarray, "rows"]:
    """Return the median of ``|x - median(x)|`` of every row, not scaled to a standard deviation. `rows` is used up."""
    middle = np.median(rows, axis=1, overwrite_input=True)
    rows -= middle[:, None].astype(rows.dtype)
    np.abs(rows, out=rows)
    return np.median(rows, axis=1, overwrite_input=True)
