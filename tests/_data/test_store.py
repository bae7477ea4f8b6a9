"""Model files: what comes back is what was written, or an error; whatever happened to the file."""

import json
import os
import pickle
import zipfile

import anndata as ad
import numpy as np
import pytest

from omicstl._data import store
from omicstl._data.store import digest, n_bytes, read_model, write_model
from omicstl._data.tree import flatten


def model():
    rng = np.random.default_rng(0)
    return {
        "kind": "plier",
        "version": 1,
        "features": np.array(["TP53", "HLA-A", "ü/β", ""], dtype=object),
        "loadings": np.asfortranarray(rng.normal(size=(4, 3)).astype(np.float32)),
        "prior": {
            "indices": np.arange(5, dtype=np.int32),
            "data": np.zeros(0),
            "deep": {"mask": np.array([True, False])},
        },
        "params": {
            "penalty": 0.1,
            "seed": 2**62,
            "none": None,
            "flag": True,
            "text": "a\nb",
            "nan": float("nan"),
            "inf": -np.inf,
        },
        "empty": {},
        "scalar": np.float32(0.5),
        "cube": np.zeros((2, 0, 3)),
    }


@pytest.fixture
def path(tmp_path):
    write_model(tmp_path / "m.npz", model())
    return tmp_path / "m.npz"


def same(a, b):
    return digest(a) == digest(b)


def test_round_trip(path):
    back = read_model(path)
    assert same(back, model())
    assert back["features"].tolist() == model()["features"].tolist()
    assert np.array_equal(back["loadings"], model()["loadings"])
    assert back["loadings"].dtype == np.float32
    assert back["loadings"].flags.writeable
    assert back["cube"].shape == (2, 0, 3)
    assert np.isnan(back["params"].pop("nan"))
    assert back["params"] == {"penalty": 0.1, "seed": 2**62, "none": None, "flag": True, "text": "a\nb", "inf": -np.inf}
    assert back["params"]["flag"] is True
    assert back["empty"] == {}


def test_the_same_model_gives_the_same_file(path, tmp_path):
    total = write_model(tmp_path / "again.npz", dict(reversed(model().items())))
    assert (tmp_path / "again.npz").read_bytes() == path.read_bytes()
    assert total == digest(model())


def test_numpy_reads_it(path):
    with np.load(path, allow_pickle=False) as file:
        assert np.array_equal(file["loadings"], model()["loadings"])
        assert json.loads(file["manifest.json"])["format"] == "omicstl-model"


def test_digest_sees_content_and_not_form(tmp_path):
    base = digest(model())
    for change in (
        {"loadings": np.ascontiguousarray(model()["loadings"])},
        {"features": np.array(["TP53", "HLA-A", "ü/β", ""], dtype="<U50")},
        {"loadings": model()["loadings"].astype(">f4")},
        {"scalar": 0.5},
    ):
        assert digest(model() | change) == base
    for change in (
        {"loadings": model()["loadings"].astype(np.float64)},
        {"loadings": model()["loadings"].T},
        {"features": np.array(["TP53", "HLA-A", "ü/β", "x"])},
        {"features": np.array(["TP53H", "LA-A", "ü/β", ""])},
        {"version": 2},
        {"scalar": 1},
        {"empty": None},
        {"more": 1},
        {"params": {}},
    ):
        assert digest(model() | change) != base
    assert digest(model() | {"scalar": 0.0}) != digest(model() | {"scalar": -0.0})


@pytest.mark.filterwarnings("ignore:Writing zarr v2:UserWarning")
@pytest.mark.parametrize("form", ["h5ad", "zarr"])
def test_digest_survives_an_anndata_file(tmp_path, form):
    if form == "zarr":
        pytest.importorskip("zarr")
    adata = ad.AnnData(np.ones((1, 1), np.float32), uns={"plier": {"model": model()}})
    getattr(adata, f"write_{form}")(tmp_path / f"a.{form}")
    back = getattr(ad, f"read_{form}")(tmp_path / f"a.{form}")
    assert same(back.uns["plier"]["model"], model())


def test_bytes():
    assert n_bytes({"kind": "a", "version": 1, "x": np.zeros((10, 3), np.float32), "y": {"z": np.zeros(2)}}) == 136


BASE = {"kind": "a", "version": 1}


@pytest.mark.parametrize(
    ("tree", "error", "text"),
    [
        ([1], TypeError, "a model must be a dict"),
        ({"version": 1}, ValueError, "'kind', a string, and 'version', an integer; got kind None"),
        ({"kind": "a", "version": True}, ValueError, "version True"),
        (BASE | {"a.b": 1}, ValueError, "letters, digits and underscores"),
        (BASE | {"p": {"../x": 1}}, ValueError, "in 'p'.*letters"),
        (BASE | {3: 1}, TypeError, "must be a string"),
        (BASE | {"x": [1]}, TypeError, r"model\['x'\] is of type list"),
        (BASE | {"x": np.array([{}], dtype=object)}, TypeError, "dtype object"),
        (BASE | {"x": np.array([["a"]])}, TypeError, "one dimension of strings"),
        (BASE | {"x": np.zeros(2, complex)}, TypeError, "dtype complex"),
        (BASE | {"x": np.zeros(2, "M8[s]")}, TypeError, "datetime"),
        (BASE | {"x": 2**63}, ValueError, "64 bits"),
        (BASE | {f"x{i}": np.zeros(1) for i in range(65)}, ValueError, "at most 64 arrays, got 65"),
    ],
)
def test_no_models(tmp_path, tree, error, text):
    with pytest.raises(error, match=text):
        write_model(tmp_path / "m.npz", tree)
    assert not list(tmp_path.iterdir())


def test_a_failed_write_leaves_the_old_file(path, monkeypatch):
    before = path.read_bytes()

    def fails(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(store.os, "fsync", fails)
    with pytest.raises(KeyboardInterrupt):
        write_model(path, model() | {"version": 2})
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == ["m.npz"]


def test_no_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="create it before writing the model 'm.npz'"):
        write_model(tmp_path / "none" / "m.npz", model())


def refused(path, text=""):
    with pytest.raises(ValueError, match=f"cannot be used as a model: .*{text}"):
        read_model(path)


def test_bit_flips(path):
    """A flip anywhere is refused, also of dates, permissions and paddings."""
    good = path.read_bytes()
    rng = np.random.default_rng(0)
    places = {*rng.integers(0, len(good), 600).tolist(), *range(60), *range(len(good) - 300, len(good))}
    for place in sorted(places):
        bad = bytearray(good)
        bad[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(bad)
        refused(path)


def test_truncated_and_padded(path):
    good = path.read_bytes()
    for size in [0, 1, 3, 4, 30, 100, *range(200, len(good), 97), len(good) - 1]:
        path.write_bytes(good[:size])
        refused(path)
    path.write_bytes(good[: len(good) // 2] + good)
    refused(path)


def test_foreign_files(tmp_path):
    path = tmp_path / "x.npz"
    np.savez(path, a=np.zeros(3))
    refused(path, "manifest.json is not its first member")
    path.write_bytes(b"")
    refused(path, "it is empty")
    path.write_bytes(pickle.dumps({"a": 1}))
    refused(path, "not even a zip archive")
    ad.AnnData(np.ones((1, 1), np.float32)).write_h5ad(tmp_path / "a.h5ad")
    refused(tmp_path / "a.h5ad", "HDF5 file; read it with anndata.read_h5ad")
    with pytest.raises(ValueError, match="is a folder"):
        read_model(tmp_path)
    with pytest.raises(FileNotFoundError, match="no model file"):
        read_model(tmp_path / "none.npz")


def seal(path):
    with open(path, "r+b") as file:
        store._seal(file)


def forge(path, *, manifest=None, members=None, extra=(), compress=zipfile.ZIP_STORED, first=None):
    """Rewrite a model file with valid checksums of the archive and the file, but with content of our own."""
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    data = json.loads(content.pop("manifest.json"))
    if manifest is not None:
        data = manifest(data)
    content |= members or {}
    with zipfile.ZipFile(path, "w", compress) as archive:
        if first:
            archive.writestr(first, b"x")
        archive.writestr("manifest.json", data if isinstance(data, (str, bytes)) else json.dumps(data))
        for name, value in content.items():
            archive.writestr(name, value)
        for name, value in extra:
            archive.writestr(name, value)
        archive.comment = bytes(64)
    seal(path)
    return path


def test_forging_works(path):
    """The forger alone harms nothing, so that the tests below fail for their own reasons."""
    before = digest(read_model(path))
    assert digest(read_model(forge(path))) == before
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = b""
    refused(path, "changed after it was written")


def changed(**values):
    return lambda data: data | values


def in_array(index, **values):
    def change(data):
        data["arrays"][index] |= values
        return data

    return change


@pytest.mark.parametrize(
    ("manifest", "text"),
    [
        (changed(format_version=2), "format version 2, this omicstl reads up to 1; upgrade with pip install"),
        (changed(format_version="1"), "not complete"),
        (changed(format_version=0), "not complete"),
        (changed(format="other"), "not that of an omicstl model"),
        (changed(kind="deepprofile"), "does not match its checksum"),
        (changed(digest="0" * 64), "does not match its checksum"),
        (changed(arrays=[]), "not those that its manifest lists"),
        (changed(scalars=[]), "not complete"),
        (changed(scalars={"kind": "plier", "version": 3}), "checksum"),
        (changed(scalars={"kind": ["plier"]}), "a list"),
        (changed(scalars={"kind": {"float": "1"}}), "damaged"),
        (changed(scalars={"kind": "a", "../x": 1}), "names that no model has"),
        (changed(scalars={"kind": "a", "loadings": 1}), "names that no model has"),
        (changed(arrays=[{}] * 65), "declares 65 arrays"),
        (changed(arrays=[3]), "damaged"),
        (in_array(0, name="../../etc/passwd"), "not those that its manifest lists"),
        (in_array(0, dtype="|O"), "dtype '.O'"),
        (in_array(0, dtype="<f8,<f8"), "which no model has"),
        (in_array(0, shape=[10**12]), "bytes where"),
        (in_array(0, shape=[-1]), "which no model has"),
        (in_array(0, shape=[True]), "which no model has"),
        (in_array(1, sha256="0" * 64), "checksum"),
        (lambda data: "[1, 2", "damaged"),
        (lambda data: "[" * 100_000, "damaged"),
        (lambda data: b"\xff\xfe", "damaged"),
        (lambda data: [data], "not that of an omicstl model"),
    ],
)
def test_forged_manifests(path, manifest, text):
    refused(forge(path, manifest=manifest), text)


def npy(array, **options):
    import io

    stream = io.BytesIO()
    np.save(stream, array, **options)
    return stream.getvalue()


def test_forged_members(path):
    good = path.read_bytes()
    objects = npy(np.array([model], dtype=object).astype(str).astype(object), allow_pickle=True)
    cases = {
        "other dtype": ({"loadings.npy": npy(np.zeros((4, 3), np.int32))}, "its manifest says"),
        "other values": ({"loadings.npy": npy(np.zeros((4, 3), np.float32))}, "does not match its checksum"),
        "other shape": ({"loadings.npy": npy(np.zeros((3, 4), np.float32))}, "its manifest says"),
        "shorter": ({"loadings.npy": npy(np.zeros(3, np.float32))[:100]}, "bytes where|damaged"),
        "objects": ({"loadings.npy": objects}, "damaged|bytes where"),
        "no array": ({"loadings.npy": b"x" * 150}, "damaged"),
        "npy version 3": (
            {"loadings.npy": b"\x93NUMPY\x03\x00" + npy(np.zeros((4, 3), np.float32))[8:]},
            "unknown version",
        ),
    }
    for members, text in cases.values():
        path.write_bytes(good)
        refused(forge(path, members=members), text)


def test_pickles_are_never_loaded(path, tmp_path):
    class Bomb:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "exploded"),))

    payload = npy(np.array([Bomb()], dtype=object), allow_pickle=True)
    dtype = in_array(2, dtype="|O", shape=[1])
    refused(forge(path, manifest=dtype, members={"loadings.npy": payload}))
    assert not (tmp_path / "exploded").exists()


def test_forged_archives(path):
    good = path.read_bytes()
    refused(forge(path, extra=[("../../evil.npy", b"x")]), "not those that its manifest lists")
    path.write_bytes(good)
    refused(forge(path, first="readme.txt"), "not its first member")
    path.write_bytes(good)
    refused(forge(path, compress=zipfile.ZIP_DEFLATED), "compressed members")
    path.write_bytes(good)
    with pytest.warns(UserWarning, match="Duplicate name"):
        forge(path, extra=[("loadings.npy", b"x")])
    refused(path, "not those that its manifest lists")


def test_zip_bomb(tmp_path):
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", b" " * 50_000_000)
    assert path.stat().st_size < 100_000
    refused(path, "compressed members")


def test_overlapping_members(path):
    """Many members that point at the same bytes declare more than the file has."""
    with zipfile.ZipFile(path, "a") as archive:
        again = archive.getinfo("loadings.npy")
        big = zipfile.ZipInfo("big.npy")
        big.header_offset, big.CRC = again.header_offset, again.CRC
        big.file_size = big.compress_size = path.stat().st_size
        archive.filelist.append(big)
        archive.NameToInfo["big.npy"] = big
        archive._didModify = True
    seal(path)
    refused(path, "sizes it declares")


def test_flat_form_is_sorted():
    assert list(flatten(model())) == sorted(flatten(model()))
