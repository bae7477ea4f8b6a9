"""Members of an ensemble: what must not change them (company, plan, devices, being cut off), and what the caller hears."""

from __future__ import annotations

import threading
from functools import cache

import jax
import numpy as np
import pytest

from omicstl.nn import ensemble
from omicstl.nn.state import pack, unpack
from tests.support.networks import arrays, begin, finish, part_way, program, same

MEMBERS = range(5)


@cache
def alone(patience=None, rate=0.05):
    p = program(patience=patience, rate=rate)
    return {i: finish(p, begin(p, i)) for i in MEMBERS}


def close(a, b) -> bool:
    return all(
        np.allclose(x, y, rtol=1e-4, atol=1e-5, equal_nan=True)
        for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    )


def trained(p, members, make=None, **options):
    found, steps = {}, []
    ensemble.run(p, make or (lambda i: begin(p, i)), members, arrays(), found.__setitem__, steps.append, **options)
    assert sum(steps) == sum(int(state.step) for state in found.values())
    return found


@pytest.fixture
def accelerator(monkeypatch):
    """Take the plan of an accelerator: members side by side in one program."""
    monkeypatch.setattr(ensemble.jax, "default_backend", lambda: "gpu")


@pytest.mark.parametrize("at_once", [1, 2, 9, None])
@pytest.mark.parametrize("members", [[0, 1, 2, 3, 4], [3], [4, 2]])
def test_company_does_not_change_a_member(members, at_once):
    found = trained(program(), members, at_once=at_once)
    assert set(found) == set(members)
    assert all(same(found[i], alone()[i]) for i in members)


@pytest.mark.parametrize("at_once", [1, None])
def test_side_by_side_is_one_by_one(accelerator, at_once):
    found = trained(program(), MEMBERS, at_once=at_once)
    assert all(close(found[i], alone()[i]) for i in MEMBERS)


def test_members_that_end_early_are_carried_along(accelerator):
    p = program(patience=1, rate=0.5)
    found = trained(p, MEMBERS)
    expected = alone(patience=1, rate=0.5)
    ends = {i: int(state.step) for i, state in expected.items()}
    assert len(set(ends.values())) > 1, "they end at different steps"
    assert {i: int(state.step) for i, state in found.items()} == ends
    assert all(close(found[i], expected[i]) for i in MEMBERS)


def broken(p, i):
    """Member 1 begins with a number that is none."""
    state = begin(p, i)
    return state if i != 1 else state._replace(carry=jax.tree.map(lambda a: a * np.float32(np.nan), state.carry))


@pytest.mark.parametrize("side_by_side", [False, True])
def test_a_member_that_diverges_harms_no_other(side_by_side, request):
    if side_by_side:
        request.getfixturevalue("accelerator")
    p = program()
    found = trained(p, MEMBERS, lambda i: broken(p, i))
    assert not found[1].finite
    assert int(found[1].step) == 1
    assert all(close(found[i], alone()[i]) and found[i].finite for i in MEMBERS if i != 1)


@pytest.mark.parametrize("side_by_side", [False, True])
def test_members_go_on_from_where_they_were(side_by_side, request):
    """Each from another step, one from its end, one from its start."""
    p = program()
    steps = dict(zip(MEMBERS, (0, 7, 22, p.n_steps, 10), strict=True))

    def make(i):
        return unpack(begin(p, i), pack(part_way(p, i, steps[i]) if steps[i] else begin(p, i)))

    states = {i: make(i) for i in MEMBERS}  # before the plan is changed
    if side_by_side:
        request.getfixturevalue("accelerator")
    found = trained(p, MEMBERS, states.__getitem__)
    equal = close if side_by_side else same
    assert all(equal(found[i], alone()[i]) for i in MEMBERS)
    assert same(found[3], alone()[3])


def test_members_that_all_have_ended(accelerator):
    p = program(patience=1, rate=0.5)
    ended = {i: jax.tree.map(jax.numpy.asarray, state) for i, state in alone(patience=1, rate=0.5).items()}
    found = trained(p, MEMBERS, ended.__getitem__)
    assert all(same(found[i], alone(patience=1, rate=0.5)[i]) for i in MEMBERS)


@pytest.mark.parametrize("side_by_side", [False, True])
def test_states_under_way_are_handed_over(side_by_side, request):
    if side_by_side:
        request.getfixturevalue("accelerator")
    p, seen, threads = program(), [], set()

    def save(member, state):
        threads.add(threading.get_ident())
        assert all(isinstance(leaf, (np.ndarray, np.generic)) for leaf in jax.tree.leaves(state))
        seen.append((member, state))

    trained(p, [0, 1, 2], save=save, save_every=0.0)
    assert {member for member, _ in seen} == {0, 1, 2}
    assert (threading.get_ident() in threads) == side_by_side
    steps = {i: [int(state.step) for member, state in seen if member == i] for i in range(3)}
    assert all(made == sorted(set(made)) and len(made) > 1 for made in steps.values())
    member, state = next((member, state) for member, state in seen if 0 < int(state.step) < p.n_steps)
    assert close(finish(p, unpack(begin(p), pack(state))), alone()[member]), "it was not overwritten by later steps"
    seen.clear()
    trained(p, [0, 1], save=save)
    assert not seen, "not a minute has passed"


def test_an_interrupted_member_is_saved_once_more():
    p, seen = program(n_epochs=4000), []

    def done(member, state):
        raise KeyboardInterrupt

    first = finish(program(n_epochs=4000), begin(p, 0)._replace(stopped=jax.numpy.ones((), bool)))
    start = {0: jax.tree.map(jax.numpy.asarray, first), 1: begin(p, 1)}
    with pytest.raises(KeyboardInterrupt):
        ensemble.run(
            p, start.__getitem__, [0, 1], arrays(), done, at_once=2, save=lambda i, state: seen.append((i, state))
        )
    assert [member for member, _ in seen] == [1]
    assert 0 < int(seen[0][1].step) <= p.n_steps


def test_an_error_while_saving_ends_the_run():
    p = program()

    def save(member, state):
        msg = "not to be written"
        raise RuntimeError(msg)

    with pytest.raises(RuntimeError, match="not to be written"):
        trained(p, MEMBERS, save=save, save_every=0.0)


DEVICES = """
import os
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"
import jax, numpy as np
from omicstl.nn import ensemble
from tests.support.networks import arrays, begin, finish, program, same
assert jax.local_device_count() == 2
p, alone = program(patience=1, rate=0.5), {}
alone = {i: finish(p, begin(p, i)) for i in range(5)}
def trained(members, **options):
    found = {}
    ensemble.run(p, lambda i: begin(p, i), members, arrays(), found.__setitem__, **options)
    return found
found = trained(range(5))
print("same bits on a CPU:", all(same(found[i], alone[i]) for i in range(5)))
used = []
advance = ensemble._advance_many
def watched(program, data, states, own, until):
    used.append({len(leaf.sharding.device_set) for leaf in jax.tree.leaves(states.carry)})
    assert not any(leaf.sharding.is_fully_replicated for leaf in jax.tree.leaves(states.carry))
    return advance(program, data, states, own, until)
ensemble._advance_many = watched
ensemble.jax.default_backend = lambda: "gpu"
for members, at_once in (([0, 1, 2, 3, 4], None), ([1, 3], 1), ([4, 0, 2], 2)):
    found = trained(members, at_once=at_once)
    print(sorted(found) == sorted(members), all(
        int(found[i].step) == int(alone[i].step) and np.allclose(a, b, rtol=1e-4, atol=1e-5, equal_nan=True)
        for i in members for a, b in zip(jax.tree.leaves(found[i]), jax.tree.leaves(alone[i]), strict=True)
    ))
print(set().union(*used))
"""


def test_members_are_shared_out_over_devices(run_python):
    lines = run_python(DEVICES).splitlines()
    assert lines == ["same bits on a CPU: True", "True True", "True True", "True True", "{2}"]


@pytest.mark.parametrize(
    ("text", "cores"), [("max 100000", 3), ("200000 100000", 2), ("150000 100000", 2), ("5000 100000", 1)]
)
def test_a_containers_quota_counts(text, cores, tmp_path, monkeypatch):
    monkeypatch.setattr(ensemble.os, "sched_getaffinity", lambda pid: {0, 1, 2}, raising=False)
    monkeypatch.setattr(ensemble, "QUOTA", tmp_path / "cpu.max")
    assert ensemble._cores() == 3
    (tmp_path / "cpu.max").write_text(f"{text}\n")
    assert ensemble._cores() == cores


X64 = """
import jax
from omicstl.nn import ensemble
from tests.support.networks import arrays, begin, finish, program, same
p, found, seen = program(), {}, []
alone = finish(p, begin(p, 0))
jax.config.update("jax_enable_x64", True)
def make(i):
    seen.append(jax.numpy.arange(2).dtype.name)
    return begin(p, i)
with jax.enable_x64(False):
    ensemble.run(p, make, [0], arrays(), found.__setitem__)
print(seen, same(found[0], alone))
ensemble.run(p, make, [0], arrays(), found.__setitem__)
print(seen[1:])
"""


def test_threads_take_the_callers_precision(run_python):
    assert run_python(X64).splitlines() == ["['int32'] True", "['int64']"]
