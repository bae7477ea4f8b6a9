"""The fit of a DeepProfile ensemble: components, members, clusters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import jax
import numpy as np

from omicstl._core.random import Streams
from omicstl.kernels import rank
from omicstl.models.factors.autoencoder.axes import Axes, principal_axes
from omicstl.models.factors.autoencoder.encoders import Encoders, stack
from omicstl.models.factors.autoencoder.rows import Data

from .clusters import Clusters, cluster, stability
from .model import DeepprofileModel, Embedded
from .train import DeepprofileOptions, Hooks, Name, hidden_sizes, train_members


class Components(NamedTuple):
    """Principal axes of z-scored data, and the scores of the data on them (n, d) float32."""

    axes: Axes
    scores: np.ndarray


class Fit(NamedTuple):
    """A fitted ensemble, the scores of its training data, and how it came about."""

    model: DeepprofileModel
    embedded: Embedded
    clusters: Clusters
    stability: np.ndarray  # (clusters,)
    kl: np.ndarray  # (N,) nats, mean over the training data
    history: dict[Name, np.ndarray]  # (epochs, 4): loss, reconstruction, divergence, loss on held-out rows or NaN


def size_in_bytes(n_genes: int, n_comps: int, latent_sizes: tuple[int, ...], n_members: int) -> int:
    """Bytes of a model of these sizes, known before any fit."""
    floats = 0
    for size in latent_sizes:
        a, b = hidden_sizes(size)
        floats += (n_comps + 1) * a + (a + 1) * b + (b + 1) * 2 * size
    nodes = sum(latent_sizes) * n_members
    return 4 * n_members * floats + n_genes * (4 * n_comps + 8 * 3 + 16) + 8 * n_comps + 40 * nodes


def components(data: Data, n_comps: int | None, least: int, random: Streams) -> Components:
    """Exact principal components of z-scored rows: a randomised solver gives other trailing ones with each seed.

    `None` takes as many as `n_components` says, at least `least` where there are as many.
    """
    n, p = data.rows.n_rows, data.rows.n_cols
    number = partial(n_components, n_obs=n, n_genes=p, least=least) if n_comps is None else n_comps
    axes = principal_axes(data.inputs, n, p, number, random.generator("axes"), exact=np.inf)
    scores = np.concatenate([block @ axes.components for block in data.inputs()])
    return Components(axes, np.asarray(scores, np.float32))


def n_components(values: np.ndarray, n_obs: int, n_genes: int, least: int) -> int:
    """Number of components for eigenvalues of Z'Z: three times those above the edge of Marchenko and Pastur, as PLIER's factors."""
    return max(least, 3 * rank.marchenko_pastur(values, n_genes, n_obs))


def fit_deepprofile(
    features: np.ndarray,
    data: Data,
    parts: Components,
    options: DeepprofileOptions,
    random: Streams,
    hooks: Hooks | None = None,
) -> Fit:
    """
    Train all members that are not there yet, cluster their units, and score the training data.

    Parameters
    ----------
    features
        Names of the genes.
    data
        The data, for what standardised them.
    parts
        Components of the data.
    options
        Options.
    random
        Streams; a member's are named by its latent size and number.
    hooks
        What is there already, and what is called along the way.

    Raises
    ------
    ValueError
        If a member's loss is not finite.
    """
    with jax.enable_x64(False):
        done = train_members(parts.scores, options, random, hooks or Hooks())
        encoders = {
            size: stack([_encoder(done[size, i]) for i in range(options.n_members)]) for size in options.latent_sizes
        }
        return _assembled(features, data, parts, options, encoders, done, random)


def _encoder(member: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: value for name, value in member.items() if name != "history"}


def _assembled(
    features: np.ndarray,
    data: Data,
    parts: Components,
    options: DeepprofileOptions,
    encoders: dict[int, Encoders],
    done: Mapping[tuple[int, int], dict[str, np.ndarray]],
    random: Streams,
) -> Fit:
    size = np.concatenate([np.full(s * options.n_members, s) for s in encoders])
    member = np.concatenate([np.repeat(np.arange(options.n_members), s) for s in encoders])
    unit = np.concatenate([np.tile(np.arange(s), options.n_members) for s in encoders])
    nothing = np.zeros(len(size))
    bare = DeepprofileModel(
        features=features,
        names=np.zeros(0, object),
        mean=data.centre,
        scale=data.scale,
        **parts.axes._asdict(),
        encoders=encoders,
        node_size=size,
        node_member=member,
        node_unit=unit,
        node_cluster=np.full(len(size), -1),
        node_sign=nothing + 1,
        node_centre=nothing,
        node_scale=nothing + 1,
        rule=options.rule,
        n_linear=min(max(options.latent_sizes), parts.scores.shape[1]) if options.linear else 0,
        n_obs=len(parts.scores),
    )
    means, kl = _nodes(bare, parts.scores)
    clusters = cluster(means, options.n_clusters, options.rule, random)
    model = _clustered(bare, clusters)
    embedded = model.embed_components(parts.scores)
    known = stability(means, embedded.scores[:, : model.n_clusters], size, member, clusters.label)
    return Fit(model, embedded, clusters, known, kl, {name: found["history"] for name, found in done.items()})


def _clustered(bare: DeepprofileModel, found: Clusters) -> DeepprofileModel:
    clusters = [f"DP{i + 1}" for i in range(int(found.label.max()) + 1)]
    return replace(
        bare,
        names=np.array([*clusters, *(f"PC{i + 1}" for i in range(bare.n_linear))], dtype=object),
        node_cluster=found.label,
        node_sign=found.sign,
        node_centre=found.centre,
        node_scale=found.scale,
    )


def _nodes(model: DeepprofileModel, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Posterior means of all nodes (n, N), and their mean divergence from the prior (N,), block by block."""
    from .model import ROWS

    means, kl = [], np.zeros(model.node_size.size)
    for low in range(0, len(scores), ROWS):
        mean, variance = model.nodes(scores[low : low + ROWS])
        means.append(mean)
        kl += 0.5 * np.sum(mean**2 + variance - 1 - np.log(variance), axis=0, dtype=np.float64)
    return np.concatenate(means), kl / len(scores)
