"""Weights that give a source's classes the shares that they have in a target without labels (numpy)."""

from __future__ import annotations

import numpy as np

from omicstl.kernels import label_shift

from .heads import Task, fit_head, labelled, probabilities

FEWEST = 0.05  # of a class in the target: an estimate below it would leave the class out of an alignment


def class_shift_weights(
    task: Task, x: np.ndarray, y: np.ndarray, target: np.ndarray, *, groups: np.ndarray | None = None
) -> np.ndarray:
    r"""Weights (n,) of source rows `x` (n, r) with classes `y` (n, 1) for an alignment with the rows of `target` (m, r).

    .. math:: w_i = \hat\pi^T_{y_i} / \pi^S_{y_i}

    with the target's shares by maximum likelihood (Saerens 2002) from a logistic regression whose probabilities for rows that were left out
    (with their `groups`) are calibrated. No share is taken to be below `FEWEST`. Rows without label have weight 1, as all have where one class is known.
    """
    out = np.ones(len(x))
    known = labelled(y)
    code = y[known, 0].astype(np.int64)
    n_classes = len(task.names)
    share = np.bincount(code, minlength=n_classes) / max(code.size, 1)
    seen = share > 0
    if seen.sum() < 2:
        return out
    head = fit_head(task, x, y, groups=groups)
    calibration = label_shift.calibrate(probabilities(task, head.left_out[known]), code)
    cells = label_shift.calibrated(probabilities(task, head.decide(target)), calibration)
    found = np.where(seen, label_shift.expectation_maximisation(cells, share).shares, 0.0)
    found = np.where(seen, np.maximum(found, FEWEST), 0.0)
    out[known] = (found / found.sum() / np.where(seen, share, 1.0))[code]
    return out
