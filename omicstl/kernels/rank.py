"""How many factors? Counts from singular values, by rules that can be compared (numpy: a few hundred numbers).

All take a matrix whose rows (genes) are z-scored over its columns (samples), standard deviation with n - 1. Its noise
is then known without estimating it: a row without structure has variance one, and one dimension goes to the mean.

Counts on blood by ``benchmarks/number_of_factors.py``, 972 samples × 4,470 genes (ranges over four draws of 80 % of the genes; over three draws each of
samples of this cohort and of another of 177):

==================  =============  ===================  ============  ============  ============
rule                972 samples    first 200 / 100      80 % genes    82 samples    20 samples
==================  =============  ===================  ============  ============  ============
elbow               136            66 / 31              94-156        16-30         4-10
gavish_donoho       68             refused              64-66         9-12          2-4
permutation         42             needs Y              -             10-13         4-6
marchenko_pastur    36             36 / 36              34            9-11          3-5
==================  =============  ===================  ============  ============  ============
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Real
from scipy.linalg import eigvalsh

Values = np.ndarray | float


def _median3(a: Values, b: Values, c: Values) -> Values:
    return np.maximum(np.minimum(a, b), np.minimum(np.maximum(a, b), c))


def _repeated_median(x: np.ndarray) -> np.ndarray:
    """Tukey's 3R: running medians of three until nothing changes, then his rule for the two ends."""
    y = x.copy()
    if y.size < 3:
        return y
    while True:
        smooth = _median3(y[:-2], y[1:-1], y[2:])
        if np.array_equal(smooth, y[1:-1]):
            break
        y[1:-1] = smooth
    y[0] = _median3(3 * y[1] - 2 * y[2], x[0], y[1])
    y[-1] = _median3(y[-2], x[-1], 3 * y[-2] - 2 * y[-3])
    return y


def _split(x: np.ndarray) -> tuple[np.ndarray, bool]:
    """Tukey's S: a peak or valley of two equal values is cut, each side continued from its own neighbours.

    The flag is that of the last value that was looked at, as in R's ``smooth``, and not "anything changed".
    """
    y = x.copy()
    changed = False
    if x.size <= 4:
        return y, changed
    i = np.arange(2, x.size - 3)
    before, after = np.sign(x[i] - x[i - 1]), np.sign(x[i + 2] - x[i + 1])
    for j in i[(x[i] == x[i + 1]) & (before * after < 0)]:
        for at, near, far in ((j, j - 1, j - 2), (j + 1, j + 2, j + 3)):
            line = 3 * x[near] - 2 * x[far]
            y[at] = _median3(x[at], x[near], line)
            if y[at] != x[at] or line == x[at]:
                changed = bool(y[at] != x[at])
    return y, changed


def tukey_smooth(x: Real[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
    """Tukey's running median smoother 3RS3R, applied again to what it leaves ("twicing")."""
    x = np.asarray(x, dtype=np.float64)
    smooth = _smooth_once(x)
    return smooth + _smooth_once(x - smooth)


def _smooth_once(x: np.ndarray) -> np.ndarray:
    once = _repeated_median(x)
    split, changed = _split(once)
    return _repeated_median(split) if changed else once


def elbow(singular_values: Real[np.ndarray, "values"]) -> int:
    """Elbow of the original PLIER (``num.pc``): where the smoothed curvature first falls to its median.

    The median runs over all singular values given: a truncated decomposition has another elbow.
    """
    d = np.asarray(singular_values, dtype=np.float64)
    if d.size < 3:
        return int(d.size)
    curvature = tukey_smooth(np.abs(np.diff(d, n=2)))
    return int(np.argmax(curvature <= np.median(curvature))) + 2


def marchenko_pastur(eigenvalues: Real[np.ndarray, "values"], n_rows: int, n_cols: int) -> int:
    """Eigenvalues of ``Y Y'`` (squared singular values of z-scored Y) that noise of variance one would not give.

    The bound is the upper edge of Marchenko and Pastur, ``(sqrt(p) + sqrt(n - 1))^2``, plus the 95 % point of what the
    largest noise eigenvalue varies about it (Johnstone 2001). It needs no other value than those above it, so it is
    the same whether all were computed or a few, and moves little with genes and samples. Estimating the variance
    again from what remains after each component sounds better and is not: genes of real data are correlated to the
    last component, the bound sinks with each step (972 samples of blood: 36 becomes 265, and 160 of them 102-118).
    """
    p, n = float(n_rows), float(n_cols - 1)
    if n < 1:
        return 0
    root = np.sqrt(p) + np.sqrt(n)
    spread = root * (1 / np.sqrt(p) + 1 / np.sqrt(n)) ** (1 / 3)
    return int(np.count_nonzero(np.asarray(eigenvalues) > root**2 + 0.9793 * spread))


def gavish_donoho(singular_values: Real[np.ndarray, "values"], n_rows: int, n_cols: int) -> int:
    """Singular values worth keeping at an unknown noise level (Gavish and Donoho 2014, equation 11).

    The noise level comes from the median singular value of all ``min(n_rows, n_cols - 1)``; a decomposition that was
    cut before the median is refused.
    """
    d = np.sort(np.asarray(singular_values, dtype=np.float64))[::-1]
    p, n = n_rows, n_cols - 1
    size = min(p, n)
    middle = size // 2
    if size < 1:
        return 0
    if d.size < middle + 1:
        msg = f"`singular_values` must hold at least {middle + 1} of {size} values, got {d.size}. Use marchenko_pastur."
        raise ValueError(msg)
    median = d[middle] if size % 2 else (d[middle - 1] + d[middle]) / 2
    ratio = size / max(p, n)
    limit = np.sqrt(2 * (ratio + 1) + 8 * ratio / (ratio + 1 + np.sqrt(ratio**2 + 14 * ratio + 1)))
    return int(np.count_nonzero(d[:size] > limit * median / np.sqrt(_marchenko_pastur_median(ratio))))


def _marchenko_pastur_median(ratio: float) -> float:
    """Median of the Marchenko-Pastur law, by the midpoint rule in the angle (the density has square-root ends)."""
    low, high = (1 - np.sqrt(ratio)) ** 2, (1 + np.sqrt(ratio)) ** 2
    angle = (np.arange(20_000) + 0.5) * np.pi / 20_000
    x = (low + high) / 2 - (high - low) / 2 * np.cos(angle)
    share = np.cumsum(np.sin(angle) ** 2 / x)
    return float(np.interp(0.5, share / share[-1], x))


def permutation(
    y: Float[np.ndarray, "genes samples"],
    generator: np.random.Generator,
    *,
    n_permutations: int = 20,
    threshold: float = 0.1,
) -> int:
    """Components whose share of variance is beyond that of the data with every gene permuted over samples.

    Component by component, p-values made monotone, as in PLIER's ``num.pc(method="permutation")``.
    Needs y in memory; cost ``n_permutations`` times O(genes · samples · min(genes, samples)).
    """
    y = np.asarray(y)
    observed = _spectrum(y)
    exceeded = np.zeros(observed.size)
    for _ in range(n_permutations):
        exceeded += _spectrum(generator.permuted(y, axis=1)) >= observed
    p = np.maximum.accumulate(exceeded / n_permutations)
    return int(np.count_nonzero(p <= threshold))


def _spectrum(y: np.ndarray) -> np.ndarray:
    """Descending eigenvalues of the smaller Gram matrix, those that centring leaves."""
    gram = y @ y.T if y.shape[0] <= y.shape[1] else y.T @ y
    values = np.maximum(eigvalsh(gram.astype(np.float64))[::-1], 0.0)
    return values[: min(y.shape[0], max(y.shape[1] - 1, 1))]


def n_factors(n_components: int, n_cols: int, *, multiple: float | int = 3.0) -> int:
    """Factors to fit for a number of components: a multiple, at least two, at most nine tenths of the samples.

    Non-negative factors split what one component carries. On held-out genes of held-out samples of blood the cut at
    three times the Marchenko-Pastur count is within 0.4 % of the best plain cut (82, 177 and 972 samples), and with
    scores shrunk as PLIER shrinks them within 2.5 %; the original doubles its elbow, MultiPLIER takes 1.3 times.
    """
    return int(max(2, min(round(multiple * n_components), np.floor(0.9 * n_cols))))
