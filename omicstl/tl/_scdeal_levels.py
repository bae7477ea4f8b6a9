"""The levels of `tl.scdeal`: ridge in closed form, or an ensemble of networks."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from omicstl._core.checks import check_choice
from omicstl._core.log import progress as progress_bar
from omicstl._core.random import Streams
from omicstl._core.response import ResponseRidge
from omicstl._core.response_network import ResponseNetwork
from omicstl._core.training import Training
from omicstl.models.response_cells import SAMPLE
from omicstl.models.response_fit import ResponseFit
from omicstl.models.screen import Lines
from omicstl.models.selection import Fit

from . import _scdeal_input as given, _scdeal_result as found

LEVELS = ("auto", "linear", "network")
_MANY = 20  # drugs
_TARGETS = (10, 5)  # lineages left out for calls: of few drugs, of many; each is a fit
_NETWORK_TARGETS = 4


class Fitted(NamedTuple):
    """A fit, how to repeat it without some lines, and what to call it."""

    fit: ResponseFit
    refit: Fit
    n_targets: int
    words: str
    citation: str = ""
    """Whose method it is; ridge is nobody's."""


def options_of(level: object, training: Training | None) -> ResponseRidge | ResponseNetwork:
    """The record behind `level`; options that it does not use are an error."""
    if isinstance(level, ResponseNetwork):
        return level
    options = level if isinstance(level, ResponseRidge) else None
    if options is None:
        check_choice("level", level, LEVELS)
        if level == "network":
            return ResponseNetwork()
        options = ResponseRidge()
    if training is not None:
        msg = f"`training` is for networks, and level={level!r} trains none. Leave it out."
        raise ValueError(msg)
    return options


def run(
    options: ResponseRidge | ResponseNetwork,
    lines: Lines,
    target: given.Target,
    mask: np.ndarray | None,
    random: Streams,
    training: Training | None,
    safeguard: bool,
    progress: bool | None,
) -> Fitted:
    """Fit the level that was asked for."""
    if isinstance(options, ResponseNetwork):
        return _network(options, lines, target, mask, random, training, safeguard, progress)
    from omicstl.models import response_choice, response_fit, response_space

    k = min(options.n_comps or response_space.N_COMPS, *lines.x.shape)
    found.check_size(target.genes.size, k, lines.drugs.size, options.n_members)
    fit = response_fit.fit(lines, target.cells, options, random, mask=mask, moments=target.moments, safeguard=safeguard)
    refit = response_choice.refit_of(fit.model, options.n_comps, fit.penalty, fit.latent_lines, random)
    n_targets = _TARGETS[0] if lines.drugs.size <= _MANY else _TARGETS[1]
    return Fitted(fit, refit, n_targets, f"linear: ridge with {found.WAYS[fit.model.align]}")


def _network(
    options: ResponseNetwork,
    lines: Lines,
    target: given.Target,
    mask: np.ndarray | None,
    random: Streams,
    training: Training | None,
    safeguard: bool,
    progress: bool | None,
) -> Fitted:
    from omicstl.models import response_network, response_network_refit, response_space

    k = min(options.n_comps or response_space.N_COMPS, *lines.x.shape)
    found.check_size(target.genes.size, k, lines.drugs.size, options.n_members)
    with progress_bar(None, "networks", progress) as bar:
        fit = response_network.fit(
            lines,
            target.cells,
            options,
            random,
            mask=mask,
            moments=target.moments,
            training=training,
            safeguard=safeguard,
            report=bar.update,
        )
    model: Any = fit.model
    refit = response_network_refit.refit_of(
        options, model.weight, len(lines.x), min(target.cells.rows.n_rows, SAMPLE), random, training
    )
    aligned = f"{model.term} of weight {model.weight:g}" if model.weight else "no alignment term"
    return Fitted(fit, refit, _NETWORK_TARGETS, f"network: {model.n_members} members with {aligned}", "Chen2022")
