"""What the cells say, without a label: are the genes the same, do they move together as in the lines, is the programme there (numpy)."""

from __future__ import annotations

import numpy as np

from omicstl.models.selection.pseudo_cells import level_of
from omicstl.models.transfer.scores import correlation, rank_correlation
from omicstl.models.transfer.screen import Lines

from .decide import Check, above, below, unchecked
from .source import TAIL, Null, Source, null_of
from .space import Space, centre_within, ridge

SPLITS = 4  # into halves of the genes
N_VECTORS = 20
SHARED_SHARE = 0.05  # share of the vectors beyond chance below which there is little in common
GENE_IDENTITY = 0.3  # rank correlation of gene means below which names are doubted
FAINT = 0.15  # agreement of two halves of the genes: below, noise of the fit alone can make it
STEADY = 0.5
TISSUE = 0.8  # correlation with a score that knows nothing but tissue
CONFOUNDED = 0.5
AXIS = 0.8
AGREES = 0.3
LINEAGE, WITHIN = "lineage mean only", "ridge without tissue"
FAR = 3.0  # times the distance of lines from those of other lineages


def gene_identity(
    lines: Lines, raw: np.ndarray, scaled: bool, generator: np.random.Generator
) -> tuple[Check, list[Null]]:
    """Ask whether genes that are high in the lines are high in the cells: wrong names, another species."""
    name = "gene identity"
    (level, sd), other = level_of(np.asarray(lines.x)), raw.mean(axis=0, dtype=np.float64)
    spread = float(np.median(sd))
    if scaled or level.std() < 0.25 * spread:
        which = "cells" if scaled else "lines"
        said = f"Gene identity not checked: the {which} come as z-scores, which have lost the level of each gene."
        return unchecked(name, said), []
    value = float(rank_correlation(level, other))
    shuffled = np.column_stack([other[generator.permutation(other.size)] for _ in range(50)])
    null = null_of(name, value, rank_correlation(shuffled, level))
    limit = null.mean + TAIL * null.sd
    said = (
        f"Mean levels of the genes agree between lines and cells (rho {value:.2f}; permuted genes up to {limit:.2f})."
    )
    if value < GENE_IDENTITY:
        said = f"Genes high in the lines are not high in the cells (rho {value:.2f}): are the gene names right?"
    return Check(name, above(value, fail=limit, doubt=GENE_IDENTITY), value, GENE_IDENTITY, said, null.mean), [null]


def leading(x: np.ndarray, k: int, generator: np.random.Generator) -> np.ndarray:
    """Leading directions of the rows of `x` (m, p), orthonormal (p, k), by subspace iteration."""
    mean = x.mean(axis=0)

    def back(y: np.ndarray) -> np.ndarray:  # of centred rows, which are not copied
        return x.T @ y - np.outer(mean, y.sum(axis=0))

    q = np.linalg.qr(back(generator.normal(size=(len(x), k + 10)).astype(np.float32)))[0]
    for _ in range(4):
        q = np.linalg.qr(back(x @ q - mean @ q))[0]
    return q @ np.linalg.svd(x @ q - mean @ q, full_matrices=False)[2].T[:, :k]


def shared_programmes(space: Space, generator: np.random.Generator, n_permutations: int) -> tuple[Check, list[Null]]:
    """Compare the leading components of lines and cells (principal vectors) with those of permuted genes."""
    name = "shared programmes"
    k = min(N_VECTORS, space.basis.shape[1] // 2, len(space.cells) // 3, space.cells.shape[1] // 6)
    if k < 2:
        return unchecked(name, "Shared programmes not checked: too few cells, lines or genes for components."), []
    mine, other = space.basis[:, :k], leading(space.cells, k, generator)
    value = float((mine.T @ other).ravel() @ (mine.T @ other).ravel() / k)
    draws = [mine[generator.permutation(len(mine))].T @ other for _ in range(n_permutations)]
    null = null_of(name, value, np.array([float((d * d).sum()) / k for d in draws]))
    limit = null.mean + TAIL * null.sd
    share = (value - null.mean) / max(1 - null.mean, 1e-9)
    said = f"Of the {k} main directions of the cells {100 * value:.0f} % lie in those of the lines (permuted genes {100 * null.mean:.0f} %)."
    status = above(value, fail=limit)
    if status == "failed":
        said = f"Genes that move together in the lines do not in these cells: wrong names, or cells of another kind. {said}"
    elif share < SHARED_SHARE:
        status, said = "caution", f"Lines and cells have little in common. {said}"
    return Check(name, status, value, limit, said, null.mean), [null]


def programme(
    space: Space, weights: np.ndarray, generator: np.random.Generator, n_permutations: int
) -> tuple[Check, list[Null], float]:
    """Ask whether scores from two random halves of the genes agree over the cells, more than with weights permuted over genes.

    Returns the check, its null, and the share of the score's variance that its genes have in common (Spearman and Brown).
    """
    name = "programme in the cells"
    p = weights.size
    many = np.column_stack([weights, *(weights[generator.permutation(p)] for _ in range(n_permutations))])
    many = many.astype(np.float32)
    found = np.zeros(many.shape[1])
    for _ in range(SPLITS):
        half = np.zeros(p, dtype=bool)
        half[generator.permutation(p)[: p // 2]] = True
        one, two = np.where(half[:, None], many, 0), np.where(half[:, None], 0, many)  # genes are not copied
        found += correlation(space.cells @ one, space.cells @ two) / SPLITS
    value = float(found[0])
    if not np.isfinite(value):
        said = "Programme in the cells not checked: the score does not vary over them."
        return unchecked(name, said), [], 0.0
    null = null_of(name, value, found[1:])
    limit = null.mean + 2 * null.sd
    said = f"Scores from two halves of the genes agree over the cells with r {value:.2f} (permuted weights up to {limit:.2f})."
    if value < limit:
        said = f"What predicts the response in lines is no programme that varies in these cells. {said}"
    elif value < FAINT:
        said = f"The programme that predicts the response in lines is faint in these cells. {said}"
    common = max(value - max(null.mean, 0.0), 0.0)
    return (
        Check(name, above(value, fail=limit, doubt=FAINT), value, limit, said, null.mean),
        [null],
        2 * common / (1 + common),
    )


def steady(
    source: Source, space: Space, generator: np.random.Generator, n_pairs: int
) -> tuple[list[Check], list[Null], float]:
    """Ask whether fits to two halves of the lines rank the cells alike, and whether resampled fits keep the sign.

    Also returns the mean agreement of two halves.
    """
    n, coords = source.y.size, source.fit.rotated @ source.fit.rotation.T
    shuffled = source.y[generator.permutation(n)]
    pair, chance = [], []
    for _ in range(n_pairs):
        half = np.zeros(n, dtype=bool)
        half[generator.permutation(n)[: n // 2]] = True
        y = np.column_stack([source.y, shuffled])
        one, two = (
            space.cell_coords @ ridge(coords[part]).coefficients(y[part], source.penalty) for part in (half, ~half)
        )
        both = correlation(one, two)
        pair.append(float(both[0]))
        chance.append(float(both[1]))
        shuffled = source.y[generator.permutation(n)]
    value = float(np.mean(pair))
    null = null_of("halves of the lines", value, np.array(chance))
    said = f"Models of two halves of the lines rank the cells alike with r {value:.2f} (responses permuted {null.mean:.2f})."
    said = said if value >= STEADY else f"Unsteady: {said}"
    first = Check("halves of the lines", above(value, fail=0.1, doubt=STEADY), value, STEADY, said, null.mean)
    whole = space.cell_coords @ source.fit.coefficients(source.y, source.penalty)
    drawn = []
    for _ in range(2 * n_pairs):
        rows = generator.integers(0, n, n)
        fit = ridge(coords[rows])
        drawn.append(float(correlation(space.cell_coords @ fit.coefficients(source.y[rows], source.penalty), whole)))
    turned = float(np.mean(np.array(drawn) < 0))
    said = f"{100 * turned:.0f} % of {len(drawn)} fits to resampled lines turn the ranking of the cells round."
    second = Check("sign over resampled lines", below(turned, fail=0.3, doubt=0.05), turned, 0.05, said)
    return [first, second], [null], value


def tissue_scores(source: Source, lines: Lines, space: Space) -> dict[str, np.ndarray]:
    """Scores of the cells by models that know nothing but tissue, and by one that knows all but tissue.

    "lineage mean only": trained on the (shrunken) mean response of each line's lineage; "ridge without tissue": on what is left;
    the third has the name of the most sensitive lineage, and is trained on being of it or not.
    """
    if not source.by_lineage:
        return {}
    n = np.bincount(source.groups)
    mean = (np.bincount(source.groups, source.y) / (n + 2))[source.groups]
    names = np.unique(np.asarray(lines.lineage)[source.rows].astype(str))
    large = np.flatnonzero(n >= min(8, n.max()))
    top = int(large[np.argmax((np.bincount(source.groups, source.y) / np.maximum(n, 1))[large])])
    y = np.column_stack([mean, source.y - mean, source.groups == top])
    found = space.cell_coords @ source.fit.coefficients(y, source.penalty)
    return {LINEAGE: found[:, 0], WITHIN: found[:, 1], f"{names[top]} or not": found[:, 2]}


def tissue(score: np.ndarray, own: np.ndarray, others: dict[str, np.ndarray]) -> Check:
    """Ask whether a model that was told nothing but tissue ranks the cells as the score does, or as a plain ridge."""
    name = "lineage, not drug"
    if not others:
        return unchecked(name, "Lineage, not drug, not checked: the lineage of the lines is not known.")
    worst = Check(name, "passed", -1.0, TISSUE, "")
    for model, ranked in (("this score", score), ("a plain ridge to the response", own)):
        within = float(rank_correlation(ranked, others[WITHIN]))
        for what, other in others.items():
            value = float(rank_correlation(ranked, other))
            doubt = value >= TISSUE and value > within
            if what == WITHIN or value <= worst.value or (worst.status == "caution" and not doubt):
                continue
            knows = "the mean response of each lineage" if what == LINEAGE else repr(what)
            said = f"a model that knows only {knows} ranks the cells as {model} does with rho {value:.2f}; one without tissue with {within:.2f}."
            said = f"Lineage, not drug: {said}" if doubt else said[0].upper() + said[1:]
            worst = Check(name, "caution" if doubt else "passed", value, TISSUE, said)
    return worst


def novelty(lines: Lines, space: Space, raw: np.ndarray, scaled: bool) -> Check:
    """Ask whether the cells' mean lies among the lines, along the lines' own components.

    Platforms shift every gene by itself, which hardly shows along components of many genes; a tissue that the lines do not have does.
    """
    name = "kind of the cells"
    mean, spread = (values[space.kept] for values in level_of(np.asarray(lines.x)))
    if scaled or mean.std() < 0.25 * float(np.median(spread)):
        return unchecked(name, "Kind of the cells not checked: z-scores have lost where the cells lie among the lines.")
    k = int(min(10, space.basis.shape[1]))
    other = raw.mean(axis=0, dtype=np.float64)[space.kept]
    slope = np.polyfit(mean, other, 1)
    shift = ((other - np.polyval(slope, mean)) / max(abs(slope[0]), 1e-6)) / np.maximum(spread, 1e-6)
    # A gene that is never seen in cells says nothing of where they lie.
    basis, size = space.basis[:, :k].astype(np.float64), space.coords[:, :k].std(axis=0)
    place = basis.T @ np.clip(shift, -5, 5) / np.maximum(size, 1e-9)
    own = centre_within(space.coords[:, :k] / np.maximum(size, 1e-9), np.zeros(len(space.coords), dtype=np.intp))
    typical = np.sqrt(np.quantile((own**2).sum(axis=1), 0.95))
    value = float(np.sqrt((place**2).sum()) / max(typical, 1e-9))
    said = f"The mean of the cells lies {value:.1f} times as far from the lines' centre as 95 % of the lines do."
    said = f"The cells are of another kind than the lines. {said}" if value > FAR else said
    return Check(name, below(value, doubt=FAR), value, FAR, said)


def confounding(score: np.ndarray, confounders: dict[str, np.ndarray], first: np.ndarray) -> list[Check]:
    """Correlate the score with depth, cell cycle, batches and the first component of the cells."""
    found = []
    value = abs(float(rank_correlation(score, first)))
    said = f"The score follows the first component of the cells with |rho| {value:.2f}."
    said = f"{said} Any difference between these cells would look the same." if value > AXIS else said
    found.append(Check("first component", below(value, doubt=AXIS), value, AXIS, said))
    for what in ("depth", "genes seen", "cell cycle", "batch"):
        if what not in confounders:
            found.append(unchecked(what, f"{what.capitalize()} not checked: it is not known for these cells."))
    for what, values in confounders.items():
        values = np.asarray(values)
        if values.dtype.kind in "fiub":
            known = np.isfinite(values.astype(float))
            value = (
                abs(float(rank_correlation(score[known], values[known].astype(float)))) if known.sum() > 2 else np.nan
            )
            how = "|rho|"
        else:
            codes = np.unique(values.astype(str), return_inverse=True)[1]
            value, how = _of_groups(score, codes), "a multiple correlation of"
        if not np.isfinite(value):
            found.append(unchecked(what, f"{what.capitalize()} not checked: it does not vary over these cells."))
            continue
        said = f"The score follows {what} with {how} {value:.2f}."
        said = f"{said} It may be read for response." if value > CONFOUNDED else said
        found.append(Check(what, below(value, doubt=CONFOUNDED), value, CONFOUNDED, said))
    return found


def _of_groups(score: np.ndarray, codes: np.ndarray) -> float:
    """Multiple correlation with groups, less what chance gives many small ones (adjusted R squared); NaN where all have one cell."""
    n, k = score.size, int(codes.max()) + 1
    if n <= k or k < 2:
        return np.nan
    left = centre_within(score, codes).var() / max(score.var(), 1e-12) * (n - 1) / (n - k)
    return float(np.sqrt(max(0.0, 1 - left)))


def agreement(score: np.ndarray, own: np.ndarray) -> Check:
    """Ask whether the score agrees with a plain ridge on the shared genes."""
    value = float(rank_correlation(score, own))
    said = f"The score ranks the cells as a plain ridge on the shared genes does with rho {value:.2f}."
    said = said if value >= AGREES else f"{said} Where two honest models part, neither should be believed."
    return Check("agreement with ridge", above(value, doubt=AGREES), value, AGREES, said)


def scale(scaled: bool) -> Check:
    """Input of z-scores has lost what several checks need."""
    said = (
        "The cells come as z-scores: levels, depth and gene identity cannot be checked."
        if scaled
        else "The cells come with the level of each gene."
    )
    return Check("scale of the cells", "caution" if scaled else "passed", float(scaled), 0.5, said)


def cycle_score(x: np.ndarray) -> np.ndarray:
    """Mean z-score of each cell over genes of the cell cycle (m, g)."""
    x = np.asarray(x, dtype=np.float64)
    spread = x.std(axis=0)
    return ((x - x.mean(axis=0)) / np.where(spread > 0, spread, np.inf)).mean(axis=1)
