"""Which way to bring cells into the space of the lines, chosen without labels of the cells (numpy)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from omicstl._core.options.response import ResponseRidge
from omicstl._core.random import Streams
from omicstl.kernels.masked_ridge import MaskedRidge, penalty_grid
from omicstl.models.selection import criteria
from omicstl.models.selection.criteria import Predicted
from omicstl.models.selection.pseudo_cells import Table
from omicstl.models.transfer.screen import Cells, Lines

from .cells import project, sample_rows, standardised
from .model import ResponseModel
from .space import Source, aligned, fit_ridge, prepare, source_of

CANDIDATES = ("none", "coral", "denoise")
_DRUGS, _FOLDS, _FEWEST_LINES = 16, 5, 30


class Choice(NamedTuple):
    """The way that was taken, why, and the table of all."""

    align: str
    reason: str
    table: dict[str, np.ndarray]


def choose_align(
    lines: Lines,
    cells: Cells,
    options: ResponseRidge,
    random: Streams,
    mask: np.ndarray | None = None,
    *,
    safeguard: bool = True,
) -> Choice:
    """
    Compare ways on pseudo-cells of lines that were left out, at most 16 drugs.

    Of all ways ("auto") one is taken where it surely pays, else none; without `safeguard` the best one. A way that was asked for is
    taken unless it surely costs; without `safeguard` nothing is compared. Fewer than 30 lines are too few for a comparison.
    """
    asked = None if options.align == "auto" else options.align
    if asked is not None and (not safeguard or asked == "none"):
        return Choice(asked, "Asked for.", {})
    if len(lines.x) < _FEWEST_LINES:
        return Choice(asked or "none", f"{len(lines.x)} lines are too few to compare ways of alignment.", {})
    candidates = CANDIDATES if asked is None else ("none", asked)
    some = _some_drugs(lines, random)
    sample = sample_rows(cells.rows.n_rows, mask, random, 1000)
    within = Cells(
        Table(cells.rows.take(sample)),
        cells.scaled,
        None if cells.totals is None else np.asarray(cells.totals)[sample],
        None if cells.n_genes is None else np.asarray(cells.n_genes)[sample],
    )

    def fit_all(lines: Lines, cells: Cells, candidates: Sequence[str], held: np.ndarray) -> list[Predicted]:
        return predicted(OfLines(lines, options), cells, candidates, held, random)

    found = criteria.select(
        some, within, candidates, fit_all, random, names=candidates, criteria=("pseudo_cells",), n_folds=_FOLDS
    )
    if asked is not None:
        high = float(found.table["gain_high"][1])
        lost = f"{asked} against none on pseudo-cells: at most {high:+.3f} rho, so none is taken (safeguard)."
        return Choice("none", lost, found.table) if high < 0 else Choice(asked, "Asked for.", found.table)
    if not safeguard:
        best = candidates[int(np.nanargmax(found.table["pseudo_cell_rho"]))]
        return Choice(best, "Best on pseudo-cells, without safeguard.", found.table)
    return Choice(candidates[found.chosen], found.reason, found.table)


def _some_drugs(lines: Lines, random: Streams) -> Lines:
    d = lines.y.shape[1]
    if d <= _DRUGS:
        return lines
    known = np.isfinite(lines.y).sum(axis=0)
    enough = np.flatnonzero(known >= np.median(known))
    chosen = np.sort(random.generator("drugs that choose").choice(enough, min(_DRUGS, enough.size), replace=False))
    return lines._replace(y=lines.y[:, chosen], drugs=lines.drugs[chosen], binary=lines.binary[chosen])


def predicted(
    known: OfLines,
    cells: Cells,
    candidates: Sequence[str],
    held: np.ndarray,
    random: Streams,
    gain: np.ndarray | None = None,
) -> list[Predicted]:
    """Scores of every way; lines have the same latent under all that do not recolour them, and one ridge serves these."""
    lines, options = known.lines, known.options
    space = prepare(lines, cells, options, random, source=known.source)
    z_held = standardised(held, space.mean_lines, space.scale_lines)
    found = []
    for name in candidates:
        maps, recolouring, _ = aligned(space, name, gain)
        turn = space.basis.axes @ recolouring
        ridge = known.ridge() if name != "coral" else fit_ridge(space.z_lines @ turn, lines, options, left_out=False)
        weights = (maps @ ridge.coefficients).astype(np.float32)
        if space.sample.size == cells.rows.n_rows:
            score = space.z_sample @ weights
        else:
            (score,) = project(cells, space.cells.mean, space.cells.scale, weights)
        own = z_held @ (turn @ ridge.coefficients).astype(np.float32)
        found.append(Predicted(score + ridge.intercept, own + ridge.intercept))
    return found


class OfLines:
    """What a fit has worked out from some lines alone, for the next fit to the same ones."""

    def __init__(self, lines: Lines, options: ResponseRidge) -> None:
        self.lines, self.options = lines, options
        self.source: Source = source_of(lines, options)
        self._ridge: MaskedRidge | None = None

    def ridge(self) -> MaskedRidge:
        """Of lines that are not recoloured."""
        if self._ridge is None:
            self._ridge = fit_ridge(self.source.z @ self.source.basis.axes, self.lines, self.options, left_out=False)
        return self._ridge


def refit_of(
    model: ResponseModel, n_comps: int | None, penalty: np.ndarray, latent_lines: np.ndarray, random: Streams
) -> criteria.Fit:
    """A fit without some lines: the same way and gains, and for all drugs the median of the penalties that were chosen."""
    align, gain = model.align, np.asarray(model.gain)
    unit = float(penalty_grid(latent_lines.astype(np.float64), 1, 1.0, 1.0)[0])
    fixed = ResponseRidge(align=align, n_comps=n_comps, penalty=max(float(np.median(penalty)) / unit, 1e-9))
    kept: list[OfLines] = []

    def refit(lines: Lines, cells: Cells, candidates: Sequence[str], held: np.ndarray) -> list[Predicted]:
        if not kept or kept[0].lines is not lines:
            kept[:] = [OfLines(lines, fixed)]
        return predicted(kept[0], cells, [align for _ in candidates], held, random, gain)

    return refit
