"""Fit of response networks: inputs from components of the lines, training of members, choice of the alignment's weight."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from omicstl._core.options.alignment import Alignment
from omicstl._core.options.response import ResponseRidge
from omicstl._core.options.training import Training
from omicstl._core.random import Streams
from omicstl.models.response.network_options import ResponseNetwork
from omicstl.models.selection import criteria
from omicstl.models.selection.criteria import Predicted
from omicstl.models.selection.pseudo_cells import Table
from omicstl.models.transfer.network import NetworkProgram
from omicstl.models.transfer.network_fit import (
    Members,
    Problem,
    Strengths,
    filled,
    forward,
    held_out_folds,
    mean_gradient,
    train_members,
)
from omicstl.models.transfer.screen import Cells, Lines

from . import smoothing
from .align import denoiser
from .cells import CLIP, SAMPLE, Moments, sample_rows, standardised
from .fit import ResponseFit
from .network_model import NetworkModel
from .space import Space, prepare

TRAINING = Training(epochs=60, batch_size=200, learning_rate=1e-3, validation=0.2, patience=20)
FLOOR = 0.02  # of noise, as in `align`
NEIGHBOURS, CHOOSING_FOLDS, FEWEST_LINES = 15, 3, 30
SLOPE_ROWS = 512


class View(NamedTuple):
    """What the networks see: both domains in the components of the lines, as the cells show them."""

    lines: np.ndarray  # (n, k)
    sample: np.ndarray  # (m', k) of sampled cells
    noise: np.ndarray  # (k, k) factor of the covariance that the noise of cells has there
    maps: np.ndarray  # (p, k)
    line_maps: np.ndarray  # (p, k)
    gain: np.ndarray  # (p,)


class Sizes(NamedTuple):
    """Of compiled arrays, the same for all fits that are compared: with fewer rows, or components, these are filled up."""

    n_source: int
    n_target: int
    n_in: int


class Plan(NamedTuple):
    """What all networks have in common that are compared: options, training and sizes."""

    options: ResponseNetwork
    training: Training
    sizes: Sizes


def fit(
    lines: Lines,
    cells: Cells,
    options: ResponseNetwork | None = None,
    random: Streams | None = None,
    *,
    mask: np.ndarray | None = None,
    moments: Moments | None = None,
    training: Training | None = None,
    safeguard: bool = True,
    report: Callable[[int], None] = lambda steps: None,
) -> ResponseFit:
    """
    Fit all drugs with one ensemble; only the cells in `mask` (m,) shape the fit, all are scored.

    `safeguard` keeps the weight 0 unless another is surely better on pseudo-cells of lines that were left out; without it the
    best one is taken. ``chosen`` of the result holds the weight, the reason, the table of candidates and the history.
    """
    options, random, training = options or ResponseNetwork(), random or Streams(0), training_of(training, len(lines.x))
    space = prepare(lines, cells, ResponseRidge(n_comps=options.n_comps), random, mask, moments)
    seen = view(space)
    plan = Plan(options, training, sizes_of(lines, cells, seen.lines.shape[1], mask))
    weight, reason, table = choose_weight(lines, cells, plan, random, mask, safeguard=safeguard)
    fold = held_out_folds(len(lines.x), lines.lineage, options.n_members, random.generator("folds of members"))
    weights = [()] if options.term is None else [(weight,)]
    (members,) = train(seen, lines, plan, weights, fold, random, n_members=options.n_members, report=report)
    networks = members.arrays
    slope = mean_gradient(networks, _some(seen.sample))
    strength, agreement = _strength(cells, space, seen.maps @ slope, options, random)
    model = NetworkModel(
        features=np.arange(lines.x.shape[1]).astype(str).astype(object),
        drugs=np.asarray(lines.drugs, dtype=object),
        binary=np.asarray(lines.binary, bool),
        mean_lines=space.mean_lines,
        scale_lines=space.scale_lines,
        mean_cells=space.cells.mean,
        scale_cells=space.cells.scale,
        maps=seen.maps.astype(np.float32),
        line_maps=seen.line_maps.astype(np.float32),
        gain=seen.gain,
        networks=networks,
        slope=slope,
        strength=strength,
        cell_axes=smoothing.axes_of(space.z_sample, random),
        term="" if options.term is None else type(options.term).__name__,
        weight=weight,
        scaled=bool(cells.scaled),
        n_lines=len(lines.x),
        calibration={},
    )
    latent_lines = model.embed(seen.lines)
    own = model.members(latent_lines)[fold, np.arange(len(fold))]
    latent, score, std = model.score_cells(cells)
    chosen = {
        "align": model.term if weight else "none",
        "weight": weight,
        "reason": reason,
        "table": table,
        "strength": strength,
        "agreement": agreement,
        "history": members.history,
        "best_epoch": members.best_epoch,
    }
    out_of_fold = np.where(np.isfinite(lines.y), own, np.nan)
    penalty = np.full(lines.drugs.size, np.nan)
    return ResponseFit(model, latent_lines, latent, score, std, out_of_fold, penalty, chosen)  # type: ignore[arg-type]


def sizes_of(lines: Lines, cells: Cells, n_comps: int, mask: np.ndarray | None = None) -> Sizes:
    """Those of the fit of all lines, whose components are as many as these."""
    n_cells = cells.rows.n_rows if mask is None else int(np.sum(mask))
    return Sizes(len(lines.x), min(n_cells, SAMPLE), n_comps)


def training_of(training: Training | None, n_lines: int) -> Training:
    """What was asked for, or what fits a number of lines: with few of them batches are smaller and epochs more, so that steps are many."""
    if training is not None:
        return training
    size, epochs = np.clip(n_lines // 4, 32, TRAINING.batch_size), np.clip(48_000 // n_lines, TRAINING.epochs, 300)
    return replace(TRAINING, batch_size=int(size), epochs=int(epochs))


def view(space: Space) -> View:
    r"""Inputs of the networks, and the noise of cells there.

    With z-scores :math:`z = D V u + e` of a cell in the state u, of the lines' components, its input is the expected u given z,
    :math:`\hat u = M' z`. A line with the components u has the input :math:`M' D V u`, and a cell in its state adds noise of
    the covariance :math:`M' \Psi M`. All are divided by the fourth root of their variance: between no scaling and whitening.
    """
    axes, variance = space.basis.axes, space.basis.variance
    found = denoiser(axes, variance, space.z_sample)
    own = 1 - found.gain**2 * np.minimum((axes**2) @ variance, 1) + FLOOR
    turn = (axes * found.gain[:, None]).T @ found.maps
    covariance = found.maps.T @ (own[:, None] * found.maps)
    total = np.einsum("ij,i,ij->j", turn, variance, turn) + np.diag(covariance)
    scale = np.maximum(total, 1e-12 * total.max()) ** 0.25
    scale *= np.sqrt(np.mean(total / scale**2))
    turn, maps = turn / scale, found.maps / scale
    values, vectors = np.linalg.eigh(covariance / np.outer(scale, scale))
    noise = (vectors * np.sqrt(np.maximum(values, 0))).T
    line_maps = axes @ turn
    return View(space.z_lines @ line_maps, space.z_sample @ maps, noise, maps, line_maps, found.gain)


def train(
    seen: View,
    lines: Lines,
    plan: Plan,
    weights: Sequence[Sequence[float]],
    fold: np.ndarray,
    random: Streams,
    *,
    n_members: int,
    report: Callable[[int], None] = lambda steps: None,
) -> list[Members]:
    """Members for each of several weights of the term; numbers are predicted on the scale of `lines.y`."""
    options, training, sizes = plan
    n, wide = len(seen.lines), lambda x: filled(x, sizes.n_in)
    mean, spread = _standard(lines)
    y = np.full((sizes.n_source, lines.drugs.size), np.nan)
    y[:n] = (lines.y - mean) / spread
    source = np.zeros((sizes.n_source, sizes.n_in), np.float32)
    source[:n] = wide(seen.lines)
    outside = np.full(sizes.n_source, -1)
    outside[:n] = fold
    terms = () if options.term is None else (_bare(options.term),)
    shift = np.ones(sizes.n_source)
    shift[:n] = _shift(seen, lines, options.term)
    target = wide(seen.sample[np.resize(np.arange(len(seen.sample)), sizes.n_target)])
    neighbours = smoothing.knn_smooth.neighbours(target, NEIGHBOURS)[0] if options.smoothness else None
    config = NetworkProgram(
        n_in=sizes.n_in,
        n_out=lines.drugs.size,
        n_source=sizes.n_source,
        n_target=sizes.n_target,
        n_held=-(-2 * sizes.n_source // options.n_members) if training.validation else 0,
        n_latent=options.n_latent,
        hidden=options.hidden,
        focus=options.focus,
        drop=options.drop,
        terms=terms,
        reconstruct=options.reconstruction > 0,
        smooth=options.smoothness > 0,
        batch_size=training.batch_size,
        n_epochs=training.epochs,
        learning_rate=training.learning_rate,
        patience=training.patience,
    )
    problem = Problem(source, target, y, np.asarray(lines.binary, bool), wide(wide(seen.noise).T).T, shift, neighbours)
    strengths = Strengths(options.reconstruction, options.smoothness)
    found = train_members(problem, config, outside, strengths, weights, random, report, n_members=n_members)
    for members in found:
        members.arrays["head"] = (members.arrays["head"] * spread).astype(np.float32)
        members.arrays["head_bias"] = (members.arrays["head_bias"] * spread + mean).astype(np.float32)
    return found


def _standard(lines: Lines) -> tuple[np.ndarray, np.ndarray]:
    """Mean and spread (d,) of numbers; 0 and 1 for classes."""
    mean, spread = np.zeros(lines.drugs.size), np.ones(lines.drugs.size)
    for j in np.flatnonzero(~np.asarray(lines.binary, bool)):
        known = lines.y[np.isfinite(lines.y[:, j]), j]
        if known.size:
            mean[j], spread[j] = known.mean(), known.std() or 1.0
    return mean, spread


def _bare(term: Alignment) -> Alignment:
    """Without its weight, which is data: all weights share what is compiled."""
    return replace(term, weight=None)


def _shift(seen: View, lines: Lines, term: Alignment | None) -> np.ndarray:
    """Weights of the lines that give their classes the shares that are estimated for the cells; ones without `label_shift`."""
    if term is None or not term.label_shift:
        return np.ones(len(lines.x))
    if lines.drugs.size != 1 or not lines.binary[0]:
        msg = f"`label_shift` of {type(term).__name__} needs one drug with two classes, got {lines.drugs.size} drugs. Leave it out."
        raise ValueError(msg)
    from omicstl.models.transfer.class_shift import class_shift_weights
    from omicstl.models.transfer.heads import BINARY, Task

    task = Task(BINARY, np.array(["0", "1"]))
    return class_shift_weights(task, seen.lines, lines.y, seen.sample, groups=lines.lineage)


def choose_weight(
    lines: Lines,
    cells: Cells,
    plan: Plan,
    random: Streams,
    mask: np.ndarray | None = None,
    *,
    safeguard: bool = True,
) -> tuple[float, str, dict[str, np.ndarray]]:
    """Weight of the term, why, and the table of all; one network for each weight and fold of lines left out."""
    options = plan.options
    if options.term is None:
        return 0.0, "No term.", {}
    if options.term.weight is not None:
        return float(options.term.weight), "Asked for.", {}
    candidates = tuple(sorted({0.0, *options.candidates}))
    if len(lines.x) < FEWEST_LINES:
        return 0.0, f"{len(lines.x)} lines are too few to compare weights.", {}
    sample = sample_rows(cells.rows.n_rows, mask, random, 1000)
    totals, n_genes = (None if a is None else np.asarray(a)[sample] for a in (cells.totals, cells.n_genes))
    within = Cells(Table(np.asarray(cells.rows.take(sample), np.float32)), cells.scaled, totals, n_genes)

    def fit_all(part: Lines, target: Cells, weights: Sequence[Any], held: np.ndarray) -> list[Predicted]:
        space = prepare(part, target, ResponseRidge(n_comps=options.n_comps), random)
        seen = view(space)
        fold = held_out_folds(len(part.x), part.lineage, options.n_members, random.generator("folds of members"))
        found = train(seen, part, plan, [(float(w),) for w in weights], fold, random, n_members=1)
        z = standardised(target.rows.take(np.arange(target.rows.n_rows)), space.cells.mean, space.cells.scale)
        z_held = np.clip((held - space.mean_lines) / space.scale_lines, -CLIP, CLIP)
        inputs = (z @ seen.maps, z_held @ seen.line_maps)
        return [Predicted(*(forward(m.arrays, x)[1].mean(axis=0).astype(float) for x in inputs)) for m in found]

    found = criteria.select(
        lines,
        within,
        candidates,
        fit_all,
        random,
        names=[f"weight {w:g}" for w in candidates],
        criteria=("pseudo_cells",),
        n_folds=CHOOSING_FOLDS,
    )
    if safeguard:
        return candidates[found.chosen], found.reason, found.table
    best = int(np.nanargmax(found.table["pseudo_cell_rho"]))
    return candidates[best], "Best on pseudo-cells, without safeguard.", found.table


def _some(x: np.ndarray) -> np.ndarray:
    return x[np.linspace(0, len(x) - 1, min(SLOPE_ROWS, len(x))).astype(np.int64)]


def _strength(
    cells: Cells, space: Space, weights: np.ndarray, options: ResponseNetwork, random: Streams
) -> tuple[np.ndarray, np.ndarray]:
    d = weights.shape[1]
    nothing = np.full((len(smoothing.STRENGTHS), d), np.nan)
    if options.smoothing is not None or cells.scaled:
        return np.full(d, float(options.smoothing or 0)), nothing
    totals = None if cells.totals is None else np.asarray(cells.totals)[space.sample]
    found = smoothing.choose(cells.rows.take(space.sample), totals, weights, random)
    return found.strength, found.agreement
