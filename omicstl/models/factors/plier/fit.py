"""The fit of PLIER: start values, the loop on padded arrays, and what is known once it has ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from omicstl._core.random import Streams
from omicstl.kernels import enrichment, spectrum
from omicstl.models.factors import annotation

from .loop import Looped, Penalties, iterate
from .model import Counts, PlierModel, PlierOptions, Prepared, Rows, count_factors

if TYPE_CHECKING:
    import scipy.sparse as sp

STATUS = {0: "max_iter", 1: "tol", 2: "not decreasing", 4: "broken"}  # of `kernels.loop`
N_NULL = 200


class Fit(NamedTuple):
    """A model, the scores of its training rows (n, k), and the report of the run."""

    model: PlierModel
    scores: np.ndarray
    tests: enrichment.Enrichment
    p_permutation: np.ndarray
    counts: Counts
    stopped: str
    n_iter: int
    history: np.ndarray
    penalty_path: np.ndarray


class Prior(NamedTuple):
    """Names and memberships that a fit takes: genes (p,), sets (m,), C by columns, and what is held out of it."""

    genes: np.ndarray
    sets: np.ndarray
    membership: sp.csc_array
    heldout: np.ndarray

    def trained(self) -> sp.csc_array:
        """C without what is held out."""
        left = self.membership.copy()
        left.data = (~self.heldout).astype(np.float64)
        left.eliminate_zeros()
        return left


class Watch(NamedTuple):
    """Who follows a fit: `report` hears of progress, `size` of the number of factors before the loop starts, and may refuse it."""

    report: Callable[[int, float], None] = lambda n_iter, change: None
    size: Callable[[int], None] = lambda n_factors: None


def fit_plier(
    data: Prepared,
    rows: Rows,
    prior: Prior,
    options: PlierOptions,
    random: Streams,
    *,
    init_scores: np.ndarray | None = None,
    singular: spectrum.Spectrum | None = None,
    watch: Watch = Watch(),
) -> Fit:
    """Fit `options` to standardised `data`; `rows` are read once more in Gram form, for the scores.

    `singular` is the spectrum of `data` where it is known already.
    """
    if singular is None:
        singular = decompose(data)
    counts = count_factors(singular.values, data, options.n_factors, random.generator("permutation"))
    k = counts.used
    watch.size(k)
    score_penalty = float(singular.values[k - 1]) if options.score_penalty is None else options.score_penalty
    prior_weight = score_penalty / 2 if options.prior_weight is None else options.prior_weight
    penalties = Penalties(prior_weight, score_penalty)
    if init_scores is not None:
        first = np.asarray(init_scores, dtype=np.float32)
    else:
        first = spectrum.start_scores(singular, k, _directions(data, options, k, random)).astype(np.float32)
    del singular
    state = iterate(data, prior.trained(), options, first, penalties, watch.report)
    if STATUS[state.status] == "broken":
        msg = (
            f"The fit broke down at iteration {state.n_iter}: the scores are no longer finite. This happens when penalties "
            f"are far too small or too large (prior_weight {prior_weight:.3g}, score_penalty {score_penalty:.3g}); leave them "
            "at None, or take fewer factors."
        )
        raise ValueError(msg)
    return _finish(state, data, rows, prior, counts, penalties, random)


def decompose(data: Prepared) -> spectrum.Spectrum:
    """Singular values and vectors of the standardised data."""
    return spectrum.of_gram(data.data) if data.gram_form else spectrum.of_data(data.data)


def _directions(data: Prepared, options: PlierOptions, k: int, random: Streams) -> np.ndarray | None:
    """Where the factors start: the singular vectors (None), the same with random signs, or random directions."""
    generator = random.generator("init")
    if options.init == "signs":
        return np.diag(generator.choice([-1.0, 1.0], size=k))
    if options.init == "random":
        return np.linalg.qr(generator.standard_normal((min(data.data.shape[0], data.n_obs - 1), k)))[0]
    return None


def _finish(
    state: Looped,
    data: Prepared,
    rows: Rows,
    prior: Prior,
    counts: Counts,
    penalties: Penalties,
    random: Streams,
) -> Fit:
    trained, ridge = prior.trained(), penalties.prior_weight
    cross, inner, loadings = state.cross.astype(np.float64), state.inner, state.loadings
    if data.gram_form:
        scores, products = _score_rows(rows, data, state.scores, random.generator("null"))
        null = products - cross @ np.linalg.solve(inner + ridge * np.eye(len(inner)), state.scores.T @ products)
    else:
        scores = np.ascontiguousarray(state.scores.T)
        draws = _shuffled(state.scores, random.generator("null"))
        beside = draws - state.scores.T @ np.linalg.solve(inner + ridge * np.eye(len(inner)), state.scores @ draws)
        null = data.data @ beside.astype(np.float32)
    tests = enrichment.heldout_auc(loadings, state.weights, prior.membership, trained)
    unseen = enrichment.heldout_sets(state.weights, prior.membership, trained, unseen=True)
    p_permutation = enrichment.permutation_p(
        enrichment.pair_auc(loadings, unseen), unseen, np.maximum(null, 0).astype(np.float32)
    )
    wide = loadings.astype(np.float64)
    explained = 2 * np.sum(cross * wide, axis=1) - np.sum((wide @ inner) * wide, axis=1)
    model = PlierModel(
        features=prior.genes,
        names=name_factors(tests, state.weights, prior.sets),
        sets=prior.sets,
        loadings=loadings,
        weights=state.weights.astype(np.float32),
        mean=data.mean,
        scale=data.scale,
        noise=np.maximum(1 - explained / (data.n_obs - 1), 1e-3),
        score_cov=inner / (data.n_obs - 1),
        prior_indptr=prior.membership.indptr.astype(np.int32),
        prior_indices=prior.membership.indices.astype(np.int32),
        heldout=prior.heldout,
        auc=enrichment.auc_matrix(loadings, prior.membership).astype(np.float32),
        prior_weight=penalties.prior_weight,
        score_penalty=penalties.score_penalty,
        set_penalty=state.set_penalty,
        n_obs=data.n_obs,
    )
    return Fit(
        model,
        scores.astype(np.float32),
        tests,
        p_permutation,
        counts,
        STATUS[state.status],
        state.n_iter,
        state.history,
        state.penalty_path,
    )


def name_factors(tests: enrichment.Enrichment, weights: np.ndarray, sets: np.ndarray) -> np.ndarray:
    """Name a factor "LV3 Neutrophil" by the largest weight among sets that held-out members confirm, else "LV3"."""
    names = np.array([f"LV{i + 1}" for i in range(weights.shape[1])], dtype=object)
    strongest = np.zeros(weights.shape[1])
    confirmed = annotation.confirmed(tests.auc, tests.fdr)
    for j, i in zip(tests.set_index[confirmed], tests.factor_index[confirmed], strict=True):
        if weights[j, i] > strongest[i]:
            strongest[i], names[i] = weights[j, i], f"LV{i + 1} {sets[j]}"
    return names


def _shuffled(scores: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Scores of random factors with their samples shuffled, (n, draws)."""
    chosen = scores[generator.integers(len(scores), size=N_NULL)]
    return generator.permuted(chosen / np.maximum(chosen.std(axis=1, keepdims=True), 1e-12), axis=1).T.astype(
        np.float64
    )


def _score_rows(
    rows: Rows, data: Prepared, coefficients: np.ndarray, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """One more pass: ``B = Q' Y``, and ``Y G`` of random scores G, the many-sample limit of shuffled ones."""
    scores = np.empty((rows.n_rows, coefficients.shape[1]), dtype=np.float32)
    products = np.zeros((rows.n_cols, N_NULL))
    low = 0
    for block in rows.blocks():
        z = ((block - data.mean) / data.scale).astype(np.float32)
        scores[low : low + len(z)] = z @ coefficients
        products += z.T @ generator.standard_normal((len(z), N_NULL)).astype(np.float32)
        low += len(z)
    return scores, products
