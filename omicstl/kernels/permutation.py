"""The p-value of a permutation test (numpy)."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def permutation_p(value: float, null: Float[np.ndarray, "r"]) -> float:
    """Share of permuted values at least as large, counting the data themselves, so never 0; NaN without permutations."""
    return (1 + int(np.count_nonzero(null >= value - 1e-12))) / (1 + null.size) if null.size else float("nan")
