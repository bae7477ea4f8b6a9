"""Many runs of one program: the plan that the machine asks for, and the same members whichever it is.

A member is known by its number: its start and its key are made from that, so that it depends neither on how many others there
are, nor on what runs beside it. A run that was cut off goes on from the states that `save` got, to the same bits.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event

import jax
import jax.numpy as jnp
import numpy as np

from omicstl._core.memory import check_compiler

from .train import FIRST_STEPS, Data, Program, State, one_step, running, train

SHARE_OF_MEMORY = 0.4  # of an accelerator's free memory that states may take; the rest is for what a step needs
SAVE_EVERY = 60.0
QUOTA = Path("/sys/fs/cgroup/cpu.max")


@dataclass(frozen=True)
class _Caller:
    """What the caller of `run` wants to hear, and when."""

    done: Callable[[int, State], None]
    report: Callable[[int], None]
    save: Callable[[int, State], None] | None
    save_every: float

    def due(self, since: float) -> bool:
        return self.save is not None and time.monotonic() - since >= self.save_every


def run(
    program: Program,
    make: Callable[[int], State],
    members: Sequence[int],
    data: Data,
    done: Callable[[int, State], None],
    report: Callable[[int], None] = lambda steps: None,
    *,
    at_once: int | None = None,
    save: Callable[[int, State], None] | None = None,
    save_every: float = SAVE_EVERY,
    loop: Callable[[Program, State, Data], Iterator[State]] | None = None,
) -> None:
    """
    Train members and hand each over when it has ended.

    Parameters
    ----------
    program
        What is trained.
    make
        The state to begin with of a member, by its number: before its first step, or one that `save` got.
    members
        Numbers of the members to train; leave out those that are there already.
    data
        Arrays that all members see.
    done
        Called with a member's number and its last state, from the thread that called `run`, in no fixed order.
    report
        Called with numbers of steps that were made, those before a state of `save` included; possibly from several threads.
    at_once
        Members that run at the same time. `None`: one for each core on a CPU, where each is a thread and its state stays in the
        core's cache; as many as fit the memory on accelerators, where they are one program that is shared out over devices.
    save
        Called between chunks with a member's number and its state so far, possibly from several threads; it must be done with
        the state when it returns. Threads call it once more if the run is interrupted.
    save_every
        Seconds between two such calls for a member.
    loop
        What makes the steps, with the arguments of `train`, such as a `stream` over rows; members then run in threads.

    Notes
    -----
    On a CPU a member has the same bits whatever runs beside it, and however many devices there are. Side by side on an
    accelerator the products of members are one batched product, and a member's last digits may differ with their number.
    """
    if not members:
        return
    caller, cpu = _Caller(done, report, save, save_every), jax.default_backend() == "cpu"
    if loop is not None or cpu:
        _threads(program, make, members, data, caller, at_once or (_cores() if cpu else 1), loop or train)
    else:
        _together(program, make, members, data, caller, at_once)


def _cores() -> int:
    """Cores that this process may use, by its affinity and by its container's quota."""
    n = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = QUOTA.read_text().split()
    except (OSError, ValueError):
        return n
    return n if quota == "max" else max(1, min(n, -(-int(quota) // int(period))))


def _threads(
    program: Program,
    make: Callable[[int], State],
    members: Sequence[int],
    data: Data,
    caller: _Caller,
    at_once: int,
    loop: Callable[[Program, State, Data], Iterator[State]],
) -> None:
    check_compiler(at_once=min(at_once, len(members)))
    halt, wide = Event(), jnp.result_type(float) == np.float64
    data = jax.device_put(data)

    def one(member: int) -> State:
        with jax.enable_x64(wide):  # the caller's, which may be set for the caller's thread alone
            return run_of(member)

    def run_of(member: int) -> State:
        state, saved = make(member), time.monotonic()
        before = int(state.step)
        caller.report(before)
        for following in loop(program, state, data):
            state = following
            caller.report(int(state.step) - before)
            before = int(state.step)
            if caller.save and (halt.is_set() or caller.due(saved)):
                caller.save(member, jax.device_get(state))
                saved = time.monotonic()
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
                    caller.done(member, state)
        except BaseException:
            halt.set()  # the others end with their chunk
            raise


@partial(jax.jit, static_argnums=0, donate_argnums=(2, 3))
def _advance_many(
    program: Program, data: Data, states: State, own: jax.Array, until: jax.Array
) -> tuple[State, jax.Array]:
    """Members side by side: they share the number of the step, so that the end of an epoch is one for all.

    `own` (members,) are the steps that each has made. Those that have ended are carried along unchanged, and so are those that
    were resumed ahead of the others, until these have caught up.
    """
    split = State(*[None if name == "step" else 0 for name in State._fields])

    def member(state: State, made: jax.Array) -> tuple[State, jax.Array]:
        following = one_step(program, data, state)
        keep = running(program, state) & (made == state.step)
        chosen = jax.tree.map(partial(jnp.where, keep), following, state)
        return chosen._replace(step=following.step), made + keep

    def more(carried: tuple[State, jax.Array]) -> jax.Array:
        states, own = carried
        return (states.step < until) & jnp.any(states.finite & ~states.stopped & (own >= states.step))

    def step(carried: tuple[State, jax.Array]) -> tuple[State, jax.Array]:
        return jax.vmap(member, in_axes=(split, 0), out_axes=(split, 0))(*carried)

    return jax.lax.while_loop(more, step, (states, own))


def _together(
    program: Program,
    make: Callable[[int], State],
    members: Sequence[int],
    data: Data,
    caller: _Caller,
    at_once: int | None,
) -> None:
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
        step = min((int(state.step) for state in each if running(program, state)), default=program.n_steps)
        states = jax.device_put(jax.tree.map(lambda *leaves: np.stack(leaves), *jax.device_get(each)), spread)
        own, states = states.step, states._replace(step=jax.device_put(np.int32(step), everywhere))
        chunk, before, saved = FIRST_STEPS, _sum(own, numbers), time.monotonic()
        caller.report(before)
        while int(states.step) < program.n_steps and bool(jnp.any(states.finite & ~states.stopped)):
            begin, low_step = time.perf_counter(), int(states.step)
            until = jnp.int32(min(low_step + chunk, program.n_steps))
            states, own = jax.block_until_ready(_advance_many(program, data, states, own, until))
            pace = (time.perf_counter() - begin) / max(1, int(states.step) - low_step)
            made = _sum(own, numbers)
            caller.report(made - before)
            before, chunk = made, max(1, min(8 * chunk, int(1 / pace)))
            if caller.save and caller.due(saved):
                for number, state in zip(numbers, _apart(states, own), strict=False):
                    caller.save(number, state)
                saved = time.monotonic()
        for number, state in zip(numbers, _apart(states, own), strict=False):
            caller.done(number, state)


def _sum(own: jax.Array, numbers: Sequence[int]) -> int:
    return int(np.sum(np.asarray(own)[: len(numbers)]))


def _apart(states: State, own: jax.Array) -> Iterator[State]:
    """Each member's state on the host, with its own number of the step."""
    host, steps = jax.device_get((states, own))
    for i in range(len(steps)):
        yield jax.tree.map(lambda leaf: leaf[i], host._replace(step=steps))  # noqa: B023


def _that_fit(state: State, devices: Sequence[jax.Device]) -> int:
    """Members whose states fit the free memory of all devices."""
    bytes_each = sum(np.asarray(leaf).nbytes for leaf in jax.tree.leaves(state))
    stats = devices[0].memory_stats() or {}
    free = stats.get("bytes_limit", 4 * 2**30) - stats.get("bytes_in_use", 0)
    return max(1, int(SHARE_OF_MEMORY * free * len(devices) / (2 * bytes_each)))
