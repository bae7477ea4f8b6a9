"""Whether other lines would say the same of the genes behind a linear score of response (numpy)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from omicstl.models.transfer.scores import rank_correlation

_TOP = 50


class Stability(NamedTuple):
    """Agreement of refits on lines drawn with replacement with the fit on all lines."""

    rank_correlation: np.ndarray  # (d,) mean Spearman correlation of a refit's effects with the fit's, over genes
    top_overlap: np.ndarray  # (d,) mean share of the fit's largest effects that are among a refit's largest
    sign_share: np.ndarray  # (p, d) float32: share of refits in which the gene has the fit's sign


def stability(effects: np.ndarray, maps: np.ndarray, moved: np.ndarray) -> Stability:
    """Compare the effects (p, d) with those of refits, whose coefficients differ by `moved` (members, k, d).

    `maps` (p, k) takes cells to the components of the coefficients. One drug at a time, so memory is that of (p, members).
    """
    p, d = effects.shape
    members = moved.shape[0]
    rank, overlap = np.full(d, np.nan), np.full(d, np.nan)
    sign = np.full((p, d), np.nan, dtype=np.float32)
    if members == 0:
        return Stability(rank, overlap, sign)
    maps = np.asarray(maps, dtype=np.float64)
    n_top = min(_TOP, p)
    for drug in range(d):
        own = np.asarray(effects[:, drug], dtype=np.float64)
        refits = own[:, None] + maps @ moved[:, :, drug].T.astype(np.float64)
        if not np.any(own):
            continue
        sign[:, drug] = (np.sign(refits) == np.sign(own)[:, None]).mean(axis=1)
        rank[drug] = np.nan_to_num(rank_correlation(refits, own)).mean()  # refits without any effect agree with nothing
        largest = np.argpartition(-np.abs(own), n_top - 1)[:n_top]
        theirs = np.argpartition(-np.abs(refits), n_top - 1, axis=0)[:n_top]
        overlap[drug] = np.isin(theirs, largest).mean()
    return Stability(rank, overlap, sign)
