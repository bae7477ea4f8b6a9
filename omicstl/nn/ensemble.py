"""Many runs of one program: the plan that the machine asks for, and the same members whichever it is.

A member is known by its number: its start and its key are made from that, so that it depends neither on how many others there
are, nor on what runs beside it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from functools import partial
from threading import Event
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .train import FIRST_STEPS, Data, Program, State, one_step, running, train

SHARE_OF_MEMORY = 0.4  # of an accelerator's free memory that states may take; the rest is for what a step needs


def run(
    program: Program,
    make: Callable[[int], State],
    members: Sequence[int],
    data: Data,
    done: Callable[[int, State], None],
    report: Callable[[int], None] = lambda steps: None,
    *,
    at_once: int | None = None,
) -> None:
    """
    Train members and hand each over when it has ended.

    Parameters
    ----------
    program
        What is trained.
    make
        The state before the first step of a member, by its number.
    members
        Numbers of the members to train; leave out those that are there already.
    data
        Arrays that all members see.
    done
        Called with a member's number and its last state, from the thread that called `run`, in no fixed order.
    report
        Called with numbers of steps that were made, possibly from several threads.
    at_once
        Members that run at the same time. `None`: one for each core on a CPU, where each is a thread and its state stays in the
        core's cache; as many as fit the memory on an accelerator, where they are one program; shared out over devices.
    """
    if not members:
        return
    if jax.default_backend() == "cpu" and jax.local_device_count() == 1:
        _threads(program, make, members, data, done, report, at_once or _cores())
    else:
        _together(program, make, members, data, done, report, at_once)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _threads(
    program: Program,
    make: Callable[[int], State],
    members: Sequence[int],
    data: Data,
    done: Callable[[int, State], None],
    report: Callable[[int], None],
    at_once: int,
) -> None:
    halt = Event()
    data = jax.device_put(data)

    def one(member: int) -> State:
        state, before = make(member), 0
        for following in train(program, state, data):
            state = following
            report(int(state.step) - before)
            before = int(state.step)
            if halt.is_set():
                break
        return jax.device_get(state)

    waiting = list(members)
    with ThreadPoolExecutor(max_workers=max(1, min(at_once, len(waiting)))) as pool:
        try:
            # No more are handed out than run, so that a failure does not wait for the others' turn.
            at_work = {pool.submit(one, waiting.pop(0)): member for member in list(members)[:at_once]}
            while at_work:
                for future in wait(at_work, return_when=FIRST_COMPLETED).done:
                    member = at_work.pop(future)
                    state = future.result()
                    if waiting:
                        following = waiting.pop(0)
                        at_work[pool.submit(one, following)] = following
                    done(member, state)
        except BaseException:
            halt.set()  # the others end with their chunk
            raise


@partial(jax.jit, static_argnums=0, donate_argnums=2)
def _advance_many(program: Program, data: Data, states: State, until: jax.Array) -> State:
    """Members side by side: they share the number of the step, and those that have ended are carried along unchanged."""
    split = State(*[None if name == "step" else 0 for name in State._fields])

    def member(state: State) -> State:
        following = one_step(program, data, state)
        keep = running(program, state)
        chosen = jax.tree.map(lambda new, old: jnp.where(keep, new, old), following, state)
        return chosen._replace(step=following.step)

    def more(states: State) -> jax.Array:
        return (states.step < until) & jnp.any(states.finite & ~states.stopped)

    return jax.lax.while_loop(more, jax.vmap(member, in_axes=(split,), out_axes=split), states)


def _together(
    program: Program,
    make: Callable[[int], State],
    members: Sequence[int],
    data: Data,
    done: Callable[[int, State], None],
    report: Callable[[int], None],
    at_once: int | None,
) -> None:
    import time

    devices = jax.local_devices()
    first = make(members[0])
    size = at_once or _that_fit(first, devices)
    size = max(len(devices), size // len(devices) * len(devices))
    mesh = jax.sharding.Mesh(np.array(devices), ("members",))
    spread = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("members"))
    everywhere = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    data = jax.device_put(data, everywhere)
    for low in range(0, len(members), size):
        numbers = list(members[low : low + size])
        filled = numbers + numbers[-1:] * (-len(numbers) % len(devices))
        each = [first if number == members[0] else make(number) for number in filled]
        step = each[0].step
        states = jax.tree.map(lambda *leaves: np.stack([np.asarray(leaf) for leaf in leaves]), *each)
        states = jax.device_put(states, spread)._replace(step=jax.device_put(step, everywhere))
        chunk = FIRST_STEPS
        while int(states.step) < program.n_steps and bool(jnp.any(states.finite & ~states.stopped)):
            begin, before = time.perf_counter(), int(states.step)
            until = jnp.int32(min(before + chunk, program.n_steps))
            states = jax.block_until_ready(_advance_many(program, data, states, until))
            steps = int(states.step) - before
            report(steps * len(numbers))
            chunk = max(1, min(8 * chunk, int(steps / (time.perf_counter() - begin))))
        host = jax.device_get(states)
        for i, number in enumerate(numbers):
            done(number, _member(program, host, i))


def _member(program: Program, host: State, i: int) -> State:
    """One member's state; its step is where it ended, not where the last one did."""
    own: Any = jax.tree.map(lambda leaf: leaf[i], host._replace(step=host.finite))
    epochs = int(np.isfinite(own.history[:, :1]).all(axis=1).sum()) if own.stopped else program.n_epochs
    return own._replace(step=np.int32(min(int(host.step), epochs * program.steps_per_epoch)))


def _that_fit(state: State, devices: Sequence[jax.Device]) -> int:
    """Members whose states fit the free memory of all devices."""
    bytes_each = sum(np.asarray(leaf).nbytes for leaf in jax.tree.leaves(state))
    stats = devices[0].memory_stats() or {}
    free = stats.get("bytes_limit", 4 * 2**30) - stats.get("bytes_in_use", 0)
    return max(1, int(SHARE_OF_MEMORY * free * len(devices) / (2 * bytes_each)))
