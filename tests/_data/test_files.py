"""Where files may stand, what happens to what stands there, and what is left if a disk is full."""

from __future__ import annotations

import errno
import os
import pickle
import socket
import stat
import subprocess
import sys

import pandas as pd
import pytest
from snapshots import changes, snapshot

import omicstl as otl
from omicstl._data import files, run as engine, store
from omicstl._data.files import What, replacing
from tests.contract import cases

TABLE = otl.io.factor_table(pd.DataFrame({"LV1": [1.0, 0.5]}, index=["CD19", "CD3E"]), penalty=1.0)
WRITERS = {
    "model": lambda path: otl.io.write_model(path, TABLE),
    "gmt": lambda path: otl.io.write_gmt(path, {"T cell": ["CD3E"]}),
    "start": lambda path: engine.start("plier", cases.cohort(), "x", copy=False, model_path=path),
}
either = pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
writers = pytest.mark.parametrize("write", [WRITERS["model"], WRITERS["gmt"]], ids=["model", "gmt"])


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def fails(code):
    def function(*given, **options):
        raise OSError(code, os.strerror(code))

    return function


@either
@pytest.mark.parametrize("kind", ["pipe", "socket", "device", "folder"])
@pytest.mark.parametrize("link", [False, True])
def test_only_files_are_replaced(tmp_path, monkeypatch, write, kind, link):
    path = tmp_path / "out"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as there:
            monkeypatch.chdir(tmp_path)  # names of sockets are short
            there.bind("out")
    else:
        try:
            os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 3))
        except PermissionError:
            pytest.skip("no right to make a device")
    before = path.lstat()
    given = tmp_path / "link" if link else path
    if link:
        given.symlink_to("out")
    error = IsADirectoryError if kind == "folder" else FileExistsError
    with pytest.raises(error, match=rf"`(model_)?path` must be a file.*, got (a|the) {kind} .*(Give it a n|N)ame.*: '"):
        write(given)
    assert path.lstat() == before
    assert names(tmp_path) == (["link", "out"] if link else ["out"])


@writers
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664])
def test_a_file_hands_down_its_mode(tmp_path, write, mode):
    path = tmp_path / "out"
    path.write_text("old")
    path.chmod(mode)
    write(path)
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert path.read_bytes() != b"old"
    new = tmp_path / "new"
    write(new)
    plain = tmp_path / "plain"
    plain.write_text("")
    assert new.stat().st_mode == plain.stat().st_mode, "as of any new file"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away")
def test_a_file_hands_down_its_owner(tmp_path):
    path = tmp_path / "out"
    path.write_text("old")
    os.chown(path, 12345, 23456)
    WRITERS["model"](path)
    assert (path.stat().st_uid, path.stat().st_gid) == (12345, 23456)


def test_an_owner_that_cannot_be_kept_is_no_error(tmp_path, monkeypatch):
    path = tmp_path / "out"
    path.write_text("old")
    for name in ("chown", "chmod"):
        monkeypatch.setattr(os, name, fails(errno.EPERM))
    WRITERS["model"](path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600, "then for us alone"


def test_nobody_reads_what_will_be_secret(tmp_path):
    path = tmp_path / "out"
    path.write_text("old")
    path.chmod(0o600)
    with replacing(path, What("path")) as new:
        assert stat.S_IMODE(new.stat().st_mode) == 0o600


@writers
def test_links_are_followed(tmp_path, write):
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "out").write_text("old")
    link, second = tmp_path / "link", tmp_path / "second"
    link.symlink_to("far/out")
    second.symlink_to("link")
    write(second)
    assert second.is_symlink()
    assert link.is_symlink()
    assert (tmp_path / "far" / "out").read_bytes() != b"old"
    assert names(tmp_path / "far") == ["out"]
    new = tmp_path / "to_new"
    new.symlink_to("far/new")
    write(new)
    assert names(tmp_path / "far") == ["new", "out"]
    assert names(tmp_path) == ["far", "link", "second", "to_new"]


@either
def test_links_that_lead_nowhere(tmp_path, write):
    link = tmp_path / "link"
    link.symlink_to("none/out")
    with pytest.raises(FileNotFoundError, match=r"none' of .* does not exist; create it before writing"):
        write(link)
    circle = tmp_path / "circle"
    circle.symlink_to("circle")
    with pytest.raises(OSError, match=r"Cannot write .*circle': Too many levels.*or choose another"):
        write(circle)
    assert names(tmp_path) == ["circle", "link"]


@either
def test_places_that_cannot_be(tmp_path, write):
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match=r"file' of .* is a file, not a folder; choose another one"):
        write(tmp_path / "file" / "out")
    with pytest.raises(OSError, match="Cannot write .*File name too long. Choose a shorter name") as caught:
        write(tmp_path / ("n" * 300))
    assert caught.value.errno == errno.ENAMETOOLONG
    assert ".tmp" not in str(caught.value), "users see their own name"
    write(tmp_path / ("n" * 250))
    assert {"file"} <= set(names(tmp_path)) <= {"file", "n" * 250}


@either
@pytest.mark.parametrize(
    ("code", "error", "way_out"),
    [
        (errno.EACCES, PermissionError, "Permission denied. Make the place writable"),
        (errno.EROFS, OSError, "Read-only file system. Make the place writable"),
        (errno.ENOSPC, OSError, "No space left on device. Free some space there"),
    ],
)
def test_refused_access_is_noticed_at_once(tmp_path, monkeypatch, write, code, error, way_out):
    monkeypatch.setattr(files.os, "open", fails(code))
    with pytest.raises(error, match=rf"Cannot write the .* to '.*out': {way_out}") as caught:
        write(tmp_path / "out")
    assert caught.value.errno == code
    assert ".tmp" not in str(caught.value)
    assert not names(tmp_path)


@either
def test_a_protected_file_stays(tmp_path, monkeypatch, write):
    path = tmp_path / "out"
    path.write_text("old")
    monkeypatch.setattr(files.os, "access", lambda *given: False)
    with pytest.raises(PermissionError, match="is protected from writing. Change its mode, or choose another name"):
        write(path)
    assert path.read_text() == "old"


@writers
@pytest.mark.parametrize("where", ["fsync", "replace"])
@pytest.mark.parametrize("there", [False, True])
def test_a_failure_leaves_nothing_behind(tmp_path, monkeypatch, write, where, there):
    path = tmp_path / "out"
    if there:
        path.write_text("old")
    monkeypatch.setattr(files.os, where, fails(errno.ENOSPC))
    with pytest.raises(OSError, match=r"out': No space left on device. Free some space there"):
        write(path)

    def interrupted(*given):
        raise KeyboardInterrupt

    monkeypatch.setattr(files.os, where, interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(path)
    assert names(tmp_path) == (["out"] if there else [])
    assert not there or path.read_text() == "old"


def test_a_folder_that_cannot_be_synced_is_no_failure(tmp_path, monkeypatch):
    """Some file systems of networks refuse it; the file is complete and in its place."""
    sync = os.fsync
    is_folder = lambda handle: stat.S_ISDIR(os.fstat(handle).st_mode)
    monkeypatch.setattr(files.os, "fsync", lambda h: fails(errno.EINVAL)() if is_folder(h) else sync(h))
    WRITERS["model"](tmp_path / "out")
    assert otl.io.read_model(tmp_path / "out").names.tolist() == ["LV1"]


def test_a_trial_leaves_nothing(tmp_path):
    path = tmp_path / "out"
    WRITERS["start"](path)
    assert not names(tmp_path)
    path.write_text("old")
    WRITERS["start"](path)
    assert names(tmp_path) == ["out"]
    assert path.read_text() == "old"


def test_space_is_asked_for_before_the_fit(tmp_path, monkeypatch):
    run = WRITERS["start"](tmp_path / "out")
    disk = files.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(files.shutil, "disk_usage", lambda folder: disk._replace(free=2**20))
    run.check_size(2**19, "few factors", "fewer")
    with pytest.raises(
        OSError, match=r"No space left on device \(3 MB are needed, 1 MB are free\). Free some"
    ) as caught:
        run.check_size(3 * 2**20, "many factors", "fewer")
    assert caught.value.errno == errno.ENOSPC
    monkeypatch.setattr(files.shutil, "disk_usage", lambda folder: disk._replace(total=0, free=0))
    run.check_size(3 * 2**20, "a disk that does not say", "fewer")
    monkeypatch.setattr(files.shutil, "disk_usage", fails(errno.ENOSYS))
    run.check_size(3 * 2**20, "another", "fewer")


def test_a_fit_whose_file_fails_is_kept_in_the_adata(tmp_path, monkeypatch):
    adata, other = cases.cohort(), cases.cohort()
    cases.plier(other)
    monkeypatch.setattr(files.os, "replace", fails(errno.ENOSPC))
    with pytest.warns(UserWarning, match=r"plier.npz': No space left.*kept in adata.uns\['plier'\]\['model'\] instead"):
        cases.plier(adata, model_path=tmp_path / "plier.npz")
    assert not names(tmp_path)
    assert store.digest(otl.get.model(adata, "plier").to_dict()) == store.digest(otl.get.model(other).to_dict())
    assert not changes(snapshot(other), snapshot(adata))


@pytest.mark.parametrize("copy", [False, True])
def test_a_large_fit_whose_file_fails_is_in_the_error(tmp_path, monkeypatch, copy):
    adata, path = cases.cohort(), tmp_path / "plier.npz"
    before = snapshot(adata)
    with monkeypatch.context() as full, otl.settings.override(model_in_adata=10):
        full.setattr(files.os, "replace", fails(errno.ENOSPC))
        with pytest.raises(
            otl.ModelFileError, match=r"plier.npz': No space left.* Free .*write_model\('.*error.model\)"
        ) as caught:
            cases.plier(adata, model_path=path, copy=copy)
    assert caught.value.errno == errno.ENOSPC
    assert not changes(before, snapshot(adata))
    assert not names(tmp_path)
    otl.io.write_model(path, caught.value.model)
    other = cases.cohort()
    cases.plier(other)
    assert store.digest(store.read_model(path)) == store.digest(otl.get.model(other).to_dict())


def test_a_warning_made_an_error_has_the_fit_behind_it(tmp_path, monkeypatch):
    adata = cases.cohort()
    before = snapshot(adata)
    monkeypatch.setattr(files.os, "replace", fails(errno.EIO))
    with pytest.raises(UserWarning, match="kept in adata") as caught:  # warnings are errors here
        cases.plier(adata, model_path=tmp_path / "plier.npz")
    assert caught.value.__context__.model.kind == "plier"
    assert not changes(before, snapshot(adata))


def test_a_full_disk(tmp_path):
    """Of a real process, whose files may have no more than 4,000 bytes."""
    (tmp_path / "old.npz").write_text("old")
    program = f"""
import resource, numpy as np
from omicstl._data import gmt, store
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (4000, hard))
tree = {{"kind": "a", "version": 1, "x": np.arange(10_000.0)}}
sets = [gmt.GmtSet("a", "", [f"gene{{i}}" for i in range(5000)])]
for write in (
    lambda: store.write_model({str(tmp_path / "old.npz")!r}, tree),
    lambda: store.write_model({str(tmp_path / "new.npz")!r}, tree),
    lambda: gmt.dump_gmt({str(tmp_path / "new.gmt")!r}, sets),
):
    try:
        write()
    except OSError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=300)
    lines = done.stdout.splitlines()
    assert [line.startswith("Cannot write the ") for line in lines] == [True, True, True]
    assert all("File too large. Choose a place for larger files" in line for line in lines)
    assert names(tmp_path) == ["old.npz"]
    assert (tmp_path / "old.npz").read_text() == "old"


def test_the_error_travels_between_processes():
    error = pickle.loads(pickle.dumps(otl.ModelFileError("why", TABLE)))
    assert str(error) == "why"
    assert error.model.names.tolist() == ["LV1"]
