"""PLIER's alternating updates (Mao et al. 2019, Online Methods): Y ~ Z B with Z ~ C U."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.sparse import BCSR
from jaxtyping import Array, Bool, Float, Int

from . import elastic_net
from .linalg import spd_inverse
from .loop import BROKEN, CONVERGED, GROW, RUNNING, STALLED

AnyArray = Array | np.ndarray

FIRST_WEIGHTS = 20  # the prior enters at this iteration, and the set penalty is chosen anew every so many
STALL_LAG, STALL_START, STALL_LIMIT = 50, 52, 5


class Program(NamedTuple):
    """What decides the compiled program besides the shapes."""

    selection: str  # "complete" or "fast"
    max_rank: int
    fixed_penalty: bool
    gram_form: bool  # the data are K = Y Y', not Y
    alpha: float = 0.9
    lasso_tol: float = 1e-8


class Problem(NamedTuple):
    """The data. Padded rows and columns are zero, which changes no product; `n_genes` and `real` carry the true sizes."""

    data: Array  # Y (p, n), or K = Y Y' (p, p)
    members: tuple[Array, ...]  # C as BCSR parts (data, indices, indptr), or (C,)
    sets: tuple[Array, ...]  # C' likewise
    set_gram: Float[Array, "m m"]  # covariance of the columns of C, 1/p
    screen: Array  # the same in the dtype of the data
    set_mean: Float[Array, "m"]
    ranker: Array  # (M^2 + 25 I)^-1 M with M = C'C
    real: Bool[Array, "k"]
    known: Bool[Array, "m"]
    n_genes: Float[Array, ""]
    prior_weight: Float[Array, ""]  # L1
    score_penalty: Float[Array, ""]  # L2
    annotated_fraction: Float[Array, ""]
    penalties: Float[Array, "grid"]
    tol: Float[Array, ""]


class State(NamedTuple):
    """Carried from one iteration to the next."""

    n_iter: Int[Array, ""]
    status: Int[Array, ""]
    loadings: Array  # Z (p, k)
    scores: Array  # B (k, n), or in Gram form Q (p, k) with B = Q' Y
    cross: Array  # Y B' (p, k)
    inner: Array  # B B' (k, k)
    weights: Float[Array, "m k"]  # U
    working: elastic_net.WorkingSet
    set_penalty: Float[Array, ""]  # L3
    history: Float[Array, "max_iter"]  # relative change of B
    searched: Float[Array, "searches"]  # the set penalty chosen at each search
    stalled: Int[Array, ""]


class Weights(NamedTuple):
    """A solved U and what was learnt on the way."""

    weights: Array
    working: elastic_net.WorkingSet
    set_penalty: Array
    overflow: Array


def start(program: Program, problem: Problem, scores: np.ndarray, n_factors: int, size: int, max_iter: int) -> State:
    """State before the first iteration, in numpy: nothing is compiled yet. The loop starts from `scores` alone."""
    (p, _), m = problem.data.shape, problem.set_gram.shape[0]
    cross, inner = _products(program, problem, scores)
    return State(
        n_iter=np.array(0, np.int32),
        status=np.array(RUNNING, np.int32),
        loadings=np.zeros((p, n_factors), scores.dtype),
        scores=scores,
        cross=cross,
        inner=inner,
        weights=np.zeros((m, n_factors)),
        working=elastic_net.start(problem.set_gram, n_factors, size),
        set_penalty=problem.penalties[0],
        history=np.zeros(max_iter),
        searched=np.zeros(max_iter // FIRST_WEIGHTS + 1),
        stalled=np.array(0, np.int32),
    )


def step(program: Program, problem: Problem, state: State) -> State:
    """One iteration: weights U from the last Z, then Z, then B."""
    i = state.n_iter + 1
    solved = jax.lax.cond(
        i >= FIRST_WEIGHTS,
        lambda: _weights(program, problem, state, i % FIRST_WEIGHTS == 0),
        lambda: Weights(state.weights, state.working, state.set_penalty, jnp.array(False)),
    )
    slot = jnp.where(i % FIRST_WEIGHTS == 0, i // FIRST_WEIGHTS - 1, state.searched.shape[0] - 1)
    known = state._replace(
        weights=solved.weights,
        working=solved.working,
        set_penalty=solved.set_penalty,
        searched=state.searched.at[slot].set(solved.set_penalty),
    )
    # A working set that is too small solves nothing: keep the old state, so that the caller can enlarge it and go on.
    return jax.lax.cond(
        solved.overflow,
        lambda: state._replace(status=jnp.int32(GROW)),
        lambda: _alternate(program, problem, known, i),
    )


def _alternate(program: Program, problem: Problem, state: State, i: Array) -> State:
    wide, dtype = problem.set_gram.dtype, state.loadings.dtype
    eye = jnp.eye(state.loadings.shape[1], dtype=wide)
    pull = problem.prior_weight * _apply(problem.members, state.weights)
    target = state.cross + jnp.where(i >= FIRST_WEIGHTS, pull, 0).astype(dtype)
    loadings = jnp.maximum(target @ spd_inverse(state.inner + problem.prior_weight * eye).astype(dtype), 0)
    ridge = spd_inverse((loadings.T @ loadings).astype(wide) + problem.score_penalty * eye).astype(dtype)
    if program.gram_form:
        scores = loadings @ ridge
        cross, inner = _products(program, problem, scores)
        change = jnp.sum((scores - state.scores).astype(wide) * (cross - state.cross).astype(wide))
        size = jnp.trace(inner)
    else:
        scores = ridge @ (loadings.T @ problem.data)
        cross, inner = _products(program, problem, scores)
        change, size = jnp.sum((scores - state.scores).astype(wide) ** 2), jnp.sum(scores.astype(wide) ** 2)
    change = change / size
    history = state.history.at[i - 1].set(change)
    worse = (i > STALL_START) & (change > history[jnp.maximum(i - 1 - STALL_LAG, 0)])
    stalled = state.stalled + jnp.where(worse, 1, jnp.where(state.stalled > 1, -1, 0))
    done = (change < problem.tol) & (i >= FIRST_WEIGHTS)  # not before the gene sets had their say
    status = jnp.where(done, CONVERGED, jnp.where(stalled > STALL_LIMIT, STALLED, RUNNING))
    status = jnp.where(jnp.isfinite(change), status, BROKEN)
    return state._replace(
        n_iter=i,
        status=status.astype(jnp.int32),
        loadings=loadings,
        scores=scores,
        cross=cross,
        inner=inner,
        history=history,
        stalled=stalled,
    )


def _products(program: Program, problem: Problem, scores: AnyArray) -> tuple[AnyArray, AnyArray]:
    """``Y B'`` and ``B B'``."""
    wide = problem.set_gram.dtype
    if program.gram_form:
        cross = problem.data @ scores
        return cross, (scores.T @ cross).astype(wide)
    return problem.data @ scores.T, (scores @ scores.T).astype(wide)


def _weights(program: Program, problem: Problem, state: State, search: Array) -> Weights:
    wide = problem.set_gram.dtype
    loadings = state.loadings
    sums = _apply(problem.sets, loadings)
    mean = jnp.sum(loadings, axis=0, dtype=wide) / problem.n_genes
    square = jnp.sum(loadings * loadings, axis=0).astype(wide) / problem.n_genes
    spread = jnp.sqrt(jnp.maximum(square - mean**2, 0))
    corr = sums.astype(wide) / problem.n_genes - problem.set_mean[:, None] * mean[None, :]
    rank_score = jnp.where(
        problem.known[:, None] & problem.real[None, :], problem.ranker @ sums.astype(loadings.dtype), -jnp.inf
    )
    allowed = candidates(rank_score, program.max_rank, program.selection)
    usable = allowed & (jnp.diagonal(problem.set_gram) > 0)[:, None]
    if program.fixed_penalty:
        penalty = state.set_penalty
    else:
        peak = jnp.max(jnp.where(usable, corr, -jnp.inf), axis=0)
        chosen = choose_penalty(peak, problem.penalties, problem.real, problem.annotated_fraction, program.alpha)
        penalty = jnp.where(search, chosen, state.set_penalty)
    ridge = jnp.where(spread > 0, penalty * (1 - program.alpha) / jnp.where(spread > 0, spread, 1), 1)
    found = elastic_net.solve(
        problem.set_gram,
        problem.screen,
        corr,
        penalty * program.alpha,
        ridge,
        usable & (spread > 0)[None, :],
        spread,
        state.weights,
        state.working,
        program.lasso_tol,
    )
    return Weights(found.coef, found.working, penalty, found.overflow)


def choose_penalty(
    peak: Float[Array, "k"], grid: Float[Array, "grid"], real: Bool[Array, "k"], target: Float[Array, ""], alpha: float
) -> Float[Array, ""]:
    """The grid's penalty at which the share of factors with a positive weight is nearest to `target` (largest on ties).

    A factor has a positive weight exactly where its largest covariance with a candidate set exceeds ``alpha * penalty``
    (the optimality condition at zero), so the share along the grid needs no path of solutions.
    """
    share = jnp.sum((peak[None, :] > alpha * grid[:, None]) & real[None, :], axis=1) / jnp.sum(real)
    return grid[jnp.argmin(jnp.abs(target - share))]


def candidates(rank_score: Array, max_rank: int, selection: str) -> Bool[Array, "m k"]:
    """Sets whose rank (1 is the largest, equal values share the mean) is at most `max_rank`, for this or for any factor."""

    def next_value(_: Array, carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        value, greater, keep = carry
        equal = rank_score == value[None, :]
        count = jnp.sum(equal, axis=0)
        keep = keep | (equal & (value > -jnp.inf)[None, :] & ((greater + (count + 1) / 2 <= max_rank)[None, :]))
        return jnp.max(jnp.where(rank_score < value[None, :], rank_score, -jnp.inf), axis=0), greater + count, keep

    first = (jnp.max(rank_score, axis=0), jnp.zeros(rank_score.shape[1]), jnp.zeros(rank_score.shape, bool))
    keep = jax.lax.fori_loop(0, min(max_rank, len(rank_score)), next_value, first)[2]
    return jnp.broadcast_to(jnp.any(keep, axis=1, keepdims=True), keep.shape) if selection == "complete" else keep


def _apply(matrix: tuple[Array, ...], right: Array) -> Array:
    """Product with a 0/1 matrix, dense or sparse (BCSR parts); the CPU's sparse kernel is faster in its own dtype, float64."""
    if len(matrix) == 1:
        return matrix[0] @ right.astype(matrix[0].dtype)
    return BCSR(matrix, shape=(matrix[2].shape[0] - 1, right.shape[0])) @ right.astype(matrix[0].dtype)
