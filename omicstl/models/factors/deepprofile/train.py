"""Training of the members of a DeepProfile ensemble, on the scores of the data's components."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np

from omicstl._core.memory import check_compiler
from omicstl._core.options.training import Training
from omicstl._core.random import Streams
from omicstl.models.factors.autoencoder import training
from omicstl.models.factors.autoencoder.encoders import fold
from omicstl.models.factors.autoencoder.rows import held_out
from omicstl.nn import ensemble
from omicstl.nn.divergence import diverged
from omicstl.nn.state import pack, resumed
from omicstl.nn.train import State, result

Name = tuple[int, int]  # latent size, number
Member = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class DeepprofileOptions:
    """Options of a fit, by the names of `tl.deepprofile`."""

    latent_sizes: tuple[int, ...] = (5, 10, 25, 50, 75, 100)
    n_members: int = 8
    n_clusters: int | None = 150
    n_comps: int | None = None
    rule: str = "aligned"
    linear: bool = True
    kl_weight: float = 1.0
    training: Training = field(default_factory=Training)

    @property
    def n_nodes(self) -> int:
        """Latent units of all members."""
        return sum(self.latent_sizes) * self.n_members


def hidden_sizes(n_factors: int) -> tuple[int, int]:
    """Hidden layers of the paper for a number of latent units (``Run_VAE_Models.py``)."""
    return (100, 25) if n_factors <= 5 else (250, 50) if n_factors <= 10 else (250, 100)


def n_steps(options: DeepprofileOptions, scores: np.ndarray, have: Mapping[Name, Member]) -> int:
    """Training steps of the members that are not there yet."""
    n_held = len(_split(options, scores, None)[1])
    each = training.program(network(options, 1, scores.shape[1], len(scores) - n_held, n_held)).n_steps
    return each * sum((size, i) not in have for size in options.latent_sizes for i in range(options.n_members))


def _split(options: DeepprofileOptions, scores: np.ndarray, random: Streams | None) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0) if random is None else random.generator("validation")
    n, d = scores.shape
    return held_out(n, d, options.training.validation, generator)


@dataclass(frozen=True)
class Hooks:
    """What is there already, and what is called along the way."""

    have: Mapping[Name, Member] = field(default_factory=dict)
    """Members that were trained before."""
    keep: Callable[[Name, Member], None] = lambda name, member: None
    """Gets each member as it ends."""
    running: Callable[[Name], Mapping[str, Any] | None] = lambda name: None
    """Gives the state of a member that was cut off, as `save_running` got it."""
    save_running: Callable[[Name, dict[str, Any]], None] | None = None
    """Gets states of members under way, from several threads."""
    report: Callable[[int], None] = lambda steps: None
    """Gets numbers of steps that were made."""


def train_members(scores: np.ndarray, options: DeepprofileOptions, random: Streams, hooks: Hooks) -> dict[Name, Member]:
    """Train members that are not there yet; the same rows are held out of all."""
    check_compiler(2 * scores.nbytes)
    rows, held = _split(options, scores, random)
    data: dict[str, Any] = {"x": scores[rows]}
    if held.size:
        data["held"] = {"x": scores[held]}
    data, done = jax.device_put(data), dict(hooks.have)
    for size in options.latent_sizes:
        _train_size(
            size, network(options, size, scores.shape[1], rows.size, held.size), options, data, random, hooks, done
        )
    return done


def _train_size(
    size: int,
    settings: training.VaeProgram,
    options: DeepprofileOptions,
    data: dict[str, Any],
    random: Streams,
    hooks: Hooks,
    done: dict[Name, Member],
) -> None:
    def begin(i: int) -> State:
        return resumed(training.begin(settings, random, i), hooks.running((size, i)))

    def save(i: int, state: State) -> None:
        if hooks.save_running is not None:
            hooks.save_running((size, i), pack(state))

    def finished(i: int, state: State) -> None:
        done[size, i] = _member(settings, state, f"member {i} of latent size {size}", data["x"])
        hooks.keep((size, i), done[size, i])

    missing = [i for i in range(options.n_members) if (size, i) not in done]
    kept = None if hooks.save_running is None else save
    ensemble.run(training.program(settings), begin, missing, data, finished, hooks.report, save=kept)


def network(options: DeepprofileOptions, size: int, n_in: int, n_rows: int, n_held: int) -> training.VaeProgram:
    """The network of a latent size."""
    plan = options.training
    return training.VaeProgram(
        n_in=n_in,
        n_latent=size,
        hidden=hidden_sizes(size),
        n_rows=n_rows,
        batch_size=plan.batch_size,
        n_epochs=plan.epochs,
        learning_rate=plan.learning_rate,
        kl_weight=options.kl_weight,
        n_validation=n_held,
        patience=plan.patience,
    )


def _member(settings: training.VaeProgram, state: State, name: str, scores: jax.Array) -> Member:
    """What is kept of a trained member: its encoder, and its history (epochs, 4)."""
    program = training.program(settings)
    wrong = diverged(program, state, name=name, learning_rate=settings.learning_rate, largest=float(abs(scores).max()))
    if wrong is not None:
        raise ValueError(wrong)
    params, stats = jax.device_get(result(program, state))
    return fold(params, stats) | {"history": np.column_stack([state.history, state.evaluated]).astype(np.float32)}
