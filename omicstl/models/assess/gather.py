"""All that can be asked without a label of the cells about one drug, and the verdict on it (numpy)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from omicstl._core.random import Streams
from omicstl.models.transfer.scores import rank_correlation
from omicstl.models.transfer.screen import Cells, Lines

from . import baselines, target
from .baselines import Baseline
from .class_shares import label_shift
from .decide import Check, Verdict, decide, unchecked
from .source import Null, Source, amounts, beats_lineage, general, lineage_mean, signal, source_of, studies
from .space import Space, build

MOST_CELLS = {"fast": 2000, "full": 5000}
PERMUTATIONS = {"fast": 100, "full": 1000}
VECTORS = {"fast": 20, "full": 200}
PAIRS = {"fast": 10, "full": 50}
SHARED = ("shared genes", "scale of the cells", "gene identity", "shared programmes", "kind of the cells")
"""Checks that do not depend on the drug."""
SHARED_NEEDED = ("gene identity", "shared programmes")


class Evidence(NamedTuple):
    """The verdict on one drug, and the tables it rests on."""

    verdict: Verdict
    baselines: tuple[Baseline, ...]
    agreement: np.ndarray
    """Rank correlation of each baseline's scores with the score, over the cells; NaN where it was not fitted."""
    nulls: tuple[Null, ...]
    level: str


def sample(cells: Cells, random: Streams, level: str = "fast", within: np.ndarray | None = None) -> np.ndarray:
    """Positions of the cells that are looked at: all, or as many as the level takes; `within` are those to choose from."""
    there = np.arange(cells.rows.n_rows) if within is None else np.asarray(within)
    most = MOST_CELLS[level]
    if there.size <= most:
        return there
    return np.sort(random.generator("cells of the evidence").choice(there, most, replace=False))


def gather(
    lines: Lines,
    raw: np.ndarray,
    drug: int,
    random: Streams,
    *,
    score: np.ndarray | None = None,
    scaled: bool = False,
    genes: bool = True,
    confounders: Mapping[str, np.ndarray] | None = None,
    level: str = "fast",
    space: Space | None = None,
    network: Baseline | None = None,
) -> Evidence:
    """
    Ask everything about one drug.

    Parameters
    ----------
    lines, drug
        The source, and which of its drugs.
    raw
        Dense sample of cells (m, p): log expression, or z-scores if `scaled`, genes in the order of the lines.
    random
        Streams.
    score
        Scores (m,) of these cells by the model that is judged. `None`: a plain ridge is judged.
    genes
        Whether the columns are genes; else their number and names are not judged.
    confounders
        What the score should not follow: "depth", "genes seen", "cell cycle", "batch"; numbers or names, (m,).
    level
        "fast" or "full".
    space
        Of these lines and cells, made by `space.build`, where several drugs are judged.
    network
        The drug's row of `baselines_network.unaligned_networks`, which are trained for all drugs at once.

    Notes
    -----
    800 lines, 2,000 genes and 1,000 cells take about a CPU second ("fast").
    """
    n_permutations = PERMUTATIONS[level]
    space = build(lines, raw) if space is None else space
    source = source_of(lines, space, drug, random)
    checks = amounts(source, lines, space, genes)
    if source.rows.size < 5 or not np.any(source.y):
        return Evidence(decide(_hopeless(checks, source), 0.0), (), np.zeros(0), (), level)
    found, nulls = signal(source, random.generator("signal"), n_permutations)
    checks += found
    checks.append(_beats_lineage(source, random))
    check, more = studies(source, random.generator("studies"), n_permutations)
    checks.append(check)
    nulls += more
    check, rho, sensitivity = general(source, lines, drug, random.generator("general"))
    checks.append(check)

    rows = baselines.fitted_baselines(source, space, lines, raw, scaled, level, random, network=network)
    own = rows[0].score
    judged = own if score is None else np.asarray(score, dtype=np.float64)
    # Weights that have seen the cells (CORAL, smoothing) fit them by themselves: the programme is asked of the lines' own.
    weights = space.weights(source.fit.coefficients(source.y, source.penalty))
    checks.append(target.scale(scaled))
    check, more = target.gene_identity(lines, raw, scaled or not genes, random.generator("gene identity"))
    checks.append(check)
    nulls += more
    check, more = target.shared_programmes(space, random.generator("vectors"), VECTORS[level])
    checks.append(check)
    nulls += more
    check, more, common = target.programme(space, weights, random.generator("weights"), n_permutations)
    checks.append(check)
    nulls += more
    found, more, _ = target.steady(source, space, random.generator("halves"), PAIRS[level])
    checks += found
    nulls += more
    tissue = target.tissue_scores(source, lines, space)
    checks += [target.tissue(judged, own, tissue), target.novelty(lines, space, raw, scaled)]
    first = space.cells @ target.leading(space.cells, 1, random.generator("first component"))[:, 0]
    checks += target.confounding(judged, dict(confounders or {}), first)
    if score is not None:
        checks.append(target.agreement(judged, own))
    checks.append(label_shift(source, own))

    rows += [Baseline(name, value, np.nan, "knows nothing but tissue" if name != target.WITHIN else
                            "what is left without tissue") for name, value in tissue.items()]  # fmt: skip
    rows += [baselines.general(source, space, sensitivity, rho), baselines.first_component(first)]
    agree = np.array([np.nan if row.score is None else float(rank_correlation(judged, row.score)) for row in rows])
    return Evidence(decide(checks, _score(checks, common)), tuple(rows), agree, tuple(nulls), level)


def _beats_lineage(source: Source, random: Streams) -> Check:
    if not source.by_lineage:
        said = "Against the lineage mean not checked: the lineage of the lines is not known."
        return unchecked("beats the lineage mean", said)
    return beats_lineage(*lineage_mean(source, random.generator("lineage mean")))


def _score(checks: list[Check], common: float) -> float:
    """Correlation with the response in unseen lineages, attenuated by what the genes of the score do not share in the cells."""
    value = {check.name: check.value for check in checks if check.status != "not checked"}
    rho = value.get("signal within lineages", value.get("signal in the source", 0.0))
    return float(max(rho, 0.0) * np.sqrt(common))


def _hopeless(checks: list[Check], source: Source) -> list[Check]:
    """Where nothing can be fitted at all."""
    if source.rows.size >= 5:
        said = "No signal in the source: the response is the same in all lines."
        checks = [*checks, Check("signal in the source", "failed", 0.0, 0.0, said)]
    return checks
