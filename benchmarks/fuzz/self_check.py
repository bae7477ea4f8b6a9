"""Functions that break every promise, to see that the campaign sees it."""

from __future__ import annotations

import os
import time
from typing import Any

import numpy as np
import scipy.sparse as sp
from anndata import AnnData

from tests.contract import cases

from .subjects import Subject


def sound(adata: AnnData, *, penalty: float = 1.0) -> np.ndarray:
    """Nothing is wrong with it."""
    return np.asarray(adata.X.sum(axis=0)).ravel() / penalty


def raw(adata: AnnData, *, penalty: float = 1.0) -> float:
    """An error of numpy or Python reaches the user."""
    return 1.0 + penalty


def nan(adata: AnnData, *, penalty: float = 1.0) -> np.ndarray:
    """NaN without a word."""
    with np.errstate(all="ignore"):
        return np.zeros(adata.n_obs) / np.asarray(penalty)


def changed(adata: AnnData, *, penalty: float = 1.0) -> float:
    """The input is not what it was."""
    adata.uns["left"] = penalty
    return 1.0


def different(adata: AnnData, *, penalty: float = 1.0) -> float:
    """A sparse matrix has another answer."""
    return 1.0 if sp.issparse(adata.X) else 2.0


def text(adata: AnnData, *, penalty: float = 1.0) -> float:
    """An error of its own that says nothing; it counts as ours for the check alone."""
    if penalty != 1.0:
        msg = "wrong"
        raise ValueError(msg)
    return 1.0


def crash(adata: AnnData, *, penalty: float = 1.0) -> float:
    """The process dies."""
    if penalty != 1.0:
        os.abort()
    return 1.0


def hang(adata: AnnData, *, penalty: float = 1.0) -> float:
    """It never ends."""
    while penalty != 1.0:
        time.sleep(0.01)
    return 1.0


PENALTY = [["argument", "penalty", "0.0"]]
#: What is broken, a change that shows it, and the verdict that is due.
BROKEN: dict[str, tuple[list[Any], str]] = {
    "sound": ([["layout", "adata", "X", "csr", "float32"]], "returned"),
    "raw": ([["argument", "penalty", "'junk'"]], "raw"),
    "nan": (PENALTY, "nan"),
    "changed": (PENALTY, "changed"),
    "different": ([["layout", "adata", "X", "csr", "float32"]], "different"),
    "text": (PENALTY, "text"),
    "crash": (PENALTY, "crash"),
    "hang": (PENALTY, "hang"),
}
SUBJECTS = tuple(Subject(f"broken.{name}", lambda: {"adata": cases.query()}) for name in BROKEN)
