"""What each gene adds to each factor of a network: gradients of all encoders, added up before they are led to the genes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from omicstl._core.memory import check_compiler
from omicstl._core.settings import settings
from omicstl._core.threads import one_blas_thread
from omicstl.kernels import co_activation
from omicstl.models.factors.autoencoder.encoders import Encoders
from omicstl.models.factors.deepprofile.model import DeepprofileModel
from omicstl.models.factors.vae.model import VaeModel

METHODS = ("integrated_gradients", "integrated_gradients_absolute", "gradient", "correlation")
MOST_ROWS = 256

Network = DeepprofileModel | VaeModel


class Block(NamedTuple):
    """Standardised rows (n, p) float32, and their covariates as numbers (n, c), c = 0 without any."""

    z: np.ndarray
    covariates: np.ndarray


class Attributions(NamedTuple):
    """Of each gene in each factor (p, k), and the relative completeness gap of each factor (k,), NaN without integration."""

    values: np.ndarray
    gap: np.ndarray


class Part(NamedTuple):
    """One encoder with a head that leads to the factors: column i, of the first `n_units`, is a part of ``factor[i]``."""

    kernels: tuple[np.ndarray, ...]
    biases: tuple[np.ndarray, ...]
    head: np.ndarray
    factor: np.ndarray
    n_units: np.int32


def parts_of(model: Network) -> list[Part]:
    """The encoders of a model, units of one factor merged: factors are linear in the units."""
    if isinstance(model, VaeModel):
        k = model.names.size
        return list(_parts(model.encoders, np.arange(k)[None], np.ones((1, k))))
    cluster, weight = model.weights()
    found: list[Part] = []
    low = 0
    for size in sorted(model.encoders):
        group = model.encoders[size]
        shape = (group.n_members, size)
        here = slice(low, low + group.n_members * size)
        found += _parts(group, cluster[here].reshape(shape), weight[here].reshape(shape))
        low = here.stop
    return found


def _parts(group: Encoders, cluster: np.ndarray, weight: np.ndarray) -> Iterator[Part]:
    for i, head in enumerate(group.head[:, :, : group.n_latent]):
        used = np.flatnonzero(cluster[i] >= 0)
        factors, place = np.unique(cluster[i][used], return_inverse=True)
        # As many columns as there are units, whatever the clusters: other ones compile nothing anew.
        merged = np.zeros((group.n_latent, group.n_latent))
        merged[used, place] = weight[i][used]
        factor = np.zeros(group.n_latent, np.int32)
        factor[: factors.size] = factors
        yield Part(
            tuple(kernel[i] for kernel in group.kernels),
            tuple(bias[i] for bias in group.biases),
            np.asarray(head @ merged, np.float32),
            factor,
            np.int32(factors.size),
        )


def block_size(model: Network, n_rows: int, n_steps: int = 1) -> int:
    """Rows that are worked on at a time: what all blocks at work hold fits ``settings.block_bytes``.

    That is the gradients of all factors, or the hidden layers at all points of a line.
    """
    d = model.variance.size if isinstance(model, DeepprofileModel) else _n_inputs(model)
    groups = model.encoders.values() if isinstance(model, DeepprofileModel) else [model.encoders]
    hidden = max(sum(bias.shape[1] for bias in group.biases) for group in groups)
    fits = settings.block_bytes // (4 * max(n_bent(model) * d, n_steps * hidden) * _workers())
    share = -(-n_rows // _workers())
    return int(max(1, min(fits, MOST_ROWS, 1 << (share - 1).bit_length())))


def _n_inputs(model: VaeModel) -> int:
    return model.features.size + model.covariate_codes.column.size


def n_bent(model: Network) -> int:
    """Factors that come from networks; the others are components of the data, and linear."""
    return model.n_clusters if isinstance(model, DeepprofileModel) else model.names.size


def _workers() -> int:
    if jax.default_backend() != "cpu":
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def attribute(
    model: Network,
    blocks: Iterable[Block],
    size: int,
    *,
    method: str = METHODS[0],
    n_steps: int = 50,
    report: Callable[[int], None] = lambda n_rows: None,
) -> Attributions:
    """
    Attribute factors to genes by gradients.

    Parameters
    ----------
    model
        A fitted network.
    blocks
        Rows, at most `size` at a time; each is read once.
    size
        From `block_size`.
    method
        One of `METHODS`, without ``"correlation"``.
    n_steps
        Points on each line.
    report
        Called with numbers of rows that are done.
    """
    check_compiler()
    parts, deep, k = parts_of(model), isinstance(model, DeepprofileModel), n_bent(model)
    axes = jax.device_put(model.components) if deep else None
    absolute = method == "integrated_gradients_absolute"
    slopes = np.zeros((model.features.size, 0), np.float32)
    if isinstance(model, DeepprofileModel):
        slopes = model.components @ model.linear().astype(np.float32)
    halt = Event()

    def work(block: Block) -> tuple[Any, ...]:
        n = len(block.z)
        z = _filled(block.z, size)
        x, baseline = jax.device_put(_ends(model, z, _filled(block.covariates, size)))
        start = x if method == "gradient" else baseline
        gradients, change = jnp.zeros((k, *x.shape), jnp.float32), jnp.zeros((size, k), jnp.float32)
        for part in parts:
            if halt.is_set():
                return (0,)
            gradients, change = co_activation.add_member(
                gradients, change, *part, x, start, n_steps=1 if method == "gradient" else n_steps
            )
        if method == "gradient":
            return n, np.asarray(gradients)[:, :n].sum(axis=1, dtype=np.float64)
        total = np.asarray(co_activation.along(gradients, x, baseline), np.float64)[:n]
        moved = np.asarray(change, np.float64)[:n]
        weights = _filled(np.ones_like(moved) if absolute else np.sign(moved), size)
        found = np.asarray(co_activation.add_up(gradients, weights, z, axes, absolute=absolute), np.float64)
        return (
            n,
            found,
            _linear(block.z, slopes, absolute),
            np.abs(total - moved).sum(axis=0),
            np.abs(moved).sum(axis=0),
        )

    sums: list[Any] = []
    n_rows = 0
    for n, *found in _spread(work, blocks, halt):
        sums = [a + b for a, b in zip(sums, found, strict=True)] if sums else found
        n_rows += n
        report(n)
    values = sums[0].T / n_rows
    if method == "gradient":
        values = model.components @ values if deep else values[: model.features.size]
        return Attributions(np.hstack([values, slopes]), np.full(model.names.size, np.nan))
    gap = np.divide(sums[2], sums[3], out=np.zeros_like(sums[2]), where=sums[3] > 0)
    return Attributions(np.hstack([values, sums[1] / n_rows]), np.append(gap, np.zeros(slopes.shape[1])))


def _linear(z: np.ndarray, slopes: np.ndarray, absolute: bool) -> np.ndarray:
    """Sum over rows of what `add_up` gives where gradients are the same everywhere (p, factors)."""
    if absolute:
        return np.abs(z).sum(axis=0, dtype=np.float64)[:, None] * np.abs(slopes)
    return (z.T @ np.sign(z @ slopes)).astype(np.float64) * slopes


def _ends(model: Network, z: np.ndarray, covariates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What the encoders see, and the same with every gene at its mean and covariates as they are."""
    if isinstance(model, DeepprofileModel):
        x = model.reduce(z)
        return x, np.zeros((1, x.shape[1]), np.float32)
    return np.concatenate([z, covariates], axis=1), np.concatenate([np.zeros_like(z), covariates], axis=1)


def _filled(rows: np.ndarray, size: int) -> np.ndarray:
    found = np.zeros((size, rows.shape[1]), np.float32)
    found[: len(rows)] = rows
    return found


def _spread(work: Callable[[Block], Any], blocks: Iterable[Block], halt: Event) -> Iterator[Any]:
    """Results in the order of the blocks; no more blocks are read than are worked on."""
    waiting: list[Future[Any]] = []
    with one_blas_thread(), ThreadPoolExecutor(max_workers=_workers()) as pool:
        try:
            for block in blocks:
                if len(waiting) == _workers():
                    yield waiting.pop(0).result()
                waiting.append(pool.submit(work, block))
            while waiting:
                yield waiting.pop(0).result()
        except BaseException:
            halt.set()
            raise


def correlate(
    model: Network, blocks: Iterable[Block], report: Callable[[int], None] = lambda n_rows: None
) -> Attributions:
    """Pearson's correlation of each gene with each factor's score; 0 for what does not vary."""
    p, k = model.features.size, model.names.size
    n, sums, squares, products = 0, np.zeros(p + k), np.zeros(p + k), np.zeros((p, k))
    for block in blocks:
        scores, _ = model.embed(block.z, block.covariates)
        both = np.concatenate([block.z, scores], axis=1, dtype=np.float64)
        sums += both.sum(axis=0)
        squares += np.einsum("ij,ij->j", both, both)
        products += both[:, :p].T @ both[:, p:]
        n += len(both)
        report(len(both))
    centred = products / n - np.outer(sums[:p], sums[p:]) / n**2
    spread = np.sqrt(np.maximum(squares / n - (sums / n) ** 2, 0))
    spread[spread < 1e-6 * np.sqrt(squares / n)] = 0
    scale = np.outer(spread[:p], spread[p:])
    values = np.divide(centred, scale, out=np.zeros_like(centred), where=scale > 0)
    return Attributions(np.clip(values, -1, 1), np.full(k, np.nan))
