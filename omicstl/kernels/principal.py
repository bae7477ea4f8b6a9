"""Scores on leading principal components (numpy)."""

from __future__ import annotations

import numpy as np


def leading(x: np.ndarray, k: int, generator: np.random.Generator | None = None) -> np.ndarray:
    """Scores (n, k) on the leading components of centred rows, by a randomised range with two power steps."""
    generator = generator or np.random.default_rng(0)
    x = x - x.mean(axis=0)
    basis = np.linalg.qr(x @ generator.standard_normal((x.shape[1], min(k + 10, *x.shape)), dtype=x.dtype))[0]
    for _ in range(2):
        basis = np.linalg.qr(x @ (x.T @ basis))[0]
    u, s, _ = np.linalg.svd(basis.T @ x, full_matrices=False)
    return (basis @ u[:, :k]) * s[:k]
