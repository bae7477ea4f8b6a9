"""A score by cluster of cells, with intervals that know that cells are not independent and that the model is uncertain (numpy).

Two parts add up in each standard error. Cells: the units are batches (samples, patients) where a cluster holds at least
three, else clumps of cells that lie together, of which a cluster of n cells has about the root of n. Clumps are cautious:
they take cells in one state for one draw of that state. Model: refits on other
lines move the mean of a whole cluster, and no number of cells helps against that.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

_CLUMPS = (4, 30)
_UNITS = 3
_CONFIDENCE = 0.95


class ClusterTable(NamedTuple):
    """One row for each cluster and drug, drugs within clusters: arrays (clusters * drugs,)."""

    cluster: np.ndarray
    drug: np.ndarray  # position
    n_cells: np.ndarray
    n_units: np.ndarray
    by_batch: np.ndarray  # bool: units are batches
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    against_rest: np.ndarray  # mean less that of all other cells
    against_rest_low: np.ndarray
    against_rest_high: np.ndarray
    model_sd: np.ndarray  # of the mean over refits
    sensitive: np.ndarray  # share of cells that got the call; NaN without calls
    resistant: np.ndarray
    uncertain: np.ndarray
    novelty: np.ndarray  # median; NaN where it is not known


def summarise(
    score: np.ndarray,
    clusters: np.ndarray,
    latent: np.ndarray,
    *,
    members: np.ndarray | None = None,
    member_intercept: np.ndarray | None = None,
    batch: np.ndarray | None = None,
    codes: np.ndarray | None = None,
    novelty: np.ndarray | None = None,
    seed: int = 0,
) -> ClusterTable:
    """Summarise scores (m, d) by cluster (m,).

    Parameters
    ----------
    latent
        Components of the cells (m, k): where cells of a cluster lie together, and what refits are applied to.
    members, member_intercept
        What each refit adds to the coefficients (b, k, d) and intercepts (b, d). Scores are linear in components, so a
        refit's mean of a cluster is that of the cluster's mean component. `None`: the model is taken as certain.
    codes
        Calls of one drug (m,), as `calls.calls` gives them.

    Notes
    -----
    Columns may be on the scale of the score or, multiplied by its slope, of the calibrated response.
    """
    names, code = np.unique(np.asarray(clusters).astype(str), return_inverse=True)
    d = score.shape[1]
    columns: dict[str, list[np.ndarray | float]] = {name: [] for name in ClusterTable._fields}
    generator = np.random.default_rng(seed)
    every_unit = _all_units(code, latent, batch, generator)
    for c, name in enumerate(names):
        rows, rest = code == c, code != c
        units, by_batch = every_unit[c]
        mean, error, n_units = _by_unit(score[rows], units)
        away, away_error, n_away = _rest(score, code, c, every_unit)
        moved = _moved(latent[rows].mean(axis=0), members, member_intercept, d)
        if rest.any():
            shift = latent[rows].mean(axis=0) - latent[rest].mean(axis=0)
            turned = _moved(shift, members, None, d)
        else:
            turned = np.zeros(d)
        half = _t(n_units) * np.sqrt(error**2 + moved**2)
        gap = mean - away
        half_gap = _t(min(n_units, n_away)) * np.sqrt(error**2 + away_error**2 + turned**2)
        shares = np.full(3, np.nan) if codes is None else np.bincount(codes[rows], minlength=3)[:3] / rows.sum()
        far = np.nan if novelty is None else float(np.median(novelty[rows]))
        values = (
            np.full(d, name, dtype=object), np.arange(d), np.full(d, int(rows.sum())), np.full(d, n_units),
            np.full(d, by_batch), mean, mean - half, mean + half, gap, gap - half_gap, gap + half_gap, moved,
            *(np.full(d, share) for share in shares), np.full(d, far),
        )  # fmt: skip
        for column, value in zip(columns.values(), values):
            column.append(value)
    return ClusterTable(*(np.concatenate(parts) if parts else np.zeros(0) for parts in columns.values()))


def _all_units(
    code: np.ndarray, latent: np.ndarray, batch: np.ndarray | None, generator: np.random.Generator
) -> list[tuple[np.ndarray, bool]]:
    """Units of the cells of each cluster: batches where there are three, else clumps."""
    found = []
    for c in range(int(code.max(initial=-1)) + 1):
        rows = code == c
        if batch is not None:
            units = np.unique(np.asarray(batch)[rows].astype(str), return_inverse=True)[1]
            if units.max() + 1 >= _UNITS:
                found.append((units, True))
                continue
        found.append((_clumps(latent[rows], generator), False))
    return found


def _clumps(latent: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    from sklearn.cluster import KMeans

    n = len(latent)
    k = int(np.clip(np.sqrt(n), *_CLUMPS))
    if n <= 2 * k:
        return np.arange(n)
    sample = latent[generator.permutation(n)[:3000], :20]
    model = KMeans(k, n_init=1, random_state=int(generator.integers(2**31))).fit(sample)
    return np.unique(model.predict(np.ascontiguousarray(latent[:, :20], dtype=sample.dtype)), return_inverse=True)[1]


def _by_unit(score: np.ndarray, units: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Mean over cells (d,), its cluster-robust standard error with units as clusters, and their number."""
    mean = score.mean(axis=0, dtype=np.float64)
    n_units = int(units.max()) + 1
    total = np.zeros((n_units, score.shape[1]))
    np.add.at(total, units, score - mean)
    if n_units < 2:
        return mean, np.full(mean.size, np.inf), n_units
    return mean, np.sqrt((total**2).sum(axis=0) * n_units / (n_units - 1)) / len(score), n_units


def _rest(
    score: np.ndarray, code: np.ndarray, c: int, every_unit: list[tuple[np.ndarray, bool]]
) -> tuple[np.ndarray, np.ndarray, int]:
    rest = code != c
    if not rest.any():
        nothing = np.full(score.shape[1], np.nan)
        return nothing, nothing, 2
    units = np.zeros(code.size, dtype=int)
    start = 0
    for other, (own, _) in enumerate(every_unit):
        units[code == other] = own + start
        start += int(own.max()) + 1
    return _by_unit(score[rest], np.unique(units[rest], return_inverse=True)[1])


def _moved(place: np.ndarray, members: np.ndarray | None, intercept: np.ndarray | None, d: int) -> np.ndarray:
    """Root mean square over refits of what they add at a place in the space of components."""
    if members is None or len(members) == 0:
        return np.zeros(d)
    added = np.einsum("k,bkd->bd", place.astype(np.float64), members)
    if intercept is not None:
        added = added + intercept
    return np.sqrt((added**2).mean(axis=0))


def _t(n_units: int) -> float:
    from scipy.stats import t

    return float(t.ppf(0.5 + _CONFIDENCE / 2, max(n_units - 1, 1)))
