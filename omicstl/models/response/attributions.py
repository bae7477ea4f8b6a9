"""What each gene adds to a linear score of response in these cells, and whether other lines would say the same (numpy)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from omicstl.models.transfer.scores import rank_correlation

_TOP = 50


class Attributions(NamedTuple):
    """Genes p, drugs d."""

    effect: np.ndarray  # (p, d) float32: change of the score for one standard deviation of the gene in the target
    share: np.ndarray  # (p, d) float32: of the score's variance over the target's cells; adds up to 1 over genes


class Stability(NamedTuple):
    """Agreement of refits on lines drawn with replacement with the fit on all lines."""

    rank_correlation: np.ndarray  # (d,) mean Spearman correlation of a refit's effects with the fit's, over genes
    top_overlap: np.ndarray  # (d,) mean share of the fit's largest effects that are among a refit's largest
    sign_share: np.ndarray  # (p, d) float32: share of refits in which the gene has the fit's sign


def attributions(weights: np.ndarray, cells: np.ndarray, spread: np.ndarray | None = None) -> Attributions:
    r"""Effects and shares of genes.

    Parameters
    ----------
    weights
        Weight of each gene in each score (p, d), before smoothing.
    cells
        A sample of the target (m, p), in the values that `weights` belong to.
    spread
        Standard deviation of each gene over all of the target's cells, in the same values; 0 where it is constant. `None`:
        that of the sample.

    Returns
    -------
    Effects: weight times spread. Shares: :math:`w_g \operatorname{cov}(z_g, s) / \operatorname{var}(s)`, which add up to one;
    a gene that works against the others has a share below zero. Neither says that a gene causes the response.
    """
    x = np.asarray(cells, dtype=np.float64)
    centred = x - x.mean(axis=0)
    score = centred @ weights
    variance = (score**2).mean(axis=0)
    covariance = centred.T @ score / len(x)
    share = weights * covariance / np.where(variance > 1e-24, variance, np.inf)
    spread = centred.std(axis=0) if spread is None else np.asarray(spread, dtype=np.float64)
    return Attributions((weights * spread[:, None]).astype(np.float32), share.astype(np.float32))


def stability(effects: np.ndarray, maps: np.ndarray, moved: np.ndarray, spread: np.ndarray) -> Stability:
    """Compare the effects (p, d) with those of refits, whose coefficients differ by `moved` (members, k, d).

    `maps` (p, k) takes cells to the components of the coefficients, `spread` (p,) is that of the genes. One drug at a
    time, so memory is that of (p, members).
    """
    p, d = effects.shape
    members = moved.shape[0]
    rank, overlap = np.full(d, np.nan), np.full(d, np.nan)
    sign = np.full((p, d), np.nan, dtype=np.float32)
    if members == 0:
        return Stability(rank, overlap, sign)
    scaled = np.asarray(maps, dtype=np.float64) * spread[:, None]
    n_top = min(_TOP, p)
    for drug in range(d):
        own = np.asarray(effects[:, drug], dtype=np.float64)
        refits = own[:, None] + scaled @ moved[:, :, drug].T.astype(np.float64)
        if not np.any(own):
            continue
        sign[:, drug] = (np.sign(refits) == np.sign(own)[:, None]).mean(axis=1)
        rank[drug] = np.nan_to_num(rank_correlation(refits, own)).mean()  # refits without any effect agree with nothing
        largest = np.argpartition(-np.abs(own), n_top - 1)[:n_top]
        theirs = np.argpartition(-np.abs(refits), n_top - 1, axis=0)[:n_top]
        overlap[drug] = np.isin(theirs, largest).mean()
    return Stability(rank, overlap, sign)
