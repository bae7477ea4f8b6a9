"""A network of the ensemble's kind without some lines, for what calls are made from (numpy around compiled training)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from omicstl._core.random import Streams
from omicstl._core.response import ResponseRidge
from omicstl._core.response_network import ResponseNetwork
from omicstl._core.training import Training

from . import response_cells as cells_of, response_network as network
from .adapt_network_fit import forward, held_out_folds
from .response_space import prepare
from .screen import Cells, Lines
from .selection import Fit, Predicted


def refit_of(
    options: ResponseNetwork, weight: float, n_lines: int, n_cells: int, random: Streams, training: Training | None
) -> Fit:
    """One member on the lines that are left, with the weight that the fit has taken; all refits share what is compiled."""
    settings = network.training_of(training, n_lines)

    def refit(lines: Lines, cells: Cells, candidates: Sequence[Any], held: np.ndarray) -> list[Predicted]:
        space = prepare(lines, cells, ResponseRidge(n_comps=options.n_comps), random)
        seen = network.view(space)
        fold = held_out_folds(len(lines.x), lines.lineage, options.n_members, random.generator("folds of members"))
        weights = [()] if options.term is None else [(weight,)]
        sizes = network.Sizes(n_lines, n_cells)
        (members,) = network.train(seen, lines, options, weights, random, sizes, settings, fold, n_members=1)
        z = cells_of.standardised(cells.rows.take(np.arange(cells.rows.n_rows)), space.cells.mean, space.cells.scale)
        z_held = np.clip((held - space.mean_lines) / space.scale_lines, -cells_of.CLIP, cells_of.CLIP)
        inputs = (z @ seen.maps, z_held @ seen.line_maps)
        made = Predicted(*(forward(members.arrays, x)[1].mean(axis=0).astype(float) for x in inputs))
        return [made for _ in candidates]

    return refit
