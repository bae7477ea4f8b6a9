"""Small models of networks with random weights, their scores written out for differentiation, and data for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from anndata import AnnData

from omicstl._data import store
from omicstl.models.factors.autoencoder.covariates import learn
from omicstl.models.factors.autoencoder.encoders import Encoders
from omicstl.models.factors.deepprofile.model import DeepprofileModel
from omicstl.models.factors.vae.model import VaeModel


def encoders(rng: np.random.Generator, n_in: int, hidden: Sequence[int], n_latent: int, n_members: int) -> Encoders:
    """Encoders with weights of a size that keeps about half of the units active."""
    widths = [n_in, *hidden]
    kernels = tuple(
        rng.normal(size=(n_members, a, b)).astype(np.float32) / np.float32(np.sqrt(a))
        for a, b in zip(widths[:-1], widths[1:], strict=True)
    )
    biases = tuple(0.3 * rng.normal(size=(n_members, b)).astype(np.float32) for b in hidden)
    head = rng.normal(size=(n_members, widths[-1], 2 * n_latent)).astype(np.float32)
    return Encoders(kernels, biases, head, np.zeros((n_members, 2 * n_latent), np.float32))


def _gaussian(rng: np.random.Generator, p: int, d: int) -> dict[str, Any]:
    return {
        "features": np.array([f"GENE{i}" for i in range(p)], dtype=object),
        "mean": rng.normal(8, 1, p),
        "scale": rng.uniform(0.5, 2, p),
        "components": np.linalg.qr(rng.normal(size=(p, d)))[0].astype(np.float32),
        "variance": np.sort(rng.uniform(1, 5, d))[::-1].copy(),
        "noise": np.full(p, 0.2),
        "n_obs": 40,
    }


def ensemble(p: int = 30, d: int = 8, k: int = 4, n_linear: int = 2, seed: int = 0) -> DeepprofileModel:
    """Two sizes, three members of each; some units are in no factor, some factors have several units of a member.

    The first components are factors as well.
    """
    rng = np.random.default_rng(seed)
    groups = {2: encoders(rng, d, (6, 5), 2, 3), 3: encoders(rng, d, (7, 4), 3, 3)}
    size, member = np.repeat([2, 3], [6, 9]), np.concatenate([np.repeat(range(3), 2), np.repeat(range(3), 3)])
    cluster = rng.integers(-1, k, 15)
    cluster[:k] = range(k)
    cluster[6:8] = 1  # two units of one member
    return DeepprofileModel(
        **_gaussian(rng, p, d),
        names=np.array([*(f"DP{i + 1}" for i in range(k)), *(f"PC{i + 1}" for i in range(n_linear))], dtype=object),
        encoders=groups,
        node_size=size,
        node_member=member,
        node_unit=np.concatenate([np.tile(range(2), 3), np.tile(range(3), 3)]),
        node_cluster=cluster,
        node_sign=rng.choice([-1.0, 1.0], 15),
        node_centre=rng.normal(size=15),
        node_scale=rng.uniform(0.5, 2, 15),
        rule="aligned",
        n_linear=n_linear,
    )


def vae(p: int = 12, k: int = 3, hidden: Sequence[int] = (9,), seed: int = 0, *, with_batch: bool = False) -> VaeModel:
    """One encoder on genes, and on a batch where asked for."""
    rng = np.random.default_rng(seed)
    batch = {"batch": np.array(["a", "b"] * 20)} if with_batch else {}
    codes = learn(batch, {"batch": ["a", "b"]} if with_batch else {})
    return VaeModel(
        **_gaussian(rng, p, 4),
        names=np.array([f"VAE{i + 1}" for i in range(k)], dtype=object),
        encoders=encoders(rng, p + codes.column.size, hidden, k, 1),
        covariate_codes=codes,
        likelihood="gaussian",
        decoder="mlp",
        target_sum=None,
        loadings=None,
    )


def without_bends(model: DeepprofileModel) -> DeepprofileModel:
    """The same with every unit active wherever the data may lie: linear scores."""
    groups = {
        size: group._replace(
            kernels=tuple(map(np.abs, group.kernels)),
            biases=tuple(b + np.float32(50 * 30**i) for i, b in enumerate(group.biases)),
        )
        for size, group in model.encoders.items()
    }
    return replace(model, encoders=groups)


def slopes(model: DeepprofileModel) -> np.ndarray:
    """Slope of each score along each gene (k, p) where every unit is active, in numpy."""
    found, counts = np.zeros((model.n_clusters, model.features.size)), np.zeros(model.n_clusters)
    for i in np.flatnonzero(model.node_cluster >= 0):
        group, member = model.encoders[int(model.node_size[i])], int(model.node_member[i])
        slope = group.head[member][:, int(model.node_unit[i])].astype(np.float64)
        for kernel in group.kernels[::-1]:
            slope = kernel[member] @ slope
        found[model.node_cluster[i]] += model.components @ slope * model.node_sign[i] / model.node_scale[i]
        counts[model.node_cluster[i]] += 1
    leading = model.components[:, : model.n_linear] / np.sqrt(model.variance[: model.n_linear])
    return np.vstack([found / counts[:, None], leading.T])


def score(model: DeepprofileModel | VaeModel) -> Callable[[jax.Array], jax.Array]:
    """Scores (k,) of one standardised observation (p,), or (p + c,) with covariates: a sum over units, one by one."""

    def unit(group: Encoders, member: int, number: int, x: jax.Array) -> jax.Array:
        for kernel, bias in zip(group.kernels, group.biases, strict=True):
            x = jax.nn.relu(x @ kernel[member].astype(np.float64) + bias[member])
        return x @ group.head[member][:, number].astype(np.float64) + group.head_bias[member][number]

    def of(z: jax.Array) -> jax.Array:
        if isinstance(model, VaeModel):
            return jnp.stack([unit(model.encoders, 0, i, z) for i in range(model.names.size)])
        x = z @ model.components.astype(np.float64)
        sums, counts = [0.0] * model.n_clusters, [0] * model.n_clusters
        for i, cluster in enumerate(model.node_cluster):
            if cluster >= 0:
                group = model.encoders[int(model.node_size[i])]
                value = unit(group, int(model.node_member[i]), int(model.node_unit[i]), x) - model.node_centre[i]
                sums[cluster] += value * model.node_sign[i] / model.node_scale[i]
                counts[cluster] += 1
        clusters = jnp.stack([jnp.asarray(a / b) for a, b in zip(sums, counts, strict=True)])
        return jnp.concatenate([clusters, x[: model.n_linear] / np.sqrt(model.variance[: model.n_linear])])

    return of


def cohort(
    model: DeepprofileModel | VaeModel, n: int = 40, seed: int = 1, key: str | None = None, **params: Any
) -> AnnData:
    """Data around the mean of the model's training data, with three variables that it does not know, and the model in it."""
    rng = np.random.default_rng(seed)
    p, counts = model.features.size, isinstance(model, VaeModel) and model.target_sum is not None
    axes = model.components * np.sqrt(model.variance)
    z = rng.normal(size=(n, axes.shape[1])) @ axes.T + np.sqrt(model.noise) * rng.normal(size=(n, p))
    x = rng.poisson(np.exp(1 + 0.3 * z)) if counts else model.mean + model.scale * z
    order = rng.permutation(p + 3)
    names = np.array([*model.features, "OTHER1", "OTHER2", "OTHER3"], dtype=object)[order]
    whole = np.concatenate([x, x[:, :3]], axis=1)[:, order].astype(np.float32)
    adata = AnnData(
        whole,
        obs=pd.DataFrame({"batch": ["a", "b"] * (n // 2)}, index=[f"S{i}" for i in range(n)]),
        var=pd.DataFrame(index=pd.Index(names, dtype=object)),
    )
    put(adata, model, key, **params)
    return adata


def put(adata: AnnData, model: Any, key: str | None = None, **params: Any) -> None:
    """Write a model as its verb does, without scores."""
    tree = model.to_dict()
    adata.uns[model.kind if key is None else key] = {
        "kind": model.kind,
        "version": 1,
        "digest": store.digest(tree),
        "params": {"layer": None, "obsm": None, "batch_key": None, "likelihood": "gaussian", **params},
        "names": model.names,
        "model": tree,
    }
