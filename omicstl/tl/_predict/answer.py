"""What each way of `tl.predict` hands back, to be written under one layout."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class Answer(NamedTuple):
    """Latent variables and scores by what stands behind the key, and what was done."""

    latent: np.ndarray  # (n, k)
    params: dict[str, Any]
    obs: dict[str, Any] = {}
    obsm: dict[str, Any] = {}
    about: dict[str, Any] = {}
