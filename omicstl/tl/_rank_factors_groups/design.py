"""From columns of `obs` to the design of a test: which rows are used, what is compared, and what cannot be told apart."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from omicstl._core.checks import listed, near_miss
from omicstl._data.columns import Column, check_any, check_unmeasured, level_name, read_column
from omicstl.kernels import units
from omicstl.models.factors.factor_tests import FactorTests, centred

MOST_GROUPS = 50
MOST_DIGITS = 100  # of a power of ten that can be squared, twice
_EPSILON = {"float32": 2.0**-23, "float": 2.0**-23, "float16": 2.0**-10, "halffloat": 2.0**-10}  # of floats but float64
_SAME = 1e-8  # singular value, columns of unit length, below which columns are a combination of others


class Term(NamedTuple):
    """Columns of the design that belong together: `what` is "phenotype", "covariate" or "factor covariate".

    Numbers have mean 0 and were divided by ``2**exponent``.
    """

    what: str
    name: str
    columns: np.ndarray
    exponent: int = 0


class Design(NamedTuple):
    """The design of the rows used. `codes` says which of `groups` a row is of; both are empty for a number.

    `missing` counts what each column lacks, `used` are the columns of `obs` in those rows.
    """

    rows: np.ndarray
    config: FactorTests
    contrasts: list[str]
    groups: list[str]
    codes: np.ndarray
    missing: dict[str, int]
    used: list[Column]


def build(
    obs: pd.DataFrame,
    phenotype: str,
    *,
    reference_group: str | None,
    block: str | None,
    paired: bool,
    covariates: list[str],
    scores: dict[str, np.ndarray],
    confidence: float,
) -> Design:
    """Read the columns, drop rows with missing values, and refuse what cannot be tested. `scores` are covariates too."""
    used = {
        name: read_column(obs, name) for name in dict.fromkeys([phenotype, *covariates, *([block] if block else [])])
    }
    check_any(used[phenotype], "there is nothing to compare")
    gone = {name: values.absent for name, values in used.items()}
    rows = ~np.any(list(gone.values()), axis=0)
    missing = {name: int(lacks.sum()) for name, lacks in gone.items() if lacks.any()}
    if not rows.any():
        told = ", ".join(f"{name!r} in {n}" for name, n in missing.items())
        msg = f"No observation has a value in every column that is used: of {len(obs)}, missing are {told}. Leave one out."
        raise ValueError(msg)
    used = {name: values.select(rows) for name, values in used.items()}
    groups, codes = [], np.zeros(0, dtype=np.int64)
    if not used[phenotype].is_number:
        groups, codes = list(used[phenotype].levels), used[phenotype].codes
    reference_group = None if reference_group is None else level_name(reference_group)
    compared = _phenotype(used[phenotype], phenotype, groups, codes, reference_group)
    block_codes = None if block is None else check_unmeasured(used[block]).codes
    if block is not None and block_codes is not None:
        _check_block(block, block_codes, paired)
    terms = [compared, *(_covariate(used[name], name) for name in covariates)]
    terms += [
        _measured(values[rows], name, "factor covariate", units.epsilon(values)) for name, values in scores.items()
    ]
    within = block_codes if paired else None
    _check_rank(terms, block, within)
    x = np.hstack([term.columns - term.columns.mean(axis=0) * (term.what != "phenotype") for term in terms])
    full = np.hstack([np.ones((len(x), 1)), x])
    names, coefficients = _contrasts(phenotype, groups, reference_group)
    width = x.shape[1] if paired else full.shape[1]
    q, first = coefficients.shape[1], 0 if paired else 1
    contrasts = np.zeros((len(names), width))
    contrasts[:, first : first + q] = coefficients
    overall = np.eye(q, width, first)
    unit = float(np.ldexp(1.0, compared.exponent))
    config = FactorTests(x if paired else full, full, contrasts, overall, block_codes, paired, float(confidence), unit)
    counts = ", ".join(f"{g!r} {c}" for g, c in zip(groups, np.bincount(codes, minlength=len(groups)), strict=True))
    _check_df(config, block, f" ({phenotype!r}: {counts})" if groups else "")
    return Design(rows, config, names, groups, codes, missing, list(used.values()))


def _phenotype(values: Column, name: str, groups: list[str], codes: np.ndarray, reference_group: str | None) -> Term:
    if values.is_number:
        if reference_group is not None:
            msg = (
                f"`reference_group` is {reference_group!r}, but adata.obs[{name!r}] is a number. To compare groups, make it "
                f"categories: adata.obs[{name!r}] = adata.obs[{name!r}].astype('category')."
            )
            raise ValueError(msg)
        term = _numbers(values, name, "phenotype")
        digits = int(term.exponent * np.log10(2))
        if abs(digits) > MOST_DIGITS:
            msg = (
                f"The phenotype {name!r} spans about 1e{digits:+d}: effects are per 1 of it, and can be written for spans from "
                f"1e-{MOST_DIGITS} to 1e+{MOST_DIGITS}. Multiply it by a constant, which changes the unit of effects alone."
            )
            raise ValueError(msg)
        return term
    if len(groups) == 1:
        msg = (
            f"adata.obs[{name!r}] has one group, {groups[0]!r}, in the {len(codes)} observations used; two are needed."
        )
        raise ValueError(msg)
    if len(groups) > MOST_GROUPS:
        msg = (
            f"adata.obs[{name!r}] has {len(groups)} groups, at most {MOST_GROUPS} are compared. If it says which observations "
            f"belong together, pass block={name!r}; if it is a measurement kept as text, use pd.to_numeric."
        )
        raise ValueError(msg)
    if reference_group is not None and reference_group not in groups:
        msg = (
            f"`reference_group` must be one of {listed(groups, limit=20)}, got {reference_group!r}."
            f"{near_miss(reference_group, groups)}"
        )
        raise ValueError(msg)
    return Term("phenotype", name, np.eye(len(groups))[codes][:, 1:])


def _covariate(values: Column, name: str) -> Term:
    if values.is_number:
        return _numbers(values, name, "covariate")
    levels, codes = values.levels, values.codes
    if len(levels) == 1:
        msg = f"The covariate {name!r} is {levels[0]!r} in all {len(codes)} observations used. Leave it out."
        raise ValueError(msg)
    return Term("covariate", name, np.eye(len(levels))[codes][:, 1:])


def _numbers(values: Column, name: str, what: str) -> Term:
    eps = _EPSILON.get(values.dtype.lower().removesuffix("[pyarrow]"), 2.0**-52)
    apart = values.places is not None and bool(np.ptp(values.places))
    return _measured(np.asarray(values.numbers), name, what, eps, apart=apart)


def _measured(numbers: np.ndarray, name: str, what: str, eps: float, *, apart: bool = False) -> Term:
    """A term of numbers of a float with machine epsilon `eps`; `apart`: they differed before they became floats."""
    low, high = float(numbers.min()), float(numbers.max())
    if low == high and not apart:
        msg = f"The {what} {name!r} is {low:g} in all {len(numbers)} observations used; it explains nothing."
        raise ValueError(msg)
    if low == high or units.rounded_away(numbers, eps):
        largest = max(abs(low), abs(high))
        step = np.ldexp(eps, int(np.frexp(largest)[1]) - 1)
        advice = "Subtract a constant from the column before its digits are lost"
        if what != "factor covariate":
            advice += f", such as its smallest value, in whole numbers: adata.obs[{name!r}] = adata.obs[{name!r}] - adata.obs[{name!r}].min()"
        msg = (
            f"The {what} {name!r} lies between {low!r} and {high!r}, where its float has steps of {step:.2g}: what varies is "
            f"rounding. A spread of at least {largest * eps**0.6:.2g} is needed there. {advice}; leave it out if it is meant to be constant."
        )
        raise ValueError(msg)
    columns, exponent = units.standard(numbers[:, None])
    return Term(what, name, columns, int(exponent[0]))


def _check_block(block: str, codes: np.ndarray, paired: bool) -> None:
    n_blocks = int(codes.max()) + 1
    if n_blocks == 1:
        msg = f"All {codes.size} observations used are of one {block!r}. A block must have several values; leave `block` out."
        raise ValueError(msg)
    if n_blocks == codes.size:
        rest = " and `paired`" if paired else ""
        msg = (
            f"Every observation used has a {block!r} of its own, so there is nothing repeated. Leave `block`{rest} out."
        )
        raise ValueError(msg)


def rank(columns: np.ndarray) -> int:
    length = np.linalg.norm(columns, axis=0)
    scaled = columns[:, length > 0] / length[length > 0]
    return int(np.linalg.matrix_rank(scaled, tol=_SAME * np.sqrt(max(scaled.shape[1], 1)))) if scaled.size else 0


def _check_rank(terms: list[Term], block: str | None, within: np.ndarray | None) -> None:
    """Refuse the first term that others before it determine, by name."""
    parts = [centred(term.columns, within) for term in terms]
    if within is not None:
        _check_within(terms[0], parts[0], str(block))
    for i, term in enumerate(terms):
        alone = rank(parts[i])
        if within is not None and alone == 0:
            msg = (
                f"The {term.what} {term.name!r} is constant within every {block!r}, so that paired=True accounts for it "
                "already. Leave it out."
            )
            raise ValueError(msg)
        before = np.hstack([np.zeros((len(parts[i]), 0)), *parts[:i]])
        if rank(np.hstack([before, parts[i]])) == rank(before) + parts[i].shape[1]:
            continue
        raise ValueError(_confounded(terms, parts, i))


def _check_within(phenotype: Term, columns: np.ndarray, block: str) -> None:
    if rank(columns) == 0:
        msg = (
            f"The phenotype {phenotype.name!r} is constant within every {block!r}, so that there is no pair to compare. "
            f"Leave `paired` out: block={block!r} alone compares between blocks."
        )
        raise ValueError(msg)
    if rank(columns) < columns.shape[1]:
        msg = (
            f"Some groups of {phenotype.name!r} never meet another one in the same {block!r}, so that paired=True cannot "
            f"compare all of them. Leave `paired` out, or take the observations of groups that meet."
        )
        raise ValueError(msg)


def _confounded(terms: list[Term], parts: list[np.ndarray], i: int) -> str:
    term = terms[i]
    singles = [j for j in range(i) if rank(np.hstack([parts[j], parts[i]])) < rank(parts[j]) + parts[i].shape[1]]
    others = [terms[j] for j in (singles or range(i))]
    named = " and ".join(f"{other.name!r}" for other in others)
    together = np.hstack([parts[j] for j in (singles or range(i))])
    whole = rank(np.hstack([together, parts[i]])) == rank(together)
    how = f"is determined by {named}" if whole else f"and {named} determine each other in part"
    return (
        f"The {term.what} {term.name!r} {how}: effects of the two cannot be told apart. Leave {term.name!r} out, or take "
        "observations in which both vary."
    )


def _check_df(config: FactorTests, block: str | None, told: str) -> None:
    """Refuse what leaves nothing to estimate a variance from."""
    n, p = config.full.shape
    if config.block is None:
        if n - p < 1:
            msg = f"{n} observations{told} cannot estimate {p} coefficients and a variance. Use fewer groups or covariates."
            raise ValueError(msg)
        return
    n_blocks = int(config.block.max()) + 1
    within = rank(centred(config.full, config.block))
    if n - n_blocks - within < 1:
        msg = (
            f"{n} observations of {n_blocks} {block!r}{told} leave nothing to measure the variance within blocks. "
            "Use fewer covariates, or leave `block` out."
        )
        raise ValueError(msg)
    if not config.within and n_blocks + within - p < 1:
        msg = (
            f"{n_blocks} different {block!r}{told} cannot estimate {p} coefficients and the variance between blocks: a "
            f"group of one {block!r} cannot be told from that {block!r}. More are needed, or paired=True if groups meet in "
            "the same block."
        )
        raise ValueError(msg)


def _contrasts(phenotype: str, groups: list[str], reference: str | None) -> tuple[list[str], np.ndarray]:
    """Names and coefficients on the phenotype's columns (the first group has none)."""
    if not groups:
        return [phenotype], np.ones((1, 1))
    if reference is None:
        pairs = [(j, i) for i in range(len(groups)) for j in range(i + 1, len(groups))]
    else:
        pairs = [(j, groups.index(reference)) for j in range(len(groups)) if groups[j] != reference]
    names = [f"{groups[j]} - {groups[i]}" for j, i in pairs]
    if len(set(names)) < len(names):
        same = next(name for name in names if names.count(name) > 1)
        msg = (
            f"Two comparisons of {phenotype!r} would both be called {same!r}, because names of groups hold ' - '. Rename one, "
            "or choose a `reference_group`."
        )
        raise ValueError(msg)
    means = np.eye(len(groups))[:, 1:]
    return names, np.stack([means[j] - means[i] for j, i in pairs])
