"""Training of adaptation networks: CPU time of a step beside PyTorch running the same networks.

    python benchmarks/bench_adapt.py [--runs 3] [--torch]

1,000 lines and 3,000 cells of 5,000 standard normal values, encoder 512, 256 -> 128 with a layer-normalised latent space, one
two-class head, batches of 200 lines and 200 cells, discrepancy of five widths, AdamW with a cosine schedule and clipped
gradients. "adapt" is this; "denoise" adds a mirrored decoder, and a fifth of the input values dropped, with clean targets for
both domains. "components" are both on 200 components of the lines, which is what `tl.scdeal` shows its networks; working them out is
added to the time of our step (its CPU time over the steps of a fit of 5 members and 60 epochs), and "step alone" leaves it out.
"default" is the network of `tl.scdeal` itself, on components: encoder 128 -> 32 with a linear map beside it, a tenth of the values
dropped, lines with the noise of cells, a linear decoder of weight 0.1. "parts" are what a step of "adapt" is made of.
Ours: one member in one thread, then two members in two threads. The peer (with --torch, where PyTorch can be imported): eager mode,
one thread, the same inputs, layers, losses and optimiser. Times are CPU seconds of the process after a first run that compiles;
every case runs in a process of its own, in turn, and medians are given with the range.
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
from typing import NamedTuple

import numpy as np

LINES, CELLS, GENES, HIDDEN, LATENT, BATCH, EPOCHS = 1000, 3000, 5000, (512, 256), 128, 200, 6
COMPONENTS = 200
STEPS = LINES // BATCH * EPOCHS
RATE, DECAY, CLIP = 1e-3, 1e-2, 1.0


class Net(NamedTuple):
    """What the cases differ in."""

    hidden: tuple[int, ...] = HIDDEN
    latent: int = LATENT
    skip: bool = False
    decoder: tuple[int, ...] | None = None
    drop: float = 0.0
    reconstruction: float = 0.0
    noisy: bool = False


NETS = {
    "adapt": Net(),
    "denoise": Net(decoder=HIDDEN[::-1], drop=0.2, reconstruction=1.0),
    "default": Net((128,), 32, True, (), 0.1, 0.1, True),
}


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
    from omicstl._core.options.response import ResponseRidge
    from omicstl._core.random import streams
    from omicstl.models.response import cells as response_cells, network, space as response_space
    from omicstl.models.selection.pseudo_cells import Table
    from omicstl.models.transfer.screen import Cells, Lines

    n = len(lines)
    source = Lines(lines, np.zeros((n, 1)), np.array(["drug"]), np.array([True]), np.arange(n).astype(str))
    space = response_space.prepare(source, Cells(Table(cells)), ResponseRidge(n_comps=COMPONENTS), streams(0))
    seen = network.view(space)
    z = response_cells.standardised(cells, space.cells.mean, space.cells.scale)
    return seen.lines.astype(np.float32), z @ seen.maps.astype(np.float32)


def noise_of(width: int, net_: Net) -> np.ndarray:
    """A factor of the covariance of the cells' noise, of the size of that of cells; standard deviations where there is none."""
    if not net_.noisy:
        return np.zeros(width)
    return 0.5 * np.random.default_rng(1).normal(size=(width, width)) / np.sqrt(width)


def ours(kind: str, members: int, at_once: int, *, reduced: bool = False) -> dict:
    from omicstl._core.random import streams
    from omicstl.models.transfer import network as net
    from omicstl.models.transfer.network_fit import Problem, Strengths, arrays_of
    from omicstl.nn import ensemble
    from omicstl.nn.terms.mmd import Mmd

    lines, cells, y = rows()
    ready = 0.0
    if reduced:
        begin = cpu()
        lines, cells = components(lines, cells)
        ready = cpu() - begin
    width, net_ = lines.shape[1], NETS[kind]
    config = net.NetworkProgram(
        width, 1, LINES, CELLS, 0, net_.latent, net_.hidden, net_.decoder or (), skip=net_.skip, drop=net_.drop, noisy=net_.noisy,
        terms=(Mmd(),), reconstruct=net_.decoder is not None, batch_size=BATCH, n_epochs=EPOCHS, learning_rate=RATE,
        weight_decay=DECAY, clip=CLIP,
    )  # fmt: skip
    problem = Problem(lines, cells, y[:, None], np.array([True]), noise_of(width, net_), np.ones(LINES))
    data, found = arrays_of(problem, Strengths(net_.reconstruction, 0.0)), {}
    own = net.Own(np.ones(LINES), np.zeros(0), np.zeros(0), np.ones(1))

    def run(numbers):
        begin = lambda i: net.begin(config, streams(0), i, own)
        ensemble.run(net.program(config), begin, numbers, data, found.__setitem__, at_once=at_once)

    first = clocked(lambda: run([0]))
    wall, busy = clocked(lambda: run(range(1, members + 1)))
    per_step = busy / (members * STEPS)
    return {
        "cpu_ms_per_step": 1e3 * (per_step + ready / (5 * 60 * LINES // BATCH)),
        "step_alone_cpu_ms": 1e3 * per_step,
        "components_cpu_s": ready,
        "wall_ms_per_step": 1e3 * wall / (members * STEPS),
        "compile_cpu_s": first[1] - STEPS * per_step,
        "labels_loss": float(np.mean([state.history[-1, 1] for i, state in found.items() if i])),
        "memory_mb": memory(),
    }


def peer(kind: str, members: int, *, reduced: bool = False) -> dict:
    import torch
    from torch import nn
    from torch.nn import functional as F

    torch.set_num_threads(1)
    lines, cells, y = rows()
    if reduced:
        lines, cells = components(lines, cells)
    width, net_ = lines.shape[1], NETS[kind]
    noise = torch.from_numpy(noise_of(width, net_).astype(np.float32))
    lines, cells, y = torch.from_numpy(lines), torch.from_numpy(cells), torch.from_numpy(y.astype(np.float32))
    positive = (len(y) - y.sum()) / y.sum()
    losses = []

    def mlp(*sizes):
        layers = []
        for a, b in zip(sizes[:-1], sizes[1:], strict=True):
            layers += [nn.Linear(a, b), nn.ReLU()]
        return nn.Sequential(*layers[:-1])

    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.deep = mlp(width, *net_.hidden, net_.latent)
            self.skip = nn.Linear(width, net_.latent, bias=False) if net_.skip else None
            self.norm = nn.LayerNorm(net_.latent, elementwise_affine=False)

        def forward(self, x):
            z = self.deep(x)
            return self.norm(z if self.skip is None else z + self.skip(x))

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
        encoder, head = Encoder(), nn.Linear(net_.latent, 1)
        decoder = nn.Identity() if net_.decoder is None else mlp(net_.latent, *net_.decoder, width)
        model = nn.ModuleList([encoder, head, decoder])
        optimiser = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=DECAY)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, STEPS)
        made, order = 0, torch.randperm(CELLS)
        for _ in range(EPOCHS):
            total = 0.0
            for index in torch.randperm(LINES).split(BATCH):
                low = made * BATCH % CELLS
                clean = torch.cat([lines[index], cells[order[low : low + BATCH]]])
                n, seen = len(index), clean
                if net_.noisy:
                    sign = torch.randint(0, 2, (n, width)).float().mul_(2).sub_(1)
                    seen = torch.cat([clean[:n] + sign @ noise, clean[n:]])
                z = encoder(F.dropout(seen, net_.drop) if net_.drop else seen)
                labels = F.binary_cross_entropy_with_logits(head(z[:n])[:, 0], y[index], pos_weight=positive)
                strength = 2 / (1 + math.exp(-10 * made / STEPS)) - 1
                loss = labels + strength * mmd(z[:n], z[n:])
                if net_.decoder is not None:
                    loss = loss + net_.reconstruction * F.mse_loss(decoder(z), clean)
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


def parts() -> dict:
    """CPU milliseconds of what a step of "adapt" on all genes is made of, each compiled by itself."""
    import jax
    import jax.numpy as jnp

    from omicstl.models.transfer import network as net
    from omicstl.nn import distances

    jax.config.update("jax_enable_x64", False)
    rng, n = np.random.default_rng(0), 2 * BATCH
    sizes = (GENES, *HIDDEN, LATENT)
    w = [jnp.asarray(rng.normal(size=pair), jnp.float32) for pair in zip(sizes[:-1], sizes[1:], strict=True)]
    x = [jnp.asarray(rng.normal(size=(n, size)), jnp.float32) for size in sizes]
    of_kernels = [(lambda a, b: a.T @ b, (x[i], x[i + 1])) for i in range(3)]
    forward = [(lambda a, b: a @ b, (x[i], w[i])) for i in range(3)]
    backward = [(lambda a, b: a @ b.T, (x[i + 1], w[i])) for i in (1, 2)]
    config = net.NetworkProgram(GENES, 1, LINES, CELLS, 0, learning_rate=RATE)
    adam = net._optimiser(config)
    moments = adam.init(w)
    half, one = (x[3][:BATCH], x[3][BATCH:]), jnp.ones(BATCH)
    kernel = jax.grad(lambda a, b: distances.mmd(a, b, one, one), argnums=(0, 1))

    def each(work, given, repeats: int = 20) -> float:
        run = jax.jit(work)
        jax.block_until_ready(run(*given))
        begin = cpu()
        for _ in range(repeats):
            jax.block_until_ready(run(*given))
        return 1e3 * (cpu() - begin) / repeats

    found = {
        "products of matrices": sum(each(*one) for one in (*forward, *of_kernels, *backward)),
        "of these, of the first layer": each(*forward[0]) + each(*of_kernels[0]),
        "discrepancy with its gradient": each(kernel, half),
        "norm of the gradient and AdamW": each(
            lambda g, m, p: adam.update(net.clipped(g, CLIP), m, p), (w, moments, w)
        ),
        "values dropped, of 400 rows": each(lambda a: net.corrupted(jax.random.key(0), a, 0.2), (x[0],)),
    }
    return {"cpu_ms_per_step": sum(v for k, v in found.items() if "of these" not in k)} | found


CASES = {"parts": parts}
for _kind in NETS:
    for _way, _reduced in (("", False), (", components", True)):
        if _kind != "default" or _reduced:
            CASES[f"{_kind}{_way}, one thread"] = lambda k=_kind, r=_reduced: ours(k, 2, 1, reduced=r)
            CASES[f"{_kind}{_way}, torch"] = lambda k=_kind, r=_reduced: peer(k, 2, reduced=r)
    CASES[f"{_kind}, components, two threads"] = lambda k=_kind: ours(k, 2, 2, reduced=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--torch", action="store_true")
    parser.add_argument(
        "--only", nargs="+", choices=sorted(CASES), help="cases to run; the others stay as they were measured"
    )
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(CASES[arguments.one]()))
        return
    from bench_plier import machine

    path = Path(__file__).parent / "results" / "adapt.json"
    names = arguments.only or [name for name in CASES if "torch" not in name or arguments.torch]
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
        out[name] |= {"cpu_ms_range": [round(min(each), 1), round(max(each), 1)], "runs": arguments.runs}
    if arguments.only:
        out = {name: row for name, row in json.loads(path.read_text())["results"].items() if name != "ratios"} | out
    out["ratios"] = ratios(out)
    print(json.dumps(out, indent=1))
    path.write_text(json.dumps({"machine": machine(), "results": out}, indent=1) + "\n")


def ratios(out: dict) -> dict[str, float]:
    """CPU of the peer over ours for the same inputs, and for the genes over our components with what it takes to work these out."""
    found = {}
    for name in NETS:
        for kind in (name, f"{name}, components"):
            if {f"{kind}, torch", f"{kind}, one thread"} <= set(out):
                mine, other = out[f"{kind}, one thread"], out[f"{kind}, torch"]
                found[f"{kind}: cpu, torch over ours"] = other["cpu_ms_per_step"] / mine.get(
                    "step_alone_cpu_ms", mine["cpu_ms_per_step"]
                )
        if {f"{name}, torch", f"{name}, components, one thread"} <= set(out):
            mine = out[f"{name}, components, one thread"]["cpu_ms_per_step"]
            found[f"{name}: cpu, torch on genes over ours on components"] = (
                out[f"{name}, torch"]["cpu_ms_per_step"] / mine
            )
    return {name: round(value, 2) for name, value in found.items()}


if __name__ == "__main__":
    main()
