"""Plain models that any transfer has to be held against; what they cost is small, what they tell is much (numpy, scikit-learn)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from omicstl._core.random import Streams
from omicstl._core.threads import one_thread
from omicstl.models.transfer.scores import rank_correlation
from omicstl.models.transfer.screen import Lines

from .source import Source
from .space import Space, members

MOST_GENES = 500
FOLDS = 5


class Baseline(NamedTuple):
    """A plain model: its scores of the cells, and how well it predicts lines that it has not seen."""

    name: str
    score: np.ndarray | None
    """(m,), larger is more sensitive; `None` where it was not fitted."""
    source_rho: float
    """Rank correlation with the response, whole lineages left out; NaN where it has none."""
    note: str


def folds_of(groups: np.ndarray, generator: np.random.Generator, n_folds: int = FOLDS) -> np.ndarray:
    """Deal whole groups out to folds of similar size."""
    rows = members(groups)
    order = sorted(generator.permutation(len(rows)), key=lambda i: -rows[i].size)
    fold, size = np.empty(len(groups), dtype=np.intp), np.zeros(min(n_folds, len(rows)))
    for i in order:
        smallest = int(np.argmin(size))
        fold[rows[i]] = smallest
        size[smallest] += rows[i].size
    return fold


def own_ridge(source: Source, space: Space) -> Baseline:
    """Ridge on the z-scores of the shared genes, each side by itself."""
    score = space.cell_coords @ source.fit.coefficients(source.y, source.penalty)
    rho = float(rank_correlation(source.out_of_fold, source.y))
    return Baseline("ridge", score, rho, "shared genes, each side z-scored by itself")


def unaligned(source: Source, space: Space, lines: Lines, raw: np.ndarray, scaled: bool) -> Baseline:
    """Ridge with the cells in the lines' units: no alignment at all."""
    if scaled:
        return Baseline("unaligned ridge", None, np.nan, "not possible: the cells come as z-scores")
    spread = np.maximum(np.asarray(lines.x).std(axis=0)[space.kept], 1e-6)
    weights = np.zeros(raw.shape[1], raw.dtype)
    weights[space.kept] = space.weights(source.fit.coefficients(source.y, source.penalty)) / spread
    rho = float(rank_correlation(source.out_of_fold, source.y))
    return Baseline("unaligned ridge", raw @ weights, rho, "cells in units of the lines")


def logistic(source: Source, space: Space, generator: np.random.Generator) -> Baseline:
    """L2 logistic regression, for a response of two classes."""
    from sklearn.linear_model import LogisticRegression

    x = source.fit.rotated
    scale = max(float(np.sqrt(source.fit.values[0] / len(x))), 1e-12)
    classes = source.y > np.median(np.unique(source.y))
    if not (classes.any() and (~classes).any()):
        return Baseline("logistic regression", None, np.nan, "one class only")
    model = LogisticRegression(C=max(scale**2 / (source.penalty / len(x)), 1e-4), max_iter=200)
    out = np.full(len(x), np.nan)
    fold = folds_of(source.groups, generator)
    for rows in members(fold):
        rest = np.ones(len(x), dtype=bool)
        rest[rows] = False
        if 0 < classes[rest].sum() < rest.sum():
            out[rows] = model.fit(x[rest] / scale, classes[rest]).decision_function(x[rows] / scale)
    model.fit(x / scale, classes)
    score = space.cell_coords @ (source.fit.rotation @ model.coef_[0])
    seen = np.isfinite(out)
    rho = float(rank_correlation(out[seen], classes[seen].astype(float))) if seen.sum() > 2 else np.nan
    return Baseline("logistic regression", score, rho, "components of the shared genes")


def boosting(source: Source, space: Space, generator: np.random.Generator, seed: int) -> Baseline:
    """Histogram gradient boosting on at most 500 genes, those that follow the response most in the lines of each fold."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    x, y = space.lines[source.rows], source.y

    def fitted(rows: np.ndarray) -> tuple[HistGradientBoostingRegressor, np.ndarray]:
        strength = np.abs((y[rows] - y[rows].mean()) @ x[rows])
        genes = np.sort(np.argsort(-strength, kind="stable")[:MOST_GENES])
        model = HistGradientBoostingRegressor(
            max_iter=100, learning_rate=0.08, max_leaf_nodes=8, min_samples_leaf=min(20, max(rows.size // 5, 2)),
            early_stopping=False, random_state=seed,
        )  # fmt: skip
        return model.fit(x[np.ix_(rows, genes)], y[rows]), genes

    out = np.empty(y.size)
    with one_thread():
        for rows in members(folds_of(source.groups, generator)):
            model, genes = fitted(np.setdiff1d(np.arange(y.size), rows))
            out[rows] = model.predict(x[np.ix_(rows, genes)])
        model, genes = fitted(np.arange(y.size))
        score = model.predict(space.cells[:, genes])
    return Baseline(
        "boosting", score, float(rank_correlation(out, y)), f"histogram boosting on {genes.size} screened genes"
    )


def first_component(first: np.ndarray) -> Baseline:
    """Score cells by their own first component; its sign means nothing."""
    return Baseline("first component", first, np.nan, "of the cells; its sign means nothing")


def general(source: Source, space: Space, sensitivity: np.ndarray | None, rho: float) -> Baseline:
    """Ridge to the mean sensitivity of each line to all other drugs."""
    if sensitivity is None:
        return Baseline("general sensitivity", None, np.nan, "not fitted: too few other drugs")
    score = space.cell_coords @ source.fit.coefficients(sensitivity, source.penalty)
    return Baseline("general sensitivity", score, rho, "trained on the mean over all other drugs")


def untrained() -> Baseline:
    """Say that no network without alignment was trained; `baselines_network` trains it."""
    return Baseline("unaligned network", None, np.nan, "not checked: level='full' trains it")


def fitted_baselines(
    source: Source,
    space: Space,
    lines: Lines,
    raw: np.ndarray,
    scaled: bool,
    level: str,
    random: Streams,
    *,
    network: Baseline | None = None,
) -> list[Baseline]:
    """Return the baselines of a level; boosting and the network, which is made for all drugs at once, are part of "full" only."""
    found = [own_ridge(source, space), unaligned(source, space, lines, raw, scaled)]
    if source.binary:
        found.append(logistic(source, space, random.generator("logistic")))
    if level == "full":
        seed = int(random.generator("boosting seed").integers(2**31))
        found.append(boosting(source, space, random.generator("boosting"), seed))
    else:
        found.append(Baseline("boosting", None, np.nan, "not checked: level='full' fits it"))
    return [*found, untrained() if network is None else network]
