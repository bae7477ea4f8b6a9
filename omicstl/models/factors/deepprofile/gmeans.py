"""How many clusters: DeepProfile's G-means (Hamerly and Elkan 2003), with what was random in it made repeatable."""

from __future__ import annotations

import warnings

import numpy as np

LEVEL = 3  # of scipy's critical values 15, 10, 5, 2.5 and 1 %: 2.5 %, as in the original
DEPTH = 10


def g_means(points: np.ndarray, generator: np.random.Generator, *, depth: int = DEPTH) -> int:
    """
    Number of clusters of rows: a cluster is split in two as long as its points do not look normal along the line between the halves.

    The original's recursion (``gmeans.py`` of DeepProfile): halves by k-means, points projected on the line through their centres,
    Anderson and Darling's test at 2.5 %. A cluster is not split further at `depth`, or where a half would have one point.
    """
    if depth <= 1 or len(points) < 8:
        return 1
    from scipy.stats import anderson
    from sklearn.cluster import KMeans

    halves = KMeans(2, n_init=3, random_state=int(generator.integers(2**31))).fit(points)
    sizes = np.bincount(halves.labels_, minlength=2)
    line = halves.cluster_centers_[0] - halves.cluster_centers_[1]
    length = float(line @ line)
    if sizes.min() <= 1 or length <= 0:
        return 1
    along = points @ line / length
    with warnings.catch_warnings():  # scipy is about to change what it returns
        warnings.simplefilter("ignore")
        test = anderson((along - along.mean()) / along.std(), dist="norm")
        if test.statistic <= test.critical_values[LEVEL]:
            return 1
    return sum(g_means(points[halves.labels_ == half], generator, depth=depth - 1) for half in (0, 1))
