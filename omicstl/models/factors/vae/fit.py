"""The fit of one variational autoencoder: held-out rows, training, and what is kept of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import numpy as np

from omicstl._core.memory import check_compiler
from omicstl._core.random import Streams
from omicstl.models.factors.autoencoder import training
from omicstl.models.factors.autoencoder.axes import principal_axes
from omicstl.models.factors.autoencoder.covariates import Covariates
from omicstl.models.factors.autoencoder.encoders import Encoders, fold, stack
from omicstl.models.factors.autoencoder.rows import Data, InMemory, Subset, first_values, held_out
from omicstl.nn.divergence import diverged
from omicstl.nn.ensemble import SAVE_EVERY
from omicstl.nn.state import pack, resumed
from omicstl.nn.stream import stream
from omicstl.nn.train import State, result, train

from .model import VaeModel
from .options import AXES, VaeOptions

MOMENTUM = 0.9  # of running statistics: that of the papers, 0.99, lags behind where epochs have few steps


class Design(NamedTuple):
    """What the rows and columns of a fit stand for."""

    features: np.ndarray  # (p,) names of genes
    names: np.ndarray  # (k,) of factors
    mask: np.ndarray | None  # (k, p) of 0 and 1: genes of each factor, for a masked decoder
    covariates: Covariates  # how the columns of ``data.covariates`` were made


class Running(NamedTuple):
    """How a fit that runs is followed, kept and taken up again."""

    report: Callable[[int], object] = lambda steps: None  # hears of numbers of steps that were made
    save: Callable[[dict[str, Any]], object] | None = None  # gets the state about every minute and at the end
    resume: Mapping[str, Any] | None = None  # a state that `save` got, of the same call


class Split(NamedTuple):
    """Positions of rows to train on and of rows held out."""

    rows: np.ndarray
    held: np.ndarray


class Fit(NamedTuple):
    """A fitted VAE, its scores of the training data, and how it came about."""

    model: VaeModel
    scores: np.ndarray  # (n, k)
    sd: np.ndarray
    kl: np.ndarray  # (k,) nats, mean over all rows
    spread: np.ndarray  # (k,) variance of the posterior mean over all rows
    history: np.ndarray  # (epochs run, 4): loss, reconstruction, divergence, loss on held-out rows or NaN
    best_epoch: int  # from 1; 0 if none was held out
    stopped: bool
    n_held: int


def n_steps(options: VaeOptions, data: Data) -> int:
    """Steps of a fit that is not stopped early."""
    rows, held = held_out(data.rows.n_rows, data.rows.n_cols, options.training.validation, np.random.default_rng(0))
    return training.program(network(options, data.rows.n_cols, 0, rows.size, held.size)).n_steps


def network(options: VaeOptions, n_in: int, n_covariates: int, n_rows: int, n_held: int) -> training.VaeProgram:
    """The network and its training, as the compiled program knows it."""
    plan = options.training
    return training.VaeProgram(
        n_in=n_in,
        n_latent=options.n_factors,
        hidden=options.hidden,
        n_rows=n_rows,
        batch_size=plan.batch_size,
        n_epochs=plan.epochs,
        learning_rate=plan.learning_rate,
        kl_weight=options.kl_weight,
        likelihood=options.likelihood,
        decoder=options.decoder,
        n_covariates=n_covariates,
        positive=options.positive,
        kl_warmup=options.kl_warmup,
        free_bits=options.free_bits,
        n_validation=n_held,
        patience=plan.patience,
        momentum=MOMENTUM,
    )


def fit_vae(data: Data, design: Design, options: VaeOptions, random: Streams, running: Running = Running()) -> Fit:
    """
    Train one network and score all rows.

    Raises
    ------
    ValueError
        If a loss is not finite; it says where, and what to try.
    """
    n, p = data.rows.n_rows, data.rows.n_cols
    split = Split(*held_out(n, p, options.training.validation, random.generator("validation")))
    config = network(options, p, data.covariates.shape[1], split.rows.size, split.held.size)
    check_compiler(4 * n * p if isinstance(data.rows, InMemory) else 0)
    with jax.enable_x64(False):
        state = resumed(training.begin(config, random, 0, first_values(data)), running.resume)
        state = _trained(config, state, data, split, design.mask, running)
        params, stats = jax.device_get(result(training.program(config), state))
        history = np.column_stack([np.asarray(state.history), np.asarray(state.evaluated)])
        encoder, loadings = fold(params, stats), _loadings(config, params, design.mask)
        bare = VaeModel(
            features=design.features,
            names=design.names,
            mean=data.centre,
            scale=data.scale,
            **_axes(data, random)._asdict(),
            encoders=stack([encoder]),
            covariate_codes=design.covariates,
            likelihood=options.likelihood,
            decoder=options.decoder,
            target_sum=data.target_sum,
            loadings=loadings,
            n_obs=n,
        )
        scores, sd = _scored(bare, data)
    sign = _signs(bare, scores)
    model, scores = _turned(bare, sign), scores * sign
    variance = sd.astype(np.float64) ** 2
    kl = 0.5 * np.mean(scores.astype(np.float64) ** 2 + variance - 1 - np.log(variance), axis=0)
    spread = scores.var(axis=0, dtype=np.float64)
    history = history[: int(state.step) // training.program(config).steps_per_epoch]
    return Fit(model, scores, sd, kl, spread, history, int(state.best_epoch) + 1, bool(state.stopped), split.held.size)


def _trained(
    config: training.VaeProgram,
    state: State,
    data: Data,
    split: Split,
    mask: np.ndarray | None,
    running: Running,
) -> State:
    rows, held = split
    program, arrays = training.program(config), _of_rows(data, rows)
    if held.size:
        arrays["held"] = _of_rows(data, held) | {"x": np.asarray(data.rows.take(held), np.float32)}
    arrays["given"] = _given(data, mask)
    if isinstance(data.rows, InMemory):
        x = data.rows.x if rows.size == data.rows.n_rows else data.rows.take(rows)
        chunks = train(program, state, jax.device_put(arrays | {"x": x}))
    else:
        chunks = stream(program, state, Subset(data.rows, rows), arrays)
    before, saved = 0, time.monotonic()
    for following in chunks:
        state = following
        running.report(int(state.step) - before)
        before = int(state.step)
        if running.save is not None and time.monotonic() - saved >= SAVE_EVERY:
            running.save(pack(state))
            saved = time.monotonic()
    largest = max(float(np.abs(block).max()) for block in data.inputs()) if not bool(state.finite) else None
    msg = diverged(program, state, learning_rate=config.learning_rate, largest=largest)
    if msg is not None:
        raise ValueError(msg)
    if running.save is not None:
        running.save(pack(state))
    return state


def _of_rows(data: Data, index: np.ndarray) -> dict[str, Any]:
    """What belongs to rows beside the rows themselves."""
    found = {}
    if data.totals is not None:
        found["library"] = np.log(data.totals[index]).astype(np.float32)
    if data.covariates.shape[1]:
        found["covariates"] = data.covariates[index]
    return found


def _given(data: Data, mask: np.ndarray | None) -> dict[str, Any]:
    given: dict[str, Any] = {"centre": data.centre.astype(np.float32), "scale": data.scale.astype(np.float32)}
    if data.target_sum is not None:
        given["log_target"] = np.float32(np.log(data.target_sum))
    if mask is not None:
        given["mask"] = np.concatenate([mask, np.ones((data.covariates.shape[1], mask.shape[1]))]).astype(np.float32)
    return given


def _loadings(config: training.VaeProgram, params: Any, mask: np.ndarray | None) -> np.ndarray | None:
    """Weights of the latent units in a decoder without hidden layers, (p, k)."""
    if config.decoder == "mlp":
        return None
    weights = np.asarray(params["decoder"]["heads"][0]["kernel"][...], np.float32)[: config.n_latent]
    return np.ascontiguousarray((weights if mask is None else weights * mask.astype(np.float32)).T)


def _axes(data: Data, random: Streams) -> Any:
    n, p = data.rows.n_rows, data.rows.n_cols
    return principal_axes(data.inputs, n, p, AXES, random.generator("axes"))


def _scored(model: VaeModel, data: Data) -> tuple[np.ndarray, np.ndarray]:
    def blocks() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        low = 0
        for block in data.inputs():
            yield model.embed(block, data.covariates[low : low + len(block)])
            low += len(block)

    scores, sd = zip(*blocks(), strict=True)
    return np.concatenate(scores), np.concatenate(sd)


def _signs(model: VaeModel, scores: np.ndarray) -> np.ndarray:
    """Signs of the units that make loadings sum to at least 0, or scores skewed to high values.

    The prior is symmetric: a unit and its negative are the same.
    """
    if model.loadings is not None:
        negative = model.loadings.sum(axis=0, dtype=np.float64) < 0
    else:
        negative = np.sum((scores - scores.mean(axis=0, dtype=np.float64)) ** 3, axis=0) < 0
    return np.where(negative, -1, 1).astype(np.float32)


def _turned(model: VaeModel, sign: np.ndarray) -> VaeModel:
    both = np.concatenate([sign, np.ones_like(sign)])
    old = model.encoders
    encoders = Encoders(old.kernels, old.biases, old.head * both, old.head_bias * both)
    return replace(model, encoders=encoders, loadings=None if model.loadings is None else model.loadings * sign)
