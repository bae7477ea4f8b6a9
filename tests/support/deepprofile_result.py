"""What `tl.deepprofile` and `tl.attributions` leave in an AnnData, made by hand and in no time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from anndata import AnnData

SIZES = (5, 10, 25, 50, 75, 100)


def deepprofile_result(
    n_obs: int = 60,
    n_vars: int = 80,
    *,
    latent_sizes: Sequence[int] = SIZES,
    n_members: int = 3,
    n_clusters: int = 12,
    epochs: int = 20,
    validation: bool = False,
    seed: int = 0,
) -> AnnData:
    """Scores with their uncertainty, history, nodes, clusters and attributions, in the layout of the verbs."""
    random = np.random.default_rng(seed)
    names = np.array([f"DP{i + 1}" for i in range(n_clusters)], dtype=object)
    scores = random.normal(size=(n_obs, n_clusters))
    sd = np.exp(random.normal(-1.0, 0.45, (n_obs, 1))) * random.uniform(0.6, 1.6, n_clusters)
    nodes = _nodes(random, latent_sizes, n_members, n_clusters)
    adata = AnnData(
        random.normal(size=(n_obs, n_vars)).astype(np.float32),
        obs=pd.DataFrame(
            {
                "group": pd.Categorical(np.where(scores[:, 0] > 0, "SLE", "Healthy")),
                "percent": 50 + 10 * scores[:, 1],
            },
            index=[f"S{i}" for i in range(n_obs)],
        ),
        var=pd.DataFrame(index=[f"GENE{i}" for i in range(n_vars)]),
    )
    adata.obsm["deepprofile"] = scores.astype(np.float32)
    adata.obsm["deepprofile_sd"] = sd.astype(np.float32)
    adata.uns["deepprofile"] = {
        "kind": "deepprofile",
        "version": 1,
        "names": names,
        "history": history(latent_sizes, n_members, epochs, validation=validation, seed=seed),
        "nodes": nodes,
        "clusters": clusters(nodes, names, latent_sizes),
    }
    weights = random.normal(size=(n_vars, n_clusters)) * random.random((n_vars, n_clusters)) ** 6
    adata.varm["deepprofile_attributions"] = (weights * random.uniform(0.1, 3, n_clusters)).astype(np.float32)
    adata.uns["deepprofile_attributions"] = {"kind": "attributions", "version": 1, "names": names}
    return adata


def history(
    latent_sizes: Sequence[int], n_members: int, epochs: int, *, validation: bool = False, seed: int = 0
) -> pd.DataFrame:
    """The long table of all members, in the shape that losses of such networks have."""
    random = np.random.default_rng(seed)
    parts = []
    epoch = np.arange(1, epochs + 1)
    for size in latent_sizes:
        for member in range(n_members):
            own = random.normal(0, 0.012)
            noise = random.normal(0, 0.002, epochs)
            left = 900 / size**0.1 * (1 + own) + 500 * np.exp(-epoch / random.uniform(3, 5))
            kl = 26 * size**0.36 * (1 - np.exp(-epoch / 6)) * (1 + random.normal(0, 0.02))
            reconstruction = left * (1 + noise)
            held_out = reconstruction + kl + 60 + 0.4 * epoch if validation else np.full(epochs, np.nan)
            columns = {
                "latent_size": size,
                "member": member,
                "epoch": epoch,
                "loss": reconstruction + kl,
                "reconstruction": reconstruction,
                "kl": kl,
                "validation": held_out,
            }
            parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


def _nodes(random: np.random.Generator, latent_sizes: Sequence[int], n_members: int, n_clusters: int) -> pd.DataFrame:
    parts = []
    for size in latent_sizes:
        member, unit = np.divmod(np.arange(n_members * size), size)
        parts.append(pd.DataFrame({"latent_size": size, "member": member, "unit": unit}))
    nodes = pd.concat(parts, ignore_index=True)
    n = len(nodes)
    level = np.log(nodes["latent_size"].to_numpy() / 5) / np.log(20)  # large networks feed other clusters
    place = np.abs((0.75 * level + random.normal(0, 0.25, n) + 1) % 2 - 1)  # reflected at the ends
    place = np.minimum(place, 1 - 1e-9)
    nodes["cluster"] = np.minimum((n_clusters * place).astype(int), n_clusters - 1)
    nodes.loc[: n_clusters - 1, "cluster"] = np.arange(n_clusters)[:n]  # none is empty
    nodes["sign"] = random.choice([-1, 1], n)
    nodes["kl"] = random.gamma(2, 0.7, n)
    nodes["active"] = random.random(n) > 0.03
    nodes.loc[~nodes["active"], ["cluster", "kl"]] = [-1, 0.001]
    quality = random.uniform(3, 20, n_clusters)
    nodes["variance"] = np.where(nodes["active"], random.uniform(0.05, 0.9, n), 1e-4)
    nodes["factor"] = np.where(nodes["active"], [f"DP{i + 1}" for i in nodes["cluster"]], "")
    nodes["correlation"] = np.where(nodes["active"], random.beta(quality[nodes["cluster"]], 2), np.nan)
    return nodes


def clusters(nodes: pd.DataFrame, names: np.ndarray, latent_sizes: Sequence[int]) -> pd.DataFrame:
    """The table of clusters, counted from that of nodes."""
    rows = []
    for i, name in enumerate(names):
        own = nodes[nodes["cluster"] == i]
        counts = {size: int((own["latent_size"] == size).sum()) for size in latent_sizes}
        rows.append(
            {
                "factor": name,
                "n_nodes": len(own),
                "stability": float(own["correlation"].abs().mean()),
                "dominant_size": max(counts, key=lambda size: counts[size]),
                **{f"share_{size}": counts[size] / max(len(own), 1) for size in latent_sizes},
            }
        )
    return pd.DataFrame(rows)
