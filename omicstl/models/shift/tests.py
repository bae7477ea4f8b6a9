"""Tests of what is the same in two domains: P(x), P(x | y) and P(y | x) (numpy; sizes checked by simulation).

All take x of few columns: principal components, scaled. y is a matrix of a basis of the labels: a column for each class, or
(1, y, y^2) of a number.
"""

from __future__ import annotations

import numpy as np

from omicstl.kernels import mmd


def basis(y: np.ndarray, n_classes: int) -> np.ndarray:
    """Columns that span functions of the label: classes, or (`n_classes` 0) a number and its square; NaN for unknown labels."""
    if n_classes:
        hot = (y[:, None] == np.arange(n_classes)[None, :]).astype(np.float64)
        hot[~np.isfinite(y)] = np.nan
        return hot
    return np.column_stack([np.ones(len(y)), y, y**2])


def _f_tail(statistic: float, top: float, bottom: float) -> float:
    from scipy.special import fdtrc

    if not np.isfinite(statistic) or top <= 0 or bottom <= 0:
        return float("nan")
    return float(fdtrc(top, bottom, max(statistic, 0.0)))


def same_marginal(
    source: np.ndarray, target: np.ndarray, generator: np.random.Generator, n_permutations: int
) -> tuple[float, float]:
    """Discrepancy (squared) and p of ``P_S(x) = P_T(x)``: the smaller of Hotelling's test of means and a kernel's, doubled."""
    n, m, k = len(source), len(target), source.shape[1]
    gap = source.mean(axis=0) - target.mean(axis=0)
    within = ((n - 1) * np.cov(source.T, ddof=1) + (m - 1) * np.cov(target.T, ddof=1)).reshape(k, k) / (n + m - 2)
    t2 = n * m / (n + m) * float(gap @ np.linalg.lstsq(within, gap, rcond=None)[0])
    p_mean = _f_tail(t2 * (n + m - k - 1) / ((n + m - 2) * k), k, n + m - k - 1)
    widths = mmd.bandwidths(source, target, generator=generator)
    found = mmd.mmd2(source, target, widths, n_permutations=n_permutations, generator=generator)
    return found.value, float(min(1.0, 2 * np.nanmin([p_mean, found.p])))


def explained_by_labels(source: np.ndarray, design: np.ndarray, target: np.ndarray) -> tuple[float, float, np.ndarray]:
    r"""
    Can other shares of the labels alone turn the source's means into the target's? Hansen's test of too many equations.

    With :math:`E_S[x \mid y] = B^\top b(y)`, label shift says :math:`E_T[x] = B^\top \beta` for some :math:`\beta = E_T[b(y)]`: k equations for as many
    unknowns as the basis has columns less one. Only means of labels that the source has are allowed: no share below 0, and no mean
    square of a number below its squared mean; where that binds there is one unknown less. Returns the statistic over its degrees of freedom, p, and the
    estimate of beta. NaN if there are not more equations than unknowns.
    """
    n, m, k = len(source), len(target), source.shape[1]
    q = design.shape[1] - 1
    classes = _of_classes(design)
    if k <= q or m <= k + 2:
        return float("nan"), float("nan"), np.full(q + 1, np.nan)
    coefficients = np.linalg.lstsq(design, source, rcond=None)[0]
    residual = source - design @ coefficients
    noise = residual.T @ residual / (n - q - 1)
    inverse = np.linalg.pinv(design.T @ design)
    mean = target.mean(axis=0)
    # beta = fixed + free @ v: shares sum to one, the coefficient of the constant is one.
    fixed = np.eye(q + 1)[-1] if classes else np.eye(q + 1)[0]
    free = np.vstack([np.eye(q), -np.ones(q)]) if classes else np.vstack([np.zeros(q), np.eye(q)])
    beta, seen = design.mean(axis=0), _seen(design)
    for _ in range(5):
        spread = np.cov(target.T, ddof=1) / m + noise * float(beta @ inverse @ beta)
        weight = np.linalg.pinv(spread, hermitian=True)
        slope = (free.T @ coefficients).T
        gap = mean - coefficients.T @ fixed
        new = fixed + free @ np.linalg.lstsq(slope.T @ weight @ slope, slope.T @ weight @ gap, rcond=None)[0]
        nearest = _nearest(new, seen, np.eye(q + 1))
        binds = float(np.abs(nearest - new).max()) > 1e-6
        if binds:
            values, vectors = np.linalg.eigh(weight)
            root = np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T
            new = _nearest(mean, seen, root @ coefficients.T, root)
        if np.abs(new - beta).max() < 1e-9:
            break
        beta = new
    left = mean - coefficients.T @ new
    statistic, top = float(left @ weight @ left), k - q + int(binds)
    return statistic / top, _f_tail(statistic / top * (m - k) / (m - 1), top, m - k), new


def same_shares(source: np.ndarray, design: np.ndarray, target: np.ndarray) -> tuple[float, float]:
    """
    Statistic and p of "the means do not move as other shares of labels would move them": a test in those directions alone.

    The part of Hotelling's statistic (each domain with a covariance of its own) that lies in the span of the slopes on the label, so it has
    more power against label shift than one in all directions.
    """
    n, m, k, q = len(source), len(target), source.shape[1], design.shape[1] - 1
    gap = target.mean(axis=0) - source.mean(axis=0)
    weight = np.linalg.pinv(np.atleast_2d(np.cov(source.T)) / n + np.atleast_2d(np.cov(target.T)) / m, hermitian=True)
    coefficients = np.linalg.lstsq(design, source, rcond=None)[0]
    slope = (coefficients[:-1] - coefficients[-1] if _of_classes(design) else coefficients[1:]).T
    side = slope.T @ weight @ gap
    statistic = float(side @ np.linalg.lstsq(slope.T @ weight @ slope, side, rcond=None)[0])
    q = min(q, k)
    return statistic / q, _f_tail(statistic / q * (n + m - k - q) / (n + m - 2), q, n + m - k - q)


def _of_classes(design: np.ndarray) -> bool:
    return bool(np.isin(design, (0.0, 1.0)).all())


def _seen(design: np.ndarray, most: int = 100) -> np.ndarray:
    """Rows of the basis for labels of the source, at most 100, the extreme ones among them."""
    rows = np.unique(design, axis=0)
    return rows[np.unique(np.linspace(0, len(rows) - 1, min(most, len(rows))).round().astype(int))]


def _nearest(goal: np.ndarray, seen: np.ndarray, map_: np.ndarray, root: np.ndarray | None = None) -> np.ndarray:
    """The mean of `seen` under some shares, none below 0, whose image is nearest to the goal."""
    from scipy.optimize import nnls

    image, wanted = map_ @ seen.T, goal if root is None else root @ goal
    heavy = 1e3 * max(float(np.abs(image).max()), float(np.abs(wanted).max()), 1e-300)
    shares = nnls(np.vstack([image, np.full(len(seen), heavy)]), np.append(wanted, heavy))[0]
    return seen.T @ (shares / shares.sum())


def same_given_label(
    source: np.ndarray, source_design: np.ndarray, target: np.ndarray, target_design: np.ndarray
) -> tuple[float, float]:
    """Pillai's trace and p of ``E_S[x | y] = E_T[x | y]``, from labelled rows of both: multivariate regression with and without the domain."""
    n_own = target_design.shape[1] - (0 if _of_classes(target_design) else 1)  # domain x (1, y), or x class
    extra = target_design[:, :n_own]
    seen = np.abs(extra).sum(axis=0) > 0
    x = np.concatenate([source, target])
    null = np.concatenate([source_design, target_design])
    added = np.concatenate([np.zeros((len(source), int(seen.sum()))), extra[:, seen]])
    left, left_added = _residual(x, null), _residual(added, null)
    n, k, q = len(x), x.shape[1], np.linalg.matrix_rank(left_added)
    after = _residual(left, left_added)
    error, effect = after.T @ after, left.T @ left - after.T @ after
    trace = float(np.trace(np.linalg.lstsq(error + effect, effect, rcond=None)[0]))
    rank = min(k, q)
    free = n - null.shape[1] - q
    top, bottom = k * q, rank * (free - k + rank)
    f = (trace / top) / max((rank - trace) / bottom, 1e-300) if bottom > 0 else float("nan")
    return trace, _f_tail(f, top, bottom)


def _residual(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    return y - x @ np.linalg.lstsq(x, y, rcond=None)[0]


def _with_powers(x: np.ndarray) -> np.ndarray:
    return np.column_stack([np.ones(len(x)), x, x**2])


def same_given_features(
    source: np.ndarray, y_source: np.ndarray, target: np.ndarray, y_target: np.ndarray, *, binary: bool
) -> tuple[float, float]:
    """
    Score test and p of ``E_S[y | x] = E_T[y | x]``: do residuals of labelled target rows go with the domain, or its product with x?

    One regression of all labelled rows on x and its squares (logistic for a class), without the domain. Tested in two ways, the smaller p doubled:
    the target's offset and slope on the prediction (2 degrees of freedom), and its offset and slopes on every column, as many as labels allow.
    """
    x, y = np.concatenate([source, target]), np.concatenate([y_source, y_target])
    design = _with_powers(x)
    fitted, weight = _fit(design, y, binary)
    residual = y - fitted
    n, m = len(source), len(target)
    scale = 1.0 if binary else float(residual @ residual) / max(len(y) - design.shape[1], 1)
    predictor = np.log(np.clip(fitted, 1e-9, 1 - 1e-9) / np.clip(1 - fitted, 1e-9, 1)) if binary else fitted
    found = []
    columns = max(1, min(source.shape[1], m // 5 - 1))
    for extra in (predictor[n:, None], target[:, :columns]):
        extra = np.column_stack([np.ones(m), extra])
        added = np.zeros((n + m, extra.shape[1]))
        added[n:] = extra
        root = np.sqrt(weight)[:, None]
        own = _residual(root * added, root * design)
        # Each domain has a spread of its own, so the variance of the score is made from squared residuals.
        score = added.T @ residual
        information = own.T @ own * scale
        q = added.shape[1]
        statistic = float(score @ np.linalg.lstsq(information, score, rcond=None)[0])
        found.append((statistic / q, _f_tail(statistic / q, q, max(m - q, 1))))
    best = int(np.nanargmin([p for _, p in found]))
    return found[best][0], float(min(1.0, 2 * found[best][1]))


def _fit(design: np.ndarray, y: np.ndarray, binary: bool) -> tuple[np.ndarray, np.ndarray]:
    """Fitted values and weights of a regression with a little ridge (1e-3 a row); logistic by Newton's method."""
    n, p = design.shape
    ridge = 1e-3 * n * np.diag(np.append(0.0, np.ones(p - 1)))
    if not binary:
        return design @ np.linalg.solve(design.T @ design + 1e-6 * ridge, design.T @ y), np.ones(n)
    b = np.zeros(p)
    for _ in range(100):
        mean = 1 / (1 + np.exp(-np.clip(design @ b, -30, 30)))
        weight = np.maximum(mean * (1 - mean), 1e-9)
        step = np.linalg.solve((design.T * weight) @ design + ridge, design.T @ (y - mean) - ridge @ b)
        size = min(1.0, 5.0 / max(float(np.abs(design @ step).max()), 1e-12))
        b = b + size * step
        if np.abs(step).max() < 1e-8:
            break
    mean = 1 / (1 + np.exp(-np.clip(design @ b, -30, 30)))
    return mean, np.maximum(mean * (1 - mean), 1e-9)
