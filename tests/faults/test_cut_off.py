"""Runs that end in the middle: killed, interrupted, out of disk. What was trained stays, and the rest comes to the same bits."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from omicstl._data import store
from omicstl._data.checkpoints import Checkpoints
from omicstl.nn import ensemble
from omicstl.nn.state import unpack
from tests.support import cut_off_ensemble
from tests.support.cut_off_ensemble import MEMBERS, trained
from tests.support.networks import arrays, begin, finish, program, same

HERE = Path(cut_off_ensemble.__file__)


@pytest.fixture(scope="module")
def uninterrupted():
    p = program()
    return {f"m{i}": finish(p, begin(p, i)) for i in range(MEMBERS)}


def states(found):
    return {name: unpack(begin(program()), content) for name, content in found.items()}


@pytest.mark.parametrize(("when", "what"), [("saved", "2"), ("renaming", "member_m1.npz")])
def test_a_killed_ensemble_comes_to_the_same_bits(tmp_path, uninterrupted, when, what):
    folder = tmp_path / "run"
    path = os.pathsep.join([str(HERE.parent), *(p for p in sys.path if p)])
    done = subprocess.run(
        [sys.executable, str(HERE), str(folder), when, what],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]
    files = {path.name for path in folder.iterdir()}
    ended = {int(name[len("member_m") : -len(".npz")]) for name in files if name.startswith("member_")}
    under_way = {int(name[len("running_m") : -len(".npz")]) for name in files if name.startswith("running_")} - ended
    assert ended, "killed too early to show anything"
    assert ended | under_way < set(range(MEMBERS)), "killed too late to show anything"

    found, begun = trained(folder)
    assert set(begun) == set(range(MEMBERS)) - ended, "what was there is not trained again"
    assert {member for member, step in begun.items() if step > 0} == under_way
    assert under_way, "a member went on in the middle"
    found = states(found)
    assert found.keys() == uninterrupted.keys()
    assert all(same(found[name], uninterrupted[name]) for name in found)
    again, begun = trained(folder)
    assert not begun
    assert all(same(states(again)[name], uninterrupted[name]) for name in again)


def test_ctrl_c_leaves_what_was_made(tmp_path, uninterrupted):
    def interrupt(member):
        if member == 2:
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background begins with it ignored
    try:
        with pytest.raises(KeyboardInterrupt):
            trained(tmp_path / "run", interrupt)
    finally:
        signal.signal(signal.SIGINT, before)
    found, begun = trained(tmp_path / "run")
    assert 0 < len(begun) < MEMBERS
    assert any(step > 0 for step in begun.values())
    assert all(same(states(found)[name], uninterrupted[name]) for name in uninterrupted)


def test_a_damaged_member_is_trained_again(tmp_path, uninterrupted):
    trained(tmp_path / "run")
    path = tmp_path / "run" / "member_m2.npz"
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.warns(UserWarning, match=r"member_m2.npz.*trained again"):
        found, begun = trained(tmp_path / "run")
    assert begun == {2: 0}
    assert all(same(states(found)[name], uninterrupted[name]) for name in uninterrupted)


def test_a_full_disk_costs_no_training(tmp_path, uninterrupted, monkeypatch):
    trained(tmp_path / "run", members=1)
    write = store.np.lib.format.write_array

    def full(stream, array, **options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    p, found = program(), {}
    kept = Checkpoints(tmp_path / "run", {"seed": 0, "training": {"rate": 0.05}, "data": "abc"})

    def done(member, state):
        kept.save(f"m{member}", {"state": 1, "content": state.history})
        found[f"m{member}"] = state

    monkeypatch.setattr(store.np.lib.format, "write_array", full)
    with pytest.warns(UserWarning, match="No space left on device.*Free some space"):
        ensemble.run(p, lambda i: begin(p, i), range(1, MEMBERS), arrays(), done)
    assert all(same(found[name], uninterrupted[name]) for name in found)
    monkeypatch.setattr(store.np.lib.format, "write_array", write)
    found, begun = trained(tmp_path / "run")
    assert set(begun) == {1, 2, 3}
    assert all(same(states(found)[name], uninterrupted[name]) for name in uninterrupted)
