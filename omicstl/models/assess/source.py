"""What the lines say of a drug by themselves: is there a signal, is it more than tissue, is it the same in every study (numpy)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from omicstl._core.random import Streams
from omicstl.kernels.permutation import permutation_p
from omicstl.models.transfer.scores import correlation, rank_correlation, ranks
from omicstl.models.transfer.screen import Lines

from .decide import Check, above, unchecked
from .space import (
    STUDY_LINES,
    Ridge,
    Space,
    centre_within,
    choose_penalty,
    codes,
    members,
    ridge,
    studies_of,
)

FEWEST_LINES, FEW_LINES = 30, 60
FEWEST_GENES, FEW_GENES = 100, 2000
WEAK = 0.2  # rank correlation within lineages below which a signal is called weak
TAIL = 2.6  # standard deviations of a null: about 1 in 200
FEWEST_DRUGS = 5
BOOTSTRAPS = 200


class Null(NamedTuple):
    """Values of a statistic where there is nothing to find."""

    check: str
    value: float
    mean: float
    sd: float
    upper: float
    """95 % of the null lie below."""
    p: float
    n: int


class Source(NamedTuple):
    """The lines that one drug was measured in, and a ridge on them."""

    rows: np.ndarray
    y: np.ndarray
    """Centred within studies."""
    fit: Ridge
    groups: np.ndarray
    by_lineage: bool
    study: np.ndarray | None
    penalty: float
    out_of_fold: np.ndarray
    """Predictions with the whole lineage left out (random tenths where lineages are not known)."""
    binary: bool
    """The response has two classes."""


def null_of(check: str, value: float, draws: np.ndarray) -> Null:
    """Summarise permutations; p counts the value itself."""
    draws = draws[np.isfinite(draws)]
    if not draws.size:
        return Null(check, value, np.nan, np.nan, np.nan, np.nan, 0)
    p = permutation_p(value, draws)
    return Null(
        check, value, float(draws.mean()), float(draws.std()), float(np.quantile(draws, 0.95)), p, int(draws.size)
    )


def source_of(lines: Lines, space: Space, drug: int, random: Streams) -> Source:
    """Fit a ridge to the lines with a value of this drug, its penalty from whole lineages left out."""
    rows = np.flatnonzero(np.isfinite(lines.y[:, drug]))
    study = studies_of(None if lines.study is None else np.asarray(lines.study)[rows])
    y = lines.y[rows, drug]
    y = y - y.mean() if study is None else centre_within(y, study)
    lineage = None if lines.lineage is None else np.asarray(lines.lineage)[rows]
    groups, by_lineage = codes(lineage, rows.size, random.generator("folds"))
    fit = ridge(space.coords[rows])
    penalty = choose_penalty(fit, y, groups)
    out = fit.left_out(y[:, None], groups, penalty)[:, 0]
    return Source(rows, y, fit, groups, by_lineage, study, penalty, out, bool(lines.binary[drug]))


def amounts(source: Source, lines: Lines, space: Space, genes: bool = True) -> list[Check]:
    """Numbers of lines and of shared genes."""
    n, p, varying = source.rows.size, lines.x.shape[1], int(space.kept.sum())
    few = n < FEW_LINES
    said = f"{n} lines have a value of this drug" + (
        f", too few to learn from: at least {FEWEST_LINES} are needed." if n < FEWEST_LINES else
        f", which is few: from {FEW_LINES} on a fit is steadier." if few else "."
    )  # fmt: skip
    first = Check("number of lines", above(n, fail=FEWEST_LINES, doubt=FEW_LINES), n, FEWEST_LINES, said)
    if not genes:
        return [first, unchecked("shared genes", "Shared genes not checked: the columns are no genes.")]
    few = p < FEW_GENES
    said = f"Lines and cells share {p:,} genes"
    said = f"Few shared genes: {p:,}, fewer than {FEW_GENES:,}; what the others say is lost." if few else f"{said}."
    said += f" {p - varying:,} of them do not vary." if varying < p else ""
    enough = varying if varying < FEWEST_GENES else p
    return [first, Check("shared genes", above(enough, fail=FEWEST_GENES, doubt=FEW_GENES), p, FEW_GENES, said)]


def signal(source: Source, generator: np.random.Generator, n_permutations: int) -> tuple[list[Check], list[Null]]:
    """Ask whether response is predicted in lineages that the fit has not seen, over all lines and within each lineage."""
    y, groups = source.y, source.groups
    shuffled = np.column_stack([y[generator.permutation(y.size)] for _ in range(n_permutations)])
    total, total_null = _against(source, shuffled, None, "signal in the source")
    way = "lineages that the fit has not seen" if source.by_lineage else "random tenths of the lines"
    limit = total_null.mean + TAIL * total_null.sd
    checks = [_signal_check(total, limit, total_null, way, decisive=not source.by_lineage)]
    if not source.by_lineage:
        said = "Within lineages not checked: the lineage of the lines is not known, so tissue cannot be told from drug."
        return [*checks, unchecked("signal within lineages", said)], [total_null]
    within = np.empty_like(shuffled)
    for rows in members(groups):
        within[rows] = y[rows][generator.permuted(np.tile(np.arange(rows.size)[:, None], n_permutations), axis=0)]
    value, null = _against(source, within, groups, "signal within lineages")
    limit = null.mean + TAIL * null.sd
    tissue = float(1 - centre_within(y, groups).var() / max(y.var(), 1e-12))
    if not value >= limit:
        lineage = tissue > _tissue_limit(groups)
        start = "Lineage, not drug: lineages differ in response, but" if lineage else "No signal in the source:"
        said = f"{start} within a lineage expression does not predict the response (rho {value:.2f}, chance up to {limit:.2f})."
    else:
        said = f"Within lineages left out of the fit, expression predicts the response with rho {value:.2f} (chance up to {limit:.2f})."
        said = f"Weak signal. {said}" if value < WEAK else said
    status = above(value, fail=limit, doubt=WEAK)
    return [*checks, Check("signal within lineages", status, value, limit, said, null.mean)], [total_null, null]


def _against(source: Source, shuffled: np.ndarray, groups: np.ndarray | None, name: str) -> tuple[float, Null]:
    """Rank correlation of what was left out with the response, observed and with permuted responses."""
    y = np.column_stack([source.y, shuffled])
    predicted = np.column_stack([source.out_of_fold, source.fit.left_out(shuffled, source.groups, source.penalty)])
    if groups is None:
        found = rank_correlation(predicted, y)
    else:
        some = np.bincount(groups)[groups] >= 3
        parts = [centre_within(values, groups)[some] for values in (predicted, y)]
        found = rank_correlation(*parts) if some.any() else np.full(y.shape[1], np.nan)
    return float(found[0]), null_of(name, float(found[0]), found[1:])


def _signal_check(value: float, limit: float, null: Null, way: str, *, decisive: bool) -> Check:
    there = value >= limit
    said = f"In {way}, expression predicts the response with rho {value:.2f} (chance up to {limit:.2f})."
    if not there:
        said = f"No signal in the source over {way}: rho {value:.2f}, which chance reaches (up to {limit:.2f})."
    status = above(value, fail=limit if decisive else -np.inf, doubt=max(limit, WEAK) if decisive else limit)
    return Check("signal in the source", status, value, limit, said, null.mean)


def _tissue_limit(groups: np.ndarray) -> float:
    """Share of variance between so many groups that chance reaches in about 1 of 100 draws."""
    from scipy.stats import f

    k, n = np.unique(groups).size, groups.size
    quantile = f.isf(0.01, k - 1, max(n - k, 1))
    return float(quantile * (k - 1) / (quantile * (k - 1) + max(n - k, 1)))


def lineage_mean(source: Source, generator: np.random.Generator) -> tuple[float, float]:
    """Rank correlation of random tenths left out: of the ridge, and of the mean response of the lineage."""
    folds = generator.permutation(np.arange(source.y.size) % min(10, source.y.size))
    model = source.fit.left_out(source.y[:, None], folds, source.penalty)[:, 0]
    mean = np.empty_like(source.y)
    for rows in members(folds):
        rest = np.setdiff1d(np.arange(source.y.size), rows)
        n = np.bincount(source.groups[rest], minlength=source.groups.max() + 1)
        total = np.bincount(source.groups[rest], source.y[rest], minlength=n.size)
        mean[rows] = (total / (n + 1))[source.groups[rows]]
    return float(rank_correlation(model, source.y)), float(rank_correlation(mean, source.y))


def beats_lineage(model: float, mean: float) -> Check:
    """Ask whether expression knows more than the tissue."""
    said = f"In lines left out at random expression reaches rho {model:.2f}, the mean of the lineage {mean:.2f}."
    status = above(model, doubt=mean)
    said = f"Lineage, not drug: no better than the lineage's mean. {said}" if status == "caution" else said
    return Check("beats the lineage mean", status, model, mean, said)


def studies(source: Source, generator: np.random.Generator, n_permutations: int) -> tuple[Check, list[Null]]:
    """Ask whether what one study teaches holds in the others."""
    name = "sources agree"
    if source.study is None:
        return unchecked(
            name, "Agreement of studies not checked: all lines are of one study, or the study is not known."
        ), []
    large = [rows for rows in members(source.study) if rows.size >= STUDY_LINES]
    if len(large) < 2:
        return unchecked(
            name, f"Agreement of studies not checked: fewer than two have {STUDY_LINES} lines or more."
        ), []
    shuffled = np.column_stack([source.y[generator.permutation(source.y.size)] for _ in range(n_permutations)])
    y = np.column_stack([source.y, shuffled])
    across = source.fit.left_out(y, source.study, source.penalty)
    crossed = np.array([rank_correlation(across[rows], y[rows]) for rows in large])
    size = np.array([rows.size for rows in large])
    found = size @ crossed / size.sum()
    own = np.array([_own(source, rows) for rows in large])
    null = null_of(name, float(found[0]), found[1:])
    limit = null.mean + 2 * null.sd
    mean_own = float(size @ own / size.sum())
    worst = float((crossed[:, 0] * np.sqrt(size - 1)).min())
    said = f"Learnt in the other studies, the response is predicted with rho {found[0]:.2f}; within a study with {mean_own:.2f}."
    if found[0] < limit and mean_own < limit and worst > -3:
        return unchecked(name, f"Agreement of studies not checked: no study predicts its own lines. {said}"), [null]
    if found[0] < limit or worst < -3:
        status, said = "failed", f"Sources disagree: what one study teaches does not hold in another. {said}"
    elif found[0] < 0.5 * mean_own:
        status, said = "caution", f"Sources agree in part only. {said}"
    else:
        status = "passed"
    return Check(name, status, float(found[0]), limit, said, null.mean), [null]


def _own(source: Source, rows: np.ndarray) -> float:
    """Rank correlation within one study, by a fit to its lines with lineages left out."""
    groups = source.groups[rows]
    if np.unique(groups).size < 3:
        groups = np.arange(rows.size) % min(10, rows.size)
    fit = ridge(source.fit.rotated[rows])
    out = fit.left_out(source.y[rows, None], groups, source.penalty)[:, 0]
    return float(rank_correlation(out, source.y[rows]))


def general(
    source: Source, lines: Lines, drug: int, generator: np.random.Generator
) -> tuple[Check, float, np.ndarray | None]:
    """Ask whether the drug's model predicts better than one of general sensitivity, the mean over the other drugs.

    Returns the check, the rank correlation of the general model with this drug's response, and the general sensitivity of the
    lines (of `source.rows`).
    """
    name = "beats general sensitivity"
    others = np.delete(np.arange(lines.y.shape[1]), drug)
    if others.size < FEWEST_DRUGS:
        said = f"General sensitivity not checked: it needs at least {FEWEST_DRUGS} other drugs in the same lines."
        return unchecked(name, said), np.nan, None
    mean, known = sensitivity(lines.y[:, others])
    mean, known = mean[source.rows], known[source.rows]
    if known.sum() < FEWEST_LINES:
        return (
            unchecked(name, "General sensitivity not checked: too few of these lines have other drugs."),
            np.nan,
            None,
        )
    mean = np.where(known, mean, mean[known].mean())
    guess = source.fit.left_out(mean[:, None], source.groups, source.penalty)[:, 0]
    pair = np.column_stack([source.out_of_fold, guess])
    value, other = (float(rho) for rho in rank_correlation(pair, source.y))
    draws = generator.integers(0, source.y.size, (BOOTSTRAPS, source.y.size))
    ranked, target = ranks(pair), ranks(source.y)
    gain = [correlation(ranked[rows, 0], target[rows]) - correlation(ranked[rows, 1], target[rows]) for rows in draws]
    low = float(np.quantile(gain, 0.05))
    said = f"The drug's model reaches rho {value:.2f}, a model of general sensitivity to drugs {other:.2f}."
    status = "passed" if low > 0 else "caution"
    if status == "caution":
        said = f"Not clearly about this drug, as it does not clearly beat general sensitivity. {said}"
    return Check(name, status, value, other, said), other, mean


def sensitivity(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean z-score of each line over drugs (n, d), and whether it has any."""
    known = np.isfinite(y)
    n = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, y, 0).sum(axis=0) / n
    centred = np.where(known, y - mean, 0.0)
    spread = np.sqrt((centred**2).sum(axis=0) / n)
    z = centred / np.where(spread > 0, spread, np.inf)
    return z.sum(axis=1) / np.maximum(known.sum(axis=1), 1), known.any(axis=1)
