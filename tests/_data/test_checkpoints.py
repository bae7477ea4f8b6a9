"""Folders of members: what is kept, whose it is, and what happens if a file or the disk is not as it should be."""

from __future__ import annotations

import errno
import math
import os
import time

import numpy as np
import pytest
import scipy.sparse as sp

from omicstl._data import checkpoints, store
from omicstl._data.checkpoints import Checkpoints, rows_digest

SETTINGS = {
    "data": "0123abcd",
    "rng": 0,
    "training": {"epochs": 50, "learning_rate": 5e-4, "patience": None},
    "rule": "a",
}
MEMBER = {"kernel": np.arange(6, dtype=np.float32).reshape(2, 3), "history": {"loss": np.array([2.0, np.nan])}, "n": 3}


def equal(a, b) -> bool:
    wrap = lambda tree: {"kind": "x", "version": 1, "tree": tree}
    return store.digest(wrap(a)) == store.digest(wrap(b))


@pytest.fixture
def kept(tmp_path):
    there = Checkpoints(tmp_path / "run", SETTINGS)
    there.save("size_5_member_0", MEMBER)
    return there


def reopened(kept, **changes):
    return Checkpoints(kept.folder, {**SETTINGS, **changes})


def test_what_is_saved_is_there_for_the_next_run(kept):
    assert kept.finished() == ["size_5_member_0"]
    kept.save("b", {**MEMBER, "n": 4})
    again = reopened(kept)
    assert again.finished() == ["b", "size_5_member_0"]
    assert equal(again.load("size_5_member_0"), MEMBER)
    assert again.load("b")["n"] == 4
    with pytest.raises(KeyError, match="no sound file of member 'c'"), pytest.warns(UserWarning, match="missing"):
        again.load("c")


def test_the_state_under_way_is_dropped_at_the_end(kept):
    assert kept.load_running("b") is None
    for n in (1, 2):
        assert kept.save_running("b", {"bytes": np.full(3, n, np.uint8), "layout": "x\ny"})
    assert kept.finished() == ["size_5_member_0"]
    state = reopened(kept).load_running("b")
    assert state["layout"] == "x\ny"
    assert state["bytes"].tolist() == [2, 2, 2]
    kept.save("b", MEMBER)
    assert reopened(kept).load_running("b") is None
    assert sorted(path.name for path in kept.folder.iterdir()) == [
        "checkpoint.npz",
        "member_b.npz",
        "member_size_5_member_0.npz",
    ]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"data": "ffff"}, ["`data` was '0123abcd', is 'ffff'"]),
        ({"training": {"epochs": 60, "learning_rate": 5e-4, "patience": None}}, ["`training.epochs` was 50, is 60"]),
        ({"rng": 1, "rule": "b"}, ["`rng` was 0, is 1", "`rule` was 'a', is 'b'"]),
        ({"training": {"epochs": 50, "learning_rate": 5e-4, "patience": 3}}, ["`training.patience` was None, is 3"]),
        ({"more": True}, ["`more` was not set, is True"]),
        ({"rng": True}, ["`rng` was 0, is True"]),
        ({"training": {}}, ["`training.epochs` was 50, is not set"]),
        ({"rule": math.nan}, ["`rule` was 'a', is nan"]),
    ],
)
def test_another_run_is_refused_and_the_difference_named(kept, changes, named):
    before = {path.name: path.read_bytes() for path in kept.folder.iterdir()}
    with pytest.raises(ValueError, match="name another folder") as caught:
        reopened(kept, **changes)
    assert all(text in str(caught.value) for text in named)
    same = [name for name in SETTINGS if name not in changes]
    assert not any(f"`{name}`" in str(caught.value) for name in same)
    assert {path.name: path.read_bytes() for path in kept.folder.iterdir()} == before


def test_settings_compare_by_value(tmp_path):
    Checkpoints(tmp_path / "a", {"rate": 1, "nan": math.nan, "none": None, "n": np.int64(3)}).save("m", MEMBER)
    again = Checkpoints(tmp_path / "a", {"none": None, "nan": math.nan, "rate": 1.0, "n": 3})
    assert again.finished() == ["m"]
    with pytest.raises(TypeError, match="setting 'sizes' must be a scalar, got ndarray"):
        Checkpoints(tmp_path / "b", {"sizes": np.arange(2)})


def test_folders_that_are_none(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="is a file; a folder is needed"):
        Checkpoints(tmp_path / "file", SETTINGS)
    with pytest.raises(ValueError, match=r"holds other files \('file'\).*Name a new or an empty folder"):
        Checkpoints(tmp_path, SETTINGS)
    (tmp_path / "deep" / "empty").mkdir(parents=True)
    (tmp_path / "deep" / "empty" / ".DS_Store").write_text("")
    assert Checkpoints(tmp_path / "deep" / "empty", SETTINGS).finished() == []
    with pytest.raises(FileNotFoundError, match=r"new' of `checkpoint` does not exist; create it before writing"):
        Checkpoints(tmp_path / "new" / "folder", SETTINGS)
    assert not (tmp_path / "new").exists()
    assert Checkpoints(tmp_path / "new", SETTINGS).finished() == []
    assert Checkpoints(os.fspath(tmp_path / "text"), SETTINGS).folder.is_dir()


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "text"])
@pytest.mark.parametrize("which", ["member", "running"])
def test_a_damaged_file_does_not_count(kept, damage, which):
    kept.save_running("r", MEMBER)
    kept.save("b", MEMBER)
    path = kept.folder / {"member": "member_b.npz", "running": "running_r.npz"}[which]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 16
    path.write_bytes({"cut": content[:-100], "flip": content, "empty": b"", "text": b"hello"}[damage])
    again = reopened(kept)
    if which == "running":
        with pytest.warns(UserWarning, match=r"running_r.npz.*left aside.*trained from its start"):
            assert again.load_running("r") is None
        return
    with pytest.warns(UserWarning, match=r"member_b.npz.*left aside.*trained again"):
        assert again.finished() == ["size_5_member_0"]
    again.save("b", MEMBER)  # trained again
    assert again.finished() == ["b", "size_5_member_0"]


def test_a_damaged_manifest_is_written_again(kept):
    (kept.folder / "checkpoint.npz").write_bytes(b"PK\x03\x04 and no more")
    with pytest.warns(UserWarning, match=r"checkpoint.npz.*written again"):
        again = reopened(kept)
    assert again.finished() == ["size_5_member_0"], "members say themselves what they belong to"
    (kept.folder / "checkpoint.npz").write_bytes(b"")
    with pytest.warns(UserWarning, match="written again"):
        other = reopened(kept, rng=9)
    with pytest.warns(UserWarning, match="belongs to another run or member"):
        assert other.finished() == []


def test_a_manifest_of_a_later_version_is_refused(kept):
    store.write_model(kept.folder / "checkpoint.npz", {"kind": "checkpoint", "version": 99, "settings": SETTINGS})
    with pytest.raises(ValueError, match="another version of omicstl"):
        reopened(kept)


def test_a_member_from_elsewhere_does_not_count(kept, tmp_path):
    other = Checkpoints(tmp_path / "other", {**SETTINGS, "rng": 7})
    other.save("c", MEMBER)
    (other.folder / "member_c.npz").rename(kept.folder / "member_c.npz")
    os.link(kept.folder / "member_size_5_member_0.npz", kept.folder / "member_d.npz")  # renamed
    with pytest.warns(UserWarning, match="another run or member") as caught:
        assert kept.finished() == ["size_5_member_0"]
    assert len(caught) == 2


@pytest.mark.parametrize(
    ("code", "way_out"), [(errno.ENOSPC, "Free some space there"), (errno.EACCES, "Make the folder writable")]
)
def test_a_full_disk_leaves_the_last_good_file(kept, monkeypatch, code, way_out):
    kept.save_running("b", {"step": 1})
    names = sorted(os.listdir(kept.folder))
    write = np.lib.format.write_array

    def full(stream, array, **options):
        stream.write(b"some of it")
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(store.np.lib.format, "write_array", full)
    with pytest.warns(UserWarning, match=f"{os.strerror(code)}.*Training goes on.*{way_out}"):
        assert not kept.save("b", MEMBER)
    assert not kept.save("size_5_member_0", {**MEMBER, "n": 4})  # one warning is enough
    assert not kept.save_running("b", {**MEMBER, "step": 2})
    assert sorted(os.listdir(kept.folder)) == names, "nothing half written is left"
    assert reopened(kept).load_running("b")["step"] == 1
    assert reopened(kept).load("size_5_member_0")["n"] == 3
    monkeypatch.setattr(store.np.lib.format, "write_array", write)
    assert kept.save("b", MEMBER)
    assert reopened(kept).finished() == ["b", "size_5_member_0"]


def test_a_full_disk_at_the_start_is_an_error(tmp_path, monkeypatch):
    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(store.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        Checkpoints(tmp_path / "run", SETTINGS)
    assert not list((tmp_path / "run").iterdir())


def test_left_overs_of_a_killed_run_are_removed_when_old(kept):
    young, old, other = (
        kept.folder / name for name in (f".member_b.npz.{'0a' * 6}.tmp", f".running_b.npz.{'1b' * 6}.tmp", ".b.tmp")
    )
    for path in (young, old, other):
        path.write_bytes(b"half")
    past = time.time() - 2 * checkpoints._LEFT_OVER_AGE
    os.utime(old, (past, past))
    os.utime(other, (past, past))
    assert reopened(kept).finished() == ["size_5_member_0"]
    assert young.exists()
    assert not old.exists()
    assert other.exists(), "not ours"


@pytest.mark.parametrize("name", ["../x", "a/b", "", "a.b", "ü"])
def test_names_are_safe(kept, name):
    with pytest.raises(ValueError):
        kept.save(name, MEMBER)


def test_digest_of_rows_sees_values_and_not_layout():
    x = np.random.default_rng(0).poisson(1.0, (20, 7)).astype(np.float32)
    base = rows_digest(x)
    assert len(base) == 64
    for same in (sp.csr_matrix(x), sp.csc_matrix(x), np.asfortranarray(x), x.copy()):
        assert rows_digest(same) == base
    other = x.copy()
    other[3, 4] += 1
    for differs in (other, x[::-1], x[:, ::-1], x[:-1], x.reshape(7, 20), x.astype(np.float64)):
        assert rows_digest(differs) != base
    assert rows_digest(np.zeros((0, 3), np.float32)) != rows_digest(np.zeros((0, 4), np.float32))


def test_places_that_are_no_folders(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(NotADirectoryError, match="is a pipe; a folder is needed"):
        Checkpoints(tmp_path / "pipe", SETTINGS)
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="file' of `checkpoint` is a file, not a folder"):
        Checkpoints(tmp_path / "file" / "run", SETTINGS)
    (tmp_path / "link").symlink_to("run")
    Checkpoints(tmp_path / "link", SETTINGS).save("a", MEMBER)
    assert Checkpoints(tmp_path / "run", SETTINGS).finished() == ["a"]


def test_a_folder_that_cannot_be_made(tmp_path, monkeypatch):
    def refused(*given, **options):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(checkpoints.Path, "mkdir", refused)
    with pytest.raises(
        PermissionError, match="Cannot write the checkpoint to '.*run': Permission denied. Make the place"
    ):
        Checkpoints(tmp_path / "run", SETTINGS)
