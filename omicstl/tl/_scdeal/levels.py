"""The levels of `tl.scdeal`: ridge in closed form, an ensemble of networks, or the one that held-out lines ask for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from omicstl._core.checks import check_choice
from omicstl._core.log import info, progress as progress_bar
from omicstl._core.options.response import ResponseRidge
from omicstl._core.options.training import Training
from omicstl._core.random import Streams
from omicstl.models.response.fit import ResponseFit
from omicstl.models.response.level_selection import LevelChoice
from omicstl.models.response.model import ResponseModel
from omicstl.models.response.network_options import ResponseNetwork
from omicstl.models.selection.criteria import Fit, Predicted
from omicstl.models.transfer.screen import Cells, Lines
from omicstl.tl._shared import screen

#: Words for `align` in parameters, plots and the methods paragraph.
WAYS = {"denoise": "denoised cells", "coral": "CORAL", "none": "no alignment"}
LEVELS = ("auto", "select", "linear", "network")
FEW_LINES = 300  # below, "auto" does not ask whether a network is better
FEWEST_LINES = 30  # below, nobody can tell
NETWORK = ResponseNetwork()
COMPARED = 3  # members that stand for the ensemble where levels are compared; the whole one is a little better
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
    why: str = "Asked for."
    levels: dict[str, np.ndarray] | None = None
    """The comparison of levels, if there was one."""


class Compared(NamedTuple):
    """Both levels, of which a network is taken only where it is surely better."""

    always: bool
    """Not only for one drug and many lines."""


Level = ResponseRidge | ResponseNetwork | Compared


def options_of(level: object, training: Training | None) -> Level:
    """The record behind `level`; options that it does not use are an error."""
    if isinstance(level, ResponseNetwork):
        return level
    if not isinstance(level, ResponseRidge):
        check_choice("level", level, LEVELS)
        if level == "network":
            return NETWORK
        if level == "select":
            return Compared(always=True)
    if training is not None:
        trains = "may train none" if level == "auto" else "trains none"
        msg = f"`training` is for networks, and level={level!r} {trains}. Leave it out, or pass level='select' or 'network'."
        raise ValueError(msg)
    if isinstance(level, ResponseRidge):
        return level
    return Compared(always=False) if level == "auto" else ResponseRidge()


class Levels(NamedTuple):
    """What all levels are fitted with; called with options it fits the level that these ask for."""

    read: screen.Read
    random: Streams
    training: Training | None
    safeguard: bool
    progress: bool | None
    check_size: Callable[[int, int, int, int], None]
    """Refuses a model of so many genes, components, drugs and members."""

    def __call__(self, options: Level) -> Fitted:
        """Fit the level that was asked for, or the one that the lines ask for."""
        if isinstance(options, ResponseNetwork):
            return self._network(options)
        if isinstance(options, ResponseRidge):
            return self._linear(options)
        linear = self._linear(ResponseRidge())
        no = _no_comparison(options, self.read.lines)
        if no:
            return linear._replace(why=no)
        choice = self._compare(linear.fit.model)
        taken = self._network(NETWORK) if choice.taken else linear
        return taken._replace(why=choice.reason, levels=choice.table)

    def _check(self, options: ResponseRidge | ResponseNetwork) -> None:
        """Refuse what is too large."""
        from omicstl.models.response import space

        lines = self.read.lines
        k = min(options.n_comps or space.N_COMPS, *lines.x.shape)
        self.check_size(self.read.target.genes.size, k, lines.drugs.size, options.n_members)

    def _linear(self, options: ResponseRidge) -> Fitted:
        from omicstl.models.response import align_selection, fit as parts

        self._check(options)
        lines, target = self.read.lines, self.read.target
        fit = parts.fit(
            lines,
            target.cells,
            options,
            self.random,
            mask=self.read.mask,
            moments=target.moments,
            safeguard=self.safeguard,
        )
        refit = align_selection.refit_of(fit.model, options.n_comps, fit.penalty, fit.latent_lines, self.random)
        n_targets = _TARGETS[0] if lines.drugs.size <= _MANY else _TARGETS[1]
        return Fitted(fit, refit, n_targets, f"linear: ridge with {WAYS[fit.model.align]}")

    def _network(self, options: ResponseNetwork) -> Fitted:
        from omicstl.models.response import network, network_refit

        self._check(options)
        lines, target, mask = self.read.lines, self.read.target, self.read.mask
        with progress_bar(None, "networks", self.progress) as bar:
            fit = network.fit(
                lines,
                target.cells,
                options,
                self.random,
                mask=mask,
                moments=target.moments,
                training=self.training,
                safeguard=self.safeguard,
                report=bar.update,
            )
        model: Any = fit.model
        sizes = network.sizes_of(lines, target.cells, model.maps.shape[1], mask)
        refit = network_refit.refit_of(options, model.weight, sizes, self.random, self.training)
        aligned = f"{model.term} of weight {model.weight:g}" if model.weight else "no alignment term"
        return Fitted(fit, refit, _NETWORK_TARGETS, f"network: {model.n_members} members with {aligned}", "Chen2022")

    def _compare(self, fitted: ResponseModel) -> LevelChoice:
        """The linear level as it was fitted against networks as they would be, without the term, which has to earn its own place."""
        from omicstl.models.response import align_selection, level_selection, network, network_refit as refits

        lines, target, mask = self.read.lines, self.read.target, self.read.mask
        ridge = ResponseRidge()
        info(
            f"Is a network better? Up to {level_selection.FOLDS * COMPARED} small ones are trained without some of the lines, which takes "
            "some tens of seconds; level='linear' does without."
        )
        kept: list[align_selection.OfLines] = []

        def known(part: Lines) -> align_selection.OfLines:
            if not kept or kept[0].lines is not part:
                kept[:] = [align_selection.OfLines(part, ridge)]
            return kept[0]

        def linear(part: Lines, cells: Cells, candidates: Sequence[Any], held: np.ndarray) -> list[Predicted]:
            ways = [fitted.align for _ in candidates]
            return align_selection.predicted(known(part), cells, ways, held, self.random)

        sizes = network.sizes_of(lines, target.cells, fitted.maps.shape[1], mask)
        with progress_bar(None, "linear or networks", self.progress) as bar:
            other = refits.refit_of(
                NETWORK,
                0.0,
                sizes,
                self.random,
                self.training,
                n_members=COMPARED,
                report=bar.update,
                known=lambda part: known(part).source,
            )
            return level_selection.choose(lines, target.cells, (linear, other), self.random, mask=mask)


def _no_comparison(options: Compared, lines: Lines) -> str:
    """Why levels are not compared; empty if they are."""
    n, d = len(lines.x), lines.drugs.size
    if n < FEWEST_LINES:
        return f"{n} lines are too few to compare levels, so the linear one is used."
    if options.always:
        return ""
    if n < FEW_LINES:
        return f"With fewer than {FEW_LINES} lines the linear level is used; level='select' compares."
    if d > 1:
        return "For several drugs the linear level is used, which takes seconds; level='select' compares."
    return ""
