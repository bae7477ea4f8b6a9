"""Calibrated scores of a response, and three-way calls with a stated error (numpy).

**Score.** Predictions for lines whose lineage was left out are put on the scale of the response: a probability for
classes (Platt's two numbers), the expected response for numbers (a line through left-out predictions, which undoes
over-confidence). Both carry the share of sensitive lines along.

**Call.** Two one-sided conformal tests, one for each class :cite:p:`Vovk2005`. A cell is called resistant only if at
most a share `error` of sensitive pseudo-cells score as low, sensitive only if at most that share of resistant ones score
as high, and is uncertain otherwise. So of the cells that are truly sensitive at most `error` are called resistant in
expectation, and the other way round, *whatever the share of sensitive cells is*. It holds if cells of a class in the
target score like pseudo-cells of that class from left-out lines; each lineage is a pseudo-target by itself, with
few, half or most of its cells sensitive, so that what is lost by z-scoring the target (its mean) is part of the error. It cannot hold if genes and response are related
otherwise in the target.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from omicstl._core.random import Streams
from omicstl.models.selection import pseudo_cells, validation
from omicstl.models.selection.criteria import Fit, subset
from omicstl.models.transfer.screen import Cells, Lines

CALLS = ("sensitive", "resistant", "uncertain")
SENSITIVE, RESISTANT, UNCERTAIN = range(3)
_FEW = 10  # units of a class below which nothing is called
TILTS = (0.5, 0.875, 0.125)  # share of the cells of a pseudo-target that the more sensitive half of its lines gets
_MANY_DRUGS = 20
_MOST_CELLS = 1000  # that tell the platform
_STEPS = 100  # of Newton


class Calibration(NamedTuple):
    """From score to scale of the response: ``slope * score + intercept`` (logit for classes)."""

    binary: bool
    slope: float
    intercept: float
    prior: float  # share of sensitive lines for classes, mean response for numbers
    residual: float  # spread of the response around the calibrated score; for classes that of the score within them

    def __call__(self, score: np.ndarray) -> np.ndarray:
        """Probability of being sensitive, or expected response."""
        value = self.slope * np.asarray(score, dtype=np.float64) + self.intercept
        return 1.0 / (1.0 + np.exp(-np.clip(value, -500, 500))) if self.binary else value


class Conformal(NamedTuple):
    """Sorted scores of pseudo-cells of left-out lines by class, with the weight of each; what calls are made from."""

    cut: float  # response above which a line is sensitive
    sensitive: np.ndarray  # (2, k) scores and weights
    resistant: np.ndarray
    n_sensitive: int  # lines
    n_resistant: int


class Scored(NamedTuple):
    """Pseudo-cells of lines that a fit has not seen, each lineage as a target by itself."""

    score: np.ndarray  # (c, d)
    y: np.ndarray  # (c, d) response of the line
    line: np.ndarray  # (c,)
    kept: np.ndarray | None  # (c, ...) what was asked for of the pseudo-cells


def calibrate(score: np.ndarray, y: np.ndarray, *, binary: bool) -> Calibration:
    """Calibrate one drug on predictions for left-out lines."""
    ok = np.isfinite(score) & np.isfinite(y)
    s, t = np.asarray(score, dtype=np.float64)[ok], np.asarray(y, dtype=np.float64)[ok]
    if t.size < 3 or t.std() == 0 or s.std() < 1e-12:
        mean = float(t.mean()) if t.size else (0.5 if binary else 0.0)
        inner = (t.sum() + 1) / (t.size + 2)
        return Calibration(binary, 0.0, float(np.log(inner / (1 - inner))) if binary else mean, mean, 0.0)
    if not binary:
        slope = max(float(np.cov(s, t)[0, 1] / s.var(ddof=1)), 0.0)
        intercept = float(t.mean() - slope * s.mean())
        return Calibration(False, slope, intercept, float(t.mean()), float((t - slope * s - intercept).std()))
    positive = t > 0.5
    slope, intercept = platt(s, positive)
    within = float(np.sqrt(positive.mean() * s[positive].var() + (~positive).mean() * s[~positive].var()))
    return Calibration(True, slope, intercept, float(positive.mean()), within)


def platt(score: np.ndarray, positive: np.ndarray) -> tuple[float, float]:
    """Slope (>= 0) and intercept of a logistic line by Newton's method, with Platt's smoothed targets."""
    n = int(positive.sum())
    target = np.where(positive, (n + 1) / (n + 2), 1 / (positive.size - n + 2))
    centre, scale = score.mean(), score.std()
    x = np.column_stack([(score - centre) / scale, np.ones(score.size)])
    beta = np.array([0.0, np.log(target.mean() / (1 - target.mean()))])
    for _ in range(_STEPS):
        p = 1 / (1 + np.exp(-x @ beta))
        step = np.linalg.solve((x * (p * (1 - p))[:, None]).T @ x + 1e-9 * np.eye(2), x.T @ (target - p))
        beta += step * min(1.0, 3.0 / max(np.abs(step).max(), 1e-12))
        if np.abs(step).max() < 1e-10:
            break
    if beta[0] <= 0:
        return 0.0, float(np.log(target.mean() / (1 - target.mean())))
    return float(beta[0] / scale), float(beta[1] - beta[0] * centre / scale)


def pseudo_scores(
    lines: Lines,
    cells: Cells,
    candidate: Any,
    fit: Fit,
    random: Streams,
    *,
    n_targets: int = 10,
    n_per_line: int = 4,
    keep: Callable[[np.ndarray], np.ndarray] | None = None,
) -> Scored:
    """Score pseudo-cells of each lineage by a fit without it, each target z-scored by itself.

    With more lineages than `n_targets` the largest ones are the targets; without lineages random groups of lines are, and
    where most lineages have one line groups of lineages.
    Z-scoring a target takes its mean away, which does harm where most cells are sensitive, or few. So each lineage is a
    target three times, with other shares (`TILTS`) of cells from the more sensitive half of its lines: three fits a
    lineage, which are given the same `lines` object so that what depends on lines alone can be kept. With more
    than 20 drugs it is one of the three each, in turn.
    `keep` is given the pseudo-cells (c, p) of each target and says what of them is returned.
    Scores are not smoothed; those that calls are made for should have as much noise, or less.
    """
    m = cells.rows.n_rows
    index = np.sort(random.generator("calls").choice(m, min(m, _MOST_CELLS), replace=False))
    totals = None if cells.totals is None else cells.totals[index]
    seen = pseudo_cells.platform(np.asarray(cells.rows.take(index)), scaled=cells.scaled, totals=totals)
    whole = pseudo_cells.background_of(lines.x)
    n = len(lines.x)
    n_folds = min(n_targets, n // 2)  # a target has two lines or more
    if lines.lineage is None or not validation.separable(lines.lineage):
        group = validation.lineage_folds(None, n, n_folds, random.generator("targets"))
    else:
        group = np.unique(lines.lineage, return_inverse=True)[1]
        if 2 * np.isin(group, np.flatnonzero(np.bincount(group) > 1)).sum() < n:  # a lineage for nearly each line
            group = validation.lineage_folds(lines.lineage, n, n_folds, random.generator("targets"))
    sizes = np.bincount(group)
    targets = np.argsort(-sizes, kind="stable")[:n_targets]
    sensitivity = _general(lines.y)
    in_turn = lines.y.shape[1] > _MANY_DRUGS
    found: list[tuple[np.ndarray, ...]] = []
    for i in targets[sizes[targets] >= 2]:
        held = np.flatnonzero(group == i)
        train = subset(lines, np.flatnonzero(group != i))
        for tilt in TILTS[len(found) % len(TILTS) :][:1] if in_turn else TILTS:
            generator = random.generator("calls", int(i), int(1000 * tilt))
            size = _composition(sensitivity[held], n_per_line, tilt)
            drawn = pseudo_cells.draw(lines.x[held], seen, generator, size, whole)
            target = Cells(pseudo_cells.Table(drawn.x), cells.scaled)
            (predicted,) = fit(train, target, [candidate], lines.x[held])
            kept = np.zeros((drawn.line.size, 0)) if keep is None else keep(drawn.x)
            found.append((predicted.cells, lines.y[held][drawn.line], held[drawn.line], kept))
    score, y, line, kept = (np.concatenate(part) for part in zip(*found))
    return Scored(score, y, line, None if keep is None else kept)


def _general(y: np.ndarray) -> np.ndarray:
    """Mean over drugs of a line's rank among lines (n,)."""
    from scipy.stats import rankdata

    ranks = np.full(y.shape, np.nan)
    for d in range(y.shape[1]):
        ok = np.isfinite(y[:, d])
        ranks[ok, d] = rankdata(y[ok, d]) / max(int(ok.sum()), 1)
    seen = np.isfinite(ranks)
    return np.where(seen, ranks, 0.0).sum(axis=1) / np.maximum(seen.sum(axis=1), 1)


def _composition(sensitivity: np.ndarray, n_per_line: int, tilt: float) -> np.ndarray:
    """Cells of each line, so that the more sensitive half of the lines has the share `tilt` of the target's cells."""
    order = np.argsort(np.argsort(sensitivity, kind="stable"))
    upper = order >= sensitivity.size // 2
    return np.maximum(np.rint(np.where(upper, 2 * tilt, 2 * (1 - tilt)) * n_per_line), 1).astype(int)


def conformal(
    score: np.ndarray,
    y: np.ndarray,
    line: np.ndarray,
    *,
    binary: bool,
) -> Conformal:
    """Tables for calls of one drug from pseudo-cells (or lines) that no fit has seen.

    Numbers are cut at the median of the lines' response. Every line weighs the same however many pseudo-cells it has.
    """
    ok = np.isfinite(score) & np.isfinite(y)
    score, y, line = score[ok], y[ok], line[ok]
    first = np.unique(line, return_index=True)[1]
    cut = 0.5 if binary else float(np.quantile(y[first], 0.5)) if y.size else 0.0
    _, code, count = np.unique(line, return_inverse=True, return_counts=True)
    weight = 1 / count[code]

    def table(rows: np.ndarray) -> np.ndarray:
        order = np.argsort(score[rows], kind="stable")
        return np.stack([score[rows][order], weight[rows][order]])

    above = y > cut
    return Conformal(cut, table(above), table(~above), np.unique(line[above]).size, np.unique(line[~above]).size)


def p_values(score: np.ndarray, tables: Conformal) -> tuple[np.ndarray, np.ndarray]:
    """For each cell how plausible it is that it is sensitive, and that it is resistant (conformal p-values)."""

    def below(values: np.ndarray, table: np.ndarray, n: int) -> np.ndarray:
        total = np.concatenate([[0.0], np.cumsum(table[1])])
        own = total[-1] / max(n, 1)  # the cell itself weighs like a line
        return (total[np.searchsorted(table[0], values, side="right")] + own) / max(total[-1] + own, 1e-300)

    turned = np.stack([-tables.resistant[0][::-1], tables.resistant[1][::-1]])
    score = np.asarray(score, dtype=np.float64)
    return below(score, tables.sensitive, tables.n_sensitive), below(-score, turned, tables.n_resistant)


def calls(score: np.ndarray, tables: Conformal, *, error: float) -> np.ndarray:
    """Codes of `CALLS` (m,) int8 for uncalibrated scores, made as those in `tables` were.

    `error` is the largest share of the cells of a class that get the call of the other one.
    """
    codes = np.full(np.shape(score), UNCERTAIN, dtype=np.int8)
    if min(tables.n_sensitive, tables.n_resistant) < _FEW:
        return codes
    may_sensitive, may_resistant = p_values(score, tables)
    codes[(may_resistant <= error) & (may_sensitive > error)] = SENSITIVE
    codes[(may_sensitive <= error) & (may_resistant > error)] = RESISTANT
    return codes
