"""Calibrated scores of a response, and three-way calls with a stated error (numpy).

**Score.** Predictions for lines whose lineage was left out are put on the scale of the response: a probability for
classes (Platt's two numbers, or isotonic steps where lines are many), the expected response for numbers (a line through
left-out predictions, which undoes over-confidence). Both carry the share of sensitive lines along. Where that share is
another in the target, `shift_prior` corrects a probability, if the share there is known.

**Call.** Two one-sided conformal tests, one for each class :cite:p:`Vovk2005`. A cell is called resistant only if at
most a share `error` of sensitive pseudo-cells score as low, sensitive only if at most that share of resistant ones score
as high, and is uncertain otherwise. So of the cells that are truly sensitive at most `error` are called resistant in
expectation, and the other way round, *whatever the share of sensitive cells is*. It holds if cells of a class in the
target score like pseudo-cells of that class from left-out lines; each lineage is a pseudo-target by itself, with
few, half or most of its cells sensitive, so that what is lost by z-scoring the target (its mean) is part of the error. It cannot hold if genes and response are related
otherwise in the target.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from omicstl._core.random import Streams
from omicstl.models import pseudo_cells, validation
from omicstl.models.screen import Cells, Lines
from omicstl.models.selection import Fit, subset

CALLS = ("sensitive", "resistant", "uncertain")
SENSITIVE, RESISTANT, UNCERTAIN = range(3)
_FEW = 10  # units of a class below which nothing is called
TILTS = (0.5, 0.875, 0.125)  # share of the cells of a pseudo-target that the more sensitive half of its lines gets
_MANY_DRUGS = 20
_MANY = 200  # lines of each class from which isotonic steps are taken


class Calibration(NamedTuple):
    """From score to scale of the response: ``slope * score + intercept`` (logit for classes), or steps between knots."""

    binary: bool
    slope: float
    intercept: float
    prior: float  # share of sensitive lines for classes, mean response for numbers
    residual: float  # spread of the response around the calibrated score; for classes that of the score within them
    knots: np.ndarray  # (2, k) scores and probabilities; empty where the slope is used

    def __call__(self, score: np.ndarray) -> np.ndarray:
        """Probability of being sensitive, or expected response."""
        if self.knots.size:
            return np.interp(score, self.knots[0], self.knots[1])
        value = self.slope * np.asarray(score, dtype=np.float64) + self.intercept
        return 1.0 / (1.0 + np.exp(-np.clip(value, -500, 500))) if self.binary else value

    def to_dict(self) -> dict[str, Any]:
        """Stored form."""
        return self._asdict()


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
    x: np.ndarray | None  # (c, p) the pseudo-cells, where they were asked for


class Errors(NamedTuple):
    """Share of wrong calls among cells of each class with an interval over units, and the share that got a call."""

    sensitive: tuple[float, float, float]  # of sensitive cells, called resistant: share, low, high
    resistant: tuple[float, float, float]
    called: float


def calibrate(score: np.ndarray, y: np.ndarray, *, binary: bool, method: str = "auto") -> Calibration:
    """Calibrate one drug on predictions for left-out lines. `method` for classes: "platt", "isotonic", "auto"."""
    ok = np.isfinite(score) & np.isfinite(y)
    s, t = np.asarray(score, dtype=np.float64)[ok], np.asarray(y, dtype=np.float64)[ok]
    empty = np.zeros((2, 0))
    if t.size < 3 or t.std() == 0 or s.std() < 1e-12:
        mean = float(t.mean()) if t.size else (0.5 if binary else 0.0)
        inner = (t.sum() + 1) / (t.size + 2)
        return Calibration(binary, 0.0, float(np.log(inner / (1 - inner))) if binary else mean, mean, 0.0, empty)
    if not binary:
        slope = max(float(np.cov(s, t)[0, 1] / s.var(ddof=1)), 0.0)
        intercept = float(t.mean() - slope * s.mean())
        return Calibration(False, slope, intercept, float(t.mean()), float((t - slope * s - intercept).std()), empty)
    positive = t > 0.5
    slope, intercept = platt(s, positive)
    within = float(np.sqrt(positive.mean() * s[positive].var() + (~positive).mean() * s[~positive].var()))
    knots = empty
    if method == "isotonic" or (method == "auto" and min(positive.sum(), (~positive).sum()) >= _MANY):
        knots = _isotonic(s, positive)
    return Calibration(True, slope, intercept, float(positive.mean()), within, knots)


def platt(score: np.ndarray, positive: np.ndarray, max_iter: int = 100) -> tuple[float, float]:
    """Slope (>= 0) and intercept of a logistic line by Newton's method, with Platt's smoothed targets."""
    n = int(positive.sum())
    target = np.where(positive, (n + 1) / (n + 2), 1 / (positive.size - n + 2))
    centre, scale = score.mean(), score.std()
    x = np.column_stack([(score - centre) / scale, np.ones(score.size)])
    beta = np.array([0.0, np.log(target.mean() / (1 - target.mean()))])
    for _ in range(max_iter):
        p = 1 / (1 + np.exp(-x @ beta))
        step = np.linalg.solve((x * (p * (1 - p))[:, None]).T @ x + 1e-9 * np.eye(2), x.T @ (target - p))
        beta += step * min(1.0, 3.0 / max(np.abs(step).max(), 1e-12))
        if np.abs(step).max() < 1e-10:
            break
    if beta[0] <= 0:
        return 0.0, float(np.log(target.mean() / (1 - target.mean())))
    return float(beta[0] / scale), float(beta[1] - beta[0] * centre / scale)


def _isotonic(score: np.ndarray, positive: np.ndarray) -> np.ndarray:
    from sklearn.isotonic import IsotonicRegression

    model = IsotonicRegression(out_of_bounds="clip", y_min=1 / positive.size, y_max=1 - 1 / positive.size)
    model.fit(score, positive.astype(np.float64))
    return np.stack([model.X_thresholds_, model.y_thresholds_])


def shift_prior(probability: np.ndarray, prior: float, target: float) -> np.ndarray:
    """Probabilities for another share of sensitive cells, if cells of a class look the same (label shift)."""
    odds = probability / np.maximum(1 - probability, 1e-12)
    odds = odds * (target / (1 - target)) / (prior / (1 - prior))
    return odds / (1 + odds)


def pseudo_scores(
    lines: Lines,
    cells: Cells,
    candidate: Any,
    fit: Fit,
    random: Streams,
    *,
    n_targets: int = 10,
    n_per_line: int = 4,
    max_cells: int = 1000,
    in_turn: bool | None = None,
    keep: bool = False,
) -> Scored:
    """Score pseudo-cells of each lineage by a fit without it, each target z-scored by itself.

    With more lineages than `n_targets` the largest ones are the targets; without lineages random groups of lines are, and
    where most lineages have one line groups of lineages.
    Z-scoring a target takes its mean away, which does harm where most cells are sensitive, or few. So each lineage is a
    target three times, with other shares (`TILTS`) of cells from the more sensitive half of its lines: three fits a
    lineage, which are given the same `lines` object so that what depends on lines alone can be kept. `in_turn`: one of the
    three each, in turn, with a third of the fits; `None`: so with more than 20 drugs.
    Scores are not smoothed; those that calls are made for should have as much noise, or less.
    """
    m = cells.rows.n_rows
    index = np.sort(random.generator("calls").choice(m, min(m, max_cells), replace=False))
    totals = None if cells.totals is None else cells.totals[index]
    seen = pseudo_cells.platform(np.asarray(cells.rows.take(index)), scaled=cells.scaled, totals=totals)
    n = len(lines.x)
    if lines.lineage is None or not validation.separable(lines.lineage):
        group = validation.lineage_folds(None, n, n_targets, random.generator("targets"))
    else:
        group = np.unique(lines.lineage, return_inverse=True)[1]
        if 2 * np.isin(group, np.flatnonzero(np.bincount(group) > 1)).sum() < n:  # a lineage for nearly each line
            group = validation.lineage_folds(lines.lineage, n, n_targets, random.generator("targets"))
    sizes = np.bincount(group)
    targets = np.argsort(-sizes, kind="stable")[:n_targets]
    sensitivity = _general(lines.y)
    if in_turn is None:
        in_turn = lines.y.shape[1] > _MANY_DRUGS
    found: list[tuple[np.ndarray, ...]] = []
    for i in targets[sizes[targets] >= 2]:
        held = np.flatnonzero(group == i)
        train = subset(lines, np.flatnonzero(group != i))
        for tilt in TILTS[len(found) % len(TILTS) :][:1] if in_turn else TILTS:
            generator = random.generator("calls", int(i), int(1000 * tilt))
            size = _composition(sensitivity[held], n_per_line, tilt)
            drawn = pseudo_cells.draw(lines.x[held], seen, generator, size, background=lines.x)
            target = Cells(pseudo_cells.Table(drawn.x), cells.scaled)
            (predicted,) = fit(train, target, [candidate], lines.x[held])
            found.append((predicted.cells, lines.y[held][drawn.line], held[drawn.line], drawn.x))
    score, y, line, x = (np.concatenate(part) for part in zip(*found))
    return Scored(score, y, line, x if keep else None)


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
    quantile: float = 0.5,
    weights: np.ndarray | None = None,
) -> Conformal:
    """Tables for calls of one drug from pseudo-cells (or lines) that no fit has seen.

    Numbers are cut at a quantile of the lines' response: "sensitive" is more sensitive than that share of the lines.
    Every line weighs the same however many pseudo-cells it has, times its importance in `weights` (one a pseudo-cell).
    """
    ok = np.isfinite(score) & np.isfinite(y)
    score, y, line = score[ok], y[ok], line[ok]
    first = np.unique(line, return_index=True)[1]
    cut = 0.5 if binary else float(np.quantile(y[first], quantile)) if y.size else 0.0
    _, code, count = np.unique(line, return_inverse=True, return_counts=True)
    weight = (np.ones(score.size) if weights is None else np.asarray(weights)[ok]) / count[code]

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


def calls(
    score: np.ndarray,
    tables: Conformal,
    *,
    error: float = 0.1,
    novelty: np.ndarray | None = None,
    max_novelty: float = 0.99,
    std: np.ndarray | None = None,
    max_std: float = np.inf,
    mask: np.ndarray | None = None,
) -> np.ndarray:
    """Codes of `CALLS` (m,) int8 for uncalibrated scores, made as those in `tables` were.

    Parameters
    ----------
    error
        Largest share of the cells of a class that get the call of the other one.
    novelty
        Of each cell, see `nearest_lines.novelty`; above `max_novelty` it is uncertain.
    std
        Over members; above `max_std` (such as `Calibration.residual` on the scale of the score) a cell is uncertain.
    mask
        Cells to which the source applies; all others are uncertain.
    """
    codes = np.full(np.shape(score), UNCERTAIN, dtype=np.int8)
    if min(tables.n_sensitive, tables.n_resistant) < _FEW:
        return codes
    may_sensitive, may_resistant = p_values(score, tables)
    codes[(may_resistant <= error) & (may_sensitive > error)] = SENSITIVE
    codes[(may_sensitive <= error) & (may_resistant > error)] = RESISTANT
    if novelty is not None:
        codes[novelty > max_novelty] = UNCERTAIN
    if std is not None:
        codes[std > max_std] = UNCERTAIN
    if mask is not None:
        codes[~mask] = UNCERTAIN
    return codes


def realised_errors(codes: np.ndarray, sensitive: np.ndarray, unit: np.ndarray | None = None) -> Errors:
    """Errors of calls where the truth is known. Intervals are over units (lines, draws), not over cells."""

    def share(of: np.ndarray, wrong: np.ndarray) -> tuple[float, float, float]:
        if not of.any():
            return float("nan"), float("nan"), float("nan")
        own = np.arange(codes.size)[of] if unit is None else np.asarray(unit)[of]
        code = np.unique(own, return_inverse=True)[1]
        hit = np.bincount(code, weights=wrong[of].astype(np.float64)) / np.bincount(code)
        return _mean_interval(hit)

    return Errors(
        share(sensitive, codes == RESISTANT), share(~sensitive, codes == SENSITIVE), float((codes != UNCERTAIN).mean())
    )


def _mean_interval(values: np.ndarray, confidence: float = 0.95) -> tuple[float, float, float]:
    """Mean with an interval: Wilson's with as many effective units as the variance between them tells of."""
    from scipy.stats import norm

    n, mean = float(values.size), float(values.mean())
    if n == 1:
        return mean, 0.0, 1.0
    spread = float(values.var(ddof=1))
    if 0 < mean < 1 and spread > 0:
        n = max(mean * (1 - mean) / spread, 1.0) * n
    z = float(norm.ppf(0.5 + confidence / 2))
    middle = (mean + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(mean * (1 - mean) / n + z * z / (4 * n * n))
    return mean, max(middle - half, 0.0), min(middle + half, 1.0)
