"""Types that several rooms share."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

SeedLike: TypeAlias = int | np.integer | np.random.SeedSequence | np.random.Generator | None
