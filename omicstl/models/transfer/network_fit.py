"""Training the members of an ensemble of `adapt_network`, and what they say of new rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from omicstl._core.memory import check_compiler
from omicstl._core.random import Streams
from omicstl.nn import ensemble, label_losses
from omicstl.nn.divergence import diverged
from omicstl.nn.train import State, result

from . import network
from .network import NetworkProgram, Own

BLOCK_ROWS = 2048


class Problem(NamedTuple):
    """What a network is trained on: both domains about standardised, by the same genes."""

    source: np.ndarray  # (n, p) float32
    target: np.ndarray  # (m, p) float32
    y: np.ndarray  # (n, d) float64 with NaN where unknown; one-hot for one class among d
    binary: np.ndarray  # (d,) bool
    noise: np.ndarray  # (p,) sd of the noise that the source is given, or (p, p) a factor of its covariance
    shift: np.ndarray  # (n,) weights of the source in terms with `label_shift`
    neighbours: np.ndarray | None = None  # (m, j) int32, of the target
    weights: np.ndarray | None = None  # (n,) of the source's rows; ones if `None`
    balanced: bool = True  # both classes of a label count alike


class Strengths(NamedTuple):
    """Weights of the parts of the loss that have no record."""

    reconstruction: float
    smoothness: float


class Members(NamedTuple):
    """Trained encoders and heads, stacked on the first axis; `fold` is what each of the source's rows was held out by."""

    arrays: dict[str, np.ndarray]
    history: np.ndarray  # (members, epochs, 6): the logs, and the loss on rows held out
    best_epoch: np.ndarray  # (members,) from 1


def held_out_folds(n: int, groups: np.ndarray | None, n_folds: int, generator: np.random.Generator) -> np.ndarray:
    """Number of the fold of each row (n,): whole groups, the largest first, to the fold that is smallest so far."""
    fold = np.empty(n, np.int64)
    if groups is None:
        fold[generator.permutation(n)] = np.arange(n) % n_folds
        return fold
    _, codes, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    if len(sizes) < n_folds:
        return held_out_folds(n, None, n_folds, generator)
    filled, of_group = np.zeros(n_folds), np.empty(len(sizes), np.int64)
    order = generator.permutation(len(sizes))
    for group in order[np.argsort(-sizes[order], kind="stable")]:
        of_group[group] = np.argmin(filled)
        filled[of_group[group]] += sizes[group]
    return of_group[codes]


def own_of(fold: np.ndarray, member: int, n_held: int, weights: Sequence[float], rows: np.ndarray | None = None) -> Own:
    """Rows and weights of a member, which holds out the fold of its number; rows of fold -1 only fill up.

    `rows` (n,) are weights of the rows themselves.
    """
    held = np.flatnonzero(fold == member)[:n_held]
    filled = np.zeros(n_held, np.int64)
    filled[: held.size] = held
    each = np.ones(len(fold)) if rows is None else np.asarray(rows, np.float64)
    on = (np.arange(n_held) < held.size) * each[filled]
    return Own(np.where((fold != member) & (fold >= 0), each, 0), filled, on, np.asarray(weights, np.float64))


def train_members(
    problem: Problem,
    config: NetworkProgram,
    fold: np.ndarray,
    strengths: Strengths,
    candidates: Sequence[Sequence[float]],
    random: Streams,
    report: Callable[[int], None] = lambda steps: None,
    *,
    n_members: int,
) -> list[Members]:
    """
    Train `n_members` for each candidate, side by side.

    Parameters
    ----------
    problem, config
        What is trained, and how.
    fold
        Fold of each row of the source (n,): member i holds out fold i, for early stopping and for what is said of these rows.
    strengths
        Weights of reconstruction and smoothness.
    candidates
        Weights of the terms, a tuple for each.
    random
        Streams. A member begins alike for all candidates.
    report
        Called with numbers of steps that were made.
    n_members
        Members of each.

    Returns
    -------
    The members of each candidate.

    Raises
    ------
    ValueError
        If a loss is not finite.
    """
    program, found = network.program(config), {}

    def begin(number: int) -> State:
        candidate, member = divmod(number, n_members)
        own = own_of(fold, member, config.n_held, candidates[candidate], problem.weights)
        return network.begin(config, random, member, own)

    def done(number: int, state: State) -> None:
        name = f"member {number % n_members} with the weights {tuple(candidates[number // n_members])}"
        largest = max(float(np.abs(part).max()) for part in (problem.source, problem.target))
        wrong = diverged(program, state, name=name, learning_rate=config.learning_rate, largest=largest)
        if wrong is not None:
            raise ValueError(wrong)
        history = np.column_stack([state.history, state.evaluated]).astype(np.float32)
        found[number] = network.plain(result(program, state)), history, int(state.best_epoch) + 1

    check_compiler(problem.source.nbytes + problem.target.nbytes)
    with jax.enable_x64(False):
        ensemble.run(program, begin, range(n_members * len(candidates)), arrays_of(problem, strengths), done, report)
    each = [[found[c * n_members + i] for i in range(n_members)] for c in range(len(candidates))]
    return [_stacked(members) for members in each]


def _stacked(members: list[tuple[dict[str, np.ndarray], np.ndarray, int]]) -> Members:
    arrays = {name: np.stack([member[0][name] for member in members]) for name in members[0][0]}
    return Members(arrays, np.stack([member[1] for member in members]), np.array([member[2] for member in members]))


def arrays_of(problem: Problem, strengths: Strengths) -> dict[str, Any]:
    """The data of `adapt_network.program`."""
    known = np.where(np.isfinite(problem.y), problem.y, 0)
    table = np.zeros((1, 1), np.int32) if problem.neighbours is None else problem.neighbours
    return {
        "source": np.asarray(problem.source, np.float32),
        "target": np.asarray(problem.target, np.float32),
        "noise": np.asarray(problem.noise, np.float32),
        "y": known.astype(np.float32),
        "y_weights": label_losses.label_weights(problem.y, problem.binary, balanced=problem.balanced),
        "binary": problem.binary.astype(np.float32),
        "shift": np.asarray(problem.shift, np.float32),
        "neighbours": np.asarray(table, np.int32),
        "strengths": np.asarray(strengths, np.float32),
    }


@jax.jit
def _forward(layers: Mapping[str, Any], x: jax.Array) -> tuple[jax.Array, jax.Array]:
    def member(own: Mapping[str, Any]) -> tuple[jax.Array, jax.Array]:
        h = x
        for i in range(sum(name.startswith("kernel_") for name in own)):
            h = jax.nn.relu(h @ own[f"kernel_{i}"] + own[f"bias_{i}"][None])
        z = h @ own["latent"] + own["latent_bias"][None]
        z = network.normalised(z + x @ own["skip"] if "skip" in own else z)
        return z, z @ own["head"] + own["head_bias"][None]

    return jax.lax.map(member, dict(layers))


def filled(x: np.ndarray, n_columns: int) -> np.ndarray:
    """Rows with columns of zeros behind their own; what is too many is cut."""
    return np.pad(x[:, :n_columns], ((0, 0), (0, max(n_columns - x.shape[1], 0))))


def forward(arrays: Mapping[str, np.ndarray], x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Latent variables (members, n, k) and outputs (members, n, d) of rows (n, p), in blocks; missing columns are zero."""
    n, (members, _, k), d = len(x), arrays["latent"].shape, arrays["head"].shape[2]
    n_in = arrays["kernel_0" if "kernel_0" in arrays else "latent"].shape[1]
    latent, value = np.empty((members, n, k), np.float32), np.empty((members, n, d), np.float32)
    check_compiler()
    with jax.enable_x64(False):
        layers = jax.tree.map(jnp.asarray, dict(arrays))
        for low in range(0, n, BLOCK_ROWS):
            block = np.asarray(x[low : low + BLOCK_ROWS], np.float32)
            whole = np.zeros((_bucket(len(block)), n_in), np.float32)
            whole[: len(block)] = filled(block, n_in)
            part = _forward(layers, whole)
            for out, values in zip((latent, value), part, strict=True):
                out[:, low : low + len(block)] = np.asarray(values)[:, : len(block)]
    return latent, value


@jax.jit
def _gradient(layers: Mapping[str, Any], x: jax.Array) -> jax.Array:
    def value(shift: jax.Array) -> jax.Array:
        return jnp.mean(_forward(layers, x + shift[None, :])[1], axis=(0, 1))

    return jax.jacrev(value)(jnp.zeros(x.shape[1], jnp.float32))


def mean_gradient(arrays: Mapping[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    """Gradient (p, d) of the outputs, mean over members and rows (n, p): what is linear in them."""
    check_compiler()
    with jax.enable_x64(False):
        layers = {name: jnp.asarray(value) for name, value in arrays.items()}
        return np.asarray(_gradient(layers, jnp.asarray(x, jnp.float32)), np.float64).T


def _bucket(n: int) -> int:
    """The next number of rows that has compiled code."""
    return min(BLOCK_ROWS, max(64, 1 << (n - 1).bit_length()))
