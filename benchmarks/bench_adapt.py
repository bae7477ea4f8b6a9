"""Training of adaptation networks: CPU time of a step beside PyTorch running the same networks.

    python benchmarks/bench_adapt.py [--runs 3] [--torch]

1,000 lines and 3,000 cells of 5,000 standard normal values, encoder 512, 256 -> 128 with a layer-normalised latent space, one
two-class head, batches of 200 lines and 200 cells, discrepancy of five widths, AdamW with a cosine schedule and clipped
gradients. "adapt" is this; "denoise" adds a mirrored decoder, and a fifth of the input values dropped, with clean targets for
both domains. "components" are both as `tl.scdeal` trains them: on 200 components of the lines, which are worked out in the
time of a step too (their CPU time over the steps of a fit of 5 members and 60 epochs), with the peer on the genes. Ours: one member in one thread, then two members in two threads. The peer (with --torch, where PyTorch can be
imported): eager mode, one thread, the same layers, losses and optimiser. Times are CPU seconds of the process after a first run
that compiles; every case runs in a process of its own, in turn, and medians are given with the range.
Results go to `benchmarks/results/adapt.json`.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import numpy as np

LINES, CELLS, GENES, HIDDEN, LATENT, BATCH, EPOCHS = 1000, 3000, 5000, (512, 256), 128, 200, 8
COMPONENTS = 200
STEPS = LINES // BATCH * EPOCHS
RATE, DECAY, CLIP, DROP = 1e-3, 1e-2, 1.0, 0.2


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def clocked(work) -> tuple[float, float]:
    wall, busy = time.perf_counter(), cpu()
    work()
    return time.perf_counter() - wall, cpu() - busy


def memory() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def rows() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    lines, cells = (rng.normal(size=(n, GENES)).astype(np.float32) for n in (LINES, CELLS))
    return lines, cells, (lines[:, :20].sum(axis=1) > 0).astype(np.float64)


def components(lines: np.ndarray, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What `models.response_network` shows its networks."""
    from omicstl._core.random import streams
    from omicstl._core.response import ResponseRidge
    from omicstl.models import response_cells, response_network, response_space
    from omicstl.models.pseudo_cells import Table
    from omicstl.models.screen import Cells, Lines

    n = len(lines)
    source = Lines(lines, np.zeros((n, 1)), np.array(["drug"]), np.array([True]), np.arange(n).astype(str))
    space = response_space.prepare(source, Cells(Table(cells)), ResponseRidge(n_comps=COMPONENTS), streams(0))
    seen = response_network.view(space)
    z = response_cells.standardised(cells, space.cells.mean, space.cells.scale)
    return seen.lines.astype(np.float32), z @ seen.maps.astype(np.float32)


def ours(denoise: bool, members: int, at_once: int, *, reduced: bool = False) -> dict:
    from omicstl._core.alignment import Mmd
    from omicstl._core.random import streams
    from omicstl.models import adapt_network as net
    from omicstl.models.adapt_network_fit import Problem, Strengths, arrays_of
    from omicstl.nn import ensemble

    lines, cells, y = rows()
    ready = 0.0
    if reduced:
        begin = cpu()
        lines, cells = components(lines, cells)
        ready = cpu() - begin
    width = lines.shape[1]
    config = net.NetworkConfig(
        width, 1, LINES, CELLS, 0, LATENT, HIDDEN, HIDDEN[::-1], skip=False, drop=DROP if denoise else 0.0, noisy=False,
        terms=(Mmd(),), reconstruct=denoise, batch_size=BATCH, n_epochs=EPOCHS, learning_rate=RATE, weight_decay=DECAY, clip=CLIP,
    )  # fmt: skip
    problem = Problem(lines, cells, y[:, None], np.array([True]), np.zeros(width), np.ones(LINES))
    data, found = arrays_of(problem, Strengths(1.0, 0.0)), {}
    own = net.Own(np.ones(LINES), np.zeros(0), np.zeros(0), np.ones(1))

    def run(numbers):
        begin = lambda i: net.begin(config, streams(0), i, own)
        ensemble.run(net.program(config), begin, numbers, data, found.__setitem__, at_once=at_once)

    first = clocked(lambda: run([0]))
    wall, busy = clocked(lambda: run(range(1, members + 1)))
    per_step = busy / (members * STEPS)
    return {
        "cpu_ms_per_step": 1e3 * (per_step + ready / (5 * 60 * LINES // BATCH)),
        "components_cpu_s": ready,
        "wall_ms_per_step": 1e3 * wall / (members * STEPS),
        "compile_cpu_s": first[1] - STEPS * per_step,
        "labels_loss": float(np.mean([state.history[-1, 1] for i, state in found.items() if i])),
        "memory_mb": memory(),
    }


def peer(denoise: bool, members: int) -> dict:
    import torch
    from torch import nn
    from torch.nn import functional as F

    torch.set_num_threads(1)
    lines, cells, y = rows()
    lines, cells, y = torch.from_numpy(lines), torch.from_numpy(cells), torch.from_numpy(y.astype(np.float32))
    positive = (len(y) - y.sum()) / y.sum()
    losses = []

    def mlp(*sizes):
        layers = []
        for a, b in zip(sizes[:-1], sizes[1:], strict=True):
            layers += [nn.Linear(a, b), nn.ReLU()]
        return nn.Sequential(*layers[:-1])

    def mmd(x, z):
        both = torch.cat([x, z])
        distance = torch.cdist(both, both).square()
        n, m = len(x), len(z)
        width = distance.detach().sum() / ((n + m) * (n + m - 1))
        kernel = sum(torch.exp(-distance / (width * 2.0**j)) for j in range(-2, 3)) / 5
        within = (kernel[:n, :n].sum() - n) / (n * (n - 1)) + (kernel[n:, n:].sum() - m) / (m * (m - 1))
        return within - 2 * kernel[:n, n:].mean()

    def train(seed: int) -> None:
        torch.manual_seed(seed)
        encoder = nn.Sequential(mlp(GENES, *HIDDEN, LATENT), nn.LayerNorm(LATENT, elementwise_affine=False))
        head = nn.Linear(LATENT, 1)
        decoder = mlp(LATENT, *HIDDEN[::-1], GENES) if denoise else nn.Identity()
        model = nn.ModuleList([encoder, head, decoder])
        optimiser = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=DECAY)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, STEPS)
        made, order = 0, torch.randperm(CELLS)
        for _ in range(EPOCHS):
            total = 0.0
            for index in torch.randperm(LINES).split(BATCH):
                low = made * BATCH % CELLS
                clean = torch.cat([lines[index], cells[order[low : low + BATCH]]])
                z = encoder(F.dropout(clean, DROP) if denoise else clean)
                n = len(index)
                labels = F.binary_cross_entropy_with_logits(head(z[:n])[:, 0], y[index], pos_weight=positive)
                strength = 2 / (1 + math.exp(-10 * made / STEPS)) - 1
                loss = labels + strength * mmd(z[:n], z[n:])
                if denoise:
                    loss = loss + F.mse_loss(decoder(z), clean)
                optimiser.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
                optimiser.step()
                schedule.step()
                made += 1
                total += float(labels.detach())
        losses.append(total / (LINES // BATCH))

    train(0)
    losses.clear()
    wall, busy = clocked(lambda: [train(seed) for seed in range(1, members + 1)])
    return {
        "cpu_ms_per_step": 1e3 * busy / (members * STEPS),
        "wall_ms_per_step": 1e3 * wall / (members * STEPS),
        "labels_loss": float(np.mean(losses)),
        "memory_mb": memory(),
    }


CASES = {
    "adapt, one thread": lambda: ours(False, 2, 1),
    "adapt, torch": lambda: peer(False, 2),
    "adapt, two threads": lambda: ours(False, 2, 2),
    "adapt, components": lambda: ours(False, 2, 1, reduced=True),
    "denoise, one thread": lambda: ours(True, 2, 1),
    "denoise, torch": lambda: peer(True, 2),
    "denoise, two threads": lambda: ours(True, 2, 2),
    "denoise, components": lambda: ours(True, 2, 1, reduced=True),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--torch", action="store_true")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(CASES[arguments.one]()))
        return
    from bench_plier import machine

    names = [name for name in CASES if "torch" not in name or arguments.torch]
    found: dict[str, list[dict]] = {name: [] for name in names}
    for _ in range(arguments.runs):
        for name in names:
            done = subprocess.run(
                [sys.executable, __file__, "--one", name], capture_output=True, text=True, check=False
            )
            if done.returncode:
                sys.exit(done.stderr)
            found[name].append(json.loads(done.stdout.splitlines()[-1]))
    out = {name: {k: round(median(run[k] for run in runs), 4) for k in runs[0]} for name, runs in found.items()}
    for name, runs in found.items():
        each = [run["cpu_ms_per_step"] for run in runs]
        out[name]["cpu_ms_range"] = [round(min(each), 1), round(max(each), 1)]
    if arguments.torch:
        out["ratios"] = {
            f"{kind}: cpu, torch over ours, {way}": round(
                out[f"{kind}, torch"]["cpu_ms_per_step"] / out[f"{kind}, {way}"]["cpu_ms_per_step"], 2
            )
            for kind in ("adapt", "denoise")
            for way in ("one thread", "components")
        }
    print(json.dumps(out, indent=1))
    path = Path(__file__).parent / "results" / "adapt.json"
    path.write_text(json.dumps({"machine": machine(), "runs": arguments.runs, "results": out}, indent=1) + "\n")


if __name__ == "__main__":
    main()
