"""Attributions at the paper's size, 600 networks and 6,534 samples, projected from a measured slice.

    python benchmarks/bench_attributions.py [--runs 3]

13,237 genes, 1,000 components, the six sizes of the paper's networks with random weights, units in 150 random clusters.
`attribute` runs on two blocks of rows with 1 and with 3 networks of each size, after a run that compiles. CPU seconds of the process:
of T(m) = genes + m * networks both parts follow, and the whole is 6,534 / rows * (genes + 100 * networks).
Beside it: the mean gradients of one network by co-activation, and by differentiation at every step. The original makes 173 million calls
(26,500 units times samples) of 50 steps each. Results go to `benchmarks/results/attributions.json`.
"""

from __future__ import annotations

import argparse
import json
import resource
from pathlib import Path
from statistics import median

import jax
import numpy as np

from omicstl.kernels import co_activation
from omicstl.models.factors import attributions
from omicstl.models.factors.autoencoder.encoders import Encoders
from omicstl.models.factors.deepprofile.fit import hidden_sizes
from omicstl.models.factors.deepprofile.model import DeepprofileModel

SAMPLES, GENES, COMPONENTS, CLUSTERS, MEMBERS = 6534, 13237, 1000, 150, 100
SIZES = (5, 10, 25, 50, 75, 100)


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def clocked(work) -> float:
    before = cpu()
    work()
    return cpu() - before


def model(members: int) -> DeepprofileModel:
    rng = np.random.default_rng(0)

    def drawn(*shape):
        return (rng.standard_normal(shape, dtype=np.float32) / np.sqrt(shape[1])).astype(np.float32)

    groups = {}
    for size in SIZES:
        a, b = hidden_sizes(size)
        kernels = drawn(members, COMPONENTS, a), drawn(members, a, b)
        groups[size] = Encoders(kernels, (drawn(members, a), drawn(members, b)), drawn(members, b, 2 * size), None)
    n = members * sum(SIZES)
    return DeepprofileModel(
        features=np.arange(GENES).astype(str),
        names=np.arange(CLUSTERS).astype(str),
        mean=np.zeros(GENES),
        scale=np.ones(GENES),
        components=np.linalg.qr(rng.standard_normal((GENES, COMPONENTS), dtype=np.float32))[0],
        variance=np.ones(COMPONENTS),
        noise=np.ones(GENES),
        encoders=groups,
        node_size=np.repeat(SIZES, np.multiply(SIZES, members)),
        node_member=np.zeros(n, int),
        node_unit=np.zeros(n, int),
        node_cluster=rng.integers(0, CLUSTERS, n),
        node_sign=np.ones(n),
        node_centre=np.zeros(n),
        node_scale=np.ones(n),
        rule="aligned",
        n_linear=0,
        n_obs=SAMPLES,
    )


def slice_of(few: DeepprofileModel, many: DeepprofileModel, runs: int) -> dict[str, float]:
    size = attributions.block_size(few, SAMPLES)
    z = np.random.default_rng(1).standard_normal((2 * size, GENES), dtype=np.float32)
    none = np.zeros((size, 0), np.float32)
    blocks = [attributions.Block(z[:size], none), attributions.Block(z[size:], none)]
    first = clocked(lambda: attributions.attribute(few, blocks, size))
    times: dict[str, list[float]] = {"few": [], "many": []}
    for _ in range(runs):
        for name, one in (("few", few), ("many", many)):
            times[name].append(clocked(lambda one=one: attributions.attribute(one, blocks, size)))
    low, high = median(times["few"]), median(times["many"])
    networks = (high - low) / 2
    genes = low - networks
    return {
        "rows": len(z),
        "compile_cpu_s": first - low,
        "genes_cpu_ms_per_row": 1e3 * genes / len(z),
        "600_networks_cpu_ms_per_row": 1e3 * MEMBERS * networks / len(z),
        "projected_cpu_min": SAMPLES / len(z) * (genes + MEMBERS * networks) / 60,
    }


def beside_differentiation(one: DeepprofileModel, runs: int) -> dict[str, float]:
    part = attributions.parts_of(one)[-1]
    x = np.random.default_rng(2).standard_normal((32, COMPONENTS), dtype=np.float32)
    zero = np.zeros((1, COMPONENTS), np.float32)
    times = (np.arange(50, dtype=np.float32) + 0.5) / 50

    def differentiated(x):
        begin = jax.numpy.broadcast_to(part.biases[0][None], (len(x), part.biases[0].size))
        end = x @ part.kernels[0] + part.biases[0][None]
        return co_activation._differentiated(part.kernels, part.biases, part.head, begin, end, times)

    ways = {
        "co-activation": jax.jit(lambda x: co_activation.mean_gradients(*part[:3], x, zero, 50)),
        "differentiation": jax.jit(differentiated),
    }
    answers = {name: np.asarray(way(x)) for name, way in ways.items()}
    found = {
        f"{name}_cpu_ms_per_row": 1e3 * median(clocked(lambda way=way: np.asarray(way(x))) for _ in range(runs)) / 32
        for name, way in ways.items()
    }
    found["times less"] = found["differentiation_cpu_ms_per_row"] / found["co-activation_cpu_ms_per_row"]
    gap = np.abs(answers["co-activation"] - answers["differentiation"]).max()
    return found | {"largest relative difference": float(gap / np.abs(answers["differentiation"]).max())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    from bench_plier import machine

    few = model(1)
    out = {"slice": slice_of(few, model(3), arguments.runs), "one network, 100 units": beside_differentiation(few, 5)}
    out = {name: {key: float(f"{value:.4g}") for key, value in part.items()} for name, part in out.items()}
    out["formula"] = (
        "6534 / rows * (genes + 100 * networks), from T(1) = genes + networks and T(3) = genes + 3 * networks"
    )
    print(json.dumps(out, indent=1))
    path = Path(__file__).parent / "results" / "attributions.json"
    path.write_text(json.dumps({"machine": machine(), "runs": arguments.runs, "results": out}, indent=1) + "\n")


if __name__ == "__main__":
    main()
