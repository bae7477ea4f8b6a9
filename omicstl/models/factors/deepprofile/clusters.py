"""From the latent units of all members to factors: clusters of nodes by the published rule, or aligned by sign."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from omicstl._core.random import Streams
from omicstl.kernels.aligned_kmeans import aligned_kmeans, lead_signs
from omicstl.models.factors.autoencoder.likelihoods import ACTIVE

from .gmeans import g_means

PUBLISHED_SEED = 123


class Clusters(NamedTuple):
    """How each node enters its factor, ``sign * (mean - centre) / scale``, and its correlation with it."""

    label: np.ndarray  # (N,) -1: none
    sign: np.ndarray
    centre: np.ndarray
    scale: np.ndarray
    active: np.ndarray
    correlation: np.ndarray  # with the mean of its cluster; NaN outside
    variance: np.ndarray  # of its posterior mean over the observations


def cluster(nodes: np.ndarray, n_clusters: int | None, rule: str, random: Streams) -> Clusters:
    """
    Cluster the columns of `nodes`, (observations, N) posterior means.

    ``"published"`` is DeepProfile's: k-means on the columns as they are (scikit-learn, seed 123). A unit and its negative are
    two, and clusters follow the units of large variance. ``"aligned"`` leaves out units whose mean hardly varies, standardises
    the others, and clusters lines instead of points.
    """
    centre, spread = nodes.mean(axis=0, dtype=np.float64), nodes.std(axis=0, dtype=np.float64)
    active = spread**2 >= ACTIVE
    if rule == "published":
        from sklearn.cluster import KMeans

        k = g_means(nodes.T, random.generator("number of clusters")) if n_clusters is None else n_clusters
        found = KMeans(k, n_init=10, random_state=PUBLISHED_SEED).fit(nodes.T)
        label, ones = found.labels_.astype(np.int64), np.ones(len(centre))
        made = Clusters(label, ones, 0 * ones, ones, active, np.full(len(centre), np.nan), spread**2)
    else:
        if active.sum() < (n_clusters or 1):
            msg = (
                f"{int(active.sum())} of {active.size} latent units carry anything (variance of their posterior mean of at least "
                f"{ACTIVE:g}), too few for {n_clusters or 1} clusters. Lower `kl_weight` or `n_clusters`, train longer, or add members."
            )
            raise ValueError(msg)
        unit = ((nodes[:, active] - centre[active]) / (spread[active] * np.sqrt(len(nodes)))).astype(np.float32)
        draws = random.generator("number of clusters")
        k = g_means((unit * lead_signs(unit)).T, draws) if n_clusters is None else n_clusters
        aligned = aligned_kmeans(unit, k, random.generator("clusters"))
        label, sign = np.full(active.size, -1), np.ones(active.size)
        label[active], sign[active] = aligned.labels, aligned.signs
        made = Clusters(
            label, sign, centre, np.where(active, spread, 1.0), active, np.full(active.size, np.nan), spread**2
        )
    return _ordered(nodes, made, orient=rule == "aligned")


def _ordered(nodes: np.ndarray, made: Clusters, *, orient: bool) -> Clusters:
    """Largest clusters first; signs so that a factor is skewed to high values; and the correlations."""
    k = int(made.label.max()) + 1
    sizes = np.bincount(made.label[made.label >= 0], minlength=k)
    first = np.array([np.argmax(made.label == c) for c in range(k)])
    order = np.lexsort((first, -sizes))
    place = np.empty(k, int)
    place[order] = np.arange(k)
    label = np.where(made.label >= 0, place[made.label], -1)
    sign, correlation = made.sign.copy(), made.correlation.copy()
    for c in range(k):
        own = np.flatnonzero(label == c)
        values = (nodes[:, own].astype(np.float64) - made.centre[own]) * (sign[own] / made.scale[own])
        factor = values.mean(axis=1)
        centred = factor - factor.mean()
        if orient and np.sum(centred**3) < 0:
            sign[own], values, centred = -sign[own], -values, -centred
        apart = values - values.mean(axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            correlation[own] = centred @ apart / np.sqrt(np.sum(centred**2) * np.sum(apart**2, axis=0))
    return made._replace(label=label, sign=sign, correlation=correlation)


def stability(
    nodes: np.ndarray, scores: np.ndarray, size: np.ndarray, member: np.ndarray, label: np.ndarray
) -> np.ndarray:
    """
    How well other networks know each factor, (k,): the median over networks of the largest |r| of one of their units with it.

    Networks are those of the latent size that most of its units come from. NaN if there is one only. `nodes` (n, N), factors `scores` (n, k), and `size`, `member`, `label` (N,) of the nodes.
    """
    k = scores.shape[1]
    centred = nodes - nodes.mean(axis=0)
    units = centred / np.maximum(np.linalg.norm(centred, axis=0), np.finfo(np.float32).tiny)
    factors = scores - scores.mean(axis=0)
    factors = factors / np.maximum(np.linalg.norm(factors, axis=0), np.finfo(np.float32).tiny)
    r = np.abs(factors.T @ units)
    found = np.full(k, np.nan)
    for c in range(k):
        own = label == c
        sizes, counts = np.unique(size[own], return_counts=True)
        group = size == sizes[np.argmax(counts)]
        networks = np.unique(member[group])
        if networks.size > 1:
            found[c] = np.median([r[c, group & (member == m)].max() for m in networks])
    return found
