"""How far a fit repeats itself: refits from other signs, starts and hold-outs, matched factor by factor."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from threading import Event
from typing import NamedTuple

import numpy as np

from omicstl._core.random import Streams
from omicstl._core.threads import one_blas_thread
from omicstl.kernels.matching import match_factors
from omicstl.models.factors.annotation import NAMED_FDR

from .fit import Fit, Prior, Watch, decompose, fit_plier
from .model import PlierModel, PlierOptions, Prepared, Rows, hold_out


class Repeated(NamedTuple):
    """A fit that is to be repeated: its model, scores (n, k), and pairs of sets and factors that it found, by position."""

    model: PlierModel
    scores: np.ndarray
    sets: np.ndarray
    factors: np.ndarray


class Refits(NamedTuple):
    """Of every refit: |r| of each factor with its match (refits, k), and which pairs it found again (refits, pairs)."""

    correlation: np.ndarray
    found: np.ndarray


def refit_plier(
    first: Repeated,
    data: Prepared,
    rows: Rows,
    options: PlierOptions,
    n_refits: int,
    holdout: float,
    random: Streams,
    *,
    done: Callable[[], object] = lambda: None,
) -> Refits:
    """Refit a PLIER with its own sizes and penalties; even refits flip signs, odd ones start from random directions.

    Every refit holds out other members of the sets. Members of the two go side by side in our own threads; results do not
    depend on that.
    """
    model, singular = first.model, decompose(data)

    halt = Event()

    def follow(n_iter: int, change: float) -> None:
        if halt.is_set():  # the caller was interrupted: end with this chunk of about a second
            raise InterruptedError

    def once(i: int) -> Fit:
        own = Streams(int(random.generator("refit", i).integers(2**63)))
        prior = Prior(model.features, model.sets, model.prior, hold_out(model.prior, holdout, own.generator("holdout")))
        start = PlierOptions(**{**options.__dict__, "init": "random" if i % 2 else "signs"})
        fit = fit_plier(data, rows, prior, start, own, singular=singular, watch=Watch(report=follow))
        done()
        return fit

    correlation = np.zeros((n_refits, model.names.size))
    found = np.zeros((n_refits, first.sets.size), dtype=bool)
    workers = 1 if data.gram_form else min(os.cpu_count() or 1, 4)
    with one_blas_thread() if workers > 1 else nullcontext(), ThreadPoolExecutor(workers) as pool:
        try:
            for i, fit in enumerate(pool.map(once, range(n_refits))):
                match, r = match_factors(first.scores, fit.scores)
                correlation[i] = np.abs(r)
                seen = set(
                    zip(
                        fit.tests.set_index[fit.tests.fdr < NAMED_FDR],
                        fit.tests.factor_index[fit.tests.fdr < NAMED_FDR],
                        strict=True,
                    )
                )
                found[i] = [(j, match[f]) in seen for j, f in zip(first.sets, first.factors, strict=True)]
        except BaseException:
            halt.set()
            raise
    return Refits(correlation, found)
