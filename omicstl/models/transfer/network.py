"""A network of two domains: one encoder with a layer-normalised latent space, heads for labels, and reconstruction.

    labels(source) + sum of terms(source, target) + reconstruction(both) + smoothness(target)

What the encoder sees is corrupted, what the decoder is to give back is clean. All weights of terms and the rows that a member
trains on are arrays of the member, so that candidates, folds and seeds are one compiled program.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from omicstl._core.options.alignment import Alignment
from omicstl._core.random import Streams
from omicstl.nn import adversarial, distances, label_losses, modules, samplers
from omicstl.nn.terms.base import Seen, Sizes
from omicstl.nn.train import Program, State, start

Arrays = Mapping[str, Any]
LOGS = ("loss", "labels", "alignment", "reconstruction", "smoothness")
EPSILON = 1e-5  # of the layer normalisation
BYTE = 128  # levels of the share of values that are dropped


@dataclass(frozen=True)
class NetworkProgram:
    """What decides a network and its training; equal ones share their compiled program."""

    n_in: int
    n_out: int
    n_source: int
    n_target: int
    n_held: int
    """Rows of the source that each member holds out, at most."""
    n_latent: int = 64
    hidden: tuple[int, ...] = (256,)
    decoder_hidden: tuple[int, ...] = ()
    skip: bool = True
    """A linear map beside the hidden layers."""
    classes: bool = False
    """One class of several, in place of outputs each for itself."""
    focus: float = 0.0
    drop: float = 0.2
    """Share of the values that the encoder does not see in training."""
    noisy: bool = True
    """The source is given the target's noise."""
    terms: tuple[Alignment, ...] = ()
    """Their own weights are not read: they are data of a member."""
    reconstruct: bool = True
    smooth: bool = False
    batch_size: int = 200
    n_epochs: int = 60
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    clip: float = 1.0
    patience: int | None = None

    @property
    def steps_per_epoch(self) -> int:
        """Passes over the source."""
        return samplers.steps_per_epoch(self.n_source, self.batch_size)

    @property
    def n_steps(self) -> int:
        """Steps of a run that is not stopped early."""
        return self.steps_per_epoch * self.n_epochs


class Network(nnx.Module):
    """Encoder, heads and decoder."""

    def __init__(self, config: NetworkProgram, *, rngs: nnx.Rngs) -> None:
        last = config.hidden[-1] if config.hidden else config.n_in
        self.hidden = modules.Hidden(config.n_in, config.hidden, rngs=rngs)
        self.latent = nnx.Linear(last, config.n_latent, rngs=rngs)
        if config.skip:
            self.skip = nnx.Linear(config.n_in, config.n_latent, use_bias=False, rngs=rngs)
        self.head = nnx.Linear(config.n_latent, config.n_out, rngs=rngs)
        if config.reconstruct:
            self.decoder = modules.Decoder(config.n_latent, config.decoder_hidden, config.n_in, rngs=rngs)

    def encode(self, x: jax.Array) -> jax.Array:
        """Latent variables (b, k), of mean 0 and variance 1 in each row."""
        z = self.latent(self.hidden(x, None, training=False))
        return normalised(z + self.skip(x) if hasattr(self, "skip") else z)


def normalised(z: jax.Array) -> jax.Array:
    """Each row less its mean, over its standard deviation: the scale cannot shrink to please a term."""
    z = z - jnp.mean(z, axis=-1, keepdims=True)
    return z * jax.lax.rsqrt(jnp.mean(z**2, axis=-1, keepdims=True) + EPSILON)


class Own(NamedTuple):
    """What differs between members and is not trained."""

    rows: Any  # (n_source,) 1 for rows that are trained on
    held: Any  # (n_held,) positions of rows that early stopping looks at
    held_on: Any  # (n_held,) 0 where `held` only fills up
    weights: Any  # (n_terms,)


class Carry(NamedTuple):
    """Weights of the network and its terms, the optimiser's state, and what is the member's own."""

    params: Any
    moments: Any
    own: Own
    made: Any
    """Steps so far."""


class Pair(NamedTuple):
    """Rows of both domains, and for each of the target one of its neighbours by number."""

    source: samplers.Batch
    target: samplers.Batch
    edge: Any


def two_domains(config: NetworkProgram, key: jax.Array, step: jax.Array) -> Pair:
    """Rows of a step: a pure function of the key and the step, each domain in epochs of its own."""
    size = -(-config.n_source // config.steps_per_epoch)  # equal batches, none short by more than a few rows
    source = samplers.shuffled(jax.random.fold_in(key, 0), step, config.n_source, size)
    count = min(config.batch_size, config.n_target)
    target = samplers.shuffled(jax.random.fold_in(key, 1), step, config.n_target, count)
    edge = jax.random.bits(jax.random.fold_in(jax.random.fold_in(key, 2), step), (count,), jnp.uint32)
    return Pair(source, target, edge)


@cache
def parts(config: NetworkProgram) -> tuple[nnx.GraphDef, Any]:
    """The structure of the network and the shapes of its weights; no array is made."""
    split: Any = nnx.split(nnx.eval_shape(lambda: Network(config, rngs=nnx.Rngs(0))), nnx.Param)
    return split


@cache
def program(config: NetworkProgram) -> Program:
    """The training of one member.

    ``data``: ``source`` (n, p) and ``target`` (m, p) float32, about standardised; ``noise`` (p,) or (p, p), see
    `corrupted`; ``y`` (n, d) without NaN and ``y_weights`` (n, d), see `label_losses.label_weights`; ``binary`` (d,) 0 or 1;
    ``shift`` (n,) weights of the source for terms with `label_shift`; ``neighbours`` (m, j) int32 and ``strengths`` (2,), weights of
    reconstruction and smoothness.
    """
    return Program(
        step=partial(_step, config),
        sampler=partial(two_domains, config),
        logs=LOGS,
        steps_per_epoch=config.steps_per_epoch,
        n_epochs=config.n_epochs,
        evaluate=partial(_evaluate, config) if config.n_held else None,
        keep=lambda carry: carry.params["network"],
        patience=config.patience,
    )


@cache
def _optimiser(config: NetworkProgram) -> optax.GradientTransformation:
    rate = optax.cosine_decay_schedule(config.learning_rate, config.n_steps)
    decayed = partial(jax.tree.map, lambda leaf: leaf.ndim > 1)
    return optax.adamw(rate, weight_decay=config.weight_decay, mask=decayed)


def clipped(slope: Any, most: float) -> Any:
    """Gradients of a global norm of `most` at the most (Pascanu et al. 2013).

    The barrier keeps the compiler from working the norm out again for every weight.
    """
    norm = jnp.sqrt(sum(jnp.vdot(leaf, leaf) for leaf in jax.tree.leaves(slope)))
    factor = jax.lax.optimization_barrier(most / jnp.maximum(norm, most))
    return jax.tree.map(lambda leaf: leaf * factor, slope)


def begin(config: NetworkProgram, random: Streams, member: int, own: Own) -> State:
    """The state of a member before its first step, from its own streams."""
    generator = random.generator("network", member)
    network = jax.tree_util.tree_map_with_path(partial(_first, generator), parts(config)[1])
    sizes = Sizes(config.n_latent, config.n_out)
    terms = [term.init(random.generator("term", member, i), sizes) for i, term in enumerate(config.terms)]
    params = {"network": network, "terms": terms}
    own = Own(
        *(jnp.asarray(value, jnp.int32 if name == "held" else jnp.float32) for name, value in own._asdict().items())
    )
    carry = Carry(params, _optimiser(config).init(params), own, jnp.zeros((), jnp.int32))
    return start(program(config), carry, random.key("training", member))


def _first(generator: np.random.Generator, path: tuple[Any, ...], shape: jax.ShapeDtypeStruct) -> jax.Array:
    """Glorot's uniform for kernels, zeros else; drawn by numpy, as in `vae`."""
    if "'kernel'" not in jax.tree_util.keystr(path):
        return jnp.zeros(shape.shape, jnp.float32)
    limit = np.sqrt(6 / sum(shape.shape))
    return jnp.asarray(generator.uniform(-limit, limit, shape.shape), jnp.float32)


def corrupted(key: jax.Array, x: jax.Array, drop: float, noise: jax.Array | None = None) -> jax.Array:
    """Values with noise added, and a share of them dropped; a byte is drawn for each value.

    `noise` (p,) are standard deviations, or (p, p) a factor F of the noise's covariance F'F. What is drawn are signs: over
    many values their sum is as good as that of Gaussian noise, and costs a tenth of it.
    """
    n, p = x.shape
    level = round(drop * BYTE)
    if noise is None and level == 0:
        return x
    words = jax.random.bits(key, (n, -(-p // 4)), jnp.uint32)
    drawn = (words[:, :, None] >> (8 * jnp.arange(4, dtype=jnp.uint32))[None, None, :]).reshape(n, -1)[:, :p]
    if noise is not None:
        sign = jnp.where((drawn & BYTE) > 0, jnp.float32(1), jnp.float32(-1))
        x = x + (sign * noise[None, :] if noise.ndim == 1 else sign @ noise)
    return x if level == 0 else jnp.where((drawn & (BYTE - 1)) >= level, x * (BYTE / (BYTE - level)), 0)


def outputs_loss(config: NetworkProgram, data: Arrays, value: jax.Array, y: jax.Array) -> jax.Array:
    """Loss of each label (b, d): of one class among d, or of classes and numbers by column."""
    if config.classes:
        return label_losses.classes(value, y, config.focus)
    binary = data["binary"][None, :] > 0
    return jnp.where(binary, label_losses.cross_entropy(value, y, config.focus), label_losses.huber(value, y))


def probabilities(config: NetworkProgram, data: Arrays, value: jax.Array) -> jax.Array:
    """What terms of predictions see."""
    if config.classes:
        return jax.nn.softmax(value, axis=1)
    return jnp.where(data["binary"][None, :] > 0, jax.nn.sigmoid(value), value)


def entropies(config: NetworkProgram, data: Arrays, predicted: jax.Array) -> jax.Array:
    """Entropy (b,) of what is predicted: of one class among d, or the mean over columns that are classes; numbers have none."""
    if config.classes:
        return -jnp.sum(predicted * jnp.log(jnp.maximum(predicted, 1e-12)), axis=1)
    each = adversarial.binary_entropy(predicted) * data["binary"][None, :]
    return jnp.sum(each, axis=1) / jnp.maximum(jnp.sum(data["binary"]), 1)


def _loss(
    config: NetworkProgram, params: Any, own: Own, data: Arrays, batch: Pair, share: jax.Array, key: jax.Array
) -> tuple[jax.Array, tuple[jax.Array, ...]]:
    network = nnx.merge(parts(config)[0], params["network"])
    rows, cells = batch.source.rows, batch.target.rows
    clean = [jax.lax.optimization_barrier(data[name][index]) for name, index in (("source", rows), ("target", cells))]
    n, m = len(rows), len(cells)
    seen = [
        corrupted(jax.random.fold_in(key, 0), clean[0], config.drop, data["noise"] if config.noisy else None),
        corrupted(jax.random.fold_in(key, 1), clean[1], config.drop),
    ]
    if config.smooth:
        table = data["neighbours"]
        chosen = table[cells, (batch.edge % jnp.uint32(table.shape[1])).astype(jnp.int32)]
        seen.append(corrupted(jax.random.fold_in(key, 2), data["target"][chosen], config.drop))
    z = network.encode(jnp.concatenate(seen))
    on = batch.source.weights * own.rows[rows]
    value = network.head(z[: n + m])
    labels = label_losses.masked_mean(
        outputs_loss(config, data, value[:n], data["y"][rows]), data["y_weights"][rows], on
    )
    alignment = jnp.float32(0)
    predicted = probabilities(config, data, value)
    unsure = entropies(config, data, predicted)
    for i, term in enumerate(config.terms):
        weights = on * data["shift"][rows] if term.label_shift else on
        view = Seen(
            z[:n],
            z[n : n + m],
            weights,
            batch.target.weights,
            predicted[:n],
            predicted[n:],
            jax.random.fold_in(key, 8 + i),
            unsure[:n],
            unsure[n:],
        )
        strength = own.weights[i] * adversarial.rise(term.ramp, share)
        alignment = alignment + term.loss(params["terms"][i], view, strength)
    reconstruction = smoothness = jnp.float32(0)
    if config.reconstruct:
        (back,) = network.decoder(z[: n + m])
        error = jnp.mean((back - jnp.concatenate(clean)) ** 2, axis=1)
        both = distances.shares(on) @ error[:n] + distances.shares(batch.target.weights) @ error[n:]
        reconstruction = 0.5 * both
    if config.smooth:
        smoothness = distances.smoothness(z[n : n + m], z[n + m :], batch.target.weights)
    total = labels + alignment + data["strengths"][0] * reconstruction + data["strengths"][1] * smoothness
    return total, (labels, alignment, reconstruction, smoothness)


def _step(
    config: NetworkProgram, carry: Carry, data: Arrays, batch: Pair, key: jax.Array
) -> tuple[Carry, tuple[jax.Array, ...]]:
    share = jnp.asarray(carry.made, jnp.float32) / config.n_steps
    gradient = jax.value_and_grad(partial(_loss, config), has_aux=True)
    (total, logs), slope = gradient(carry.params, carry.own, data, batch, share, key)
    update, moments = _optimiser(config).update(clipped(slope, config.clip), carry.moments, carry.params)
    return Carry(optax.apply_updates(carry.params, update), moments, carry.own, carry.made + 1), (total, *logs)


def _evaluate(config: NetworkProgram, carry: Carry, data: Arrays) -> jax.Array:
    """Distance of scores and labels of the rows held out, with the target's noise, the same each time; nothing is dropped."""
    network, own = nnx.merge(parts(config)[0], carry.params["network"]), carry.own
    x = data["source"][own.held]
    x = corrupted(jax.random.key(0), x, 0.0, data["noise"]) if config.noisy else x
    value, y = network.head(network.encode(x)), data["y"][own.held]
    if config.classes:
        loss = outputs_loss(config, data, value, y)
        return label_losses.masked_mean(loss, data["y_weights"][own.held], own.held_on)
    return label_losses.correlation_distance(value, y, data["y_weights"][own.held] * own.held_on[:, None])


def plain(kept: Any) -> dict[str, np.ndarray]:
    """The encoder and the heads of a trained member as arrays: ``kernel_0``, ``bias_0``, ..., ``latent``, ``skip``, ``head``."""
    found: dict[str, np.ndarray] = {}
    layers = kept["hidden"]["layers"] if "hidden" in kept else {}
    for i, layer in sorted(layers.items()):
        found |= {f"kernel_{i}": layer["kernel"][...], f"bias_{i}": layer["bias"][...]}
    for name in ("latent", "head"):
        found |= {name: kept[name]["kernel"][...], f"{name}_bias": kept[name]["bias"][...]}
    if "skip" in kept:
        found["skip"] = kept["skip"]["kernel"][...]
    return {name: np.asarray(value, np.float32) for name, value in found.items()}
