"""What the loss and the networks of scDEAL are, measured on one run of the re-creation; called by `fidelity_scdeal.py`."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import original_scdeal as original


def v_statistic(a: np.ndarray, b: np.ndarray) -> float:
    """Squared MMD, biased, as it is defined, in double precision."""
    a, b = a.astype(float), b.astype(float)

    def kernel(x, y):
        return np.exp(-((x[:, None, :] - y[None, :, :]) ** 2).sum(-1) / (2 * original.SIGMA**2)).mean()

    return float(kernel(a, a) + kernel(b, b) - 2 * kernel(a, b))


def mmd(a: np.ndarray, b: np.ndarray) -> dict:
    """The term as it is trained with, in single precision; how far it is from the V-statistic, and from the distance of the means."""
    value, exact = float(original.mmd(jnp.asarray(a), jnp.asarray(b))), v_statistic(a, b)
    means = float(((a.mean(0, dtype=float) - b.mean(0, dtype=float)) ** 2).sum() / original.SIGMA**2)
    return {
        "value": value,
        "from_v_statistic": abs(value / exact - 1),
        "from_distance_of_means": abs(value / means - 1),
        "root_mean_square_of_a_row": float(np.sqrt((np.concatenate([a, b]) ** 2).sum(1).mean())),
    }


def moved(before: original.Weights, after: original.Weights, part: str) -> float:
    """Largest change of a number."""
    pairs = zip(jax.tree.leaves(getattr(before, part)), jax.tree.leaves(getattr(after, part)), strict=True)
    return max(float(jnp.abs(a - b).max()) for a, b in pairs)


def bend(x: np.ndarray, weights: original.Weights) -> float:
    """How far an encoder at inference is from its own affine map, over its largest output."""
    graph = original.structure(original.Encoder, x.shape[1])
    zero = jnp.zeros(x.shape[1], jnp.float32)

    def encode(rows):
        return original.apply(graph, weights, rows)[0]

    with jax.default_matmul_precision("highest"):
        matrix = np.asarray(jax.jacrev(lambda row: encode(row[None])[0])(zero), float)
        out, offset = (np.asarray(encode(rows), float) for rows in (jnp.asarray(x), zero[None]))
    return float(np.abs(out - x.astype(float) @ matrix.T - offset).max() / np.abs(out).max())


def clusters(hidden: np.ndarray, *, as_used: bool) -> np.ndarray:
    """Louvain on ten neighbours with distances as weights: labels as nodes came into the graph (`as_used`), or put in order."""
    import networkx as nx
    from sklearn.neighbors import NearestNeighbors

    distance, neighbour = NearestNeighbors(n_neighbors=11).fit(hidden).kneighbors(hidden)
    graph = nx.Graph()
    for i, (far, near) in enumerate(zip(distance[:, 1:], neighbour[:, 1:], strict=True)):
        graph.add_weighted_edges_from((i, int(j), float(d)) for d, j in zip(far, near, strict=True))
    of = {n: c for c, nodes in enumerate(nx.community.louvain_communities(graph, seed=0)) for n in nodes}
    return np.array([of[n] for n in (graph.nodes if as_used else range(len(hidden)))])


def cluster_order() -> dict:
    """Four groups of 50 far from each other: adjusted Rand index of the labels as they are used, and in order."""
    from sklearn.metrics import adjusted_rand_score

    random = np.random.default_rng(0)
    truth = random.permutation(np.repeat(np.arange(4), 50))
    points = 20 * np.eye(20)[truth] + random.normal(size=(200, 20))
    return {
        name: float(adjusted_rand_score(truth, clusters(points, as_used=used)))
        for name, used in (("as_used", True), ("in_order", False))
    }


def regulariser(hidden: np.ndarray, x: np.ndarray) -> np.float32:
    """Sum over clusters of 1 - cosine of pairs of *inputs*, over 2 n^2 - n: numbers, no parameter of a network is left in them."""
    labels, unit = clusters(np.asarray(hidden), as_used=True), np.asarray(x) / np.linalg.norm(x, axis=1, keepdims=True)
    total = 0.0
    for one in np.unique(labels):
        rows = unit[labels == one]
        total += np.triu(1 - rows @ rows.T, 1).sum() / (2 * len(rows) ** 2 - len(rows))
    return np.float32(total)


def regulariser_gradient(x: np.ndarray, weights: original.Weights) -> dict:
    """Its value on a batch, and the largest difference that it makes to the gradient of a loss."""
    graph = original.structure(original.Encoder, x.shape[1])
    rows = jnp.asarray(x)

    def loss(params, with_it):
        module = original.merged(graph, original.Weights(params, weights.stats))
        hidden = module.blocks(rows, None, None)
        of_numbers = (jax.lax.stop_gradient(hidden), rows)
        extra = jax.pure_callback(regulariser, jax.ShapeDtypeStruct((), jnp.float32), *of_numbers)
        return (module.last(hidden) ** 2).mean() + (extra if with_it else 0.0)

    pairs = zip(*(jax.tree.leaves(jax.grad(loss)(weights.params, on)) for on in (True, False)), strict=True)
    return {
        "value": float(loss(weights.params, True) - loss(weights.params, False)),
        "largest_gradient": max(float(jnp.abs(a - b).max()) for a, b in pairs),
    }


def parts(fitted: original.Fitted) -> dict:
    """All of it."""
    spaces = {
        (when, of): original.predict(fitted, weights, of)[0][:100]
        for when, weights in (("before", fitted.before), ("after", fitted.weights))
        for of in ("encoder", "cells")
    }
    pairs = {f"{when} the transfer": (spaces[when, "encoder"], spaces[when, "cells"]) for when in ("before", "after")}
    pairs["rows of length about 1"] = tuple(z / 100 for z in pairs["before the transfer"])
    outputs = original.predict(fitted, fitted.weights)[1].sum(1)
    certain = jnp.asarray([[1.0, 0.0], [0.0, 1.0]])
    return {
        "mmd": {name: mmd(*pair) for name, pair in pairs.items()},
        "largest_change_in_transfer": {
            f"{part}_of_{whose}": moved(fitted.before[name], fitted.weights[name], part)
            for whose, name in (("lines", "encoder"), ("predictor", "predictor"), ("cells", "cells"))
            for part in ("params", "stats")
        },
        "distance_from_affine": {
            "lines": bend(fitted.lines[:64], fitted.weights["encoder"]),
            "cells": bend(fitted.cells[:64], fitted.weights["cells"]),
        },
        "regulariser": regulariser_gradient(fitted.cells[:100], fitted.before["cells"]),
        "rand_index_of_clusters": cluster_order(),
        "lowest_loss": float(original.cross_entropy(certain, jnp.asarray([0, 1]), jnp.ones(2))),
        "sum_of_both_outputs": {"mean": float(outputs.mean()), "sd": float(outputs.std())},
    }
