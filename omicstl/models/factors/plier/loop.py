"""The loop of PLIER on padded arrays, from numpy to numpy."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from omicstl._core.memory import check_compiler
from omicstl.kernels.padding import bucket, pad

from .model import PlierOptions, Prepared

if TYPE_CHECKING:
    import scipy.sparse as sp

WORKING_SET = 32  # coordinates a factor is solved on at first; doubled when a factor needs more
PENALTIES = np.exp(-np.arange(4, 12.01, 0.125))


class Penalties(NamedTuple):
    """Weights that a fit settles before the loop."""

    prior_weight: float  # L1
    score_penalty: float  # L2


class Padded(NamedTuple):
    """Sizes of the arrays that the loop runs on."""

    genes: int
    columns: int  # of the data: samples, or genes in Gram form
    sets: int
    factors: int


class Looped(NamedTuple):
    """What the loop leaves, without padding."""

    loadings: np.ndarray
    weights: np.ndarray
    scores: np.ndarray
    cross: np.ndarray
    inner: np.ndarray
    set_penalty: float
    status: int
    n_iter: int
    history: np.ndarray
    penalty_path: np.ndarray


def iterate(
    data: Prepared,
    trained: sp.csc_array,
    options: PlierOptions,
    first: np.ndarray,
    penalties: Penalties,
    report: Callable[[int, float], None],
) -> Looped:
    """Run the updates from scores `first` until they end; data of similar size share compiled code."""
    import jax

    from omicstl.kernels import elastic_net, loop, plier

    (p, m), k = trained.shape, first.shape[1] if data.gram_form else first.shape[0]
    p_pad, m_pad, k_pad = bucket(p, 64), bucket(m, 16), bucket(k, 4)
    n_pad = p_pad if data.gram_form else bucket(data.n_obs, 8)
    padded = Padded(p_pad, n_pad, m_pad, k_pad)
    check_compiler(3 * 8 * p_pad * n_pad)
    with jax.enable_x64(True), jax.default_matmul_precision("highest"):
        sparse = jax.default_backend() == "cpu"
        program = plier.Program(options.selection, options.max_rank, options.set_penalty is not None, data.gram_form)
        problem = _problem(data, trained, options, penalties, k, padded, sparse)
        size = min(WORKING_SET, m_pad)
        shape = (p_pad, k_pad) if data.gram_form else (k_pad, n_pad)
        room = bucket(options.max_iter, 512)  # another `max_iter` is no other program
        state = plier.start(program, problem, pad(first, *shape), k_pad, size, room)
        problem, state = jax.device_put((problem, state))
        while True:
            state = loop.run(
                plier.step,
                program,
                problem,
                state,
                options.max_iter,
                lambda s: report(int(s.n_iter), float(s.history[max(int(s.n_iter) - 1, 0)])),
            )
            if int(state.status) != loop.GROW:
                break
            size = min(2 * size, m_pad)
            working = elastic_net.start(np.asarray(problem.set_gram), k_pad, size)
            state = state._replace(status=np.asarray(loop.RUNNING, np.int32), working=working)
        done = jax.tree.map(np.asarray, state)
    n = int(done.n_iter)
    scores = done.scores[:p, :k] if data.gram_form else done.scores[:k, : data.n_obs]
    searches = n // plier.FIRST_WEIGHTS if options.set_penalty is None else 0
    return Looped(
        loadings=done.loadings[:p, :k],
        weights=done.weights[:m, :k],
        scores=scores,
        cross=done.cross[:p, :k],
        inner=done.inner[:k, :k],
        set_penalty=float(done.set_penalty),
        status=int(done.status),
        n_iter=n,
        history=done.history[:n],
        penalty_path=done.searched[:searches],
    )


def _problem(
    data: Prepared,
    trained: sp.csc_array,
    options: PlierOptions,
    penalties: Penalties,
    k: int,
    padded: Padded,
    sparse: bool,
) -> Any:
    import scipy.linalg
    import scipy.sparse as sp

    from omicstl.kernels.plier import Problem

    (p, m), (p_pad, n_pad, m_pad, k_pad) = trained.shape, padded
    overlap = (trained.T @ trained).toarray()
    mean = np.asarray(trained.sum(axis=0)).ravel() / p
    set_gram = pad(overlap / p - np.outer(mean, mean), m_pad, m_pad)
    # (M^2 + 25 I)^-1 M with M = C'C, the original's ridge on M
    ranker = scipy.linalg.solve(overlap @ overlap + 25 * np.eye(m), overlap, assume_a="pos")
    searched = PENALTIES if options.set_penalty is None else np.array([options.set_penalty])
    return Problem(
        data=pad(data.data, p_pad, n_pad),
        members=_matrix(sp.csr_array(trained), p_pad, m_pad, sparse),
        sets=_matrix(sp.csr_array(trained.T), m_pad, p_pad, sparse),
        set_gram=set_gram,
        screen=set_gram.astype(np.float32),
        set_mean=pad(mean, m_pad),
        ranker=pad(ranker.astype(np.float32), m_pad, m_pad),
        real=np.arange(k_pad) < k,
        known=np.arange(m_pad) < m,
        n_genes=np.float64(p),
        prior_weight=np.float64(penalties.prior_weight),
        score_penalty=np.float64(penalties.score_penalty),
        annotated_fraction=np.float64(options.annotated_fraction),
        penalties=searched,
        tol=np.float64(options.tol),
    )


def _matrix(matrix: sp.csr_array, n_rows: int, n_cols: int, sparse: bool) -> tuple[np.ndarray, ...]:
    """Padded parts of a 0/1 matrix: compressed rows on a CPU, dense float32 elsewhere."""
    if not sparse:
        return (pad(matrix.toarray().astype(np.float32), n_rows, n_cols),)
    stored = bucket(matrix.nnz, 1024)
    indptr = np.full(n_rows + 1, matrix.nnz, dtype=np.int32)
    indptr[: matrix.indptr.size] = matrix.indptr
    return pad(matrix.data.astype(np.float64), stored), pad(matrix.indices.astype(np.int32), stored), indptr
