"""The fast assessment that comes with one drug."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from omicstl._core.random import Streams
from omicstl.models.assess.known import choice_of_screen, of_members, of_screen
from omicstl.models.assess.report import of_drugs
from omicstl.models.transfer.screen import Lines
from omicstl.tl._shared.screen import Read

from .result import Described


def of_one_drug(
    key: str,
    read: Read,
    lines: Lines,
    told: Described,
    about: Mapping[str, Any],
    confounders: Mapping[str, np.ndarray],
    random: Streams,
) -> dict[str, Any]:
    """The entry of an assessment, by what stands behind the key; none for several drugs. `lines` have all drugs of the table."""
    if read.lines.drugs.size > 1:
        return {}
    params = {"key": key, "kind": "scdeal", "level": "fast", "batch_key": None, "rng": random.entropy}
    found = of_drugs(
        lines,
        read.target.cells,
        told.score.astype(np.float64),
        [str(name) for name in read.lines.drugs],
        random,
        params=params,
        mask=read.mask,
        confounders=confounders,
        extra=of_screen(about, told.novelty, read.mask),
        each=of_members(told.model, told.latent, read.mask),
        taken=choice_of_screen(about),
    )
    return {"_assessment": found}
