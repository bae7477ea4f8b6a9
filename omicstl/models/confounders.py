"""What a score should not follow: depth, genes seen, cell cycle, batch, the first component (numpy)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

#: Genes of the S and G2/M phases :cite:p:`Tirosh2016`; a score needs `_LEAST` of each list.
S_GENES = (
    "MCM5", "PCNA", "TYMS", "FEN1", "MCM2", "MCM4", "RRM1", "UNG", "GINS2", "MCM6", "CDCA7", "DTL", "PRIM1", "UHRF1",
    "HELLS", "RFC2", "RPA2", "NASP", "RAD51AP1", "GMNN", "WDR76", "SLBP", "CCNE2", "UBR7", "POLD3", "MSH2", "ATAD2",
    "RAD51", "RRM2", "CDC45", "CDC6", "EXO1", "TIPIN", "DSCC1", "BLM", "CASP8AP2", "USP1", "CLSPN", "POLA1",
    "CHAF1B", "BRIP1", "E2F8",
)  # fmt: skip
G2M_GENES = (
    "HMGB2", "CDK1", "NUSAP1", "UBE2C", "BIRC5", "TPX2", "TOP2A", "NDC80", "CKS2", "NUF2", "CKS1B", "MKI67", "TMPO",
    "CENPF", "TACC3", "SMC4", "CCNB2", "CKAP2L", "CKAP2", "AURKB", "BUB1", "KIF11", "ANP32E", "TUBB4B", "GTSE1",
    "KIF20B", "HJURP", "CDCA3", "CDC20", "TTK", "CDC25C", "KIF2C", "RANGAP1", "NCAPD2", "DLGAP5", "CDCA2", "CDCA8",
    "ECT2", "KIF23", "HMMR", "AURKA", "PSRC1", "ANLN", "LBR", "CKAP5", "CENPE", "CTCF", "NEK2", "G2E3", "GAS2L3",
    "CBX5", "CENPA",
)  # fmt: skip
_LEAST = 5


class Confounding(NamedTuple):
    """Strength of the relation of a score with each of several things, 0 to 1 in size."""

    name: np.ndarray
    correlation: np.ndarray  # Spearman's rho; for groups the root of the share of rank variance between them
    n: np.ndarray  # cells in which both are known


def cell_cycle(cells: np.ndarray, genes: np.ndarray) -> np.ndarray | None:
    """Score (m,) of cycling: mean of z-scored S and G2/M genes less the mean of all genes; `None` with too few genes.

    The mean of all z-scored genes is taken off so that depth alone does not make a cell cycle.
    """
    place = {str(gene).upper(): i for i, gene in enumerate(genes)}
    x = np.asarray(cells, dtype=np.float64)
    sd = x.std(axis=0)
    z = (x - x.mean(axis=0)) / np.where(sd > 1e-8, sd, np.inf)
    phases = []
    for names in (S_GENES, G2M_GENES):
        columns = [place[gene] for gene in names if gene in place]
        if len(columns) < _LEAST:
            return None
        phases.append(z[:, columns].mean(axis=1))
    return np.maximum(*phases) - z.mean(axis=1)


def first_component(cells: np.ndarray) -> np.ndarray:
    """Scores (m,) on the first component of z-scored genes; the sign says nothing."""
    from omicstl.models.smoothing_choice import leading
    from omicstl.models.validation import standardised

    return leading(standardised(cells), 20)[:, 0]


def gather(
    cells: np.ndarray,
    genes: np.ndarray,
    *,
    totals: np.ndarray | None = None,
    n_genes: np.ndarray | None = None,
    batch: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """All that is known of these cells (m, p) and may confound a score: numbers, or names for groups."""
    found: dict[str, np.ndarray] = {}
    if totals is not None:
        found["depth"] = np.log1p(np.asarray(totals, dtype=np.float64))
    if n_genes is not None:
        found["genes seen"] = np.asarray(n_genes, dtype=np.float64)
    cycle = cell_cycle(cells, genes)
    if cycle is not None:
        found["cell cycle"] = cycle
    if batch is not None:
        found["batch"] = np.asarray(batch).astype(str)
    found["first component"] = first_component(cells)
    return found


def confounding(score: np.ndarray, known: Mapping[str, np.ndarray]) -> Confounding:
    """Relation of one score (m,) with each of `known`. The first component has no sign: its size is given."""
    rows = [(name, *_relation(score, np.asarray(values), name)) for name, values in known.items()]
    names, r, n = zip(*rows) if rows else ((), (), ())
    return Confounding(np.asarray(names, dtype=object), np.asarray(r, dtype=np.float64), np.asarray(n, dtype=np.int64))


def _relation(score: np.ndarray, values: np.ndarray, name: str) -> tuple[float, int]:
    from scipy.stats import rankdata

    groups = values.dtype.kind in "OUSb"
    ok = np.isfinite(score)
    if not groups:
        ok &= np.isfinite(values)
    n = int(ok.sum())
    rank = rankdata(score[ok])
    if n < 3 or np.ptp(rank) == 0:
        return float("nan"), n
    if not groups:
        other = rankdata(values[ok])
        if np.ptp(other) == 0:
            return float("nan"), n
        r = float(np.corrcoef(rank, other)[0, 1])
        return (abs(r) if name == "first component" else r), n
    code = np.unique(values[ok].astype(str), return_inverse=True)[1]
    count = np.bincount(code)
    mean = np.bincount(code, weights=rank) / count
    between = (count * (mean - rank.mean()) ** 2).sum() / (n * rank.var())
    if count.size < 2 or n <= count.size:
        return float("nan"), n
    chance = (count.size - 1) / (n - 1)  # what groups explain where there is nothing
    return float(np.sqrt(max((between - chance) / (1 - chance), 0.0))), n
