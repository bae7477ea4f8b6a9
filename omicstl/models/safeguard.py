"""Does a transfer beat the plain one? Both score the same pseudo-cells of left-out lines, and a paired interval decides (numpy).

For a level or an alignment that is not the baseline: `response_calls.pseudo_scores` is called for each of them with the same
streams, so that both are given the same cells, and `compare` says whether to fall back.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from omicstl._core.random import Streams
from omicstl.kernels.paired_bootstrap import paired_gap
from omicstl.models import validation
from omicstl.models.response_calls import Scored
from omicstl.models.selection import Paired, paired

_FEW_UNITS = 8  # lineages from which they are drawn as a whole; with fewer, lines are
_MANY_DRUGS = 20  # above, drugs have no intervals of their own


class Safeguard(NamedTuple):
    """How much better the transfer is than the baseline: rho over pseudo-cells (AUROC for a class)."""

    fall_back: bool
    reason: str
    pooled: Paired  # mean over drugs of the gain in rho
    gain: np.ndarray  # (d,)
    low: np.ndarray  # (d,) NaN with many drugs
    high: np.ndarray


def compare(
    transfer: Scored,
    baseline: Scored,
    binary: np.ndarray,
    random: Streams,
    *,
    lineage: np.ndarray | None = None,
    asked: bool = False,
    names: tuple[str, str] = ("the transfer", "the baseline"),
) -> Safeguard:
    """Compare two ways on the same pseudo-cells.

    Parameters
    ----------
    transfer, baseline
        Scores of the same cells of the same lines.
    binary
        Drugs whose response is a class (d,).
    lineage
        Of all lines (n,); lines of one lineage are drawn together where there are eight of them.
    asked
        The transfer was asked for by name: it stays unless the interval excludes a benefit. Else it must surely gain.

    Returns
    -------
    Whether to fall back, with a sentence, and gains with 95 % intervals. Only the lines' own responses are read.
    """
    if not np.array_equal(transfer.line, baseline.line):
        msg = "the two ways were given other pseudo-cells: call `pseudo_scores` with the same streams and options."
        raise ValueError(msg)
    y, line = transfer.y, transfer.line
    n_drugs = y.shape[1]
    units = line if lineage is None or np.unique(lineage[line]).size < _FEW_UNITS else lineage[line]
    gain, low, high = np.full((3, n_drugs), np.nan)
    parts = np.full(y.shape, np.nan)
    for d in range(n_drugs):
        known = np.isfinite(y[:, d])
        if known.sum() < 3 or np.ptp(y[known, d]) == 0:
            continue
        a, b = transfer.score[:, d], baseline.score[:, d]
        parts[:, d] = validation.rank_parts(a, y[:, d]) - validation.rank_parts(b, y[:, d])
        gain[d] = np.nansum(parts[:, d])
        if n_drugs <= _MANY_DRUGS:
            measure = "auroc" if binary[d] else "spearman"
            found = paired_gap(
                a[known], b[known], y[known, d], measure, units[known], 500, rng=random.generator("safeguard", d)
            )
            gain[d], low[d], high[d] = found.mean, found.low, found.high
    seen = np.isfinite(parts)
    count = max(int(seen.any(axis=0).sum()), 1)
    each = np.where(seen, parts, 0.0).sum(axis=1) / count
    code = np.unique(line, return_inverse=True)[1]
    used = np.bincount(code, weights=seen.any(axis=1)) > 0
    first = np.unique(line, return_index=True)[1]
    by_line = np.where(used, np.bincount(code, weights=each), np.nan)
    pooled = paired(by_line, None if lineage is None else lineage[line[first]])
    mean, below, above = (pooled.mean, pooled.low, pooled.high)
    if n_drugs == 1 and np.isfinite(low[0]):
        mean, below, above = float(gain[0]), float(low[0]), float(high[0])
    fall_back = bool(above < 0) if asked else not below > 0
    unit = "AUROC" if n_drugs == 1 and bool(binary[0]) else "rho"
    said = f"{names[0]} against {names[1]} on pseudo-cells of left-out lines: {mean:+.3f} {unit} ({below:+.3f} to {above:+.3f})"
    end = f"{names[1]} is used." if fall_back else f"{names[0]} is used."
    return Safeguard(fall_back, f"{said}; {end}", pooled, gain, low, high)
