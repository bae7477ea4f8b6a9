from __future__ import annotations

import jax
import numpy as np
import pytest

from omicstl.kernels.linalg import spd_inverse


@pytest.mark.parametrize("k", [1, 5, 64, 170])
def test_inverse(k):
    rng = np.random.default_rng(k)
    x = rng.standard_normal((k + 5, k)) * np.exp(rng.uniform(-3, 3, k))
    matrix = x.T @ x + 0.5 * np.eye(k)
    with jax.enable_x64(True):
        found = np.asarray(jax.jit(spd_inverse)(matrix))
    np.testing.assert_allclose(found, np.linalg.inv(matrix), rtol=1e-7, atol=1e-9 * np.abs(found).max())
