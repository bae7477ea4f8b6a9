"""The parts of a simulated drug screen and of the cells that it is carried over to (numpy)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from omicstl._core.random import Streams

N_PROGRAMMES = 24
N_DRIVING = 3  # programmes that a drug's response rests on
GAIN = (1.0, 0.75)  # of the two laboratories: the second saturates
_BLOCK = 2_000  # cells whose dense rates are held at once


class Biology(NamedTuple):
    """What lines and cells share: p genes, K programmes, T tissues, d drugs. Expression is log2."""

    mean: np.ndarray  # (p,)
    loadings: np.ndarray  # (p, K)
    cycle: np.ndarray  # (p,) what the cell cycle adds
    tissues: np.ndarray  # (T, p)
    weights: np.ndarray  # (K, d) of the programmes in the response, larger is more sensitive
    tissue_response: np.ndarray  # (T, d)


class States(NamedTuple):
    """What the cells are, before anything is measured."""

    programmes: np.ndarray  # (m, K)
    sensitive: np.ndarray  # (m,) bool, for the first drug
    clone: np.ndarray  # (m,) int
    subclone: np.ndarray | None  # (m,) int, two to a clone; None unless the response is that of sub-clones
    cycle: np.ndarray  # (m,) 0 where a cell does not cycle


def biology(random: Streams, n_vars: int, n_drugs: int, n_tissues: int, tissue_effect: float) -> Biology:
    """Draw genes, programmes, tissues, and on which programmes each drug rests."""
    means, loading, tissue = (random.generator(name) for name in ("means", "loadings", "tissues"))
    return Biology(
        mean=means.normal(2.5, 1.6, n_vars),
        loadings=_sparse(loading, (n_vars, N_PROGRAMMES), 0.06, 0.7),
        cycle=np.abs(_sparse(random.generator("cycle"), (n_vars,), 0.06, 0.7)),
        tissues=_sparse(tissue, (n_tissues, n_vars), 0.15, 0.6),
        weights=drug_weights(random, n_drugs),
        tissue_response=_shared(random, "tissue response", (n_tissues,), n_drugs) * tissue_effect,
    )


def _sparse(generator: np.random.Generator, shape: tuple[int, ...], share: float, sd: float) -> np.ndarray:
    return generator.normal(0.0, sd, shape) * (generator.random(shape) < share)


def _shared(random: Streams, name: str, shape: tuple[int, ...], n_drugs: int) -> np.ndarray:
    """Standard normal for each drug; of several drugs, half of the variance is common to all."""
    own = [random.generator(name, 1 + drug).standard_normal(shape) for drug in range(n_drugs)]
    if n_drugs == 1:
        return np.stack(own, axis=-1)
    common = random.generator(name, 0).standard_normal(shape)
    return np.stack([(common + one) / np.sqrt(2) for one in own], axis=-1)


def drug_weights(random: Streams, n_drugs: int) -> np.ndarray:
    """Weights of the programmes (K, d): the first three, and of several drugs three of its own for each."""
    weights = np.zeros((N_PROGRAMMES, n_drugs))
    weights[:N_DRIVING] = _driving(random.generator("weights", 0))[:, None]
    if n_drugs > 1:
        weights /= np.sqrt(2)
        for drug in range(n_drugs):
            generator = random.generator("weights", 1 + drug)
            rows = generator.choice(np.arange(N_DRIVING, N_PROGRAMMES), size=N_DRIVING, replace=False)
            weights[rows, drug] = _driving(generator) / np.sqrt(2)
    return weights


def _driving(generator: np.random.Generator) -> np.ndarray:
    return generator.uniform(0.8, 1.2, N_DRIVING) * generator.choice([-1.0, 1.0], N_DRIVING)


def line_expression(
    random: Streams, world: Biology, programmes: np.ndarray, tissue: np.ndarray, laboratory: np.ndarray
) -> np.ndarray:
    """Log2 expression (n, p), as two laboratories measure it."""
    n_vars = len(world.mean)
    level = world.mean + programmes @ world.loadings.T + world.tissues[tissue]
    x = np.logaddexp2(0.0, level)  # log2(1 + 2^level), as TPM + 1
    x *= np.asarray(GAIN)[laboratory][:, None]
    x += random.generator("laboratories").normal(0.0, 0.5, (len(GAIN), n_vars))[laboratory]
    x += 0.35 * random.generator("noise").standard_normal(x.shape)
    return x.astype(np.float32)


def line_response(random: Streams, world: Biology, programmes: np.ndarray, tissue: np.ndarray) -> np.ndarray:
    """Response (n, d), larger is more sensitive."""
    score = programmes @ world.weights + world.tissue_response[tissue]
    return score + 0.8 * random.generator("response").standard_normal(score.shape)


def cell_states(
    random: Streams,
    weights: np.ndarray,
    n_cells: int,
    *,
    response_by: str,
    sensitive: float,
    separation: float,
    n_clones: int,
    clone_separation: float,
) -> States:
    """Draw clones, who is sensitive, and the programmes of each cell; `weights` (K,) are the first drug's."""
    generator = random.generator("states")
    direction = weights / (np.linalg.norm(weights) or 1.0)
    clone, responds = _clones(generator, n_cells, n_clones, sensitive, response_by)
    centres = _beside(generator.normal(0.0, clone_separation, (n_clones, len(weights))), direction)
    own = _beside(generator.normal(0.0, clone_separation / 20, (2 * n_clones, len(weights))), direction)
    programmes = generator.normal(0.0, 0.6, (n_cells, len(weights))) + centres[clone]
    programmes += separation * (responds[:, None] - 0.5) * direction
    subclone = None
    if response_by == "subclone":
        subclone = 2 * clone + responds
        programmes += own[subclone]
    cycling = generator.random(n_cells) < 0.3
    return States(programmes, responds, clone, subclone, cycling * generator.uniform(0.5, 1.5, n_cells))


def _beside(centres: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Make rows orthogonal to a unit vector."""
    return centres - np.outer(centres @ direction, direction)


def _clones(
    generator: np.random.Generator, n_cells: int, n_clones: int, sensitive: float, response_by: str
) -> tuple[np.ndarray, np.ndarray]:
    """Draw the clone of each cell, and whether it is sensitive."""
    if response_by == "clone":  # whole clones are one or the other
        order = generator.permutation(n_clones)
        first, second = order[: (n_clones + 1) // 2], order[(n_clones + 1) // 2 :]
        responds = generator.random(n_cells) < sensitive
        return np.where(responds, generator.choice(first, n_cells), generator.choice(second, n_cells)), responds
    clone = generator.integers(n_clones, size=n_cells)
    share = np.full(n_clones, sensitive)
    if response_by == "subclone":  # the smaller part of each clone is small, and on either side
        spread = 0.8 * min(sensitive, 1 - sensitive)
        share += generator.permutation(np.linspace(-spread, spread, n_clones)) if n_clones > 1 else 0.0
    return clone, generator.random(n_cells) < share[clone]


def cell_counts(
    random: Streams, world: Biology, states: States, *, tissue: int, offset: np.ndarray, depth: float
) -> sp.csr_matrix:
    """Counts (m, p): Poisson of gamma rates around the proportions, with a log-normal depth; in blocks of cells."""
    base = world.mean + world.tissues[tissue] + offset
    total = depth * np.exp(0.4 * random.generator("depth").standard_normal(len(states.clone)))
    blocks = []
    for number, start in enumerate(range(0, len(total), _BLOCK)):
        rows = slice(start, start + _BLOCK)
        generator = random.generator("counts", number)
        rate = base + states.programmes[rows] @ world.loadings.T + np.outer(states.cycle[rows], world.cycle)
        rate = np.exp2(rate - rate.max(axis=1, keepdims=True))
        rate *= (total[rows] / rate.sum(axis=1))[:, None]
        gamma = generator.standard_gamma(1 / 0.4, rate.shape) * 0.4
        blocks.append(sp.csr_matrix(generator.poisson(rate * gamma).astype(np.float32)))
    return sp.vstack(blocks, format="csr", dtype=np.float32)
