"""Is a network worth it? Both levels predict the same lines that were left out, and pseudo-cells of these (numpy)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from omicstl._core.random import Streams
from omicstl.models.selection import pseudo_cells, validation
from omicstl.models.selection.criteria import Fit, paired, subset
from omicstl.models.transfer.screen import Cells, Lines

from .cells import sample_rows

_LEVELS = ("linear", "network")
FOLDS, FUTILE = 5, 2
_CELLS, _MAX_LINES, _PER_LINE = 1000, 100, 6


class LevelChoice(NamedTuple):
    """Whether the second level is taken, why, and a table with a row for each level."""

    taken: bool
    reason: str
    table: dict[str, np.ndarray]


def choose(
    lines: Lines,
    cells: Cells,
    fits: tuple[Fit, Fit],
    random: Streams,
    *,
    mask: np.ndarray | None = None,
) -> LevelChoice:
    """
    Take the second level where it is surely better than the first.

    Lines are left out by lineage in five folds. In each, both levels are fitted on the other lines with pseudo-cells of the left-out
    ones as the target, and predict these and the lines themselves. Measured is rho within folds, mean over folds and drugs, and the
    gain with a paired 95 % t interval over lineages, or over lines where lineages are fewer than eight.

    The second level is taken if the interval of its gain on pseudo-cells lies above 0 and it loses nothing on the lines. It is given up
    after two folds if it does not lead there by then, which can only favour the first. No label of a cell is read.
    """
    n, d = lines.y.shape
    sample = sample_rows(cells.rows.n_rows, mask, random, _CELLS)
    totals = None if cells.totals is None else np.asarray(cells.totals)[sample]
    seen = pseudo_cells.platform(np.asarray(cells.rows.take(sample)), scaled=cells.scaled, totals=totals)
    whole = pseudo_cells.background_of(lines.x)
    fold = validation.lineage_folds(lines.lineage, n, FOLDS, random.generator("folds of levels"))
    n_folds = int(fold.max()) + 1
    parts = np.full((2, 2, n_folds, n, d), np.nan)  # cells or lines; level
    done = 0
    for f in range(n_folds):
        generator = random.generator("levels", f)
        held = np.flatnonzero(fold == f)
        shown = np.sort(generator.permutation(held.size)[:_MAX_LINES])
        drawn = pseudo_cells.draw(lines.x[held[shown]], seen, generator, _PER_LINE, whole)
        train, target = subset(lines, np.flatnonzero(fold != f)), Cells(pseudo_cells.Table(drawn.x), cells.scaled)
        own = shown[drawn.line]
        for level, fit in enumerate(fits):
            (found,) = fit(train, target, [_LEVELS[level]], lines.x[held])
            parts[0, level, f, held] = _parts(found.cells, lines.y[held][own], own, held.size)
            parts[1, level, f, held] = _parts(found.held, lines.y[held], np.arange(held.size), held.size)
        done = f + 1
        if done == FUTILE < n_folds and not np.nansum(np.diff(_by_line(parts[0]), axis=0)) > 0:
            break
    return _decided(parts, lines.lineage, done)


def _parts(score: np.ndarray, y: np.ndarray, unit: np.ndarray, n: int) -> np.ndarray:
    """Each unit's part (n, d) of rho, NaN where it has none."""
    out = np.full((n, y.shape[1]), np.nan)
    for j in range(y.shape[1]):
        each = validation.rank_parts(np.asarray(score[:, j], np.float64), y[:, j])
        known = np.isfinite(each)
        there = np.bincount(unit[known], minlength=n) > 0
        out[there, j] = np.bincount(unit[known], weights=each[known], minlength=n)[there]
    return out


def _by_line(parts: np.ndarray) -> np.ndarray:
    """Parts (levels, n) of the mean over drugs and folds of rho, from (levels, folds, n, d); they add up to it."""
    known = np.isfinite(parts)
    folds = known[0].any(axis=1).sum(axis=0)  # (d,) in which a drug was measured
    each = np.where(known, parts, 0).sum(axis=1) / np.maximum(folds, 1)
    total = each.sum(axis=2) / max(int((folds > 0).sum()), 1)
    return np.where(known.any(axis=(1, 3)), total, np.nan)


def _decided(parts: np.ndarray, lineage: np.ndarray | None, done: int) -> LevelChoice:
    table: dict[str, np.ndarray] = {"level": np.asarray(_LEVELS, dtype=object)}
    gains = []
    for what, each in zip(("pseudo_cell", "line"), parts, strict=True):
        by_line = _by_line(each)
        gain = paired(by_line[1] - by_line[0], lineage)
        table[f"{what}_rho"] = np.nansum(by_line, axis=1)
        for name in ("mean", "low", "high"):
            table[f"{what}_gain_{name}"] = np.array([0.0, getattr(gain, name)])
        gains.append(gain)
    table["n_folds"] = np.array([done, done], np.int32)
    of_cells, of_lines = gains
    taken = done == parts.shape[2] and of_cells.low > 0 and of_lines.mean >= 0
    said = (
        f"{_LEVELS[1]} against {_LEVELS[0]} on lines that were left out: {of_cells.mean:+.3f} rho of pseudo-cells "
        f"({of_cells.low:+.3f} to {of_cells.high:+.3f}, {of_cells.n} units), {of_lines.mean:+.3f} rho of lines"
    )
    if done < parts.shape[2]:
        said += f", after {done} of {parts.shape[2]} folds"
    table["taken"] = np.array([not taken, taken])
    return LevelChoice(bool(taken), f"{said}; {_LEVELS[int(taken)]} is used.", table)
