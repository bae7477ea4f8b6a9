"""Training of expression VAEs: CPU time of a member-step beside PyTorch running the same networks one after another.

    python benchmarks/bench_training.py [--runs 3] [--torch]

2,000 rows of 1,000 standard normal values, hidden layers 250 and 100, 50 latent variables, batches of 50 (the networks of
DeepProfile), 5 epochs a member. Ours: members spread over cores by threads, and one thread alone. The peer (with --torch, where
PyTorch is installed): eager mode, one thread, the same layers, loss, optimiser and order of magnitude of noise. Times are CPU
seconds of the process and wall seconds; every case runs in a process of its own, in turn, and medians are given. Efficiency:
floating point operations of the matrix products of a step over the rate of a square float32 product in the same process.
"paper" is a slice of the paper's AML ensemble (6,534 × 1,000, 100 members of each of six latent sizes, 50 epochs): two members
of each size for two epochs, side by side, and what the whole takes at that pace.
Results go to `benchmarks/results/training.json`.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import numpy as np

AML = 6534
ROWS, INPUTS, HIDDEN, LATENT, BATCH, EPOCHS = 2000, 1000, (250, 100), 50, 50, 5
STEPS = ROWS // BATCH * EPOCHS
WIDTHS = [(INPUTS, 250), (250, 100), (100, LATENT), (100, LATENT), (LATENT, 100), (100, 250), (250, INPUTS)]
FLOPS = 2 * BATCH * (3 * sum(a * b for a, b in WIDTHS) - INPUTS * 250)  # no gradient for the inputs


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def clocked(work) -> tuple[float, float]:
    wall, busy = time.perf_counter(), cpu()
    work()
    return time.perf_counter() - wall, cpu() - busy


def rows() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(ROWS, INPUTS)).astype(np.float32)


def ours(members: int, at_once: int) -> dict:
    import jax
    import jax.numpy as jnp

    from omicstl._core.random import streams
    from omicstl.models.factors.autoencoder import training
    from omicstl.nn import ensemble

    config = training.VaeProgram(INPUTS, LATENT, HIDDEN, ROWS, BATCH, EPOCHS)
    program, data, found = training.program(config), {"x": jnp.asarray(rows())}, {}

    def run(numbers):
        ensemble.run(
            program, lambda i: training.begin(config, streams(0), i), numbers, data, found.__setitem__, at_once=at_once
        )

    first = clocked(lambda: run([0]))
    wall, busy = clocked(lambda: run(range(1, members + 1)))
    square = jnp.ones((2048, 2048), jnp.float32)
    product = jax.jit(lambda a: a @ a)
    product(square).block_until_ready()
    _, peak = clocked(lambda: [product(square).block_until_ready() for _ in range(5)])
    per_step = busy / (members * STEPS)
    return {
        "cpu_ms_per_step": 1e3 * per_step,
        "wall_ms_per_step": 1e3 * wall / (members * STEPS),
        "compile_cpu_s": first[1] - STEPS * per_step,
        "gflops": FLOPS / per_step / 1e9,
        "product_gflops": 5 * 2 * 2048**3 / peak / 1e9,
        "loss": float(np.mean([state.history[-1, 0] for number, state in found.items() if number])),
    }


def peer(members: int) -> dict:
    import torch
    from torch import nn

    torch.set_num_threads(1)
    x = torch.from_numpy(rows())

    def linear(a, b):
        layer = nn.Linear(a, b)
        nn.init.xavier_uniform_(layer.weight)
        nn.init.zeros_(layer.bias)
        return layer

    losses = []

    def train(seed: int) -> None:
        torch.manual_seed(seed)
        norm = lambda n: nn.BatchNorm1d(n, eps=1e-3, momentum=0.01)
        encoder = nn.Sequential(linear(INPUTS, 250), norm(250), nn.ReLU(), linear(250, 100), norm(100), nn.ReLU())
        heads = nn.ModuleList([linear(100, LATENT), linear(100, LATENT)])
        decoder = nn.Sequential(linear(LATENT, 100), nn.ReLU(), linear(100, 250), nn.ReLU(), linear(250, INPUTS))
        model = nn.ModuleList([encoder, heads, decoder])
        optimiser = torch.optim.Adam(model.parameters(), lr=5e-4, eps=1e-7)
        for _ in range(EPOCHS):
            total = 0.0
            for index in torch.randperm(ROWS).split(BATCH):
                batch = x[index]
                h = encoder(batch)
                mean, logvar = heads[0](h), heads[1](h)
                out = decoder(mean + torch.exp(0.5 * logvar) * torch.randn_like(mean))
                kl = -0.5 * (1 + logvar - mean**2 - logvar.exp()).sum()
                loss = (((batch - out) ** 2).sum() + kl) / len(batch)
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                total += float(loss.detach())
        losses.append(total / (ROWS // BATCH))

    train(0)
    losses.clear()
    wall, busy = clocked(lambda: [train(seed) for seed in range(1, members + 1)])
    return {
        "cpu_ms_per_step": 1e3 * busy / (members * STEPS),
        "wall_ms_per_step": 1e3 * wall / (members * STEPS),
        "loss": float(np.mean(losses)),
    }


def paper(members: int = 2, epochs: int = 2) -> dict:
    """A slice of the paper's AML ensemble, 6,534 samples and 1,000 components, two members of each latent size side by side."""
    import jax.numpy as jnp

    from omicstl._core.options.training import Training
    from omicstl._core.random import streams
    from omicstl.models.factors.autoencoder import training
    from omicstl.models.factors.deepprofile import train as deepprofile_train
    from omicstl.nn import ensemble

    data = {"x": jnp.asarray(np.random.default_rng(0).normal(size=(AML, INPUTS)).astype(np.float32))}
    config = deepprofile_train.DeepprofileOptions(training=Training(epochs=epochs))
    out, minutes, cpu_minutes = {}, 0.0, 0.0
    for size in config.latent_sizes:
        settings = deepprofile_train.network(config, size, INPUTS, AML, 0)
        program = training.program(settings)

        def run(numbers, settings=settings, program=program):
            begin = lambda i: training.begin(settings, streams(0), i)
            ensemble.run(program, begin, numbers, data, lambda i, state: None, at_once=2)

        first = clocked(lambda run=run: run([0]))
        wall, busy = clocked(lambda run=run: run(range(1, members + 1)))
        steps = members * program.n_steps
        out[f"wall_ms_{size}"], out[f"cpu_ms_{size}"] = 1e3 * wall / steps, 1e3 * busy / steps
        each = 100 * 50 * program.steps_per_epoch  # members, epochs
        minutes += each * wall / steps / 60
        cpu_minutes += each * busy / steps / 60
        out[f"compile_cpu_s_{size}"] = first[1] - busy / members
    return out | {"projected_minutes": minutes, "projected_cpu_minutes": cpu_minutes}


CASES = {
    "paper": paper,
    "two threads": lambda: ours(4, 2),
    "one thread": lambda: ours(4, 1),
    "torch": lambda: peer(4),
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

    names = [name for name in CASES if name != "torch" or arguments.torch]
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
    best = out["two threads"]
    out["ratios"] = {
        "wall, one thread over two": round(out["one thread"]["wall_ms_per_step"] / best["wall_ms_per_step"], 2),
        "efficiency": round(best["gflops"] / best["product_gflops"], 2),
    }
    if arguments.torch:
        out["ratios"]["cpu, torch over ours"] = round(out["torch"]["cpu_ms_per_step"] / best["cpu_ms_per_step"], 2)
    print(json.dumps(out, indent=1))
    path = Path(__file__).parent / "results" / "training.json"
    path.write_text(json.dumps({"machine": machine(), "runs": arguments.runs, "results": out}, indent=1) + "\n")


if __name__ == "__main__":
    main()
