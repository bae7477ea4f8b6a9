"""An ensemble with checkpoints, as a program of its own that may be killed: what is trained goes to the folder's neighbour.

    python cut_off_ensemble.py FOLDER [saved MEMBER | renaming FILE]

`saved 2`: kill this process when a state of member 2 under way has been saved. `renaming member_m1.npz`: kill it when that file
has been written under its temporary name but not yet renamed.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from omicstl._data.checkpoints import Checkpoints
from omicstl.nn import ensemble
from omicstl.nn.state import pack, resumed
from tests.support import networks

MEMBERS = 4


def killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def trained(folder: Path, on_save=lambda member: None, members: int = MEMBERS):
    """Train what is not there, one after another; return all members, which were trained here, and where each began."""
    p = networks.program()
    kept = Checkpoints(folder, {"seed": 0, "training": {"rate": networks.RATE}, "data": "abc"})
    have, begun = kept.finished(), {}

    def make(member):
        state = resumed(networks.begin(p, member), kept.load_running(f"m{member}"))
        begun[member] = int(state.step)
        return state

    def save(member, state):
        kept.save_running(f"m{member}", pack(state))
        on_save(member)

    def done(member, state):
        kept.save(f"m{member}", pack(state))

    missing = [i for i in range(members) if f"m{i}" not in have]
    ensemble.run(p, make, missing, networks.arrays(), done, at_once=1, save=save, save_every=0.0)
    return {name: kept.load(name) for name in kept.finished()}, begun


def main(folder: str, when: str = "", what: str = "") -> None:
    rename = os.replace

    def replace(source, target):
        if when == "renaming" and Path(target).name == what:
            killed()
        rename(source, target)

    os.replace = replace
    trained(Path(folder), lambda member: killed() if when == "saved" and member == int(what) else None)


if __name__ == "__main__":
    main(*sys.argv[1:])
