"""Leading components against a whole decomposition."""

from __future__ import annotations

import numpy as np

from omicstl.kernels.principal import leading


def test_leading_components_against_svd():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(60, 5)) @ rng.normal(size=(5, 80)) * 5 + rng.normal(size=(60, 80)) * 0.1
    u, s, _ = np.linalg.svd(x - x.mean(0), full_matrices=False)
    found = leading(x, 5)
    np.testing.assert_allclose(np.abs(np.sum(found / s[:5] * u[:, :5], axis=0)), 1, atol=1e-6)
