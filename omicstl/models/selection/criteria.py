"""Choice between ways to carry a response over to cells, without labels in the target (numpy).

Every candidate is scored by: grouped validation (lineages left out), importance-weighted and deep-embedded validation
on the same left-out lines, circular validation (cells with predicted response as a source, the lines as their target),
and pseudo-cells of left-out lines, which have true labels and decide. A candidate is taken instead of the baseline only
where the paired interval of the gain, over lineages or lines, lies above zero and left-out lines do not lose by it.

How a caller joins in: candidates are any objects, simplest first, the baseline (no alignment) at their head;
`fit(lines, cells, candidates, held)` returns for each candidate `Predicted(cells, held)`, larger is more sensitive, where
`held` (h, p) are rows of the lines' domain. What candidates share is computed once inside `fit`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from omicstl._core.random import Streams
from omicstl.models.transfer.screen import Cells, Lines

from . import pseudo_cells, validation

MAX_DROP = 0.02  # of rho on left-out lines, which alignment may cost
_MAX_CELLS = 1000
_MAX_LINES, _PER_LINE = 40, 12  # left-out lines of a fold that get pseudo-cells, and cells of each
_CONFIDENCE = 0.95
CRITERIA = ("pseudo_cells", "grouped", "weighted", "circular")


class Predicted(NamedTuple):
    """Scores of a candidate."""

    cells: np.ndarray  # (m, d)
    held: np.ndarray  # (h, d)


Fit = Callable[[Lines, Cells, Sequence[Any], np.ndarray], Sequence[Predicted]]


class Paired(NamedTuple):
    """A mean of paired differences with its t interval over units."""

    mean: float
    low: float
    high: float
    n: int


class Selection(NamedTuple):
    """The candidate that was taken, why, and the table of all candidates and criteria (columns of equal length)."""

    chosen: int
    reason: str
    table: dict[str, np.ndarray]
    effective_lines: float


def select(
    lines: Lines,
    cells: Cells,
    candidates: Sequence[Any],
    fit: Fit,
    random: Streams,
    *,
    names: Sequence[str] | None = None,
    criteria: Sequence[str] = CRITERIA,
    n_folds: int = 5,
) -> Selection:
    """Score all candidates and choose one.

    Parameters
    ----------
    candidates
        Simplest first, beginning with the one without alignment, to which the choice falls back. Of candidates that cannot be told
        apart the first is taken.
    criteria
        Some of "pseudo_cells", "grouped", "weighted", "circular". Costs in fits of all candidates: a fold each for
        "pseudo_cells" and for "grouped" (with which "weighted" comes), two for "circular".

    Returns
    -------
    The choice with its reason and tables. Only the lines' own responses are read.
    """
    shown = [str(c) for c in candidates] if names is None else list(names)
    sample = _sample(cells, random)
    fold = validation.lineage_folds(lines.lineage, len(lines.x), n_folds, random.generator("folds"))
    n_candidates = len(candidates)
    table: dict[str, np.ndarray] = {"candidate": np.asarray(shown, dtype=object)}
    parts = None
    source = None
    effective = float("nan")
    if "pseudo_cells" in criteria:
        parts, by_cell, by_line = _pseudo(lines, sample, candidates, fit, random, fold)
        table["pseudo_cell_rho"], table["pseudo_line_rho"] = by_cell, by_line
    if "grouped" in criteria or "weighted" in criteria:
        held = _held_out(lines, sample, candidates, fit, fold)
        source = np.stack([_line_parts(h, lines.y, fold) for h in held])
        table["grouped_rho"] = np.nansum(source, axis=1)
        if "weighted" in criteria:
            space = validation.leading_components(lines.x, sample.rows.take(np.arange(sample.rows.n_rows)))
            weights = validation.importance_weights(*space, random.generator("weights"))
            effective = weights.effective
            risks = [_risk(h, lines.y, weights.ratio) for h in held]
            table["weighted_risk"] = np.array([r.weighted for r in risks])
            table["deep_embedded_risk"] = np.array([r.deep_embedded for r in risks])
    if "circular" in criteria:
        table["circular_rho"] = _circular(lines, sample, candidates, fit, random)
    deciding = parts if parts is not None else source
    if deciding is None:
        return Selection(0, "No criterion that has labels was asked for.", table, effective)
    units = lines.lineage
    against = [paired(deciding[i] - deciding[0], units) for i in range(n_candidates)]
    for name in ("mean", "low", "high"):
        table[f"gain_{name}"] = np.array([getattr(a, name) for a in against])
    chosen, reason = _decide(deciding, source, shown, units)
    return Selection(chosen, reason, table, effective)


def paired(difference: np.ndarray, units: np.ndarray | None = None) -> Paired:
    """Sum over lines of paired differences with a t interval; whole lineages are the units where there are 8 of them.

    `difference` holds each line's part of the difference of two measures; NaN: the line was not used.
    """
    from scipy.stats import t as student

    used = np.isfinite(difference)
    values = difference[used]
    if units is not None and np.unique(units[used]).size >= 8:
        code = np.unique(units[used], return_inverse=True)[1]
        values = np.bincount(code, weights=values)
    n = values.size
    total = float(values.sum())
    if n < 2:
        return Paired(total, float("-inf"), float("inf"), n)
    half = float(student.ppf(0.5 + _CONFIDENCE / 2, n - 1) * values.std(ddof=1) * np.sqrt(n))
    return Paired(total, total - half, total + half, n)


def _decide(
    parts: np.ndarray,
    source: np.ndarray | None,
    names: list[str],
    units: np.ndarray | None,
) -> tuple[int, str]:
    allowed = [i for i in range(len(parts)) if source is None or np.nansum(source[i] - source[0]) >= -MAX_DROP]
    best = max(allowed, key=lambda i: float(np.nansum(parts[i])))
    gain = paired(parts[best] - parts[0], units)
    if best == 0:
        return 0, f"No candidate scores better than {names[0]} on lines that were left out."
    said = f"{gain.mean:+.3f} rho ({gain.low:+.3f} to {gain.high:+.3f}, {gain.n} units)"
    if gain.low <= 0:
        return 0, f"{names[best]} against {names[0]}: {said}. Not surely better, so {names[0]} stays."
    for i in allowed:
        lead = paired(parts[best] - parts[i], units)
        if 0 < i < best and lead.low <= 0 and paired(parts[i] - parts[0], units).low > 0:
            return i, f"{names[i]} is surely better than {names[0]} and as good as {names[best]} ({said})."
    return best, f"{names[best]} against {names[0]}: {said} on pseudo-cells or lines that were left out."


def _sample(cells: Cells, random: Streams) -> Cells:
    m = cells.rows.n_rows
    if m <= _MAX_CELLS and isinstance(cells.rows, pseudo_cells.Table):
        return cells
    index = np.arange(m)
    if m > _MAX_CELLS:
        index = np.sort(random.generator("cells").choice(m, _MAX_CELLS, replace=False))
    return cells._replace(
        rows=pseudo_cells.Table(np.asarray(cells.rows.take(index), dtype=np.float32)),
        totals=None if cells.totals is None else cells.totals[index],
        n_genes=None if cells.n_genes is None else cells.n_genes[index],
    )


def subset(lines: Lines, index: np.ndarray) -> Lines:
    """Some of the lines."""
    return lines._replace(
        x=lines.x[index],
        y=lines.y[index],
        names=lines.names[index],
        lineage=None if lines.lineage is None else lines.lineage[index],
        study=None if lines.study is None else lines.study[index],
    )


def _pseudo(
    lines: Lines,
    sample: Cells,
    candidates: Sequence[Any],
    fit: Fit,
    random: Streams,
    fold: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each line's part of the mean rho over pseudo-cells (candidates, n), and that rho by cell and by line (candidates,)."""
    x = next(sample.rows.blocks(sample.rows.n_rows))
    seen = pseudo_cells.platform(x, scaled=sample.scaled, totals=sample.totals)
    whole = pseudo_cells.background_of(lines.x)
    n, d = lines.y.shape
    n_folds = int(fold.max()) + 1
    parts = np.full((len(candidates), n_folds, n, d), np.nan)
    by_line = np.full((len(candidates), n_folds, d), np.nan)
    for f in range(n_folds):
        generator = random.generator("pseudo", f)
        held = np.flatnonzero(fold == f)
        if held.size > _MAX_LINES:
            held = np.sort(generator.choice(held, _MAX_LINES, replace=False))
        train = subset(lines, np.flatnonzero(fold != f))
        drawn = pseudo_cells.draw(lines.x[held], seen, generator, _PER_LINE, whole)
        target = Cells(pseudo_cells.Table(drawn.x), sample.scaled)
        truth = lines.y[held]
        for c, predicted in enumerate(fit(train, target, candidates, lines.x[held])):
            for drug in range(d):
                cell_parts = validation.rank_parts(predicted.cells[:, drug], truth[drawn.line, drug])
                known = np.isfinite(cell_parts)
                if not known.any():
                    continue
                summed = np.bincount(drawn.line[known], weights=cell_parts[known], minlength=held.size)
                was = np.bincount(drawn.line[known], minlength=held.size) > 0
                parts[c, f, held[was], drug] = summed[was]
                median = np.array([_median(predicted.cells[drawn.line == i, drug]) for i in range(held.size)])
                by_line[c, f, drug] = np.nansum(validation.rank_parts(median, truth[:, drug]))
    by_cell = np.where(np.isfinite(parts).any(axis=2), np.nansum(parts, axis=2), np.nan)
    # parts of one line: mean over drugs; folds weigh alike, so that parts over all lines add up to the mean rho
    weight = np.isfinite(by_cell).sum(axis=1, keepdims=True)[:, :, None, :]
    per_line = np.nansum(parts / np.maximum(weight, 1), axis=1)
    per_line = np.where(np.isfinite(parts).any(axis=1), per_line, np.nan)
    measured = np.isfinite(by_cell).any(axis=1).sum(axis=1)[:, None]
    lines_part = np.where(np.isfinite(per_line).any(axis=2), np.nansum(per_line, axis=2), np.nan)
    return lines_part / np.maximum(measured, 1), _mean(_mean(by_cell, 1), 1), _mean(_mean(by_line, 1), 1)


def _median(values: np.ndarray) -> float:
    return float(np.median(values)) if values.size else float("nan")


def _mean(values: np.ndarray, axis: int) -> np.ndarray:
    """Mean of what is there."""
    seen = np.isfinite(values)
    total = np.where(seen, values, 0.0).sum(axis=axis)
    return np.where(seen.any(axis=axis), total / np.maximum(seen.sum(axis=axis), 1), np.nan)


def _held_out(lines: Lines, sample: Cells, candidates: Sequence[Any], fit: Fit, fold: np.ndarray) -> list[np.ndarray]:
    """Scores of every line by the fit without its fold, for each candidate."""
    scores = [np.full(lines.y.shape, np.nan) for _ in candidates]
    for f in range(int(fold.max()) + 1):
        held = np.flatnonzero(fold == f)
        for score, predicted in zip(
            scores, fit(subset(lines, np.flatnonzero(fold != f)), sample, candidates, lines.x[held])
        ):
            score[held] = predicted.held
    return scores


def _line_parts(score: np.ndarray, y: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Each line's part of the mean over drugs of rho within folds (folds have fits of their own), by size of fold."""
    n, d = y.shape
    parts = np.full((n, d), np.nan)
    for drug in range(d):
        known = max(int(np.isfinite(y[:, drug]).sum()), 1)
        for f in range(int(fold.max()) + 1):
            rows = np.flatnonzero(fold == f)
            weight = np.isfinite(y[rows, drug]).sum() / known
            parts[rows, drug] = validation.rank_parts(score[rows, drug], y[rows, drug]) * weight
    measured = max(int(np.isfinite(parts).any(axis=0).sum()), 1)
    return np.where(np.isfinite(parts).any(axis=1), np.nansum(parts, axis=1), np.nan) / measured


def _risk(score: np.ndarray, y: np.ndarray, weights: np.ndarray) -> validation.Risk:
    loss = validation.line_losses(score, y)
    seen = np.isfinite(loss)
    return validation.weighted_risk(loss[seen], weights[seen])


def _circular(lines: Lines, sample: Cells, candidates: Sequence[Any], fit: Fit, random: Streams) -> np.ndarray:
    """Rho of the lines' response with what a fit from cells and their scores predicts for the lines.

    A sign that is turned in the cells turns back on the way home: this sees noise, not a wrong direction.
    """
    m = sample.rows.n_rows
    first = fit(lines, sample, candidates, lines.x[:1])
    back_to = Cells(pseudo_cells.Table(lines.x), scaled=True)
    found = np.full(len(candidates), np.nan)
    groups = random.generator("circular").integers(0, 5, m)
    for c, (candidate, predicted) in enumerate(zip(candidates, first)):
        score = validation.standardised(predicted.cells)
        source = Lines(
            sample.rows.take(np.arange(m)),
            score,
            lines.drugs,
            np.zeros_like(lines.binary),
            np.char.add("cell ", np.arange(m).astype(str)),
            lineage=np.char.add("group ", groups.astype(str)),
        )
        (back,) = fit(source, back_to, [candidate], lines.x[:1])
        rho = [np.nansum(validation.rank_parts(back.cells[:, d], lines.y[:, d])) for d in range(lines.y.shape[1])]
        found[c] = float(np.mean(rho))
    return found
