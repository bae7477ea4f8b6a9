"""Cases for judging a verdict: screens and cells, drawn afresh from the simulator's model, where it is known how far a transfer can go.

    python benchmarks/verdict_cases.py [--n 32] [--seed 0]    (prints what the cases are like; others import `cases`)

Kinds. `ordinary`: the relation of genes to response is the same in lines and cells; how hard it is differs from case to case.
Hopeless, and to be noticed without labels (`DETECTABLE`): the genes of the cells are permuted; the cells have other programmes;
the response of the lines is permuted; fewer than 30 lines; the response of the lines follows their tissue alone; the two
laboratories contradict each other; the cells are of another kind altogether. Hopeless and not to be noticed: `flipped`, the
relation is the opposite in the cells.

Three AUROCs of the cells' truth, from 0 to 1, go with a case:

- `reachable`: of the true score of the cells (before anything is measured). No model gets beyond it.
- `achieved`: of a plain ridge regression on this case: genes z-scored in the lines and in the cells, the numeric response,
  penalty by leave-one-out error on the lines. It is what a sound linear method gets.
- `oracle`: what that ridge is expected to achieve, and what cases are scored by: good from .75, hopeless up to .60.
  For kinds whose source says nothing about the cells it is .5 by symmetry (the mirror image of every such case is as likely). One
  draw can be far from .5, because a random direction orders two tight states either way; that is luck, and a
  method that refuses such a case is right. For `ordinary` and `few_lines` it is the mean of `achieved` over the case's own
  lines and, below 200 lines, over further draws of as many lines from the same world. For `flipped`, 1 minus that.

No part of a case depends on any verdict, and thresholds of verdicts should be set on other seeds than those that are reported.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import anndata as ad
import numpy as np
import pandas as pd
from scipy.stats import rankdata

from omicstl._core.random import Streams, streams
from omicstl.datasets._drug_response_parts import (
    N_DRIVING,
    N_PROGRAMMES,
    Biology,
    biology,
    cell_counts,
    cell_states,
    line_expression,
)

DETECTABLE = (
    "genes_permuted",
    "unrelated_programmes",
    "no_signal",
    "few_lines",
    "lineage_confounded",
    "laboratories_disagree",
    "another_kind",
)
UNDETECTABLE = ("flipped",)
#: Harder than the others, by request only: all programmes are shared but those of the response, which do not vary in the cells.
EXTRA = ("silent_programme",)
KINDS = ("ordinary", *DETECTABLE, *UNDETECTABLE, *EXTRA)
#: Kinds by turns: eight ordinary ones, one of each other kind.
TURNS = tuple(kind for other in (*DETECTABLE, *UNDETECTABLE) for kind in ("ordinary", other))
GOOD, HOPELESS = 0.75, 0.60
PENALTIES = np.logspace(-3, 3, 13)  # times the number of genes


class Case(NamedTuple):
    """A screen, cells, and what is known of them."""

    number: int
    kind: str
    cells: ad.AnnData  # X counts (CSR); obs: clone. The truth is not in it.
    lines: ad.AnnData  # X log2 expression; obs: tissue, laboratory, ln_ic50 (low is sensitive), response (two classes)
    truth: np.ndarray  # (n_cells,) bool: sensitive
    oracle: float
    achieved: float
    reachable: float
    settings: dict[str, Any]

    @property
    def score(self) -> str:
        """Say ``good``, ``hopeless`` or ``between`` (not scored), by the oracle."""
        return "good" if self.oracle >= GOOD else "hopeless" if self.oracle <= HOPELESS else "between"


def cases(n: int = 208, *, seed: int = 0, kinds: tuple[str, ...] | None = None) -> Iterator[Case]:
    """Draw `n` cases one after the other, of all kinds by turns or of `kinds` by turns."""
    turns = TURNS if kinds is None else kinds
    for number in range(n):
        yield draw(number, turns[number % len(turns)], seed=seed)


def draw(number: int, kind: str, *, seed: int = 0) -> Case:
    """Draw the case `number` of a seed; the same two numbers and kind give the same case."""
    if kind not in KINDS:
        msg = f"`kind` must be one of {KINDS}, got {kind!r}."
        raise ValueError(msg)
    stream = Streams(int(streams(seed).generator("case", number, KINDS.index(kind)).integers(2**62)))
    settings = _settings(stream.generator("settings"), kind)
    world = biology(stream, settings["n_vars"], 1, settings["n_tissues"], settings["tissue_effect"])
    there = _other_world(stream, world, kind, settings)  # what the cells live in

    states = cell_states(
        stream,
        there.weights[:, 0],
        settings["n_cells"],
        response_by=settings["response_by"],
        sensitive=settings["target_sensitive"],
        separation=settings["state_separation"],
        n_clones=settings["n_clones"],
        clone_separation=settings["clone_separation"],
    )
    offset = settings["shift"] * stream.generator("offset").standard_normal(settings["n_vars"])
    counts = cell_counts(stream, there, states, tissue=0, offset=offset, depth=settings["depth"])
    if kind == "genes_permuted":
        counts = counts[:, _permutation(stream.generator("genes"), np.asarray(counts.mean(axis=0)).ravel(), settings)]
    truth = ~states.sensitive if kind == "flipped" else states.sensitive
    reachable = _auroc(states.programmes @ there.weights[:, 0], states.sensitive)

    z = _standardized(_log_expression(counts))
    lines = _lines(stream, world, kind, settings, 0)
    achieved = _auroc(_ridge(lines.X, -lines.obs["ln_ic50"].to_numpy(), z), truth)
    oracle = 0.5
    if kind in ("ordinary", "few_lines", "flipped"):
        n = settings["n_lines"]
        more = 12 if n < 30 else 6 if n < 100 else 3 if n < 200 else 0
        again = [_lines(stream, world, kind, settings, 1 + i) for i in range(more)]
        drawn = [_auroc(_ridge(a.X, -a.obs["ln_ic50"].to_numpy(), z), truth) for a in again]
        oracle = float(np.mean([achieved, *drawn]))

    genes = pd.DataFrame(index=[f"GENE{i:04d}" for i in range(settings["n_vars"])])
    clones = pd.Categorical([f"clone_{i}" for i in states.clone])
    obs = pd.DataFrame({"clone": clones}, index=[f"CELL{i:04d}" for i in range(len(truth))])
    lines.var_names = genes.index
    cells = ad.AnnData(counts, obs=obs, var=genes)
    return Case(number, kind, cells, lines, truth, oracle, achieved, reachable, settings)


def _settings(random: np.random.Generator, kind: str) -> dict[str, Any]:
    """Draw what a case is like. Kinds differ in nothing but what makes them hopeless; few lines have closer states too."""

    def between(low: float, high: float) -> float:
        return float(np.exp(random.uniform(np.log(low), np.log(high))))

    settings = {
        "n_lines": round(between(60, 900)),
        "n_cells": round(between(200, 1500)),
        "n_vars": int(random.integers(1000, 1501)),
        "n_tissues": int(random.integers(3, 13)),
        "tissue_effect": float(random.uniform(0.3, 1.0)),
        "response_noise": float(random.uniform(0.5, 1.2)),
        "source_sensitive": float(random.uniform(0.15, 0.5)),
        "target_sensitive": float(random.uniform(0.2, 0.8)),
        "state_separation": float(random.uniform(0.8, 2.5)),
        "shift": float(random.uniform(0.0, 1.8)),
        "depth": between(800, 8000),
        "n_clones": int(random.integers(1, 6)),
        "clone_separation": float(random.uniform(0.4, 1.4)),
        "response_by": str(random.choice(["state", "subclone", "clone"], p=[0.7, 0.15, 0.15])),
        "within_abundance": bool(random.random() < 0.5),  # genes change places with genes of their own abundance
    }
    if settings["n_clones"] == 1:
        settings["response_by"] = "state"
    if kind == "few_lines":
        settings["n_lines"] = int(between(6, 30))
        settings["state_separation"] *= 0.5  # otherwise even a dozen lines often order the cells
    if kind == "laboratories_disagree":
        settings["n_lines"] += settings["n_lines"] % 2  # as many in each
    return settings


def _other_world(stream: Streams, world: Biology, kind: str, settings: dict[str, Any]) -> Biology:
    """The biology of the cells: that of the lines, or one with other programmes, or one that is other altogether."""
    if kind not in ("unrelated_programmes", "another_kind", "silent_programme"):
        return world
    other = biology(
        Streams(int(stream.generator("other").integers(2**62))), settings["n_vars"], 1, settings["n_tissues"], 0.0
    )
    if kind == "silent_programme":
        loadings = world.loadings.copy()
        loadings[:, :N_DRIVING] = other.loadings[:, :N_DRIVING]
        return world._replace(loadings=loadings)
    if kind == "unrelated_programmes":
        return world._replace(loadings=other.loadings, weights=other.weights)
    kept = stream.generator("kept").random(settings["n_vars"]) < 0.5  # housekeeping: as high as in the lines
    return other._replace(mean=np.where(kept, world.mean, other.mean), cycle=world.cycle)


def _permutation(random: np.random.Generator, mean: np.ndarray, settings: dict[str, Any]) -> np.ndarray:
    """Permute all genes, or those of each decile of abundance."""
    if not settings["within_abundance"]:
        return random.permutation(len(mean))
    order = np.argsort(mean, kind="stable")
    found = np.empty(len(mean), dtype=int)
    for part in np.array_split(order, 10):
        found[part] = random.permutation(part)
    return found


def _lines(stream: Streams, world: Biology, kind: str, settings: dict[str, Any], again: int) -> ad.AnnData:
    """Draw a screen; `again` counts further screens of the same world."""
    own = Streams(int(stream.generator("screen", again).integers(2**62)))
    random, n = own.generator("lines"), settings["n_lines"]
    programmes = random.standard_normal((n, N_PROGRAMMES))
    tissue, laboratory = random.integers(settings["n_tissues"], size=n), random.integers(2, size=n)
    signal = programmes @ world.weights[:, 0]
    by_tissue = world.tissue_response[:, 0]
    if kind == "lineage_confounded":  # as much of it as the programmes would have made
        by_tissue = _spread(stream.generator("lineage").standard_normal(settings["n_tissues"])) * np.sqrt(N_DRIVING)
        signal = np.zeros(n)
    if kind == "laboratories_disagree":
        laboratory = random.permutation(np.arange(n) % 2)
        right = stream.generator("right").integers(2)  # which of the two is like the cells
        signal = np.where(laboratory == right, signal, -signal)
    response = signal + by_tissue[tissue] + settings["response_noise"] * random.standard_normal(n)
    if kind == "no_signal":
        response = random.permutation(response)
    x = line_expression(own, world, programmes, tissue, laboratory)
    sensitive = np.zeros(n, dtype=int)
    sensitive[np.argsort(-response)[: min(max(round(settings["source_sensitive"] * n), 2), n - 2)]] = 1
    obs = pd.DataFrame(
        {
            "tissue": pd.Categorical([f"tissue_{i}" for i in tissue]),
            "laboratory": pd.Categorical([f"laboratory_{i}" for i in laboratory]),
            "ln_ic50": 2.0 - response,
            "response": pd.Categorical.from_codes(sensitive, ["resistant", "sensitive"]),
        },
        index=[f"LINE{i:03d}" for i in range(n)],
    )
    return ad.AnnData(x, obs=obs)


def _spread(values: np.ndarray) -> np.ndarray:
    return (values - values.mean()) / values.std()


def _log_expression(counts: Any) -> np.ndarray:
    dense = counts.toarray()
    return np.log1p(dense * (1e4 / np.maximum(dense.sum(axis=1, keepdims=True), 1.0)))


def _standardized(x: np.ndarray) -> np.ndarray:
    spread = x.std(axis=0)
    return (x - x.mean(axis=0)) / np.where(spread > 1e-6, spread, np.inf)


def _ridge(x: np.ndarray, y: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Score cells by ridge regression on z-scored genes, in the space of the lines; penalty by leave-one-out error."""
    z = _standardized(x)
    values, vectors = np.linalg.eigh((z @ z.T).astype(float))
    target = vectors.T @ (y - y.mean())
    best, dual = np.inf, np.zeros(len(y))
    for penalty in PENALTIES * z.shape[1]:
        shrunk = 1 / (np.maximum(values, 0) + penalty)
        alpha = vectors @ (shrunk * target)
        inverse = (vectors**2) @ shrunk  # diagonal: the residual of a line that is left out is alpha / inverse
        error = float(np.mean((alpha / inverse) ** 2))
        if error < best:
            best, dual = error, alpha
    return cells @ (z.T @ dual.astype(np.float32))


def _auroc(score: np.ndarray, truth: np.ndarray) -> float:
    ranks = rankdata(score)
    positive = int(truth.sum())
    if positive in (0, len(truth)):
        return float("nan")
    return float((ranks[truth].sum() - positive * (positive + 1) / 2) / (positive * (len(truth) - positive)))


def main() -> None:
    """Print what the cases are like, by kind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rows, start = [], time.process_time()
    for case in cases(arguments.n, seed=arguments.seed):
        numbers = {"oracle": case.oracle, "achieved": case.achieved, "reachable": case.reachable}
        rows.append({"kind": case.kind, "score": case.score, "CPU-s": time.process_time() - start, **numbers})
        start = time.process_time()
    table = pd.DataFrame(rows)
    summary = table.groupby("kind")[["oracle", "achieved", "reachable", "CPU-s"]].agg(["mean", "min", "max"]).round(2)
    print(summary.reindex([kind for kind in KINDS if kind in set(table["kind"])]).to_string())
    print(table.groupby(["kind", "score"]).size().unstack(fill_value=0).to_string())


if __name__ == "__main__":
    main()
