"""How well a number or a batch is read from an embedding: folds and intervals by patient, penalties chosen inside (numpy).

Used by `quality_deepprofile.py`, which says what is measured. Embeddings are arrays (samples, columns), or lists of them of
which the inner folds choose one.
"""

from __future__ import annotations

import numpy as np

ALPHAS = np.logspace(-5, 3, 25)
"""Penalties, in units of the mean eigenvalue of the training samples' cross-product."""
REPEATS, FOLDS = 5, 5
SCALINGS = {"standardised": (True,), "raw": (False,), "chosen": (True, False)}


def folds_of(groups: np.ndarray, n_folds: int, rng: np.random.Generator) -> np.ndarray:
    """A fold for every sample; all samples of a patient share it."""
    names, code = np.unique(groups, return_inverse=True)
    return (rng.permutation(len(names)) % n_folds)[code]


def ridge(x: np.ndarray, y: np.ndarray, new: np.ndarray, standardise: bool) -> np.ndarray:
    """Predictions for `new` with every penalty: (penalties, samples)."""
    mean, sd = x.mean(0), x.std(0)
    sd = np.where(sd > 1e-9, sd, 1) if standardise else 1.0
    x, new, centre = (x - mean) / sd, (new - mean) / sd, y.mean()
    if x.shape[1] <= len(x):
        values, vectors = np.linalg.eigh(x.T @ x)
        weights, new = vectors.T @ (x.T @ (y - centre)), new @ vectors
    else:
        values, vectors = np.linalg.eigh(x @ x.T)
        weights, new = vectors.T @ (y - centre), (new @ x.T) @ vectors
    penalty = ALPHAS * values.sum() / x.shape[1]
    return (new @ (weights[:, None] / (np.maximum(values, 0)[:, None] + penalty))).T + centre


def fit_predict(
    ways: list, y: np.ndarray, groups: np.ndarray, train: np.ndarray, seed: int
) -> tuple[np.ndarray, tuple]:
    """The way and penalty with the least squared error in folds of the training patients; what they predict."""
    fold = folds_of(groups[train], FOLDS, np.random.default_rng(seed))
    error = np.zeros((len(ways), len(ALPHAS)))
    for k in range(FOLDS):
        fit, left = train[fold != k], train[fold == k]
        for i, (x, _, standardise) in enumerate(ways):
            error[i] += ((ridge(x[fit], y[fit], x[left], standardise) - y[left]) ** 2).sum(1)
    way, penalty = np.unravel_index(error.argmin(), error.shape)
    x, new, standardise = ways[way]
    return ridge(x[train], y[train], new, standardise)[penalty], (int(way), int(penalty))


def _ways(embedding, new, scaling: str) -> list:
    pairs = zip(*((e if isinstance(e, list) else [e]) for e in (embedding, new)), strict=True)
    return [(a.astype(np.float64), b.astype(np.float64), s) for a, b in pairs for s in SCALINGS[scaling]]


def evaluate_within(embedding, targets: dict, subjects: np.ndarray, scaling: str = "standardised") -> dict:
    """
    Left-out predictions (repeats, samples) of each target; NaN where it was not measured.

    `embedding` is an array (samples, columns), or a list of them of which the inner folds choose one.
    """
    out = {}
    ways = _ways(embedding, embedding, scaling)
    for name, y in targets.items():
        there = np.flatnonzero(np.isfinite(y))
        few = [(x[there], new[there], s) for x, new, s in ways]
        out[name] = np.full((REPEATS, len(y)), np.nan)
        for repeat in range(REPEATS):
            fold = folds_of(subjects[there], FOLDS, np.random.default_rng(repeat))
            for k in range(FOLDS):
                left = fold == k
                mine = [(x, new[left], s) for x, new, s in few]
                train = np.flatnonzero(~left)
                out[name][repeat, there[left]], _ = fit_predict(mine, y[there], subjects[there], train, 1000 + repeat)
    return out


def evaluate_across(embedding, new, targets: dict, subjects: np.ndarray, scaling: str = "standardised") -> dict:
    """Predictions (repeats, samples) for another cohort; only the folds that choose the penalty differ between repeats."""
    out = {}
    for name, y in targets.items():
        there = np.flatnonzero(np.isfinite(y))
        few = [(x[there], other, s) for x, other, s in _ways(embedding, new, scaling)]
        train = np.arange(len(there))
        out[name] = np.stack(
            [fit_predict(few, y[there], subjects[there], train, 1000 + repeat)[0] for repeat in range(REPEATS)]
        )
    return out


def draws_of(subjects: np.ndarray, n_boot: int) -> np.ndarray:
    """How often each patient is drawn; the first row is the cohort itself."""
    n = len(np.unique(subjects))
    return np.vstack([np.ones(n), np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), size=n_boot)])


def correlations(y: np.ndarray, predictions: np.ndarray, subjects: np.ndarray, n_boot: int) -> np.ndarray:
    """Pearson r in the cohort (first) and in every draw of its patients, mean of the repeats."""
    there = np.isfinite(y)
    code = np.unique(subjects[there], return_inverse=True)[1]
    draws, y = draws_of(code, n_boot), y[there] - y[there].mean()
    total = np.zeros(n_boot + 1)
    for x in predictions[:, there]:
        x = x - x.mean()
        sums = np.stack([np.bincount(code, weights=w) for w in (np.ones_like(x), x, y, x * x, y * y, x * y)], axis=1)
        n, sx, sy, xx, yy, xy = (draws @ sums).T
        total += (n * xy - sx * sy) / np.sqrt((n * xx - sx**2) * (n * yy - sy**2))
    return total / len(predictions)


def interval(values: np.ndarray) -> list[float]:
    """The figure and its 95 % interval."""
    return [round(float(v), 4) for v in (values[0], *np.quantile(values[1:], [0.025, 0.975]))]


def read_batch(embedding: np.ndarray, batch: np.ndarray, subjects: np.ndarray, reader: str) -> np.ndarray:
    """Left-out scores (repeats, samples) of belonging to the second batch."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss
    from sklearn.model_selection import StratifiedGroupKFold

    def linear(penalty: float) -> LogisticRegression:
        return LogisticRegression(C=penalty, max_iter=2000, tol=1e-3)

    def fit(x: np.ndarray, y: np.ndarray, groups: np.ndarray, seed: int):
        if reader == "forest":
            return RandomForestClassifier(100, min_samples_leaf=2, random_state=seed).fit(x, y)
        inner = list(StratifiedGroupKFold(3, shuffle=True, random_state=seed).split(x, y, groups))
        grid = np.logspace(-4, 0, 5)
        loss = [sum(log_loss(y[b], linear(c).fit(x[a], y[a]).predict_proba(x[b])) for a, b in inner) for c in grid]
        return linear(grid[int(np.argmin(loss))]).fit(x, y)

    repeats = 1 if reader == "forest" else 2
    out = np.empty((repeats, len(batch)))
    for repeat in range(repeats):
        for a, b in StratifiedGroupKFold(FOLDS, shuffle=True, random_state=repeat).split(embedding, batch, subjects):
            mean, sd = embedding[a].mean(0), embedding[a].std(0)
            x = (embedding - mean) / np.where(sd > 1e-9, sd, 1)
            found = fit(x[a], batch[a], subjects[a], repeat)
            p = np.clip(found.predict_proba(x[b])[:, 1], 1e-12, 1 - 1e-12)
            out[repeat, b] = np.log(p / (1 - p))
    return out


def areas(scores: np.ndarray, batch: np.ndarray, subjects: np.ndarray, n_boot: int) -> np.ndarray:
    """Area under the curve in the cohort (first) and in every draw of its patients, mean of the repeats."""
    code = np.unique(subjects, return_inverse=True)[1]
    weight = draws_of(code, n_boot)[:, code]
    total = np.zeros(n_boot + 1)
    for s in scores:
        high, low = s[batch == 1][:, None], s[batch == 0][None]
        won = (high > low) + 0.5 * (high == low)
        w1, w0 = weight[:, batch == 1], weight[:, batch == 0]
        total += ((w1 @ won) * w0).sum(1) / (w1.sum(1) * w0.sum(1))
    return total / len(scores)
