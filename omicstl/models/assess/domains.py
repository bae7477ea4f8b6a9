"""How lines and cells differ: which kind of shift, distances with their nulls, shares of sensitive cells, terms of the bound (numpy).

Diagnostics: none of them decides the word. A platform alone sets lines and cells apart, and a transfer may be right all the same.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from omicstl._core.random import Streams
from omicstl.kernels import domain_distance, mmd
from omicstl.kernels.permutation import permutation_p
from omicstl.models.shift import bound, kinds, label_shift
from omicstl.models.shift.space import learn
from omicstl.models.transfer.screen import Lines

from .class_shares import scaled as standard, sensitive_of
from .source import Source
from .space import Space

MOST_ROWS, FEW_ROWS, FEWEST = {"fast": 500, "full": 2000}, 50, 20
PERMUTATIONS = {"fast": 100, "full": 500}
RESAMPLES = {"fast": 20, "full": 200}
SCALED, PLAIN = "each side z-scored", "as they come"
POOR = 20.0  # condition of the confusion matrix


class Measure(NamedTuple):
    """One number; NaN where it is not checked, and `note` says why."""

    name: str
    of: str
    value: float
    null: float
    """Mean where there is no difference; NaN without such a null."""
    p: float
    note: str


def measures(
    lines: Lines,
    space: Space,
    raw: np.ndarray,
    scaled: bool,
    random: Streams,
    *,
    level: str = "fast",
    source: Source | None = None,
    binary: bool = False,
) -> list[Measure]:
    """
    Compare both sides along the leading components of both together, as they come and each side z-scored by itself.

    With the `source` of one drug the kind of shift, the share of sensitive cells and the bound are asked too. Cost: two decompositions of
    at most 1,000 rows ("fast", about a CPU second) or 4,000 ("full").
    """
    generator, most = random.generator("rows of the domains"), MOST_ROWS[level]
    rows = np.arange(len(space.lines)) if source is None else source.rows
    # As many of both: components fit the noise of the side that has fewer rows, which would set the two apart.
    each = max(min(rows.size, len(space.cells), most), FEW_ROWS)
    mine, cells = _some(rows.size, each, generator), _some(len(space.cells), each, generator)
    found: list[Measure] = []
    ways = {SCALED: _coordinates(space.lines[rows[mine]], space.cells[cells])}
    if scaled:
        found.append(
            Measure("proxy A-distance", PLAIN, np.nan, np.nan, np.nan, "not checked: the cells come as z-scores")
        )
    else:
        plain = (np.asarray(part)[:, space.kept] for part in (np.asarray(lines.x)[rows[mine]], raw[cells]))
        ways = {PLAIN: _coordinates(*plain), **ways}
    for way, (x, other) in ways.items():
        found += _distances(x, other, way, random, PERMUTATIONS[level])
    if source is None:
        why = "not checked for several drugs at once: assess one"
        names = ("kind of shift", "share of sensitive cells", "bound")
        return found + [Measure(name, "", np.nan, np.nan, np.nan, why) for name in names]
    positive = sensitive_of(source.y, binary)
    if scaled:
        why = "not checked: z-scores have lost the means, which the tests look at"
        found.append(Measure("kind of shift", PLAIN, np.nan, np.nan, np.nan, why))
    else:
        label = positive.astype(float) if binary else source.y
        found += _kinds(ways[PLAIN][0], label[mine], ways[PLAIN][1], binary, random)
    score = space.cell_coords @ source.fit.coefficients(source.y, source.penalty)
    found += _shares(standard(source.out_of_fold), standard(score), positive, random, RESAMPLES[level])
    return found + _bound(*ways[SCALED], positive[mine], random)


def _some(n: int, most: int, generator: np.random.Generator) -> np.ndarray:
    return np.arange(n) if n <= most else np.sort(generator.choice(n, most, replace=False))


def _coordinates(x: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Components of both together above the noise, 2 to 20, each with variance 1."""
    learnt = learn(x, other)
    return learnt.transform(x), learnt.transform(other)


def _distances(x: np.ndarray, other: np.ndarray, way: str, random: Streams, n: int) -> list[Measure]:
    generator = random.generator(f"domains {way}")
    both = domain_distance.with_squares(np.concatenate([x, other]))
    told = domain_distance.tell_apart(
        both[: len(x)], both[len(x) :], generator=generator, n_repeats=2, n_permutations=n
    )
    value, null = 2 * (1 - 2 * told.error), 2 * (1 - 2 * told.null_error)
    said = f"0 to 2; a classifier of means and spreads errs in {100 * told.error:.0f} % of rows left out"
    found = [Measure("proxy A-distance", way, float(value), float(null.mean()), permutation_p(value, null), said)]
    widths = mmd.bandwidths(x, other, generator=generator)
    kernel = mmd.mmd2(x, other, widths, n_permutations=n, generator=generator)
    said = "squared, unbiased, Gaussian kernels of five widths"
    return [*found, Measure("MMD", way, float(kernel.value), float(kernel.null.mean()), float(kernel.p), said)]


def _kinds(x: np.ndarray, y: np.ndarray, other: np.ndarray, binary: bool, random: Streams) -> list[Measure]:
    """Kind of shift in words, and the tests behind it; those that need labels of the cells say so."""
    name = "kind of shift"
    if len(y) < FEWEST or np.ptp(y) == 0:
        return [Measure(name, PLAIN, np.nan, np.nan, np.nan, f"not checked: {len(y)} lines with a response")]
    named = kinds.name_shift(x, y, other, np.full(len(other), np.nan), n_classes=2 if binary else 0, random=random)
    found = [Measure(name, PLAIN, np.nan, np.nan, np.nan, f"{named.kind}. {named.sentence}")]
    for check in named.checks:
        note = check.note if np.isfinite(check.p) else "not checked: it needs labels of the cells"
        found.append(Measure(f"same {check.name}", PLAIN, float(check.statistic), np.nan, float(check.p), note))
    return found


def _shares(
    score: np.ndarray, other: np.ndarray, positive: np.ndarray, random: Streams, n_resamples: int
) -> list[Measure]:
    """Share of sensitive cells by EM and by the black-box equations, from one score: with intervals, and the condition of the latter."""
    name = "share of sensitive cells"
    n = int(min(positive.sum(), (~positive).sum()))
    if n < 5:
        why = f"not checked: {n} lines are of a class"
        return [Measure(f"{name}, {how}", SCALED, np.nan, np.nan, np.nan, why) for how in ("EM", "BBSE")]
    found = []
    for method, how in (("em", "EM"), ("bbse", "BBSE")):
        one = label_shift.estimate(
            score[:, None], positive.astype(float), other[:, None], n_classes=2, method=method, n_resamples=n_resamples,
            confidence=0.95, random=random,
        )  # fmt: skip
        said = f"{one.low[1]:.2f} to {one.high[1]:.2f}; {one.source[1]:.2f} of the lines; condition {one.condition:.1f}"
        said += ", too poor to be relied on" if one.condition > POOR else "; rough, as both sides are centred"
        found.append(Measure(f"{name}, {how}", SCALED, float(one.target[1]), float(one.source[1]), np.nan, said))
    return found


def _bound(x: np.ndarray, other: np.ndarray, positive: np.ndarray, random: Streams) -> list[Measure]:
    """Source error, divergence, joint error: the last needs labels of the cells."""
    names = ("bound: error in the lines", "bound: divergence", "bound: joint error")
    if min(positive.sum(), (~positive).sum()) < 5 or len(positive) < FEWEST:
        return [
            Measure(name, SCALED, np.nan, np.nan, np.nan, "not checked: too few lines of a class") for name in names
        ]
    both = domain_distance.with_squares(np.concatenate([x, other]))
    x, other = both[: len(x)], both[len(x) :]
    found = bound.terms(x, positive.astype(float), other, np.full(len(other), np.nan), n_classes=2, random=random)
    guess = float(min(positive.mean(), 1 - positive.mean()))
    notes = (
        f"held out; a guess is wrong in {guess:.2f}",
        "half the proxy A-distance; a diagnostic, no certificate",
        "not checked: it needs labels of the cells",
    )
    values = (found.source_error, found.divergence, found.joint_error)
    return [
        Measure(name, SCALED, float(v), np.nan, np.nan, note)
        for name, v, note in zip(names, values, notes, strict=True)
    ]
