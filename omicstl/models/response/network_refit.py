"""Networks of the ensemble's kind without some lines, for calls and comparisons (numpy around compiled training)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from omicstl._core.options.response import ResponseRidge
from omicstl._core.options.training import Training
from omicstl._core.random import Streams
from omicstl.models.response.network_options import ResponseNetwork
from omicstl.models.selection.criteria import Fit, Predicted
from omicstl.models.transfer.network_fit import forward, held_out_folds
from omicstl.models.transfer.screen import Cells, Lines

from . import network
from .cells import CLIP, standardised
from .network import Sizes
from .space import Source, prepare, source_of


def refit_of(
    options: ResponseNetwork,
    weight: float,
    sizes: Sizes,
    random: Streams,
    training: Training | None,
    *,
    n_members: int = 1,
    report: Callable[[int], None] = lambda steps: None,
    known: Callable[[Lines], Source] | None = None,
) -> Fit:
    """
    Members on the lines that are left, with a weight that is known; all refits, and the fit of all lines, share what is compiled.

    `known` gives the components of lines to who has them already; else they are kept while the lines are the same.
    """
    plan = network.Plan(options, network.training_of(training, sizes.n_source), sizes)
    ridge = ResponseRidge(n_comps=options.n_comps)
    kept: list[Any] = []

    def source(lines: Lines) -> Source:
        if not kept or kept[0] is not lines:
            kept[:] = lines, source_of(lines, ridge)
        return kept[1]

    def refit(lines: Lines, cells: Cells, candidates: Sequence[Any], held: np.ndarray) -> list[Predicted]:
        space = prepare(lines, cells, ridge, random, source=(known or source)(lines))
        seen = network.view(space)
        fold = held_out_folds(len(lines.x), lines.lineage, options.n_members, random.generator("folds of members"))
        weights = [()] if options.term is None else [(weight,)]
        (members,) = network.train(seen, lines, plan, weights, fold, random, n_members=n_members, report=report)
        z = standardised(cells.rows.take(np.arange(cells.rows.n_rows)), space.cells.mean, space.cells.scale)
        z_held = np.clip((held - space.mean_lines) / space.scale_lines, -CLIP, CLIP)
        inputs = (z @ seen.maps, z_held @ seen.line_maps)
        made = Predicted(*(forward(members.arrays, x)[1].mean(axis=0).astype(float) for x in inputs))
        return [made for _ in candidates]

    return refit
