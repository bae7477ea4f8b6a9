"""Noise of a published PLIER whose loadings nearly depend on each other, against rational arithmetic."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pandas as pd
import pytest

from omicstl.models.factors.plier import published

GENES, SAMPLES, PENALTY = 12, 30, 2.0


def solve(a, b):
    """Gauss and Jordan, with fractions."""
    n = len(a)
    rows = [[*a[i], *b[i]] for i in range(n)]
    for i in range(n):
        pivot = next(r for r in range(i, n) if rows[r][i])
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [v / rows[i][i] for v in rows[i]]
        for r in range(n):
            if r != i:
                rows[r] = [v - rows[r][i] * w for v, w in zip(rows[r], rows[i], strict=True)]
    return [row[n:] for row in rows]


def exact(array):
    return np.array([[Fraction(float(v)) for v in row] for row in array], dtype=object)


@pytest.mark.parametrize("power", [0, 15, 30])
def test_noise_is_that_of_rational_arithmetic(power):
    rng = np.random.default_rng(0)
    z = rng.integers(1, 20, size=(GENES, 3)).astype(float)
    z[:, 2] = z[:, 1] + rng.integers(0, 5, GENES) * 2.0**-power  # as dependent as that
    y = rng.normal(size=(GENES, SAMPLES))
    y = (y - y.mean(axis=1, keepdims=True)) / y.std(axis=1, ddof=1, keepdims=True)
    big = exact(z)
    gram = big.T @ big
    ridge = gram + np.array([[Fraction(int(i == j) * 2) for j in range(3)] for i in range(3)], dtype=object)
    b = np.array([[float(v) for v in row] for row in solve(ridge, big.T @ exact(y))])
    inner = exact(b) @ exact(b).T
    rest = np.array(solve(gram, inner), dtype=object) * Fraction(PENALTY)
    explained = np.array([float(v) for v in np.sum((big @ (inner + 2 * rest)) * big, axis=1)])
    expected = np.clip(1 - explained / (SAMPLES - 1), published.LOWEST_NOISE, 1)
    assert (expected > published.LOWEST_NOISE).sum() > GENES / 2
    genes, factors = [f"g{i}" for i in range(GENES)], ["LV1", "LV2", "LV3"]
    parts = published.check(published.Published(pd.DataFrame(z, genes, factors), PENALTY, B=pd.DataFrame(b, factors)))
    _, noise = published.moments(parts)
    np.testing.assert_allclose(noise, expected, rtol=1e-6)
